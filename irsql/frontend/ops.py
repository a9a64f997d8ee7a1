"""The custom operators that keep attention, RMSNorm and RoPE whole in the fused recipe.

Each has a reference implementation in plain torch, so that a captured graph can be executed and compared with the
model it came from. They are never used for anything but that and for tracing.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

import torch
from torch import Tensor

KVStore = dict[int, tuple[Tensor, Tensor, Tensor]]
"""Layer index to the keys ``[B, heads, T, dim]``, values and positions ``[B, T]`` seen so far."""

_STORE: ContextVar[KVStore | None] = ContextVar("irsql_kv_store", default=None)


@contextmanager
def kv_store(store: KVStore | None = None) -> Iterator[KVStore]:
    """Within this context the reference ``irsql::attention`` appends to, and attends over, `store`.

    Outside of any such context a causal attention sees only the rows of its own call.
    """
    value: KVStore = {} if store is None else store
    token = _STORE.set(value)
    try:
        yield value
    finally:
        _STORE.reset(token)


@torch.library.custom_op("irsql::attention", mutates_args=())
def attention(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    positions: Tensor | None,
    layer: int,
    scale: float,
    causal: bool,
    window: int,
    softcap: float,
) -> Tensor:
    """Append this layer's new keys and values to its state, then let every query attend over the state.

    Parameters
    ----------
    q
        Queries ``[B, H, S, D]``, already rotated.
    k, v
        New keys ``[B, Hkv, S, D]`` and values ``[B, Hkv, S, Dv]``; query head ``h`` reads head ``h // (H // Hkv)``.
    positions
        ``[B, S]``: position of each new row in its sequence; None means ``0 … S-1`` and no state. Rows with a
        negative position are padding that nobody attends to.
    layer
        Names the state; -1 where there is none.
    scale
        Factor on the products before the softmax.
    causal
        Whether a query sees only positions up to its own; otherwise it sees all rows of the call.
    window
        How many of them a causal query sees, its own included; 0 for all.
    softcap
        Scaled products become ``softcap * tanh(x / softcap)``; 0 leaves them.

    Returns
    -------
    Tensor
        ``[B, S, H, Dv]``.
    """
    batch, heads, length, _ = q.shape
    at = positions if positions is not None else torch.arange(length).expand(batch, length)
    key_at = at
    store = _STORE.get()
    if causal and positions is not None and store is not None:
        if layer in store:
            past_k, past_v, past_at = store[layer]
            k, v, key_at = torch.cat([past_k, k], 2), torch.cat([past_v, v], 2), torch.cat([past_at, at], 1)
        store[layer] = (k, v, key_at)
    group = heads // k.shape[1]
    k, v = k.repeat_interleave(group, 1), v.repeat_interleave(group, 1)
    scores = torch.matmul(q, k.transpose(2, 3)) * scale
    if softcap:
        scores = softcap * torch.tanh(scores / softcap)
    visible = (key_at >= 0)[:, None, :]
    if causal:
        visible = visible & (key_at[:, None, :] <= at[:, :, None])
        if window:
            visible = visible & (key_at[:, None, :] > at[:, :, None] - window)
    scores = scores.masked_fill(~visible[:, None], torch.finfo(scores.dtype).min)
    weights = torch.softmax(scores, -1, dtype=torch.float32).to(q.dtype)
    return torch.matmul(weights, v).transpose(1, 2).contiguous()


@attention.register_fake
def _(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    positions: Tensor | None,
    layer: int,
    scale: float,
    causal: bool,
    window: int,
    softcap: float,
) -> Tensor:
    return q.new_empty(q.shape[0], q.shape[2], q.shape[1], v.shape[3])


@torch.library.custom_op("irsql::rms_norm", mutates_args=())
def rms_norm(x: Tensor, w: Tensor, eps: float) -> Tensor:
    """``w * (x / sqrt(mean(x**2, last axis) + eps))`` (Zhang and Sennrich, arXiv:1910.07467)."""
    return w * (x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + eps))


@rms_norm.register_fake
def _(x: Tensor, w: Tensor, eps: float) -> Tensor:
    return torch.empty_like(x)


@torch.library.custom_op("irsql::rope", mutates_args=())
def rope(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Rotate the halves of the last axis: ``x * cos + concat(-x[D/2:], x[:D/2]) * sin`` (arXiv:2104.09864).

    `x` is ``[B, H, S, D]``; `cos` and `sin` are ``[B, S, D]`` and the same for all heads.
    """
    first, second = x.chunk(2, -1)
    return x * cos.unsqueeze(1) + torch.cat((-second, first), -1) * sin.unsqueeze(1)


@rope.register_fake
def _(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    if x.shape[-1] != cos.shape[-1] or cos.shape[-1] != sin.shape[-1]:
        raise ValueError(f"irsql::rope rotates whole heads: tables are {cos.shape[-1]} wide, heads {x.shape[-1]}")
    return torch.empty_like(x)
