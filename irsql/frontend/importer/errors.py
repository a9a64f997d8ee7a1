"""What the importer cannot express: collected over the whole graph, reported once."""

from __future__ import annotations

from collections.abc import Sequence

import attrs

from irsql.ir.diagnostics import Diagnostic, DiagnosticError
from irsql.ir.location import Location

ELSEWHERE = ("compute this part outside of the captured module, or write it with other operators: the page "
             "reference/operators of the documentation lists them")


class Refused(Exception):
    """An importer function cannot express its node; the driver collects these.

    Attributes
    ----------
    reason
        Why, in one sentence.
    suggestion
        What the user may do.
    """

    def __init__(self, reason: str, suggestion: str = ELSEWHERE) -> None:
        super().__init__(reason)
        self.reason, self.suggestion = reason, suggestion


@attrs.frozen
class Unsupported:
    """One kind of node that cannot be imported.

    Attributes
    ----------
    op
        The operator, ``aten.conv2d.default``.
    count
        How many nodes of the graph fail for this reason.
    loc
        Where the first of them comes from.
    reason, suggestion
        One sentence each.
    """

    op: str
    count: int
    loc: Location
    reason: str
    suggestion: str


class UnsupportedError(DiagnosticError):
    """The module cannot be imported; the message lists everything that stands in the way.

    Attributes
    ----------
    rows
        One entry an operator and reason, in order of first appearance.
    """

    def __init__(self, rows: Sequence[Unsupported]) -> None:
        self.rows = tuple(rows)
        super().__init__(
            Diagnostic(f"{row.op} (×{row.count}): {row.reason}", location=row.loc, suggestion=row.suggestion)
            for row in self.rows
        )

    def __str__(self) -> str:
        nodes = sum(row.count for row in self.rows)
        head = f"{nodes} node{'s' * (nodes != 1)} of the captured graph cannot be expressed; the first of each kind:"
        return f"{head}\n{super().__str__()}"


def collect(failures: Sequence[tuple[str, Location, Refused]]) -> list[Unsupported]:
    """Group failures by operator and reason, in order of first appearance."""
    groups: dict[tuple[str, str], list[tuple[Location, Refused]]] = {}
    for op, loc, refused in failures:
        groups.setdefault((op, refused.reason), []).append((loc, refused))
    return [
        Unsupported(op, len(items), items[0][0], reason, items[0][1].suggestion)
        for (op, reason), items in groups.items()
    ]
