"""``convert-rel-to-sql``: one select a relational op; ``inline-ctes`` and ``materialise`` shape them afterwards."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import attrs

from irsql.dialects import expr as ex
from irsql.dialects.rel import ops as ro
from irsql.dialects.rel.relation import split_name
from irsql.dialects.rel.types import Layout, Part, RelType, Val, logical, rel
from irsql.dialects.sql import ops as so
from irsql.ir.attributes import I64, ScalarType
from irsql.ir.core import Builder, Func, IRError, Module, Op, Region, Return, Value, clone_region
from irsql.ir.passes import Pass, PassContext
from irsql.passes.conversion._bind import empty_body

Rule = Callable[[Builder, Any], Value | None]
RULES: dict[type[Op], Rule] = {}


def rule(cls: type[Op]) -> Callable[[Rule], Rule]:
    """Register the conversion of one op class; it returns the value that replaces the op's result."""

    def wrap(fn: Rule) -> Rule:
        RULES[cls] = fn
        return fn

    return wrap


@attrs.frozen
class ConvertRelToSql(Pass):
    """Turn every relational op into a select of its own.

    Notes
    -----
    ``π`` is the select list, ``σ`` is WHERE, ``⋈`` is FROM with WHERE, ``γ`` is GROUP BY, and ``∪``, of disjoint
    relations, is UNION ALL; pack is a grouped aggregate, ``ν``, and unpack its inverse, ``μ``.

    References
    ----------
    Ceri and Gottlob, "Translating SQL into relational algebra", IEEE TSE 11(4), 1985, read the other way round.
    """

    name = "convert-rel-to-sql"
    summary = "lower relational ops to selects, one each"
    stage_in = "tiled"
    stage_out = "sql"

    def run(self, module: Module, ctx: PassContext) -> None:
        lanes = bool(ctx.target and ctx.target.layout.carriers)
        for func in module.functions.values():
            if lanes:
                _wide_through_lanes(func)
            _convert(func)
            selects = sum(isinstance(op, so.Select) for op in func.block.ops)
            if selects:
                ctx.remark("passed", func, f"@{func.sym_name}: {selects} selects of {len(func.block.ops)} operations")
        module.attrs_ = {**module.attrs_, "stage": "sql"}


def _convert(func: Func) -> None:
    for op in list(func.block.ops):
        if isinstance(op, Return):
            continue
        if type(op) not in RULES:
            raise IRError(f"{op.name} is not legal for convert-rel-to-sql", op)
        value = RULES[type(op)](Builder.before_op(op), op)
        if value is not None:
            value.name = value.name or op.result.name
            op.replace_with(value)
        else:
            op.erase()
    func.update_type()


def _wide_through_lanes(func: Func) -> None:
    """A pack into columns as a pack into one lane that is taken apart: one aggregate instead of one a column."""
    if func.sym_name == "load":
        return
    for op in list(func.block.ops):
        if not isinstance(op, ro.Pack):
            continue
        out = rel(op.result)
        lay = out.layout
        assert lay is not None
        if lay.column is None or lay.lane is not None:
            continue
        parts = tuple(Part(p.axis, "lane", p.extent, p.stride) if p.place == "column" else p for p in lay.parts)
        width = lay.column.extent
        assert isinstance(width, int)
        bases = list(dict.fromkeys(split_name(v, lay)[0] for v in out.values))
        element = {split_name(v, lay)[0]: v.type for v in out.values}
        lanes = tuple(Val(n, ex.LaneType(t, width)) for n in bases if isinstance(t := element[n], ScalarType))
        packed = RelType(out.keys, lanes, out.partial, Layout(lay.extents, lay.names, parts, "list"))
        b = Builder.before_op(op)
        one = b.insert(ro.Pack(op.x, result_types=[packed])).result

        def columns(e: ex.Exprs, out: RelType = out, lay: Layout = lay, packed: RelType = packed) -> list[Value]:
            cells: list[Value] = [e.col(k.name, I64) for k in out.keys]
            for v in out.values:
                base, c = split_name(v, lay)
                assert c is not None
                lane = e.col(base, packed.column_type(base))
                cells.append(b_insert(e, ex.Extract(lane, position=c, result_types=[v.type])))
            return cells

        op.replace_with(b.insert(ro.Project(one, body=_body(columns), result_types=[out])).result)


