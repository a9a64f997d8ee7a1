"""Normalisations."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from irsql.dialects.expr import Exprs
from irsql.dialects.tir import ops as tir
from irsql.frontend.importer.context import Context
from irsql.frontend.importer.elementwise import const
from irsql.frontend.importer.reduce import variance
from irsql.frontend.importer.registry import register
from irsql.frontend.importer.shape import reshape
from irsql.ir import dims
from irsql.ir.core import Value
from irsql.ir.dims import Dim

aten = torch.ops.aten


def _merged(ctx: Context, x: Value, axes: int) -> Value:
    """``x`` with its last ``axes`` axes merged into one."""
    shape = tir.tensor(x).shape
    return reshape(ctx, x, (*shape[: len(shape) - axes], dims.product(shape[len(shape) - axes :])))


@register(aten.layer_norm.default)
def _layer_norm(ctx: Context, x: Value, normalized: Sequence[Dim], weight: Value | None = None,
                bias: Value | None = None, eps: float = 1e-5, *_: Any) -> Value:
    shape = ctx.result.shape
    axes = len(normalized)
    rows = _merged(ctx, x, axes)
    type_ = tir.tensor(rows)
    if weight is None and bias is not None:
        weight = ctx.emit.fill(1, tir.tensor(bias).shape, type_.dtype)
    affine = tuple(_merged(ctx, v, axes) for v in (weight, bias) if v is not None)
    out = ctx.emit.insert(tir.LayerNorm(rows, affine, eps=eps, result_types=[type_])).result
    return reshape(ctx, out, shape)


@register(aten.native_layer_norm.default)
def _native_layer_norm(ctx: Context, x: Value, normalized: Sequence[Dim], weight: Value | None, bias: Value | None,
                       eps: float) -> tuple[Value, Value, Value]:
    rank = tir.tensor(x).rank
    axes = tuple(range(rank - len(normalized), rank))
    out_type, *_ = ctx.results
    rows = _merged(ctx, x, len(normalized))
    row_type = tir.tensor(rows)
    if weight is None and bias is not None:
        weight = ctx.emit.fill(1, tir.tensor(bias).shape, row_type.dtype)
    affine = tuple(_merged(ctx, v, len(normalized)) for v in (weight, bias) if v is not None)
    normal = ctx.emit.insert(tir.LayerNorm(rows, affine, eps=eps, result_types=[row_type])).result
    mean = ctx.emit.mean(x, axes, keepdim=True)
    spread = variance(ctx, x, axes, keepdim=True, correction=0)
    return reshape(ctx, normal, out_type.shape), mean, _inverse_root(ctx, spread, eps)


def _inverse_root(ctx: Context, value: Value, eps: float) -> Value:
    return ctx.emit.like([value], lambda e, v: e.unary("rsqrt", e.binary("add", v, const(e, eps, v))))


@register(aten.rms_norm.default)
def _rms_norm(ctx: Context, x: Value, normalized: Sequence[Dim], weight: Value | None = None,
              eps: float | None = None) -> Value:
    rows = _merged(ctx, x, len(normalized))
    type_ = tir.tensor(rows)
    scale = (ctx.emit.fill(1, type_.shape[-1:], type_.dtype) if weight is None
             else _merged(ctx, weight, len(normalized)))
    if eps is None:
        eps = torch.finfo(ctx.node.meta["val"].dtype).eps
    out = ctx.emit.insert(tir.RmsNorm(rows, scale, eps=eps, result_types=[type_])).result
    return reshape(ctx, out, ctx.result.shape)


@register(aten._native_batch_norm_legit_no_training.default)
def _batch_norm(ctx: Context, x: Value, weight: Value | None, bias: Value | None, mean: Value, var: Value,
                momentum: float, eps: float) -> tuple[Value, Value, Value]:
    type_ = tir.tensor(x)
    given = [v for v in (weight, bias) if v is not None]
    trailing = (1,) * (type_.rank - 2)
    columns = [reshape(ctx, v, (*tir.tensor(v).shape, *trailing)) for v in (mean, var, *given)]

    def body(e: Exprs, a: Value, m: Value, s: Value, *affine: Value) -> Value:
        feed = iter(affine)
        out = e.binary("mul", e.binary("sub", a, m), e.unary("rsqrt", e.binary("add", s, const(e, eps, s))))
        if weight is not None:
            out = e.binary("mul", out, next(feed))
        return out if bias is None else e.binary("add", out, next(feed))

    # The saved statistics of inference are empty tensors.
    empty = ctx.emit.fill(0, (0,), type_.dtype)
    return ctx.emit.like([x, *columns], body), empty, empty


@register(aten.group_norm.default)
def _group_norm(ctx: Context, x: Value, groups: int, weight: Value | None = None, bias: Value | None = None,
                eps: float = 1e-5, *_: Any) -> Value:
    shape = tir.tensor(x).shape
    channels = shape[1]
    if not isinstance(channels, int):
        raise ctx.refuse("the number of channels of group_norm is dynamic", "make it static")
    grouped = reshape(ctx, x, (shape[0], groups, dims.product((channels // groups, *shape[2:]))))
    normal = ctx.emit.insert(tir.LayerNorm(grouped, (), eps=eps, result_types=[tir.tensor(grouped)])).result
    out = reshape(ctx, normal, shape)
    for value, kind in ((weight, "mul"), (bias, "add")):
        if value is not None:
            column = reshape(ctx, value, (channels, *(1 for _ in shape[2:])))
            out = ctx.emit.like([out, column], lambda e, a, b, kind=kind: e.binary(kind, a, b))
    return out
