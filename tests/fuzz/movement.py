"""Operators that move values: views, slices, concatenation, lookups."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from tests.fuzz.draw import INTEGERS, WORDS, Draw, Item, Made, kind

ANY = (torch.float32, torch.float32, torch.int64, torch.bool, *INTEGERS)


def _any(g: Draw, rank: int = 0) -> Item | None:
    return g.pick(g.rng.choice(ANY), rank=rank)


@kind(4)
def view(g: Draw) -> Made | None:
    x = _any(g)
    if x is None:
        return None
    at = g.rng.randint(0, x.rank)
    order = g.rng.sample(range(x.rank), x.rank)
    other = list(range(x.rank))[::-1]
    name, function = g.rng.choice([
        (f"unsqueeze({at})", lambda v: v.unsqueeze(at)), (f"permute({order})", lambda v: v.permute(order)),
        (f"expand({at})", lambda v: v.unsqueeze(at).expand(*v.shape[:at], 3, *v.shape[at:])),
        ("reverse axes", lambda v: v.permute(other)), ("squeeze", lambda v: v.squeeze(-1)),
        ("squeeze all", lambda v: v.squeeze()), ("movedim", lambda v: v.movedim(0, -1)),
        ("flatten", lambda v: v.flatten()), ("flatten rows", lambda v: v.flatten(0, 1)),
        ("reshape", lambda v: v.reshape(-1, v.shape[-1])), ("one more", lambda v: v[None, ..., None]),
        ("merge last", lambda v: v.flatten(-2)), ("transpose", lambda v: v.transpose(0, -1)),
        ("diagonal", lambda v: v.diagonal(0, -1, -2)), ("diagonal 1", lambda v: v.diagonal(1, -2, -1)),
        ("merge, split", lambda v: v.flatten(0, 1).unflatten(0, (v.shape[0], v.shape[1]))),
    ])  # fmt: skip
    return Made(name, function, [x], exact=x.exact)


@kind(4)
def slice_(g: Draw) -> Made | None:
    x = _any(g, rank=1)
    axis = g.axis(x)
    if x is None or axis is None:
        return None
    n = x.value.shape[axis]
    start, step = g.rng.randint(0, n - 1), g.rng.randint(1, 3)
    stop, k = g.rng.randint(start, n), g.rng.choice([k for k in range(1, n + 1) if n % k == 0])
    name, function = g.rng.choice([
        (f"[{start}::{step}] at {axis}", lambda v: v[(*[slice(None)] * axis, slice(start, None, step))]),
        (f"[{start}:{stop}] at {axis}", lambda v: v[(*[slice(None)] * axis, slice(start, stop))]),
        (f"flip({axis})", lambda v: v.flip(axis)), (f"roll({start}, {axis})", lambda v: v.roll(start, axis)),
        (f"select({axis}, {start})", lambda v: v.select(axis, start)),
        (f"repeat_interleave(2, {axis})", lambda v: v.repeat_interleave(2, axis)),
        (f"narrow({axis}, {start})", lambda v: v.narrow(axis, start, n - start)),
        (f"unflatten({axis}, {k})", lambda v: v.unflatten(axis, (k, n // k))),
        (f"chunk(2, {axis})", lambda v: v.chunk(2, axis)[-1]), (f"split(2, {axis})", lambda v: v.split(2, axis)[0]),
        (f"unfold({axis}, {k}, {step})", lambda v: v.unfold(axis, k, step)),
        (f"slice_scatter({axis}, {start})",
         lambda v: torch.slice_scatter(v, v.narrow(axis, 0, n - start), axis, start)),
        (f"select_scatter({axis}, {start})",
         lambda v: torch.select_scatter(v, v.select(axis, 0), axis, start)),
        (f"fill [{start}] at {axis}", lambda v: _filled(v, axis, start)),
    ])  # fmt: skip
    return Made(name, function, [x], exact=x.exact)


def _filled(x: Tensor, axis: int, at: int) -> Tensor:
    out = x.clone()
    out.select(axis, at).fill_(1)
    return out


@kind(2)
def slice_of_dynamic(g: Draw) -> Made | None:
    x = _any(g, rank=1)
    axes = [] if x is None else [i for i in range(x.rank) if not x.is_static(i)]
    if x is None or not axes:
        return None
    axis = g.rng.choice(axes)
    before: list[slice] = [slice(None)] * axis
    name, function = g.rng.choice([
        ("[1:]", lambda v: v[(*before, slice(1, None))]), ("[:-1]", lambda v: v[(*before, slice(None, -1))]),
        ("[:2]", lambda v: v[(*before, slice(None, 2))]), ("[-2:]", lambda v: v[(*before, slice(-2, None))]),
        ("[::2]", lambda v: v[(*before, slice(None, None, 2))]), ("flip", lambda v: v.flip(axis)),
        ("double", lambda v: v.repeat_interleave(2, axis)),
        ("cat with itself", lambda v: torch.cat([v, v], axis)),
        ("cat with ones", lambda v: torch.cat([torch.ones_like(v.narrow(axis, 0, 0)), v], axis)),
    ])  # fmt: skip
    return Made(f"{name} at {axis}", function, [x], exact=x.exact)


@kind()
def triangle(g: Draw) -> Made | None:
    x, k = g.pick(rank=2), g.rng.randint(-2, 2)
    name = g.rng.choice(["tril", "triu"])
    return None if x is None else Made(f"{name}({k})", lambda v: getattr(torch, name)(v, k), [x], exact=x.exact)


@kind(2)
def cat(g: Draw) -> Made | None:
    x = _any(g, rank=1)
    axis = g.axis(x, static=False)
    if x is None or axis is None:
        return None

    def rest(v: Tensor) -> list[int]:
        return [n for j, n in enumerate(v.shape) if j != axis]

    fits = [i for i in g.among(x.value.dtype) if i.rank == x.rank
            and all(rest(v) == rest(w) for v, w in zip(i.runs, x.runs, strict=True))]
    y, stack = g.rng.choice(fits), g.chance(0.3)
    if stack:
        return Made(f"stack({axis})", lambda a, b: torch.stack([b, a], axis), [x, y], exact=x.exact and y.exact)
    return Made(f"cat({axis})", lambda a, b: torch.cat([a, b, a], axis), [x, y], exact=x.exact and y.exact)


@kind()
def pad(g: Draw) -> Made | None:
    x = g.pick(torch.float32, torch.int64, rank=1)
    if x is None:
        return None
    left, right = g.rng.randint(-1, 2), g.rng.randint(-1, 2)
    return Made(f"pad({left}, {right})", lambda v: F.pad(v, (left, right), value=1), [x], exact=x.exact)


@kind(2)
def lookup(g: Draw) -> Made | None:
    ids = g.pick(torch.int64)
    if ids is None:
        return None
    w, padding = g.weight(WORDS, g.rng.choice([1, 3, 4, 6]), whole=True), g.rng.choice([None, 0])
    return Made("embedding", lambda i: F.embedding(i % WORDS, g.weights[w], padding), [ids], exact=True)


@kind(2)
def index(g: Draw) -> Made | None:
    x, ids = _any(g, rank=1), g.pick(torch.int64)
    axis = g.axis(x)
    if x is None or ids is None or axis is None:
        return None
    n = x.value.shape[axis]
    before: list[slice] = [slice(None)] * axis
    if ids.rank == 1 and g.chance(0.4):
        return Made(f"index_select({axis})", lambda v, i: v.index_select(axis, i % n), [x, ids], exact=x.exact)
    if g.chance(0.4):
        return Made(f"index({axis}) from the end", lambda v, i: v[(*before, i % n - n)], [x, ids], exact=x.exact)
    return Made(f"index({axis})", lambda v, i: v[(*before, i % n)], [x, ids], exact=x.exact)


@kind()
def index_two(g: Draw) -> Made | None:
    """Two axes at once."""
    x, i, j = g.pick(rank=2), g.pick(torch.int64), g.pick(torch.int64)
    if x is None or i is None or j is None or not {0, x.rank - 1} <= set(x.static()):
        return None
    n, m = x.value.shape[0], x.value.shape[-1]
    return Made("index([i, ..., j])", lambda v, a, b: v[a % n, ..., b % m], [x, i, j], exact=x.exact)


@kind()
def own_row(g: Draw) -> Made | None:
    """An element of every row, at a place that the row names."""
    x = g.pick(rank=2)
    if x is None or x.rank != 2 or 1 not in x.static():
        return None
    n = x.value.shape[1]
    fits = [i for i in g.among(torch.int64) if i.rank == 1
            and all(len(v) == len(w) for v, w in zip(i.runs, x.runs, strict=True))]
    if not fits:
        return None
    return Made("[arange, i]", lambda v, i: v[torch.arange(v.shape[0]), i % n], [x, g.rng.choice(fits)], exact=x.exact)


@kind()
def constant_index(g: Draw) -> Made | None:
    x = _any(g, rank=1)
    axis = g.axis(x)
    if x is None or axis is None:
        return None
    n = x.value.shape[axis]
    places = [g.rng.randint(-n, n - 1) for _ in range(g.rng.randint(1, 4))]
    if g.chance(0.3):
        return Made(f"index_fill({axis}, {places})", lambda v: v.index_fill(axis, torch.tensor(places), 1), [x],
                    exact=x.exact)
    return Made(f"{places} at {axis}", lambda v: v[(*[slice(None)] * axis, places)], [x], exact=x.exact)


@kind(2)
def gather(g: Draw) -> Made | None:
    x = _any(g, rank=1)
    if x is None or x.rank - 1 not in x.static():
        return None
    n = x.value.shape[-1]
    rows = [i for i in g.among(torch.int64)
            if all(v.shape == w.shape[:-1] for v, w in zip(i.runs, x.runs, strict=True))]
    whole = [i for i in g.among(torch.int64) if i.rank == x.rank and all(
        v.shape[:-1] == w.shape[:-1] for v, w in zip(i.runs, x.runs, strict=True))]
    if whole and g.chance(0.5):
        return Made("gather", lambda v, i: v.gather(-1, i % n), [x, g.rng.choice(whole)], exact=x.exact)
    if not rows:
        return None
    return Made("gather one", lambda v, i: v.gather(-1, (i % n).unsqueeze(-1)), [x, g.rng.choice(rows)], exact=x.exact)


@kind()
def one_hot(g: Draw) -> Made | None:
    ids = g.pick(torch.int64)
    return None if ids is None else Made("one_hot", lambda i: F.one_hot(i % WORDS, WORDS), [ids], exact=True)
