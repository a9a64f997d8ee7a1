"""Scripts for SQLite's shell. The model's tables are a database, ``weights.db``, which the shell reads by itself.

Its own formats are text: floats would have to be printed and read, bytes could not be (docs/decisions/sqlite.md).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pyarrow as pa
from sqlglot import exp

from irsql.targets.control import META, MODEL, STATE, VOCABULARY, col, equal, name, named, table
from irsql.targets.driver import literal, quoted
from irsql.targets.program import TableSpec
from irsql.targets.shell import CHECK, WEIGHTS, Shell, Writer, drawn_tokens
from irsql.targets.sqlite import BUSY_MS, PAGE_BYTES, SQLite, pragma


def attach_sql(path: str, catalog: str, read_only: bool) -> str:
    """``ATTACH`` of a database file; one that is only read must be there."""
    return f"ATTACH {literal(f'file:{path}?mode=ro' if read_only else path)} AS {quoted(catalog)}"


def refusing_trigger(table_name: str, problem: str) -> str:
    """``CREATE TRIGGER`` on a temporary table that refuses a row with this sentence in the column ``problem``."""
    text = literal(problem)
    return (f"CREATE TEMPORARY TRIGGER IF NOT EXISTS {quoted(problem)} BEFORE INSERT ON {quoted(table_name)} "
            f"WHEN NEW.\"problem\" = {text} BEGIN SELECT RAISE(ABORT, {text}); END")  # fmt: skip


class SQLiteShell(Shell):
    """See :class:`irsql.targets.shell.Shell`."""

    program, control = "sqlite3", SQLite.control
    strict, plain = (".bail on",), (".mode list", ".headers off")
    replaces_views = False

    def include(self, script: str) -> str:
        """``.read``."""
        return f".read {script}"

    def attach(self) -> list[str]:
        """``ATTACH`` of both files; another writer of the state is waited for."""
        statements = ["PRAGMA temp_store = MEMORY", pragma("temp", "page_size", PAGE_BYTES),
                      attach_sql("model.db", MODEL, True), attach_sql("state.db", STATE, False),
                      pragma(STATE, "page_size", PAGE_BYTES)]  # fmt: skip
        return [f".timeout {BUSY_MS}", *(f"{s};" for s in statements)]

    @contextmanager
    def weights(self, folder: Path) -> Iterator[Writer]:
        """A database with all tables."""
        with SQLite() as db:
            db.attach(folder / self.weights_file("*"), WEIGHTS)

            def write(spec: TableSpec, batches: Iterable[pa.Table]) -> None:
                db.execute(db.control.create_spec(spec, WEIGHTS))
                with db.transaction():
                    for batch in batches:
                        db.insert(spec.name, batch, WEIGHTS)

            with db.loading(WEIGHTS):
                yield write
            db.detach(WEIGHTS)

    def weights_file(self, table_name: str) -> str:
        """One for all tables."""
        return "weights.db"

    def load(self, tables: Sequence[TableSpec]) -> list[str]:
        """``INSERT … SELECT`` from the other database: the tables in one transaction, then the facts."""
        c = self.control
        *content, facts = tables
        out = [attach_sql(f"{WEIGHTS}/{self.weights_file('*')}", WEIGHTS, True), attach_sql("model.db", MODEL, False),
               pragma(MODEL, "page_size", PAGE_BYTES), c.begin_transaction, c.drop_table(META, MODEL),
               c.create_spec(facts, MODEL), c.commit, c.begin_transaction]  # fmt: skip
        for spec in content:
            out += [c.drop_table(spec.name, MODEL), c.create_spec(spec, MODEL), self._copy(spec)]
        out += [c.commit, self._copy(facts), f"DETACH {quoted(MODEL)}", f"DETACH {quoted(WEIGHTS)}"]
        return [f"{statement};" for statement in out]

    def _copy(self, spec: TableSpec) -> str:
        columns = [k.name for k in spec.columns]
        query = exp.select(*map(col, columns), copy=False).from_(table(spec.name, WEIGHTS), copy=False)
        return self.control.insert_query(spec.name, columns, query, MODEL)

    def fail_where(self, condition: exp.Expr, problem: str) -> list[str]:
        """Only a trigger can fail with a sentence."""
        c = self.control
        query = exp.select(exp.Literal.string(problem), copy=False).where(condition, copy=False)
        return [c.create_table(CHECK, [("problem", "text")], exists_ok=True), refusing_trigger(CHECK, problem),
                c.insert_query(CHECK, ("problem",), query, None)]  # fmt: skip

    def continuation(self, has_text: bool) -> exp.Select:
        """Bytes joined as text, which SQLite does not look into: a sequence can end within a character.

        The window function has an order, which the aggregate has only from SQLite 3.44 on.
        """
        query = drawn_tokens()
        if has_text:
            query.join(table(VOCABULARY, MODEL, "v"), on=equal(col("id", "v"), col("id", "t")), copy=False)
            piece: exp.Expr = exp.Case(
                ifs=[exp.If(this=col("special", "v"), true=exp.Literal.string(""))],
                default=exp.Cast(this=col("bytes", "v"), to=exp.DataType(this=exp.DType.TEXT)))  # fmt: skip
        else:
            piece = col("id", "t")
        joined = exp.Anonymous(this="GROUP_CONCAT", expressions=[piece, exp.Literal.string("" if has_text else " ")])
        all_rows = exp.WindowSpec(kind="ROWS", start="UNBOUNDED", start_side="PRECEDING", end="UNBOUNDED",
                                  end_side="FOLLOWING")  # fmt: skip
        order = exp.Order(expressions=[exp.Ordered(this=col("pos", "t"), nulls_first=True)])
        whole = exp.Window(this=joined, partition_by=[col("seq", "q")], spec=all_rows, order=order)
        return query.select(exp.Alias(this=col("seq", "q"), alias=name("seq")), named(whole, "text"),
                            copy=False).distinct(copy=False)  # fmt: skip
