"""Interpreter of ``tir`` on dense NumPy arrays.

Tensors are arrays of the dtype of their type (possibly read-only views: nothing here writes in place); a state is a
:class:`KVState`. Symbols come from the interpreter.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import attrs
import numpy as np

from irsql.dialects.expr_interp import eval_body
from irsql.dialects.tir import ops, uniform
from irsql.dialects.tir.indexing import evaluate_grid, index_grid, read
from irsql.ir import affine, dims, semantics
from irsql.ir.affine import AffineMap
from irsql.ir.attributes import TensorType, Type
from irsql.ir.core import IRError, Op
from irsql.ir.dims import Dim
from irsql.ir.interp import Array, Interpreter, impl

CHUNK_ELEMENTS = 2**25
"""Largest operand of a contraction that is materialised for a map that is not a plain view."""


@attrs.frozen(eq=False)
class KVState:
    """A version of a key-value state: one row a (sequence, position), with all heads.

    Attributes
    ----------
    seq, pos
        Row keys, int64 [N].
    k, v
        Vectors, [N, G, Dk] and [N, G, Dv].
    """

    seq: Array
    pos: Array
    k: Array
    v: Array

    @classmethod
    def empty(cls, type_: ops.StateType) -> KVState:
        """The state without rows."""
        keys = np.empty(0, dtype=np.int64)
        k = np.empty((0, type_.heads, type_.k_dim), dtype=type_.dtype.numpy)
        v = np.empty((0, type_.heads, type_.v_dim), dtype=type_.dtype.numpy)
        return cls(keys, keys, k, v)

    def append(self, seq: Array, pos: Array, k: Array, v: Array) -> KVState:
        """A new version with more rows.

        Raises
        ------
        IRError
            If a (sequence, position) would occur twice.
        """
        new = KVState(np.concatenate([self.seq, seq]), np.concatenate([self.pos, pos]),
                      np.concatenate([self.k, k]), np.concatenate([self.v, v]))
        keys, counts = np.unique(np.stack([new.seq, new.pos]), axis=1, return_counts=True)
        if (counts > 1).any():
            s, p = keys[:, counts > 1][:, 0]
            raise IRError(f"sequence {s} has two rows at position {p}")
        return new

    def sequence(self, seq: int) -> KVState:
        """The rows of one sequence in order of position."""
        rows = np.flatnonzero(self.seq == seq)
        rows = rows[np.argsort(self.pos[rows], kind="stable")]
        return KVState(self.seq[rows], self.pos[rows], self.k[rows], self.v[rows])


class StateAdapter(semantics.Adapter):
    """Tensors are dense already; a state's dense form are its four arrays in the order of their keys."""

    def empty_state(self, type_: Type) -> KVState:
        if not isinstance(type_, ops.StateType):
            raise IRError(f"{type_} is not a state")
        return KVState.empty(type_)

    def decode(self, type_: Type, value: Any, symbols: Mapping[str, int]) -> Array | Mapping[str, Array]:
        if not isinstance(value, KVState):
            return np.asarray(value)
        order = np.lexsort((value.pos, value.seq))
        return {"seq": value.seq[order], "pos": value.pos[order], "k": value.k[order], "v": value.v[order]}


semantics.register("tir", StateAdapter())


def extents(shape: Sequence[Dim], interp: Interpreter) -> tuple[int, ...]:
    """The numbers a symbolic shape stands for.

    Raises
    ------
    IRError
        If a symbol has no value.
    """
    try:
        return tuple(dims.evaluate(d, interp.symbols) for d in shape)
    except KeyError as error:
        raise IRError(f"symbol {error.args[0]} has no value; the interpreter knows {sorted(interp.symbols)}") from error


def _result(op: Op, interp: Interpreter, array: Any) -> tuple[Array]:
    """``array`` as the op's only result: right dtype, broadcast to its shape."""
    type_ = ops.tensor(op.result)
    return (np.broadcast_to(np.asarray(array, dtype=type_.dtype.numpy), extents(type_.shape, interp)),)


def _typed(value: Any, type_: TensorType, interp: Interpreter, what: str, op: Op) -> tuple[Array]:
    array = np.asarray(value)
    if array.shape != extents(type_.shape, interp):
        raise IRError(f"{what} has shape {array.shape}, expected {extents(type_.shape, interp)}", op)
    return (array.astype(type_.dtype.numpy, copy=False),)


@impl(ops.Parameter)
def _parameter(interp: Interpreter, op: ops.Parameter, args: tuple[Any, ...]) -> tuple[Array]:
    if op.parameter not in interp.parameters:
        raise IRError(f"the checkpoint has no tensor {op.parameter!r}", op)
    return _typed(interp.parameters[op.parameter], ops.tensor(op.result), interp, f"parameter {op.parameter}", op)


