"""Applies reductions to ever smaller choices of their targets until nothing more goes (delta debugging).

For each reduction first all targets at once, then halves, quarters, … single ones are reduced, as in Zeller and
Hildebrandt's ddmin and llvm-reduce; what still fails is kept. The whole list is repeated until a round changes nothing.
"""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

import attrs

from irsql.ir.core import IRError, Module
from irsql.ir.dump import write_module
from irsql.ir.parser import parse_module
from irsql.ir.printer import print_op
from irsql.ir.verifier import verify
from irsql.tools.reduce import details, sizes, structure
from irsql.tools.reduce.base import Reduction

REDUCTIONS: tuple[Reduction, ...] = (
    structure.DropFunctions(), structure.DropOps(), structure.DropResults(), structure.DropArguments(),
    structure.Bypass(), structure.Reuse(), structure.DropInputs(), sizes.ShrinkTogether(),
    *(sizes.ShrinkSizes(n) for n in (1, 2, 3, None)), *(sizes.StaticSymbols(n) for n in (1, 2, 3)),
    sizes.NarrowSymbols(), *(details.SimplerConstants(n) for n in (0, 1, None)), details.Fold(),
    *(details.SimplerNumbers(n) for n in (0, 1, None)), details.DropAttributes(), details.DropLocations(),
    details.DropNames(),
)  # fmt: skip
"""In the order in which they are tried: what removes most comes first."""


@attrs.frozen
class Candidate:
    """A module that verifies, and its text."""

    module: Module
    text: str

    @property
    def ops(self) -> int:
        """Operations, at any depth, without module and functions."""
        return sum(1 for func in self.module.functions.values() for _ in func.body.walk())

    @property
    def size(self) -> int:
        """Bytes of the text."""
        return len(self.text.encode())

    @property
    def digest(self) -> str:
        """Short form of the text, which names big constants after their content."""
        return hashlib.blake2b(self.text.encode(), digest_size=16).hexdigest()


Runner = Callable[[Sequence[Candidate]], int | None]


class Choice:
    """Chooses the targets with numbers in a range; counts all."""

    def __init__(self, chosen: range) -> None:
        self.chosen, self.count = chosen, 0

    def __call__(self) -> bool:
        self.count += 1
        return self.count - 1 in self.chosen


class _EnoughError(Exception):
    """Ends a reduction that has made as many tests as it may."""


@attrs.define(eq=False)
class Reducer:
    """Makes a module small while a test holds.

    Attributes
    ----------
    test
        Whether what is looked for still happens with the module in a file.
    name
        Name of the files given to it.
    header
        Lines at the top of those files.
    jobs
        Tests that run at the same time. The result does not depend on it.
    max_tests
        No more tests are made than this.
    progress
        Called after each test.
    stop
        Ends the tests that are running.
    reductions
        What is tried.
    """

    test: Callable[[Path], bool]
    name: str = "input.mlir"
    header: Sequence[str] = ()
    jobs: int = 1
    max_tests: int | None = None
    progress: Callable[[Reducer], object] = lambda _: None
    stop: Callable[[], object] = lambda: None
    reductions: Sequence[Reduction] = REDUCTIONS

    best: Candidate = attrs.field(init=False)
    """The smallest module found so far."""
    tests: int = attrs.field(default=0, init=False)
    """Tests made so far."""
    current: str = attrs.field(default="", init=False)
    """Name of the reduction that is tried."""
    failures: dict[str, Exception] = attrs.field(factory=dict[str, Exception], init=False)
    """Reductions that raised what is no error of the IR, with the first such exception."""
    _known: dict[str, bool] = attrs.field(factory=dict[str, bool], init=False)
    _folder: Path = attrs.field(init=False)

    def begin(self, module: Module) -> Candidate:
        """Start from a module, for which the test must hold."""
        self.best = Candidate(module, print_op(module, resources={}))
        return self.best

    def run(self) -> Module:
        """The smallest module found; it is in ``best`` also when this is interrupted.

        Raises
        ------
        IRError
            If the test does not hold for the first module.
        """
        with tempfile.TemporaryDirectory(prefix="irsql-reduce-") as folder, self._runner() as run:
            self._folder = Path(folder)
            if not self._holds(self.best):
                raise IRError("the test does not hold for the module as irsql prints it")
            try:
                while self._round(run):
                    pass
            except _EnoughError:
                pass
        return self.best.module

    def _round(self, run: Runner) -> bool:
        """Try every reduction once; say whether anything went."""
        before = self.best
        for reduction in self.reductions:
            self.current = reduction.name
            size = self._count(reduction)
            while size:
                self._sweep(reduction, size, run)
                size //= 2
        return self.best is not before

    def _count(self, reduction: Reduction) -> int:
        choice = Choice(range(0))
        reduction.apply(cast(Module, self.best.module.clone()), choice)
        return choice.count

    def _sweep(self, reduction: Reduction, size: int, run: Runner) -> None:
        """Reduce so many targets at a time, from the first to the last."""
        at, count = 0, self._count(reduction)
        while at < count:
            batch: list[tuple[int, Candidate]] = []
            start = at
            while start < count and len(batch) < self.jobs:
                candidate = self._candidate(reduction, range(start, start + size))
                if candidate is not None:
                    batch.append((start, candidate))
                start += size
            hit = run([candidate for _, candidate in batch])
            if hit is None:
                at = start
                continue
            at, self.best = batch[hit]
            self.progress(self)
            count = self._count(reduction)

    def _candidate(self, reduction: Reduction, chosen: range) -> Candidate | None:
        """The best module with some targets reduced; None where it is known not to do, or is not valid."""
        module = cast(Module, self.best.module.clone())
        try:
            reduction.apply(module, Choice(chosen))
            resources: dict[str, Any] = {}
            candidate = Candidate(module, print_op(module, resources=resources))
            if candidate.digest == self.best.digest or self._known.get(candidate.digest) is False:
                return None
            if module.functions:
                verify(parse_module(candidate.text, resources=resources))
                return candidate
            self._known[candidate.digest] = False
        except IRError:  # the reduction makes no sense on these targets
            pass
        except Exception as error:  # no reason to lose what was found so far, but one to tell
            self.failures.setdefault(reduction.name, error)
        return None

    # -- testing -----------------------------------------------------------------------------------
    @contextmanager
    def _runner(self) -> Iterator[Runner]:
        """A function that tests candidates and gives the number of the first for which the test holds."""
        if self.jobs == 1:
            yield lambda batch: next((i for i, c in enumerate(batch) if self._holds(c)), None)
            return
        with ThreadPoolExecutor(self.jobs) as pool:

            def first(batch: Sequence[Candidate]) -> int | None:
                futures = [pool.submit(self._holds, candidate) for candidate in batch]
                try:
                    return next((i for i, future in enumerate(futures) if future.result()), None)
                finally:
                    for future in futures:
                        future.cancel()

            try:
                yield first
            finally:
                self.stop()

    def _holds(self, candidate: Candidate) -> bool:
        if self._known.get(candidate.digest):
            return True  # it was tested beside another that came first
        if self.max_tests is not None and self.tests >= self.max_tests:
            raise _EnoughError
        self.tests += 1
        with tempfile.TemporaryDirectory(dir=self._folder) as folder:
            path = Path(folder) / self.name
            write_module(path, candidate.module, self.header)
            found = self.test(path)
        self._known[candidate.digest] = found
        self.progress(self)
        return found
