"""What a calibration found, for people and for programs."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence

import attrs
from rich.table import Table

from irsql.ir.target import Costs
from irsql.tools.calibrate.fit import kendall_tau, predicted
from irsql.tools.calibrate.probe import Probe, Shape
from irsql.tools.console import console

UNITS = {"ms": "ms", "us": "µs", "ns": "ns"}
MEANING = {"statement_ms": "a statement, and a part of one that ends before the next begins",
           "term_us": "a term of a written-out sum", "sum_us": "a column summed over rows",
           "call_ns": "an inner product", "double_ns": "a multiply-add in a lane, for every doubling beyond 64",
           "row_ns": "a row out of a join",
           "group_ns": "a row into an aggregate", "byte_ns": "a byte scanned", "pack_ns": "an element packed",
           "unpack_ns": "an element unpacked"}


def by_shape(probes: Sequence[Probe]) -> dict[Shape, list[Probe]]:
    """The probes of each shape."""
    out: dict[Shape, list[Probe]] = {}
    for probe in probes:
        out.setdefault(probe.shape, []).append(probe)
    return out


def spread(probes: Sequence[Probe], costs: Costs) -> float:
    """By how much predictions are off, as a factor: the geometric mean over all probes."""
    return math.exp(sum(abs(math.log(predicted(p, costs) / p.milliseconds)) for p in probes) / len(probes))


def show(probes: Sequence[Probe], costs: Costs, engine: str) -> None:
    """Print the costs, and how well they foretell the times they were found from."""
    out = console(100)
    table = Table("cost of", "", title=f"{engine} on {costs.machine}", title_justify="left", box=None, pad_edge=False)
    for field, what in MEANING.items():
        table.add_row(what, f"{getattr(costs, field):.4g} {UNITS[field.rpartition('_')[2]]}")
    for form, value in costs.mac_ns.items():
        table.add_row(f"a multiply-add in {form}", f"{value:.4g} ns")
    out.print(table)
    table = Table("product", "layouts", "predicted best", "time", "measured best", "time", "tau", box=None,
                  pad_edge=False, title="\nwhat they foretell", title_justify="left")  # fmt: skip
    for shape, group in by_shape(probes).items():
        chosen, best = min(group, key=lambda p: predicted(p, costs)), min(group, key=lambda p: p.milliseconds)
        pairs = [(predicted(p, costs), p.milliseconds) for p in group]
        table.add_row(shape.label, str(len(group)), chosen.tile, f"{chosen.milliseconds:.2f} ms", best.tile,
                      f"{best.milliseconds:.2f} ms", f"{kendall_tau(pairs):.2f}")  # fmt: skip
    out.print(table)
    out.print(f"\ntimes are the least of {len(probes[0].seconds)} rounds; predictions are off by a factor of "
              f"{spread(probes, costs):.2f} in the mean;\ntau: agreement in order of layouts that differ by more than "
              "10 %, 1 is all, -1 none")


def as_json(probes: Sequence[Probe], costs: Costs) -> str:
    """The same as one JSON object."""
    found = [{"shape": attrs.asdict(p.shape), "tile": p.tile, "layout": p.layout, "ms": p.milliseconds,
              "predicted_ms": predicted(p, costs)} for p in probes]  # fmt: skip
    return json.dumps({"costs": costs.as_dict(), "probes": found}) + "\n"
