"""Statements for scripts alone: what a driver checks and prints, an engine's shell must do in SQL.

They are written in the functions of DuckDB; an engine whose shell irsql writes no scripts for
(:attr:`irsql.targets.driver.Driver.scripts`) needs none of them.
"""

from __future__ import annotations

from collections.abc import Sequence

import attrs
from sqlglot import exp

from irsql.targets.control import (
    META,
    MODEL,
    SEQUENCE,
    STATE,
    STATE_FORMAT,
    TOKEN,
    VOCABULARY,
    Control,
    col,
    equal,
    every,
    name,
    named,
    table,
)

CHECK = "irsql_check"
"""Temporary: takes the empty result of a check that passed."""
TEXT_VIEW = "irsql_text"
"""Temporary: the text of each sequence."""


def _drawn_tokens() -> exp.Select:
    """``FROM`` every sequence's tokens after its prompt."""
    behind = exp.GTE(this=col("pos", "t"), expression=col("prompt_length", "q"))
    return exp.select(copy=False).from_(table(SEQUENCE, STATE, "q"), copy=False).join(
        table(TOKEN, STATE, "t"), on=every(equal(col("seq", "t"), col("seq", "q")), behind), copy=False)  # fmt: skip


@attrs.frozen
class Shell:
    """Writes the statements.

    Attributes
    ----------
    control
        The dialect.
    """

    control: Control

    def require_fact(self, key: str, value: str, problem: str) -> str:
        """Fail with the sentence ``problem`` unless the model database has this fact."""
        here = every(equal(col("key"), exp.Literal.string(key)), equal(col("value"), exp.Literal.string(value)))
        has = exp.select(exp.Literal.number(1), copy=False).from_(table(META, MODEL), copy=False)
        has.where(here, copy=False)
        return self._fail_unless(has, problem)

    def claim_state(self, program_hash: str, problem: str) -> list[str]:
        """Note in the state database which model it belongs to; fail where it belongs to another."""
        owner = exp.select(exp.Literal.number(1), copy=False).from_(table(META, STATE, "s"), copy=False).where(
            equal(col("key", "s"), exp.Literal.string("model")), copy=False)  # fmt: skip
        mine = exp.DPipe(this=col("value", "m"), expression=exp.Literal.string(f":{program_hash}"))
        checkpoint = exp.select(exp.Literal.string("model"), mine, copy=False).from_(
            table(META, MODEL, "m"), copy=False
        ).where(equal(col("key", "m"), exp.Literal.string("checkpoint")), copy=False)  # fmt: skip
        fresh = exp.Not(this=exp.Exists(this=owner.copy()))
        claim = checkpoint.copy().where(fresh.copy(), copy=False)
        form = exp.select(exp.Literal.string("format"), exp.Literal.string(STATE_FORMAT), copy=False).where(
            fresh, copy=False)  # fmt: skip
        same = owner.join(table(META, MODEL, "m"), on=every(
            equal(col("key", "m"), exp.Literal.string("checkpoint")), equal(col("value", "s"), mine.copy())
        ), copy=False)  # fmt: skip
        return [self.control.insert_query(META, ("key", "value"), form, STATE),
                self.control.insert_query(META, ("key", "value"), claim, STATE),
                self._fail_unless(same, problem)]  # fmt: skip

    def fail_if(self, rows: exp.Select, problem: str) -> str:
        """Fail with a sentence if a query has rows."""
        return self._fail_where(exp.Exists(this=rows), problem)

    def _fail_unless(self, rows: exp.Select, problem: str) -> str:
        return self._fail_where(exp.Not(this=exp.Exists(this=rows)), problem)

    def _fail_where(self, condition: exp.Expr, problem: str) -> str:
        fail = exp.Anonymous(this="ERROR", expressions=[exp.Literal.string(problem)])
        query = exp.select(named(fail, "problem"), copy=False).where(condition, copy=False)
        return self.control.replace_temporary(CHECK, query)

    def insert_parquet(self, table_name: str, columns: Sequence[str], file: str, catalog: str | None = None) -> str:
        """``INSERT … SELECT`` of all the columns from a Parquet file."""
        source = exp.Table(this=exp.ReadParquet(expressions=[exp.Literal.string(file)]))
        query = exp.select(*[col(c) for c in columns], copy=False).from_(source, copy=False)
        return self.control.insert_query(table_name, columns, query, catalog)

    def text_view(self, has_text: bool) -> str:
        """The temporary view ``irsql_text``: what each sequence was given after its prompt, ids without a tokenizer."""
        query = self._continuation() if has_text else self._continuation_ids()
        return self.control.text(exp.Create(this=table(TEXT_VIEW), kind="VIEW", replace=True, expression=query,
                                    properties=exp.Properties(expressions=[exp.TemporaryProperty()])))  # fmt: skip

    def _continuation_ids(self) -> exp.Select:
        number = exp.Cast(this=col("id", "t"), to=exp.DataType(this=exp.DType.TEXT))
        joined = exp.GroupConcat(this=exp.Order(this=number, expressions=[exp.Ordered(this=col("pos", "t"))]),
                                 separator=exp.Literal.string(" "))  # fmt: skip
        query = _drawn_tokens().select(named(col("seq", "q"), "seq"), named(joined, "text"), copy=False)
        return query.group_by(col("seq", "q"), copy=False)

    def _continuation(self) -> exp.Select:
        """Special tokens have no text."""
        here = _drawn_tokens().join(table(VOCABULARY, MODEL, "v"), on=equal(col("id", "v"), col("id", "t")), copy=False)
        digits = exp.Case(ifs=[exp.If(this=col("special", "v"), true=exp.Literal.string(""))],
                          default=exp.Hex(this=col("bytes", "v")))  # fmt: skip
        joined = exp.GroupConcat(this=exp.Order(this=digits, expressions=[exp.Ordered(this=col("pos", "t"))]),
                                 separator=exp.Literal.string(""))  # fmt: skip
        each = here.select(col("seq", "q"), named(exp.Unhex(this=joined), "raw"), copy=False).group_by(
            col("seq", "q"), copy=False)  # fmt: skip
        # A sequence can end within a character; its bytes are then shown escaped.
        readable = exp.Try(this=exp.Decode(this=col("raw"), charset=exp.Literal.string("utf-8")))
        escaped = exp.Cast(this=col("raw"), to=exp.DataType(this=exp.DType.TEXT))
        text = named(exp.Coalesce(this=readable, expressions=[escaped]), "text")
        source = exp.Subquery(this=each, alias=exp.TableAlias(this=name("s")))
        return exp.select(col("seq"), text, copy=False).from_(source, copy=False)
