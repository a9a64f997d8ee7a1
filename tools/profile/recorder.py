"""Watches the statements of a model's steps: each is run under the engine's profiler and kept with what it computes."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any

import attrs

from irsql.runtime.session import Model
from irsql.targets.explain import size, widths
from irsql.targets.names import view_of
from irsql.targets.profile import Profile
from irsql.targets.program import Function, Program, Statement, TableSpec

CONTROL = "(control)"
SAMPLING = "(sampling)"


@attrs.frozen
class Record:
    """A statement that ran.

    Attributes
    ----------
    scope
        Module path of what it computes; :data:`CONTROL` and :data:`SAMPLING` for what belongs to no module.
    function
        Function of the program that it belongs to; empty for a control statement.
    statement
        Its description; None for a control statement.
    sql
        Its text.
    profile
        What the engine says of it.
    """

    scope: str
    function: str
    statement: Statement | None
    sql: str
    profile: Profile


class Recorder:
    """Profiles every statement of a model while it is active.

    Attributes
    ----------
    records
        What ran, in order.
    seconds, overhead
        Wall time while it was active, and how much of it went into turning the profiler on and reading its results.
    """

    def __init__(self, model: Model) -> None:
        self._db, self._execute = model.db, model.db.execute
        self._known: dict[str, tuple[Function, Statement]] = {}
        for function in model.program.functions.values():
            for statement in function.statements:
                self._known.setdefault(_key(statement.sql), (function, statement))
        self._inside = False
        self._begin = self.seconds = self.overhead = 0.0
        self.records: list[Record] = []

    def __enter__(self) -> Recorder:
        self._db.execute = self._profiled  # type: ignore[method-assign]
        self._begin = time.perf_counter()
        return self

    def __exit__(self, *_: object) -> None:
        self.seconds += time.perf_counter() - self._begin
        self._db.execute = self._execute  # type: ignore[method-assign]

    def _profiled(self, statement: Any, parameters: Sequence[Any] | None = None) -> None:
        if self._inside:  # the driver's own statements that turn the profiler on
            self._execute(statement, parameters)
            return
        self._inside = True
        begin = time.perf_counter()
        try:
            profile = self._db.profile(statement, parameters)
        finally:
            self._inside = False
        self.overhead += time.perf_counter() - begin - profile.seconds
        text = statement if isinstance(statement, str) else statement.query
        function, known = self._known.get(_key(text), (None, None))
        name = function.name if function is not None else ""
        scope = CONTROL if known is None else known.scope or SAMPLING
        self.records.append(Record(scope, name, known, text, profile))


def _key(sql: str) -> str:
    return sql.strip().removesuffix(";")


def tables_of(program: Program) -> dict[str, TableSpec]:
    """Every table that statements of a program read, by name; a state also by the name of its view."""
    out = {s.table.name: s.table for s in program.stored}
    for function in program.functions.values():
        out |= {s.name: s for s in (*function.inputs, *function.steps, *function.outputs, *function.states)}
        out |= {view_of(s.name): s for s in function.states}
    return out


def _width(spec: TableSpec, columns: Sequence[str]) -> int:
    """Bytes of some columns of a row; of all where none is named."""
    known = widths(spec)
    return sum(known.get(c, 0) for c in columns) if columns else sum(known.values())


def scanned_bytes(program: Program, records: Sequence[Record], symbols: Mapping[str, int]) -> tuple[int, bool]:
    """Bytes of the rows that some statements looked at, and whether the engine counted the rows.

    Where it does not, every table that a statement reads counts as a whole: more than a lookup needs.

    Parameters
    ----------
    program
        The program.
    records
        The statements.
    symbols
        Values of the symbolic extents, for tables that the engine does not count.
    """
    tables = tables_of(program)
    operators = [o for r in records for o in r.profile.walk() if o.scanned is not None and o.table in tables]
    if operators:
        return sum(_width(tables[o.table], o.columns) * (o.scanned or 0) for o in operators), True
    total = 0
    for record in records:
        for name in record.statement.reads if record.statement is not None else ():
            if name in tables:
                found = size(tables[name])
                rows = found.rows
                for symbol in found.symbols:
                    rows *= symbols.get(symbol, 1)
                total += rows * found.width
    return total, False
