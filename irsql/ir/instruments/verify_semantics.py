"""``--verify-semantics``: the first pass that changes a result is named."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from irsql.ir import dims, semantics
from irsql.ir.core import IRError, Module
from irsql.ir.instruments.base import Instrument, PassRun
from irsql.ir.interp import Array
from irsql.ir.passes import Pass
from irsql.ir.verifier import verify

MAX_ELEMENTS = 4_000_000
"""Most elements of all parameters together that are interpreted without asking (rel holds a row an element)."""


class VerifySemantics(Instrument):
    """Executes the module before the first pass and after every pass that changed it, and compares.

    The reference is the module as it was first seen, so that small errors cannot add up unseen from pass to pass. See
    :mod:`irsql.ir.semantics` for what is run and what counts as equal.

    Parameters
    ----------
    parameters
        Checkpoint tensors by name; the others are drawn.
    count, seed
        Number of trials and their seed.
    max_elements
        Modules with more parameter elements are refused.
    """

    needs_text = True

    def __init__(self, parameters: Mapping[str, Array] | None = None, count: int = 4, seed: int = 0,
                 max_elements: int = MAX_ELEMENTS) -> None:
        self.parameters, self.count, self.seed, self.max_elements = parameters or {}, count, seed, max_elements
        self.checked = 0
        """Passes whose effect was executed."""
        self._module: Module | None = None
        self._wanted: list[tuple[semantics.Trial, list[semantics.Outcome]]] = []

    def before_pipeline(self, module: Module, passes: Sequence[Pass]) -> None:
        if module is self._module or not passes:
            return
        verify(module)  # what is not valid fails with a diagnostic, not in the middle of its execution
        self._refuse_big(module)
        try:
            self._wanted = [(t, semantics.execute(module, t, self.parameters))
                            for t in semantics.trials(module, self.count, self.seed)]
        except Exception as error:
            text = str(error) if isinstance(error, IRError) else f"{type(error).__name__}: {error}"
            raise IRError(f"verify-semantics cannot execute the input: {text}", getattr(error, "op", None)) from error
        self._module = module

    def after_pass(self, run: PassRun) -> None:
        if not run.changed:
            return
        self.checked += 1
        self.check(run.module)

    def check(self, module: Module) -> None:
        """Execute a version of the module that was first seen and compare.

        Raises
        ------
        IRError
            If it cannot be executed or gives other results.
        """
        for trial, wanted in self._wanted:
            try:
                got = semantics.execute(module, trial, self.parameters)
            except Exception as error:
                text = str(error) if isinstance(error, IRError) else f"{type(error).__name__}: {error}"
                raise IRError(f"its result cannot be executed (with {trial}): {text}",
                              getattr(error, "op", None)) from error
            problems = semantics.compare(got, wanted, semantics.adapter_for(module).tolerance(module))
            if problems:
                more = f" (and {len(problems) - 3} more)" if len(problems) > 3 else ""
                raise IRError(f"it changes what the module computes (with {trial}): {'; '.join(problems[:3])}{more}")

    def _refuse_big(self, module: Module) -> None:
        types = semantics.parameter_types(module, semantics.adapter_for(module))
        total = sum(int(np.prod([dims.evaluate(d, {}) for d in t.shape])) for t in types.values())
        if total > self.max_elements:
            raise IRError(f"verify-semantics would interpret {total:,} parameter elements, more than "
                          f"{self.max_elements:,}: add --shrink, or start from a smaller configuration of the model")
