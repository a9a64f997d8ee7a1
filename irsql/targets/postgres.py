"""The PostgreSQL driver: a connection to a server, where the model and the state are two schemas of one database.

A model is a folder, in which an embedded server lives, or a schema of a server that the user names by its address. The
schemas have names of their own, so the driver puts them where a statement says ``model`` and ``state``; a state in
memory is the connection's schema of temporary tables.
"""

from __future__ import annotations

import os
import re
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import pyarrow as pa

from irsql.targets import postgres_rows, postgres_server
from irsql.targets.control import MODEL, STATE
from irsql.targets.driver import Driver, file_name, is_address, quoted
from irsql.targets.errors import EngineError
from irsql.targets.postgres_control import CONTROL, FILLS, LOCKS, OLDEST, OLDEST_VECTOR, SESSION
from irsql.targets.postgres_growth import ADDS, REMOVES, Growth
from irsql.targets.postgres_places import Place
from irsql.targets.program import TableSpec

if TYPE_CHECKING:
    import psycopg
    from psycopg.pq import TransactionStatus
else:
    try:
        import psycopg
        from psycopg.pq import TransactionStatus
    except ImportError:  # what a place holds is told without it, for whoever has no PostgreSQL has other engines
        psycopg = None

TEMPORARY = "pg_temp"
_UNITS = {"": 1, "K": 1024, "M": 1024**2, "G": 1024**3, "T": 1024**4}
_WORDS = re.compile(r"""'(?:[^']|'')*'|"((?:[^"]|"")*)"(\.)?""")


class Prepared(str):
    """The text of a statement that the server prepares.

    Attributes
    ----------
    fills
        The temporary table that it fills, until the server has been told what such a table holds.
    appends
        The table of a state that it adds rows to.
    """

    fills: str = ""
    appends: str = ""


