"""One run of the benchmark: everything that is compared takes its turn in every round, and is checked before it counts.

A round visits the whole pipeline first, then each of the others, then the whole pipeline again: how far its two visits
differ is the noise of the machine, and each ratio is taken within a round.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import attrs

from irsql.runtime.errors import UserError
from irsql.targets.errors import EngineError
from irsql.tools.bench import process
from irsql.tools.bench.contender import Contender, Measured, Prefix, Stopwatch, logit_error
from irsql.tools.bench.engine import Engine


@attrs.define
class Result:
    """What a contender was found to do.

    Attributes
    ----------
    name
        Its name.
    rounds
        Context to the steps of each round.
    errors
        Context to the error of its logits against eager PyTorch's.
    wrong
        What is wrong with its results; empty where nothing is.
    processes
        One dict a round: ``startup_s``, ``ttft_s``, ``peak_rss_bytes``; none for what is no program of irsql's.
    scanned
        Context to bytes, and whether the engine counted them.
    statements
        Of a decode step.
    """

    name: str
    rounds: dict[int, list[Stopwatch]] = attrs.field(factory=dict)
    errors: dict[int, float] = attrs.field(factory=dict)
    wrong: str = ""
    processes: list[dict[str, float]] = attrs.field(factory=list)
    scanned: dict[int, tuple[int, bool]] = attrs.field(factory=dict)
    statements: int | None = None

    def median(self, context: int) -> float:
        """Seconds of a step."""
        return statistics.median(s for r in self.rounds[context] for s in r.seconds)

    def cpu(self, context: int) -> float:
        """Processor time of a step, all threads together."""
        return statistics.median(s for r in self.rounds[context] for s in r.cpu)

    def of_process(self, key: str) -> float | None:
        """The median of what its processes found; None if there were none."""
        return statistics.median(p[key] for p in self.processes) if self.processes else None

    def spread(self, context: int) -> float:
        """Half of the distance between the quartiles of the steps, in parts of their median."""
        steps = sorted(s for r in self.rounds[context] for s in r.seconds)
        if len(steps) < 4:
            return (steps[-1] - steps[0]) / 2 / self.median(context)
        low, _, high = statistics.quantiles(steps, n=4)
        return (high - low) / 2 / self.median(context)


def cpu_ratio(result: Result, references: Sequence[Result], context: int) -> float:
    """Processor time of a step in parts of that of all the references' visits."""
    return result.cpu(context) / statistics.median(s for r in references for w in r.rounds[context] for s in w.cpu)


def ratio(result: Result, references: Sequence[Result], context: int) -> float:
    """Time of a step in parts of a reference's visits of the same round: the median over the rounds."""
    rounds = zip(result.rounds[context], *(r.rounds[context] for r in references), strict=True)
    return statistics.median(
        statistics.median(mine.seconds) / statistics.median([s for visit in visits for s in visit.seconds])
        for mine, *visits in rounds)  # fmt: skip


@attrs.frozen
class Plan:
    """How to run.

    Attributes
    ----------
    contexts
        Ascending.
    rounds, steps
        Visits of each, and timed steps of a visit at each context.
    prompt
        Tokens before the first token.
    threads
        Of every contender; None as an engine likes.
    """

    contexts: Sequence[int]
    rounds: int
    steps: int
    prompt: int
    threads: int | None


def run(reference: Engine, others: Sequence[Contender], prefix: Prefix, plan: Plan, work: Path,
        progress: Callable[[str], object] = lambda _: None) -> tuple[Result, Result, list[Result]]:
    """Measure all contenders, interleaved.

    Parameters
    ----------
    reference
        The whole pipeline.
    others
        What it is compared with.
    prefix
        Where they go on from.
    plan
        How.
    work
        Where the programs are written that other processes run.
    progress
        Takes what is done next.

    Raises
    ------
    UserError
        If the whole pipeline gives wrong results: there is nothing to compare with.

    Returns
    -------
    tuple
        The result of the whole pipeline, of its second visits, and of the others, in their order.
    """
    first, again = Result(reference.name), Result(f"{reference.name}, again")
    results = [Result(c.name) for c in others]
    turns: list[tuple[Contender, Result]] = [(reference, first), *zip(others, results, strict=True), (reference, again)]
    ids: dict[int, Sequence[int]] = {}
    progress(f"a visit that does not count: {reference.name}")
    reference.visit(prefix, plan.contexts[:1], 1)  # files come into memory, and the machine to speed
    for number in range(plan.rounds):
        for contender, result in turns:
            if result.wrong:
                continue  # what gives other results is not compared
            progress(f"round {number + 1} of {plan.rounds}: {result.name}")
            try:
                found = contender.visit(prefix, plan.contexts, plan.steps)
            except (EngineError, UserError) as error:
                if contender is reference:
                    raise
                result.wrong = f"it fails: {error}"
                continue
            result.statements = contender.statements
            ids = ids or {context: measured.ids for context, measured in found.items()}
            _keep(result, found, prefix)
            result.wrong = _wrong(result, found, ids, contender.tolerance)
            if result.wrong and contender is reference:
                raise UserError(f"the {reference.name} gives wrong results: {result.wrong}")
            if isinstance(contender, Engine) and result is not again and not result.wrong:
                result.scanned = contender.scanned
                program = work / "running.json"
                program.write_text(contender.program.to_json(), encoding="utf-8")
                prompt = prefix.ids[:plan.prompt]
                result.processes.append(process.measure(contender.database, program, prompt, plan.threads))
    return first, again, results


def _keep(result: Result, found: Mapping[int, Measured], prefix: Prefix) -> None:
    for context, measured in found.items():
        result.rounds.setdefault(context, []).append(measured.steps)
        error = logit_error(measured.logits, prefix.logits[context])
        result.errors[context] = max(error, result.errors.get(context, 0.0))


def _wrong(result: Result, found: Mapping[int, Measured], ids: Mapping[int, Sequence[int]], tolerance: float) -> str:
    """What is wrong with the results of a visit."""
    for context, measured in found.items():
        if not result.errors[context] <= tolerance:
            return f"its logits at context {context} are off by {result.errors[context]:.1e}, more than {tolerance:.0e}"
        if list(measured.ids) != list(ids[context]):
            at = next((i for i, (a, b) in enumerate(zip(measured.ids, ids[context], strict=False)) if a != b),
                      min(len(measured.ids), len(ids[context])))  # fmt: skip
            return f"its token {at} after context {context} is not that of the whole pipeline"
    return ""
