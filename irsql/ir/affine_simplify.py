"""Simplification of affine expressions by the bounds of their dimensions: ``(d0 * 64 + d1) floordiv 64`` is ``d0``.

An expression is a sum of *atoms* (dimensions, symbols, floordiv and mod terms) with integer coefficients; floordiv and
mod are taken apart into what the divisor divides and the rest, whose bounds often settle the rest. Every step is exact
for all values inside the bounds.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from irsql.ir import affine
from irsql.ir.affine import AffineExpr, AffineMap, BinExpr, ConstExpr, DimExpr, SymExpr

Bounds = tuple[float, float]
"""Lowest and highest value; infinite where unknown."""


class Simplifier:
    """Simplifies expressions over dimensions with known bounds.

    Parameters
    ----------
    dims
        Lowest and highest value of each dimension.
    symbols
        The same for symbols; one that is missing is only known not to be negative.
    """

    def __init__(self, dims: Sequence[Bounds], symbols: Mapping[str, Bounds] | None = None) -> None:
        self.dims, self.symbols = dims, dict(symbols or {})

    def map(self, amap: AffineMap) -> AffineMap:
        """Every result simplified."""
        return AffineMap(amap.num_dims, tuple(self.simplify(r) for r in amap.results))

    def simplify(self, expr: AffineExpr) -> AffineExpr:
        """An equal expression, of canonical form: dimensions first, the constant last.

        A dimension alone stays, even where its extent is 1, so that the map still says what it is the coordinate of.
        """
        return expr if isinstance(expr, DimExpr) else _build(self._linear(expr))

    def bounds(self, expr: AffineExpr) -> Bounds:
        """Interval that contains every value of the expression."""

        def on_bin(op: str, a: Bounds, b: Bounds) -> Bounds:
            if op == "+":
                return a[0] + b[0], a[1] + b[1]
            if op == "*":
                corners = [_times(x, y) for x in a for y in b]
                return min(corners), max(corners)
            if op == "floordiv":
                return _floor(a[0] / b[0]), _floor(a[1] / b[0])
            return (a if 0 <= a[0] and a[1] < b[0] else (0, b[0] - 1))

        return affine.fold(expr, lambda i: self.dims[i], lambda s: self.symbols.get(s, (0, math.inf)),
                           lambda c: (c, c), on_bin)

    def _linear(self, expr: AffineExpr) -> dict[AffineExpr | None, int]:
        """Atom to coefficient; the constant under None."""
        match expr:
            case DimExpr(index) if self.dims[index][0] == self.dims[index][1]:
                return {None: int(self.dims[index][0])}
            case DimExpr() | SymExpr():
                return {expr: 1}
            case ConstExpr(value):
                return {None: value}
            case BinExpr("+", lhs, rhs):
                return _join(_sum(self._linear(lhs), self._linear(rhs)))
            case BinExpr("*", lhs, ConstExpr(factor)):
                return _join({atom: c * factor for atom, c in self._linear(lhs).items()})
            case BinExpr("*", lhs, rhs):
                return {affine.mul(_build(self._linear(lhs)), rhs): 1}
            case BinExpr("floordiv", lhs, ConstExpr(divisor)):
                return self._floordiv(self._linear(lhs), divisor)
            case BinExpr("mod", lhs, ConstExpr(divisor)):
                return self._mod(self._linear(lhs), divisor)
            case _:
                raise ValueError(f"{expr} is not affine")

    def _floordiv(self, terms: dict[AffineExpr | None, int], divisor: int) -> dict[AffineExpr | None, int]:
        whole = {atom: c // divisor for atom, c in terms.items() if c % divisor == 0}
        rest = {atom: c for atom, c in terms.items() if c % divisor}
        if None in rest:  # the constant: what it has of whole multiples goes out
            whole[None], rest[None] = rest[None] // divisor, rest[None] % divisor
        low, high = self.bounds(_build(rest))
        if _floor(low / divisor) == _floor(high / divisor):
            return _join(_sum(whole, {None: int(low // divisor)}))
        common = math.gcd(divisor, *(c for atom, c in rest.items() if atom is not None))
        inner = {atom: c // common for atom, c in rest.items()}
        quotient: dict[AffineExpr | None, int]
        match _build(inner):
            case BinExpr("floordiv", x, ConstExpr(first)):
                quotient = self._floordiv(self._linear(x), first * (divisor // common))
            case body:
                simpler = affine.floordiv(body, divisor // common)
                quotient = self._linear(simpler) if common > 1 else {simpler: 1}
        return _join(_sum(whole, quotient))

    def _mod(self, terms: dict[AffineExpr | None, int], divisor: int) -> dict[AffineExpr | None, int]:
        rest = {atom: c for atom, c in terms.items() if c % divisor}
        if None in rest:
            rest[None] %= divisor
        low, high = self.bounds(_build(rest))
        if _floor(low / divisor) == _floor(high / divisor):
            return _join(_sum(rest, {None: -int(low // divisor) * divisor}))
        common = math.gcd(divisor, *rest.values())
        if common > 1:
            inner = self._mod({atom: c // common for atom, c in rest.items()}, divisor // common)
            return {atom: c * common for atom, c in inner.items()}
        match _build(rest):
            case BinExpr("mod", x, ConstExpr(first)) if first % divisor == 0:
                return self._mod(self._linear(x), divisor)
            case body:
                return {affine.mod(body, divisor): 1}


def _sum(a: Mapping[AffineExpr | None, int], b: Mapping[AffineExpr | None, int]) -> dict[AffineExpr | None, int]:
    out = dict(a)
    for atom, c in b.items():
        out[atom] = out.get(atom, 0) + c
    return out


def _join(terms: dict[AffineExpr | None, int]) -> dict[AffineExpr | None, int]:
    """Without zeros, and with ``(x floordiv c) * c + x mod c`` put together again to ``x``."""
    out = {atom: c for atom, c in terms.items() if c}
    for atom, c in list(out.items()):
        if isinstance(atom, BinExpr) and atom.op == "mod" and isinstance(atom.rhs, ConstExpr):
            quotient = BinExpr("floordiv", atom.lhs, atom.rhs)
            if out.get(atom) == c and out.get(quotient) == c * atom.rhs.value:
                del out[atom], out[quotient]
                whole = _terms(atom.lhs)
                return _join(_sum(out, {a: n * c for a, n in whole.items()}))
    return out


def _terms(expr: AffineExpr) -> dict[AffineExpr | None, int]:
    """The atoms of an expression that is in canonical form already."""
    match expr:
        case ConstExpr(value):
            return {None: value}
        case BinExpr("+", lhs, rhs):
            return _sum(_terms(lhs), _terms(rhs))
        case BinExpr("*", lhs, ConstExpr(factor)):
            return {lhs: factor}
        case _:
            return {expr: 1}


def _build(terms: Mapping[AffineExpr | None, int]) -> AffineExpr:
    def rank(atom: AffineExpr) -> tuple[int, int, str]:
        return (0, atom.index, "") if isinstance(atom, DimExpr) else (1, 0, str(atom))

    atoms = sorted((a for a, c in terms.items() if a is not None and c), key=rank)
    out: AffineExpr | None = None
    for atom in atoms:
        term = affine.mul(atom, ConstExpr(terms[atom]))
        out = term if out is None else affine.add(out, term)
    constant = ConstExpr(terms.get(None, 0))
    return constant if out is None else affine.add(out, constant)


def _floor(x: float) -> float:
    return x if math.isinf(x) else math.floor(x)


def _times(x: float, y: float) -> float:
    return 0 if x == 0 or y == 0 else x * y