class Postgres(Driver):
    """An open connection; see :class:`irsql.targets.driver.Driver`."""

    name, title = "postgres", "PostgreSQL"
    control = CONTROL
    writers = 2
    shares_state = True
    keeps_results = False  # to empty a temporary table, other than by the end of a transaction, costs catalogue rows
    schemes = ("postgresql", "postgres")

    def __init__(
        self,
        threads: int | None = None,
        memory_limit: str | None = None,
        temp_directory: str | os.PathLike[str] | None = None,
    ) -> None:
        if psycopg is None:
            raise EngineError("PostgreSQL is spoken to with psycopg, which is not installed: pip install "
                              "'irsql[postgres]'")  # fmt: skip
        if temp_directory is not None:
            raise EngineError("PostgreSQL decides itself where its temporary files are: it takes no folder for them")
        self._settings = dict(SESSION)
        if threads is not None:
            self._settings["max_parallel_workers_per_gather"] = str(threads - 1)
        if memory_limit is not None:
            kilobytes = _bytes(memory_limit) // 1024
            self._settings |= {"work_mem": f"{max(kilobytes // 8, 64)}kB",
                               "temp_buffers": f"{max(kilobytes // 4, 800)}kB"}  # fmt: skip
        self._start(None, None, {})

    def _start(self, place: Place | None, server: postgres_server.Server | None, schemas: dict[str, str]) -> None:
        self.closed = self._within = False
        self._place, self._server, self._schemas = place, server, schemas
        self._made: list[str] = []
        self._growth = Growth()
        self._open: psycopg.Connection[tuple[Any, ...]] | None = None

    # -- the connection --------------------------------------------------------------------------------
    @property
    def _connection(self) -> psycopg.Connection[tuple[Any, ...]]:
        if self.closed:
            raise EngineError("the connection is closed")
        if self._open is None:
            if self._place is None:
                self._server = postgres_server.temporary()
                self._place = Place(self._server.address, MODEL)
            self._open = self._connect(self._place)
        return self._open

    def _connect(self, place: Place) -> psycopg.Connection[tuple[Any, ...]]:
        try:
            connection = psycopg.connect(place.address, autocommit=True, application_name="irsql", connect_timeout=30)
        except psycopg.Error as error:
            raise EngineError(f"no connection to {place.shown}: {_first_line(error)}") from error
        try:
            if connection.info.server_version < OLDEST:
                raise EngineError(f"irsql needs PostgreSQL 16 or newer, {place.shown} is {_version(connection)}")
            connection.prepared_max = None
            for option, value in self._settings.items():
                connection.execute("SELECT set_config(%s, %s, FALSE)", [option, value])
            home = self._extension(connection, place)
            path = f"pg_temp, pg_catalog{'' if home is None else ', ' + quoted(home)}"
            connection.execute("SELECT set_config('search_path', %s, FALSE)", [path])
        except psycopg.Error as error:
            connection.close()
            raise EngineError(f"{place.shown} cannot be used: {_first_line(error)}") from error
        except BaseException:
            connection.close()
            raise
        return connection

    def _extension(self, connection: psycopg.Connection[tuple[Any, ...]], place: Place) -> str | None:
        """The schema of pgvector's type and functions, None where there is none."""
        found = connection.execute(
            "SELECT n.nspname FROM pg_extension AS e JOIN pg_namespace AS n ON n.oid = e.extnamespace "
            "WHERE e.extname = 'vector'").fetchone()  # fmt: skip
        return None if found is None else found[0]

    @property
    def version(self) -> str:
        """The engine's version."""
        return _version(self._connection)

    def cursor(self) -> Self:
        """Another connection to the same databases; a state in memory is its own."""
        self._connection  # noqa: B018 - a server for what is in memory is started here
        other = object.__new__(type(self))
        other._settings = self._settings
        server = None if self._server is None else postgres_server.using(self._server.folder)
        other._start(self._place, server, dict(self._schemas))
        return other

    def close(self) -> None:
        """Close the connection; what was in memory goes."""
        if self.closed:
            return
        with suppress(psycopg.Error):
            if self._open is not None and self._made and not self._open.closed:
                self._roll_back()
                for schema in self._made:
                    self._open.execute(CONTROL.drop_schema(schema).encode())
        self.closed = True
        if self._open is not None:
            self._open.close()
        if self._server is not None:
            postgres_server.release(self._server)
            self._server = None

    # -- databases -------------------------------------------------------------------------------------
    @classmethod
    def recognises(cls, head: bytes) -> bool:
        """No file is one of this engine."""
        return False

    @classmethod
    def recognises_folder(cls, folder: Path) -> bool:
        """By the data directory in it."""
        return postgres_server.holds(folder)

    @classmethod
    def partial(cls, place: str) -> str:
        """A folder beside, or a schema beside."""
        return f"{Place.of(place, None).with_schema()}.partial" if is_address(place) else super().partial(place)

    @classmethod
    def exists(cls, place: str) -> bool:
        """Whether the folder, or the schema, is there."""
        if not is_address(place):
            return super().exists(place)
        with cls() as db:
            db._attach_server(place)
            assert db._place is not None
            return db._is_there(db._place.schema)

    @classmethod
    def has_state(cls, model: str, state: str) -> bool:
        """Whether there is a schema of this name beside the model."""
        with cls() as db:
            db._attach_server(model)
            return db._is_there(_schema_name(state))

    @classmethod
    def remove(cls, place: str) -> None:
        """Remove a folder that nobody uses, or a schema."""
        if is_address(place):
            with cls() as db:
                db._attach_server(place)
                assert db._place is not None
                db.execute(CONTROL.drop_schema(db._place.schema))
        elif Path(place).is_dir():
            postgres_server.remove(Path(place))
        else:
            super().remove(place)

    @classmethod
    def publish(cls, partial: str, place: str) -> None:
        """Give a folder, or a schema, its name."""
        if not is_address(place):
            postgres_server.publish(Path(partial), Path(place))
            return
        with cls() as db:
            db._attach_server(place)
            assert db._place is not None
            schema, made = db._place.schema, Place.of(partial, None).schema
            with db.transaction():
                db.execute(CONTROL.drop_schema(schema))
                db.execute(f"ALTER SCHEMA {quoted(made)} RENAME TO {quoted(schema)}")  # sqlglot has no node for this

    def attach(self, path: str | os.PathLike[str], catalog: str, *, read_only: bool = False) -> None:
        """Attach a schema under a name.

        Parameters
        ----------
        path
            For the model: a folder, an address, or ``:memory:``. For the state: the name of a schema of the same
            database, or ``:memory:``.
        catalog
            ``model`` or ``state``.
        read_only
            The schema is a loaded model.
        """
        text = file_name(path)
        if text == ":memory:":
            self._attach_memory(catalog)
        elif catalog == STATE and self._place is not None:
            self._attach_schema(_schema_name(text), catalog)
        else:
            self._attach_place(text, catalog, read_only)

    def _attach_memory(self, catalog: str) -> None:
        if catalog == STATE:
            self._schemas[catalog] = TEMPORARY
            return
        schema = f"irsql_{uuid.uuid4().hex[:16]}"
        self.execute(CONTROL.create_schema(schema))
        self._made.append(schema)
        self._schemas[catalog] = schema

    def _attach_place(self, text: str, catalog: str, read_only: bool) -> None:
        if not is_address(text) and read_only and not postgres_server.holds(Path(text)):
            raise EngineError(f"there is no folder {text} with a PostgreSQL server in it")
        place = self._attach_server(text)
        if not read_only:
            self._attach_schema(place.schema, catalog)
        elif self._is_there(place.schema):
            self._schemas[catalog] = place.schema
        else:
            raise EngineError(f"there is no loaded model in {place.shown}")

    def _attach_server(self, text: str) -> Place:
        """Connect to the server that a place is on."""
        if self._place is not None:
            raise EngineError(f"{text} cannot be attached beside {self._place.shown}: a connection has one database")
        server = None if is_address(text) else postgres_server.using(Path(text).absolute())
        try:
            place = Place.of(text, server)
            self._open = self._connect(place)
        except BaseException:
            if server is not None:
                postgres_server.release(server)
            raise
        self._place, self._server = place, server
        return place

    def _attach_schema(self, schema: str, catalog: str) -> None:
        if schema == self._schemas.get(MODEL):
            raise EngineError(f"the schema {schema} is the model: give another name for the state")
        if catalog == MODEL:
            self._lock(schema)
            self.execute("SET synchronous_commit = on")  # what is loaded is on disk before it gets its name
        if not self._is_there(schema):
            with self.transaction():  # two processes that both saw none would both create it, IF NOT EXISTS or not
                self.rows("SELECT pg_advisory_xact_lock(%s, hashtext(%s))", [LOCKS, f"create {schema}"])
                self.execute(CONTROL.create_schema(schema, exists_ok=True))
        self._schemas[catalog] = schema

    def _is_there(self, schema: str) -> bool:
        return bool(self.rows("SELECT 1 FROM pg_namespace WHERE nspname = %s", [schema]))

    def _lock(self, schema: str) -> None:
        """Write a schema alone, until the connection ends."""
        ((taken,),) = self.rows("SELECT pg_try_advisory_lock(%s, hashtext(%s))", [LOCKS, schema])
        if not taken:
            raise EngineError(f"the schema {schema} is in use by another process: wait for it to end")

    def detach(self, catalog: str) -> None:
        """Forget a schema."""
        schema = self._schemas.pop(catalog)
        if schema in self._made:
            self.execute(CONTROL.drop_schema(schema))
            self._made.remove(schema)

    def tables(self, catalog: str) -> set[str]:
        """The names of the tables and views of a schema."""
        schema = self._schemas[catalog]
        found = self.rows(
            "SELECT relname FROM pg_class WHERE relkind IN ('r', 'v', 'p') AND relnamespace = "
            "CASE WHEN %s THEN pg_my_temp_schema() ELSE to_regnamespace(%s)::oid END",
            [schema == TEMPORARY, quoted(schema)])  # fmt: skip
        return {name for (name,) in found}

    @contextmanager
    def loading(self, catalog: str) -> Iterator[None]:
        """In the end, say what the tables hold, and that all of it is to be seen by everybody."""
        yield
        for table in sorted(self.tables(catalog)):
            self.execute(f"VACUUM (FREEZE, ANALYZE) {quoted(catalog)}.{quoted(table)}")

    # -- statements ------------------------------------------------------------------------------------
    def _placed(self, sql: str, filled: bool = False) -> str:
        """The statement with the names of the schemas where it says ``model`` or ``state``.

        Where parameters are filled in, a percent sign of a name is written twice.
        """

        def put(found: re.Match[str]) -> str:
            name = self._schemas.get(found[1] or "")
            if name is None or not found[2]:
                return found[0]
            return f"{quoted(name.replace('%', '%%') if filled else name)}."

        return _WORDS.sub(put, sql)

    def prepare(self, sql: str) -> Prepared:
        """The statement; the server prepares it when it runs for the first time."""
        out = Prepared(self._placed(sql))
        found = FILLS.match(out)
        if found is not None:
            out.fills = found[1]
        added = ADDS.match(sql)
        if added is not None:
            out.appends = self._placed(added[1])
        return out

    def execute(self, statement: str, parameters: Sequence[Any] | None = None) -> None:
        """Run a statement."""
        self._run(statement, parameters)

    def rows(self, statement: str, parameters: Sequence[Any] | None = None) -> list[tuple[Any, ...]]:
        """Run a query and give its rows."""
        result = self._run(statement, parameters)
        with _errors():
            return result.fetchall()

    def _run(self, statement: str, parameters: Sequence[Any] | None) -> psycopg.Cursor[tuple[Any, ...]]:
        with _errors():
            if isinstance(statement, Prepared):
                done = self._connection.execute(statement.encode(), parameters, prepare=True)
                if statement.fills:  # what reads the table is planned next, and its plan stays
                    self._connection.execute(f"ANALYZE {statement.fills}".encode())
                    statement.fills = ""
                if statement.appends and self._growth.added(statement.appends, done.rowcount):
                    self._connection.execute(f"ANALYZE {statement.appends}".encode())
                return done
            placed = self._placed(statement, filled=parameters is not None)
            done = self._connection.execute(placed.encode(), parameters, prepare=False)
            gone = REMOVES.match(statement)
            if gone is not None:
                self._growth.removed(self._placed(gone[1]), done.rowcount)
            return done

    def read(self, spec: TableSpec, catalog: str | None = None) -> pa.Table:
        """All rows of a table of a program."""
        target = self._placed(_target(spec.name, [c.name for c in spec.columns], catalog))
        with _errors(), self._connection.cursor() as cursor, cursor.copy(_copy(target, "TO STDOUT")) as copy:
            data = b"".join(bytes(part) for part in copy)
        return postgres_rows.read(data, spec.columns, catalog == MODEL)

    def batches(self, spec: TableSpec, catalog: str, rows: int = 4096) -> Iterator[pa.Table]:
        """The rows of a table, some at a time; numbers and lanes as they stand there."""
        if any(c.type in ("text", "bytes") for c in spec.columns):
            yield from super().batches(spec, catalog, rows)
            return
        target = self._placed(_target(spec.name, [c.name for c in spec.columns], catalog))
        with _errors(), self._connection.cursor() as cursor, cursor.copy(_copy(target, "TO STDOUT")) as copy:
            yield from postgres_rows.read_some((bytes(part) for part in copy), spec.columns, catalog == MODEL, rows)

    def insert(self, table: str, batch: pa.Table, catalog: str | None = None) -> None:
        """Append an Arrow table."""
        target = self._placed(_target(table, batch.column_names, catalog))
        with _errors(), self._connection.cursor() as cursor, cursor.copy(_copy(target, "FROM STDIN")) as copy:
            for part in postgres_rows.write([batch], catalog == MODEL):
                copy.write(part)

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """As in the base class; transactions on a state that others may write too are one after the other."""
        nested, state = self._within, self._schemas.get(STATE, TEMPORARY)
        with super().transaction():
            if not nested and state != TEMPORARY:
                self.rows("SELECT pg_advisory_xact_lock(%s, hashtext(%s))", [LOCKS, state])
            yield
        if not nested and state == TEMPORARY:
            for table in self._growth.to_vacuum():  # as the server itself does it, but for temporary tables
                self.execute(f"VACUUM {table}")

    def _roll_back(self) -> None:
        with suppress(psycopg.Error):
            if self._open is not None and self._open.info.transaction_status != TransactionStatus.IDLE:
                self._open.execute(self.control.rollback.encode())


