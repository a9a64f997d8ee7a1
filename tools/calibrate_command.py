"""``irsql calibrate``: what the engine's work costs on this machine, for ``select-layout``."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from typing import Annotated

import typer

from irsql.tools.options import TargetOption

ROUNDS = 15


def calibrate(
    target: TargetOption = "duckdb",
    output: Annotated[
        Path | None, typer.Option("--output", "-o", metavar="FILE", help="Where the costs go; by default where every "
                                  "compilation looks for them.")
    ] = None,
    rounds: Annotated[int, typer.Option(min=2, help="How often each product is timed.")] = ROUNDS,
    as_json: Annotated[bool, typer.Option("--json", help="Print the costs and all times.")] = False,
) -> None:  # fmt: skip
    """Measure what the engine's work costs on this machine; compilations then choose layouts by it.

    Products of several shapes are run in many layouts, about a minute in all; the costs are those that explain the
    times best. Without a calibration the costs of another machine count. Remove the file to go back to them.

    Examples
    --------
      irsql calibrate
      irsql calibrate --target sqlite -o costs.json
    """
    from tqdm import tqdm

    from irsql.runtime.errors import UserError
    from irsql.targets import calibration
    from irsql.targets.base import runnable
    from irsql.tools.calibrate import fit, probe, report
    from irsql.tools.machine import machine

    to = runnable(target).target
    path = output or calibration.path_of(target)
    if path is None:
        raise UserError(f"the environment variable {calibration.FOLDER} is empty: give --output")
    todo = list(fit.layouts(to))
    with tqdm(total=len(todo) * (rounds + 2), desc="calibrating", file=sys.stderr, disable=not sys.stderr.isatty(),
              bar_format="{desc}: {percentage:3.0f}%|{bar}| {elapsed}<{remaining}") as bar:  # fmt: skip
        probes = []
        for shape, layout in todo:
            probes.append(probe.Probe.of(shape, layout, target))
            bar.update()
        with tempfile.TemporaryDirectory(prefix="irsql-") as folder:
            with probe.loaded(probes, target, Path(folder) / "calibrate.db") as db:
                probe.measure(probes, db, rounds, bar.update)
                engine = f"{db.title} {db.version}"
    costs = fit.fit(probes, machine())
    calibration.write(costs, path)
    if as_json:
        sys.stdout.write(report.as_json(probes, costs))
    else:
        report.show(probes, costs, engine)
        sys.stdout.write(f"{path}\n")

