"""``rel``: explicit relational algebra over keyed relations.

Scalar expressions stand in regions of ``expr`` ops; columns are read by name (``expr.col``), with ``input`` the number
of the operand. A region that computes columns yields them in the order of the result type: keys, then values.
"""

from __future__ import annotations

from irsql.dialects.expr import AGGREGATE
from irsql.dialects.rel.checks import check_columns, check_conditions, check_yields, column_types
from irsql.dialects.rel.types import logical, rel
from irsql.ir.attributes import Attribute, DenseElements, attribute
from irsql.ir.core import IRError, Op, Operands, Region, Value, op


@attribute("rel.tile")
class Tile(Attribute):
    """A layout decision of ``select-layout`` for one contraction.

    Attributes
    ----------
    form
        ``dot`` (contracted axis in lanes and columns, both operands), ``chunks`` (in several rows of these),
        ``wsum`` (a free axis of ``rhs`` in columns) or ``scalar``.
    lane, columns, segments
        Cut of that axis; see :func:`irsql.dialects.rel.types.tiled`.
    carrier
        Lane carrier.
    beside
        Rows of the weight that stand side by side as one: the extent of its free axis whose indices all readers of the
        result fix; 1 for none.
    """

    form: str
    lane: int = 0
    columns: int = 1
    segments: int = 1
    carrier: str = "list"
    beside: int = 1


@op("rel.parameter", pure=True)
class Parameter(Op):
    """A tensor of the checkpoint as scalar rows (``@load`` only)."""

    parameter: str


@op("rel.stored", pure=True)
class Stored(Op):
    """Scan of the relation that ``@load`` stored."""

    store: str


@op("rel.store")
class Store(Op):
    """Stores a relation, in its layout (``@load`` only)."""

    x: Value
    store: str


@op("rel.values", pure=True)
class Values(Op):
    """A constant tensor as scalar rows; its axes are the keys."""

    value: DenseElements


@op("rel.range", pure=True)
class Range(Op):
    """All points of the box of the result's keys; no value columns."""


@op("rel.project", pure=True)
class Project(Op):
    """Computes every column of the result from a row. The keys of the result must form a key."""

    x: Value
    body: Region

    def verify(self) -> None:
        check_columns(self, self.body, [rel(self.x)])
        check_yields(self, self.body, column_types(rel(self.result)))


@op("rel.filter", pure=True)
class Filter(Op):
    """Rows where all yielded conditions hold."""

    x: Value
    body: Region

    def verify(self) -> None:
        check_columns(self, self.body, [rel(self.x)])
        check_conditions(self, self.body)
        _same_columns(self, self.x)


@op("rel.join", pure=True)
class Join(Op):
    """Inner join: the rows of the product of all inputs where the yielded conditions hold.

    The result has the key columns of all inputs in order, then all value columns; the result type names them. In the
    region columns are read as ``expr.col {column, input}`` with the input's own names. Of no inputs it is one row
    without columns.
    """

    inputs: Operands
    on: Region

    def verify(self) -> None:
        out = rel(self.result)
        if len(out.keys) != sum(len(rel(v).keys) for v in self.inputs) or len(out.values) != sum(
                len(rel(v).values) for v in self.inputs):
            raise IRError("a join has the columns of all its inputs", self)
        if [v.type for v in out.values] != [c.type for v in self.inputs for c in rel(v).values]:
            raise IRError("the value columns of a join have other types than those of its inputs", self)
        check_columns(self, self.on, [rel(v) for v in self.inputs])
        check_conditions(self, self.on)


