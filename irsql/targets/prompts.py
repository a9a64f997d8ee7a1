"""Prompts as rows of a table, for scripts: ``INSERT … SELECT`` into ``irsql_prompt``, and ``prefill.sql`` starts them.

Whoever has a table of prompts needs no driver. The rows are checked by statements that fail with a sentence; what they
start gets the settings in the one row of ``irsql_setting``.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import attrs
from sqlglot import exp

from irsql.targets.control import (
    END,
    MODEL,
    PROMPT,
    SEED_LIMIT,
    SEGMENT,
    SEQUENCE,
    SETTING,
    SETTINGS,
    STATE,
    STOP,
    STREAM_LIMIT,
    TOKEN,
    VOCABULARY,
    Control,
    col,
    name,
    named,
    table,
)
from irsql.targets.shell import Shell

_ONE = exp.Literal.number(1)


RANGES = (
    ("max_new_tokens", "1", None), ("temperature", "0", None), ("top_k", "0", SEED_LIMIT - 1), ("top_p", "0", 1),
    ("min_p", "0", 1), ("repetition_penalty", "1e-30", None), ("seed", "0", SEED_LIMIT - 1),
    ("stream", "0", STREAM_LIMIT - 1),
)  # fmt: skip
"""Least and greatest value of each setting."""


def _within(bounds: tuple[str, str, int | None]) -> exp.Expr:
    """Whether a setting is within its bounds; NaN and infinity are above all bounds."""
    column, low, high = bounds
    value = col(column, "s")
    most = exp.Literal.number("1e30" if high is None else str(high))
    return exp.Between(this=value, low=exp.Literal.number(low), high=most)


def _not_surely(condition: exp.Expr) -> exp.Expr:
    """Whether a condition is false, or NULL."""
    return exp.Not(this=exp.Coalesce(this=condition, expressions=[exp.false()]))


def _from(text: str, alias: str, catalog: str = STATE) -> exp.Select:
    return exp.select(copy=False).from_(table(text, catalog, alias), copy=False)


@attrs.frozen
class Prompts:
    """Writes the statements.

    Attributes
    ----------
    shell
        How checks fail.
    """

    shell: Shell

    @property
    def control(self) -> Control:
        """The dialect."""
        return self.shell.control

    def defaults(self, settings: dict[str, Any], stop_ids: Sequence[int]) -> list[str]:
        """Fill ``irsql_setting`` and the stop ids where nobody has yet."""
        empty = exp.Not(this=exp.Exists(this=_from(SETTING, "s").select(_ONE.copy(), copy=False)))
        stops = [exp.select(exp.Literal.number(i), copy=False).where(empty.copy(), copy=False) for i in stop_ids]
        row = exp.select(*(exp.convert(v) for v in settings.values()), copy=False).where(empty, copy=False)
        return [*(self._insert(STOP, ("id",), query) for query in stops), self._insert(SETTING, tuple(settings), row)]

    def start(self, context: int, sampler: str) -> list[str]:
        """Turn the rows of ``irsql_prompt`` into sequences.

        Parameters
        ----------
        context
            Most tokens of a sequence.
        sampler
            The function with which these scripts draw.
        """
        return [*self._checks(context, sampler), *self._create(context), self.control.delete(PROMPT, STATE)]

    def _checks(self, context: int, sampler: str) -> list[str]:
        token = exp.EQ(this=col("id", "v"), expression=col("id", "p"))
        unknown = _from(PROMPT, "p").select(_ONE.copy(), copy=False).join(
            table(VOCABULARY, MODEL, "v"), on=token, join_type="left", copy=False)
        unknown.where(exp.Is(this=col("id", "v"), expression=exp.Null()), copy=False)
        known = _from(PROMPT, "p").select(_ONE.copy(), copy=False).join(
            table(SEQUENCE, STATE, "q"), on=exp.EQ(this=col("seq", "q"), expression=col("seq", "p")), copy=False)
        last = exp.Add(this=exp.Max(this=col("pos", "p")), expression=_ONE.copy())
        distinct = exp.Count(this=exp.Distinct(expressions=[col("pos", "p")]))
        whole = exp.and_(
            exp.EQ(this=exp.Count(this=exp.Star()), expression=last),
            exp.EQ(this=exp.Min(this=col("pos", "p")), expression=exp.Literal.number(0)),
            exp.EQ(this=distinct, expression=last.copy()), copy=False)  # fmt: skip
        gaps = self._per_sequence(_not_surely(whole))
        long = self._per_sequence(exp.GTE(this=exp.Count(this=exp.Star()), expression=exp.Literal.number(context)))
        number = exp.Count(this=exp.Star())
        rows = _from(SETTING, "s").select(number, copy=False).having(
            exp.NEQ(this=number.copy(), expression=_ONE.copy()), copy=False)  # fmt: skip
        lowest = exp.GTE(this=col("seq", "p"), expression=exp.Literal.number(0))
        negative = _from(PROMPT, "p").select(_ONE.copy(), copy=False).where(
            _not_surely(lowest), copy=False)  # fmt: skip
        outside = _from(SETTING, "s").select(_ONE.copy(), copy=False).where(
            _not_surely(exp.and_(*map(_within, RANGES), copy=False)), copy=False)  # fmt: skip
        checks = [
            (rows, "irsql_setting must have exactly one row"),
            (outside, "irsql_setting has a value outside of its range"),
            (negative, "irsql_prompt has a sequence whose number is negative or missing"),
            (unknown, "irsql_prompt has an id that is no token of the model"),
            (known, "irsql_prompt has a sequence that is there already: give its prompt another number"),
            (gaps, "irsql_prompt has a sequence whose positions are not 0, 1, 2, …, each once"),
            (long, f"irsql_prompt has a prompt that leaves no room for new tokens in the context of {context}"),
        ]
        if sampler != "sample_filtered":
            text = "these scripts choose greedily" if sampler == "greedy" else "these scripts draw without filters"
            checks.append((self._needs_more(sampler), f"{text}, and irsql_setting asks for more: compile them with the "
                                                      "options of irsql_setting"))  # fmt: skip
        return [s for query, problem in checks for s in self.shell.fail_if(query, problem)]

    def _per_sequence(self, condition: exp.Expr) -> exp.Select:
        return _from(PROMPT, "p").select(_ONE.copy(), copy=False).group_by(col("seq", "p"), copy=False).having(
            condition, copy=False)  # fmt: skip

    def _needs_more(self, sampler: str) -> exp.Select:
        def differs(column: str, neutral: str) -> exp.Expr:
            return exp.NEQ(this=col(column, "s"), expression=exp.Literal.number(neutral))

        filters = exp.or_(differs("top_k", "0"), differs("top_p", "1"), differs("min_p", "0"), copy=False)
        warm = differs("temperature", "0")
        more = [differs("repetition_penalty", "1"),
                warm if sampler == "greedy" else exp.and_(warm, exp.Paren(this=filters), copy=False)]  # fmt: skip
        return _from(SETTING, "s").select(_ONE.copy(), copy=False).where(exp.or_(*more, copy=False), copy=False)

    def _create(self, context: int) -> list[str]:
        count = exp.Count(this=exp.Star())
        wanted = exp.Add(this=count.copy(), expression=exp.Max(this=col("max_new_tokens", "s")))
        full = exp.Literal.number(context)
        limit = exp.Case(ifs=[exp.If(this=exp.GT(this=wanted.copy(), expression=full.copy()), true=full)],
                         default=wanted)  # fmt: skip
        row: dict[str, exp.Expr] = {
            "seq": col("seq", "p"), "length": exp.Literal.number(0), "prompt_length": count, "max_length": limit,
            "run_to": exp.Literal.number(END), "live": exp.true(),
            **{c: exp.Max(this=col(c, "s")) for c, _ in SETTINGS},
        }  # fmt: skip
        cross = _from(PROMPT, "p").join(table(SETTING, STATE, "s"), join_type="cross", copy=False)
        sequences = cross.select(*row.values(), copy=False).group_by(col("seq", "p"), copy=False)
        numbers = _from(PROMPT, "p").select(
            col("seq", "p"), named(col("seq", "p"), "segment"), named(exp.Literal.number(0), "low"),
            named(exp.Literal.number(END), "high"), copy=False).distinct(copy=False)  # fmt: skip
        columns = ("seq", "pos", "id")
        ids = _from(PROMPT, "p").select(*(col(c, "p") for c in columns), copy=False)
        return [self._insert(SEQUENCE, tuple(row), sequences),
                self._insert(SEGMENT, ("seq", "segment", "low", "high"), numbers),
                self._insert(TOKEN, columns, ids)]  # fmt: skip

    def _insert(self, into: str, columns: Sequence[str], query: exp.Select) -> str:
        schema = exp.Schema(this=table(into, STATE), expressions=[name(c) for c in columns])
        return self.control.text(exp.Insert(this=schema, expression=query))
