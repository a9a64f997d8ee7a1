"""Scripts for PostgreSQL's shell, ``psql``. The model's tables are files in COPY's binary format.

The model and the state are the schemas ``model`` and ``state`` of the database that ``psql`` connects to, as the driver
has them for an address that names no other schema, with ``--db state``.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pyarrow as pa
from sqlglot import exp

from irsql.targets import postgres_rows
from irsql.targets.control import META, MODEL, STATE, VOCABULARY, col, equal, name, named, table
from irsql.targets.driver import literal, quoted
from irsql.targets.postgres_control import CONTROL, FILLS, LOCKS, OLDEST, OLDEST_VECTOR, SESSION
from irsql.targets.postgres_growth import ADDS
from irsql.targets.program import Program, TableSpec
from irsql.targets.shell import STEPS, WEIGHTS, Shell, Writer, drawn_tokens

_TAG = "$irsql$"
_READABLE = "irsql_readable"
_SEARCH_PATH = (
    "PERFORM set_config('search_path', 'pg_temp, pg_catalog' || COALESCE((SELECT ', ' || quote_ident(n.nspname) FROM "
    "pg_extension AS e JOIN pg_namespace AS n ON n.oid = e.extnamespace WHERE e.extname = 'vector'), ''), FALSE)"
)
_READ = (
    f"CREATE OR REPLACE FUNCTION pg_temp.{quoted(_READABLE)}(bytes bytea) RETURNS text LANGUAGE plpgsql AS {_TAG}"
    "BEGIN RETURN convert_from(bytes, 'UTF8'); EXCEPTION WHEN OTHERS THEN RETURN (SELECT string_agg(CASE WHEN "
    "b.x BETWEEN 32 AND 126 AND b.x NOT IN (34, 39, 92) THEN chr(b.x) ELSE '\\x' || upper(lpad(to_hex(b.x), 2, '0')) "
    "END, '' ORDER BY b.n) FROM (SELECT n, get_byte(bytes, n) AS x FROM generate_series(0, length(bytes) - 1) AS n) "
    f"AS b); END{_TAG}"
)
"""A sequence can end within a character, and only a function can try: its bytes are then escaped, as by DuckDB."""


def _do(body: str) -> str:
    """An anonymous block."""
    if _TAG in body:
        raise ValueError(f"a block of PL/pgSQL cannot hold {_TAG}")
    return f"DO {_TAG}BEGIN {body}; END{_TAG}"


def _fail(condition: str, problem: str) -> str:
    return _do(f"IF {condition} THEN RAISE EXCEPTION USING MESSAGE = {literal(problem)}; END IF")


def _new(script: str) -> str:
    """The variable that says whether a script has not been run yet."""
    return f"irsql_new_{script.removesuffix('.sql')}"


def _named(catalog: str, table_name: str) -> str:
    """A table as an argument of ``to_regclass``."""
    return literal(f"{quoted(catalog)}.{quoted(table_name)}")


def _filled(catalog: str) -> str:
    """Whether there is anything in a schema."""
    return f"EXISTS (SELECT 1 FROM pg_class WHERE relnamespace = to_regnamespace({literal(quoted(catalog))})::oid)"


class PostgresShell(Shell):
    """See :class:`irsql.targets.shell.Shell`."""

    program, control = "psql", CONTROL
    strict = ("\\set ON_ERROR_STOP on", "\\set QUIET on", "\\set SHOW_CONTEXT never", "\\encoding UTF8")
    plain = ("\\pset format unaligned", "\\pset tuples_only on", "\\pset fieldsep '|'")
    model_place, state_place = "the schema model", "the schema state"

    def command(self, script: str) -> str:
        """With the file's name, which ``psql`` puts in front of an error."""
        return f"{self.program} -f {script}"

    def include(self, script: str) -> str:
        r"""``\i``."""
        return f"\\i {script}"

    def begin(self) -> list[str]:
        """Transactions on a state are one after the other, as the driver's."""
        return [self.control.begin_transaction,
                _do(f"PERFORM pg_advisory_xact_lock({LOCKS}, hashtext({literal(STATE)}))")]  # fmt: skip

    def attach(self) -> list[str]:
        """There is nothing to attach: the schemas are looked for, and that of the state is made."""
        gone = f"to_regclass({_named(MODEL, META)}) IS NULL"
        foreign = f"{_filled(STATE)} AND to_regclass({_named(STATE, META)}) IS NULL"
        make = (f"IF to_regnamespace({literal(quoted(STATE))}) IS NULL THEN "
                f"{CONTROL.create_schema(STATE, exists_ok=True)}; END IF")  # fmt: skip
        statements = [*self._session(),
                      _fail(gone, "the schema model holds no model: run load.sql"),
                      _fail(foreign, "the schema state holds something else: rename it"),
                      *self.begin(), _do(make), self.control.commit]  # fmt: skip
        return [*(f"{s};" for s in statements), *(f"\\set {_new(script)} true" for script in STEPS)]

    def _session(self) -> list[str]:
        """What the driver asks of a connection."""
        options = [f"SET {option} TO {literal(value)}" for option, value in SESSION.items()]
        old = f"current_setting('server_version_num')::integer < {OLDEST}"
        return [_fail(old, "irsql needs PostgreSQL 16 or newer"), *options, *self._extension(), _do(_SEARCH_PATH)]

    def _extension(self) -> list[str]:
        return []

    def temporaries(self, program: Program) -> list[str]:
        """And the function that reads text."""
        return [*self.control.temporaries(program), _READ]

    def step(self, script: str, statements: Sequence[str]) -> list[str]:
        r"""In the first step of a connection the planner is told what a table holds before its readers are planned."""
        out = []
        for line in super().step(script, statements):
            filled = FILLS.match(line) or ADDS.match(line)
            out += [line] if filled is None else [line, f"\\if :{_new(script)}", f"ANALYZE {filled[1]};", "\\endif"]
        return [*out, f"\\set {_new(script)} false"]

    # -- the model -------------------------------------------------------------------------------------
    @contextmanager
    def weights(self, folder: Path) -> Iterator[Writer]:
        """A file a table."""

        def write(spec: TableSpec, batches: Iterable[pa.Table]) -> None:
            with (folder / self.weights_file(spec.name)).open("wb") as stream:
                stream.writelines(postgres_rows.write(batches, single=True))

        yield write

    def weights_file(self, table_name: str) -> str:
        """The table's own."""
        return f"{table_name}.copy"

    def load(self, tables: Sequence[TableSpec]) -> list[str]:
        r"""``\copy`` from the files, all in one transaction: what was there before stays until all of it is read."""
        c = self.control
        busy = f"NOT pg_try_advisory_xact_lock({LOCKS}, hashtext({literal(MODEL + '.partial')}))"
        foreign = f"{_filled(MODEL)} AND to_regclass({_named(MODEL, META)}) IS NULL"
        before = [*self._session(), "SET synchronous_commit TO 'on'", c.begin_transaction,
                  _fail(busy, "the schema model is being written by another process: wait for it to end"),
                  _fail(foreign, "the schema model holds something else than a model: rename it"),
                  CONTROL.drop_schema(MODEL), CONTROL.create_schema(MODEL)]  # fmt: skip
        out = [f"{s};" for s in before]
        for spec in tables:
            home = f"{quoted(MODEL)}.{quoted(spec.name)}"
            columns = ", ".join(quoted(k.name) for k in spec.columns)
            file = literal(f"{WEIGHTS}/{self.weights_file(spec.name)}")
            out += [f"{c.create_spec(spec, MODEL)};", f"\\copy {home} ({columns}) FROM {file} (FORMAT binary, FREEZE)",
                    f"ANALYZE {home};"]  # fmt: skip
        return [*out, f"{c.commit};"]

    def fail_where(self, condition: exp.Expr, problem: str) -> list[str]:
        """Only PL/pgSQL can raise with a sentence."""
        return [_fail(self.control.text(condition), problem)]

    def continuation(self, has_text: bool) -> exp.Select:
        """Bytes joined, and read as text by a function."""
        query = drawn_tokens()
        if has_text:
            query.join(table(VOCABULARY, MODEL, "v"), on=equal(col("id", "v"), col("id", "t")), copy=False)
            between: exp.Expr = exp.Cast(this=exp.Literal.string(""), to=exp.DataType(this=exp.DType.VARBINARY))
            piece: exp.Expr = exp.Case(ifs=[exp.If(this=col("special", "v"), true=between.copy())],
                                       default=col("bytes", "v"))  # fmt: skip
        else:
            between = exp.Literal.string(" ")
            piece = exp.Cast(this=col("id", "t"), to=exp.DataType(this=exp.DType.TEXT))
        order = exp.Order(this=between, expressions=[exp.Ordered(this=col("pos", "t"), nulls_first=False)])
        text: exp.Expr = exp.Anonymous(this="STRING_AGG", expressions=[piece, order])
        if has_text:
            text = exp.Dot(this=exp.to_identifier("pg_temp"),
                           expression=exp.Anonymous(this=name(_READABLE), expressions=[text]))  # fmt: skip
        return query.select(named(col("seq", "q"), "seq"), named(text, "text"), copy=False).group_by(
            col("seq", "q"), copy=False)  # fmt: skip


class PgVectorShell(PostgresShell):
    """With pgvector, which is made part of the database where it is missing and the role may."""

    def _extension(self) -> list[str]:
        oldest = ", ".join(map(str, OLDEST_VECTOR))
        old = (f"(SELECT string_to_array(extversion, '.')::integer[] FROM pg_extension WHERE extname = 'vector') "
               f"< ARRAY[{oldest}]")  # fmt: skip
        return ["CREATE EXTENSION IF NOT EXISTS vector SCHEMA public",
                _fail(old, f"irsql needs pgvector {'.'.join(map(str, OLDEST_VECTOR))} or newer")]  # fmt: skip
