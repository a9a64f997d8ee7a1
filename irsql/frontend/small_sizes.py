"""Does a captured graph hold where a symbolic dim is 0 or 1? torch.export treats these sizes as constants.

A graph is captured with larger examples. Where the module branches on a size of 1, squeezes, or broadcasts by chance,
its graph is wrong for small sizes and says nothing. So the graph and the module are both run on cut examples, and
compared; sizes for which they differ are taken out of the range of the dim.
"""

from __future__ import annotations

import itertools
import warnings
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import attrs
import torch
import torch.fx
from torch.utils._pytree import tree_flatten, tree_leaves, tree_unflatten

from irsql.frontend.captured import Captured
from irsql.frontend.shapes import dim_of
from irsql.ir.dims import evaluate

TOLERANCE = 1e-3
"""Relative to the largest value: a wrong branch differs by more, another order of a sum by less."""


class SizeWarning(UserWarning):
    """A dim takes fewer sizes than was asked for."""


def checked(
    module: torch.nn.Module, captured: Captured, args: tuple[Any, ...], kwargs: Mapping[str, Any]
) -> Captured:
    """The capture with ranges for which its graph does what the module does.

    Parameters
    ----------
    module
        In eval mode; where it lies on ``meta`` nothing can be run, and the ranges stay.
    captured
        Its capture.
    args, kwargs
        The example inputs.
    """
    small = {name: low for name, (low, _) in captured.symbols.items() if low < 2}
    if not small or any(t.is_meta for t in module.state_dict().values()):
        return captured
    leaves, spec = tree_flatten((args, dict(kwargs)))
    examples = {s.name: leaves[s.position] for s in captured.of_kind("user")}
    sizes = _example_sizes(captured, examples)
    if not small.keys() <= sizes.keys():
        return captured
    lows = dict(small)
    for name, low in small.items():
        for size in range(low, 2):
            if not _agree(module, captured, leaves, spec, sizes | {name: size}):
                lows[name] = size + 1
    together = [lows[name] for name in lows]
    if len(lows) > 1 and max(together) < 2 and not all(
        _agree(module, captured, leaves, spec, sizes | dict(zip(lows, choice, strict=True)))
        for choice in itertools.product(*(range(low, 2) for low in together))
    ):
        lows = dict.fromkeys(lows, 2)
    if lows == small:
        return captured
    for name, low in lows.items():
        if low > small[name]:
            warnings.warn(f"the module does something else where {name} is less than {low} than for larger sizes: the "
                          f"program takes {name} from {low} on", SizeWarning, stacklevel=3)  # fmt: skip
    ranges = {name: (lows.get(name, low), high) for name, (low, high) in captured.symbols.items()}
    return attrs.evolve(captured, symbols=ranges)


def _example_sizes(captured: Captured, examples: Mapping[str, Any]) -> dict[str, int]:
    out: dict[str, int] = {}
    for spec in captured.of_kind("user"):
        for extent, size in zip(spec.shape, examples[spec.name].shape, strict=True):
            if not isinstance(extent, int) and str(extent).isidentifier():
                out[str(extent)] = size
    return out


def _agree(
    module: torch.nn.Module, captured: Captured, leaves: Sequence[Any], spec: Any, sizes: Mapping[str, int]
) -> bool:
    """Whether graph and module do the same on the examples cut to these sizes; where the module fails, nothing does."""
    cut = list(leaves)
    for given in captured.of_kind("user"):
        tensor = cut[given.position]
        for axis, extent in enumerate(given.shape):
            size = extent if isinstance(extent, int) else evaluate(extent, sizes)
            if not 0 <= size <= tensor.shape[axis]:
                return True  # the examples are too small to tell
            tensor = tensor.narrow(axis, 0, size)
        cut[given.position] = tensor.clone()
    args, kwargs = tree_unflatten(cut, spec)
    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            wanted = tree_leaves(module(*args, **kwargs))
        except Exception:
            return True
        try:
            got = _WithShapes(captured, sizes).run(*_values(module, captured, cut))
        except Exception:
            return False
    return all(_same(a, b) for a, b in itertools.zip_longest(got, wanted))


class _WithShapes(torch.fx.Interpreter):
    """Runs a graph and raises where a value has another shape than the graph says, for that is what is compiled."""

    def __init__(self, captured: Captured, sizes: Mapping[str, int]) -> None:
        super().__init__(captured.gm)
        self._names, self._sizes = captured.symbol_names, sizes

    def run_node(self, n: torch.fx.Node) -> Any:
        result = super().run_node(n)
        said = n.meta.get("val")
        if isinstance(result, torch.Tensor) and isinstance(said, torch.Tensor):
            dims = [dim_of(size, self._names) for size in said.shape]
            wanted = [d if isinstance(d, int) else evaluate(d, self._sizes) for d in dims]
            if list(result.shape) != wanted:
                raise ValueError(f"{n.name} has the shape {list(result.shape)}, the graph says {wanted}")
        return result


def _values(module: torch.nn.Module, captured: Captured, leaves: Sequence[Any]) -> Iterator[Any]:
    state = module.state_dict()
    for spec in captured.inputs:
        if spec.kind == "user":
            yield leaves[spec.position]
        elif spec.target in captured.buffers:
            yield torch.from_numpy(captured.buffers[spec.target]).to(getattr(torch, spec.dtype))
        else:
            yield state[spec.target]


def _same(got: Any, wanted: Any) -> bool:
    if not isinstance(got, torch.Tensor) or not isinstance(wanted, torch.Tensor):
        return bool(got == wanted)
    if got.shape != wanted.shape or got.dtype != wanted.dtype:
        return False
    if not wanted.is_floating_point():
        return torch.equal(got, wanted)
    finite = wanted[wanted.isfinite()]
    scale = float(finite.abs().max()) if finite.numel() else 1.0
    return torch.allclose(got, wanted, rtol=TOLERANCE, atol=TOLERANCE * scale, equal_nan=True)
