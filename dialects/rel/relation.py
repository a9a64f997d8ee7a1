"""Relations as NumPy columns: the values of the rel and sql interpreters, and their conversion from and to tensors."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import attrs
import numpy as np
import numpy.typing as npt

from irsql.dialects.expr import LaneType
from irsql.dialects.expr_interp import round_lane
from irsql.dialects.rel.types import Layout, Part, RelType, Val, logical
from irsql.ir.core import IRError
from irsql.ir.dims import evaluate

Array = npt.NDArray[Any]


@attrs.define
class Relation:
    """Columns of equal length by name; lanes are 2-D (rows, lane)."""

    columns: dict[str, Array]
    rows: int

    def take(self, index: Array) -> Relation:
        """The rows at ``index`` (integers or a boolean mask)."""
        cols = {n: c[index] for n, c in self.columns.items()}
        count = int(index.sum()) if index.dtype == np.bool_ else len(index)
        return Relation(cols, count)

    def renamed(self, old: Sequence[str], new: Sequence[str]) -> Relation:
        """The columns ``old`` under the names ``new``."""
        return Relation({b: self.columns[a] for a, b in zip(old, new, strict=True)}, self.rows)


def from_dense(array: Array, type_: RelType, symbols: Mapping[str, int]) -> Relation:
    """A dense tensor as the relation of a type, in its layout.

    Parameters
    ----------
    array
        Values; shape as the logical keys.
    type_
        Relation type with one logical value column.
    symbols
        Values of symbolic extents.
    """
    scalar = logical(type_)
    if array.ndim != len(scalar.keys):
        raise IRError(f"a tensor of rank {array.ndim} for a relation with {len(scalar.keys)} keys")
    grids = np.indices(array.shape, dtype=np.int64).reshape(array.ndim, array.size)
    cols: dict[str, Array] = {k.name: g for k, g in zip(scalar.keys, grids, strict=True)}
    cols[scalar.values[0].name] = np.ascontiguousarray(array).reshape(-1)
    rows = Relation(cols, array.size)
    return rows if type_.layout is None else pack(rows, scalar, type_, symbols)


def to_dense(rel: Relation, type_: RelType, symbols: Mapping[str, int]) -> Array:
    """The tensor a relation holds; shape from the logical extents.

    Raises
    ------
    IRError
        If a key is outside its extent, occurs twice, or rows of a total relation are missing.
    """
    scalar = logical(type_)
    if type_.layout is not None:
        rel = unpack(rel, type_, scalar)
    shape = tuple(evaluate(k.extent, symbols) for k in scalar.keys)
    val = scalar.values[0]
    assert not isinstance(val.type, LaneType)
    out = np.zeros(shape, dtype=val.type.numpy)
    seen = np.zeros(shape, dtype=np.bool_)
    index = tuple(rel.columns[k.name] for k in scalar.keys)
    for k, i, n in zip(scalar.keys, index, shape, strict=True):
        if i.size and (i.min() < 0 or i.max() >= n):
            raise IRError(f"key {k.name} has a value outside [0, {n})")
    if rel.rows != int(np.prod(shape, dtype=np.int64)):
        raise IRError(f"{rel.rows} rows for the shape {shape}")
    out[index] = rel.columns[val.name] if shape else rel.columns[val.name][0]
    seen[index] = True
    if not seen.all():
        raise IRError("a key occurs twice and another not at all")
    return out


def group(keys: Sequence[Array], rows: int) -> tuple[Array, Array]:
    """Group rows by key columns: ``(first row of each group, group number of each row)``, groups sorted by key."""
    if not keys:
        return np.zeros(min(rows, 1), dtype=np.int64), np.zeros(rows, dtype=np.int64)
    if rows == 0:
        return np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.int64)
    order = np.lexsort(tuple(reversed(list(keys))))
    change = np.zeros(rows, dtype=np.bool_)
    change[0] = True
    for k in keys:
        s = k[order]
        change[1:] |= s[1:] != s[:-1]
    numbers = np.empty(rows, dtype=np.int64)
    numbers[order] = np.cumsum(change) - 1
    return order[change], numbers


def _digit(layout: Layout, part: Part, index: Array) -> Array:
    """Digit of an index on the axis of ``part``."""
    digit: Array = index // part.stride
    below = isinstance(part.extent, int) and (part.extent == 1 or _has_higher(layout, part))
    return digit % part.extent if below else digit


def _has_higher(layout: Layout, part: Part) -> bool:
    return any(p.axis == part.axis and p.stride > part.stride for p in layout.parts)


def pack(rows: Relation, scalar: RelType, out: RelType, symbols: Mapping[str, int]) -> Relation:
    """Scalar rows into a layout; padding zero."""
    lay = out.layout
    assert lay is not None
    key_cols: dict[str, Array] = {}
    column, lane = np.zeros(rows.rows, dtype=np.int64), np.zeros(rows.rows, dtype=np.int64)
    for p in lay.parts:
        digit = _digit(lay, p, rows.columns[scalar.keys[p.axis].name])
        if p.place == "row":
            key_cols[p.name] = digit
        elif p.place == "lane":
            lane = digit
        else:
            column = column * int(str(p.extent)) + digit
    keys = [key_cols[k.name] for k in out.keys]
    first, numbers = group(keys, rows.rows)
    count = len(first)
    cols: dict[str, Array] = {k.name: c[first] for k, c in zip(out.keys, keys, strict=True)}
    for v in out.values:
        base, c = split_name(v, lay)
        source = rows.columns[base]
        mine = column == c if c is not None else np.ones(rows.rows, dtype=np.bool_)
        at = (numbers[mine], lane[mine]) if isinstance(v.type, LaneType) else (numbers[mine],)
        data: Array = np.zeros((count, v.type.length) if isinstance(v.type, LaneType) else count, dtype=source.dtype)
        data[at] = source[mine]
        cols[v.name] = round_lane(data, v.type)
    return Relation(cols, count)


def split_name(val: Val, layout: Layout) -> tuple[str, int | None]:
    """Logical column and column number of a physical value column."""
    if not layout.columns:
        return val.name, None
    base, _, digit = val.name.rpartition("_")
    return base, int(digit)


def unpack(rel: Relation, type_: RelType, scalar: RelType) -> Relation:
    """A tiled relation into scalar rows; padding dropped."""
    lay = type_.layout
    assert lay is not None
    inside = [*lay.columns, *([lay.lane] if lay.lane else [])]
    sizes = [int(str(p.extent)) for p in inside]
    width = math.prod(sizes)
    digits = np.indices(sizes, dtype=np.int64).reshape(len(sizes), width)
    n_lane = sizes[-1] if lay.lane else 1
    cols: dict[str, Array] = {}
    for a, k in enumerate(scalar.keys):
        total = np.zeros(rel.rows * width, dtype=np.int64)
        for p in lay.parts:
            if p.axis == a and p.place == "row":
                total += np.repeat(rel.columns[p.name], width) * p.stride
        for p, digit in zip(inside, digits, strict=True):
            if p.axis == a:
                total += np.tile(digit * p.stride, rel.rows)
        cols[k.name] = total
    for v in scalar.values:
        parts = [rel.columns[w.name].reshape(rel.rows, n_lane) for w in type_.values if split_name(w, lay)[0] == v.name]
        cols[v.name] = np.concatenate(parts, axis=1).reshape(-1) if parts else np.zeros(0)
    out = Relation(cols, rel.rows * width)
    kept = np.ones(out.rows, dtype=np.bool_)
    for axis in {p.axis for p in inside}:
        extent = scalar.keys[axis].extent
        assert isinstance(extent, int)
        kept &= cols[scalar.keys[axis].name] < extent
    return out.take(kept)


def product(a: Relation, b: Relation) -> tuple[Array, Array]:
    """Row numbers of the Cartesian product."""
    return np.repeat(np.arange(a.rows), b.rows), np.tile(np.arange(b.rows), a.rows)


def equi_join(left: Sequence[Array], right: Sequence[Array], n_left: int, n_right: int) -> tuple[Array, Array]:
    """Row numbers of all pairs whose key columns are equal."""
    both = [np.concatenate([x, y]) for x, y in zip(left, right, strict=True)]
    _, numbers = group(both, n_left + n_right)
    ln, rn = numbers[:n_left], numbers[n_left:]
    order = np.argsort(rn, kind="stable")
    lo, hi = np.searchsorted(rn[order], ln, "left"), np.searchsorted(rn[order], ln, "right")
    counts = hi - lo
    li = np.repeat(np.arange(n_left), counts)
    start = np.repeat(lo - np.concatenate([[0], np.cumsum(counts)[:-1]]) if n_left else lo, counts)
    return li, order[np.arange(len(li)) + start] if len(li) else np.zeros(0, dtype=np.int64)


