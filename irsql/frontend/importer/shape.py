"""Views, joins and splits: operators that move no numbers, only coordinates."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from irsql.dialects.expr import Exprs
from irsql.dialects.tir import ops as tir
from irsql.frontend.importer import views
from irsql.frontend.importer.context import Context
from irsql.frontend.importer.emit import Body, coordinate, scalar
from irsql.frontend.importer.registry import register
from irsql.frontend.importer.views import Group, Shape
from irsql.ir import affine, dims
from irsql.ir.affine import AffineExpr, AffineMap
from irsql.ir.attributes import I64, TensorType
from irsql.ir.core import Value
from irsql.ir.dims import Dim, SymDim

aten = torch.ops.aten
END = 2**63 - 1
"""What ATen writes for "to the end" in a slice."""


def reshape(ctx: Context, x: Value, shape: Shape) -> Value:
    """``x`` in another shape, row-major; through its unflattened origin where there is one."""
    if 0 in shape:
        return ctx.emit.fill(0, shape, tir.tensor(x).dtype)
    for source in (ctx.flattened.get(x), x):
        if source is not None and (amap := views.reshape(tir.tensor(source).shape, shape)) is not None:
            return ctx.emit.view(source, shape, amap.results)
    source = ctx.flattened.get(x, x)
    result = _gathered(ctx, source, shape)
    ctx.flattened[result] = source
    return result


def _gathered(ctx: Context, x: Value, shape: Shape) -> Value:
    """A reshape that divides by symbolic extents, which no affine map may: a lookup by computed coordinates."""
    source = tir.tensor(x).shape
    data = [affine.const(0)] * len(source)
    axes: list[int] = []
    indices: list[Value] = []
    maps: list[AffineMap] = []
    for group in views.groups(source, shape):
        alone = tuple(source[i] for i in group.source), tuple(shape[i] for i in group.result)
        if (amap := views.reshape(*alone)) is not None:
            for axis, digit in zip(group.source, amap.results, strict=True):
                data[axis] = affine.substitute(digit, [affine.dim(i) for i in group.result])
            continue
        for n, axis in enumerate(group.source):
            axes.append(axis)
            indices.append(_digit(ctx, source, alone[1], group, n))
            maps.append(AffineMap.select(len(shape), group.result))
    result = TensorType(shape, tir.tensor(x).dtype)
    op = tir.Gather(x, tuple(indices), axes=tuple(axes), data_map=AffineMap(len(shape), tuple(data)),
                    index_maps=tuple(maps), result_types=[result])
    return ctx.emit.insert(op).result


def _digit(ctx: Context, source: Shape, result: Shape, group: Group, n: int) -> Value:
    """Coordinate ``n`` of a group of operand axes as a tensor over the group's result axes."""
    stride = views.strides(source, group.source)[n]

    def body(e: Exprs) -> Value:
        index: Value | None = None
        for axis, step in enumerate(views.strides(result, range(len(result)))):
            term = coordinate(e, axis)
            term = term if step == 1 else e.binary("mul", term, scalar(e, step, I64))
            index = term if index is None else e.binary("add", index, term)
        assert index is not None
        digit = index if stride == 1 else e.binary("floordiv", index, scalar(e, stride, I64))
        return e.binary("mod", digit, scalar(e, source[group.source[n]], I64)) if n else digit

    return ctx.emit.map([], [], TensorType(result, I64), body)


def pointwise(ctx: Context, inputs: Sequence[Value], result: TensorType, body: Body) -> Value:
    """An element-wise map; where operands merge symbolic extents, over what they are a reshape of."""
    origins = [tir.tensor(ctx.flattened[x]).shape for x in inputs if x in ctx.flattened]
    if origins:
        shape = origins[0]
        lifted = [_lifted(ctx, x, result.shape, shape) for x in inputs]
        unmerged = [x for x in lifted if x is not None]
        if len(unmerged) == len(inputs):
            return reshape(ctx, ctx.emit.pointwise(unmerged, shape, result.dtype, body), result.shape)
    return ctx.emit.pointwise(inputs, result.shape, result.dtype, body)


def _lifted(ctx: Context, x: Value, merged: Shape, shape: Shape) -> Value | None:
    """``x``, an operand of a map over ``merged``, as an operand of the same map over ``shape``, if it is one."""
    own = tir.tensor(x).shape
    if own == merged:
        origin = ctx.flattened.get(x)
        return origin if origin is not None and tir.tensor(origin).shape == shape else None
    return x if own in ((), (1,)) or (len(own) == 1 and merged[-1:] == shape[-1:] == own) else None


