"""``irsql profile``: runs some steps under the engine's profiler and shows what they spend their time on."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from irsql.ir.location import within
from irsql.runtime.errors import UserError
from irsql.runtime.sequence import TokenSequence
from irsql.runtime.session import PREFILL_CHUNK, Model
from irsql.targets.explain import human
from irsql.tools.console import console, printable
from irsql.tools.explain_command import no_layer
from irsql.tools.profile.recorder import Record, Recorder
from irsql.tools.profile.summary import CLIENT, Group, StepProfile, groups, summarise

FUNCTIONS = ("decode", "prefill")
_OPERATORS = 3
"""Operators shown of each group."""


def profile(model: Model, *, function: str, context: int, steps: int) -> StepProfile:
    """Profile steps of a model.

    Parameters
    ----------
    model
        An open model.
    function
        ``decode``: a token after ``context`` others; ``prefill``: a prompt of ``context`` tokens.
    context
        Number of tokens.
    steps
        How many steps; medians are given.

    Raises
    ------
    UserError
        If there is no such function, or the model does not take so many tokens.
    """
    if function not in FUNCTIONS:
        raise UserError(f"a step is {' or '.join(FUNCTIONS)}, not {function!r}")
    room = model.context - 2 * steps - 2 if function == "decode" else min(PREFILL_CHUNK, model.context - 1)
    if not 0 < context <= room:
        raise UserError(f"--context is between 1 and {room} here, not {context}")
    ids = np.random.default_rng(0).integers(0, model.vocabulary_size, context).tolist()
    plain, watched, records = [], [], []
    sequence = model.sequence()
    run = _decode(sequence, ids) if function == "decode" else _prefill(sequence, ids)
    run()  # plans, and reads the weights
    for _ in range(steps):
        plain.append(_timed(run))
        with Recorder(model) as recorder:
            run()
        watched.append(recorder.seconds - recorder.overhead)
        records.append(recorder.records)
    symbols = {"B": 1, "S": 1 if function == "decode" else context, "T": context}
    lines = summarise(model.program, _equal(records), symbols)
    sequence.delete()
    facts = {"engine": f"{model.db.title} {model.db.version}", "target": model.program.target, "function": function,
             "context": context, "steps": steps}  # fmt: skip
    return StepProfile(facts, statistics.median(plain), statistics.median(watched), lines)


def _decode(sequence: TokenSequence, ids: list[int]) -> Callable[[], object]:
    sequence.prefill(ids)
    sequence.step()
    return sequence.step


def _prefill(sequence: TokenSequence, ids: list[int]) -> Callable[[], object]:
    def run() -> None:
        sequence.truncate(0)
        sequence.prefill(ids)

    return run


def _timed(run: Callable[[], object]) -> float:
    begin = time.perf_counter()
    run()
    return time.perf_counter() - begin


def _equal(records: list[list[Record]]) -> list[list[Record]]:
    """The steps that ran the same statements as the last one: the first may have had to tidy up."""
    last = [r.sql for r in records[-1]]
    return [step for step in records if [r.sql for r in step] == last]


def show(found: StepProfile, by: str, layer: str | None) -> None:
    """Print a profile as a table."""
    from rich.table import Table

    lines = [line for line in found.lines if layer is None or within(line.scope, layer)]
    if not lines:
        raise no_layer(str(layer), [group.name for group in groups(found.lines, "layer")])
    facts = found.facts
    out = console(150)
    out.print(f"{facts['function']} at {facts['context']} tokens on {facts['engine']}: {_ms(found.seconds)}, "
              f"under the profiler {_ms(found.profiled)}; medians of {facts['steps']} steps\n")  # fmt: skip
    total = sum(line.seconds for line in found.lines) + found.client
    table = Table(by, box=None, pad_edge=False, header_style="bold")
    for heading in ("statements", "time", "share", "planning", "rows", "scanned"):
        table.add_column(heading, justify="right")
    table.add_column("operators")
    for group in groups(lines, by):
        table.add_row(printable(group.name), str(len(group.lines)), _ms(group.seconds), f"{group.seconds / total:.1%}",
                      "" if group.planning is None else _ms(group.planning),
                      "" if group.scanned is None else f"{group.scanned:,}", _bytes(group), _operators(group))
    if layer is None:
        table.add_row(CLIENT, "", _ms(found.client), f"{found.client / total:.1%}", "", "", "", "")
    out.print(table)
    if any(line.parts for line in lines) and not any(p.seconds is not None for line in lines for p in line.parts):
        out.print("\nThis engine plans but does not time its operators.", style="dim")
    if not all(line.counted for line in lines if line.bytes):
        out.print("\nThis engine counts no rows: every table that a statement reads counts whole.", style="dim")


def _bytes(group: Group) -> str:
    total = sum(line.bytes for line in group.lines)
    return human(total) if total else ""


def _operators(group: Group) -> str:
    busy = sum(seconds for _, seconds in group.operators)
    shown: list[Any] = group.operators[:_OPERATORS]
    if not busy:
        return ", ".join(printable(name) for name, _ in shown)
    return ", ".join(f"{printable(name)} {seconds / busy:.0%}" for name, seconds in shown if seconds / busy >= 0.01)


def _ms(seconds: float) -> str:
    return f"{seconds * 1e3:,.1f} ms"
