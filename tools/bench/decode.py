"""Speed of prefill and decode: whole steps on a loaded model, sampling and commit included.

Steps are timed from outside. In a few more steps every statement is timed too, which says what the head costs and what
bounds a step. The work is checked: logits are finite, and a second sequence with the same prompt gets the same ids.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import attrs
import numpy as np

from irsql.runtime.sequence import TokenSequence
from irsql.runtime.session import Model
from irsql.targets import control
from irsql.tools.bench import counting
from irsql.tools.bench.synthetic import Shape

WARM_UP = 2
"""Steps that are not counted: the first one plans, and draws from logits that the prefill left."""
CONTROL = "(control and sampling)"
HEAD = "lm_head"
SPLIT_STEPS = 3
"""Decode steps whose statements are timed."""
_Step = tuple[float, float, dict[str, float]]
"""Seconds of one step, of its head, and of its parts."""


class WorkError(Exception):
    """The engine did not do the work that was measured."""


@attrs.frozen
class Speed:
    """What one kind of step costs.

    Attributes
    ----------
    seconds
        Median of the whole steps.
    head_seconds
        Median of the part of the statements that compute logits.
    body_macs, head_macs
        Multiply-adds without the head, and of the head.
    parts
        Mean seconds a step by part of the model.
    """

    seconds: float
    head_seconds: float
    body_macs: int
    head_macs: int
    parts: dict[str, float]

    def rate(self, threads: int) -> float:
        """Multiply-adds a second and core of the whole step."""
        return (self.body_macs + self.head_macs) / self.seconds / threads

    def rate_without_head(self, threads: int) -> float:
        """The same without the head's multiply-adds and time."""
        return self.body_macs / (self.seconds - self.head_seconds) / threads


class StatementClock:
    """Times every statement of a model while it is active, by part of the model."""

    def __init__(self, model: Model) -> None:
        self._model, self._execute = model, model.db.execute
        self._parts: dict[str, str] = {}
        for name in ("prefill", "decode"):
            function = model.program.functions[name]
            logits = control.output(function, "logits").name
            for s in function.statements:
                # The result of the function belongs to no module any more.
                self._parts[s.sql.strip()] = HEAD if s.table == logits else counting.part_of(s.scope)
        self.seconds: dict[str, float] = {}

    def __enter__(self) -> StatementClock:
        self._model.db.execute = self._timed  # type: ignore[method-assign]
        return self

    def __exit__(self, *_: object) -> None:
        self._model.db.execute = self._execute  # type: ignore[method-assign]

    def _timed(self, statement: Any, parameters: Sequence[Any] | None = None) -> None:
        text = statement if isinstance(statement, str) else statement.query
        begin = time.perf_counter()
        self._execute(statement, parameters)
        part = self._parts.get(text.strip().removesuffix(";"), CONTROL)
        self.seconds[part] = self.seconds.get(part, 0.0) + time.perf_counter() - begin

    @property
    def head(self) -> float:
        """Seconds in the statements that compute logits."""
        return sum(s for part, s in self.seconds.items() if part.split(".")[0] == HEAD)


def prompt(shape: Shape, count: int) -> list[int]:
    """A seeded random prompt."""
    return np.random.default_rng(0).integers(0, shape.vocab, count).tolist()