@register(aten.reshape.default, aten.view.default, aten._unsafe_view.default, aten.flatten.using_ints,
          aten.unflatten.int, aten.view_as.default, aten.reshape_as.default)
def _reshape(ctx: Context, x: Value, *_: Any) -> Value:
    return reshape(ctx, x, ctx.result.shape)


@register(aten.unsqueeze.default)
def _unsqueeze(ctx: Context, x: Value, dim: int) -> Value:
    return ctx.emit.unsqueeze(x, [dim % (tir.tensor(x).rank + 1)])


@register(aten.squeeze.default, aten.squeeze.dim, aten.squeeze.dims)
def _squeeze(ctx: Context, x: Value, dim: Any = None) -> Value:
    shape = tir.tensor(x).shape
    asked = ctx.axes(dim if dim != [] else None, len(shape)) if dim != [] else ()
    gone = [i for i in asked if shape[i] == 1]
    kept = [i for i in range(len(shape)) if i not in gone]
    exprs: list[AffineExpr] = [affine.const(0)] * len(shape)
    for place, axis in enumerate(kept):
        exprs[axis] = affine.dim(place)
    return ctx.emit.view(x, tuple(shape[i] for i in kept), exprs)


@register(aten.transpose.int, aten.swapaxes.default)
def _transpose(ctx: Context, x: Value, dim0: int, dim1: int) -> Value:
    rank = tir.tensor(x).rank
    order = list(range(rank))
    if rank:
        order[dim0 % rank], order[dim1 % rank] = order[dim1 % rank], order[dim0 % rank]
    return ctx.emit.permute(x, order)


@register(aten.t.default, aten.numpy_T.default)
def _reverse_axes(ctx: Context, x: Value) -> Value:
    return ctx.emit.permute(x, list(reversed(range(tir.tensor(x).rank))))


@register(aten.permute.default)
def _permute(ctx: Context, x: Value, order: Sequence[int]) -> Value:
    return ctx.emit.permute(x, [axis % len(order) for axis in order])


@register(aten.expand.default, aten.expand_as.default, aten.broadcast_to.default)
def _expand(ctx: Context, x: Value, *_: Any, **__: Any) -> Value:
    return ctx.emit.broadcast(x, ctx.result.shape)


@register(aten.broadcast_tensors.default)
def _broadcast_tensors(ctx: Context, inputs: Sequence[Value]) -> tuple[Value, ...]:
    return tuple(ctx.emit.broadcast(x, t.shape) for x, t in zip(inputs, ctx.results, strict=True))


def _from_front(ctx: Context, position: Dim, size: Dim) -> Dim:
    """A slice bound or index as ATen reads it: negative ones count from the end, all are clamped to the size."""
    if isinstance(position, int) and isinstance(size, int):
        return max(0, min(position + size if position < 0 else position, size))
    low, high = ctx.bounds(position)
    if high < 0:
        position = dims.add(position, size)
        low, _ = ctx.bounds(position)
    if low < 0:
        raise ctx.refuse(f"whether the position {position} counts from the start or the end depends on a dynamic dim",
                         "raise the lower bound of the dynamic dim")
    return position


@register(aten.slice.Tensor)
def _slice(ctx: Context, x: Value, dim: int = 0, start: Any = None, end: Any = None, step: int = 1) -> Value:
    shape = tir.tensor(x).shape
    axis = dim % len(shape)
    return ctx.emit.slice(x, axis, _from_front(ctx, start or 0, shape[axis]), ctx.result.shape[axis], step)


@register(aten.narrow.default)
def _narrow(ctx: Context, x: Value, dim: int, start: Any, length: Any) -> Value:
    return _slice(ctx, x, dim, start)


@register(aten.select.int)
def _select(ctx: Context, x: Value, dim: int, index: Any) -> Value:
    shape = tir.tensor(x).shape
    axis = dim % len(shape)
    return _squeezed(ctx, ctx.emit.slice(x, axis, _from_front(ctx, index, shape[axis]), 1), axis)


def _squeezed(ctx: Context, x: Value, axis: int) -> Value:
    shape = tir.tensor(x).shape
    exprs: list[AffineExpr] = [affine.dim(i if i < axis else i - 1) for i in range(len(shape))]
    exprs[axis] = affine.const(0)
    return ctx.emit.view(x, (*shape[:axis], *shape[axis + 1 :]), exprs)


