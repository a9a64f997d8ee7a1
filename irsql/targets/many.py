"""Control SQL over many sequences of a state database at once."""

from __future__ import annotations

from collections.abc import Sequence

import attrs
from sqlglot import exp

from irsql.targets.control import SEGMENT, SEQUENCE, STATE, Control, col, table


@attrs.frozen
class Many:
    """Writes the statements.

    Attributes
    ----------
    control
        The dialect.
    """

    control: Control

    def bounds(self) -> str:
        """The smallest and the largest number of a sequence; NULL if there is none."""
        query = exp.select(exp.Min(this=col("seq")), exp.Max(this=col("seq")), copy=False)
        return self.control.text(query.from_(table(SEQUENCE, STATE), copy=False))

    def sharing(self, numbers: Sequence[int]) -> str:
        """Which of these sequences see frozen rows, which others may see, too."""
        frozen = exp.LT(this=col("segment"), expression=exp.Literal.number(0))
        query = exp.select(col("seq"), copy=False).distinct(copy=False).from_(table(SEGMENT, STATE), copy=False)
        return self.control.text(query.where(_among("seq", numbers), frozen, copy=False))

    def delete(self, table_name: str, column: str, values: Sequence[int | str]) -> str:
        """Delete the rows whose column has one of these values."""
        where = exp.Where(this=_among(column, values))
        return self.control.text(exp.Delete(this=table(table_name, STATE), where=where))


def _among(column: str, values: Sequence[int | str]) -> exp.In:
    return exp.In(this=col(column), expressions=[exp.convert(v) for v in values])
