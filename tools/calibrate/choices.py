"""Whether ``select-layout`` chooses well on this machine: its choice against twenty and more layouts, all measured.

Run as ``python -m irsql.tools.calibrate.choices [TARGET …]``. The products are others than those of the calibration.
"""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import attrs
from tqdm import tqdm

from irsql.ir.target import Costs, Target
from irsql.passes.rel.select_layout import rows_of_lanes
from irsql.targets.base import backend, runnable
from irsql.targets.calibration import calibrated
from irsql.tools.calibrate.fit import kendall_tau, predicted
from irsql.tools.calibrate.probe import Probe, Shape, loaded, measure

SHAPES = (Shape(1, 2048, 2520), Shape(1, 1024, 5040), Shape(16, 512, 2520))
"""Their axes have many divisors, so that there is much to choose from without lanes too."""
ROUNDS, SECONDS = 3, 20.0
"""Every layout is timed so often, and again as often as these seconds allow."""
MOST_ROUNDS = 30
COLUMNS = (1, 2, 3, 4, 5, 6, 7, 8, 10, 12, 14, 16, 20, 24, 28, 32, 40, 48, 56, 64)
"""Lanes that a row is cut into."""
WIDE = (840, 630, 504, 420, 360, 315, 280, 252, 210, 180, 168, 140, 126, 120, 105, 90, 84, 72, 70, 60)
"""Columns of a row without lanes."""


def layouts(shape: Shape, target: Target) -> Iterator[str]:
    """Options of ``select-layout`` for a product: its own choice first, then those that it is compared with."""
    yield ""
    yield "form=scalar"
    if not target.layout.carriers:
        yield from (f"wide-columns={n}" for n in WIDE if n <= shape.inner)
        return
    for n in COLUMNS:
        for segments in (1, 2) if n >= 4 and target.layout.cores > 1 else (1,):
            yield f"tile=dot:{-(-shape.inner // n)}x{n}x{segments}"
    yield from (f"tile=chunks:{lane}x{n}x{rows}" for lane, n, rows in rows_of_lanes(shape.inner, target.layout.chunks))


@attrs.frozen
class Choice:
    """What was chosen for a product, and what else there was.

    Attributes
    ----------
    shape
        Label of the product.
    target
        Name of the engine.
    layouts
        Number of different layouts that were measured.
    chosen, best
        In words.
    chosen_ms, best_ms
        Measured.
    ratio
        Time of the choice in parts of the best.
    tau
        Kendall's tau of predicted and measured times, over pairs whose times differ by more than a tenth.
    """

    shape: str
    target: str
    layouts: int
    chosen: str
    chosen_ms: float
    best: str
    best_ms: float
    ratio: float
    tau: float


def judge(probes: Sequence[Probe], costs: Costs, target: str) -> Choice:
    """Compare the first of the probes of one product, the choice, with all of them."""
    first, best = probes[0], min(probes, key=lambda p: p.milliseconds)
    tau = kendall_tau([(predicted(p, costs), p.milliseconds) for p in probes])
    return Choice(first.shape.label, target, len(probes), first.tile, first.milliseconds, best.tile, best.milliseconds,
                  first.milliseconds / best.milliseconds, tau)  # fmt: skip


def choices(target: str) -> Iterator[Choice]:
    """Measure every layout of every product, in turns.

    Raises
    ------
    ArithmeticError
        If a product is wrong.
    """
    to = calibrated(backend(target).target)
    for shape in SHAPES:
        probes: dict[str, Probe] = {}
        for layout in tqdm(list(layouts(shape, to)), desc=f"compiling {shape.label}", disable=None):
            probe = Probe.of(shape, layout, target)
            probes.setdefault(probe.tile, probe)
        with tempfile.TemporaryDirectory(prefix="irsql-") as folder:
            found = list(probes.values())
            with loaded(found, target, Path(folder) / "choices.db") as db:
                measure(found, db, ROUNDS)
                more = int(SECONDS * 1e3 / sum(p.milliseconds for p in found))
                for _ in tqdm(range(min(more, MOST_ROUNDS)), desc=f"measuring on {target}", disable=None):
                    measure(found, db, 1)
        yield judge(found, to.costs, target)


def main(targets: Sequence[str]) -> None:
    """A line of JSON a product and engine."""
    for target in targets or ["duckdb", "sqlite", "postgres", "pgvector"]:
        runnable(target)
        for choice in choices(target):
            row: dict[str, Any] = attrs.asdict(choice)
            sys.stdout.write(json.dumps({k: round(v, 3) if isinstance(v, float) else v for k, v in row.items()}) + "\n")
            sys.stdout.flush()


if __name__ == "__main__":
    main(sys.argv[1:])
