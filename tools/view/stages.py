"""The columns of the page: the ops of each stage as rows, and which rows of other stages they are related to.

Two rows of a function are related when the locations of one are among those of the other: an op's own location, and
those of the ops inside it. Some passes merge an op into its reader and keep the reader's location. A location that a
stage has lost is followed to the readers of its values: that relation is *inferred*, and the page shows it as such.
"""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Container, Iterable, Sequence

import attrs

from irsql.ir.core import Func, Module, Op
from irsql.ir.location import Location
from irsql.ir.printer import Printer
from irsql.tools.view.text import Folder

SHORT = 60
"""Most characters of an attribute that a row shows."""


@attrs.define
class Row:
    """One line of a column.

    Attributes
    ----------
    name, result, detail
        The op, what it defines, what it reads.
    loc
        Its own location.
    locs
        All locations that relate it to rows of other stages.
    text
        All of it.
    line
        Where it is in its file, from 1; for a piece of SQL the number of its statement.
    part
        ``op``; ``statement``, ``cte`` or ``query`` for SQL.
    """

    name: str
    result: str
    detail: str
    loc: Location
    locs: tuple[Location, ...]
    text: str
    line: int
    part: str = "op"

    @property
    def path(self) -> tuple[str, str]:
        """Its module, cut behind the layer's number: ``model.layers.3`` and ``mlp.gate_proj``."""
        parts = self.loc.scope.split(".")
        layer = next((i + 1 for i, part in enumerate(parts) if part.isdigit()), len(parts))
        return ".".join(parts[:layer]), ".".join(parts[layer:])


@attrs.define
class Column:
    """The rows of a function in one stage.

    Attributes
    ----------
    rows
        In order.
    readers
        For each location, the locations of the ops that read its values; what :func:`relate` follows when the next
        stage has lost a location.
    """

    rows: list[Row]
    readers: dict[Location, list[Location]] = attrs.field(factory=dict)


def columns(module: Module, first_line: int = 1) -> dict[str, Column]:
    """The ops of every function of a module.

    Parameters
    ----------
    module
        The module.
    first_line
        Number of the line in the file that the module's text starts on.
    """
    printer, folder = Printer(), Folder()
    printer.op(module)
    return {name: _column(func, printer, folder, first_line) for name, func in module.functions.items()}


def _column(func: Func, printer: Printer, folder: Folder, first_line: int) -> Column:
    starts = [printer.op_lines[op] for op in func.block.ops]
    last = next((i for i in range(starts[-1], len(printer.lines)) if printer.lines[i].startswith("  }")), starts[-1])
    ends = [*starts[1:], last]
    rows: list[Row] = []
    for op, start, end in zip(func.block.ops, starts, ends, strict=True):
        text = "\n".join(folder(line[4:]) for line in printer.lines[start:end])
        rows.append(Row(op.name, " ".join(map(printer.name_of, op.results)), _detail(op, printer), op.loc,
                        locations(op), text, first_line + start))  # fmt: skip
    return Column(rows, _readers(func))


def locations(op: Op) -> tuple[Location, ...]:
    """Known locations of an op and of the ops inside it, its own first."""
    return tuple(dict.fromkeys(o.loc for o in op.walk() if o.loc.known))


def _detail(op: Op, printer: Printer) -> str:
    operands = [" ".join(map(printer.name_of, op.operands))] if op.operands else []
    short = [f"{k}={json.dumps(v, ensure_ascii=False)}" for k, v in op.attributes.items()
             if isinstance(v, (bool, int, float, str)) and len(str(v)) < SHORT]  # fmt: skip
    return " ".join(operands + short)


def _readers(func: Func) -> dict[Location, list[Location]]:
    out: dict[Location, dict[Location, None]] = {}
    for op in func.block.ops:
        for result in op.results:
            for user in result.users():
                while user.parent is not None and user.parent is not func.block and user.parent_op is not None:
                    user = user.parent_op
                if user.loc != op.loc and user.loc.known and op.loc.known:
                    out.setdefault(op.loc, {})[user.loc] = None
    return {loc: list(users) for loc, users in out.items()}


Related = tuple[list[list[int]], list[list[int]]]
"""For each column, the related rows: those that share a location, and those that are inferred."""


def relate(cols: Sequence[Column]) -> tuple[list[list[int]], list[Related]]:
    """For every row of every column the number of its relation, and the relations.

    Rows with the same locations in the same column share one.
    """
    lineage = _Lineage.of(cols)
    numbers: list[list[int]] = []
    known: dict[tuple[int, frozenset[Location]], int] = {}
    relations: list[Related] = []
    for i, column in enumerate(cols):
        numbers.append([])
        for row in column.rows:
            key = i, frozenset(row.locs)
            if key not in known:
                known[key] = len(relations)
                relations.append(lineage.related(i, row.locs))
            numbers[-1].append(known[key])
    return numbers, relations


@attrs.frozen
class _Lineage:
    """Where locations are, and what became of them.

    Attributes
    ----------
    rows
        For each column, the rows of each location.
    heirs
        For each column but the last, the locations that stand in the next column for one that it has lost.
    lost
        The same backwards: what a location of the next column stands for.
    """

    rows: list[dict[Location, list[int]]]
    heirs: list[dict[Location, list[Location]]]
    lost: list[dict[Location, list[Location]]]

    @classmethod
    def of(cls, cols: Sequence[Column]) -> _Lineage:
        rows: list[dict[Location, list[int]]] = []
        for column in cols:
            rows.append({})
            for i, row in enumerate(column.rows):
                for loc in row.locs:
                    rows[-1].setdefault(loc, []).append(i)
        heirs = [_heirs(column, here, there) for column, here, there in zip(cols, rows, rows[1:], strict=False)]
        lost: list[dict[Location, list[Location]]] = []
        for step in heirs:
            lost.append({})
            for loc, found in step.items():
                for heir in found:
                    lost[-1].setdefault(heir, []).append(loc)
        return cls(rows, heirs, lost)

    def related(self, column: int, locs: Sequence[Location]) -> Related:
        """The rows related to one of ``column`` with these locations."""
        direct = [sorted(self._rows(j, locs)) for j in range(len(self.rows))]
        inferred: list[set[int]] = [set() for _ in self.rows]
        following = set(locs)
        for j in range(column, len(self.heirs)):
            following = {x for loc in following for x in self.heirs[j].get(loc, (loc,))}
            inferred[j + 1] = self._rows(j + 1, following)
        following = set(locs)
        for j in range(column - 1, -1, -1):
            following |= {x for loc in following for x in self.lost[j].get(loc, ())}
            inferred[j] = self._rows(j, following)
        return direct, [sorted(rows - set(d)) for rows, d in zip(inferred, direct, strict=True)]

    def _rows(self, column: int, locs: Iterable[Location]) -> set[int]:
        return {row for loc in locs for row in self.rows[column].get(loc, ())}


def _heirs(column: Column, here: Iterable[Location], there: Container[Location]) -> dict[Location, list[Location]]:
    """For each location that the next stage has lost, the nearest readers whose location it has."""
    out: dict[Location, list[Location]] = {}
    for lost in here:
        if lost in there:
            continue
        seen, queue, found = {lost}, deque([lost]), dict[Location, None]()
        while queue:
            for reader in column.readers.get(queue.popleft(), ()):
                if reader in there:
                    found[reader] = None
                elif reader not in seen:
                    seen.add(reader)
                    queue.append(reader)
        out[lost] = list(found)
    return out