def measure(path: Path, shape: Shape, *, prefill: int, contexts: Sequence[int], tokens: int,
            threads: int) -> tuple[dict[str, Speed], dict[str, Any]]:
    """Time a prefill of ``prefill`` tokens and the decode of ``tokens`` tokens at each context.

    Returns
    -------
    tuple
        Speeds by name (``prefill 128``, ``decode at 512``), and facts of the program.

    Raises
    ------
    WorkError
        If logits are not finite or two runs give different ids.
    """
    with Model.open(path, threads=threads) as model:
        clock = StatementClock(model)
        first = _round(model, shape, prefill, sorted(contexts), tokens, clock)
        second = _round(model, shape, prefill, sorted(contexts)[:1], tokens, clock, repeat=True)
        if second.ids != first.ids[:len(second.ids)]:
            raise WorkError(f"two runs gave different ids: {first.ids} and {second.ids}")
        per_layer = counting.statements_per_layer(model.program.functions["decode"])
        facts = {"statements_per_layer": max(per_layer.values(), default=0),
                 "decode_statements": len(model.program.functions["decode"].statements), "ids": first.ids,
                 "engine": f"{model.db.name} {model.db.version}"}
    name = f"prefill {prefill}"
    timed = second.speeds[name]
    first.speeds[name] = attrs.evolve(first.speeds[name], head_seconds=timed.head_seconds, parts=timed.parts)
    return first.speeds, facts


@attrs.define
class _Round:
    speeds: dict[str, Speed] = attrs.field(factory=dict)
    ids: list[int] = attrs.field(factory=list)


def _round(model: Model, shape: Shape, prefill: int, contexts: Sequence[int], tokens: int, clock: StatementClock,
           repeat: bool = False) -> _Round:
    """Prefill, then decode at each context; a repetition times the statements of the prefill too."""
    out = _Round()
    sequence = model.sequence()
    given = prompt(shape, max(prefill, *contexts) + 1)
    _warm(model, given[:2])
    whole = _timed(lambda: sequence.prefill(given[:prefill]), clock if repeat else None)
    out.speeds[f"prefill {prefill}"] = _speed(shape, [whole], [whole], [(0, prefill)])
    for context in contexts:
        missing = context - len(sequence.ids) - WARM_UP
        if missing > 0:
            sequence.prefill(given[len(sequence.ids): len(sequence.ids) + missing])
        for _ in range(WARM_UP):
            sequence.step()
        steps, where = [], []
        for _ in range(tokens):
            where.append((sequence.length, sequence.waiting))
            steps.append(_timed(sequence.step))
        out.ids += sequence.ids[-tokens:]
        split = [_timed(sequence.step, clock) for _ in range(min(tokens, SPLIT_STEPS))]
        out.speeds[f"decode at {context}"] = _speed(shape, steps, split, where)
        _check(sequence)
    sequence.delete()
    return out


def _warm(model: Model, ids: list[int]) -> None:
    """Read the weights once, so that the first measured step finds them where the others do."""
    sequence = model.sequence()
    sequence.prefill(ids)
    sequence.step()
    sequence.delete()


def _timed(run: Callable[[], object], clock: StatementClock | None = None) -> _Step:
    """Run one step; with a clock its statements are timed too."""
    if clock is None:
        begin = time.perf_counter()
        run()
        return time.perf_counter() - begin, 0.0, {}
    clock.seconds.clear()
    with clock:
        begin = time.perf_counter()
        run()
        seconds = time.perf_counter() - begin
    return seconds, clock.head, dict(clock.seconds)


def _speed(shape: Shape, steps: Sequence[_Step], split: Sequence[_Step], where: Sequence[tuple[int, int]]) -> Speed:
    """The speed of whole ``steps``, with the head and the parts of the steps whose statements were timed."""
    macs = [counting.step_macs(shape, first, count) for first, count in where]
    parts: dict[str, float] = {}
    for _, _, seconds in split:
        for name, spent in seconds.items():
            parts[name] = parts.get(name, 0.0) + spent
    longest = sorted(parts.items(), key=lambda item: -item[1])
    return Speed(statistics.median(s for s, _, _ in steps), statistics.median(h for _, h, _ in split),
                 round(statistics.mean(b for b, _ in macs)), macs[0][1],
                 {name: spent / len(split) for name, spent in longest})


def _check(sequence: TokenSequence) -> None:
    logits = sequence.logits()
    if not np.isfinite(logits).all() or not logits.std() > 0:
        raise WorkError(f"the logits after {len(sequence.ids)} tokens are not finite, or all the same")
