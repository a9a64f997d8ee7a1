"""Joining the operands of a tensor op over its loop dims.

:func:`bind` brings one operand to loop-dim keys (a projection, if its map is not plain); :func:`join_operands` joins
several and tells in which column each loop dim is.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import attrs

from irsql.dialects import expr as ex
from irsql.dialects.rel import ops as ro
from irsql.dialects.rel.types import Key, RelType, Val, rel
from irsql.ir import affine as af
from irsql.ir.affine import AffineExpr, AffineMap
from irsql.ir.attributes import I64, ScalarType
from irsql.ir.core import Builder, IRError, Region, Value
from irsql.ir.dims import Dim, SymDim
from irsql.passes.conversion._solve import Solution, solve


def emit_affine(e: ex.Exprs, expr: AffineExpr, column: Callable[[int], Value],
                non_negative: frozenset[AffineExpr] = frozenset()) -> Value:
    """An affine expression as i64 ``expr`` ops, its dims read through ``column``.

    ``non_negative`` are subexpressions that a filter has shown to be so.
    """
    if isinstance(expr, af.DimExpr):
        return column(expr.index)
    if isinstance(expr, af.SymExpr):
        return emit_dim(e, SymDim((((expr.name,), 1),)))
    if isinstance(expr, af.ConstExpr):
        return e.const(expr.value, I64)
    a, b = (emit_affine(e, x, column, non_negative) for x in (expr.lhs, expr.rhs))
    kind = {"+": "add", "*": "mul"}.get(expr.op, expr.op)
    return e.builder.insert(ex.Binary(a, b, kind=kind, non_negative=expr in non_negative or None,
                                      result_types=[I64])).result


def emit_dim(e: ex.Exprs, dim: Dim) -> Value:
    """A dim as an i64 value."""
    if isinstance(dim, int):
        return e.const(dim, I64)
    return e.builder.insert(ex.Symbol(value=dim, result_types=[I64])).result


def key_names(shape: Sequence[Dim]) -> tuple[str, ...]:
    """Key names of a tensor: a dim that is the symbol B, S or T is called after it, the others ``i0``, ``i1``."""
    names: list[str] = []
    for i, d in enumerate(shape):
        name = str(d).lower() if str(d) in ("B", "S", "T") else f"i{i}"
        names.append(name if name not in names else f"i{i}")
    return tuple(names)


def scalar_rows(shape: Sequence[Dim], dtype: ScalarType, partial: bool = False) -> RelType:
    """The scalar-row relation type of a tensor."""
    keys = tuple(Key(n, d) for n, d in zip(key_names(shape), shape, strict=True))
    return RelType(keys, (Val("v", dtype),), partial)


@attrs.define
class Bound:
    """An operand brought to loop dims: where each is, and which keys are still to be matched."""

    value: Value
    dims: dict[int, str]
    residual: dict[str, AffineExpr]


def bind(b: Builder, x: Value, amap: AffineMap, bounds: Sequence[Dim]) -> Bound:
    """Bring a relation read through ``amap`` to keys that are loop dims.

    Key number k of ``x`` is result k of ``amap``.
    """
    t = rel(x)
    sol: Solution = solve(amap, [k.extent for k in t.keys], bounds)
    names = [k.name for k in t.keys]
    shown = frozenset(expr for kind, expr, limit in sol.conditions if kind == "ge" and limit == 0)
    if sol.conditions:
        e, body = ex.Exprs.body()
        conjuncts: list[Value] = []
        for kind, expr, limit in sol.conditions:
            lhs = emit_affine(e, expr, lambda k: e.col(names[k], I64), frozenset() if kind == "ge" else shown)
            conjuncts.append(e.compare(kind, lhs, emit_dim(e, limit)))
        e.end(*conjuncts)
        x = b.insert(ro.Filter(x, body=body, result_types=[t])).result
    if all(isinstance(v, af.DimExpr) for v in sol.dims.values()):
        return Bound(x, {i: names[v.index] for i, v in sol.dims.items() if isinstance(v, af.DimExpr)},
                     {names[k]: r for k, r in sol.residual.items()})
    keys: list[Key] = []
    e, body = ex.Exprs.body()
    outs: list[Value] = []
    for i, expr in sorted(sol.dims.items()):
        keys.append(Key(f"d{i}", bounds[i]))
        outs.append(emit_affine(e, expr, lambda k: e.col(names[k], I64), shown))
    for k in sol.residual:
        keys.append(Key(f"x{k}", t.keys[k].extent))
        outs.append(e.col(names[k], I64))
    for v in t.values:
        outs.append(e.col(v.name, v.type))
    e.end(*outs)
    x = b.insert(ro.Project(x, body=body, result_types=[RelType(tuple(keys), t.values, t.partial)])).result
    return Bound(x, {i: f"d{i}" for i in sol.dims}, {f"x{k}": r for k, r in sol.residual.items()})


@attrs.define
class Joined:
    """The join of all operands.

    Attributes
    ----------
    value
        The relation.
    dims
        Loop dim to key column.
    values
        Value column of each operand.
    """

    value: Value
    dims: dict[int, str]
    values: list[str]

    def dim(self, e: ex.Exprs, i: int) -> Value:
        """Loop dim ``i`` in a region over the join."""
        return e.col(self.dims[i], I64)

    def operand(self, e: ex.Exprs, j: int) -> Value:
        """The element of operand ``j``."""
        return e.col(self.values[j], rel(self.value).column_type(self.values[j]))


def join_operands(b: Builder, operands: Sequence[tuple[Value, AffineMap]], bounds: Sequence[Dim],
                  wanted: Sequence[int], ragged: frozenset[str] = frozenset()) -> Joined:
    """Join operands over their loop dims.

    Parameters
    ----------
    b
        Where to insert.
    operands
        Relations (one value column each) with their index maps.
    bounds
        Extents of the loop dims.
    wanted
        Loop dims that must be available; those no operand determines are enumerated.
    ragged
        Symbols whose box must never be enumerated (rows of a batch exist or not).

    Raises
    ------
    IRError
        If a ragged dim would have to be enumerated: the op would mix rows of a batch or invent some.
    """
    bound = [bind(b, x, m, bounds) for x, m in operands]
    known = set[int]().union(*(bd.dims for bd in bound))
    needed = set(wanted).union(*(af.used_dims(r) for bd in bound for r in bd.residual.values()))
    free = sorted(needed - known)
    for i in free:
        d = bounds[i]
        if isinstance(d, SymDim) and d.symbols() & ragged:
            raise IRError(f"the extent {d} of a batch is not determined by any operand: only attention may mix the "
                          "rows of a batch")
    if free:
        t = RelType(tuple(Key(f"d{i}", bounds[i]) for i in free), ())
        bound.append(Bound(b.insert(ro.Range(result_types=[t])).result, {i: f"d{i}" for i in free}, {}))
    if len(bound) == 1 and not bound[0].residual:
        only = bound[0]
        return Joined(only.value, dict(only.dims), [v.name for v in rel(only.value).values])
    return _join(b, bound)


def _join(b: Builder, bound: Sequence[Bound]) -> Joined:
    keys: list[Key] = []
    values: list[Val] = []
    key_name: list[dict[str, str]] = []
    for j, bd in enumerate(bound):
        t = rel(bd.value)
        key_name.append({k.name: f"{k.name}_{j}" if len(bound) > 1 else k.name for k in t.keys})
        keys += [Key(key_name[j][k.name], k.extent) for k in t.keys]
        values += [Val(f"v{len(values) + n}", v.type) for n, v in enumerate(t.values)]
    home: dict[int, tuple[int, str]] = {}
    e, on = ex.Exprs.body()
    conjuncts: list[Value] = []
    for j, bd in enumerate(bound):
        for i, name in bd.dims.items():
            if i in home:
                first, other = home[i]
                conjuncts.append(e.compare("eq", e.col(other, I64, first), e.col(name, I64, j)))
            else:
                home[i] = (j, name)
    for j, bd in enumerate(bound):
        for name, expr in bd.residual.items():
            rhs = emit_affine(e, expr, lambda i: e.col(home[i][1], I64, home[i][0]))
            conjuncts.append(e.compare("eq", e.col(name, I64, j), rhs))
    e.end(*conjuncts)
    partial = any(rel(bd.value).partial for bd in bound)
    join = b.insert(ro.Join(inputs=tuple(bd.value for bd in bound), on=on,
                            result_types=[RelType(tuple(keys), tuple(values), partial)]))
    return Joined(join.result, {i: key_name[j][name] for i, (j, name) in home.items()}, [v.name for v in values])


def project(b: Builder, x: Value, type_: RelType, build: Callable[[ex.Exprs], Sequence[Value]]) -> Value:
    """``rel.project`` of ``x`` to ``type_`` with the columns ``build`` gives."""
    e, body = ex.Exprs.body()
    e.end(*build(e))
    return b.insert(ro.Project(x, body=body, result_types=[type_])).result


def empty_body() -> Region:
    """A region that yields nothing (no conditions)."""
    e, body = ex.Exprs.body()
    e.end()
    return body

