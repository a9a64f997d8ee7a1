"""``irsql bench``: compile, load, measure and compare; see ``docs/bench.md``."""

from __future__ import annotations

import math
import os
import sys
from collections.abc import Sequence
from datetime import date
from pathlib import Path
from typing import Any, Literal

import attrs
from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TaskID, TextColumn, TimeElapsedColumn

from irsql import api
from irsql.compile import import_model, pipeline
from irsql.frontend.checkpoint import Checkpoint
from irsql.runtime.errors import UserError
from irsql.targets.base import driver
from irsql.targets.explain import human, stored_bytes
from irsql.targets.program import Program
from irsql.tools.bench import load, running, variants
from irsql.tools.bench.contender import Contender
from irsql.tools.bench.eager import Eager
from irsql.tools.bench.engine import Engine
from irsql.tools.bench.peers.chunked import Merged, Plain
from irsql.tools.bench.peers.hand import Hand
from irsql.tools.bench.peers.llama_cpp_peer import LlamaCpp
from irsql.tools.bench.peers.llama_cpp_peer import absent as absent_reason
from irsql.tools.bench.report import Report
from irsql.tools.bench.running import Plan
from irsql.tools.bench.source import Note, Source, check_room, shape_of, source
from irsql.tools.bench.synthetic import Shape
from irsql.tools.bench.variants import Variant
from irsql.tools.machine import machine

CONTEXTS = (128, 1024, 4096)
BIG = 1 << 30
"""Bytes on disk that are announced."""


def bench(model: str, *, target: str, work: Path, layers: int | None, contexts: Sequence[int], prompt: int,
          rounds: int, steps: int, threads: int | None, without: Sequence[str] | None, options: Sequence[str],
          peers: bool, capture: Literal["fused", "aten"], text: str | None, progress: bool) -> Report:  # fmt: skip
    """Measure a model; see the options of the command.

    Raises
    ------
    UserError
        If the model, the target or the options do not fit each other.
    """
    api.check_target(target)
    engine = driver(target)
    work.mkdir(parents=True, exist_ok=True)
    cores = threads or os.cpu_count() or 1
    with engine(cores if engine.parallel else threads) as db:
        facts = {"date": date.today().isoformat(), "machine": machine(), "target": target,
                 "engine": f"{engine.title} {db.version}", "threads": cores if engine.parallel else 1}  # fmt: skip
    with _Progress(progress) as bar:
        found = source(model, layers, work, bar.say)
        bar.stage(f"capturing {found.name}")
        module, meta = import_model(found.folder, capture)
        plan = _plan(contexts, int(meta["context"]), prompt, rounds, steps, cores if engine.parallel else threads,
                     bar.say)  # fmt: skip
        compiled = variants.compile_variants(module, meta, target, text or pipeline(target=target), without, options,
                                             lambda name: bar.stage(f"compiling: {name}"))  # fmt: skip
        bar.stage("computing the prefix with eager PyTorch")
        eager = Eager(found.folder, cores)
        prefix = eager.prefix(plan.contexts, int(meta["vocab"]), lambda _: None)
        databases = _Databases(found, target, work, bar)
        engines, compiled = databases.engines(compiled, plan.threads)
        others: list[Contender] = list(engines[1:])
        absent: dict[str, str] = {}
        shape = shape_of(found)
        if peers:
            others += _peers(found, shape, eager, work, cores, plan, absent)
        first, again, results = running.run(engines[0], others, prefix, plan, work, bar.stage)
    return Report(facts | {"model": found.name}, plan, first, again, results, compiled, absent, databases.loaded,
                  shape)  # fmt: skip


