"""``irsql explain``: a model's layers, their statements, and the tables behind them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import attrs

from irsql.ir.location import within
from irsql.runtime.errors import UserError
from irsql.tools.console import console, printable

if TYPE_CHECKING:
    from rich.console import Console

    from irsql.targets.explain import Layer, Step
    from irsql.targets.program import Function, Program


LONG = ("shapes", "predictions")
"""Facts of a program that are not printed."""

def program_of(model: str, capture: Literal["fused", "aten"], target: str | None = None) -> Program:
    """The program of a database, or of a folder, of which only the configuration is read.

    Raises
    ------
    UserError
        If there is no such model.
    """
    from irsql import api
    from irsql.targets.base import DEFAULT_TARGET

    if api.is_checkpoint(model):
        api.check_target(target or DEFAULT_TARGET)
        return api.compile_folder(Path(model), capture, target=target or DEFAULT_TARGET)
    with api.Model.open(model) as opened:
        return opened.program


def function_of(program: Program, name: str) -> Function:
    """A function of a program.

    Raises
    ------
    UserError
        If there is none of this name.
    """
    if name not in program.functions:
        raise UserError(f"the model has no function {name!r}; there are {', '.join(program.functions)}")
    return program.functions[name]


def chosen(layers: list[Layer], path: str) -> list[Layer]:
    """The layers a path names: one of them, or all below it, or the statements of a module within one.

    Raises
    ------
    UserError
        If there is none.
    """
    found = [layer for layer in layers if within(layer.path, path)]
    for layer in layers if not found else ():
        steps = tuple(step for step in layer.steps if within(step.statement.scope, path))
        found += [attrs.evolve(layer, path=path, steps=steps)] if steps else []
    if not found:
        raise no_layer(path, [layer.path for layer in layers])
    return found


def no_layer(path: str, layers: Sequence[str]) -> UserError:
    """That a module path has no statements, and which ones have."""
    for layer in layers:
        if layer and within(path, layer):
            return UserError(f"no statement is of {path!r} alone: --layer {layer} shows those of its layer")
    return UserError(f"no layer is called {path!r}; there are {', '.join(layers)}")


def show(program: Program, name: str, layer: str | None, with_sql: bool) -> None:
    """Print the overview of a function, or the statements of one layer."""
    from irsql.targets import explain

    out = console(140)
    function = function_of(program, name)
    layers = explain.explain(program, function)
    if layer is None and not with_sql:
        _overview(out, program, function, layers)
        return
    for found in layers if layer is None else chosen(layers, layer):
        _layer(out, found, program.target if with_sql else None)


def _overview(out: Console, program: Program, function: Function, layers: list[Layer]) -> None:
    from rich.table import Table

    from irsql.targets.explain import alike, human, size, state_bytes_per_token, stored_bytes

    meta, specs = program.meta, [s.table for s in program.stored]
    states = max((f.states for f in program.functions.values()), key=len)
    architecture = printable(str(meta.get("architecture", "model")))
    out.print(f"{architecture}, {meta.get('layers', '?')} layers, context {meta.get('context')}, "
              f"compiled for {program.target}")
    out.print(f"{len(specs)} stored tables: {sum(size(s).rows for s in specs):,} rows, {human(stored_bytes(specs))}; "
              f"{len(states)} state tables: {human(state_bytes_per_token(states))} a token")
    count = len(function.statements)
    out.print(f"\n{function.name}: {count} statement{'s' * (count != 1)} "
              f"(other functions: {', '.join(n for n in program.functions if n != function.name)})\n")
    table = Table("layer", box=None, pad_edge=False, header_style="bold")
    for heading in ("statements", "step tables", "appends", "stored tables", "rows", "bytes"):
        table.add_column(heading, justify="right")
    for group in alike(layers):
        first, last = group[0], group[-1]
        name = printable(first.path or "(no module)")
        if len(group) > 1:
            name = f"{name} … {printable(last.path.rpartition('.')[2])}, each"
        kinds = [s.statement.kind for s in first.steps]
        read = ["", "", ""]
        if first.stored:
            rows = sum(size(t).rows for t in first.stored)
            read = [str(len(first.stored)), f"{rows:,}", human(stored_bytes(first.stored))]
        table.add_row(name, str(len(kinds)), str(kinds.count("step")), str(kinds.count("append") or ""), *read)
    out.print(table)
    example = next((printable(layer.path) for layer in layers if layer.path[-1:].isdigit()), "")
    more = f"One layer's statements: --layer {example}, with their SQL: --sql" if example else "The statements: --sql"
    out.print(f"\n{more}", style="dim")


def _layer(out: Console, layer: Layer, target: str | None) -> None:
    from rich.table import Table

    from irsql.targets.explain import pretty

    out.print(printable(layer.path or "(no module)"), style="bold")
    table = Table("", "from", "writes", "rows", "reads", "rows", "bytes", box=None, pad_edge=False, header_style="bold")
    for column in (0, 3, 5, 6):
        table.columns[column].justify = "right"
    for step in layer.steps:
        for cells in _rows(step, layer.path):
            table.add_row(*map(printable, cells))
    out.print(table)
    if target is not None:
        for step in layer.steps:
            out.print(f"\n-- {step.number}: {printable(step.statement.scope or '(no module)')}", style="dim")
            out.print(pretty(step.statement.sql, target) + ";", soft_wrap=True)
    out.print()


def _rows(step: Step, layer: str) -> list[list[str]]:
    from irsql.targets.explain import human, size, text_of

    def short(source: str) -> str:
        return source.removeprefix(f"{layer}.")

    written = [str(step.number), short(step.statement.scope + ".").rstrip(".") or ".", "", ""]
    if step.writes is not None:
        found = size(step.writes)
        written[2:] = [short(step.writes.source), text_of(found)]
        if step.statement.kind == "append":
            written[2:] = [f"+ {step.writes.source}", f"{found.rows} a token"]
    read = [[short(spec.source), f"{size(spec).rows:,}", human(size(spec).bytes)] for spec in step.stored]
    read += [[spec.source, text_of(size(spec)), ""] for spec in step.states]
    read += [[f"({number})\N{NO-BREAK SPACE}{short(spec.source)}" if number else f"the input {spec.source}", "", ""]
             for spec, number in step.made]  # fmt: skip
    return [[*(written if i == 0 else [""] * 4), *cells] for i, cells in enumerate(read or [["", "", ""]])]


def as_json(program: Program, name: str) -> str:
    """Everything :func:`show` knows, for other programs."""
    from irsql.targets.explain import explain, size

    def table(spec: Any) -> dict[str, Any]:
        found = size(spec)
        return {"table": spec.name, "source": spec.source, "rows": found.rows, "symbols": found.symbols,
                "bytes": found.bytes}  # fmt: skip

    function = function_of(program, name)
    return json.dumps({
        "target": program.target, "function": name, "meta": {k: v for k, v in program.meta.items() if k not in LONG},
        "stored": [table(s.table) for s in program.stored], "states": [table(s) for s in function.states],
        "layers": [{"path": layer.path, "statements": [
            {"number": s.number, "scope": s.statement.scope, "kind": s.statement.kind, "writes": s.statement.table,
             "reads": s.statement.reads, "sql": s.statement.sql} for s in layer.steps]}
            for layer in explain(program, function)],
    }, ensure_ascii=False)  # fmt: skip
