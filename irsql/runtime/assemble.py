"""``@load`` as the runtime runs it: stored relations computed from a checkpoint, a slice at a time.

The steps of a stored relation are a small stack program. It becomes a tree whose nodes give any range of their first
axis, so that a tensor is never in memory as a whole unless its first axis is permuted away.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Protocol

import attrs
import numpy as np
import numpy.typing as npt
import pyarrow as pa

from irsql.runtime.errors import UserError
from irsql.targets.program import LoadStep, Program, Stored, TableSpec
from irsql.targets.tables import granularity, to_arrow

Array = npt.NDArray[Any]
SLICE_BYTES = 16 << 20
"""Size of a slice as float32."""
_BINARY = {"add": np.add, "multiply": np.multiply}


class Weights(Protocol):
    """Tensors by name, read in ranges of their first axis."""

    def shape(self, name: str) -> tuple[int, ...]: ...

    def read(self, name: str, row_start: int = 0, row_stop: int | None = None) -> Array: ...


@attrs.frozen
class _Node:
    """A tensor that is not there yet: its shape, and how to get a range of its first axis."""

    shape: tuple[int, ...]
    rows: Callable[[int, int], Array]

    def whole(self) -> Array:
        return self.rows(0, self.shape[0] if self.shape else 1)


def tables(program: Program, stored: Stored, weights: Weights, names: Mapping[str, str]) -> Iterator[pa.Table]:
    """The rows of a stored relation, in slices of its first axis.

    Parameters
    ----------
    program
        Brings the constants.
    stored
        What to compute.
    weights
        The checkpoint.
    names
        Parameter to its name in the checkpoint; absent ones are called the same.

    Raises
    ------
    UserError
        If the checkpoint's tensors do not have the shape the program was compiled for, or a number has no half
        precision.
    """
    node = _tree(program, stored.steps, weights, names)
    spec = stored.table
    if node.shape != spec.extents:
        raise UserError(
            f"the checkpoint gives {spec.source} the shape {list(node.shape)}, the program needs {list(spec.extents)}"
        )
    unit = granularity(spec)
    if not node.shape or not unit:
        yield _rows(spec, node.whole())
        return
    per_row = max(math.prod(node.shape[1:]) * 4, 1)
    step = max(SLICE_BYTES // per_row // unit, 1) * unit
    for start in range(0, node.shape[0], step):
        yield _rows(spec, node.rows(start, min(start + step, node.shape[0])), start)


def _rows(spec: TableSpec, array: Array, start: int = 0) -> pa.Table:
    try:
        return to_arrow(spec, array, start)
    except OverflowError as error:
        raise UserError(f"{error}: compile for a target that keeps 32 bits") from error


def _tree(program: Program, steps: Sequence[LoadStep], weights: Weights, names: Mapping[str, str]) -> _Node:
    stack: list[_Node] = []
    for step in steps:
        if step.kind == "parameter":
            stack.append(_parameter(weights, names.get(step.name, step.name)))
        elif step.kind == "constant":
            stack.append(_constant(program.constants[step.name].array()))
        elif step.kind == "concat":
            axis, count = step.ints
            stack[-count:] = [_concat(stack[-count:], axis)]
        elif step.kind == "permute":
            stack.append(_permute(stack.pop(), step.ints))
        elif step.kind == "expand":
            stack.append(_expand(stack.pop(), step.ints))
        elif step.kind in _BINARY:
            narrow = stack.pop()
            stack.append(_binary(_BINARY[step.kind], stack.pop(), narrow, step.ints))
        else:
            raise ValueError(f"unknown load step {step.kind!r}")
    (node,) = stack
    return node


def _parameter(weights: Weights, name: str) -> _Node:
    shape = weights.shape(name)
    return _Node(shape, lambda a, b: weights.read(name, a, b) if shape else weights.read(name))


def _constant(array: Array) -> _Node:
    return _Node(array.shape, lambda a, b: array[a:b] if array.ndim else array)


def _concat(nodes: Sequence[_Node], axis: int) -> _Node:
    shape = list(nodes[0].shape)
    shape[axis] = sum(n.shape[axis] for n in nodes)
    if axis:
        return _Node(tuple(shape), lambda a, b: np.concatenate([n.rows(a, b) for n in nodes], axis))

    def rows(a: int, b: int) -> Array:
        pieces, begin = [], 0
        for node in nodes:
            end = begin + node.shape[0]
            if max(a, begin) < min(b, end):
                pieces.append(node.rows(max(a, begin) - begin, min(b, end) - begin))
            begin = end
        return pieces[0] if len(pieces) == 1 else np.concatenate([nodes[0].rows(0, 0), *pieces])

    return _Node(tuple(shape), rows)


def _binary(function: np.ufunc, wide: _Node, narrow: _Node, axes: Sequence[int]) -> _Node:
    """Element by element in float32, as the graph computes; what is narrower than ``wide`` is read once and kept."""
    if tuple(axes) == tuple(range(len(wide.shape))):
        return _Node(wide.shape, lambda a, b: _float32(function, wide.rows(a, b), narrow.rows(a, b)))
    shape = [1] * len(wide.shape)
    for axis, extent in zip(axes, narrow.shape, strict=True):
        shape[axis] = extent
    kept: list[Array] = []

    def rows(a: int, b: int) -> Array:
        if not kept:
            kept.append(narrow.whole().transpose(np.argsort(axes)).reshape(shape))
        part = kept[0][a:b] if 0 in axes else kept[0]
        return _float32(function, wide.rows(a, b), part)

    return _Node(wide.shape, rows)


def _float32(function: np.ufunc, a: Array, b: Array) -> Array:
    return np.asarray(function(a, b, dtype=np.float32))


def _expand(node: _Node, axes: Sequence[int]) -> _Node:
    shape = list(node.shape)
    for axis in axes:
        shape.insert(axis, 1)
    if 0 in axes:
        return _Node(tuple(shape), lambda a, b: np.expand_dims(node.whole(), tuple(axes))[a:b])
    return _Node(tuple(shape), lambda a, b: np.expand_dims(node.rows(a, b), tuple(axes)))


def _permute(node: _Node, order: Sequence[int]) -> _Node:
    shape = tuple(node.shape[i] for i in order)
    if not order or order[0] == 0:
        return _Node(shape, lambda a, b: node.rows(a, b).transpose(order))
    kept: list[Array] = []

    def rows(a: int, b: int) -> Array:
        # The first axis is made of another one: every slice needs the whole tensor, so it is read once and kept.
        if not kept:
            kept.append(node.whole().transpose(order))
        return kept[0][a:b]

    return _Node(shape, rows)