class PgVector(Postgres):
    """A connection to a server with pgvector, which is made part of the database where it is missing."""

    name, title = "pgvector", "PostgreSQL with pgvector"

    def _extension(self, connection: psycopg.Connection[tuple[Any, ...]], place: Place) -> str | None:
        if super()._extension(connection, place) is None:
            try:
                connection.execute("CREATE EXTENSION IF NOT EXISTS vector SCHEMA public")
            except psycopg.Error as error:
                raise EngineError(f"{place.shown} has no pgvector, and this role cannot create it: let an "
                                  "administrator run CREATE EXTENSION vector, or use --target postgres "
                                  f"({_first_line(error)})") from error  # fmt: skip
        ((version,),) = connection.execute("SELECT extversion FROM pg_extension WHERE extname = 'vector'").fetchall()
        if tuple(int(part) for part in version.split(".")[:2]) < OLDEST_VECTOR:
            raise EngineError(f"irsql needs pgvector 0.7 or newer, {place.shown} has {version}: use --target postgres")
        return super()._extension(connection, place)


def _target(table: str, columns: Sequence[str], catalog: str | None) -> str:
    """A table and its columns as COPY takes them."""
    home = f"{quoted(catalog)}." if catalog else ""
    return f"{home}{quoted(table)} ({', '.join(quoted(c) for c in columns)})"


