"""``--statistics``: what passes counted, and how their rewrite patterns did."""

from __future__ import annotations

import sys
from typing import TextIO

from irsql.ir.instruments.base import Instrument, PassRun


class Statistics(Instrument):
    """Prints the counters of every pass and the tries, hits and milliseconds of every pattern."""

    def __init__(self, stream: TextIO | None = None) -> None:
        self.stream = stream
        self.lines: list[str] = []

    def after_pass(self, run: PassRun) -> None:
        ctx = run.ctx
        self.lines.append(run.pass_.spec)
        self.lines += [f"  (S) {count:8d} {name}" for name, count in ctx.statistics.items()]
        self.lines += [f"  (P) {p.hits:8d} hits of {p.tries} tries, {1000 * p.seconds:.2f} ms  {name}"
                       for name, p in sorted(ctx.patterns.items(), key=lambda item: -item[1].seconds)]

    def close(self) -> None:
        (self.stream or sys.stderr).write("\n".join(["===-- Pass statistics --===", *self.lines]) + "\n")
