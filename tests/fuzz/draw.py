"""What random graphs are made of: values, the operators that may take them, and how operators choose.

A tensor is *exact* while it holds small multiples of 1/2: its sums and products are the same in any order, so operators
that decide (comparisons, argmax, sorting, rounding) take exact tensors only and meet many ties. Everything else is kept
within [-8, 8] and away from where it is badly conditioned, so that any difference above the tolerance is a bug.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from typing import Any

import attrs
import torch
from torch import Tensor, nn

Sizes = dict[str, int]

RUNS: tuple[Sizes, ...] = ({"B": 11, "S": 13}, {"B": 0, "S": 3}, {"B": 1, "S": 1}, {"B": 7, "S": 0})
"""Sizes of the dynamic dims in every run of a graph; the first is the example of the capture."""
EXTENTS = (1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 17)
"""Static extents of inputs and weights."""
MOST_ELEMENTS = 1500
"""Of a value in the example run."""
WORDS = 7
"""Rows of lookup tables."""
INTEGERS = (torch.int64, torch.int32, torch.int16, torch.int8, torch.uint8)


@attrs.frozen(eq=False)
class Item:
    """A value of the graph.

    Attributes
    ----------
    index
        Its place among all values of the graph.
    runs
        What it is in each of :data:`RUNS`.
    exact
        Whether it holds small multiples of 1/2.
    """

    index: int
    runs: tuple[Tensor, ...]
    exact: bool

    @property
    def value(self) -> Tensor:
        """What it is in the example run."""
        return self.runs[0]

    @property
    def rank(self) -> int:
        return self.value.dim()

    @property
    def finite(self) -> bool:
        return all(bool(v.isfinite().all()) for v in self.runs)

    def is_static(self, axis: int) -> bool:
        """Whether the extent of an axis is the same in every run."""
        return len({v.shape[axis] for v in self.runs}) == 1

    def static(self) -> list[int]:
        """Static axes that are not empty."""
        return [i for i, n in enumerate(self.value.shape) if n and self.is_static(i)]


@attrs.frozen(eq=False)
class Made:
    """A drawn operator: ``function`` of some values, to be read as ``text``."""

    text: str
    function: Callable[..., Tensor]
    inputs: Sequence[Item]
    exact: bool = False


@attrs.frozen(eq=False)
class Draw:
    """The random choices of one graph.

    Attributes
    ----------
    rng
        Makes them.
    generator
        Fills the weights.
    items
        All values up to now.
    weights
        Parameters of the module.
    """

    rng: random.Random
    generator: torch.Generator
    items: list[Item]
    weights: nn.ParameterList

    def chance(self, share: float) -> bool:
        """True in this share of the cases."""
        return self.rng.random() < share

    def among(self, *dtypes: torch.dtype, exact: bool = False, rank: int = 0) -> list[Item]:
        """The values that operators may take."""
        return [i for i in self.items if i.value.dtype in dtypes and (i.exact or not exact) and i.rank >= rank
                and i.finite]

    def pick(self, *dtypes: torch.dtype, exact: bool = False, rank: int = 0) -> Item | None:
        """A value, float32 by default, later ones more often."""
        found = self.among(*(dtypes or (torch.float32,)), exact=exact, rank=rank)
        return self.rng.choice(found[-4:] + found) if found else None

    def partner(self, a: Item, *dtypes: torch.dtype, exact: bool = False) -> Item | None:
        """A value that broadcasts with another."""
        found = [i for i in self.among(*(dtypes or (torch.float32,)), exact=exact) if broadcasts(a, i)]
        return self.rng.choice(found) if found else None

    def axis(self, x: Item | None, static: bool = True) -> int | None:
        """An axis of a value, static and not empty unless told otherwise."""
        if x is None:
            return None
        axes = x.static() if static else list(range(x.rank))
        return self.rng.choice(axes) if axes else None

    def weight(self, *shape: int, whole: bool = False) -> int:
        """The index of a new parameter."""
        value = (torch.randint(-2, 3, shape, generator=self.generator).float() if whole
                 else torch.randn(shape, generator=self.generator) / max(shape[-1], 1) ** 0.5)
        self.weights.append(nn.Parameter(value, requires_grad=False))
        return len(self.weights) - 1


Kind = Callable[[Draw], Made | None]
KINDS: dict[str, Kind] = {}
"""Kinds of operators by name."""
WEIGHTS: dict[str, int] = {}
"""How often each is drawn, relative to the others."""


def kind(weight: int = 1) -> Callable[[Kind], Kind]:
    """Register a kind of operators: it draws one, or gives None where no value fits."""

    def register(function: Kind) -> Kind:
        name = function.__name__.rstrip("_")
        KINDS[name], WEIGHTS[name] = function, weight
        return function

    return register


def broadcasts(*items: Item) -> bool:
    """Whether values broadcast in every run, and not to too many elements."""
    try:
        shapes = [torch.broadcast_shapes(*shapes) for shapes in zip(*([v.shape for v in i.runs] for i in items),
                                                                    strict=True)]
    except RuntimeError:
        return False
    return shapes[0].numel() <= MOST_ELEMENTS


def bounded(x: Any) -> Tensor:
    """A tensor cut to [-8, 8]."""
    return torch.clamp(x, -8, 8)