@impl(ops.Stored)
def _stored(interp: Interpreter, op: ops.Stored, args: tuple[Any, ...]) -> tuple[Array]:
    if op.store not in interp.stored:
        raise IRError(f"nothing is stored under {op.store!r}; run @load first", op)
    return _typed(interp.stored[op.store], ops.tensor(op.result), interp, f"stored {op.store}", op)


@impl(ops.Store)
def _store(interp: Interpreter, op: ops.Store, args: tuple[Any, ...]) -> tuple[()]:
    interp.stored[op.store] = args[0]
    return ()


@impl(ops.Constant)
def _constant(interp: Interpreter, op: ops.Constant, args: tuple[Any, ...]) -> tuple[Array]:
    return _result(op, interp, op.value.array)


@impl(ops.Iota)
def _iota(interp: Interpreter, op: ops.Iota, args: tuple[Any, ...]) -> tuple[Array]:
    n = extents(ops.tensor(op.result).shape, interp)[0]
    return _result(op, interp, op.start + op.step * np.arange(n, dtype=np.int64))


@impl(ops.Map)
def _map(interp: Interpreter, op: ops.Map, args: tuple[Any, ...]) -> tuple[Array]:
    shape = extents(ops.tensor(op.result).shape, interp)
    inputs = [read(x, amap, shape, interp.symbols) for x, amap in zip(args, op.maps, strict=True)]
    body = eval_body(interp, op.body.block, inputs, indices=lambda d: index_grid(d, shape))
    return _result(op, interp, body[0])


@impl(ops.Contract)
def _contract(interp: Interpreter, op: ops.Contract, args: tuple[Any, ...]) -> tuple[Array]:
    bounds = extents(op.bounds, interp)
    type_ = ops.tensor(op.result)
    shape = extents(type_.shape, interp)
    lhs, rhs = (np.asarray(x, dtype=type_.dtype.numpy) for x in args)
    out = op.maps[2]
    kept = [r.index for r in out.results if isinstance(r, affine.DimExpr)]
    if len(kept) != len(out.results) or len(set(kept)) != len(kept):
        raise IRError(f"the result map {out} of a contraction returns distinct dims", op)
    result = np.zeros([bounds[d] for d in kept], dtype=type_.dtype.numpy)
    _contract_chunks(lhs, rhs, op.maps, bounds, kept, interp, result)
    if result.shape != shape:
        raise IRError(f"the contraction gives {result.shape}, its type says {shape}", op)
    return (result,)


def _contract_chunks(lhs: Array, rhs: Array, maps: Sequence[AffineMap], bounds: tuple[int, ...], kept: list[int],
                     interp: Interpreter, out: Array) -> None:
    """Fill ``out``, halving the longest result dim until what :func:`read` must copy is small enough."""
    sizes = [math.prod(bounds[d] for d in _dims(m)) for m in maps[:2] if not _is_selection(m)]
    axis = max(range(len(kept)), key=lambda i: bounds[kept[i]], default=-1)
    if max(sizes, default=0) <= CHUNK_ELEMENTS or axis < 0 or bounds[kept[axis]] < 2:
        out[...] = _product(read(lhs, maps[0], bounds, interp.symbols), read(rhs, maps[1], bounds, interp.symbols),
                            [_dims(maps[0]), _dims(maps[1])], bounds, kept)
        return
    d, half = kept[axis], bounds[kept[axis]] // 2
    for start, size in ((0, half), (half, bounds[d] - half)):
        shift = AffineMap(len(bounds), tuple(affine.add(affine.dim(i), affine.const(start if i == d else 0))
                                             for i in range(len(bounds))))
        part = out[(slice(None),) * axis + (slice(start, start + size),)]
        _contract_chunks(lhs, rhs, [m.compose(shift) for m in maps], (*bounds[:d], size, *bounds[d + 1:]), kept,
                         interp, part)


def _dims(amap: AffineMap) -> set[int]:
    return set[int]().union(*(affine.used_dims(r) for r in amap.results))


def _is_selection(amap: AffineMap) -> bool:
    return all(isinstance(r, affine.DimExpr) for r in amap.results) and len(set(amap.results)) == len(amap.results)


