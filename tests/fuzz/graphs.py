"""A module of random small operators, with two dynamic dims, made from a seed."""

from __future__ import annotations

import random
from typing import Any

import attrs
import torch
from torch import Tensor, nn

from irsql.frontend.captured import MAX_EXTENT
from tests.fuzz import axes, contractions, elementwise, movement  # noqa: F401 - they register their operators
from tests.fuzz.draw import EXTENTS, KINDS, MOST_ELEMENTS, RUNS, WEIGHTS, WORDS, Draw, Item, Made, Sizes

NAMES = ("x", "y", "z", "ids", "flags", "bytes")
"""Inputs: normal numbers, whole numbers, numbers of another dim, indices, truths, small integers."""


@attrs.frozen
class Step:
    """One operator: ``function`` of the values with the given indices."""

    kind: str
    made: Made
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

    def __init__(self, seed: int, length: int = 10) -> None:
        super().__init__()
        self.seed = seed
        self.steps: list[Step] = []
        rng = random.Random(seed)
        a, b, c = (rng.choice(EXTENTS) for _ in range(3))
        self.shapes: dict[str, tuple[int | str, ...]] = {
            "x": rng.choice([("B", a, b), ("B", "S", b), ("B", b)]), "y": rng.choice([("B", a), ("S", a), ("B", c)]),
            "z": rng.choice([("S", b), ("S", a, b)]), "ids": rng.choice([("B",), ("B", "S"), ("S",), ("B", c)]),
            "flags": rng.choice([("B", b), ("S", b), ("B", "S"), ("B", 1), (b,)]),
            "bytes": rng.choice([("B",), ("S", c)]),
        }  # fmt: skip
        self.weights = nn.ParameterList()
        columns = zip(*(self.inputs(sizes) for sizes in RUNS), strict=True)
        items = [Item(i, runs, i not in (0, 2)) for i, runs in enumerate(columns)]
        self.draw = Draw(rng, torch.Generator().manual_seed(seed), items, self.weights)
        while len(self.steps) < length:
            self._grow(rng.choices(list(KINDS), list(WEIGHTS.values()))[0])
        used = {i for step in self.steps for i in step.inputs}
        ends = [i.index for i in items if i.index not in used and i.index >= len(NAMES)]
        self.outputs = ends + [rng.randrange(len(items)) for _ in range(rng.choice([0, 0, 1, 2]))]
        self.eval()

    def inputs(self, sizes: Sizes) -> tuple[Tensor, ...]:
        """Arguments for sizes of the dynamic dims."""
        g = torch.Generator().manual_seed(sum(sizes.values()))
        x, y, z, ids, flags, small = (tuple(sizes[n] if isinstance(n, str) else n for n in self.shapes[name])
                                      for name in NAMES)
        return (torch.randn(x, generator=g), torch.randint(-3, 4, y, generator=g).float(), torch.randn(z, generator=g),
                torch.randint(0, WORDS, ids, generator=g), torch.randint(0, 2, flags, generator=g).bool(),
                torch.randint(-9, 9, small, generator=g).int())

    def dynamic(self, least: int = 0) -> dict[str, dict[int, Any]]:
        """The dynamic axes of every input, with the least size they can have."""
        return {name: {axis: (n, least, MAX_EXTENT) for axis, n in enumerate(shape) if isinstance(n, str)}
                for name, shape in self.shapes.items()}

    def forward(self, x: Tensor, y: Tensor, z: Tensor, ids: Tensor, flags: Tensor, bytes: Tensor) -> Any:
        values: list[Tensor] = [x, y, z, ids, flags, bytes]
        needed = self._needed()
        for index, step in enumerate(self.steps, len(values)):
            values.append(step.made.function(*(values[i] for i in step.inputs)) if index in needed else x)
        results = [values[i] for i in self.outputs]
        return {"first": results[0], "others": tuple(results[1:])}

    def _needed(self) -> set[int]:
        """The values that the outputs depend on."""
        needed, waiting = set[int](), list(self.outputs)
        while waiting:
            index = waiting.pop()
            if index not in needed:
                needed.add(index)
                waiting += self.steps[index - len(NAMES)].inputs if index >= len(NAMES) else ()
        return needed

    def text(self) -> str:
        """The graph: a line an operator that the outputs depend on."""
        lines = [f"{name}: {list(shape)}" for name, shape in self.shapes.items()]
        needed = self._needed()

        def name_of(index: int) -> str:
            return NAMES[index] if index < len(NAMES) else f"v{index}"

        for index, step in enumerate(self.steps, len(NAMES)):
            if index in needed:
                value = self.draw.items[index].value
                lines.append(f"{name_of(index)} = {step.made.text}({', '.join(map(name_of, step.inputs))})"
                             f"  # {str(value.dtype).removeprefix('torch.')} {list(value.shape)}")
        return "\n".join([*lines, f"return {', '.join(map(name_of, self.outputs))}"])

    def _grow(self, kind: str) -> None:
        made = KINDS[kind](self.draw)
        if made is None:
            return
        try:
            runs = tuple(made.function(*(i.runs[n] for i in made.inputs)) for n in range(len(RUNS)))
        except (RuntimeError, IndexError, ValueError):
            return  # eager refuses the shapes of one of the runs
        if runs[0].dim() > 4 or max(v.numel() for v in runs) > MOST_ELEMENTS or len({v.dim() for v in runs}) > 1:
            return
        self.steps.append(Step(kind, made, tuple(i.index for i in made.inputs)))
        self.draw.items.append(Item(len(self.draw.items), runs, made.exact))
