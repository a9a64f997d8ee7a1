"""Scripts for an engine's own shell: what a driver does in Python, the shell must be told in its own words.

A target whose shell irsql writes scripts for names a :class:`Shell`; :mod:`irsql.runtime.scripts` puts the scripts
together and knows no engine.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import ClassVar, TypeAlias

import pyarrow as pa
from sqlglot import exp

from irsql.targets.control import (
    META,
    MODEL,
    MODEL_TABLES,
    SEQUENCE,
    STATE,
    STATE_FORMAT,
    TABLES,
    TOKEN,
    Control,
    col,
    equal,
    every,
    table,
)
from irsql.targets.program import Column, Program, TableSpec

CHECK = "irsql_check"
"""Temporary, of an engine that needs one: takes what a check found."""
TEXT_VIEW = "irsql_text"
"""Temporary: the text of each sequence."""
STEPS = ("prefill.sql", "decode.sql")
"""The scripts that run a step."""
WEIGHTS = "weights"
"""The folder with the content of the model's tables."""

Writer: TypeAlias = Callable[[TableSpec, Iterable[pa.Table]], None]
"""Writes the rows of a table of the model where ``load.sql`` looks for them."""


def model_tables(program: Program) -> list[TableSpec]:
    """The tables of a model database; the facts that make it one come last."""
    control = [TableSpec(name, name, (), tuple(Column(*c) for c in TABLES[name]), (), (), "")
               for name in (*(t for t in MODEL_TABLES if t != META), META)]  # fmt: skip
    return [*(s.table for s in program.stored), *control]


def drawn_tokens() -> exp.Select:
    """``FROM`` every sequence's tokens after its prompt: ``t``, beside the sequence ``q``."""
    behind = exp.GTE(this=col("pos", "t"), expression=col("prompt_length", "q"))
    return exp.select(copy=False).from_(table(SEQUENCE, STATE, "q"), copy=False).join(
        table(TOKEN, STATE, "t"), on=every(equal(col("seq", "t"), col("seq", "q")), behind), copy=False)  # fmt: skip


class Shell(ABC):
    """What an engine's shell has words of its own for.

    Lines are as they stand in a script: a statement ends in ``;``, a command of the shell does not.

    Attributes
    ----------
    program
        The shell's name.
    control
        The dialect.
    strict
        Lines that make an error end the script.
    plain
        Lines that make rows be printed as ``0|text``.
    model_place, state_place
        What their databases are called in messages.
    replaces_views
        Whether there is ``CREATE OR REPLACE VIEW``; else there is ``IF NOT EXISTS``.
    """

    program: ClassVar[str]
    control: ClassVar[Control]
    strict: ClassVar[tuple[str, ...]]
    plain: ClassVar[tuple[str, ...]]
    model_place: ClassVar[str] = "model.db"
    state_place: ClassVar[str] = "state.db"
    replaces_views: ClassVar[bool] = True

    def command(self, script: str) -> str:
        """How a script is run by hand."""
        return f"{self.program} < {script}"

    @abstractmethod
    def include(self, script: str) -> str:
        """The line that runs another script."""

    @abstractmethod
    def attach(self) -> list[str]:
        """Lines that attach the databases ``model``, read-only, and ``state``, made if it is not there."""

    def begin(self) -> list[str]:
        """Statements that begin a transaction on the state."""
        return [self.control.begin_transaction]

    def temporaries(self, program: Program) -> list[str]:
        """Statements that make what a connection needs for itself."""
        return self.control.temporaries(program)

    def step(self, script: str, statements: Sequence[str]) -> list[str]:
        """The lines of a script that runs one step."""
        return [f"{s};" for s in (*self.begin(), *statements, self.control.commit)]

    # -- the model -------------------------------------------------------------------------------------
    @abstractmethod
    def weights(self, folder: Path) -> AbstractContextManager[Writer]:
        """While the content of the model's tables is written into a folder."""

    @abstractmethod
    def weights_file(self, table_name: str) -> str:
        """The name of the file there with the content of a table; ``*`` for all."""

    @abstractmethod
    def load(self, tables: Sequence[TableSpec]) -> list[str]:
        """Lines that make the database ``model`` from these files; it is no model before all of it is there."""

    # -- checks ----------------------------------------------------------------------------------------
    @abstractmethod
    def fail_where(self, condition: exp.Expr, problem: str) -> list[str]:
        """Statements that fail with a sentence if a condition holds."""

    def fail_if(self, rows: exp.Select, problem: str) -> list[str]:
        """Statements that fail with a sentence if a query has rows."""
        return self.fail_where(exp.Exists(this=rows), problem)

    def fail_unless(self, rows: exp.Select, problem: str) -> list[str]:
        """Statements that fail with a sentence if a query has no rows."""
        return self.fail_where(exp.Not(this=exp.Exists(this=rows)), problem)

    def require_fact(self, key: str, value: str, problem: str) -> list[str]:
        """Fail with the sentence ``problem`` unless the model database has this fact."""
        here = every(equal(col("key"), exp.Literal.string(key)), equal(col("value"), exp.Literal.string(value)))
        has = exp.select(exp.Literal.number(1), copy=False).from_(table(META, MODEL), copy=False)
        has.where(here, copy=False)
        return self.fail_unless(has, problem)

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
                *self.fail_unless(same, problem)]  # fmt: skip

    # -- text ------------------------------------------------------------------------------------------
    @abstractmethod
    def continuation(self, has_text: bool) -> exp.Select:
        """``seq`` and ``text`` of :func:`drawn_tokens`; ids without a tokenizer. Special tokens have no text."""

    def text_view(self, has_text: bool) -> str:
        """The temporary view ``irsql_text``: what each sequence was given after its prompt, ids without a tokenizer."""
        return self.control.text(exp.Create(
            this=table(TEXT_VIEW), kind="VIEW", replace=self.replaces_views, exists=not self.replaces_views,
            expression=self.continuation(has_text), properties=exp.Properties(expressions=[exp.TemporaryProperty()]),
        ))  # fmt: skip
