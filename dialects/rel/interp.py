"""Interpreter of ``rel``: relational algebra on NumPy columns, scalar rows and tiled relations alike.

Argument values are :class:`~irsql.dialects.rel.relation.Relation`; parameters and stored relations come from the
interpreter's dictionaries. Lanes are 2-D columns.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from irsql.dialects.expr import HALF_CARRIERS, Col, Compare, LaneType
from irsql.dialects.expr_interp import Scope, eval_body, eval_op
from irsql.dialects.rel import ops as ro
from irsql.dialects.rel.relation import Array, Relation, equi_join, from_dense, group, pack, product, to_dense, unpack
from irsql.dialects.rel.types import RelType, logical, rel
from irsql.ir.attributes import ScalarType, TensorType, Type
from irsql.ir.core import Block, IRError, Module, Op, Value
from irsql.ir.dims import evaluate
from irsql.ir.interp import Interpreter, impl
from irsql.ir.semantics import HALF_TOLERANCE, TOLERANCE, Adapter, register


def evaluate_body(interp: Interpreter, block: Block, inputs: Sequence[Relation]) -> list[Array]:
    """The yielded columns of a region over one row-aligned set of inputs."""
    rows = inputs[0].rows if inputs else 1
    out = eval_body(interp, block, (), columns=lambda name, i: inputs[i].columns[name])
    return [_fill(a, rows) for a in out]


def _fill(a: Array, rows: int) -> Array:
    a = np.asarray(a)
    return np.broadcast_to(a, (rows, *a.shape[1:]) if a.ndim else (rows,)) if a.ndim == 0 or len(a) != rows else a


def _conjuncts(block: Block) -> list[Value]:
    return list(block.terminator.operands)


def _inputs_of(value: Value) -> set[int]:
    if isinstance(value.owner, Col):
        return {value.owner.input}
    assert isinstance(value.owner, Op)
    return set[int]().union(*(_inputs_of(v) for v in value.owner.operands))


def eval_value(interp: Interpreter, value: Value, column: Callable[[str, int], Array]) -> Array:
    """One value of a straight-line body, with nothing else of the body."""
    owner = value.owner
    assert isinstance(owner, Op)
    operands = tuple(eval_value(interp, v, column) for v in owner.operands)
    return eval_op(Scope(interp, column), owner, operands)


def _columns_of(relation: Relation) -> Callable[[str, int], Array]:
    return lambda name, _: relation.columns[name]


def join(interp: Interpreter, block: Block, inputs: Sequence[Relation]) -> list[Relation]:
    """The inner join as row-aligned copies of the inputs.

    Inputs are added from left to right; conditions of the form ``e(left inputs) = e(new input)`` are hashed, the others
    filter.
    """
    pending = _conjuncts(block)
    current: dict[int, Relation] = {0: inputs[0]}

    def column(name: str, i: int) -> Array:
        return current[i].columns[name]

    def keep(done: set[int]) -> None:
        nonlocal pending, current
        ready = [v for v in pending if _inputs_of(v) <= done]
        pending = [v for v in pending if v not in ready]
        for v in ready:
            mask = _fill(eval_value(interp, v, column), current[0].rows).astype(np.bool_)
            current = {i: r.take(mask) for i, r in current.items()}

    keep({0})
    for j in range(1, len(inputs)):
        left: list[Array] = []
        right: list[Array] = []
        for v in list(pending):
            op = v.owner
            if isinstance(op, Compare) and op.kind == "eq":
                sides = [_inputs_of(op.lhs), _inputs_of(op.rhs)]
                for a, b, x, y in ((sides[0], sides[1], op.lhs, op.rhs), (sides[1], sides[0], op.rhs, op.lhs)):
                    if a and b == {j} and max(a) < j:
                        left.append(_fill(eval_value(interp, x, column), current[0].rows))
                        right.append(_fill(eval_value(interp, y, _columns_of(inputs[j])), inputs[j].rows))
                        pending.remove(v)
                        break
        if left:
            li, ri = equi_join(left, right, current[0].rows, inputs[j].rows)
        else:
            li, ri = product(current[0], inputs[j])
        current = {i: r.take(li) for i, r in current.items()} | {j: inputs[j].take(ri)}
        keep(set(range(j + 1)))
    return [current[i] for i in range(len(inputs))]


def aggregate(kind: str, args: Sequence[Array], numbers: Array, groups: int) -> Array:
    """One aggregate of row values by group number; every group has a row. NULL-free."""
    x = np.asarray(args[0])
    if kind == "count":
        return np.bincount(numbers, minlength=groups).astype(np.int64)
    if kind == "sum":
        acc = np.zeros((groups, *x.shape[1:]), dtype=np.float64 if x.dtype.kind == "f" else np.int64)
        np.add.at(acc, numbers, x)
        return acc.astype(x.dtype if x.dtype.kind == "f" else np.int64)
    order = np.argsort(numbers, kind="stable")
    if not len(order):
        return np.zeros(0, dtype=np.int64 if kind.startswith("arg") else x.dtype)
    starts = np.searchsorted(numbers[order], np.arange(groups))
    if kind in ("max", "min"):
        return (np.maximum if kind == "max" else np.minimum).reduceat(x[order], starts)
    if kind in ("argmax", "argmin"):
        key = np.asarray(args[1])
        best = aggregate(kind[3:], [x], numbers, groups)
        hit = (x == best[numbers]) | (np.isnan(x) & np.isnan(best[numbers]) if x.dtype.kind == "f" else False)
        index = np.where(hit, key, np.iinfo(np.int64).max)
        return np.minimum.reduceat(index[order], starts)
    raise IRError(f"unknown aggregate {kind!r}")


def _relation(type_: RelType, arrays: Sequence[Array], rows: int) -> Relation:
    cols: dict[str, Array] = {}
    for name, a in zip(type_.columns, arrays, strict=True):
        t = type_.column_type(name)
        cols[name] = a if isinstance(t, LaneType) else np.asarray(a).astype(t.numpy, copy=False)
    return Relation(cols, rows)


@impl(ro.Parameter)
def _parameter(interp: Interpreter, op: ro.Parameter, _: tuple[Any, ...]) -> tuple[Any, ...]:
    return (from_dense(interp.parameters[op.parameter], rel(op.result), interp.symbols),)


@impl(ro.Stored)
def _stored(interp: Interpreter, op: ro.Stored, _: tuple[Any, ...]) -> tuple[Any, ...]:
    return (interp.stored[op.store],)


@impl(ro.Store)
def _store(interp: Interpreter, op: ro.Store, args: tuple[Any, ...]) -> tuple[Any, ...]:
    interp.stored[op.store] = args[0]
    return ()


@impl(ro.Values)
def _values(interp: Interpreter, op: ro.Values, _: tuple[Any, ...]) -> tuple[Any, ...]:
    return (from_dense(op.value.array, rel(op.result), interp.symbols),)


def box(type_: RelType, interp: Interpreter) -> Relation:
    """All points of the key extents."""
    shape = tuple(evaluate(k.extent, interp.symbols) for k in type_.keys)
    count = int(np.prod(shape, dtype=np.int64))
    grids = np.indices(shape, dtype=np.int64).reshape(len(shape), count)
    return Relation({k.name: g for k, g in zip(type_.keys, grids, strict=True)}, count)


@impl(ro.Range)
def _range(interp: Interpreter, op: ro.Range, _: tuple[Any, ...]) -> tuple[Any, ...]:
    return (box(rel(op.result), interp),)


@impl(ro.Project)
def _project(interp: Interpreter, op: ro.Project, args: tuple[Any, ...]) -> tuple[Any, ...]:
    x: Relation = args[0]
    out = _relation(rel(op.result), evaluate_body(interp, op.body.block, [x]), x.rows)
    keys = [out.columns[k.name] for k in rel(op.result).keys]
    if len(group(keys, out.rows)[0]) != out.rows:
        raise IRError("the keys of the projection are no key: two rows agree in all of them", op)
    return (out,)


@impl(ro.Filter)
def _filter(interp: Interpreter, op: ro.Filter, args: tuple[Any, ...]) -> tuple[Any, ...]:
    x: Relation = args[0]
    mask = np.ones(x.rows, dtype=np.bool_)
    for condition in evaluate_body(interp, op.body.block, [x]):
        mask &= condition.astype(np.bool_)
    return (x.take(mask),)


@impl(ro.Join)
def _join(interp: Interpreter, op: ro.Join, args: tuple[Any, ...]) -> tuple[Any, ...]:
    parts = join(interp, op.on.block, args) if args else []
    types = [rel(v) for v in op.inputs]
    arrays = [p.columns[k.name] for p, t in zip(parts, types, strict=True) for k in t.keys]
    arrays += [p.columns[v.name] for p, t in zip(parts, types, strict=True) for v in t.values]
    return (_relation(rel(op.result), arrays, parts[0].rows if parts else 1),)


@impl(ro.Aggregate)
def _aggregate(interp: Interpreter, op: ro.Aggregate, args: tuple[Any, ...]) -> tuple[Any, ...]:
    x: Relation = args[0]
    out = rel(op.result)
    keys = [x.columns[k.name] for k in out.keys]
    first, numbers = group(keys, x.rows)
    values = evaluate_body(interp, op.body.block, [x])
    arrays: list[Array] = [k[first] for k in keys]
    at = 0
    for kind in op.kinds:
        n = 2 if kind.startswith("arg") else 1
        arrays.append(aggregate(kind, values[at:at + n], numbers, len(first)))
        at += n
    return (_relation(out, arrays, len(first)),)


@impl(ro.Union)
def _union(interp: Interpreter, op: ro.Union, args: tuple[Any, ...]) -> tuple[Any, ...]:
    names = rel(op.result).columns
    aligned = [r.renamed(rel(v).columns, names) for r, v in zip(args, op.inputs, strict=True)]
    return (concat(aligned, names),)


def concat(parts: Sequence[Relation], names: Sequence[str]) -> Relation:
    """The rows of all relations one after another."""
    return Relation({n: np.concatenate([p.columns[n] for p in parts]) for n in names}, sum(p.rows for p in parts))


def window(kind: str, args: Sequence[Array], partition: Sequence[Array], order: Sequence[Array],
           descending: Sequence[bool], rows: int) -> Array:
    """``row_number`` or running ``sum`` by partition and order."""
    keys = [k for o, d in zip(order, descending, strict=True) for k in _order_keys(o, d)]
    _, numbers = group(list(partition), rows)
    sequence = np.lexsort((*reversed(keys), numbers)) if rows else np.zeros(0, dtype=np.int64)
    sorted_groups = numbers[sequence]
    starts = np.searchsorted(sorted_groups, sorted_groups)
    if kind == "row_number":
        result = np.arange(rows) - starts + 1
    else:
        x = np.asarray(args[0])[sequence]
        result = np.zeros(rows, dtype=x.dtype)
        for start in map(int, np.unique(starts)):  # by itself, so that a NaN stays in its partition
            part = slice(start, int(np.searchsorted(starts, start, "right")))
            result[part] = np.cumsum(x[part], dtype=np.float64 if x.dtype.kind == "f" else np.int64)
    out = np.empty(rows, dtype=result.dtype)
    out[sequence] = result
    return out


def _order_keys(x: Array, descending: bool) -> tuple[Array, ...]:
    """Columns that sort as ``x``; NaN counts as the largest, as in PyTorch."""
    if x.dtype.kind != "f":
        return (~x if descending else x,)  # turns the order of integers round without overflow
    nan = np.isnan(x)
    return (~nan, np.negative(x)) if descending else (nan, x)


@impl(ro.Window)
def _window(interp: Interpreter, op: ro.Window, args: tuple[Any, ...]) -> tuple[Any, ...]:
    x: Relation = args[0]
    values = evaluate_body(interp, op.body.block, [x])
    n = 1 if op.kind == "sum" else 0
    w = window(op.kind, values[:n], values[n:n + op.partition], values[n + op.partition:], op.descending, x.rows)
    return (_relation(rel(op.result), [*(x.columns[c] for c in rel(op.x).columns), w], x.rows),)


@impl(ro.Complete)
def _complete(interp: Interpreter, op: ro.Complete, args: tuple[Any, ...]) -> tuple[Any, ...]:
    x, domain = args
    t = rel(op.result)
    keys = [k.name for k in t.keys]
    left = [domain.columns[k.name] for k in rel(op.domain).keys]
    li, ri = equi_join(left, [x.columns[k] for k in keys], domain.rows, x.rows)
    arrays: list[Array] = list(left)
    for v, fill in zip(t.values, op.fill, strict=True):
        source = x.columns[v.name]
        data = np.full(domain.rows, fill).astype(source.dtype)
        data[li] = source[ri]
        arrays.append(data)
    return (_relation(t, arrays, domain.rows),)


@impl(ro.Append)
def _append(interp: Interpreter, op: ro.Append, args: tuple[Any, ...]) -> tuple[Any, ...]:
    return (concat(args, rel(op.state).columns),)


@impl(ro.Pack)
def _pack(interp: Interpreter, op: ro.Pack, args: tuple[Any, ...]) -> tuple[Any, ...]:
    return (pack(args[0], rel(op.x), rel(op.result), interp.symbols),)


@impl(ro.Unpack)
def _unpack(interp: Interpreter, op: ro.Unpack, args: tuple[Any, ...]) -> tuple[Any, ...]:
    return (unpack(args[0], rel(op.x), rel(op.result)),)


def state_rows(type_: RelType, seq: Array, pos: Array, data: Array) -> Relation:
    """A state relation from rows: ``seq`` and ``pos`` of shape [N], ``data`` [N, heads, length]."""
    n, g, d = data.shape
    scalar = logical(type_)
    ids = np.indices((n, g, d), dtype=np.int64).reshape(3, -1)
    names = [k.name for k in scalar.keys]
    cols = dict(zip(names, (seq[ids[0]], pos[ids[0]], ids[1], ids[2]), strict=True))
    cols[scalar.values[0].name] = data.reshape(-1)
    rows = Relation(cols, n * g * d)
    return rows if type_.layout is None else pack(rows, scalar, type_, {})


def rows_of_state(relation: Relation, type_: RelType) -> tuple[Array, Array, Array]:
    """Inverse of :func:`state_rows`, rows sorted by sequence and position."""
    scalar = logical(type_)
    r = unpack(relation, type_, scalar) if type_.layout is not None else relation
    b, t, g, d = (r.columns[k.name] for k in scalar.keys)
    heads, length = (int(str(k.extent)) for k in scalar.keys[2:])
    first, numbers = group([b, t], r.rows)
    value = r.columns[scalar.values[0].name]
    data = np.zeros((len(first), heads, length), dtype=value.dtype)
    data[numbers, g, d] = value
    return b[first], t[first], data


class RelAdapter(Adapter):
    """Dense tensors as relations of any layout; a state (a partial relation) as rows by sequence and position."""

    def dense_type(self, type_: Type) -> TensorType:
        assert isinstance(type_, RelType)
        scalar = logical(type_)
        element = scalar.values[0].type
        assert isinstance(element, ScalarType)
        return TensorType(tuple(k.extent for k in scalar.keys), element)

    def encode(self, type_: Type, dense: Array, symbols: Mapping[str, int]) -> Relation:
        assert isinstance(type_, RelType)
        return from_dense(dense, type_, symbols)

    def decode(self, type_: Type, value: Any, symbols: Mapping[str, int]) -> Array | Mapping[str, Array]:
        assert isinstance(type_, RelType)
        if not type_.partial:
            return to_dense(value, type_, symbols)
        seq, pos, data = rows_of_state(value, type_)
        return {"seq": seq, "pos": pos, "data": data}

    def tolerance(self, module: Module) -> float:
        types = [v.type for op in module.walk() for v in op.results]
        half = any(isinstance(t, RelType) and t.layout is not None and t.layout.carrier in HALF_CARRIERS for t in types)
        return HALF_TOLERANCE if half else TOLERANCE

    def empty_state(self, type_: Type) -> Relation:
        assert isinstance(type_, RelType)
        heads, length = (k.extent for k in logical(type_).keys[2:])
        assert isinstance(heads, int) and isinstance(length, int)
        none = np.zeros(0, dtype=np.int64)
        return state_rows(type_, none, none, np.zeros((0, heads, length), dtype=np.float32))


for _stage in ("rel", "tiled", "sql"):
    register(_stage, RelAdapter())