@register(aten.split.Tensor, aten.split_with_sizes.default, aten.split.sizes, aten.chunk.default)
def _split(ctx: Context, x: Value, _: Any, dim: int = 0) -> tuple[Value, ...]:
    axis, start, out = dim % tir.tensor(x).rank, 0, []
    offset: Dim = start
    for piece in ctx.results:
        out.append(ctx.emit.slice(x, axis, offset, piece.shape[axis]))
        offset = dims.add(offset, piece.shape[axis])
    return tuple(out)


@register(aten.unbind.int)
def _unbind(ctx: Context, x: Value, dim: int = 0) -> tuple[Value, ...]:
    axis = dim % tir.tensor(x).rank
    return tuple(_squeezed(ctx, ctx.emit.slice(x, axis, i, 1), axis) for i in range(len(ctx.results)))


@register(aten.cat.default, aten.concat.default)
def _cat(ctx: Context, inputs: Sequence[Value], dim: int = 0) -> Value:
    result = ctx.result
    # ATen skips operands of shape [0], whatever the rank of the others.
    kept = [x for x in inputs if tir.tensor(x).shape != (0,) or result.shape == (0,)]
    axis = dim % len(result.shape)
    return ctx.emit.concat([ctx.emit.cast(x, result.dtype) for x in kept], axis)


@register(aten.hstack.default)
def _hstack(ctx: Context, inputs: Sequence[Value]) -> Value:
    return _cat(ctx, inputs, 0 if tir.tensor(inputs[0]).rank == 1 else 1)


@register(aten.vstack.default)
def _vstack(ctx: Context, inputs: Sequence[Value]) -> Value:
    return _cat(ctx, [ctx.emit.unsqueeze(x, [0]) if tir.tensor(x).rank == 1 else x for x in inputs])


@register(aten.stack.default)
def _stack(ctx: Context, inputs: Sequence[Value], dim: int = 0) -> Value:
    axis = dim % (tir.tensor(inputs[0]).rank + 1)
    return _cat(ctx, [ctx.emit.unsqueeze(x, [axis]) for x in inputs], axis)


@register(aten.flip.default)
def _flip(ctx: Context, x: Value, axes: Sequence[int]) -> Value:
    shape = tir.tensor(x).shape
    turned = {axis % len(shape) for axis in axes}
    exprs = [
        affine.add(affine.mul(affine.dim(i), affine.const(-1)), views.extent(dims.sub(size, 1))) if i in turned
        else affine.dim(i)
        for i, size in enumerate(shape)
    ]
    return ctx.emit.view(x, shape, exprs)


@register(aten.roll.default)
def _roll(ctx: Context, x: Value, shifts: Any, axes: Any = ()) -> Value:
    shape = tir.tensor(x).shape
    shifts = [shifts] if isinstance(shifts, int) else list(shifts)
    if not axes:
        flat = reshape(ctx, x, (dims.product(shape),))
        return reshape(ctx, _rolled(ctx, flat, 0, shifts[0]), shape)
    for axis, shift in zip([axes] if isinstance(axes, int) else axes, shifts, strict=True):
        x = _rolled(ctx, x, axis % len(shape), shift)
    return x


def _rolled(ctx: Context, x: Value, axis: int, shift: int) -> Value:
    shape = tir.tensor(x).shape
    size = shape[axis]
    if isinstance(size, SymDim):
        raise ctx.refuse("rolling along a dynamic dim divides by its extent", "make the extent static")
    exprs: list[AffineExpr] = [affine.dim(i) for i in range(len(shape))]
    if size > 1:
        exprs[axis] = affine.mod(affine.add(exprs[axis], affine.const(-shift % size)), size)
    return ctx.emit.view(x, shape, exprs)


@register(aten.repeat.default, aten.tile.default)
def _repeat(ctx: Context, x: Value, repeats: Sequence[int]) -> Value:
    shape = tir.tensor(x).shape
    result = ctx.result.shape
    x = reshape(ctx, x, (*(1 for _ in range(len(result) - len(shape))), *shape))
    exprs: list[AffineExpr] = []
    for i, size in enumerate(tir.tensor(x).shape):
        if size == result[i] or size == 0:
            exprs.append(affine.dim(i))
        elif isinstance(size, SymDim):
            raise ctx.refuse("repeating along a dynamic dim divides by its extent", "make the extent static")
        else:
            exprs.append(affine.mod(affine.dim(i), size))
    return ctx.emit.view(x, result, exprs)


