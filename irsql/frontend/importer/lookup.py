"""Lookups: rows chosen by the values of integer tensors."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from irsql.dialects.expr import Exprs
from irsql.dialects.tir import ops as tir
from irsql.frontend.importer import views
from irsql.frontend.importer.context import Context, trace_view, view_source
from irsql.frontend.importer.elementwise import select
from irsql.frontend.importer.emit import coordinate, scalar
from irsql.frontend.importer.registry import register
from irsql.frontend.importer.views import Shape
from irsql.ir import affine
from irsql.ir.affine import AffineExpr, AffineMap
from irsql.ir.attributes import I1, I64, TensorType
from irsql.ir.core import BlockArg, Value
from irsql.ir.dims import Dim

aten = torch.ops.aten


def gather(ctx: Context, data: Value, axis: int, index: Value, data_exprs: Sequence[AffineExpr],
           index_map: AffineMap, shape: Shape) -> Value:
    """One axis of ``data`` by one index tensor."""
    ctx.note_index(index, tir.tensor(data).shape[axis])
    exprs = [affine.const(0) if i == axis else expr for i, expr in enumerate(data_exprs)]
    op = tir.Gather(data, (index,), axes=(axis,), data_map=AffineMap(len(shape), tuple(exprs)),
                    index_maps=(index_map,), result_types=[TensorType(shape, tir.tensor(data).dtype)])
    return ctx.emit.insert(op).result


@register(aten.embedding.default)
def _embedding(ctx: Context, weight: Value, indices: Value, *_: Any, **__: Any) -> Value:
    shape = ctx.result.shape
    rank = tir.tensor(indices).rank
    index_map = AffineMap.select(len(shape), range(rank))
    return gather(ctx, weight, 0, indices, [affine.const(0), affine.dim(rank)], index_map, shape)


@register(aten.gather.default)
def _gather(ctx: Context, x: Value, dim: int, index: Value, **_: Any) -> Value:
    rank = tir.tensor(x).rank
    exprs = [affine.dim(i) for i in range(rank)]
    return gather(ctx, x, ctx.axis(dim, rank), index, exprs, AffineMap.identity(rank), ctx.result.shape)


@register(aten.index_select.default)
def _index_select(ctx: Context, x: Value, dim: int, index: Value) -> Value:
    rank = tir.tensor(x).rank
    axis = ctx.axis(dim, rank)
    exprs = [affine.dim(i) for i in range(rank)]
    # The index may be a scalar, which stands for one element.
    index_map = AffineMap.select(rank, [axis][: tir.tensor(index).rank])
    return gather(ctx, x, axis, index, exprs, index_map, ctx.result.shape)


@register(aten.index.Tensor)
def _index(ctx: Context, x: Value, indices: Sequence[Value | None]) -> Value:
    """Advanced indexing: index tensors broadcast against each other, in place where adjacent, else in front."""
    source = tir.tensor(x).shape
    shape = ctx.result.shape
    chosen = [i for i, index in enumerate(indices) if index is not None]
    if any(tir.tensor(index).dtype == I1 for index in indices if index is not None):
        raise ctx.refuse("selecting by a boolean mask has a data-dependent shape", "use torch.where")
    width = len(shape) - (len(source) - len(chosen))
    adjacent = chosen == list(range(chosen[0], chosen[-1] + 1))
    start = chosen[0] if adjacent else 0
    block = shape[start : start + width]
    rest = iter([i for i in range(len(shape)) if not start <= i < start + width])
    data: list[AffineExpr] = []
    axes: list[int] = []
    values: list[Value] = []
    maps: list[AffineMap] = []
    for axis, size in enumerate(source):
        index = indices[axis] if axis < len(indices) else None
        if index is None:
            data.append(affine.dim(next(rest)))
            continue
        inner = views.broadcast(tir.tensor(index).shape, block)
        placed = AffineMap(len(shape), tuple(affine.substitute(r, [affine.dim(start + i) for i in range(width)])
                                             for r in inner.results))
        known = _known_coordinate(index, placed)
        data.append(affine.const(0) if known is None else known)
        if known is None:
            axes.append(axis)
            ctx.note_index(index, size)
            values.append(_from_front(ctx, index, size))
            maps.append(placed)
    if not axes:
        return ctx.emit.view(x, shape, data)
    op = tir.Gather(x, tuple(values), axes=tuple(axes), data_map=AffineMap(len(shape), tuple(data)),
                    index_maps=tuple(maps), result_types=[TensorType(shape, tir.tensor(x).dtype)])
    return ctx.emit.insert(op).result


def _known_coordinate(index: Value, read: AffineMap) -> AffineExpr | None:
    """The coordinate an index tensor stands for, where it is a view of ``arange``: no lookup is needed then."""
    while (source := view_source(index)) is not None:
        assert isinstance(index.owner, tir.Map)
        read = index.owner.maps[0].compose(read)
        index = source
    if isinstance(index, BlockArg) or not isinstance(index.owner, tir.Iota):
        return None
    iota = index.owner
    if iota.start < 0 or iota.step < 0:
        return None
    return affine.add(affine.mul(read.results[0], affine.const(iota.step)), affine.const(iota.start))


def _from_front(ctx: Context, index: Value, size: Dim) -> Value:
    """An index tensor with negative entries counted from the end, as only ``x[index]`` has them."""
    if _never_negative(ctx, index):
        return index

    def body(e: Exprs, i: Value) -> Value:
        return e.select(e.compare("lt", i, e.const(0, I64)), e.binary("add", i, scalar(e, size, I64)), i)

    return ctx.emit.like([index], body)


def _never_negative(ctx: Context, index: Value) -> bool:
    origin = trace_view(index)
    if isinstance(origin, BlockArg):
        return bool(ctx.captured.state)  # a decoder's rows are positions, by contract
    owner = origin.owner
    if isinstance(owner, tir.Constant):
        return bool(np.all(owner.value.array.astype(np.int64) >= 0))
    return isinstance(owner, tir.TopK) or (isinstance(owner, tir.Reduce) and owner.kind in ("argmax", "argmin"))


@register(aten.one_hot.default)
def _one_hot(ctx: Context, x: Value, classes: int = -1) -> Value:
    result = ctx.result
    if classes < 0:
        raise ctx.refuse("one_hot without the number of classes has a data-dependent shape", "give num_classes")
    expanded = ctx.emit.unsqueeze(x, [tir.tensor(x).rank])
    last = len(result.shape) - 1
    return ctx.emit.pointwise([expanded], result.shape, result.dtype,
                              lambda e, i: e.compare("eq", i, coordinate(e, last)))


@register(aten.index_fill.int_Scalar)
def _index_fill(ctx: Context, x: Value, dim: int, index: Value, value: Any) -> Value:
    type_ = tir.tensor(x)
    axis = ctx.axis(dim, type_.rank)
    size = type_.shape[axis]
    column = ctx.emit.unsqueeze(_from_front(ctx, index, size), [1])
    rows = ctx.emit.pointwise([column], (tir.tensor(index).shape[0], size), I1,
                              lambda e, i: e.compare("eq", i, coordinate(e, 1)))
    hit = ctx.emit.reduce(rows, "any", [0])
    place = [i for i in range(type_.rank) if i != axis]
    return select(ctx, ctx.emit.broadcast(_at(ctx, hit, place), type_.shape), value, x)


def _at(ctx: Context, x: Value, axes: Sequence[int]) -> Value:
    return ctx.emit.unsqueeze(x, axes) if axes else x


@register(aten.masked_select.default, aten.nonzero.default)
def _data_dependent(ctx: Context, *_: Any) -> Value:
    raise ctx.refuse("its shape depends on data", "keep all rows and use torch.where")
