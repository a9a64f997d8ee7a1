"""How much work a Llama's steps are: multiply-adds from its shape.

Counted are the products that a step cannot do without: every weight matrix once a token, Q·K and P·V over the positions
that a query sees. Norms, softmax, the rotary embedding and the lookup of an embedding count nothing.
"""

from __future__ import annotations

from irsql.tools.bench.synthetic import Shape


def body_macs(shape: Shape) -> int:
    """Multiply-adds of one token with all weight matrices of the layers."""
    heads, keys = shape.heads * shape.head_dim, shape.kv_heads * shape.head_dim
    attention = shape.hidden * (2 * heads + 2 * keys)
    return shape.layers * (attention + 3 * shape.hidden * shape.intermediate)


def head_macs(shape: Shape) -> int:
    """Multiply-adds of the logits of one position."""
    return shape.hidden * shape.vocab


def attention_macs(shape: Shape, first: int, count: int) -> int:
    """Multiply-adds of Q·K and P·V for ``count`` queries from ``first`` on: each sees itself and what is before."""
    seen = count * (2 * first + count + 1) // 2
    return shape.layers * 2 * shape.heads * shape.head_dim * seen


def step_macs(shape: Shape, first: int, count: int = 1) -> tuple[int, int]:
    """Multiply-adds of a step over ``count`` tokens at positions from ``first`` on: without the head, and of the head.

    Only the last position's logits are computed, so the head counts once.
    """
    return count * body_macs(shape) + attention_macs(shape, first, count), head_macs(shape)

