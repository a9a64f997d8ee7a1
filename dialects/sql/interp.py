"""Interpreter of ``sql``: the logical plan on NumPy columns, with the meaning the statements have in an engine."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from irsql.dialects import expr as ex
from irsql.dialects.expr_interp import Scope, dtype_of, eval_op, round_lane
from irsql.dialects.rel.interp import aggregate, box, concat, eval_value, join, window
from irsql.dialects.rel.relation import Array, Relation, equi_join, from_dense, group, pack, unpack
from irsql.dialects.rel.types import rel
from irsql.dialects.sql import ops as so
from irsql.ir.core import IRError, Op, Value
from irsql.ir.interp import Interpreter, impl


class _Grouped:
    """Evaluates the columns of a grouped select: aggregates over rows, everything else a group's value."""

    def __init__(self, interp: Interpreter, parts: Sequence[Relation]) -> None:
        self.interp, self.parts = interp, parts
        self.rows = parts[0].rows
        self.first: Array = np.zeros(0, dtype=np.int64)
        self.numbers: Array = np.zeros(0, dtype=np.int64)

    def row_value(self, value: Value) -> Array:
        """The value on every row."""
        out = eval_value(self.interp, value, lambda n, i: self.parts[i].columns[n])
        return np.broadcast_to(out, (self.rows, *out.shape[1:])) if out.ndim == 0 or len(out) != self.rows else out

    def value(self, value: Value) -> Array:
        """The value on every group."""
        op = value.owner
        assert isinstance(op, Op)
        if isinstance(op, ex.Aggregate):
            args = [self.row_value(v) for v in op.operands]
            return aggregate(op.kind, args, self.numbers, len(self.first))
        if isinstance(op, ex.Pack):
            x, position = self.row_value(op.x), self.row_value(op.position)
            mask = np.ones(len(x), np.bool_)
            for condition in op.condition:
                mask &= self.row_value(condition)
            t = op.result.type
            assert isinstance(t, ex.LaneType)
            out = np.zeros((len(self.first), t.length), dtype=dtype_of(t))
            out[self.numbers[mask], position[mask]] = x[mask]
            return round_lane(out, t)
        if not op.operands or not _has_aggregate(value):
            out = self.row_value(value)
            return out[self.first]
        return eval_op(Scope(self.interp), op, tuple(self.value(v) for v in op.operands))


def _has_aggregate(value: Value) -> bool:
    op = value.owner
    assert isinstance(op, Op)
    return isinstance(op, ex.Aggregate | ex.Pack) or any(_has_aggregate(v) for v in op.operands)


@impl(so.Select)
def _select(interp: Interpreter, op: so.Select, args: tuple[Any, ...]) -> tuple[Any, ...]:
    out = rel(op.result)
    if op.outer:
        return (_outer(interp, op, args),)
    if args:
        parts = join(interp, op.where.block, args)
    else:
        parts = [Relation({}, 1)]
    yields = op.columns.block.terminator.operands
    if op.grouped:
        g = _Grouped(interp, parts)
        keys = [g.row_value(v) for v in op.group.block.terminator.operands]
        g.first, g.numbers = group(keys, g.rows)
        return (_relation(out.columns, [g.value(v) for v in yields], len(g.first), op),)
    rows = parts[0].rows
    columns = [_windowed(interp, v, parts, rows) for v in yields]
    return (_relation(out.columns, columns, rows, op),)


def _windowed(interp: Interpreter, value: Value, parts: Sequence[Relation], rows: int) -> Array:
    def plain(v: Value) -> Array:
        out = eval_value(interp, v, lambda n, i: parts[i].columns[n])
        return np.broadcast_to(out, (rows, *out.shape[1:])) if out.ndim == 0 or len(out) != rows else out

    op = value.owner
    if isinstance(op, ex.Window):
        a = [plain(v) for v in op.args]
        first, last = op.value, op.value + op.partition
        return window(op.kind, a[:first], a[first:last], a[last:], op.descending, rows)
    return plain(value)


def _relation(names: Sequence[str], arrays: Sequence[Array], rows: int, op: so.Select) -> Relation:
    cols: dict[str, Array] = {}
    for name, a in zip(names, arrays, strict=True):
        t = rel(op.result).column_type(name)
        cols[name] = np.asarray(a).astype(dtype_of(t), copy=False)
    return Relation(cols, rows)


def _outer(interp: Interpreter, op: so.Select, args: Sequence[Relation]) -> Relation:
    domain, x = args
    left: list[Array] = []
    right: list[Array] = []
    for v in op.where.block.terminator.operands:
        c = v.owner
        if not isinstance(c, ex.Compare) or c.kind != "eq":
            raise IRError("an outer select joins on equalities", op)
        left.append(eval_value(interp, c.lhs, lambda n, _: domain.columns[n]))
        right.append(eval_value(interp, c.rhs, lambda n, _: x.columns[n]))
    li, ri = equi_join(left, right, domain.rows, x.rows)
    t = rel(op.result)
    arrays: list[Array] = []
    for n, v in enumerate(op.columns.block.terminator.operands):
        col = v.owner
        assert isinstance(col, ex.Col)
        if col.input == 0:
            arrays.append(domain.columns[col.column])
            continue
        source = x.columns[col.column]
        data = np.full(domain.rows, op.defaults[n - len(t.keys)]).astype(source.dtype)
        data[li] = source[ri]
        arrays.append(data)
    return _relation(t.columns, arrays, domain.rows, op)


@impl(so.Table)
def _table(interp: Interpreter, op: so.Table, _: tuple[Any, ...]) -> tuple[Any, ...]:
    return (interp.stored[op.table],)


@impl(so.Parameter)
def _parameter(interp: Interpreter, op: so.Parameter, _: tuple[Any, ...]) -> tuple[Any, ...]:
    return (from_dense(interp.parameters[op.parameter], rel(op.result), interp.symbols),)


@impl(so.Store)
def _store(interp: Interpreter, op: so.Store, args: tuple[Any, ...]) -> tuple[Any, ...]:
    interp.stored[op.store] = args[0]
    return ()


@impl(so.Values)
def _values(interp: Interpreter, op: so.Values, _: tuple[Any, ...]) -> tuple[Any, ...]:
    return (from_dense(op.value.array, rel(op.result), interp.symbols),)


@impl(so.Range)
def _range(interp: Interpreter, op: so.Range, _: tuple[Any, ...]) -> tuple[Any, ...]:
    return (box(rel(op.result), interp),)


@impl(so.UnionAll)
def _union(interp: Interpreter, op: so.UnionAll, args: tuple[Any, ...]) -> tuple[Any, ...]:
    names = rel(op.result).columns
    return (concat([r.renamed(rel(v).columns, names) for r, v in zip(args, op.inputs, strict=True)], names),)


@impl(so.Unpack)
def _unpack(interp: Interpreter, op: so.Unpack, args: tuple[Any, ...]) -> tuple[Any, ...]:
    return (unpack(args[0], rel(op.x), rel(op.result)),)


@impl(so.Pack)
def _pack(interp: Interpreter, op: so.Pack, args: tuple[Any, ...]) -> tuple[Any, ...]:
    return (pack(args[0], rel(op.x), rel(op.result), interp.symbols),)


@impl(so.Materialise)
def _materialise(interp: Interpreter, op: so.Materialise, args: tuple[Any, ...]) -> tuple[Any, ...]:
    return (args[0],)


@impl(so.Append)
def _append(interp: Interpreter, op: so.Append, args: tuple[Any, ...]) -> tuple[Any, ...]:
    return (concat(args, rel(op.state).columns),)
