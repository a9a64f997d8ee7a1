"""What a program does, layer by layer: statements, the tables they read and write, rows and bytes.

Everything is read off the program; sizes that depend on the prompt stay symbols: ``B`` live sequences, ``S`` new tokens
of each, ``T`` tokens in the state.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

import attrs
from sqlglot import parse_one

from irsql.ir.location import layer_of
from irsql.targets.base import backend
from irsql.targets.names import view_of
from irsql.targets.program import Function, Program, Statement, TableSpec
from irsql.targets.tables import split_type

_BYTES = {"i64": 8, "f64": 8, "f32": 4, "f16": 2, "i1": 1}


@attrs.frozen
class Size:
    """How large a table is.

    Attributes
    ----------
    rows
        Rows, for one combination of the symbols.
    symbols
        Symbols to multiply them with: none for a stored table.
    width
        Bytes of a row, without what the engine adds.
    """

    rows: int
    symbols: tuple[str, ...]
    width: int

    @property
    def bytes(self) -> int:
        """Bytes of :attr:`rows`."""
        return self.rows * self.width


def size(spec: TableSpec) -> Size:
    """The size of a table."""
    rows, symbols = 1, []
    for extent in [p.extent for p in spec.parts if p.place == "row"] if spec.parts else spec.extents:
        if isinstance(extent, int):
            rows *= extent
        else:
            symbols.append(extent)
    return Size(rows, tuple(symbols), sum(widths(spec).values()))


def widths(spec: TableSpec) -> dict[str, int]:
    """Bytes of each column in a row, without what the engine adds."""
    types = ((c.name, *split_type(c.type)) for c in spec.columns)
    return {name: _BYTES[element] * max(length, 1) for name, element, length in types}


@attrs.frozen
class Step:
    """A statement, explained.

    Attributes
    ----------
    number
        Its place in the function, from 1.
    statement
        Itself.
    writes
        The table it fills or appends to; None if nothing describes it.
    stored, states
        Tables it reads.
    made
        Inputs of the function and step tables that it reads, each with the number of the statement that fills it (0
        for an input).
    """

    number: int
    statement: Statement
    writes: TableSpec | None
    stored: tuple[TableSpec, ...]
    states: tuple[TableSpec, ...]
    made: tuple[tuple[TableSpec, int], ...]


@attrs.frozen
class Layer:
    """The statements of one layer.

    Attributes
    ----------
    path
        Module path, or what :func:`irsql.ir.location.layer_of` made of it.
    steps
        In order.
    """

    path: str
    steps: tuple[Step, ...]

    @property
    def stored(self) -> tuple[TableSpec, ...]:
        """The stored tables its statements read, each once."""
        return tuple({spec.name: spec for step in self.steps for spec in step.stored}.values())


def explain(program: Program, function: Function) -> list[Layer]:
    """The layers of a function, in order of their first statement.

    Parameters
    ----------
    program
        A program.
    function
        One of its functions.
    """
    stored = {s.table.name: s.table for s in program.stored}
    states = {view_of(s.name): s for s in function.states} | {s.name: s for s in function.states}
    made = {s.name: s for s in (*function.inputs, *function.steps, *function.outputs)}
    writer = {s.table: number for number, s in enumerate(function.statements, 1)}
    layers: dict[str, list[Step]] = {}
    for number, statement in enumerate(function.statements, 1):
        step = Step(
            number, statement, (made | states).get(statement.table),
            tuple(stored[r] for r in statement.reads if r in stored),
            tuple(states[r] for r in statement.reads if r in states),
            tuple((made[r], writer.get(r, 0)) for r in statement.reads if r in made),
        )  # fmt: skip
        layers.setdefault(layer_of(statement.scope), []).append(step)
    return [Layer(path, tuple(steps)) for path, steps in layers.items()]


def stored_bytes(specs: Iterable[TableSpec]) -> int:
    """Bytes of stored tables."""
    return sum(size(spec).bytes for spec in specs)


def state_bytes_per_token(states: Sequence[TableSpec]) -> int:
    """Bytes that the state tables grow by with every token of a sequence."""
    return sum(size(s).bytes for s in states)


def alike(layers: Sequence[Layer]) -> list[list[Layer]]:
    """Neighbouring layers that only differ in their number, together."""
    out: list[list[Layer]] = []
    for layer in layers:
        if out and _shape(out[-1][0]) == _shape(layer):
            out[-1].append(layer)
        else:
            out.append([layer])
    return out


def _shape(layer: Layer) -> object:
    family = ".".join("#" if part.isdigit() else part for part in layer.path.split("."))
    if family == layer.path:
        return layer.path
    steps = [(s.statement.kind, s.writes and size(s.writes), [size(t) for t in s.stored], len(s.states), len(s.made))
             for s in layer.steps]  # fmt: skip
    return family, repr(steps)


def text_of(size_: Size) -> str:
    """Rows as text: ``B·S·192``."""
    return "·".join([*size_.symbols, *([f"{size_.rows:,}"] if size_.rows != 1 or not size_.symbols else [])])


def human(number: float) -> str:
    """Bytes as people read them."""
    if number < 1000:
        return f"{number:.0f} B"
    power = min(int(math.log10(number) // 3), 4)
    return f"{number / 1000**power:.{0 if number / 1000**power >= 100 else 1}f} {('B', 'kB', 'MB', 'GB', 'TB')[power]}"


def pretty(sql: str, target: str) -> str:
    """A statement on many lines.

    Raises
    ------
    IRError
        If there is no such target.
    """
    dialect = backend(target).target.dialect
    return parse_one(sql, dialect=dialect).sql(dialect=dialect, pretty=True)
