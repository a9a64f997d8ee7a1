"""A benchmark run as tables and as JSON."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import attrs

from irsql.targets.explain import human
from irsql.tools.bench import counting
from irsql.tools.bench.running import Plan, Result, cpu_ratio, ratio
from irsql.tools.bench.synthetic import Shape
from irsql.tools.bench.variants import Variant
from irsql.tools.console import console


@attrs.define
class Report:
    """What a run found.

    Attributes
    ----------
    facts
        Machine, engine, model, date.
    plan
        How it was run.
    first, again
        The whole pipeline, and its second visits.
    results
        What was compared with it.
    variants
        All variants, also those that were not run.
    absent
        Peers that could not take part, with the reason.
    load
        What loading the whole pipeline's database took, if this run loaded it.
    shape
        The shape of the model, if it is a Llama's.
    """

    facts: dict[str, Any]
    plan: Plan
    first: Result
    again: Result
    results: Sequence[Result]
    variants: Sequence[Variant]
    absent: dict[str, str] = attrs.field(factory=dict)
    load: dict[str, Any] | None = None
    shape: Shape | None = None

    @property
    def both(self) -> list[Result]:
        """What a ratio is taken of: both visits of the whole pipeline in a round."""
        return [self.first, self.again]

    @property
    def wrong(self) -> list[str]:
        """What gave wrong results."""
        return [f"{r.name}: {r.wrong}" for r in self.results if r.wrong]

    def noise(self, context: int) -> float:
        """How far the two visits of the whole pipeline differ, in parts of it."""
        return abs(ratio(self.again, [self.first], context) - 1)

    # -- JSON ------------------------------------------------------------------------------------------
    def as_json(self) -> dict[str, Any]:
        """Everything, for other programs."""
        threads = self.plan.threads or 1
        return {
            **self.facts, "plan": attrs.asdict(self.plan), "load": self.load,
            "full": _numbers(self.first, []) | {"rates": self._rates(threads)},
            "again": _numbers(self.again, [self.first]),
            "noise": {c: self.noise(c) for c in self.plan.contexts},
            "compared": [_numbers(r, self.both) for r in self.results], "absent": self.absent,
            "variants": [{"name": v.name, "pipeline": v.pipeline, "compile_s": v.seconds, "reason": v.reason,
                          "same_as": v.same_as} for v in self.variants],
        }  # fmt: skip

    def _rates(self, threads: int) -> dict[str, float]:
        """Multiply-adds a second and thread, by kind of step."""
        if self.shape is None:
            return {}
        out = {}
        ttft = self.first.of_process("ttft_s")
        if ttft is not None:
            out["prefill"] = sum(counting.step_macs(self.shape, 0, self.plan.prompt)) / ttft / threads
        for context in self.first.rounds:
            out[f"decode at {context}"] = (
                sum(counting.step_macs(self.shape, context)) / self.first.median(context) / threads)
        return out

    # -- tables ----------------------------------------------------------------------------------------
    def show(self) -> None:
        """Print the tables."""
        from rich.table import Table

        out = console(150)
        contexts = self.plan.contexts
        table = Table(title=f"{self.facts['model']} on {self.facts['engine']}", title_justify="left", box=None,
                      pad_edge=False, header_style="bold")  # fmt: skip
        table.add_column("", overflow="fold")
        for heading in ("statements", "scanned", "start-up", "first token", *(f"token at {c:,}" for c in contexts),
                        f"CPU at {contexts[0]:,}", "memory", "error"):  # fmt: skip
            table.add_column(heading, justify="right")
        table.add_row(self.first.name, *self._absolute(self.first), style="bold")
        table.add_row("again", *self._relative(self.again))
        for result in self.results:
            if result.wrong:
                table.add_row(result.name, "wrong: see below")
            else:
                table.add_row(result.name, *self._relative(result))
        out.print(table)
        for line in self._notes():
            out.print(line, soft_wrap=True)

    def _absolute(self, r: Result) -> list[str]:
        last = self.plan.contexts[-1]
        return [str(r.statements or ""), _bytes(r, last), _time(r.of_process("startup_s")),
                _time(r.of_process("ttft_s")), *(_time(r.median(c)) for c in self.plan.contexts),
                _time(r.cpu(self.plan.contexts[0])), _memory(r), f"{max(r.errors.values()):.0e}"]  # fmt: skip

    def _relative(self, r: Result) -> list[str]:
        last = self.plan.contexts[-1]
        scanned = f"× {r.scanned[last][0] / self.first.scanned[last][0]:.2f}" if r.scanned else ""
        times = [f"{_time(r.median(c))} × {ratio(r, self.both, c):.2f}" for c in self.plan.contexts]
        first = self.plan.contexts[0]
        cpu = f"× {cpu_ratio(r, self.both, first):.2f}"
        return [str(r.statements or ""), scanned, self._times(r, "startup_s"), self._times(r, "ttft_s"), *times, cpu,
                self._times(r, "peak_rss_bytes"), f"{max(r.errors.values()):.0e}"]  # fmt: skip

    def _times(self, r: Result, key: str) -> str:
        mine, reference = r.of_process(key), self.first.of_process(key)
        return "" if mine is None or reference is None else f"× {mine / reference:.2f}"

    def _notes(self) -> list[str]:
        contexts = self.plan.contexts
        noise, spread = (max(map(f, contexts)) for f in (self.noise, self.first.spread))
        rounds = f"{self.plan.rounds} interleaved rounds of {self.plan.steps} steps"
        out = ["", f"Medians of {rounds}; × is the time in parts of the whole pipeline's. Noise: its second visits "
                   f"differ from its first by up to {noise:.0%}, and half of its steps lie within {spread:.0%} of the "
                   "median."]  # fmt: skip
        if len(contexts) > 1:
            growth = self.first.median(contexts[-1]) / self.first.median(contexts[0])
            out.append(f"Context {contexts[-1]:,} takes {growth:.2f} times as long as context {contexts[0]:,}.")
        rates = self._rates(self.plan.threads or 1)
        if rates:
            out.append("Multiply-adds a second and thread: "
                       + ", ".join(f"{name} {rate / 1e9:.3f} G" for name, rate in rates.items()) + ".")  # fmt: skip
        out.append("Error: largest difference to eager PyTorch's logits in parts of the largest logit. "
                   "The ids are those of the whole pipeline.")  # fmt: skip
        if self.first.scanned and not all(counted for _, counted in self.first.scanned.values()):
            out.append("Scanned: every table that a statement reads counts whole, for this engine counts no rows.")
        if self.load is not None:
            rate = self.load["source_bytes"] / self.load["load_s"]
            above = self.load["peak_rss_bytes"] - self.load["largest_bytes"]
            out.append(f"Loading took {_time(self.load['load_s'])}, {rate / 1e6:.0f} MB/s, with {above / 2**20:.0f} MB "
                       f"above the largest tensor; the database has {human(self.load['database_bytes'])}.")  # fmt: skip
        same = [f"{v.name} (as the {v.same_as})" for v in self.variants if v.same_as]
        if same:
            out.append(f"Not measured, for the program is the same: {', '.join(same)}.")
        out += [f"{v.name}: not possible: {v.reason}" for v in self.variants if v.reason]
        out += [f"{name}: {reason}" for name, reason in self.absent.items()]
        return out + [f"WRONG: {text}" for text in self.wrong]


def _numbers(r: Result, references: Sequence[Result]) -> dict[str, Any]:
    return {
        "name": r.name, "wrong": r.wrong, "statements": r.statements,
        "seconds": {c: {"median": r.median(c), "spread": r.spread(c), "rounds": [w.seconds for w in rounds]}
                    for c, rounds in r.rounds.items()},
        "cpu_seconds": {c: {"median": r.cpu(c), "rounds": [w.cpu for w in rounds]} for c, rounds in r.rounds.items()},
        "ratio": {} if not references or r.wrong else {c: ratio(r, references, c) for c in r.rounds},
        "scanned_bytes": {c: {"bytes": count, "counted": counted} for c, (count, counted) in r.scanned.items()},
        "processes": r.processes, "errors": r.errors,
    }  # fmt: skip


def _bytes(r: Result, context: int) -> str:
    return human(r.scanned[context][0]) if r.scanned else ""


def _memory(r: Result) -> str:
    found = r.of_process("peak_rss_bytes")
    return "" if found is None else human(found)


def _time(seconds: float | None) -> str:
    if seconds is None:
        return ""
    if seconds < 0.1:
        return f"{seconds * 1e3:.1f} ms"
    return f"{seconds * 1e3:.0f} ms" if seconds < 10 else f"{seconds:.1f} s"
