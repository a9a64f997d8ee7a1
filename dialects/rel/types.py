"""Relation types and layouts.

A tensor ``T[i0, …]`` is a relation with key columns and value columns. With *scalar rows* there is one key a dim and
one row an element. A :class:`Layout` splits axes by mixed radix and puts every sub-axis in a **row** (a key column), in
a **column** (a number behind the name of the value column) or in a **lane** (inside one vector value).
"""

from __future__ import annotations

import math

from irsql.dialects.expr import LaneType
from irsql.ir.attributes import Attribute, ScalarType, Type, attribute
from irsql.ir.core import IRError, Value
from irsql.ir.dims import Dim

PLACES = ("row", "column", "lane")


@attribute("rel.key")
class Key(Attribute):
    """A key column: a name and the extent of its values, [0, extent)."""

    name: str
    extent: Dim


@attribute("rel.val")
class Val(Attribute):
    """A value column."""

    name: str
    type: ScalarType | LaneType


@attribute("rel.part")
class Part(Attribute):
    """A sub-axis: digit ``(i[axis] floordiv stride) mod extent`` of a logical axis.

    Attributes
    ----------
    axis
        The logical axis.
    place
        ``row``, ``column`` or ``lane``.
    extent, stride
        Radix of the digit and its weight. A row part with stride 1 that is the whole axis may have a symbolic extent.
    name
        Key column it is in (row parts only).
    """

    axis: int
    place: str
    extent: Dim
    stride: int = 1
    name: str = ""


@attribute("rel.layout")
class Layout(Attribute):
    """Where each element of a logical relation sits.

    Attributes
    ----------
    extents
        Logical extents, one an axis; the digits may cover more (padding, which holds zeros).
    names
        Logical key names, one an axis.
    parts
        All sub-axes; at most one column part an axis, and one lane part. Rows in key order; the columns' digits, the
        first the most significant, are one number behind the name of a value column.
    carrier
        Lane carrier, "" without a lane.
    """

    extents: tuple[Dim, ...]
    names: tuple[str, ...]
    parts: tuple[Part, ...]
    carrier: str = ""

    @property
    def rows(self) -> tuple[Part, ...]:
        """Sub-axes in key columns."""
        return tuple(p for p in self.parts if p.place == "row")

    @property
    def columns(self) -> tuple[Part, ...]:
        """Sub-axes spread over value columns, the most significant first."""
        return tuple(p for p in self.parts if p.place == "column")

    @property
    def column(self) -> Part | None:
        """The sub-axis of the tiled axis that is spread over value columns, if any (IRError if several axes are)."""
        return next((p for p in self.columns if p.axis == self.tiled_axis), None)

    @property
    def lane(self) -> Part | None:
        """The sub-axis inside the lanes, if any."""
        return next((p for p in self.parts if p.place == "lane"), None)

    @property
    def tiled_axis(self) -> int | None:
        """The axis with a column or lane part, if any (IRError if several axes have some)."""
        axes = {p.axis: None for p in self.parts if p.place != "row"}
        if len(axes) > 1:
            raise IRError(f"the axes {' and '.join(self.names[a] for a in axes)} stand in the columns of a row, which "
                          "only a product can read")
        return next(iter(axes), None)

    def verify(self) -> None:
        if len(self.extents) != len(self.names):
            raise ValueError("a layout names every axis")
        in_columns = [p.axis for p in self.parts if p.place == "column"]
        if len(set(in_columns)) < len(in_columns) or sum(p.place == "lane" for p in self.parts) > 1:
            raise ValueError("a layout has at most one column part an axis and one lane part")
        if any(p.place not in PLACES for p in self.parts):
            raise ValueError(f"a part is in one of {', '.join(PLACES)}")

    @property
    def form(self) -> str:
        """``scalar``, ``wide``, ``array`` or ``pivoted``."""
        return {(False, False): "scalar", (True, False): "wide", (False, True): "array",
                (True, True): "pivoted"}[bool(self.columns), self.lane is not None]


