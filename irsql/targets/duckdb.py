"""The DuckDB driver: one connection in memory, with the model's and the state's database attached to it.

Every attach names ``ROW_GROUP_SIZE 2048``: without it a file is scanned as if its row groups were large, on one thread.
Files are written in the storage format of DuckDB 1.5, so that its shell reads them, and weights without compression:
the float codecs save about a tenth of the bytes and make a scan four times as slow.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Self, TypeAlias

import duckdb
import pyarrow as pa
from sqlglot import exp

from irsql.targets import duckdb_profile
from irsql.targets.control import Control
from irsql.targets.driver import Driver, file_name, literal, quoted
from irsql.targets.errors import EngineError
from irsql.targets.profile import Profile
from irsql.targets.program import TableSpec

STORAGE_VERSION = "v1.5.0"
ROW_GROUP_SIZE = 2048
LOADING_LIMIT = "384MB"
"""What the engine may buffer while loading; the slices and their Arrow form come on top."""
_BATCH = "irsql_batch"

SPEED: tuple[tuple[str, str | int | bool], ...] = (
    # Vectors of lanes are megabytes. Without this the engine gives them back to the system after each task that took
    # many, and the next one pays for every page again.
    ("allocator_background_threads", True),
    # It narrows the keys of each aggregate and widens them again; planning that costs more than it saves.
    ("disabled_optimizers", "compressed_materialization"),
)
"""Settings that make a step of decoding faster, and change no result (docs/decisions/step-tables.md)."""

Prepared: TypeAlias = "str | duckdb.Statement"
"""A statement: text, or what :meth:`DuckDB.prepare` made of it."""


def attach_sql(path: str, catalog: str, read_only: bool, new: bool = True) -> str:
    """``ATTACH`` of a database file, or of ``:memory:``; only a new file can be told its storage version."""
    options = ["READ_ONLY"] if read_only else []
    if path != ":memory:":
        options.append(f"ROW_GROUP_SIZE {ROW_GROUP_SIZE}")
        if new and not read_only:
            options.append(f"STORAGE_VERSION {literal(STORAGE_VERSION)}")
    suffix = f" ({', '.join(options)})" if options else ""
    return f"ATTACH {literal(path)} AS {quoted(catalog)}{suffix}"


def detach_sql(catalog: str) -> str:
    """``DETACH`` of a database."""
    return f"DETACH {quoted(catalog)}"


def set_sql(option: str, value: str | int | bool) -> str:
    """``SET`` of an option."""
    if isinstance(value, str):
        return f"SET {option} = {literal(value)}"
    return f"SET {option} = {str(value).lower()}"


UNCOMPRESSED = set_sql("force_compression", "uncompressed")


class DuckDB(Driver):
    """An open connection; see :class:`irsql.targets.driver.Driver`."""

    name, title = "duckdb", "DuckDB"
    control = Control("duckdb")
    writers = 2  # more would only add memory
    beside = (".wal", ".wal.checkpoint", ".wal.recovery")

    def __init__(
        self,
        threads: int | None = None,
        memory_limit: str | None = None,
        temp_directory: str | os.PathLike[str] | None = None,
    ) -> None:
        self._connection = duckdb.connect(":memory:")
        self.closed = self._within = False
        # Nothing is fetched from the network, whatever a file asks for.
        options: list[tuple[str, str | int | bool | None]] = [
            ("autoinstall_known_extensions", False), ("autoload_known_extensions", False),
            ("enable_progress_bar", False), ("threads", threads), ("memory_limit", memory_limit),
            ("temp_directory", os.fspath(temp_directory) if temp_directory else None), *SPEED,
        ]  # fmt: skip
        try:
            for option, value in options:
                if value is not None:
                    self.execute(set_sql(option, value))
        except EngineError:
            self._connection.close()
            raise

    @classmethod
    def for_loading(cls, partial: str | os.PathLike[str]) -> Self:
        """A connection that spills into ``PARTIAL.tmp``."""
        return cls(memory_limit=LOADING_LIMIT, temp_directory=f"{os.fspath(partial)}.tmp")

    @classmethod
    def recognises(cls, head: bytes) -> bool:
        """By the magic bytes behind the checksum of the first block."""
        return head[8:12] == b"DUCK"

    @property
    def version(self) -> str:
        """The engine's version."""
        return duckdb.__version__

    def cursor(self) -> Self:
        """Another connection to the same databases, for another thread."""
        other = object.__new__(type(self))
        other._connection, other.closed, other._within = self._connection.cursor(), False, False
        return other

    def close(self) -> None:
        """Close the connection; databases attached to it are closed too."""
        self.closed = True
        self._connection.close()

    # -- databases -------------------------------------------------------------------------------------
    def attach(self, path: str | os.PathLike[str], catalog: str, *, read_only: bool = False) -> None:
        """Attach a database file (or ``:memory:``) under a name.

        Raises
        ------
        EngineError
            If the file is missing, no database, damaged, or held by another process.
        """
        where = file_name(path)
        if read_only and not Path(where).is_file():
            raise EngineError(f"there is no file {where}")
        try:
            # a relative name like "file:x.db" would name an extension
            place = where if where == ":memory:" else os.path.abspath(where)
            whole = Path(where).is_file() and not any(Path(where + ending).exists() for ending in self.beside)
            self._connection.execute(attach_sql(place, catalog, read_only, new=not Path(where).exists()))
        except duckdb.Error as error:
            raise EngineError(_attach_problem(where, str(error))) from error
        # The engine reads blocks when it needs them: what is missing at the end would be found in the middle of a text.
        if whole and Path(where).stat().st_size < self._used_bytes(catalog):
            self.detach(catalog)
            raise EngineError(_attach_problem(where, "Could not read enough bytes"))

    def _used_bytes(self, catalog: str) -> int:
        """Bytes of the blocks that a database uses, without the headers of its file."""
        size = exp.func("pragma_database_size", copy=False)
        query = exp.select("used_blocks", "block_size", copy=False).from_(exp.Table(this=size), copy=False)
        query = query.where(exp.column("database_name").eq(exp.Literal.string(catalog)), copy=False)
        ((used, block),) = self.rows(query.sql("duckdb", identify=True))
        return int(used) * int(block)

    def detach(self, catalog: str) -> None:
        """Detach a database; what its log holds goes into the file."""
        self.execute(detach_sql(catalog))

    @contextmanager
    def loading(self, catalog: str) -> Iterator[None]:
        """Write without compression; what comes after, text, is compressed again."""
        self.execute(UNCOMPRESSED)
        try:
            yield
        finally:
            if not self.closed:
                self.execute(set_sql("force_compression", "auto"))

    # -- statements ------------------------------------------------------------------------------------
    def prepare(self, sql: str) -> duckdb.Statement:
        """Parse one statement, once for many executions."""
        with _errors():
            return self._connection.extract_statements(sql)[0]

    def execute(self, statement: Prepared, parameters: Sequence[Any] | None = None) -> None:
        """Run a statement.

        Raises
        ------
        EngineError
            If the engine refuses it.
        """
        self._run(statement, parameters)

    def profile(self, statement: Prepared, parameters: Sequence[Any] | None = None) -> Profile:
        """Run a statement, and give its plan with the time, the rows and the scanned rows of each operator."""
        self.execute(set_sql("enable_profiling", "no_output"))
        self.execute(set_sql("profiling_coverage", "ALL"))
        try:
            begin = time.perf_counter()
            self.execute(statement, parameters)
            seconds = time.perf_counter() - begin
            with _errors():
                text = self._connection.get_profiling_information(format="json")
        finally:
            self._connection.disable_profiling()
        return duckdb_profile.read(text, seconds)

    def rows(self, statement: Prepared, parameters: Sequence[Any] | None = None) -> list[tuple[Any, ...]]:
        """Run a query and give its rows."""
        result = self._run(statement, parameters)
        with _errors():
            return result.fetchall()

    def arrow(self, query: str) -> pa.Table:
        """Run a query and give its result as an Arrow table."""
        with _errors():
            return self._connection.sql(query).to_arrow_table()

    def read(self, spec: TableSpec, catalog: str | None = None) -> pa.Table:
        """All rows of a table of a program."""
        return self.arrow(self.control.read(spec.name, [c.name for c in spec.columns], catalog))

    def batches(self, spec: TableSpec, catalog: str, rows: int = 4096) -> Iterator[pa.Table]:
        """The rows of a table as they are stored, some at a time."""
        query = self.control.read(spec.name, [c.name for c in spec.columns], catalog)
        with _errors():
            for batch in self._connection.sql(query).to_arrow_reader(rows):
                yield pa.Table.from_batches([batch])

    def insert(self, table: str, batch: pa.Table, catalog: str | None = None) -> None:
        """Append an Arrow table to a table with columns of the same names."""
        self._connection.register(_BATCH, batch)
        try:
            self.execute(self.control.insert_from(table, batch.column_names, _BATCH, catalog))
        finally:
            with suppress(duckdb.Error):  # after an error the transaction is over; the name is taken anew next time
                self._connection.unregister(_BATCH)

    def _roll_back(self) -> None:
        # It fails where none is open: the engine has rolled back or committed already, or the connection is gone.
        with suppress(duckdb.Error):
            self._connection.execute(self.control.rollback)

    def _run(self, statement: Prepared, parameters: Sequence[Any] | None) -> duckdb.DuckDBPyConnection:
        with _errors():
            if parameters is None:
                return self._connection.execute(statement)
            return self._connection.execute(statement, list(parameters))


