"""The ``irsql::`` operators of the fused recipe."""

from __future__ import annotations

import torch

from irsql.dialects.tir import ops as tir
from irsql.frontend import ops as _ops  # noqa: F401 - declares the operators
from irsql.frontend.importer.context import Context
from irsql.frontend.importer.contract import attention
from irsql.frontend.importer.registry import register
from irsql.ir.attributes import TensorType
from irsql.ir.core import Value

irsql = torch.ops.irsql


@register(irsql.attention.default)
def _attention(ctx: Context, q: Value, k: Value, v: Value, positions: Value | None, layer: int, scale: float,
               causal: bool, window: int, softcap: float) -> Value:
    result = ctx.result
    if causal and positions is not None and layer in ctx.states:
        append = tir.StateAppend(ctx.states[layer], k, v, positions, result_types=[ctx.states[layer].type])
        state = ctx.emit.insert(append, f"kv.{layer}").result
        ctx.states[layer] = state
        op = tir.Attention(q, state, positions, scale=scale, window=window, softcap=softcap, result_types=[result])
        return ctx.emit.insert(op).result
    if window or softcap:
        raise ctx.refuse("attention without a state takes neither a window nor a soft cap", "capture with aten")
    batch, length, heads, width = result.shape
    dense = attention(ctx, q, k, v, None, causal, scale, (batch, heads, length, width))
    return ctx.emit.permute(dense, [0, 2, 1, 3])


@register(irsql.rms_norm.default)
def _rms_norm(ctx: Context, x: Value, weight: Value, eps: float) -> Value:
    return ctx.emit.insert(tir.RmsNorm(x, weight, eps=eps, result_types=[ctx.result])).result


@register(irsql.rope.default)
def _rope(ctx: Context, x: Value, cos: Value, sin: Value) -> Value:
    shape = tir.tensor(x).shape
    tables = []
    for table in (cos, sin):
        type_ = tir.tensor(table)
        tables.append(ctx.emit.broadcast(table, (shape[0], *type_.shape[1:])))
    result = TensorType(shape, tir.tensor(x).dtype)
    return ctx.emit.insert(tir.Rope(x, *tables, result_types=[result])).result
