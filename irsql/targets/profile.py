"""What an engine says of one run of a statement, in terms that all engines share."""

from __future__ import annotations

from collections.abc import Iterator

import attrs


@attrs.frozen
class Operator:
    """An operator of the engine's plan.

    Attributes
    ----------
    name
        As the engine calls it.
    detail
        What it works on: a condition, expressions, an index.
    seconds
        Time in it alone, summed over threads; None where the engine does not tell.
    rows
        Rows it gave; None where the engine does not tell.
    table
        The table it scans, without its database; empty for others.
    columns
        Columns of the table that it reads; none where the engine does not tell.
    scanned
        Rows of the table it looked at; None where the engine does not tell.
    inputs
        Operators it reads from.
    """

    name: str
    detail: str = ""
    seconds: float | None = None
    rows: int | None = None
    table: str = ""
    columns: tuple[str, ...] = ()
    scanned: int | None = None
    inputs: tuple[Operator, ...] = ()

    def walk(self) -> Iterator[Operator]:
        """The operator and all below it."""
        yield self
        for operator in self.inputs:
            yield from operator.walk()


@attrs.frozen
class Profile:
    """One run of a statement.

    Attributes
    ----------
    seconds
        From the call until the result was there.
    planning
        Seconds of them until the engine began to execute; None where it does not tell.
    operators
        The roots of its plan; none where the engine tells nothing but the time.
    """

    seconds: float
    planning: float | None = None
    operators: tuple[Operator, ...] = ()

    def walk(self) -> Iterator[Operator]:
        """All operators."""
        for operator in self.operators:
            yield from operator.walk()