def _copy(target: str, way: str) -> bytes:
    """``COPY``, which sqlglot does not write."""
    return f"COPY {target} {way} (FORMAT BINARY)".encode()


def _schema_name(text: str) -> str:
    if not text or "/" in text or "\\" in text or "\0" in text or len(text.encode()) > 63 or text.startswith("pg_"):
        raise EngineError(f"the state of a model in PostgreSQL is a schema beside it: give a name, not {text!r}")
    return text


def _bytes(limit: str) -> int:
    found = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([KMGT]?)I?B?\s*", limit.upper())
    if found is None:
        raise EngineError(f"a memory limit is a number with a unit, such as 4GB, not {limit!r}")
    return int(float(found[1]) * _UNITS[found[2]])


def _version(connection: psycopg.Connection[Any]) -> str:
    major, minor = divmod(connection.info.server_version, 10000)
    return f"{major}.{minor}"


@contextmanager
def _errors() -> Iterator[None]:
    """What the engine raises, as irsql's errors; Ctrl-C within a statement cancels it and stays Ctrl-C."""
    try:
        yield
    except psycopg.errors.DiskFull as error:
        raise EngineError(f"the disk is full: {_first_line(error)}") from error
    except psycopg.OperationalError as error:
        raise EngineError(f"PostgreSQL: {_first_line(error)}") from error
    except psycopg.Error as error:
        raise EngineError(f"PostgreSQL: {_first_line(error)}") from error


def _first_line(error: BaseException) -> str:
    lines = [line for line in str(error).splitlines() if line.strip()]
    return lines[0].strip() if lines else "no reason given"
