"""Steps under the profiler, put together: what each statement took, of which module it is, and its operators."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import attrs

from irsql.ir.location import layer_of
from irsql.targets.program import Program
from irsql.tools.profile.recorder import Record, scanned_bytes, tables_of

CLIENT = "(client)"
FORMAT = 1


@attrs.frozen
class Part:
    """An operator of a statement: equal ones together.

    Attributes
    ----------
    name, detail
        As the engine calls it, and what it works on.
    seconds
        Summed over threads; None where the engine does not tell.
    rows, scanned
        Rows it gave, and rows of a table that it looked at; None where the engine does not tell.
    """

    name: str
    detail: str
    seconds: float | None
    rows: int | None
    scanned: int | None


@attrs.frozen
class Line:
    """A statement: its median over the steps.

    Attributes
    ----------
    function, number
        Its function and its place there, from 1; empty and 0 for a control statement.
    scope
        Module path, or what stands for it.
    node
        The node of the graph whose result it writes; empty where it writes none.
    sql
        Its text.
    seconds, planning
        Time, and how much of it went before the engine executed (None where it does not tell).
    parts
        Operators, the longest first.
    bytes, counted
        What it scanned, and whether the engine counted the rows.
    """

    function: str
    number: int
    scope: str
    node: str
    sql: str
    seconds: float
    planning: float | None
    parts: tuple[Part, ...]
    bytes: int
    counted: bool


@attrs.frozen
class StepProfile:
    """What a kind of step spends its time on.

    Attributes
    ----------
    facts
        Engine, model, function, context, number of steps.
    seconds
        Median of steps without the profiler.
    profiled
        Median of steps with it, without what it takes to turn it on and off.
    lines
        Statements in order.
    """

    facts: Mapping[str, Any]
    seconds: float
    profiled: float
    lines: tuple[Line, ...]

    @property
    def client(self) -> float:
        """Seconds of a profiled step outside of its statements."""
        return max(0.0, self.profiled - sum(line.seconds for line in self.lines))

    def as_json(self) -> dict[str, Any]:
        """For ``irsql view --profile`` and other programs."""
        return {"irsql_profile": FORMAT, **self.facts, "seconds": self.seconds, "profiled_seconds": self.profiled,
                "statements": [attrs.asdict(line) for line in self.lines]}  # fmt: skip


def summarise(program: Program, steps: Sequence[Sequence[Record]], symbols: Mapping[str, int]) -> tuple[Line, ...]:
    """The statements of several equal steps.

    Parameters
    ----------
    program
        What ran.
    steps
        What each step recorded.
    symbols
        Values of the symbolic extents of tables.
    """
    numbers = {(name, s.sql): i for name, f in program.functions.items() for i, s in enumerate(f.statements, 1)}
    sources = {name: spec.source for name, spec in tables_of(program).items()}
    out = []
    for runs in zip(*steps, strict=True):
        middle = statistics.median_low(r.profile.seconds for r in runs)
        run = next(r for r in runs if r.profile.seconds == middle)
        count, counted = scanned_bytes(program, [run], symbols)
        number, node = 0, ""
        if run.statement is not None:
            number, table = numbers[run.function, run.statement.sql], run.statement.table
            node = str(sources.get(table, table))
        out.append(Line(run.function, number, run.scope, node, run.sql.strip(), middle, run.profile.planning,
                        _parts(run), count, counted))  # fmt: skip
    return tuple(out)


def _parts(record: Record) -> tuple[Part, ...]:
    found: dict[tuple[str, str], Part] = {}
    for o in record.profile.walk():
        detail = o.table if o.table and o.scanned is not None else o.detail
        one = Part(o.name, detail, o.seconds, o.rows, o.scanned)
        known = found.get((o.name, detail))
        found[o.name, detail] = one if known is None else Part(
            o.name, detail, _plus(known.seconds, one.seconds), _plus(known.rows, one.rows),
            _plus(known.scanned, one.scanned))  # fmt: skip
    return tuple(sorted(found.values(), key=lambda part: -(part.seconds or 0.0)))


def _plus(a: Any, b: Any) -> Any:
    return b if a is None else a if b is None else a + b


@attrs.define
class Group:
    """Statements that belong together.

    Attributes
    ----------
    name
        Of the layer or module.
    lines
        Its statements.
    """

    name: str
    lines: list[Line] = attrs.field(factory=list)

    @property
    def seconds(self) -> float:
        """Time of all."""
        return sum(line.seconds for line in self.lines)

    @property
    def planning(self) -> float | None:
        """Time before the engine executed."""
        told = [line.planning for line in self.lines if line.planning is not None]
        return sum(told) if told else None

    @property
    def scanned(self) -> int | None:
        """Rows that the engine says it looked at."""
        told = [p.scanned for line in self.lines for p in line.parts if p.scanned is not None]
        return sum(told) if told else None

    @property
    def operators(self) -> list[tuple[str, float]]:
        """Names of operators with their time, the longest first."""
        out: dict[str, float] = {}
        for line in self.lines:
            for part in line.parts:
                out[part.name] = out.get(part.name, 0.0) + (part.seconds or 0.0)
        return sorted(out.items(), key=lambda item: -item[1])


def groups(lines: Iterable[Line], by: str) -> list[Group]:
    """Statements by ``layer``; by ``module``, equal modules of all layers together; or each ``statement`` alone."""
    out: dict[object, Group] = {}
    for n, line in enumerate(lines):
        if by == "layer":
            key: object = layer_of(line.scope)
            name = str(key)
        elif by == "module":
            name = ".".join("*" if part.isdigit() else part for part in line.scope.split("."))
            key = name
        else:
            key = n
            name = f"{line.function} {line.number}: {line.node}" if line.number else line.scope
        out.setdefault(key, Group(name)).lines.append(line)
    return list(out.values())
