"""``irsql profile --layout-report``: what the cost model foretold of each contraction beside what was measured."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import attrs
from rich.table import Table

from irsql.ir.location import common, layer_of
from irsql.runtime.errors import UserError
from irsql.targets.program import Program
from irsql.tools.calibrate.fit import kendall_tau
from irsql.tools.console import console, printable
from irsql.tools.profile.recorder import tables_of
from irsql.tools.profile.summary import Line, StepProfile


@attrs.frozen
class Entry:
    """A statement with contractions.

    Attributes
    ----------
    scope
        Its module.
    storages, tiles
        What the contractions read, and their layouts.
    predicted, measured
        Milliseconds; the measured ones are those of the whole statement, with its element-wise work.
    """

    scope: str
    storages: tuple[str, ...]
    tiles: tuple[str, ...]
    predicted: float
    measured: float


def entries(program: Program, found: StepProfile) -> list[Entry]:
    """The statements of a profiled step that multiply something stored.

    Raises
    ------
    UserError
        If the program was compiled without predictions, by an older irsql or another pipeline.
    """
    name = found.facts["function"]
    predictions = [p for p in program.meta.get("predictions", ()) if p["function"] == name]
    if not predictions:
        raise UserError("the program carries no predictions: compile it again with select-layout in the pipeline")
    tables = tables_of(program)
    readers: dict[str, list[Line]] = {}
    for line in (line for line in found.lines if line.function == name):
        reads = program.functions[name].statements[line.number - 1].reads
        for source in {tables[t].source for t in reads if t in tables}:
            readers.setdefault(str(source), []).append(line)
    computed: dict[int, list[Any]] = {}
    for p in predictions:
        if p["storage"] in readers:  # a tied embedding is looked up by one statement and multiplied by another
            best = max(readers[p["storage"]], key=lambda x: (len(common((x.scope, p["scope"]))), x.number))
            computed.setdefault(best.number, []).append(p)
    out = []
    for line in found.lines:
        if line.function == name:
            mine = computed.get(line.number, [])
            if mine:
                out.append(Entry(line.scope, tuple(p["storage"] for p in mine), tuple(p["tile"] for p in mine),
                                 sum(p["ms"] for p in mine), line.seconds * 1e3))  # fmt: skip
    return out


def show(program: Program, found: StepProfile) -> None:
    """Print the report: one row for statements of the same module and layout in all layers."""
    all_of = entries(program, found)
    groups: dict[tuple[str, tuple[str, ...]], list[Entry]] = {}
    for entry in all_of:
        groups.setdefault((_everywhere(entry.scope), entry.tiles), []).append(entry)
    out = console(120)
    sizes = next(p["sizes"] for p in program.meta["predictions"] if p["function"] == found.facts["function"])
    planned = ", ".join(f"{k} = {v}" for k, v in sizes.items())
    out.print(f"{found.facts['function']} at {found.facts['context']} tokens on {found.facts['engine']}; "
              f"layouts were planned for {planned}\n")  # fmt: skip
    table = Table("module", "layout", box=None, pad_edge=False, header_style="bold")
    for heading in ("statements", "predicted", "measured", "measured / predicted"):
        table.add_column(heading, justify="right")
    for (module, tiles), group in groups.items():
        predicted, measured = sum(e.predicted for e in group), sum(e.measured for e in group)
        table.add_row(printable(module), ", ".join(tiles), str(len(group)), f"{predicted:,.1f} ms",
                      f"{measured:,.1f} ms", f"{measured / predicted:.2f}")  # fmt: skip
    out.print(table)
    ratio = math.exp(sum(math.log(e.measured / e.predicted) for e in all_of) / len(all_of))
    out.print(f"\nA layout is FORM LANExCOLUMNSxSEGMENTS. Measured over predicted, geometric mean: {ratio:.2f};\n"
              f"agreement in order (Kendall's tau): {_tau(all_of):.2f}. irsql calibrate measures this machine's costs.")


def _tau(all_of: Sequence[Entry]) -> float:
    return kendall_tau([(e.predicted, e.measured) for e in all_of])


def _everywhere(scope: str) -> str:
    """A module path with the number of its layer left open."""
    layer = layer_of(scope)
    head, _, number = layer.rpartition(".")
    return f"{head}.N{scope[len(layer):]}" if number.isdigit() else scope