def _peers(found: Source, shape: Shape | None, eager: Eager, work: Path, cores: int, plan: Plan,
           absent: dict[str, str]) -> list[Contender]:  # fmt: skip
    """Other ways to run the model; why one cannot is left in ``absent``."""
    out: list[Contender] = [eager]
    if shape is None:
        absent["llama.cpp and SQL forms"] = "not run, for they are written for Llamas"
        return out
    positions = plan.contexts[-1] + plan.steps + 2
    needed = 4 * sum(math.prod(extents) for _, extents in shape.tensors())
    out += [form(found.folder, shape, work, cores, positions) for form in (Hand, Merged, Plain)]
    if reason := absent_reason():
        absent[LlamaCpp.name] = reason
    else:
        out.append(LlamaCpp(found.folder, work, cores, positions))
    check_room(work, needed * (len(out) - 1), "the databases of the peers")
    return out


def _plan(contexts: Sequence[int], limit: int, prompt: int, rounds: int, steps: int, threads: int | None,
          say: Note) -> Plan:  # fmt: skip
    room = limit - steps - 3
    kept = sorted({c for c in contexts if 0 < c <= room})
    if len(kept) < len(set(contexts)):
        gone = ", ".join(f"{c:,}" for c in sorted(set(contexts) - set(kept)))
        say(f"left out: context {gone}, for the model takes {limit:,} tokens")
    if not kept:
        raise UserError(f"no context is left: give --contexts up to {room:,}")
    if not 0 < prompt <= kept[-1]:
        raise UserError(f"--prompt is between 1 and the longest context, {kept[-1]:,}, not {prompt:,}")
    return Plan(kept, rounds, steps, prompt, threads)


@attrs.define
class _Databases:
    """Loaded databases, each for all programs that read the same stored relations; they stay in the work folder."""

    source: Source
    target: str
    work: Path
    bar: _Progress
    loaded: dict[str, Any] | None = None

    def engines(self, compiled: Sequence[Variant], threads: int | None) -> tuple[list[Engine], list[Variant]]:
        """A contender for each variant that is to be run, and the variants, some of them with a reason not to."""
        engines: list[Engine] = []
        out: list[Variant] = []
        for variant in compiled:
            program = variant.program
            if program is not None and not variant.same_as:
                try:
                    database = self._database(variant.name, program)
                except UserError as error:
                    if not engines:
                        raise
                    variant = attrs.evolve(variant, program=None, reason=str(error))
                else:
                    engines.append(Engine(variant.name, program, database, threads))
            out.append(variant)
        return engines, out

    def _database(self, name: str, program: Program) -> Path:
        stamp = Checkpoint.open(self.source.folder).fingerprint()[:8]
        path = self.work / f"{self.source.name}-{stamp}-{self.target}-{program.text_hash[:16]}.db"
        if path.exists():
            return path
        needed = stored_bytes(s.table for s in program.stored)
        check_room(self.work, needed, f"the stored relations of the {name}")
        if needed > BIG:
            self.bar.say(f"the {name} needs a database of its own: about {human(needed)} at {path}")
        self.bar.stage(f"loading: {name}, {human(needed)}")
        text = self.work / "loading.json"
        text.write_text(program.to_json(), encoding="utf-8")
        measured = load.measure(self.source.folder, text, path)
        if name == variants.FULL:
            self.loaded = measured
        return path


class _Progress:
    """What is being done, on standard error; quiet where nobody looks."""

    def __init__(self, shown: bool) -> None:
        self._shown = shown
        self._bar: Progress | None = None
        self._task = TaskID(0)

    def __enter__(self) -> _Progress:
        if self._shown:
            self._bar = Progress(SpinnerColumn(), TextColumn("{task.description}", markup=False), TimeElapsedColumn(),
                                 console=Console(stderr=True), transient=True)  # fmt: skip
            self._task = self._bar.add_task("")
            self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._bar is not None:
            self._bar.stop()

    def stage(self, text: str) -> None:
        """What is done next."""
        if self._bar is not None:
            self._bar.reset(self._task, description=text)

    def say(self, text: str) -> None:
        """A sentence that stays."""
        print(f"irsql: {text}", file=sys.stderr)


def default_folder() -> Path:
    """The work folder where none is given."""
    return api.cache_folder() / "bench"