def _product(a: Array, b: Array, used: list[set[int]], bounds: tuple[int, ...], kept: list[int]) -> Array:
    """Sum of ``a · b`` over the loop dims not in ``kept``, as one batched matrix product."""
    in_a, in_b = used
    for d in range(len(bounds)):  # a dim of one side only that is summed away is summed before the product
        if d not in kept and d in in_a - in_b:
            a = a.sum(axis=d, keepdims=True, dtype=a.dtype)
        if d not in kept and d in in_b - in_a:
            b = b.sum(axis=d, keepdims=True, dtype=b.dtype)
    batch = [d for d in kept if d in in_a and d in in_b]
    rows, cols = [d for d in kept if d in in_a - in_b], [d for d in kept if d in in_b - in_a]
    inner = [d for d in range(len(bounds)) if d not in kept and d in in_a and d in in_b]
    free = [d for d in range(len(bounds)) if d not in in_a | in_b]

    def size(ds: list[int]) -> int:
        return math.prod(bounds[d] for d in ds)

    rest_a = [d for d in range(len(bounds)) if d not in batch + rows + inner]
    rest_b = [d for d in range(len(bounds)) if d not in batch + cols + inner]
    a2 = a.transpose(*batch, *rows, *inner, *rest_a).reshape(size(batch), size(rows), size(inner))
    b2 = b.transpose(*batch, *inner, *cols, *rest_b).reshape(size(batch), size(inner), size(cols))
    product = np.matmul(a2, b2).reshape([bounds[d] for d in (*batch, *rows, *cols)])
    repeated = size([d for d in free if d not in kept])
    if repeated != 1:
        product = product * product.dtype.type(repeated)
    order = [*batch, *rows, *cols]
    positions = [order.index(d) for d in kept if d in order]
    product = np.asarray(product.transpose(positions))
    return product.reshape([bounds[d] if d in order else 1 for d in kept])


@impl(ops.Reduce)
def _reduce(interp: Interpreter, op: ops.Reduce, args: tuple[Any, ...]) -> tuple[Array]:
    x: Array = args[0]
    dtype = ops.tensor(op.result).dtype.numpy
    match op.kind:
        case "sum" | "prod":
            out = (np.sum if op.kind == "sum" else np.prod)(x, axis=op.axes, dtype=dtype)
        case "any" | "all":
            out = (np.any if op.kind == "any" else np.all)(x, axis=op.axes)
        case "max" | "min":
            out = (np.max if op.kind == "max" else np.min)(x, axis=op.axes, initial=_identity(op.kind, x.dtype))
        case _:
            if x.size == 0:  # no element, no index; an empty result needs none
                return _result(op, interp, np.zeros((), dtype=dtype))
            out = (np.argmax if op.kind == "argmax" else np.argmin)(x, axis=op.axes[0])
    return _result(op, interp, out)


def _identity(kind: str, dtype: np.dtype[Any]) -> Any:
    if dtype.kind == "f":
        return -np.inf if kind == "max" else np.inf
    if dtype.kind == "b":
        return kind == "min"
    return np.iinfo(dtype).min if kind == "max" else np.iinfo(dtype).max


@impl(ops.Gather)
def _gather(interp: Interpreter, op: ops.Gather, args: tuple[Any, ...]) -> tuple[Array]:
    data: Array = args[0]
    shape = extents(ops.tensor(op.result).shape, interp)
    if 0 in shape:
        return _result(op, interp, np.zeros((), dtype=data.dtype))
    grids = [evaluate_grid(r, shape, interp.symbols) for r in op.data_map.results]
    for axis, index, amap in zip(op.axes, args[1:], op.index_maps, strict=True):
        grids[axis] = read(index, amap, shape, interp.symbols)
    for axis, grid in enumerate(grids):
        low, high = int(grid.min()), int(grid.max())
        if low < 0 or high >= data.shape[axis]:
            raise IRError(f"index {low if low < 0 else high} is outside axis {axis} of size {data.shape[axis]}", op)
    return _result(op, interp, data[tuple(grids)])


@impl(ops.Concat)
def _concat(interp: Interpreter, op: ops.Concat, args: tuple[Any, ...]) -> tuple[Array]:
    return _result(op, interp, np.concatenate(args, axis=op.axis))


@impl(ops.Scan)
def _scan(interp: Interpreter, op: ops.Scan, args: tuple[Any, ...]) -> tuple[Array]:
    if op.kind != "sum":
        raise IRError(f"unknown scan {op.kind!r}; known is sum", op)
    return _result(op, interp, np.cumsum(args[0], axis=op.axis, dtype=ops.tensor(op.result).dtype.numpy))


@impl(ops.TopK)
def _topk(interp: Interpreter, op: ops.TopK, args: tuple[Any, ...]) -> tuple[Array, ...]:
    x: Array = args[0]
    reversed_ = -x if x.dtype.kind == "f" else ~x  # ~x turns the order of integers round without overflow
    nan = np.isnan(x) if x.dtype.kind == "f" else np.zeros(x.shape, dtype=bool)
    keys = (reversed_, ~nan) if op.largest else (x, nan)  # NaN counts as the largest, as in PyTorch
    order = np.lexsort(keys, axis=-1)[..., :op.k]
    return np.take_along_axis(x, order, axis=-1), order.astype(np.int64)


