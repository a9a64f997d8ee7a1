"""How the results of a Dynamo graph lie in memory: strides, and what shares memory with what.

SQL gives values. A caller of a compiled model may also count on a view being one: it writes to a result and looks at
the input behind it, or at another result. So results that share memory in PyTorch are made views of one tensor here,
and all get the strides that Dynamo has told the code around the graph (as AOTAutograd replays views).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import attrs
import torch
import torch.fx

from irsql.frontend.captured import CaptureError


@attrs.frozen
class Place:
    """Where a result lies. Extents are integers, or symbolic integers of Dynamo's.

    Attributes
    ----------
    shape, strides, offset
        Within its storage.
    requires_grad
        Whether gradients would flow through it.
    source
        Index of the input whose memory it is, or None.
    group
        Results with the same number share memory.
    """

    shape: tuple[Any, ...]
    strides: tuple[Any, ...]
    offset: Any
    requires_grad: bool
    source: int | None
    group: int


@attrs.frozen
class Outputs:
    """The results of a graph.

    Attributes
    ----------
    places
        One a result; None where it is no tensor.
    inputs
        Example of each input, with symbolic sizes; None where it is no tensor or number.
    """

    places: tuple[Place | None, ...]
    inputs: tuple[Any, ...]

    @classmethod
    def of(cls, gm: torch.fx.GraphModule) -> Outputs:
        """Describe a graph's results.

        Raises
        ------
        CaptureError
            If a result is the memory of an input under another type.
        """
        inputs = [node.meta.get("example_value") for node in gm.graph.nodes if node.op == "placeholder"]
        owners = {_storage(v): i for i, v in reversed(list(enumerate(inputs))) if isinstance(v, torch.Tensor)}
        groups: dict[int, int] = {}
        places: list[Place | None] = []
        returned: Any = gm.graph.output_node().args[0]
        for node in returned:
            value = node.meta.get("example_value") if isinstance(node, torch.fx.Node) else None
            if not isinstance(value, torch.Tensor):
                places.append(None)
                continue
            storage = _storage(value)
            source = owners.get(storage)
            if source is not None and inputs[source].dtype != value.dtype:
                raise CaptureError(f"the result {node.name} is the memory of an input under another type")
            group = groups.setdefault(storage, len(groups))
            places.append(Place(tuple(value.shape), tuple(value.stride()), value.storage_offset(), value.requires_grad,
                                source, group))  # fmt: skip
        return cls(tuple(places), tuple(inputs))

    @property
    def requires_grad(self) -> bool:
        """Whether gradients would flow through any result that is memory of its own."""
        return any(p is not None and p.requires_grad and p.source is None for p in self.places)

    def differentiable(self, results: Sequence[Any]) -> list[bool]:
        """For each result that is a tensor, whether gradients would flow through it."""
        return [p is not None and p.requires_grad for p, r in zip(self.places, results, strict=True)
                if isinstance(r, torch.Tensor)]  # fmt: skip

    def arranged(self, results: Sequence[Any], given: Sequence[Any]) -> list[Any]:
        """Results as they lie in memory in PyTorch; those that are an input's memory are left for :meth:`replayed`."""
        number = self._numbers(given)
        members: dict[int, list[int]] = {}
        for at, place in enumerate(self.places):
            if place is not None and place.source is None:
                members.setdefault(place.group, []).append(at)
        out = list(results)
        for group in members.values():
            found = [_Strided.of(place, number) for at in group if (place := self.places[at]) is not None]
            if len(group) == 1 and found[0].strides == tuple(out[group[0]].stride()):
                continue
            base = min(s.offset for s in found)
            length = max(s.end for s in found) - base
            buffer = torch.empty(max(length, 0), dtype=out[group[0]].dtype)
            for at, strided in zip(group, found, strict=True):
                out[at] = strided.write(out[at], buffer, base)
        return out

    def replayed(self, results: Sequence[Any], given: Sequence[Any]) -> list[Any]:
        """Results with those that are an input's memory as views of that input."""
        number = self._numbers(given)
        out = list(results)
        for at, place in enumerate(self.places):
            if place is None or place.source is None:
                continue
            strided, owner = _Strided.of(place, number), given[place.source]
            shift = number(self.inputs[place.source].storage_offset())
            out[at] = owner.as_strided(strided.shape, strided.strides, owner.storage_offset() + strided.offset - shift)
        return out

    def _numbers(self, given: Sequence[Any]) -> Callable[[Any], int]:
        """Turns a symbolic integer into the number it has in this call."""
        known: dict[Any, int] = {}
        for example, value in zip(self.inputs, given, strict=True):
            if isinstance(example, torch.Tensor):
                sizes: Sequence[Any] = example.shape
                known |= {size.node.expr: length for size, length in zip(sizes, value.shape, strict=True)
                          if isinstance(size, torch.SymInt)}  # fmt: skip
            elif isinstance(example, torch.SymInt):
                known[example.node.expr] = int(value)

        def number(x: Any) -> int:
            return int(x.node.expr.xreplace(known)) if isinstance(x, torch.SymInt) else int(x)

        return number


@attrs.frozen
class _Strided:
    """A place with numbers."""

    shape: tuple[int, ...]
    strides: tuple[int, ...]
    offset: int

    @classmethod
    def of(cls, place: Place, number: Callable[[Any], int]) -> _Strided:
        return cls(tuple(map(number, place.shape)), tuple(map(number, place.strides)), number(place.offset))

    @property
    def end(self) -> int:
        """Behind its last element."""
        if 0 in self.shape:
            return self.offset
        return self.offset + 1 + sum((n - 1) * s for n, s in zip(self.shape, self.strides, strict=True))

    def write(self, value: torch.Tensor, buffer: torch.Tensor, base: int) -> torch.Tensor:
        """Put values into their place in a buffer, and give the view of it."""
        once = value
        for axis, (length, stride) in enumerate(zip(self.shape, self.strides, strict=True)):
            if stride == 0 and length > 1:  # an expanded axis is one element in memory
                once = once.narrow(axis, 0, 1)
        buffer.as_strided(once.shape, self.strides, self.offset - base).copy_(once)
        return buffer.as_strided(self.shape, self.strides, self.offset - base)


def _storage(tensor: torch.Tensor) -> int:
    return tensor.untyped_storage()._cdata


def key_of(numbers: Sequence[Any]) -> tuple[str, ...]:
    """A key that tells plain numbers apart as PyTorch does: 0.0 and -0.0, 1 and 1.0 and True; a NaN equals itself."""
    return tuple(f"{type(n).__name__} {n!r}" for n in numbers)
