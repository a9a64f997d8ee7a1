"""``irsql-opt --bisect``: the first pass, and in it the first rewrite, that changes what a module computes.

The passes run once, in order, and the module is kept after each. What is slow is executing a module, so only the kept
modules that a binary search asks for are executed; each is compared with the input, as ``--verify-semantics`` does. The
search ends between two neighbours that were both executed, one right and one wrong. Where the end is right every module
is executed, in order. A pass that raises, or leaves IR that does not verify, is wrong too (as in ``git bisect run``).

Passes that rewrite by patterns are then run again with the number of their rewrites limited
(:class:`irsql.ir.rewriter.RewriteLimit`; LLVM's ``-opt-bisect-limit`` and MLIR's debug counters do the same).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import cast

import attrs

from irsql.ir.core import IRError, Module
from irsql.ir.instruments.base import Instrument, PassRun
from irsql.ir.instruments.verify_each import VerifyEach
from irsql.ir.instruments.verify_semantics import VerifySemantics
from irsql.ir.location import Location
from irsql.ir.passes import Pass
from irsql.ir.pipeline import PassFailure, PassManager
from irsql.ir.rewriter import RewriteLimit


@attrs.frozen
class Rewrite:
    """The first rewrite of a pass after which results differ.

    Attributes
    ----------
    number, total
        Which, of how many that the pass makes.
    pattern
        Name of the pattern.
    op
        The first line of the op it was applied to, as it was before.
    location
        Of the op, or of what holds it.
    """

    number: int
    total: int
    pattern: str
    op: str
    location: Location


@attrs.frozen(eq=False)
class Finding:
    """The pass that a bisection found.

    Attributes
    ----------
    number
        Its place in the pipeline, from 1.
    pass_
        The pass.
    before
        The module right before it.
    problem
        What differs, or what the pass raised.
    failed
        True where the pass raised or its result does not verify; False where the results differ.
    rewrite
        The first wrong rewrite, where it can be told.
    why_no_rewrite
        Why not, otherwise.
    repaired
        True where the results are right again after the last pass.
    """

    number: int
    pass_: Pass
    before: Module
    problem: IRError
    failed: bool
    rewrite: Rewrite | None
    why_no_rewrite: str
    repaired: bool


def clone(module: Module) -> Module:
    """A deep copy."""
    return cast(Module, module.clone())


class _History(Instrument):
    """Keeps the module as it was at first and after every pass, once for each different text."""

    needs_text = True

    def __init__(self) -> None:
        self.states: list[tuple[str, Module]] = []

    def before_pass(self, run: PassRun) -> None:
        if not self.states and run.before is not None:
            self.states.append((run.before.hash, clone(run.module)))

    def after_pass(self, run: PassRun) -> None:
        assert run.after is not None
        self.states.append((run.after.hash, clone(run.module)) if run.changed else self.states[-1])


class _Limit(Instrument):
    """Makes a pass count its rewrites by ``limit``."""

    def __init__(self, limit: RewriteLimit) -> None:
        self.limit = limit

    def before_pass(self, run: PassRun) -> None:
        run.ctx.rewrites = self.limit


class Bisection:
    """Looks for the first pass that changes what a module computes.

    Parameters
    ----------
    check
        Compares a module with the input.
    instruments
        Watch the one run of the passes.
    verify_each
        Whether IR that does not verify is wrong.
    progress
        Called after each step that takes time.
    """

    def __init__(self, check: VerifySemantics, instruments: Sequence[Instrument] = (), *, verify_each: bool = True,
                 progress: Callable[[], object] = lambda: None) -> None:
        self.check, self.instruments, self.progress = check, instruments, progress
        self.verifiers: list[Instrument] = [VerifyEach()] if verify_each else []
        self._known: dict[str, IRError | None] = {}

    def run(self, module: Module, passes: Sequence[Pass]) -> Finding | None:
        """Run all passes on ``module`` and give the first wrong one; None where no pass changes the results.

        Raises
        ------
        IRError
            If the input does not verify or cannot be executed.
        """
        if not passes:
            return None
        self.check.before_pipeline(module, passes)
        self.progress()
        history = _History()
        failure: PassFailure | None = None
        try:
            PassManager(passes, [history, *self.instruments, *self.verifiers]).run(module)
        except PassFailure as error:
            failure = error
        states = history.states
        self._known = {states[0][0]: None}
        bad = self._first_bad(states, ends=failure is None)
        if bad is None and failure is None:
            return None
        at = len(states) if bad is None else bad
        problem = failure if bad is None else self._problem(states[at])
        assert problem is not None
        before, pass_ = states[at - 1][1], passes[at - 1]
        rewrite = self._first_rewrite(before, pass_, failed=bad is None)
        found, why = (rewrite, "") if isinstance(rewrite, Rewrite) else (None, rewrite)
        repaired = failure is None and self._problem(states[-1]) is None
        return Finding(at, pass_, before, problem, bad is None, found, why, repaired)

    def _problem(self, state: tuple[str, Module]) -> IRError | None:
        digest, module = state
        if digest not in self._known:
            self._known[digest] = self._difference(module)
        return self._known[digest]

    def _difference(self, module: Module) -> IRError | None:
        """What a module computes otherwise than the input."""
        try:
            self.check.check(module)
        except IRError as error:
            return error
        finally:
            self.progress()
        return None

    def _first_bad(self, states: Sequence[tuple[str, Module]], ends: bool) -> int | None:
        """A wrong state after a right one; the input is right. ``ends``: no pass has failed after the last one."""
        good, bad = 0, len(states) - 1
        if self._problem(states[bad]) is None:
            looked_at = states if ends else ()
            return next((i for i, state in enumerate(looked_at) if self._problem(state) is not None), None)
        while bad - good > 1:
            middle = (good + bad) // 2
            if self._problem(states[middle]) is None:
                good = middle
            else:
                bad = middle
        return bad

    # -- inside of the pass ------------------------------------------------------------------------
    def _limited(self, before: Module, pass_: Pass, most: int | None) -> tuple[RewriteLimit, IRError | None, bool]:
        """Run the pass with so many rewrites: the counter, what is wrong then, whether the pass raised it."""
        limit, module = RewriteLimit(most), clone(before)
        try:
            PassManager([pass_], [_Limit(limit), *self.verifiers]).run(module)
        except PassFailure as failure:
            self.progress()
            return limit, failure, True
        return limit, self._difference(module), False

    def _first_rewrite(self, before: Module, pass_: Pass, failed: bool) -> Rewrite | str:
        """The first wrong rewrite, or why there is none."""
        limit, problem, _ = self._limited(before, pass_, None)
        total = limit.count
        if problem is None:
            return "the pass does something else on a copy of the module"
        if not total:
            return "" if failed else "the pass makes no rewrites by patterns"
        good, bad = 0, total
        for most, wrong in ((good, False), (bad, True)):
            limit, problem, raised = self._limited(before, pass_, most)
            if (problem is not None) != wrong or (raised and not failed):
                return "" if failed else "what is wrong does not come from its patterns alone"
        found = limit
        while bad - good > 1:
            middle = (good + bad) // 2
            limit, problem, raised = self._limited(before, pass_, middle)
            if raised and not failed:
                return f"with only {middle} of its {total} rewrites the pass leaves no valid module"
            if problem is None:
                good = middle
            else:
                bad, found = middle, limit
        return Rewrite(bad, total, *found.last)
