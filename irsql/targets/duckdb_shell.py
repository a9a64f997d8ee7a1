"""Scripts for DuckDB's shell. The model's tables are Parquet files."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from sqlglot import exp

from irsql.targets.control import MODEL, STATE, VOCABULARY, col, equal, name, named, table
from irsql.targets.duckdb import SPEED, UNCOMPRESSED, DuckDB, attach_sql, detach_sql, set_sql
from irsql.targets.program import TableSpec
from irsql.targets.shell import CHECK, WEIGHTS, Shell, Writer, drawn_tokens


class DuckDBShell(Shell):
    """See :class:`irsql.targets.shell.Shell`."""

    program, control = "duckdb", DuckDB.control
    strict, plain = (".bail on",), (".mode list", ".headers off")

    def include(self, script: str) -> str:
        """``.read``."""
        return f".read {script}"

    def attach(self) -> list[str]:
        """``ATTACH`` of both files, and the settings of irsql's own connections."""
        files = (("model.db", MODEL, True), ("state.db", STATE, False))
        settings = [set_sql(option, value) for option, value in SPEED]
        return [f"{sql};" for sql in (*settings, *(attach_sql(path, catalog, only) for path, catalog, only in files))]

    @contextmanager
    def weights(self, folder: Path) -> Iterator[Writer]:
        """A Parquet file a table."""

        def write(spec: TableSpec, batches: Iterable[pa.Table]) -> None:
            writer: pq.ParquetWriter | None = None
            try:
                for batch in batches:
                    if writer is None:
                        # Random floats do not compress, and a dictionary of them only costs time.
                        writer = pq.ParquetWriter(folder / self.weights_file(spec.name), batch.schema,
                                                  compression="none", use_dictionary=False)  # fmt: skip
                    writer.write_table(batch)
            finally:
                if writer is not None:
                    writer.close()

        yield write

    def weights_file(self, table_name: str) -> str:
        """The table's own."""
        return f"{table_name}.parquet"

    def load(self, tables: Sequence[TableSpec]) -> list[str]:
        """``INSERT … SELECT`` from the files."""
        c = self.control
        made = [c.create_table(t.name, [(k.name, k.type) for k in t.columns], MODEL, replace=True) for t in tables]
        out = [attach_sql("model.db", MODEL, read_only=False), UNCOMPRESSED, made[-1]]  # without facts it is no model
        for spec, create in zip(tables, made, strict=True):
            columns = [k.name for k in spec.columns]
            file = exp.Literal.string(f"{WEIGHTS}/{self.weights_file(spec.name)}")
            source = exp.Table(this=exp.ReadParquet(expressions=[file]))
            query = exp.select(*map(col, columns), copy=False).from_(source, copy=False)
            out += [create, c.insert_query(spec.name, columns, query, MODEL)]
        return [f"{statement};" for statement in (*out, detach_sql(MODEL))]

    def fail_where(self, condition: exp.Expr, problem: str) -> list[str]:
        """The function ``error``."""
        fail = exp.Anonymous(this="ERROR", expressions=[exp.Literal.string(problem)])
        query = exp.select(named(fail, "problem"), copy=False).where(condition, copy=False)
        return [self.control.replace_temporary(CHECK, query)]

    def continuation(self, has_text: bool) -> exp.Select:
        """Bytes joined as hexadecimal digits."""
        return self._text() if has_text else self._ids()

    @staticmethod
    def _ids() -> exp.Select:
        number = exp.Cast(this=col("id", "t"), to=exp.DataType(this=exp.DType.TEXT))
        joined = exp.GroupConcat(this=exp.Order(this=number, expressions=[exp.Ordered(this=col("pos", "t"))]),
                                 separator=exp.Literal.string(" "))  # fmt: skip
        query = drawn_tokens().select(named(col("seq", "q"), "seq"), named(joined, "text"), copy=False)
        return query.group_by(col("seq", "q"), copy=False)

    @staticmethod
    def _text() -> exp.Select:
        here = drawn_tokens().join(table(VOCABULARY, MODEL, "v"), on=equal(col("id", "v"), col("id", "t")), copy=False)
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
