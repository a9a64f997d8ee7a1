"""Contractions: everything that multiplies and sums."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch

from irsql.dialects.expr import Exprs
from irsql.dialects.tir import ops as tir
from irsql.frontend.importer.context import Context
from irsql.frontend.importer.elementwise import const
from irsql.frontend.importer.emit import coordinate
from irsql.frontend.importer.reduce import safe_softmax, softmax
from irsql.frontend.importer.registry import register
from irsql.frontend.importer.shape import pointwise, reshape
from irsql.frontend.importer.views import Shape
from irsql.ir import affine, dims
from irsql.ir.affine import AffineMap
from irsql.ir.attributes import I1
from irsql.ir.core import Value
from irsql.ir.dims import Dim

aten = torch.ops.aten


def rows_by(ctx: Context, x: Value, weight: Value, transposed: bool, result: Shape) -> Value:
    """``x[…, K]`` times a matrix ``[K, N]`` (or, transposed, ``[N, K]``).

    Rows that were merged into one axis of symbolic extent are multiplied unmerged: that is a plain contraction, and
    the model most often splits them again.
    """
    source = ctx.flattened.get(x)
    if source is not None and tir.tensor(source).shape[-1:] == tir.tensor(x).shape[-1:]:
        shape = (*tir.tensor(source).shape[:-1], result[-1])
        return reshape(ctx, rows_by(ctx, source, weight, transposed, shape), result)
    rows = [f"r{i}" for i in range(len(result) - 1)]
    return ctx.emit.contract(x, [*rows, "k"], weight, ["n", "k"] if transposed else ["k", "n"], [*rows, "n"], result)


@register(aten.linear.default)
def _linear(ctx: Context, x: Value, weight: Value, bias: Value | None = None) -> Value:
    result = ctx.result
    if tir.tensor(weight).rank == 1:
        rows = [f"r{i}" for i in range(len(result.shape))]
        out = ctx.emit.contract(x, [*rows, "k"], weight, ["k"], rows, result.shape)
    else:
        out = rows_by(ctx, x, weight, True, result.shape)
    return out if bias is None else add(ctx, out, bias)


def add(ctx: Context, x: Value, bias: Value) -> Value:
    """``x + bias``, broadcast to ``x``."""
    return pointwise(ctx, [x, bias], tir.tensor(x), lambda e, a, b: e.binary("add", a, b))


@register(aten.mm.default)
def _mm(ctx: Context, a: Value, b: Value) -> Value:
    return rows_by(ctx, a, b, False, ctx.result.shape)


@register(aten.addmm.default)
def _addmm(ctx: Context, bias: Value, a: Value, b: Value, *, beta: Any = 1, alpha: Any = 1) -> Value:
    return _accumulate(ctx, bias, rows_by(ctx, a, b, False, ctx.result.shape), beta, alpha)


@register(aten.baddbmm.default)
def _baddbmm(ctx: Context, bias: Value, a: Value, b: Value, *, beta: Any = 1, alpha: Any = 1) -> Value:
    return _accumulate(ctx, bias, _bmm(ctx, a, b), beta, alpha)


def _accumulate(ctx: Context, bias: Value, product: Value, beta: Any, alpha: Any) -> Value:
    if alpha != 1:
        product = ctx.emit.like([product], lambda e, p: e.binary("mul", p, const(e, alpha, p)))
    if beta == 0:
        return product
    if beta != 1:
        bias = ctx.emit.like([bias], lambda e, b: e.binary("mul", b, const(e, beta, b)))
    return add(ctx, product, bias)


@register(aten.bmm.default)
def _bmm(ctx: Context, a: Value, b: Value) -> Value:
    return ctx.emit.contract(a, ["b", "m", "k"], b, ["b", "k", "n"], ["b", "m", "n"], ctx.result.shape)


@register(aten.dot.default, aten.mv.default, aten.matmul.default)
def _matmul(ctx: Context, a: Value, b: Value) -> Value:
    result = ctx.result.shape
    ranks = tir.tensor(a).rank, tir.tensor(b).rank
    if ranks[1] == 2 and ranks[0] >= 2:
        return rows_by(ctx, a, b, False, result)
    batch = [f"b{i}" for i in range(max(ranks) - 2)]

    def labels(rank: int, row: str, column: str, alone: str) -> list[str]:
        return [alone] if rank == 1 else [*batch[len(batch) - (rank - 2) :], row, column]

    left, right = labels(ranks[0], "m", "k", "k"), labels(ranks[1], "k", "n", "k")
    out = batch + ["m"] * (ranks[0] > 1) + ["n"] * (ranks[1] > 1)
    return ctx.emit.contract(a, left, b, right, out, result)


@register(aten.outer.default)
def _outer(ctx: Context, a: Value, b: Value) -> Value:
    return ctx.emit.contract(a, ["m"], b, ["n"], ["m", "n"], ctx.result.shape)


@register(aten.einsum.default)
def _einsum(ctx: Context, equation: str, operands: Sequence[Value], **_: Any) -> Value:
    equation = equation.replace(" ", "")
    left, arrow, out = equation.partition("->")
    if "." in equation:
        raise ctx.refuse("einsum with an ellipsis is not known", "write all axes of the equation")
    inputs = left.split(",")
    if not arrow:
        out = "".join(sorted(c for c in set(left) - {","} if left.count(c) == 1))
    sizes: dict[str, Dim] = {}
    for labels, value in zip(inputs, operands, strict=True):
        for label, size in zip(labels, tir.tensor(value).shape, strict=True):
            if sizes.setdefault(label, size) == 1:
                sizes[label] = size
    value, labels = operands[0], inputs[0]
    if len(operands) == 1:
        return _contract_with_one(ctx, value, labels, out)
    for n in range(1, len(operands)):
        needed = set("".join(inputs[n + 1 :])) | set(out)
        kept = out if n == len(operands) - 1 else "".join(dict.fromkeys(c for c in labels + inputs[n] if c in needed))
        shape = tuple(sizes[c] for c in kept)
        value, labels = ctx.emit.contract(value, labels, operands[n], inputs[n], kept, shape), kept
    return value


def _contract_with_one(ctx: Context, x: Value, labels: str, out: str) -> Value:
    one = ctx.emit.fill(1, (), tir.tensor(x).dtype)
    return ctx.emit.contract(x, labels, one, "", out, ctx.result.shape)


@register(aten.scaled_dot_product_attention.default)
def _attention(ctx: Context, q: Value, k: Value, v: Value, mask: Value | None = None, dropout: float = 0.0,
               causal: bool = False, *, scale: float | None = None, enable_gqa: bool = False) -> Value:
    if dropout:
        raise ctx.refuse("dropout inside of attention draws random numbers", "call eval() on the module first")
    return attention(ctx, q, k, v, mask, causal, scale, ctx.result.shape)


def attention(ctx: Context, q: Value, k: Value, v: Value, mask: Value | None, causal: bool, scale: float | None,
              result: Shape) -> Value:
    """Dense softmax attention, spelled out; heads (axis -3) of ``k`` and ``v`` may be fewer than those of ``q``.

    Parameters
    ----------
    q, k, v
        ``[…, H, S, D]``, ``[…, G, T, D]``, ``[…, G, T, Dv]``.
    mask
        Booleans (False hides) or numbers to add, broadcast to ``[…, H, S, T]``.
    causal
        Whether query s sees keys 0 … s only.
    scale
        Factor on the products; None means ``D ** -0.5``.
    result
        Shape of the result, ``[…, H, S, Dv]``.
    """
    width = tir.tensor(q).shape[-1]
    if scale is None:
        if not isinstance(width, int):
            raise ctx.refuse("the scale of attention depends on a dynamic dim", "give scale= explicitly")
        scale = 1 / math.sqrt(width)
    length = tir.tensor(k).shape[-2]
    shape = (*result[:-1], length)
    scores = _by_heads(ctx, q, k, transposed=True, result=shape, over=width)
    scores = ctx.emit.like([scores], lambda e, s: e.binary("mul", s, const(e, scale, s)))
    if causal:
        scores = ctx.emit.pointwise([scores], shape, tir.tensor(scores).dtype, _hide_future(len(shape)))
    if mask is not None:
        scores = ctx.emit.like([scores, mask], _hide if tir.tensor(mask).dtype == I1 else _shift)
    weights = softmax(ctx, scores, -1) if mask is None else safe_softmax(ctx, scores)
    return _by_heads(ctx, weights, v, transposed=False, result=result, over=length)


def _hide(e: Exprs, score: Value, visible: Value) -> Value:
    return e.select(visible, score, const(e, -math.inf, score))


def _shift(e: Exprs, score: Value, bias: Value) -> Value:
    return e.binary("add", score, e.cast(bias, score.type))


def _hide_future(rank: int) -> Any:
    def body(e: Exprs, score: Value) -> Value:
        return _hide(e, score, e.compare("le", coordinate(e, rank - 1), coordinate(e, rank - 2)))

    return body


def _by_heads(ctx: Context, lhs: Value, rhs: Value, transposed: bool, result: Shape, over: Dim) -> Value:
    """Batched matrix product whose right side may have fewer heads (axis -3) than the left."""
    rank = len(result)
    bounds = (*result, over)
    left = [affine.dim(i) for i in range(rank - 1)] + [affine.dim(rank)]
    pair = [affine.dim(rank - 1), affine.dim(rank)]
    right = [affine.dim(i) for i in range(rank - 2)] + (pair if transposed else pair[::-1])
    for exprs, value in ((left, lhs), (right, rhs)):
        shape = tir.tensor(value).shape
        del exprs[: len(exprs) - len(shape)]
        for i, size in enumerate(shape[:-2]):
            want = result[rank - len(shape) + i]
            if size == 1 and want != 1:
                exprs[i] = affine.const(0)
            elif size != want:
                group = dims.exact_div(want, size)
                if not isinstance(group, int):
                    raise ctx.refuse(f"{want} query heads do not share {size} key heads evenly")
                exprs[i] = affine.floordiv(exprs[i], group)
    loops = rank + 1
    maps = (AffineMap(loops, tuple(left)), AffineMap(loops, tuple(right)), AffineMap.select(loops, range(rank)))
    return ctx.emit.contract_maps(lhs, rhs, maps, bounds, result)
