"""Operators over axes: reductions, orderings, softmax, norms, masks of -inf."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional as F

from tests.fuzz.draw import INTEGERS, Draw, Item, Made, bounded, kind

INF = float("inf")


def _axis_of(g: Draw, *dtypes: torch.dtype, exact: bool = False, static: bool = True) -> tuple[Item, int] | None:
    x = g.pick(*dtypes, exact=exact, rank=1)
    axis = g.axis(x, static)
    return None if x is None or axis is None else (x, axis)


def _masked(g: Draw) -> tuple[Item, Item] | None:
    x = g.pick(rank=1)
    m = None if x is None else g.partner(x, torch.bool)
    return None if x is None or m is None or m.rank > x.rank else (x, m)


@kind(2)
def sum_(g: Draw) -> Made | None:
    x = g.pick(torch.float32, torch.float32, torch.bool, *INTEGERS, rank=1)
    if x is None:
        return None
    axes, keep = tuple(g.rng.sample(range(x.rank), g.rng.randint(1, x.rank))), g.chance(0.3)
    if not x.value.is_floating_point():
        return Made(f"sum{axes}", lambda v: v.sum(axes, keep), [x], exact=True)
    return Made(f"sum{axes}", lambda v: bounded(v.sum(axes, keep)), [x], exact=x.exact)


@kind()
def sum_all(g: Draw) -> Made | None:
    x = g.pick()
    return None if x is None else Made("sum", lambda v: bounded(v.sum()), [x], exact=x.exact)


@kind(2)
def extreme(g: Draw) -> Made | None:
    found = _axis_of(g, torch.float32, *INTEGERS)
    if found is None:
        return None
    (x, axis), name, keep = found, g.rng.choice(["amax", "amin"]), g.chance(0.5)
    return Made(f"{name}({axis}, {keep})", lambda v: getattr(v, name)(axis, keep), [x], exact=x.exact)


@kind()
def extreme_index(g: Draw) -> Made | None:
    found = _axis_of(g, torch.float32, *INTEGERS, exact=True)
    if found is None:
        return None
    (x, axis), name, part = found, g.rng.choice(["max", "min"]), g.rng.randint(0, 1)
    return Made(f"{name}({axis})[{part}]", lambda v: getattr(v, name)(axis)[part], [x], exact=True)


@kind()
def statistic(g: Draw) -> Made | None:
    name = g.rng.choice(list(STATISTIC))
    found = _axis_of(g, static=name not in ("norm", "norm 1"))
    if found is None:
        return None
    x, axis = found
    return Made(f"{name}({axis})", lambda v: bounded(STATISTIC[name](v, axis)), [x])


STATISTIC: dict[str, Callable[[Tensor, int], Tensor]] = {
    "mean": lambda v, axis: v.mean(axis), "logsumexp": lambda v, axis: v.logsumexp(axis),
    "var": lambda v, axis: v.var(axis, correction=0), "std": lambda v, axis: (v.var(axis, correction=0) + 0.1).sqrt(),
    "norm": lambda v, axis: (v.square().sum(axis) + 0.1).sqrt(), "norm 1": lambda v, axis: v.norm(1, axis),
    "mean kept": lambda v, axis: v - v.mean(axis, keepdim=True),
}


@kind()
def mean_of_dynamic(g: Draw) -> Made | None:
    """The mean of no rows is NaN."""
    found = _axis_of(g, static=False)
    if found is None:
        return None
    x, axis = found
    return Made(f"mean({axis})", lambda v: v.mean(axis), [x])


@kind()
def product(g: Draw) -> Made | None:
    """Of exact values alone: a product of many rounded ones has the sum of their relative errors, in PyTorch too."""
    found = _axis_of(g, exact=True)
    if found is None:
        return None
    x, axis = found
    return Made(f"prod({axis})", lambda v: bounded(v.clamp(-1.5, 1.5).prod(axis)), [x])


@kind()
def anywhere(g: Draw) -> Made | None:
    found = _axis_of(g, torch.bool, static=False)
    if found is None:
        return None
    (x, axis), name = found, g.rng.choice(["any", "all"])
    return Made(f"{name}({axis})", lambda v: getattr(v, name)(axis), [x], exact=True)


@kind(2)
def argmax(g: Draw) -> Made | None:
    found = _axis_of(g, torch.float32, torch.float32, *INTEGERS, exact=True)
    if found is None:
        return None
    (x, axis), name, keep = found, g.rng.choice(["argmax", "argmin"]), g.chance(0.3)
    return Made(f"{name}({axis}, {keep})", lambda v: getattr(v, name)(axis, keep), [x], exact=True)


@kind()
def argmax_all(g: Draw) -> Made | None:
    x = g.pick(exact=True)
    return None if x is None else Made("argmax", lambda v: v.argmax(), [x], exact=True)


@kind()
def cumsum(g: Draw) -> Made | None:
    found = _axis_of(g, torch.float32, torch.bool, *INTEGERS, static=False)
    if found is None:
        return None
    x, axis = found
    if not x.value.is_floating_point():
        return Made(f"cumsum({axis})", lambda v: v.cumsum(axis) % 23, [x], exact=True)
    return Made(f"cumsum({axis})", lambda v: bounded(v.cumsum(axis)), [x], exact=x.exact)


@kind(2)
def softmax(g: Draw) -> Made | None:
    found = _axis_of(g, static=False)
    if found is None:
        return None
    x, axis = found
    if g.chance(0.3):
        return Made(f"log_softmax({axis})", lambda v: v.log_softmax(axis).clamp(-8), [x])
    return Made(f"softmax({axis})", lambda v: v.softmax(axis), [x])


@kind(2)
def masked_softmax(g: Draw) -> Made | None:
    """What is hidden is -inf; the first of every row is always seen."""
    found = _masked(g)
    if found is None:
        return None
    return Made("masked softmax", lambda v, hidden: v.masked_fill(
        hidden & (torch.arange(v.shape[-1]) > 0), -INF).softmax(-1), found)


@kind(4)
def hidden_softmax(g: Draw) -> Made | None:
    """All of a row may be hidden, which gives NaN, or another number in its place."""
    found = _masked(g)
    if found is None:
        return None
    name, function = g.rng.choice([
        ("softmax", lambda p: p.softmax(-1)), ("log_softmax", lambda p: p.log_softmax(-1)),
        ("softmax or 0", lambda p: (q := p.softmax(-1)).masked_fill(q.isnan(), 0.0)),
        ("softmax or 2", lambda p: torch.where((p == -INF).all(-1, keepdim=True), 2.0, p.softmax(-1))),
        ("logsumexp", lambda p: p.logsumexp(-1)), ("exp", torch.exp), ("nothing", lambda p: p + 1),
    ])  # fmt: skip
    return Made(f"{name} of hidden", lambda v, hidden: function(v.masked_fill(hidden, -INF)), found)


@kind(2)
def masked_max(g: Draw) -> Made | None:
    found, name = _masked(g), g.rng.choice(["amax", "argmax"])
    axis = None if found is None else g.axis(found[0])
    if found is None or axis is None or (name == "argmax" and not found[0].exact):
        return None
    if name == "argmax":
        return Made(f"argmax({axis}) of hidden", lambda v, hidden: v.masked_fill(hidden, -INF).argmax(axis), found,
                    exact=True)
    return Made(f"amax({axis}) of hidden", lambda v, hidden: v.masked_fill(hidden, -INF).amax(axis).clamp_min(-8),
                found, exact=found[0].exact)


@kind()
def sort(g: Draw) -> Made | None:
    found = _axis_of(g, torch.float32, *INTEGERS, exact=True)
    if found is None:
        return None
    (x, axis), down, part = found, g.chance(0.5), g.rng.randint(0, 1)
    return Made(f"sort({axis}, {down})[{part}]", lambda v: torch.sort(v, stable=True, dim=axis, descending=down)[part],
                [x], exact=True)


@kind()
def topk(g: Draw) -> Made | None:
    found = _axis_of(g)
    if found is None:
        return None
    (x, axis), largest = found, g.chance(0.5)
    k = g.rng.randint(1, x.value.shape[axis])
    return Made(f"topk({k}, {axis}, {largest})", lambda v: v.topk(k, axis, largest)[0], [x], exact=x.exact)


@kind()
def topk_index(g: Draw) -> Made | None:
    """Among equals PyTorch leaves the order open, so the values are made different."""
    found = _axis_of(g, exact=True)
    if found is None:
        return None
    (x, axis), largest = found, g.chance(0.5)
    n = x.value.shape[axis]
    k, shape = g.rng.randint(1, n), [n if i == axis else 1 for i in range(x.rank)]
    return Made(f"topk({k}, {axis}, {largest})[1]", lambda v: (
        v * n + torch.arange(n).reshape(shape) * 0.5).topk(k, axis, largest)[1], [x], exact=True)


@kind()
def norm(g: Draw) -> Made | None:
    x = g.pick(rank=1)
    if x is None or x.rank - 1 not in x.static():
        return None
    n = x.value.shape[-1]
    w, b = g.weight(n), g.weight(n)
    name, function = g.rng.choice([
        ("layer_norm", lambda v: F.layer_norm(v, (n,), g.weights[w], eps=0.1)),
        ("layer_norm with bias", lambda v: F.layer_norm(v, (n,), g.weights[w], g.weights[b], eps=0.1)),
        ("rms_norm", lambda v: F.rms_norm(v, (n,), g.weights[w], eps=0.1)),
        ("rms", lambda v: g.weights[w] * (v * torch.rsqrt(v.pow(2).mean(-1, keepdim=True) + 0.1))),
    ])  # fmt: skip
    return Made(name, function, [x])