@register(aten.repeat_interleave.self_int)
def _repeat_interleave(ctx: Context, x: Value, repeats: Any, dim: int | None = None, **_: Any) -> Value:
    if not isinstance(repeats, int) or repeats < 1:
        raise ctx.refuse("repeat_interleave needs a positive constant number of repetitions", "use a constant")
    if dim is None:
        x, dim = reshape(ctx, x, (dims.product(tir.tensor(x).shape),)), 0
    result = ctx.result.shape
    exprs: list[AffineExpr] = [affine.dim(i) for i in range(len(result))]
    axis = dim % len(result)
    exprs[axis] = affine.floordiv(exprs[axis], repeats)
    return ctx.emit.view(x, result, exprs)


@register(aten.unfold.default)
def _unfold(ctx: Context, x: Value, dim: int, size: int, step: int) -> Value:
    result = ctx.result.shape
    exprs: list[AffineExpr] = [affine.dim(i) for i in range(len(result) - 1)]
    axis = dim % len(exprs)
    exprs[axis] = affine.add(affine.mul(exprs[axis], affine.const(step)), affine.dim(len(result) - 1))
    return ctx.emit.view(x, result, exprs)


@register(aten.diagonal.default)
def _diagonal(ctx: Context, x: Value, offset: int = 0, dim1: int = 0, dim2: int = 1) -> Value:
    rank = tir.tensor(x).rank
    result = ctx.result.shape
    pair = dim1 % rank, dim2 % rank
    last = affine.dim(len(result) - 1)
    rest = iter(range(len(result)))
    starts = {pair[0]: max(-offset, 0), pair[1]: max(offset, 0)}
    exprs = [affine.add(last, affine.const(starts[i])) if i in starts else affine.dim(next(rest)) for i in range(rank)]
    return ctx.emit.view(x, result, exprs)


@register(aten.constant_pad_nd.default)
def _constant_pad(ctx: Context, x: Value, pad: Sequence[Any], value: Any = 0) -> Value:
    type_ = tir.tensor(x)
    for n, (before, after) in enumerate(zip(pad[::2], pad[1::2], strict=True)):
        axis = type_.rank - 1 - n
        if not (isinstance(before, int) and isinstance(after, int)):
            raise ctx.refuse("padding by a dynamic amount is not known", "pad by a constant")
        shape = tir.tensor(x).shape
        cut = dims.add(shape[axis], min(before, 0) + min(after, 0))
        pieces = [ctx.emit.slice(x, axis, max(-before, 0), cut)]
        for amount, place in ((before, 0), (after, len(pieces))):
            if amount > 0:
                fill = ctx.emit.fill(value, (*shape[:axis], amount, *shape[axis + 1 :]), type_.dtype)
                pieces.insert(0 if place == 0 else len(pieces), fill)
        x = ctx.emit.concat(pieces, axis)
    return x


@register(aten.pad.default)
def _pad(ctx: Context, x: Value, pad: Sequence[Any], mode: str = "constant", value: Any = None) -> Value:
    if mode != "constant":
        raise ctx.refuse(f"padding of mode {mode!r} is not known", "use constant padding")
    return _constant_pad(ctx, x, pad, value or 0)


@register(aten.slice_scatter.default)
def _slice_scatter(ctx: Context, x: Value, source: Value, dim: int = 0, start: Any = None, end: Any = None,
                   step: int = 1) -> Value:
    shape = tir.tensor(x).shape
    axis = dim % len(shape)
    if step != 1:
        raise ctx.refuse("writing to every n-th row is not known", "use step 1, or torch.where")
    first = _from_front(ctx, start or 0, shape[axis])
    after = dims.add(first, tir.tensor(source).shape[axis])
    pieces = [ctx.emit.slice(x, axis, 0, first), ctx.emit.cast(source, tir.tensor(x).dtype),
              ctx.emit.slice(x, axis, after, dims.sub(shape[axis], after))]
    return ctx.emit.concat([piece for piece in pieces if tir.tensor(piece).shape[axis] != 0] or [x], axis)


@register(aten.select_scatter.default)
def _select_scatter(ctx: Context, x: Value, source: Value, dim: int, index: Any) -> Value:
    shape = tir.tensor(x).shape
    axis = dim % len(shape)
    at = _from_front(ctx, index, shape[axis])
    return _slice_scatter(ctx, x, ctx.emit.unsqueeze(source, [axis]), axis, at)