@attribute("rel.rel")
class RelType(Type):
    """A relation: key columns that form a key, and value columns.

    Attributes
    ----------
    keys, values
        Physical columns.
    partial
        True when rows of the box of key extents may be missing (the domain is smaller); a missing row means "outside
        the domain", never 0 and never NULL.
    layout
        How a logical relation is tiled into these columns; None means scalar rows (the columns are the logical ones).
    """

    keys: tuple[Key, ...]
    values: tuple[Val, ...]
    partial: bool = False
    layout: Layout | None = None

    @property
    def label(self) -> str:
        lanes = [f"[{v.type.length}]" if isinstance(v.type, LaneType) else "" for v in self.values]
        keys = ", ".join(f"{k.name} < {k.extent}" for k in self.keys)
        values = [f"{v.name}{lane}" for v, lane in zip(self.values, lanes, strict=True)]
        more = [*values[:2], "…", values[-1]] if len(values) > 4 else values
        return f"{keys} | {', '.join(more)}".removeprefix(" | ")

    @property
    def columns(self) -> tuple[str, ...]:
        """Names of all columns, keys first."""
        return tuple(k.name for k in self.keys) + tuple(v.name for v in self.values)

    def key(self, name: str) -> Key:
        """The key column called ``name`` (KeyError if there is none)."""
        for k in self.keys:
            if k.name == name:
                return k
        raise KeyError(name)

    def column_type(self, name: str) -> ScalarType | LaneType:
        """Type of a column; keys are i64 (KeyError if there is none)."""
        for k in self.keys:
            if k.name == name:
                return ScalarType("i64")
        for v in self.values:
            if v.name == name:
                return v.type
        raise KeyError(f"no column {name!r}; there are {', '.join(self.columns)}")

    def verify(self) -> None:
        if len(set(self.columns)) != len(self.columns):
            raise ValueError(f"columns must have distinct names: {', '.join(self.columns)}")


def rel(value: Value) -> RelType:
    """The relation type of a value.

    Raises
    ------
    IRError
        If it is not a relation.
    """
    if not isinstance(value.type, RelType):
        raise IRError(f"expected a relation, found {value.type}")
    return value.type


def logical(type_: RelType) -> RelType:
    """The scalar-row type of what ``type_`` holds (itself without a layout)."""
    if type_.layout is None:
        return type_
    lay = type_.layout
    keys = tuple(Key(n, e) for n, e in zip(lay.names, lay.extents, strict=True))
    bases: dict[str, ScalarType] = {}
    for v in type_.values:
        name = base_name(v.name, lay)
        bases[name] = v.type.element if isinstance(v.type, LaneType) else v.type
    return RelType(keys, tuple(Val(n, t) for n, t in bases.items()), type_.partial)


def base_name(column: str, layout: Layout) -> str:
    """Logical value column behind a physical one: the number of the column removed."""
    return column.rsplit("_", 1)[0] if layout.columns else column


def tiled(scalar: RelType, axis: int, lane: int, columns: int, segments: int = 1, carrier: str = "list",
          beside: int | None = None) -> RelType:
    """The type of ``scalar`` with one axis cut into ``segments`` (rows) x ``columns`` x ``lane``.

    Parameters
    ----------
    scalar
        A scalar-row relation.
    axis
        The key to cut; its extent must be static.
    lane
        Lane length; 0 for none (wide form).
    columns
        Number of value columns a value; 1 for none (array form).
    segments
        Rows the axis is cut into.
    carrier
        Lane carrier of the target.
    beside
        An axis that has no key either: the tiles of all its indices stand side by side in one row.

    Notes
    -----
    Padding: ``segments * columns * max(lane, 1)`` may exceed the extent; the excess holds zeros.
    """
    for key in (scalar.keys[a] for a in (axis, beside) if a is not None):
        if not isinstance(key.extent, int):
            raise IRError(f"key {key.name} has a symbolic extent and cannot be tiled")
    width = max(lane, 1)
    parts: list[Part] = []
    keys: list[Key] = []
    for i, k in enumerate(scalar.keys):
        if i not in (axis, beside):
            parts.append(Part(i, "row", k.extent, 1, k.name))
            keys.append(k)
        elif i == axis and segments > 1:
            parts.append(Part(i, "row", segments, columns * width, k.name))
            keys.append(Key(k.name, segments))
    if beside is not None:
        parts.append(Part(beside, "column", scalar.keys[beside].extent, 1))
    if columns > 1 or not lane:
        parts.append(Part(axis, "column", columns, width))
    if lane:
        parts.append(Part(axis, "lane", lane, 1))
    layout = Layout(tuple(k.extent for k in scalar.keys), tuple(k.name for k in scalar.keys), tuple(parts),
                    carrier if lane else "")
    values: list[Val] = []
    for v in scalar.values:
        if not isinstance(v.type, ScalarType):
            raise IRError(f"column {v.name} is tiled already")
        type_: ScalarType | LaneType = LaneType(v.type, lane, carrier) if lane else v.type
        if layout.columns:
            count = math.prod(p.extent for p in layout.columns if isinstance(p.extent, int))
            values += [Val(f"{v.name}_{c}", type_) for c in range(count)]
        else:
            values.append(Val(v.name, type_))
    return RelType(tuple(keys), tuple(values), scalar.partial, layout)
