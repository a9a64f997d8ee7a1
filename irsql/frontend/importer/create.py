"""Operators that make tensors from nothing but numbers and sizes."""

from __future__ import annotations

from typing import Any

import torch

from irsql.dialects.expr import Exprs
from irsql.dialects.tir import ops as tir
from irsql.frontend.importer.context import Context
from irsql.frontend.importer.emit import coordinate, scalar
from irsql.frontend.importer.registry import register
from irsql.ir.attributes import F64, I64, TensorType
from irsql.ir.core import Value

aten = torch.ops.aten


def _fill(ctx: Context, value: Any) -> Value:
    result = ctx.result
    return ctx.emit.fill(value, result.shape, result.dtype)


@register(aten.zeros.default, aten.zeros_like.default, aten.new_zeros.default)
def _zeros(ctx: Context, *_: Any, **__: Any) -> Value:
    return _fill(ctx, 0)


@register(aten.ones.default, aten.ones_like.default, aten.new_ones.default)
def _ones(ctx: Context, *_: Any, **__: Any) -> Value:
    return _fill(ctx, 1)


# The contents of an uninitialised tensor are anybody's choice; zero makes runs repeatable.
register(aten.empty.memory_format, aten.empty_like.default, aten.new_empty.default)(_zeros)


@register(aten.full.default, aten.full_like.default)
def _full(ctx: Context, _: Any, value: Any, **__: Any) -> Value:
    return _fill(ctx, value)


@register(aten.new_full.default)
def _new_full(ctx: Context, _: Any, __: Any, value: Any, **___: Any) -> Value:
    return _fill(ctx, value)


@register(aten.scalar_tensor.default)
def _scalar_tensor(ctx: Context, value: Any, **_: Any) -> Value:
    return _fill(ctx, value)


@register(aten.fill.Scalar)
def _fill_scalar(ctx: Context, _: Any, value: Any) -> Value:
    return _fill(ctx, value)


@register(aten.fill.Tensor)
def _fill_tensor(ctx: Context, _: Any, value: Value) -> Value:
    result = ctx.result
    return ctx.emit.pointwise([value], result.shape, result.dtype, lambda e, v: v)


@register(aten.arange.default)
def _arange(ctx: Context, end: Any, **_: Any) -> Value:
    return arange(ctx, 0, 1)


@register(aten.arange.start)
def _arange_start(ctx: Context, start: Any, end: Any, **_: Any) -> Value:
    return arange(ctx, start, 1)


@register(aten.arange.start_step)
def _arange_step(ctx: Context, start: Any, end: Any, step: Any = 1, **_: Any) -> Value:
    return arange(ctx, start, step)


def arange(ctx: Context, start: Any, step: Any) -> Value:
    """``start + step * i`` with the shape and type of the node's result."""
    result = ctx.result
    if not isinstance(step, int) or isinstance(start, float):
        return _arange_float(ctx, start, step)
    fixed = start if isinstance(start, int) else 0
    counted = TensorType(result.shape, I64)
    iota: Value = ctx.emit.insert(tir.Iota(start=fixed, step=step, result_types=[counted])).result
    if not isinstance(start, int):
        iota = ctx.emit.like([iota], lambda e, i: e.binary("add", i, scalar(e, start, I64)))
    return ctx.emit.cast(iota, result.dtype)


def _arange_float(ctx: Context, start: Any, step: Any) -> Value:
    """ATen computes the elements of a float range in double and rounds once."""
    result = ctx.result

    def body(e: Exprs) -> Value:
        steps = e.binary("mul", e.cast(coordinate(e, 0), F64), scalar(e, step, F64))
        return e.cast(e.binary("add", scalar(e, start, F64), steps), result.dtype)

    return ctx.emit.map([], [], result, body)
