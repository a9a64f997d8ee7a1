"""``sql``: a logical SQL plan. What is a CTE, a step table and a stored table is explicit here and nowhere else.

A function is a straight line of pure relation-valued ops (selects, unions) and statement ops (materialise, append).
Each statement's query is the part of the function it reaches backwards without passing another statement or a table:
those selects become its CTEs, in order.
"""

from __future__ import annotations

from irsql.dialects.rel.checks import check_columns, check_conditions, check_yields, column_types
from irsql.dialects.rel.types import rel
from irsql.ir.attributes import DenseElements
from irsql.ir.core import IRError, Op, Operands, Region, Value, op


@op("sql.table", pure=True)
class Table(Op):
    """A stored table (``kind = "stored"``: filled by ``@load``)."""

    table: str
    kind: str = "stored"


@op("sql.select", pure=True)
class Select(Op):
    """``SELECT columns FROM inputs WHERE where [GROUP BY group]``.

    Regions read ``expr.col {column, input}``. ``columns`` yields the result's columns, keys then values; with
    ``grouped`` they are built from the ``group`` expressions, ``expr.aggregate`` and ``expr.pack``. ``outer``: the
    second input is left-joined on ``where``, its columns are NULL where nothing matches and are read through
    ``defaults``: one a value column of the result.
    """

    inputs: Operands
    where: Region
    group: Region
    columns: Region
    grouped: bool = False
    outer: bool = False
    defaults: tuple[float, ...] = ()

    def verify(self) -> None:
        types = [rel(v) for v in self.inputs]
        for region in (self.where, self.group, self.columns):
            check_columns(self, region, types)
        check_conditions(self, self.where)
        check_yields(self, self.columns, column_types(rel(self.result)))
        if not self.grouped and self.group.block.terminator.operands:
            raise IRError("group expressions without grouped", self)
        if self.outer and (len(types) != 2 or len(self.defaults) != len(rel(self.result).values)):
            raise IRError("an outer select joins two inputs and has a default a value column", self)


@op("sql.union_all", pure=True)
class UnionAll(Op):
    """``UNION ALL`` of relations with the same number and types of columns."""

    inputs: Operands

    def verify(self) -> None:
        wanted = column_types(rel(self.result))
        for v in self.inputs:
            if column_types(rel(v)) != wanted:
                raise IRError(f"a union of relations with other columns: {', '.join(rel(v).columns)}", self)


@op("sql.values", pure=True)
class Values(Op):
    """A constant tensor as rows: keys, then the value."""

    value: DenseElements


@op("sql.range", pure=True)
class Range(Op):
    """All points of the box of the result's keys."""


@op("sql.unpack", pure=True)
class Unpack(Op):
    """A tiled relation unnested to scalar rows; padding is dropped."""

    x: Value


@op("sql.materialise")
class Materialise(Op):
    """A statement: fills step table ``table`` with ``x``; the result reads the table."""

    x: Value
    table: str = ""


@op("sql.append")
class Append(Op):
    """A statement: inserts ``rows`` into the state's table; the result is the new version.

    No statement after it may read an older version of the state.
    """

    state: Value
    rows: Value


@op("sql.store")
class Store(Op):
    """Stores a relation (``@load`` only)."""

    x: Value
    store: str


@op("sql.parameter", pure=True)
class Parameter(Op):
    """A tensor of the checkpoint as scalar rows (``@load`` only)."""

    parameter: str


@op("sql.pack", pure=True)
class Pack(Op):
    """Scalar rows into the result's layout (in ``@load``, where the loader packs; elsewhere a grouped select does)."""

    x: Value
