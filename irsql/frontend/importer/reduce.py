"""Reductions, scans and orderings."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import torch

from irsql.dialects.expr import Exprs
from irsql.dialects.tir import ops as tir
from irsql.frontend.importer.context import Context
from irsql.frontend.importer.elementwise import const
from irsql.frontend.importer.registry import register
from irsql.frontend.importer.shape import reshape
from irsql.ir import dims
from irsql.ir.attributes import I1, I64, TensorType
from irsql.ir.core import Value

aten = torch.ops.aten
Axes = int | Sequence[int] | None


def _axes(ctx: Context, x: Value, dim: Axes) -> tuple[int, ...]:
    return ctx.axes(dim, tir.tensor(x).rank)


@register(aten.sum.default, aten.sum.dim_IntList)
def _sum(ctx: Context, x: Value, dim: Axes = None, keepdim: bool = False, **_: Any) -> Value:
    return ctx.emit.reduce(ctx.emit.cast(x, ctx.result.dtype), "sum", _axes(ctx, x, dim), keepdim)


@register(aten.prod.default, aten.prod.dim_int)
def _prod(ctx: Context, x: Value, dim: int | None = None, keepdim: bool = False, **_: Any) -> Value:
    return ctx.emit.reduce(ctx.emit.cast(x, ctx.result.dtype), "prod", _axes(ctx, x, dim), keepdim)


@register(aten.mean.default, aten.mean.dim)
def _mean(ctx: Context, x: Value, dim: Axes = None, keepdim: bool = False, **_: Any) -> Value:
    return ctx.emit.mean(ctx.emit.cast(x, ctx.result.dtype), _axes(ctx, x, dim), keepdim)


def variance(ctx: Context, x: Value, axes: tuple[int, ...], keepdim: bool = False, correction: float = 1) -> Value:
    """Mean of squared distances from the mean (two passes, as ATen's result is accurate)."""
    centred = ctx.emit.like([x, ctx.emit.mean(x, axes, keepdim=True)], lambda e, a, m: e.binary("sub", a, m))
    squares = ctx.emit.like([centred], lambda e, a: e.binary("mul", a, a))
    return ctx.emit.mean(squares, axes, keepdim, correction)


@register(aten.var.dim, aten.std.dim)
def _var_dim(ctx: Context, x: Value, dim: Axes, unbiased: bool = True, keepdim: bool = False) -> Value:
    return _deviation(ctx, variance(ctx, x, _axes(ctx, x, dim), keepdim, int(unbiased)))


@register(aten.var.correction, aten.std.correction)
def _var_correction(ctx: Context, x: Value, dim: Axes = None, *, correction: float | None = None,
                    keepdim: bool = False) -> Value:
    return _deviation(ctx, variance(ctx, x, _axes(ctx, x, dim), keepdim, 1 if correction is None else correction))


@register(aten.var.default, aten.std.default)
def _var_all(ctx: Context, x: Value, unbiased: bool = True) -> Value:
    return _deviation(ctx, variance(ctx, x, _axes(ctx, x, None), False, int(unbiased)))


def _deviation(ctx: Context, value: Value) -> Value:
    is_std = ctx.node.target in (aten.std.dim, aten.std.correction, aten.std.default)
    return ctx.emit.like([value], lambda e, v: e.unary("sqrt", v)) if is_std else value


def _extreme(kind: str) -> Callable[..., Value]:
    def handler(ctx: Context, x: Value, dim: Axes = None, keepdim: bool = False) -> Value:
        return ctx.emit.reduce(x, kind, _axes(ctx, x, dim), keepdim)

    return handler


register(aten.amax.default, aten.max.default)(_extreme("max"))
register(aten.amin.default, aten.min.default)(_extreme("min"))


def _extreme_with_index(kind: str) -> Callable[..., tuple[Value, Value]]:
    def handler(ctx: Context, x: Value, dim: int, keepdim: bool = False) -> tuple[Value, Value]:
        axes = _axes(ctx, x, dim)
        if not axes:
            return x, ctx.emit.fill(0, (), I64)
        return ctx.emit.reduce(x, kind, axes, keepdim), ctx.emit.reduce(x, f"arg{kind}", axes, keepdim)

    return handler


register(aten.max.dim)(_extreme_with_index("max"))
register(aten.min.dim)(_extreme_with_index("min"))


def _arg(kind: str) -> Callable[..., Value]:
    def handler(ctx: Context, x: Value, dim: int | None = None, keepdim: bool = False) -> Value:
        shape = ctx.result.shape
        if dim is None:
            x, dim = reshape(ctx, x, (dims.product(tir.tensor(x).shape),)), 0
        axes = _axes(ctx, x, dim)
        index = ctx.emit.reduce(x, kind, axes) if axes else ctx.emit.fill(0, (), I64)
        return reshape(ctx, index, shape)

    return handler


register(aten.argmax.default)(_arg("argmax"))
register(aten.argmin.default)(_arg("argmin"))


def _truth(kind: str) -> Callable[..., Value]:
    def handler(ctx: Context, x: Value, dim: Axes = None, keepdim: bool = False) -> Value:
        if isinstance(dim, (list, tuple)) and not dim:
            return ctx.emit.cast(x, I1)  # no axes at all, unlike in other reductions
        return ctx.emit.reduce(ctx.emit.cast(x, I1), kind, _axes(ctx, x, dim), keepdim)

    return handler


register(aten.any.default, aten.any.dim, aten.any.dims)(_truth("any"))
register(aten.all.default, aten.all.dim, aten.all.dims)(_truth("all"))


@register(aten.cumsum.default)
def _cumsum(ctx: Context, x: Value, dim: int, **_: Any) -> Value:
    result = ctx.result
    x = ctx.emit.cast(x, result.dtype)
    if not result.shape:
        return x
    return ctx.emit.insert(tir.Scan(x, axis=dim % len(result.shape), result_types=[result])).result


@register(aten.linalg_vector_norm.default)
def _vector_norm(ctx: Context, x: Value, ord: float = 2, dim: Axes = None, keepdim: bool = False, **_: Any) -> Value:
    return _norm(ctx, x, ord, dim, keepdim)


@register(aten.norm.ScalarOpt_dim, aten.norm.Scalar)
def _norm(ctx: Context, x: Value, p: float | None = 2, dim: Axes = None, keepdim: bool = False) -> Value:
    x = ctx.emit.cast(x, ctx.result.dtype)
    axes = _axes(ctx, x, dim)
    p = 2 if p is None else p
    if p == 2:
        squares = ctx.emit.like([x], lambda e, a: e.binary("mul", a, a))
        return ctx.emit.like([ctx.emit.reduce(squares, "sum", axes, keepdim)], lambda e, a: e.unary("sqrt", a))
    sizes = ctx.emit.like([x], lambda e, a: e.unary("abs", a))
    kinds = {1: "sum", math.inf: "max", -math.inf: "min"}
    if p not in kinds:
        raise ctx.refuse(f"the norm of order {p} is not known", "use order 1, 2 or infinity")
    return ctx.emit.reduce(sizes, kinds[p], axes, keepdim)


@register(aten.logsumexp.default)
def _logsumexp(ctx: Context, x: Value, dim: Axes, keepdim: bool = False) -> Value:
    x = ctx.emit.cast(x, ctx.result.dtype)
    axes = _axes(ctx, x, dim)
    # an infinite maximum is not subtracted (as in ATen), for inf - inf is NaN
    top = ctx.emit.like([ctx.emit.reduce(x, "max", axes, keepdim=True)], lambda e, m: e.select(
        e.compare("eq", e.unary("abs", m), const(e, math.inf, m)), const(e, 0, m), m))
    powers = ctx.emit.like([x, top], lambda e, a, m: e.unary("exp", e.binary("sub", a, m)))
    total = ctx.emit.reduce(powers, "sum", axes, keepdim=True)
    result = ctx.emit.like([total, top], lambda e, s, m: e.binary("add", e.unary("log", s), m))
    return reshape(ctx, result, ctx.result.shape)


@register(aten.softmax.int, aten._softmax.default)
def _softmax(ctx: Context, x: Value, dim: int, *_: Any, **__: Any) -> Value:
    return softmax(ctx, ctx.emit.cast(x, ctx.result.dtype), dim)


def softmax(ctx: Context, x: Value, dim: int) -> Value:
    """``tir.softmax`` along an axis."""
    type_ = tir.tensor(x)
    if not type_.rank:
        return ctx.emit.like([x], lambda e, a: e.const(1.0, type_.dtype))
    return ctx.emit.insert(tir.Softmax(x, axis=dim % type_.rank, result_types=[type_])).result


@register(aten.log_softmax.int, aten._log_softmax.default)
def _log_softmax(ctx: Context, x: Value, dim: int, *_: Any, **__: Any) -> Value:
    x = ctx.emit.cast(x, ctx.result.dtype)
    axes = _axes(ctx, x, dim)
    shifted = ctx.emit.like([x, ctx.emit.reduce(x, "max", axes, keepdim=True)], lambda e, a, m: e.binary("sub", a, m))
    powers = ctx.emit.like([shifted], lambda e, a: e.unary("exp", a))
    total = ctx.emit.reduce(powers, "sum", axes, keepdim=True)
    return ctx.emit.like([shifted, total], lambda e, a, s: e.binary("sub", a, e.unary("log", s)))


@register(aten.topk.default)
def _topk(ctx: Context, x: Value, k: Any, dim: int = -1, largest: bool = True,
          sorted: bool = True) -> tuple[Value, Value]:
    return ordered(ctx, x, k, dim, largest)


@register(aten.sort.default)
def _sort(ctx: Context, x: Value, dim: int = -1, descending: bool = False) -> tuple[Value, Value]:
    rank = tir.tensor(x).rank
    return ordered(ctx, x, tir.tensor(x).shape[dim % rank] if rank else 1, dim, descending)


@register(aten.sort.stable)
def _sort_stable(ctx: Context, x: Value, *, stable: bool | None = None, dim: int = -1,
                 descending: bool = False) -> tuple[Value, Value]:
    return _sort(ctx, x, dim, descending)


@register(aten.argsort.default)
def _argsort(ctx: Context, x: Value, dim: int = -1, descending: bool = False) -> Value:
    return _sort(ctx, x, dim, descending)[1]


def ordered(ctx: Context, x: Value, k: Any, dim: int, largest: bool) -> tuple[Value, Value]:
    """The first ``k`` along an axis in order, and their indices."""
    type_ = tir.tensor(x)
    if not isinstance(k, int):
        raise ctx.refuse("ordering needs a constant number of elements", "make the extent of this axis static")
    if not type_.rank:
        return x, ctx.emit.fill(0, (), I64)
    axis = dim % type_.rank
    order = [i for i in range(type_.rank) if i != axis] + [axis]
    x = ctx.emit.permute(x, order)
    shape = (*tir.tensor(x).shape[:-1], k)
    op = ctx.emit.insert(tir.TopK(x, k=k, largest=largest,
                                  result_types=[TensorType(shape, type_.dtype), TensorType(shape, I64)]))
    back = [order.index(i) for i in range(type_.rank)]
    return ctx.emit.permute(op.results[0], back), ctx.emit.permute(op.results[1], back)


def safe_softmax(ctx: Context, x: Value) -> Value:
    """Softmax along the last axis that gives zeros where all operands are -inf (ATen's ``_safe_softmax``)."""
    type_ = tir.tensor(x)
    last = [type_.rank - 1]
    top = ctx.emit.reduce(x, "max", last, keepdim=True)

    def power(e: Exprs, a: Value, m: Value) -> Value:
        empty = e.compare("eq", m, const(e, -math.inf, m))
        return e.select(empty, const(e, 0, a), e.unary("exp", e.binary("sub", a, m)))

    def ratio(e: Exprs, a: Value, s: Value) -> Value:
        return e.binary("div", a, e.select(e.compare("eq", s, const(e, 0, s)), const(e, 1, s), s))

    powers = ctx.emit.like([x, top], power)
    return ctx.emit.like([powers, ctx.emit.reduce(powers, "sum", last, keepdim=True)], ratio)


register(aten._safe_softmax.default)(lambda ctx, x, dim, dtype=None: _safe_along(ctx, x, dim))


def _safe_along(ctx: Context, x: Value, dim: int) -> Value:
    rank = tir.tensor(x).rank
    order = [i for i in range(rank) if i != dim % rank] + [dim % rank]
    out = safe_softmax(ctx, ctx.emit.permute(ctx.emit.cast(x, ctx.result.dtype), order))
    return ctx.emit.permute(out, [order.index(i) for i in range(rank)])