@op("rel.aggregate", pure=True)
class Aggregate(Op):
    """Groups by the result's keys (names of input keys) and aggregates.

    The region yields the arguments of ``kinds`` in order: one each, two for ``argmax``/``argmin`` (value, then the
    integer that is returned; the lowest among equals). No row for an empty group.
    """

    x: Value
    body: Region
    kinds: tuple[str, ...]
    tile: Tile | None = None

    def verify(self) -> None:
        known = {k.name for k in rel(self.x).keys}
        missing = [k.name for k in rel(self.result).keys if k.name not in known]
        if missing:
            raise IRError(f"group key {', '.join(missing)} is not a key of the input", self)
        if len(self.kinds) != len(rel(self.result).values):
            raise IRError(f"{len(self.kinds)} aggregates for {len(rel(self.result).values)} value columns", self)
        unknown = [k for k in self.kinds if k not in AGGREGATE]
        if unknown:
            raise IRError(f"unknown aggregate {', '.join(unknown)}; known are {', '.join(AGGREGATE)}", self)
        check_columns(self, self.body, [rel(self.x)])
        got, needed = len(self.body.block.terminator.operands), sum(2 if k.startswith("arg") else 1 for k in self.kinds)
        if got != needed:
            raise IRError(f"the region yields {got} values, {needed} are needed", self)


@op("rel.union", pure=True)
class Union(Op):
    """Disjoint union of relations with the same number and types of columns; the result names them."""

    inputs: Operands

    def verify(self) -> None:
        _same_columns(self, *self.inputs)


@op("rel.window", pure=True)
class Window(Op):
    """Adds one value column, the last of the result: ``row_number`` (from 1) or running ``sum``.

    The region yields the summed value (``sum`` only), then ``partition`` expressions, then one an order item.
    """

    x: Value
    body: Region
    kind: str
    partition: int
    descending: tuple[bool, ...]

    def verify(self) -> None:
        if self.kind not in ("row_number", "sum"):
            raise IRError(f"unknown window function {self.kind!r}; known are row_number, sum", self)
        check_columns(self, self.body, [rel(self.x)])
        got = len(self.body.block.terminator.operands)
        needed = (self.kind == "sum") + self.partition + len(self.descending)
        if got != needed:
            raise IRError(f"the region yields {got} values, {needed} are needed", self)
        if rel(self.result).columns[:-1] != rel(self.x).columns:
            raise IRError("a window has the columns of its input and one more", self)


@op("rel.complete", pure=True)
class Complete(Op):
    """The rows of ``domain`` with the values of ``x`` where it has that key, else ``fill``.

    ``fill`` is what PyTorch gives for an empty reduction.
    """

    x: Value
    domain: Value
    fill: tuple[float, ...]

    def verify(self) -> None:
        if len(self.fill) != len(rel(self.x).values):
            raise IRError(f"{len(self.fill)} fill values for {len(rel(self.x).values)} columns", self)
        if len(rel(self.domain).keys) != len(rel(self.x).keys):
            raise IRError("the domain has other keys than what it completes", self)


@op("rel.append", pure=True)
class Append(Op):
    """The next version of a state relation: with the rows of ``rows`` (same columns and layout)."""

    state: Value
    rows: Value

    def verify(self) -> None:
        if rel(self.state).columns != rel(self.rows).columns:
            raise IRError("appended rows must have the columns of the state", self)


@op("rel.pack", pure=True)
class Pack(Op):
    """Scalar rows into the layout of the result type; padding is zero."""

    x: Value

    def verify(self) -> None:
        out = rel(self.result)
        if rel(self.x).layout is not None or out.layout is None or logical(out).columns != rel(self.x).columns:
            raise IRError("pack takes scalar rows into a tiled relation of the same logical columns", self)


@op("rel.unpack", pure=True)
class Unpack(Op):
    """A tiled relation into scalar rows; padding is dropped."""

    x: Value

    def verify(self) -> None:
        inner = rel(self.x)
        if inner.layout is None or logical(inner).columns != rel(self.result).columns:
            raise IRError("unpack takes a tiled relation to scalar rows of the same logical columns", self)


def _same_columns(op_: Op, *inputs: Value) -> None:
    wanted = column_types(rel(op_.results[0]))
    for v in inputs:
        t = rel(v)
        if len(t.keys) != len(rel(op_.results[0]).keys) or column_types(t) != wanted:
            raise IRError(f"{op_.name} of relations with other columns than its result: {', '.join(t.columns)}", op_)
