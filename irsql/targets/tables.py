"""Tensors as Arrow tables in the layout of a :class:`~irsql.targets.program.TableSpec`, and back.

An axis is cut by mixed radix into digits; digits become key columns, suffixes of value columns, or positions inside a
lane. Both directions are one reshape and one transpose: nothing loops over rows.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import attrs
import numpy as np
import numpy.typing as npt
import pyarrow as pa

from irsql.ir.dims import evaluate, parse
from irsql.targets.program import Column, Part, TableSpec

Array = npt.NDArray[Any]

NUMPY_TYPES: Mapping[str, np.dtype[Any]] = {
    "i64": np.dtype(np.int64), "f16": np.dtype(np.float16), "f32": np.dtype(np.float32), "f64": np.dtype(np.float64),
    "i1": np.dtype(np.bool_),
}  # fmt: skip
"""IR type of an element to its NumPy type."""


def split_type(type_: str) -> tuple[str, int]:
    """Element type and lane length of a column type; length 0 for a scalar.

    Raises
    ------
    ValueError
        If the type is not one of the IR's.
    """
    element, bracket, rest = type_.partition("[")
    if element not in NUMPY_TYPES or (bracket and not (rest.endswith("]") and rest[:-1].isdigit())):
        raise ValueError(f"unknown column type {type_!r}")
    return element, int(rest[:-1]) if bracket else 0


@attrs.frozen
class _Axis:
    """The digits of one axis, most significant first; ``unit`` is the weight of the top digit."""

    digits: tuple[Part, ...]
    sizes: tuple[int, ...]
    unit: int

    @property
    def padded(self) -> int:
        return math.prod(self.sizes)


def extents(spec: TableSpec, symbols: Mapping[str, int]) -> tuple[int, ...]:
    """The logical extents with symbols filled in.

    Raises
    ------
    KeyError
        If a symbol has no value.
    """
    return tuple(e if isinstance(e, int) else evaluate(parse(e), symbols) for e in spec.extents)


def granularity(spec: TableSpec) -> int:
    """How many indices of the first axis share a row: slices of that axis begin at multiples of it."""
    parts = _parts(spec)
    if not spec.extents or not any(p.axis == 0 and p.place == "row" for p in parts):
        return 0
    return max(p.stride for p in parts if p.axis == 0 and p.place == "row")


def _parts(spec: TableSpec) -> tuple[Part, ...]:
    if spec.parts:
        return spec.parts
    rows = zip(spec.extents, spec.keys, strict=True)
    return tuple(Part(i, "row", extent, 1, key.name) for i, (extent, key) in enumerate(rows))


def _axes(spec: TableSpec, shape: Sequence[int]) -> list[_Axis]:
    """The digits of every axis for a tensor of a shape; the top digit of an axis covers what is there."""
    out = []
    for axis, length in enumerate(shape):
        parts = sorted((p for p in _parts(spec) if p.axis == axis), key=lambda p: -p.stride)
        sizes = []
        for i, part in enumerate(parts):
            if i == 0 and part.place == "row":
                sizes.append(-(-length // part.stride))
            elif isinstance(part.extent, int):
                sizes.append(part.extent)
            else:
                raise ValueError(f"the digit {part.name} of {spec.name} has the symbolic extent {part.extent}")
        weights = [math.prod(sizes[i + 1:]) for i in range(len(sizes))]
        if weights != [p.stride for p in parts] or math.prod(sizes) < length:
            raise ValueError(f"the parts of axis {axis} of {spec.name} are no mixed radix of {length}")
        out.append(_Axis(tuple(parts), tuple(sizes), weights[0] if weights else 1))
    return out


def _order(spec: TableSpec, axes: Sequence[_Axis]) -> tuple[list[int], list[Part]]:
    """Permutation of all digits to (keys, columns, lane), and the row parts in that order.

    Keys are in the order of their columns, but for the number of a row of lanes, which comes first: rows that meet the
    same row of another relation stand together, and an engine that takes rows in batches multiplies whole batches.
    """
    digits = [part for axis in axes for part in axis.digits]
    names = {p.name: i for i, p in enumerate(digits) if p.place == "row"}
    if set(names) != {k.name for k in spec.keys}:
        raise ValueError(f"the keys of {spec.name} are not the rows of its layout")
    lane = next((p.axis for p in digits if p.place == "lane"), None)
    order = sorted((names[k.name] for k in spec.keys), key=lambda i: digits[i].axis != lane)
    rows = [digits[i] for i in order]
    for place in ("column", "lane"):
        order += [digits.index(p) for p in _parts(spec) if p.place == place]
    return order, rows


def to_arrow(spec: TableSpec, array: Array, start: int = 0) -> pa.Table:
    """A tensor, or a slice of its first axis, as rows in the layout of a table.

    They are ordered by key, those of lanes by the number of the row of the axis first.

    Parameters
    ----------
    spec
        The table.
    array
        Values; what a layout pads is filled with zeros.
    start
        Index of the slice's first row on the first axis, a multiple of :func:`granularity`.

    Raises
    ------
    OverflowError
        If a finite number has none in the half precision of its lane.
    """
    element = NUMPY_TYPES[spec.dtype]
    axes = _axes(spec, array.shape)
    order, rows = _order(spec, axes)
    padded = [axis.padded for axis in axes]
    data = np.asarray(array, dtype=element)
    if list(data.shape) != padded:
        data = np.pad(data, [(0, p - n) for p, n in zip(padded, data.shape, strict=True)])
    data = data.reshape([size for axis in axes for size in axis.sizes]).transpose(order)
    sizes, count = data.shape[: len(rows)], math.prod(data.shape[: len(rows)])
    names, columns = [], []
    for i, part in enumerate(rows):
        first = start // part.stride if part.axis == 0 and part.stride == axes[0].unit else 0
        digit = np.arange(first, first + sizes[i], dtype=np.int64)
        key = np.broadcast_to(digit.reshape([-1 if j == i else 1 for j in range(len(sizes))]), sizes)
        names.append(part.name)
        columns.append(pa.array(key.reshape(-1)))
    kept, lane = split_type(spec.values[0].type)
    if kept == "f16":
        data = _half(spec, data)
    width, length = len(spec.values), max(lane, 1)
    tiles = data.reshape(count, width, length)
    offsets = np.arange(count + 1, dtype=np.int32) * np.int32(length) if lane else None
    for c, column in enumerate(spec.values):
        flat = pa.array(np.ascontiguousarray(tiles[:, c]).reshape(-1))
        names.append(column.name)
        columns.append(flat if offsets is None else pa.ListArray.from_arrays(pa.array(offsets), flat))
    return pa.table(columns, names=names)


def _half(spec: TableSpec, data: Array) -> Array:
    with np.errstate(over="ignore"):
        out = data.astype(NUMPY_TYPES["f16"])
    if np.isinf(out).any():
        number = data[np.isinf(out)][0]
        raise OverflowError(f"{spec.source} has the number {number:g}, and half precision ends at 65504")
    return out


def from_arrow(spec: TableSpec, table: pa.Table, symbols: Mapping[str, int]) -> Array:
    """The tensor that a table holds.

    Parameters
    ----------
    spec
        The table.
    table
        Its rows, in any order.
    symbols
        Values of the symbolic extents.

    Raises
    ------
    ValueError
        If rows are missing, occur twice, or have a key outside of the tensor.
    """
    shape = extents(spec, symbols)
    axes = _axes(spec, shape)
    order, rows = _order(spec, axes)
    digits = [size for axis in axes for size in axis.sizes]
    sizes = [digits[i] for i in order]
    count = math.prod(sizes[: len(rows)])
    if table.num_rows != count:
        raise ValueError(f"the table {spec.name} has {table.num_rows} rows where its tensor {list(shape)} has {count}: "
                         "an index outside of its tensor finds no row")
    where = np.zeros(count, dtype=np.int64)
    for part, size in zip(rows, sizes, strict=False):
        key = _numpy(table.column(part.name), np.dtype(np.int64))
        if count and (key.min() < 0 or key.max() >= size):
            raise ValueError(f"the table {spec.name} has a key {part.name} outside of [0, {size})")
        where = where * size + key
    _, lane = split_type(spec.values[0].type)
    out = np.zeros((count, len(spec.values), max(lane, 1)), dtype=NUMPY_TYPES[spec.dtype])
    seen = np.zeros(count, dtype=np.bool_)
    seen[where] = True
    if not seen.all():
        raise ValueError(f"a key of the table {spec.name} occurs twice")
    for c, column in enumerate(spec.values):
        out[where, c] = _values(table.column(column.name), column, out.dtype).reshape(count, max(lane, 1))
    full = out.reshape(sizes).transpose(np.argsort(order)) if order else out.reshape(())
    full = full.reshape([axis.padded for axis in axes])
    return np.ascontiguousarray(full[tuple(slice(n) for n in shape)]).reshape(shape)  # numpy makes a scalar a vector


def _values(chunked: pa.ChunkedArray, column: Column, dtype: np.dtype[Any]) -> Array:
    _, lane = split_type(column.type)
    if not lane:
        return _numpy(chunked, dtype)
    flat = _numpy(pa.chunked_array([chunk.flatten() for chunk in chunked.chunks], chunked.type.value_type), dtype)
    if len(flat) != len(chunked) * lane:
        raise ValueError(f"the column {column.name} has lanes that are not of length {lane}")
    return flat


def _numpy(chunked: pa.ChunkedArray, dtype: np.dtype[Any]) -> Array:
    if chunked.null_count:
        raise ValueError("a column has NULLs where a tensor has numbers")
    return chunked.to_numpy().astype(dtype, copy=False)
