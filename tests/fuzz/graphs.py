"""Random torch modules of small operators on a symbolic batch.

A tensor is *exact* while it holds small multiples of 1/2: its sums and products are the same in any order, so operators
that decide (comparisons, argmax, sorting, rounding) take exact tensors only and meet many ties. Everything else is kept
within [-8, 8] and away from where it is badly conditioned, so that any difference above the tolerance is a bug.
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Sequence

import attrs
import torch
from torch import Tensor, nn
from torch.nn import functional as F

BATCH = 11
"""Batch of the example; no static extent is equal to it."""
MOST_ELEMENTS = 400
WORDS = 7


@attrs.frozen
class Item:
    """A tensor of the example run.

    Attributes
    ----------
    index
        Its place among all values of the graph.
    value
        What it is on the example inputs.
    exact
        Whether it holds small multiples of 1/2.
    """

    index: int
    value: Tensor
    exact: bool

    @property
    def rank(self) -> int:
        return self.value.dim()

    def static(self) -> list[int]:
        """Axes whose extent does not depend on the batch."""
        return [i for i, n in enumerate(self.value.shape) if n % BATCH]


@attrs.frozen
class Step:
    """One operator: ``function`` of the values with the given indices."""

    text: str
    function: Callable[..., Tensor]
    inputs: tuple[int, ...]


class RandomGraph(nn.Module):
    """The module of a seed.

    Parameters
    ----------
    seed
        Decides everything.
    length
        Number of operators.
    """

    def __init__(self, seed: int, length: int = 8) -> None:
        super().__init__()
        self.steps: list[Step] = []
        self.rng = random.Random(seed)
        self.weights = nn.ParameterList()
        self.generator = torch.Generator().manual_seed(seed)
        self.items = [Item(i, v, i != 0) for i, v in enumerate(self.inputs(BATCH))]
        self.inputs_count = len(self.items)
        for kind in ("linear", "lookup"):
            self._grow(kind)
        while len(self.steps) < length + 2:
            self._grow(self.rng.choice(KINDS))
        self.eval()

    def inputs(self, batch: int) -> tuple[Tensor, ...]:
        """Arguments for a batch: normal numbers, whole numbers, ids."""
        g = torch.Generator().manual_seed(batch)
        return (torch.randn((batch, 5, 3), generator=g), torch.randint(-3, 4, (batch, 6), generator=g).float(),
                torch.randint(0, WORDS, (batch,), generator=g))

    def forward(self, x: Tensor, y: Tensor, ids: Tensor) -> tuple[Tensor, ...]:
        values: list[Tensor] = [x, y, ids]
        for step in self.steps:
            values.append(step.function(*(values[i] for i in step.inputs)))
        used = {i for step in self.steps for i in step.inputs}
        return tuple(v for i, v in enumerate(values) if i not in used and i >= 3)

    def text(self) -> str:
        """The graph as one line an operator."""
        return "\n".join(f"v{self.inputs_count + n} = {s.text}({', '.join(f'v{i}' for i in s.inputs)})"
                         f"  # {list(self.items[self.inputs_count + n].value.shape)}" for n, s in enumerate(self.steps))

    # -- growing ---------------------------------------------------------------------------------------
    def _grow(self, kind: str) -> None:
        made = getattr(self, f"_{kind}")()
        if made is None:
            return
        text, function, inputs, exact = made
        value = function(*(i.value for i in inputs))
        if value.numel() > MOST_ELEMENTS or value.dim() > 4 or value.numel() == 0:
            return
        self.steps.append(Step(text, function, tuple(i.index for i in inputs)))
        self.items.append(Item(len(self.items), value, exact))

    def _pick(self, dtype: torch.dtype = torch.float32, exact: bool = False, rank: int = 0) -> Item | None:
        """An item, later ones more often."""
        found = [i for i in self.items if i.value.dtype == dtype and (i.exact or not exact) and i.rank >= rank]
        return self.rng.choice(found[-4:] + found) if found else None

    def _axis(self, x: Item | None, static: bool = True) -> int | None:
        if x is None:
            return None
        axes = x.static() if static else list(range(x.rank))
        return self.rng.choice(axes) if axes else None

    def _weight(self, *shape: int, whole: bool = False) -> int:
        value = (torch.randint(-2, 3, shape, generator=self.generator).float() if whole
                 else torch.randn(shape, generator=self.generator) / max(shape[-1], 1) ** 0.5)
        self.weights.append(nn.Parameter(value, requires_grad=False))
        return len(self.weights) - 1

    # -- element by element ------------------------------------------------------------------------------
    def _smooth(self) -> Made | None:
        x = self._pick()
        name = self.rng.choice(list(SMOOTH))
        return None if x is None else (name, SMOOTH[name], (x,), False)

    def _stepwise(self) -> Made | None:
        x = self._pick(exact=True)
        name = self.rng.choice(list(STEPWISE))
        return None if x is None else (name, STEPWISE[name], (x,), True)

    def _binary(self) -> Made | None:
        a = self._pick()
        if a is None:
            return None
        name = self.rng.choice(list(BINARY))
        b = self.rng.choice([i for i in self.items if i.value.dtype == torch.float32 and _broadcast(a, i)])
        return name, BINARY[name], (a, b), a.exact and b.exact and name not in ("div", "mul")

    def _compare(self) -> Made | None:
        a = self._pick(exact=True)
        if a is None:
            return None
        name = self.rng.choice(list(COMPARE))
        b = self.rng.choice([i for i in self.items if i.value.dtype == torch.float32 and i.exact and _broadcast(a, i)])
        return name, COMPARE[name], (a, b), True

    def _logic(self) -> Made | None:
        a, b = self._pick(torch.bool), self._pick(torch.bool)
        if a is None or b is None:
            return None
        if not _broadcast(a, b):
            return "not", torch.logical_not, (a,), True
        name = self.rng.choice(["logical_and", "logical_or", "logical_xor"])
        return name, getattr(torch, name), (a, b), True

    def _choose(self) -> Made | None:
        c, a, b = self._pick(torch.bool), self._pick(), self._pick()
        if c is None or a is None or b is None or not (_broadcast(c, a) and _broadcast(c, b) and _broadcast(a, b)):
            return None
        return "where", torch.where, (c, a, b), a.exact and b.exact

    def _number(self) -> Made | None:
        x = self._pick(self.rng.choice([torch.bool, torch.int64]))
        return None if x is None else ("float", lambda v: v.float().clamp(-8, 8), (x,), True)

    def _whole(self) -> Made | None:
        x = self._pick(torch.int64)
        name = self.rng.choice(list(WHOLE))
        return None if x is None else (name, WHOLE[name], (x,), True)

    # -- over axes ---------------------------------------------------------------------------------------
    def _sum(self) -> Made | None:
        x = self._pick(rank=1)
        if x is None:
            return None
        axes = tuple(self.rng.sample(range(x.rank), self.rng.randint(1, x.rank)))
        return f"sum{axes}", lambda v: v.sum(axes).clamp(-8, 8), (x,), x.exact

    def _extreme(self) -> Made | None:
        x = self._pick(rank=1)
        axis = self._axis(x)
        if x is None or axis is None:
            return None
        name, keep = self.rng.choice(["amax", "amin"]), self.rng.random() < 0.5
        return f"{name}({axis}, {keep})", lambda v: getattr(v, name)(axis, keep), (x,), x.exact

    def _statistic(self) -> Made | None:
        x = self._pick(rank=1)
        axis = self._axis(x)
        if x is None or axis is None:
            return None
        name = self.rng.choice(["mean", "logsumexp", "var"])
        rest = {"correction": 0} if name == "var" else {}
        return f"{name}({axis})", lambda v: getattr(v, name)(axis, **rest).clamp(-8, 8), (x,), False

    def _product(self) -> Made | None:
        x = self._pick(rank=1)
        axis = self._axis(x)
        if x is None or axis is None:
            return None
        return f"prod({axis})", lambda v: v.prod(axis).clamp(-8, 8), (x,), False

    def _anywhere(self) -> Made | None:
        x = self._pick(torch.bool, rank=1)
        axis = self._axis(x, static=False)
        if x is None or axis is None:
            return None
        name = self.rng.choice(["any", "all"])
        return f"{name}({axis})", lambda v: getattr(v, name)(axis), (x,), True

    def _where_most(self) -> Made | None:
        x = self._pick(exact=True, rank=1)
        axis = self._axis(x)
        if x is None or axis is None:
            return None
        name = self.rng.choice(["argmax", "argmin"])
        return f"{name}({axis})", lambda v: getattr(v, name)(axis), (x,), True

    def _running(self) -> Made | None:
        x = self._pick(rank=1)
        axis = self._axis(x, static=False)
        return None if x is None or axis is None else (
            f"cumsum({axis})", lambda v: v.cumsum(axis).clamp(-8, 8), (x,), x.exact)

    def _softmax(self) -> Made | None:
        x = self._pick(rank=1)
        axis = self._axis(x, static=False)
        return None if x is None or axis is None else (f"softmax({axis})", lambda v: v.softmax(axis), (x,), False)

    def _masked_softmax(self) -> Made | None:
        """What is hidden is -inf; the first of every row is always seen."""
        x, m = self._pick(rank=1), self._pick(torch.bool)
        if x is None or m is None or x.rank - 1 not in x.static() or not _broadcast(x, m) or m.rank > x.rank:
            return None
        return "masked_softmax", lambda v, hidden: v.masked_fill(
            hidden & (torch.arange(v.shape[-1]) > 0), float("-inf")).softmax(-1), (x, m), False

    def _masked_max(self) -> Made | None:
        x, m = self._pick(rank=1), self._pick(torch.bool)
        axis = self._axis(x)
        if x is None or m is None or axis is None or not _broadcast(x, m) or m.rank > x.rank:
            return None
        return f"masked_max({axis})", lambda v, hidden: v.masked_fill(hidden, float("-inf")).amax(axis).clamp_min(-8), \
            (x, m), x.exact

    def _sort(self) -> Made | None:
        x = self._pick(exact=True, rank=1)
        axis = self._axis(x)
        if x is None or axis is None:
            return None
        down, part = self.rng.random() < 0.5, self.rng.randint(0, 1)
        return f"sort({axis}, {down})[{part}]", lambda v: torch.sort(
            v, stable=True, dim=axis, descending=down)[part], (x,), True

    def _top(self) -> Made | None:
        x = self._pick(rank=1)
        axis = self._axis(x)
        if x is None or axis is None:
            return None
        k, largest = self.rng.randint(1, x.value.shape[axis]), self.rng.random() < 0.5
        return f"topk({k}, {axis}, {largest})", lambda v: v.topk(k, axis, largest)[0], (x,), x.exact

    def _norm(self) -> Made | None:
        x = self._pick(rank=1)
        if x is None or x.rank - 1 not in x.static():
            return None
        n = x.value.shape[-1]
        w = self._weight(n)
        return "layer_norm", lambda v: F.layer_norm(v, (n,), self.weights[w], eps=0.1), (x,), False

    # -- contractions ------------------------------------------------------------------------------------
    def _linear(self) -> Made | None:
        x = self._pick(rank=1)
        if x is None or x.rank - 1 not in x.static():
            return None
        whole = x.exact and self.rng.random() < 0.5
        w = self._weight(self.rng.choice([1, 3, 9, 10]), x.value.shape[-1], whole=whole)
        return "linear", lambda v: F.linear(v, self.weights[w]).clamp(-8, 8), (x,), whole

    def _matmul(self) -> Made | None:
        a = self._pick(rank=2)
        if a is None:
            return None
        if self.rng.random() < 0.4:
            return "gram", lambda v: (v @ v.transpose(-1, -2)).clamp(-8, 8), (a,), False
        fits = [i for i in self.items if i.value.dtype == torch.float32 and i.rank >= 2
                and i.value.shape[-1] == a.value.shape[-1]
                and _together(i.value.shape[:-2], a.value.shape[:-2])]
        b = self.rng.choice(fits)
        return "matmul_t", lambda v, w: (v @ w.transpose(-1, -2)).clamp(-8, 8), (a, b), False

    # -- moving ------------------------------------------------------------------------------------------
    def _view(self) -> Made | None:
        x = self._pick(self.rng.choice([torch.float32, torch.float32, torch.int64, torch.bool]))
        return None if x is None else self._view_of(x)

    def _view_of(self, x: Item) -> Made | None:
        axis = self._axis(x)
        at = self.rng.randint(0, x.rank)
        kind = self.rng.choice(["unsqueeze", "permute", "slice", "flip", "roll", "select", "split", "merge", "rows",
                                "expand", "repeat", "narrow", "tril"])
        if kind == "unsqueeze":
            return f"unsqueeze({at})", lambda v: v.unsqueeze(at), (x,), x.exact
        if kind == "permute":
            order = self.rng.sample(range(x.rank), x.rank)
            return f"permute({order})", lambda v: v.permute(order), (x,), x.exact
        if kind == "expand":
            return f"expand({at})", lambda v: torch.stack([v, v], at) if at == x.rank else v.unsqueeze(at).expand(
                *v.shape[:at], 3, *v.shape[at:]), (x,), x.exact
        if kind == "rows" and x.rank >= 2 and 0 not in x.static():
            return "merge rows", lambda v: v.flatten(0, 1), (x,), x.exact
        if kind == "tril" and x.rank >= 2 and x.value.dtype == torch.float32:
            return "tril", torch.tril, (x,), x.exact
        if axis is None:
            return None
        n = x.value.shape[axis]
        start, step = self.rng.randint(0, n - 1), self.rng.randint(1, 3)
        if kind == "slice":
            picks = (*[slice(None)] * axis, slice(start, None, step))
            return f"[{start}::{step}] at {axis}", lambda v: v[picks], (x,), x.exact
        if kind == "flip":
            return f"flip({axis})", lambda v: v.flip(axis), (x,), x.exact
        if kind == "roll":
            return f"roll({start}, {axis})", lambda v: v.roll(start, axis), (x,), x.exact
        if kind == "select":
            return f"select({axis}, {start})", lambda v: v.select(axis, start), (x,), x.exact
        if kind == "repeat":
            return f"repeat_interleave(2, {axis})", lambda v: v.repeat_interleave(2, axis), (x,), x.exact
        if kind == "narrow":
            return f"narrow({axis}, {start})", lambda v: v.narrow(axis, start, n - start), (x,), x.exact
        if kind == "split":
            k = self.rng.choice([k for k in range(1, n + 1) if n % k == 0])
            return f"unflatten({axis}, {k})", lambda v: v.unflatten(axis, (k, n // k)), (x,), x.exact
        if kind == "merge" and axis + 1 in x.static():
            return f"flatten({axis})", lambda v: v.flatten(axis, axis + 1), (x,), x.exact
        return None

    def _cat(self) -> Made | None:
        x = self._pick(rank=1)
        axis = self._axis(x)
        if x is None or axis is None:
            return None
        shape = list(x.value.shape)
        fits = [i for i in self.items if i.value.dtype == torch.float32 and i.rank == x.rank and axis in i.static()
                and [n for j, n in enumerate(i.value.shape) if j != axis] == shape[:axis] + shape[axis + 1:]]
        y = self.rng.choice(fits)
        return f"cat({axis})", lambda a, b: torch.cat([a, b, a], axis), (x, y), x.exact and y.exact

    def _pad(self) -> Made | None:
        x = self._pick(rank=1)
        if x is None or x.rank - 1 not in x.static():
            return None
        left, right = self.rng.randint(0, 2), self.rng.randint(0, 2)
        return f"pad({left}, {right})", lambda v: F.pad(v, (left, right), value=1.5), (x,), x.exact

    def _lookup(self) -> Made | None:
        ids = self._pick(torch.int64)
        if ids is None:
            return None
        w = self._weight(WORDS, 4, whole=True)
        return "embedding", lambda i: F.embedding(i % WORDS, self.weights[w]), (ids,), True

    def _index(self) -> Made | None:
        x, ids = self._pick(rank=1), self._pick(torch.int64)
        axis = self._axis(x)
        if x is None or ids is None or axis is None:
            return None
        n = x.value.shape[axis]
        picks: Sequence[slice] = [slice(None)] * axis
        return f"index({axis})", lambda v, i: v[(*picks, i % n)], (x, ids), x.exact

    def _gather(self) -> Made | None:
        x = self._pick(rank=2)
        if x is None or x.rank - 1 not in x.static():
            return None
        n = x.value.shape[-1]
        fits = [i for i in self.items if i.value.dtype == torch.int64 and i.value.shape == x.value.shape[:-1]]
        if not fits:
            return None
        i = self.rng.choice(fits)
        return "gather", lambda v, i: v.gather(-1, (i % n).unsqueeze(-1)), (x, i), x.exact

    def _one_hot(self) -> Made | None:
        ids = self._pick(torch.int64)
        return None if ids is None else ("one_hot", lambda i: F.one_hot(i % WORDS, WORDS), (ids,), True)


Made = tuple[str, Callable[..., Tensor], tuple[Item, ...], bool]

SMOOTH: dict[str, Callable[[Tensor], Tensor]] = {
    "tanh": torch.tanh, "sigmoid": torch.sigmoid, "exp": lambda x: x.clamp(-20, 2).exp(), "silu": F.silu,
    "gelu": F.gelu, "log": lambda x: (x.abs() + 0.5).log(), "sqrt": lambda x: (x.abs() + 0.25).sqrt(),
    "sin": torch.sin, "cos": torch.cos,
    "rsqrt": lambda x: (x.abs() + 0.5).rsqrt(), "softplus": F.softplus, "reciprocal": lambda x: 1 / (x.abs() + 0.5),
    "pow": lambda x: ((x.abs() + 0.5) ** 1.3).clamp(-8, 8), "gelu_tanh": lambda x: F.gelu(x, approximate="tanh"),
    "square": lambda x: (x * x).clamp(-8, 8), "erf": torch.erf,
}
STEPWISE: dict[str, Callable[[Tensor], Tensor]] = {
    "neg": torch.neg, "abs": torch.abs, "relu": F.relu, "sign": torch.sign, "clamp": lambda x: x.clamp(-1, 2),
    "round": lambda x: (x * 0.5).round(), "floor": lambda x: (x * 0.5).floor(), "ceil": lambda x: (x * 0.5).ceil(),
    "trunc": lambda x: (x * 0.5).trunc(), "half": lambda x: (x * 2).round() * 0.5,
}
BINARY: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "add": lambda a, b: (a + b).clamp(-8, 8), "sub": lambda a, b: (a - b).clamp(-8, 8),
    "mul": lambda a, b: (a * b).clamp(-8, 8), "div": lambda a, b: (a / (b.abs() + 0.5)).clamp(-8, 8),
    "maximum": torch.maximum, "minimum": torch.minimum,
}
COMPARE: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "lt": torch.lt, "le": torch.le, "eq": torch.eq, "ne": torch.ne, "gt": lambda a, b: a > b - 1,
}
WHOLE: dict[str, Callable[[Tensor], Tensor]] = {
    "affine": lambda i: (i * 3 - 5) % 17, "floordiv": lambda i: (i - 4) // 3, "mod": lambda i: (i - 4) % 3,
    "neg": lambda i: -i, "abs": lambda i: (i - 3).abs(),
    "from float": lambda i: (i.float() * 0.5 - 1.5).long(), "clamp": lambda i: i.clamp(-2, 4),
    "cumsum": lambda i: i.cumsum(0) % 23,
}
_HELPERS = ("_grow", "_pick", "_axis", "_weight", "_view_of")
KINDS = [name[1:] for name in sorted(vars(RandomGraph)) if re.fullmatch("_[a-z].*", name) and name not in _HELPERS]
KINDS += ["view"] * 3 + ["binary", "smooth"] * 2


def _broadcast(a: Item, b: Item) -> bool:
    return _together(a.value.shape, b.value.shape)


def _together(a: Sequence[int], b: Sequence[int]) -> bool:
    """Whether two shapes broadcast, and not to too many elements."""
    try:
        return torch.broadcast_shapes(tuple(a), tuple(b)).numel() <= MOST_ELEMENTS
    except RuntimeError:
        return False
