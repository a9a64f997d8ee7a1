"""``--print-ir-…``: the IR around passes, on the error stream."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import TextIO

from irsql.ir.core import Module
from irsql.ir.instruments.base import Instrument, PassRun, snapshot
from irsql.ir.passes import Pass

ALL = ("all",)
"""Stands for every pass where names are asked for."""


class PrintIR(Instrument):
    """Prints the module before or after passes; flags and headers are MLIR's (``lib/Pass/IRPrinting.cpp``).

    Parameters
    ----------
    before, after
        Names of passes, or :data:`ALL`.
    after_change
        After every pass that changed the text.
    after_failure
        When a pass fails.
    stream
        Where to; standard error if not given.
    """

    def __init__(self, before: Sequence[str] = (), after: Sequence[str] = (), after_change: bool = False,
                 after_failure: bool = False, stream: TextIO | None = None) -> None:
        self.before, self.after = tuple(before), tuple(after)
        self.after_change, self.after_failure, self.stream = after_change, after_failure, stream
        self.needs_text = after_change  # printing every module is not free

    def _print(self, when: str, pass_: Pass, module: Module, note: str = "") -> None:
        stream = self.stream or sys.stderr
        stream.write(f"// -----// IR Dump {when} {pass_.spec}{note} //----- //\n{snapshot(module).text}\n")

    def before_pass(self, run: PassRun) -> None:
        if self.before == ALL or run.pass_.name in self.before:
            self._print("Before", run.pass_, run.module)

    def after_pass(self, run: PassRun) -> None:
        if self.after == ALL or run.pass_.name in self.after or (self.after_change and run.changed):
            self._print("After", run.pass_, run.module)

    def pass_failed(self, run: PassRun, error: Exception) -> None:
        if self.after_failure:
            self._print("After", run.pass_, run.module, " Failed")
