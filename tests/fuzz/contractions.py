"""Contractions: linear layers, products of matrices, einsum, attention."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from tests.fuzz.draw import EXTENTS, MOST_ELEMENTS, Draw, Item, Made, bounded, kind

INF = float("inf")


def _features(g: Draw, rank: int = 1, exact: bool = False) -> Item | None:
    """A value whose last axis is static."""
    x = g.pick(rank=rank, exact=exact)
    return None if x is None or x.rank - 1 not in x.static() else x


@kind(2)
def linear(g: Draw) -> Made | None:
    x = _features(g)
    if x is None:
        return None
    whole, n = x.exact and g.chance(0.5), g.rng.choice(EXTENTS)
    w, b = g.weight(n, x.value.shape[-1], whole=whole), g.weight(n, whole=whole)
    with_bias = g.chance(0.4)
    return Made(f"linear({n}, {with_bias})",
                lambda v: bounded(F.linear(v, g.weights[w], g.weights[b] if with_bias else None)), [x], exact=whole)


@kind()
def computed_weight(g: Draw) -> Made | None:
    """A product with a weight that is computed from parameters, at load time."""
    x = _features(g)
    if x is None:
        return None
    n, k = x.value.shape[-1], g.rng.choice(EXTENTS)
    a, b, s = g.weight(n, k), g.weight(n, k), g.weight(n, 1)
    name, function = g.rng.choice([
        ("a + b", lambda: g.weights[a] + g.weights[b]), ("s * a", lambda: g.weights[s] * g.weights[a]),
        ("cat", lambda: torch.cat([g.weights[a], g.weights[b]], 1)), ("rows", lambda: g.weights[a].flip(0)),
        ("normalised", lambda: g.weights[a] / (g.weights[a].norm(dim=0, keepdim=True) + 1)),
        ("softmax", lambda: g.weights[a].softmax(0)), ("tril", lambda: g.weights[a].tril()),
        ("tied", lambda: (g.weights[a] @ g.weights[a].T) @ g.weights[b]),
    ])  # fmt: skip
    return Made(f"matmul of {name}", lambda v: bounded(v @ function()), [x])


@kind()
def addmm(g: Draw) -> Made | None:
    x = _features(g, rank=2)
    if x is None or x.rank != 2:
        return None
    n, k = x.value.shape[-1], g.rng.choice(EXTENTS)
    w, b = g.weight(n, k), g.weight(k)
    return Made("addmm", lambda v: bounded(torch.addmm(g.weights[b], v, g.weights[w], beta=0.5, alpha=2)), [x])


@kind(2)
def matmul(g: Draw) -> Made | None:
    """Two values, which may share a dynamic axis or contract over one."""
    a, b = g.pick(rank=2), g.pick(rank=1)
    if a is None or b is None:
        return None
    turn = g.rng.choice([(False, True), (True, False), (False, False), (True, True)])
    if b.rank == 1:
        turn = (turn[0], False)

    def function(v: Tensor, w: Tensor) -> Tensor:
        return bounded((v.mT if turn[0] else v) @ (w.mT if turn[1] else w))

    return Made(f"matmul{turn}", function, [a, b])


@kind()
def gram(g: Draw) -> Made | None:
    a = g.pick(rank=2)
    return None if a is None else Made("gram", lambda v: bounded(v @ v.mT), [a])


@kind()
def exact_matmul(g: Draw) -> Made | None:
    """Sums of products of multiples of 1/2, or of integers."""
    a = g.pick(torch.float32, torch.int64, exact=True, rank=2)
    if a is None:
        return None
    b = g.rng.choice(g.among(a.value.dtype, exact=True, rank=2))
    return Made("matmul of whole", lambda v, w: bounded(v @ w.mT), [a, b], exact=a.value.dtype == torch.int64)


@kind(2)
def einsum(g: Draw) -> Made | None:
    text = g.rng.choice(["bij,bkj->bik", "ij,jk", "ij,j->i", "ij,kj->ik", "i,j->ij", "bij->ji", "ij,ij->", "bi,bi->b",
                         "ij,kj->jik", "bij,kj->bk", "ii->i", "bij,bij->bj", "ij,kj,k->i"])
    terms = text.split("->")[0].split(",")
    found = []
    for term in terms:
        fits = [i for i in g.among(torch.float32) if i.rank == len(term)]
        if not fits:
            return None
        found.append(g.rng.choice(fits))
    return Made(f"einsum({text})", lambda *v: bounded(torch.einsum(text, *v)), found)


@kind()
def outer(g: Draw) -> Made | None:
    fits = [i for i in g.among(torch.float32) if i.rank == 1]
    return Made("outer", torch.outer, [g.rng.choice(fits), g.rng.choice(fits)]) if fits else None


@kind(4)
def attention(g: Draw) -> Made | None:
    """Heads over the rows of two values, with and without grouped keys and masks that may hide all."""
    x = _features(g, rank=2)
    if x is None or x.rank > 3 or x.value.numel() * 4 > MOST_ELEMENTS * 3:
        return None
    fits = [i for i in g.among(torch.float32, rank=2) if i.rank == x.rank and i.rank - 1 in i.static()
            and all(v.shape[:-2] == w.shape[:-2] for v, w in zip(i.runs, x.runs, strict=True))]
    y = g.rng.choice(fits)
    groups, kv, width = g.rng.choice([1, 1, 2, 3]), g.rng.choice([1, 2]), g.rng.choice([1, 2, 3, 4, 6, 8])
    heads, value_width = groups * kv, g.rng.choice([width, 5])
    wq = g.weight(heads * width, x.value.shape[-1])
    wk, wv = g.weight(kv * width, y.value.shape[-1]), g.weight(kv * value_width, y.value.shape[-1])
    mask = g.rng.choice(["", "causal", "bool", "float", "-inf"])
    scale = g.rng.choice([None, 0.3])

    def split(v: Tensor, w: int, count: int) -> Tensor:
        return F.linear(v, g.weights[w]).unflatten(-1, (count, -1)).transpose(-2, -3)

    def function(v: Tensor, u: Tensor) -> Tensor:
        rows, columns = torch.arange(v.shape[-2])[:, None], torch.arange(u.shape[-2])
        seen = (rows + columns) % 3 > rows % 4 - 1
        masks = {"bool": seen, "float": (rows - columns) * 0.1, "-inf": torch.where(columns <= rows - 1, 0.0, -INF)}
        out = F.scaled_dot_product_attention(split(v, wq, heads), split(u, wk, kv), split(u, wv, kv), masks.get(mask),
                                             is_causal=mask == "causal", scale=scale, enable_gqa=groups > 1)
        return bounded(out.transpose(-2, -3).flatten(-2))

    text = f"attention({heads} heads, {kv} of keys, width {width}, {value_width}, mask {mask or 'none'})"
    return Made(text, function, [x, y])


@kind()
def attention_by_hand(g: Draw) -> Made | None:
    """What torch's attention does, from its parts, over the rows of one value."""
    x = _features(g, rank=2)
    if x is None or x.rank > 3:
        return None
    w = g.weight(x.value.shape[-1], x.value.shape[-1])
    hide = g.chance(0.6)

    def function(v: Tensor) -> Tensor:
        scores = (v @ g.weights[w]) @ v.mT * 0.5
        if hide:
            n = v.shape[-2]
            scores = scores.masked_fill(torch.ones(n, n, dtype=torch.bool).triu(1), -INF)
        return bounded(scores.softmax(-1) @ v)

    return Made(f"softmax(x w xT){' causal' * hide} x", function, [x])
