"""Inverting index maps: from the keys of a relation back to the loop dims of the op that reads it.

A tir op reads ``x[e0(i…), e1(i…)]``. Its relation has the keys ``k0, k1``; to join it with other operands the loop dims
``i`` are wanted as expressions of the keys. What can be inverted are the mixed-radix forms that views produce: a dim
alone, sums with nested strides (a split axis), digits of one dim over several keys (a merged axis), rotations and
reflections. What cannot stays as a residual condition ``k == e(i…)`` of the join.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import attrs

from irsql.ir import affine as af
from irsql.ir import dims as dm
from irsql.ir.affine import AffineExpr, AffineMap, BinExpr, ConstExpr, DimExpr, SymExpr
from irsql.ir.dims import Dim, mul, sub


@attrs.define
class Solution:
    """Loop dims of one operand in terms of its keys (``DimExpr(k)`` in these expressions is key number k).

    Attributes
    ----------
    dims
        Loop dim to its expression over the keys.
    conditions
        ``(kind, expression over keys, dim)``: rows to keep, with kind ``eq``, ``lt`` or ``ge``.
    residual
        Key number to an expression over *loop dims* that it must equal.
    """

    dims: dict[int, AffineExpr] = attrs.field(factory=dict[int, AffineExpr])
    conditions: list[tuple[str, AffineExpr, Dim]] = attrs.field(factory=list["tuple[str, AffineExpr, Dim]"])
    residual: dict[int, AffineExpr] = attrs.field(factory=dict[int, AffineExpr])

    @property
    def trivial(self) -> bool:
        """Every key is one loop dim as it is."""
        return not self.conditions and not self.residual and all(isinstance(e, DimExpr) for e in self.dims.values())


def solve(amap: AffineMap, extents: Sequence[Dim], bounds: Sequence[Dim]) -> Solution:
    """Invert ``amap`` as far as it goes.

    Parameters
    ----------
    amap
        Loop dims to keys.
    extents
        Extent of each key.
    bounds
        Extent of each loop dim.
    """
    out = Solution()
    open_keys: list[int] = []
    for k, e in enumerate(amap.results):
        if isinstance(e, DimExpr) and e.index not in out.dims:
            out.dims[e.index] = DimExpr(k)
            if extents[k] != bounds[e.index]:
                out.conditions.append(("lt", DimExpr(k), bounds[e.index]))
        elif not af.used_dims(e) and (at := _dim_of(e)) is not None:
            if extents[k] != 1:
                out.conditions.append(("eq", DimExpr(k), at))
        else:
            open_keys.append(k)
    open_keys = [k for k in open_keys if not _split(out, k, amap.results[k], extents[k], bounds)]
    open_keys = _merge(out, open_keys, amap.results, extents, bounds)
    for k in open_keys:
        if not _rotate(out, k, amap.results[k], extents[k], bounds):
            out.residual[k] = amap.results[k]
    return out


def linear(expr: AffineExpr) -> tuple[dict[int, int], AffineExpr] | None:
    """``expr`` as integer coefficients of loop dims plus a rest without dims; None if it is not linear."""
    if not af.used_dims(expr):
        return {}, expr
    match expr:
        case DimExpr(i):
            return {i: 1}, ConstExpr(0)
        case BinExpr("+", a, b):
            la, lb = linear(a), linear(b)
            if la is None or lb is None:
                return None
            coefs = dict(la[0])
            for i, c in lb[0].items():
                coefs[i] = coefs.get(i, 0) + c
            return coefs, af.add(la[1], lb[1])
        case BinExpr("*", a, ConstExpr(c)):
            la = linear(a)
            return None if la is None else ({i: v * c for i, v in la[0].items()}, af.mul(la[1], ConstExpr(c)))
        case _:
            return None


def _minus(a: AffineExpr, b: AffineExpr) -> AffineExpr:
    return af.add(a, af.mul(b, ConstExpr(-1)))


def _dim_of(expr: AffineExpr) -> Dim | None:
    """A dim-free affine expression as a dim."""
    match expr:
        case ConstExpr(c):
            return c
        case SymExpr(name):
            return dm.symbol(name)
        case BinExpr("+" | "*" as op, a, b):
            da, db = _dim_of(a), _dim_of(b)
            if da is None or db is None:
                return None
            return dm.add(da, db) if op == "+" else dm.mul(da, db)
        case _:
            return None


def _split(out: Solution, k: int, expr: AffineExpr, extent: Dim, bounds: Sequence[Dim]) -> bool:
    """``k = c1·i1 + c2·i2 + … + c0`` with nested strides: each dim is a digit of the key."""
    form = linear(expr)
    if form is None or not form[0] or any(i in out.dims for i in form[0]) or any(c == 0 for c in form[0].values()):
        return False
    coefs, rest = form
    offset = _dim_of(rest)
    if offset is None:
        return False
    key: AffineExpr = DimExpr(k)
    order = sorted(coefs, key=lambda i: -abs(coefs[i]))
    if len(order) == 1 and coefs[order[0]] == -1:  # a reflection: i = c0 - k
        i = order[0]
        out.dims[i] = _minus(rest, key)
        if offset != sub(bounds[i], 1) or extent != bounds[i]:
            out.conditions += [("ge", out.dims[i], 0), ("lt", out.dims[i], bounds[i])]
        return True
    if any(c < 0 for c in coefs.values()):
        return False
    for outer, inner in pairwise(order):
        b = bounds[inner]
        if not isinstance(b, int) or coefs[outer] < coefs[inner] * b:
            return False
    base = key if offset == 0 else _minus(key, rest)
    if offset != 0:
        out.conditions.append(("ge", base, 0))
    rest_of_key = base
    for n, i in enumerate(order):
        if n:
            above = coefs[order[n - 1]]
            nested = all(coefs[j] % above == 0 for j in order[:n - 1])
            rest_of_key = af.mod(base if nested else rest_of_key, above)
        digit = af.floordiv(rest_of_key, coefs[i])
        out.dims[i] = digit
        b = bounds[i]
        if n == 0:
            covered = isinstance(b, int) and isinstance(extent, int) and isinstance(offset, int) and (
                extent <= offset + coefs[i] * b)
            if not covered and not (coefs[i] == 1 and sub(extent, offset) == b):
                out.conditions.append(("lt", digit, b))
        elif mul(coefs[i], b) != coefs[order[n - 1]]:
            out.conditions.append(("lt", digit, b))
    last = coefs[order[-1]]
    if last > 1:
        nested = all(coefs[i] % last == 0 for i in order)
        out.conditions.append(("eq", af.mod(base if nested else rest_of_key, last), 0))
    return True


def _digit(expr: AffineExpr) -> tuple[int, int, int | None] | None:
    """``(dim, stride, radix)`` of ``(d floordiv stride) mod radix``; radix None for the leading digit."""
    radix: int | None = None
    if isinstance(expr, BinExpr) and expr.op == "mod" and isinstance(expr.rhs, ConstExpr):
        radix, expr = expr.rhs.value, expr.lhs
    stride = 1
    if isinstance(expr, BinExpr) and expr.op == "floordiv" and isinstance(expr.rhs, ConstExpr):
        stride, expr = expr.rhs.value, expr.lhs
    return (expr.index, stride, radix) if isinstance(expr, DimExpr) else None


def _merge(out: Solution, keys: list[int], exprs: Sequence[AffineExpr], extents: Sequence[Dim],
           bounds: Sequence[Dim]) -> list[int]:
    """Digits of one dim in several keys, together from stride 1 to the top: the dim is their weighted sum."""
    by_dim: dict[int, list[tuple[int, int | None, int]]] = {}
    for k in keys:
        d = _digit(exprs[k])
        if d is not None and d[0] not in out.dims:
            by_dim.setdefault(d[0], []).append((d[1], d[2], k))
    taken: set[int] = set()
    for i, digits in by_dim.items():
        digits.sort(key=lambda t: t[0])
        expected, value, good = 1, None, True
        for n, (stride, radix, k) in enumerate(digits):
            last = n == len(digits) - 1
            if stride != expected or (radix is None and not last):
                good = False
                break
            term = af.mul(DimExpr(k), ConstExpr(stride))
            value = term if value is None else af.add(term, value)
            if radix is not None:
                expected = stride * radix
            bound = bounds[i]
            if last and radix is not None and not (isinstance(bound, int) and bound <= expected):
                good = False
        if good and value is not None:
            out.dims[i] = value
            for _, radix, k in digits:
                if radix is not None and extents[k] != radix:
                    out.conditions.append(("lt", DimExpr(k), radix))
            stride, radix, k = digits[-1]
            if mul(stride, extents[k] if radix is None else radix) != bounds[i]:
                out.conditions.append(("lt", value, bounds[i]))
            taken.update(k for _, _, k in digits)
    return [k for k in keys if k not in taken]


def _rotate(out: Solution, k: int, expr: AffineExpr, extent: Dim, bounds: Sequence[Dim]) -> bool:
    """``k = (i + c) mod m`` with i in [0, m): i = (k - c) mod m."""
    if not (isinstance(expr, BinExpr) and expr.op == "mod" and isinstance(expr.rhs, ConstExpr)):
        return False
    form = linear(expr.lhs)
    if form is None or list(form[0].values()) != [1] or not isinstance(form[1], ConstExpr):
        return False
    ((i, _),) = form[0].items()
    m = expr.rhs.value
    if i in out.dims or bounds[i] != m:
        return False
    if extent != m:
        out.conditions.append(("lt", DimExpr(k), m))
    out.dims[i] = af.mod(af.add(DimExpr(k), ConstExpr((-form[1].value) % m)), m)
    return True
