"""``--timing``: where the time goes."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from typing import Literal, TextIO

from irsql.ir.core import Module
from irsql.ir.instruments.base import Instrument, PassRun
from irsql.ir.passes import Pass


class Timing(Instrument):
    """Seconds per pass: ``tree`` in the order of compilation under their stage, ``list`` summed by name and sorted.

    What instruments and the pass manager itself take is the row ``(checks and dumps)``.
    """

    def __init__(self, mode: Literal["tree", "list"] = "tree", stream: TextIO | None = None) -> None:
        self.mode, self.stream = mode, stream
        self.rows: list[tuple[str, str, str, float]] = []
        """Stage, name, spec and seconds of every run."""
        self.total = 0.0
        self._start = 0.0

    def before_pipeline(self, module: Module, passes: Sequence[Pass]) -> None:
        self._start = time.perf_counter()

    def after_pipeline(self, module: Module) -> None:
        self.total += time.perf_counter() - self._start

    def after_pass(self, run: PassRun) -> None:
        self.rows.append((run.stage_before or "-", run.pass_.name, run.pass_.spec, run.seconds))

    def pass_failed(self, run: PassRun, error: Exception) -> None:
        self.total += time.perf_counter() - self._start

    def report(self) -> str:
        """The table as text."""
        total = max(self.total, 1e-9)

        def line(seconds: float, label: str) -> str:
            return f"  {seconds:9.4f} s  {100 * seconds / total:5.1f}%  {label}"

        lines = ["===-- Pass timing --===", line(self.total, "total")]
        if self.mode == "list":
            sums: dict[str, float] = {}
            for _, name, _, seconds in self.rows:
                sums[name] = sums.get(name, 0.0) + seconds
            lines += [line(s, name) for name, s in sorted(sums.items(), key=lambda item: -item[1])]
        else:
            stage = None
            for at, (row_stage, _, spec, seconds) in enumerate(self.rows):
                if row_stage != stage:
                    stage, rest = row_stage, self.rows[at:]
                    end = next((i for i, r in enumerate(rest) if r[0] != stage), len(rest))
                    lines.append(line(sum(r[3] for r in rest[:end]), stage))
                lines.append(line(seconds, f"  {spec}"))
        lines.append(line(max(0.0, self.total - sum(r[3] for r in self.rows)), "(checks and dumps)"))
        return "\n".join(lines) + "\n"

    def close(self) -> None:
        (self.stream or sys.stderr).write(self.report())
