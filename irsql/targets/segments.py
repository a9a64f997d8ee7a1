"""Rows of states that several sequences share, as control SQL.

The rows of a state belong to *segments*. A sequence appends to its own, which has its number. A fork freezes what both
continuations have in common: these rows get the number of a segment of their own, below 0, that nobody appends to. The
table ``irsql_segment`` says which rows a sequence sees: of ``segment`` those at positions from ``low`` to below
``high``. Functions read their states through a view that follows this table, and append to the state's own table.
"""

from __future__ import annotations

from collections.abc import Mapping

import attrs
from sqlglot import exp

from irsql.targets.control import SEGMENT, STATE, Control, col, name, states, table
from irsql.targets.names import view_of
from irsql.targets.program import Program, TableSpec


def state_keys(spec: TableSpec) -> tuple[str, str]:
    """The key columns of a state that hold the sequence and the position: its first two axes, never cut."""
    if not spec.parts:
        return spec.keys[0].name, spec.keys[1].name
    whole = {p.axis: p.name for p in spec.parts if p.place == "row" and p.stride == 1}
    return whole[0], whole[1]


@attrs.frozen
class Segments:
    """Writes the statements; ``?`` in the order that each docstring names.

    Attributes
    ----------
    control
        The dialect.
    """

    control: Control

    def schema(self, program: Program) -> list[str]:
        """The tables and views of a state database, created where missing."""
        return [*self.control.schema(program), *(self.create_view(spec) for spec in states(program))]

    def create_view(self, spec: TableSpec) -> str:
        """The view through which functions read a state: the rows that each sequence sees, under its number."""
        sequence, position = state_keys(spec)
        columns = [exp.Alias(this=col("seq", "l"), alias=name(sequence)) if c.name == sequence else col(c.name, "k")
                   for c in spec.columns]  # fmt: skip
        visible = exp.and_(
            exp.EQ(this=col(sequence, "k"), expression=col("segment", "l")),
            exp.GTE(this=col(position, "k"), expression=col("low", "l")),
            exp.LT(this=col(position, "k"), expression=col("high", "l")), copy=False)  # fmt: skip
        home = STATE if self.control.views_name_databases else None
        query = exp.select(*columns, copy=False).from_(table(spec.name, home, "k"), copy=False).join(
            table(SEGMENT, home, "l"), on=visible, copy=False)  # fmt: skip
        return self.control.text(exp.Create(this=table(view_of(spec.name), STATE), kind="VIEW", exists=True,
                                            expression=query))  # fmt: skip

    def freeze(self, spec: TableSpec) -> str:
        """Give rows to a segment: its number, the sequence, the position they end at."""
        sequence, position = state_keys(spec)
        where = exp.and_(exp.EQ(this=col(sequence), expression=exp.Placeholder()),
                         exp.LT(this=col(position), expression=exp.Placeholder()), copy=False)  # fmt: skip
        return self._update(table(spec.name, STATE), {sequence: exp.Placeholder()}, where)

    def cut(self, spec: TableSpec) -> str:
        """Delete a sequence's own rows: its number, the first position that goes."""
        sequence, position = state_keys(spec)
        return self.control.delete(spec.name, STATE, (sequence,), position)

    def clip(self) -> list[tuple[str, tuple[str, ...]]]:
        """See nothing from a position on; statements with the names of their parameters."""
        target, mine = table(SEGMENT, STATE), exp.EQ(this=col("seq"), expression=exp.Placeholder())
        frozen = exp.LT(this=col("segment"), expression=exp.Literal.number(0))
        own = exp.GTE(this=col("segment"), expression=exp.Literal.number(0))
        above = exp.GTE(this=col("low"), expression=exp.Placeholder())
        gone = exp.Where(this=exp.and_(mine.copy(), frozen.copy(), above, copy=False))
        drop = exp.Delete(this=target.copy(), where=gone)
        out: list[tuple[str, tuple[str, ...]]] = [(self.control.text(drop), ("seq", "at"))]
        for bound, which in (("high", frozen), ("low", own)):
            beyond = exp.GT(this=col(bound), expression=exp.Placeholder())
            where = exp.and_(mine.copy(), which, beyond, copy=False)
            out.append((self._update(target.copy(), {bound: exp.Placeholder()}, where), ("at", "seq", "at")))
        return out

    def inherit(self) -> str:
        """Let a new sequence see the frozen segments that another sees: the new one, the other."""
        seen = exp.select(exp.Placeholder(), col("segment"), col("low"), col("high"), copy=False)
        seen.from_(table(SEGMENT, STATE), copy=False).where(exp.and_(
            exp.EQ(this=col("seq"), expression=exp.Placeholder()),
            exp.LT(this=col("segment"), expression=exp.Literal.number(0)), copy=False), copy=False)  # fmt: skip
        into = exp.Schema(this=table(SEGMENT, STATE), expressions=[name(c) for c in ("seq", "segment", "low", "high")])
        return self.control.text(exp.Insert(this=into, expression=seen))

    def collect(self, spec: TableSpec) -> str:
        """Delete the frozen rows that no sequence sees any more."""
        sequence, position = state_keys(spec)
        seen = exp.select(exp.Literal.number(1), copy=False).from_(table(SEGMENT, STATE, "l"), copy=False).where(
            exp.and_(exp.EQ(this=col("segment", "l"), expression=col(sequence, spec.name)),
                     exp.LT(this=col(position, spec.name), expression=col("high", "l")), copy=False),
            copy=False)  # fmt: skip
        frozen = exp.LT(this=col(sequence, spec.name), expression=exp.Literal.number(0))
        where = exp.and_(frozen, exp.Not(this=exp.Exists(this=seen)), copy=False)
        return self.control.text(exp.Delete(this=table(spec.name, STATE), where=exp.Where(this=where)))

    def next_number(self) -> str:
        """The number of the next frozen segment."""
        lowest = exp.Coalesce(this=exp.Min(this=col("segment")), expressions=[exp.Literal.number(0)])
        number = exp.Sub(this=lowest, expression=exp.Literal.number(1))
        frozen = exp.LT(this=col("segment"), expression=exp.Literal.number(0))
        return self.control.text(exp.select(number, copy=False).from_(table(SEGMENT, STATE), copy=False).where(
            frozen, copy=False))  # fmt: skip

    def _update(self, target: exp.Table, values: Mapping[str, exp.Expr], where: exp.Expr) -> str:
        sets = [exp.EQ(this=col(c), expression=v) for c, v in values.items()]
        return self.control.text(exp.Update(this=target, expressions=sets, where=exp.Where(this=where)))
