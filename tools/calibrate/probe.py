"""Products of known size, compiled in chosen layouts by the compiler's own pipeline and timed.

A probe is one contraction of a random activation with a stored random weight. What is timed is what a model's step
runs: the statements of the program, prepared once, on a database file that was loaded as a model is.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import attrs
import numpy as np

from irsql.compile import compile_module, pipeline
from irsql.dialects.expr import HALF_CARRIERS
from irsql.dialects.tir import ops as ti
from irsql.ir.affine import AffineMap
from irsql.ir.attributes import F32, TensorType
from irsql.ir.core import ArgInfo, Builder, Func, Module
from irsql.ir.instruments.base import Instrument
from irsql.ir.semantics import HALF_TOLERANCE, TOLERANCE
from irsql.passes.rel import _cost
from irsql.passes.rel._contraction import match
from irsql.predictions import tile_text
from irsql.runtime.load import fill
from irsql.targets.base import driver
from irsql.targets.control import MODEL
from irsql.targets.driver import Driver
from irsql.targets.program import Program
from irsql.targets.tables import from_arrow, to_arrow

Array = np.ndarray[Any, Any]


@attrs.frozen
class Shape:
    """``y[s, n] = Σ_k x[s, k] W[n, k]``, or with ``heads`` ``y[h, n] = Σ_k p[h, k] V[k, h, n]``.

    Attributes
    ----------
    rows
        Rows of the activation; heads of a weighted sum.
    outputs, inner
        n and k.
    sums
        Whether it is the weighted sum.
    """

    rows: int
    outputs: int
    inner: int
    sums: bool = False

    @property
    def macs(self) -> int:
        """Multiply-adds."""
        return self.rows * self.outputs * self.inner

    @property
    def weight_shape(self) -> tuple[int, ...]:
        """The stored tensor."""
        return (self.inner, self.rows, self.outputs) if self.sums else (self.outputs, self.inner)

    @property
    def label(self) -> str:
        """For people."""
        if self.sums:
            return f"weighted sum of {self.inner} rows, {self.rows} x {self.outputs}"
        return f"{self.rows} x {self.inner} by {self.inner} x {self.outputs}"

    def expected(self, x: Array, w: Array) -> Array:
        """The product in double precision."""
        a, b = x.astype(np.float64), w.astype(np.float64)
        return np.einsum("hk,khn->hn", a, b) if self.sums else a @ b.T

    def module(self) -> Module:
        """The contraction as a tir module with one parameter ``w``."""
        select = AffineMap.select
        given = TensorType((self.rows, self.inner), F32)
        module, load = Module.empty(stage="tir"), Func.build("load", [])
        func = Func.build("forward", [("x", given)], args=[ArgInfo()])
        weight = TensorType(self.weight_shape, F32)
        loaded = Builder(load.block).insert(ti.Parameter(parameter="w", result_types=[weight])).result
        Builder(load.block).insert(ti.Store(loaded, store="w"))
        load.ret()
        b = Builder(func.block)
        w = b.insert(ti.Stored(store="w", result_types=[weight])).result
        maps = (select(3, (0, 2)), select(3, (2, 0, 1) if self.sums else (1, 2)), select(3, (0, 1)))
        y = b.insert(ti.Contract(func.block.args[0], w, maps=maps, bounds=(self.rows, self.outputs, self.inner),
                                 result_types=[TensorType((self.rows, self.outputs), F32)])).result
        func.ret(y)
        module.add(load)
        module.add(func)
        return module


class Weights:
    """The random weight of a shape, for the loader and for the check."""

    def __init__(self, shape: Shape) -> None:
        rng = np.random.default_rng(shape.macs)
        self.w: Array = rng.standard_normal(shape.weight_shape, np.float32)
        self.x: Array = rng.standard_normal((shape.rows, shape.inner), np.float32)

    def shape(self, name: str) -> tuple[int, ...]:
        """As the loader asks."""
        return self.w.shape

    def read(self, name: str, row_start: int = 0, row_stop: int | None = None) -> Array:
        """As the loader asks."""
        return self.w[row_start:row_stop]


class _Watch(Instrument):
    """Keeps what the cost model counts, as ``select-layout`` left it."""

    work: _cost.Work | None = None
    form = tile = ""

    def after_pass(self, run: Any) -> None:
        if run.pass_.name == "select-layout":
            for op in run.module.functions["forward"].block.ops:
                found = match(op)
                if found is not None:
                    self.work = _cost.work(found, found.aggregate.tile, {}, run.ctx.require_target())
                    self.form = _cost.form_of(found.aggregate.tile)
                    self.tile = tile_text(found.aggregate.tile)


@attrs.define
class Probe:
    """A compiled contraction.

    Attributes
    ----------
    shape, layout
        What is computed, and the options of ``select-layout``.
    work, form, tile
        What the cost model counts, of which form, and the layout in words.
    program
        The statements.
    seconds
        What was measured, one number a round.
    """

    shape: Shape
    layout: str
    work: _cost.Work
    form: str
    tile: str
    program: Program
    seconds: list[float] = attrs.field(factory=list)

    @classmethod
    def of(cls, shape: Shape, layout: str, target: str) -> Probe:
        """Compile a contraction with the given options of ``select-layout``."""
        watch = _Watch()
        compiled = compile_module(shape.module(), target, weights={"w": Weights(shape).w}, instruments=[watch],
                                  pipeline_text=pipeline(layout, target), identity=lambda name: shape.label)
        assert watch.work is not None, "a probe is one contraction"
        return cls(shape, layout, watch.work, watch.form, watch.tile, compiled.program)

    @property
    def milliseconds(self) -> float:
        """The least of what was measured: whatever else the machine does only adds to it."""
        return min(self.seconds) * 1e3


@contextmanager
def loaded(probes: Sequence[Probe], target: str, path: Path) -> Iterator[Driver]:
    """A connection to a new database that holds the weights of all probes."""
    engine = driver(target)
    with engine.for_loading(path) as db:
        db.attach(path, MODEL)
        done: set[str] = set()
        with db.loading(MODEL):
            for probe in probes:
                fresh = tuple(s for s in probe.program.stored if s.table.name not in done)
                done |= {s.table.name for s in fresh}
                if fresh:
                    fill(db, attrs.evolve(probe.program, stored=fresh), Weights(probe.shape), {})
        db.detach(MODEL)
    with engine() as db:
        db.attach(path, MODEL, read_only=True)
        yield db


def measure(probes: Sequence[Probe], db: Driver, rounds: int, tick: Callable[[], object] = lambda: None) -> None:
    """Time every probe once a round, so that a busy moment of the machine does not fall on one of them alone.

    Raises
    ------
    ArithmeticError
        If a product is wrong.
    """
    runs = [_Run(probe, db) for probe in probes]
    for number in range(rounds + 1):
        for probe, run in zip(probes, runs, strict=True):
            seconds = run.seconds(check=not number)
            if number:  # the first one reads the weights
                probe.seconds.append(seconds)
            tick()


class _Run:
    """The statements of a probe, ready to run."""

    def __init__(self, probe: Probe, db: Driver) -> None:
        self._probe, self._db = probe, db
        self._function = probe.program.functions["forward"]
        self._weights = Weights(probe.shape)
        self._connection = db.cursor()
        (given,) = self._function.inputs
        for text in (self._connection.control.create_spec(given), *self._connection.control.temporaries(probe.program)):
            self._connection.execute(text)
        self._given, self._rows = given.name, to_arrow(given, self._weights.x)
        self._plan = [self._connection.prepare(text) for text in self._connection.control.statements(self._function)]

    def seconds(self, check: bool) -> float:
        """Run it once, on an activation that is written anew: some engines empty such tables after a transaction."""
        with self._connection.transaction():
            self._connection.execute(self._connection.control.delete(self._given))
            self._connection.insert(self._given, self._rows)
            begin = time.perf_counter()
            for statement in self._plan:
                self._connection.execute(statement)
            seconds = time.perf_counter() - begin
            if check:
                self._check()
            return seconds

    def _check(self) -> None:
        (out,) = self._function.outputs
        got = from_arrow(out, self._connection.read(out), {})
        want = self._probe.shape.expected(self._weights.x, self._weights.w)
        tolerance = HALF_TOLERANCE if self._probe.form in HALF_CARRIERS else TOLERANCE
        if not np.abs(got - want).max() <= tolerance * np.abs(want).max():
            raise ArithmeticError(f"{self._probe.shape.label} in {self._probe.tile} is wrong")