def _body(build: Callable[[ex.Exprs], list[Value]]) -> Region:
    e, body = ex.Exprs.body()
    e.end(*build(e))
    return body


def _all(e: ex.Exprs, t: RelType, i: int = 0) -> list[Value]:
    return [e.col(c, t.column_type(c), i) for c in t.columns]


def _select(b: Builder, inputs: tuple[Value, ...], out: RelType, columns: Region, where: Region | None = None,
            group: Region | None = None) -> Value:
    return b.insert(so.Select(inputs, where=where or empty_body(), group=group or empty_body(), columns=columns,
                              grouped=group is not None, result_types=[out])).result


@rule(ro.Parameter)
def _parameter(b: Builder, op: ro.Parameter) -> Value:
    return b.insert(so.Parameter(parameter=op.parameter, result_types=[rel(op.result)])).result


@rule(ro.Stored)
def _stored(b: Builder, op: ro.Stored) -> Value:
    return b.insert(so.Table(table=op.store, result_types=[rel(op.result)])).result


@rule(ro.Store)
def _store(b: Builder, op: ro.Store) -> None:
    b.insert(so.Store(op.x, store=op.store))


@rule(ro.Values)
def _values(b: Builder, op: ro.Values) -> Value:
    return b.insert(so.Values(value=op.value, result_types=[rel(op.result)])).result


@rule(ro.Range)
def _range(b: Builder, op: ro.Range) -> Value:
    return b.insert(so.Range(result_types=[rel(op.result)])).result


@rule(ro.Project)
def _project(b: Builder, op: ro.Project) -> Value:
    return _select(b, (op.x,), rel(op.result), clone_region(op.body, {}))


@rule(ro.Filter)
def _filter(b: Builder, op: ro.Filter) -> Value:
    t = rel(op.result)
    return _select(b, (op.x,), t, _body(lambda e: _all(e, t)), where=clone_region(op.body, {}))


@rule(ro.Join)
def _join(b: Builder, op: ro.Join) -> Value:
    types = [rel(v) for v in op.inputs]

    def columns(e: ex.Exprs) -> list[Value]:
        keys = [e.col(k.name, I64, i) for i, t in enumerate(types) for k in t.keys]
        return keys + [e.col(v.name, v.type, i) for i, t in enumerate(types) for v in t.values]

    return _select(b, op.inputs, rel(op.result), _body(columns), where=clone_region(op.on, {}))


@rule(ro.Aggregate)
def _aggregate(b: Builder, op: ro.Aggregate) -> Value:
    t = rel(op.result)
    region = clone_region(op.body, {})
    block = region.block
    end = block.terminator
    args = list(end.operands)
    end.erase()
    e = ex.Exprs(Builder(block))
    outs: list[Value] = [e.col(k.name, I64) for k in t.keys]
    at = 0
    for kind, val in zip(op.kinds, t.values, strict=True):
        n = 2 if kind.startswith("arg") else 1
        outs.append(b_insert(e, ex.Aggregate(args[at], tuple(args[at + 1:at + n]), kind=kind, result_types=[val.type])))
        at += n
    e.end(*outs)
    return _select(b, (op.x,), t, region, group=_body(lambda e: [e.col(k.name, I64) for k in t.keys]))


def b_insert(e: ex.Exprs, op: Op) -> Value:
    """Insert an expression op and give its result."""
    return e.builder.insert(op).result


@rule(ro.Union)
def _union(b: Builder, op: ro.Union) -> Value:
    return b.insert(so.UnionAll(op.inputs, result_types=[rel(op.result)])).result