@contextmanager
def _errors() -> Iterator[None]:
    """What the engine raises, as irsql's errors; Ctrl-C within a statement stays Ctrl-C."""
    try:
        yield
    except duckdb.InterruptException as error:
        # Only a signal interrupts: nothing here calls the connection's own interrupt().
        raise KeyboardInterrupt from error
    except duckdb.Error as error:
        raise EngineError(_problem(error)) from error
    except RuntimeError as error:
        # The client reports a signal as either, by whether it is seen before or after a task of the query ends.
        if str(error) == "Query interrupted":
            raise KeyboardInterrupt from error
        raise


def _attach_problem(path: str, text: str) -> str:
    if (
        "Could not set lock" in text
        or "Conflicting lock" in text
        or "already attached" in text
        or "file handle conflict" in text
    ):
        return f"{path} is in use by another process: wait for it to end, or give another file"
    if "not a valid DuckDB database" in text:
        return f"{path} is not a DuckDB database"
    if "Could not read enough bytes" in text or "Corrupt" in text or "checksum" in text.lower():
        return f"{path} is damaged or cut short: make it again"
    if "version" in text and "newer" in text:
        return f"{path} was written by a newer DuckDB than {duckdb.__version__}"
    return f"{path} cannot be opened: {_first_line(text)}"


def _problem(error: duckdb.Error) -> str:
    text = _first_line(str(error))
    if isinstance(error, duckdb.OutOfMemoryException):
        return f"DuckDB ran out of memory: {text}"
    if "No space left" in text:
        return f"the disk is full: {text}"
    if "Could not read enough bytes" in text or "checksum" in text.lower():
        return f"a database file is damaged, load the model again or give another file for the state: {text}"
    return f"DuckDB: {text}"


def _first_line(text: str) -> str:
    return text.strip().splitlines()[0] if text.strip() else "no reason given"