class NumPyAlgebra:
    """The algebra of :mod:`irsql.dialects.tir.uniform` on int64 arrays."""

    def const(self, value: int) -> Array:
        return np.asarray(value, dtype=np.int64)

    def binary(self, kind: str, a: Array, b: Array) -> Array:
        return np.asarray({"add": np.add, "mul": np.multiply, "mod": np.mod, "floordiv": np.floor_divide}[kind](a, b))


@impl(ops.Uniform)
def _uniform(interp: Interpreter, op: ops.Uniform, args: tuple[Any, ...]) -> tuple[Array]:
    x = uniform.draw_integer(NumPyAlgebra(), *args)
    return _result(op, interp, (x.astype(np.float64) + 0.5) / uniform.PRIME)


@impl(ops.StateAppend)
def _state_append(interp: Interpreter, op: ops.StateAppend, args: tuple[Any, ...]) -> tuple[KVState]:
    state, k, v, positions = args
    batch, length = positions.shape
    rows = [np.moveaxis(x, 2, 1).reshape(batch * length, x.shape[1], x.shape[3]) for x in (k, v)]
    return (state.append(np.repeat(np.arange(batch, dtype=np.int64), length), positions.ravel(), *rows),)


@impl(ops.StateRead)
def _state_read(interp: Interpreter, op: ops.StateRead, args: tuple[Any, ...]) -> tuple[Array]:
    state: KVState = args[0]
    rows = state.sequence(0)
    count = len(rows.pos)
    if count != len(state.pos) or rows.pos.tolist() != list(range(count)):
        raise IRError("a dense read takes one sequence with positions 0, 1, …", op)
    vectors = rows.k if op.field == "k" else rows.v
    return _typed(vectors.transpose(1, 0, 2)[None], ops.tensor(op.result), interp, f"the state's {op.field}", op)


@impl(ops.Attention)
def _attention(interp: Interpreter, op: ops.Attention, args: tuple[Any, ...]) -> tuple[Array]:
    q, state, positions = args
    out = np.empty((q.shape[0], q.shape[2], q.shape[1], state.v.shape[2]), dtype=q.dtype)
    for b in range(q.shape[0]):
        rows = state.sequence(b)
        group = q.shape[1] // rows.k.shape[1]
        k, v = (np.repeat(x.transpose(1, 0, 2), group, axis=0) for x in (rows.k, rows.v))  # [H, N, D]
        scores = np.matmul(q[b], k.transpose(0, 2, 1)) * q.dtype.type(op.scale)
        if op.softcap:
            scores = np.tanh(scores / q.dtype.type(op.softcap)) * q.dtype.type(op.softcap)
        seen = rows.pos[None, :] <= positions[b][:, None]
        if op.window:
            seen &= rows.pos[None, :] > positions[b][:, None] - op.window
        out[b] = np.matmul(_softmax_of(np.where(seen, scores, q.dtype.type(-np.inf)), -1), v).transpose(1, 0, 2)
    return _result(op, interp, out)


def _softmax_of(x: Array, axis: int) -> Array:
    e = np.exp(x - np.max(x, axis=axis, keepdims=True, initial=-np.inf))
    return np.asarray(e / e.sum(axis=axis, keepdims=True, dtype=x.dtype))


@impl(ops.Softmax)
def _softmax(interp: Interpreter, op: ops.Softmax, args: tuple[Any, ...]) -> tuple[Array]:
    return _result(op, interp, _softmax_of(args[0], op.axis))


def _row_mean(x: Array) -> Array:
    """The mean along the last axis; NaN, without NumPy's warning, where that is empty."""
    return np.asarray(x.sum(axis=-1, keepdims=True, dtype=x.dtype) / x.dtype.type(x.shape[-1]))


@impl(ops.RmsNorm)
def _rms_norm(interp: Interpreter, op: ops.RmsNorm, args: tuple[Any, ...]) -> tuple[Array]:
    x, weight = args
    mean = _row_mean(x * x)
    return _result(op, interp, x * (x.dtype.type(1) / np.sqrt(mean + x.dtype.type(op.eps))) * weight)


@impl(ops.LayerNorm)
def _layer_norm(interp: Interpreter, op: ops.LayerNorm, args: tuple[Any, ...]) -> tuple[Array]:
    x, *affine_ = args
    centred = x - _row_mean(x)
    variance = _row_mean(centred * centred)
    y = centred * (x.dtype.type(1) / np.sqrt(variance + x.dtype.type(op.eps)))
    for i, operand in enumerate(affine_):
        y = y + operand if i else y * operand
    return _result(op, interp, y)


@impl(ops.Rope)
def _rope(interp: Interpreter, op: ops.Rope, args: tuple[Any, ...]) -> tuple[Array]:
    x, cos, sin = args
    half = x.shape[-1] // 2
    rotated = np.concatenate([-x[..., half:], x[..., :half]], axis=-1)
    return _result(op, interp, x * cos[:, None] + rotated * sin[:, None])
