"""``--verify-each`` (on unless switched off): every pass leaves valid IR behind."""

from __future__ import annotations

from collections.abc import Sequence

from irsql.ir.attributes import FunctionType
from irsql.ir.core import IRError, Module
from irsql.ir.instruments.base import Instrument, PassRun
from irsql.ir.passes import Pass
from irsql.ir.printer import Printer
from irsql.ir.verifier import verify


class VerifyEach(Instrument):
    """Verifies the module at the start and after every pass.

    An optimisation (a pass that stays in its stage) must also keep the types of all functions, unless it declares
    ``changes_signatures``: what callers and the other functions rely on (DataFusion checks its rules in the same way).
    """

    def __init__(self) -> None:
        self._signatures: dict[str, FunctionType] = {}

    def before_pipeline(self, module: Module, passes: Sequence[Pass]) -> None:
        verify(module)

    def before_pass(self, run: PassRun) -> None:
        self._signatures = {name: func.function_type for name, func in run.module.functions.items()}

    def after_pass(self, run: PassRun) -> None:
        verify(run.module)
        if run.pass_.changes_stage() or run.pass_.changes_signatures:
            return
        for name, old in self._signatures.items():
            func = run.module.functions.get(name)
            if func is None:
                raise IRError(f"it removed @{name}; an optimisation keeps every function", run.module)
            if func.function_type != old:
                raise IRError(f"it changed the type of @{name}: {_first_change(old, func.function_type)}; "
                              "an optimisation keeps the types of functions", func)


def _first_change(old: FunctionType, new: FunctionType) -> str:
    """The first argument or result that differs, as a sentence."""
    text = Printer().type_text
    for what, before, after in (("argument", old.inputs, new.inputs), ("result", old.results, new.results)):
        if len(before) != len(after):
            return f"{len(before)} {what}s became {len(after)}"
        for i, (a, b) in enumerate(zip(before, after, strict=True)):
            if a != b:
                return f"{what} {i} was {text(a)} and is {text(b)}"
    raise AssertionError("the types are equal")