@rule(ro.Window)
def _window(b: Builder, op: ro.Window) -> Value:
    t = rel(op.result)
    region = clone_region(op.body, {})
    end = region.block.terminator
    args = end.operands
    end.erase()
    e = ex.Exprs(Builder(region.block))
    value = 1 if op.kind == "sum" else 0
    w = b_insert(e, ex.Window(args, kind=op.kind, value=value, partition=op.partition, order=len(op.descending),
                              descending=op.descending, result_types=[t.values[-1].type]))
    e.end(*_all(e, rel(op.x)), w)
    return _select(b, (op.x,), t, region)


@rule(ro.Complete)
def _complete(b: Builder, op: ro.Complete) -> Value:
    t, domain = rel(op.result), rel(op.domain)

    def columns(e: ex.Exprs) -> list[Value]:
        return [*(e.col(k.name, I64) for k in domain.keys), *(e.col(v.name, v.type, 1) for v in t.values)]

    where = _body(lambda e: [e.compare("eq", e.col(k.name, I64), e.col(x.name, I64, 1))
                             for k, x in zip(domain.keys, rel(op.x).keys, strict=True)])
    return b.insert(so.Select((op.domain, op.x), where=where, group=empty_body(), columns=_body(columns), outer=True,
                              defaults=op.fill, result_types=[t])).result


@rule(ro.Append)
def _append(b: Builder, op: ro.Append) -> Value:
    return b.insert(so.Append(op.state, op.rows, result_types=[rel(op.result)])).result


@rule(ro.Unpack)
def _unpack(b: Builder, op: ro.Unpack) -> Value:
    return b.insert(so.Unpack(op.x, result_types=[rel(op.result)])).result


@rule(ro.Pack)
def _pack(b: Builder, op: ro.Pack) -> Value:
    """Group by the row digits; each value column collects the elements with its column digit."""
    out, scalar = rel(op.result), rel(op.x)
    if b.block.parent_op is not None and getattr(b.block.parent_op, "sym_name", "") == "load":
        return b.insert(so.Pack(op.x, result_types=[out])).result
    lay = out.layout
    assert lay is not None and lay.tiled_axis is not None
    axis = logical(out).keys[lay.tiled_axis].name

    def digit(e: ex.Exprs, name: str, stride: int, extent: int | None) -> Value:
        x = e.col(name, I64)
        x = x if stride == 1 else e.binary("floordiv", x, e.const(stride, I64))
        return x if extent is None else e.binary("mod", x, e.const(extent, I64))

    def row_keys(e: ex.Exprs) -> list[Value]:
        outs: list[Value] = []
        for p in lay.rows:
            top = not any(q.axis == p.axis and q.stride > p.stride for q in lay.parts)
            radix = p.extent if isinstance(p.extent, int) and not top else None
            outs.append(digit(e, lay.names[p.axis], p.stride, radix))
        return outs

    column, lane = lay.column, lay.lane
    top = not any(p.place == "row" and p.axis == lay.tiled_axis for p in lay.parts)

    def columns(e: ex.Exprs) -> list[Value]:
        outs = row_keys(e)
        position = None
        if lane:
            assert isinstance(lane.extent, int)
            position = digit(e, axis, 1, None if top and column is None else lane.extent)
        for v in out.values:
            base, c = split_name(v, lay)
            x = e.col(base, scalar.column_type(base))
            where: tuple[Value, ...] = ()
            if c is not None:
                assert column is not None and isinstance(column.extent, int)
                d = digit(e, axis, column.stride, None if top else column.extent)
                where = (e.compare("eq", d, e.const(c, I64)),)
            if position is not None:
                outs.append(b_insert(e, ex.Pack(x, position, where, result_types=[v.type])))
            else:
                zero = e.const(0.0, x.type)
                outs.append(b_insert(e, ex.Aggregate(e.select(where[0], x, zero) if where else x, (), kind="sum",
                                                     result_types=[v.type])))
        return outs

    return _select(b, (op.x,), out, _body(columns), group=_body(row_keys))
