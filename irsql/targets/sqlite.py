"""The SQLite driver: one connection, with the model's and the state's database attached to it.

A model file is never written once it has its name, so it is read without locks, straight from the page cache of the
operating system. The state is written ahead (WAL): a step costs one flush, and a killed process leaves whole steps.
"""

from __future__ import annotations

import itertools
import os
import re
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Self

import numpy as np
import pyarrow as pa

from irsql.targets.control import STATE
from irsql.targets.driver import Driver, quoted
from irsql.targets.errors import EngineError
from irsql.targets.program import Column, TableSpec
from irsql.targets.sqlite_control import SQLiteControl
from irsql.targets.tables import NUMPY_TYPES

MAGIC = b"SQLite format 3\0"
OLDEST = (3, 40)
BUSY_MS = 60_000
"""How long a step waits for another process that writes the same state."""
ATTACH_MS = 1_000
"""How long attaching waits: what is held longer is being loaded."""
PAGE_BYTES = 32_768
"""Wide rows are thousands of bytes; a page holds several."""
STATEMENTS = 4096
"""Prepared statements that the client keeps."""
_ROWS = 4096
_SIGNALS = 100_000
"""Operations of the engine between two looks for a signal."""
_NUMBERS = itertools.count()
_UNITS = {"": 1, "K": 1024, "M": 1024**2, "G": 1024**3, "T": 1024**4}


def pragma(catalog: str, option: str, value: str | int) -> str:
    """``PRAGMA`` of a database."""
    return f"PRAGMA {quoted(catalog)}.{option} = {value}"


class SQLite(Driver):
    """An open connection; see :class:`irsql.targets.driver.Driver`. SQLite runs on one thread."""

    name, title = "sqlite", "SQLite"
    control = SQLiteControl("sqlite", emptied=True)
    shared = True
    beside = ("-journal", "-wal", "-shm")

    def __init__(
        self,
        threads: int | None = None,
        memory_limit: str | None = None,
        temp_directory: str | os.PathLike[str] | None = None,
    ) -> None:
        if threads not in (None, 1):
            raise EngineError(f"SQLite runs on one thread, not on {threads}")
        if temp_directory is not None:
            raise EngineError("SQLite keeps what is temporary in memory: it takes no folder for it")
        if sqlite3.sqlite_version_info < OLDEST:
            raise EngineError(f"irsql needs SQLite 3.40 or newer, this is {sqlite3.sqlite_version}")
        self._cache = None if memory_limit is None else _bytes(memory_limit)
        self._catalogs: dict[str, str] = {}
        self._open()

    def _open(self) -> None:
        self.closed = self._within = False
        self._connection = sqlite3.connect(":memory:", isolation_level=None, check_same_thread=False, uri=True,
                                           cached_statements=STATEMENTS)  # fmt: skip
        self._connection.execute("PRAGMA temp_store = MEMORY")
        self._connection.set_progress_handler(_look_for_signals, _SIGNALS)
        try:
            self._connection.execute("SELECT EXP(1.0)")
        except sqlite3.Error as error:
            self.close()
            raise EngineError("this SQLite was built without its mathematical functions") from error

    @classmethod
    def recognises(cls, head: bytes) -> bool:
        """By the first 16 bytes."""
        return head.startswith(MAGIC)

    @property
    def version(self) -> str:
        """The engine's version."""
        return sqlite3.sqlite_version

    def cursor(self) -> Self:
        """Another connection to the same databases."""
        other = object.__new__(type(self))
        other._cache, other._catalogs = self._cache, {}
        other._open()
        for catalog, uri in self._catalogs.items():
            other._attach(uri, catalog)
        return other

    def close(self) -> None:
        """Close the connection."""
        self.closed = True
        self._connection.close()

    # -- databases -------------------------------------------------------------------------------------
    def attach(self, path: str | os.PathLike[str], catalog: str, *, read_only: bool = False) -> None:
        """Attach a database file, or one in memory that other connections of this process can attach too."""
        where = os.fspath(path)
        if where == ":memory:":
            self._attach(f"file:/irsql-{os.getpid()}-{next(_NUMBERS)}?vfs=memdb", catalog)
            return
        if read_only and not Path(where).is_file():
            raise EngineError(f"there is no file {where}")
        new = not Path(where).exists() or not Path(where).stat().st_size
        uri = Path(where).absolute().as_uri()
        try:
            self._attach(f"{uri}?mode=ro&immutable=1" if read_only else f"{uri}?mode=rwc", catalog)
            if new:
                self._connection.execute(pragma(catalog, "page_size", PAGE_BYTES))
            if read_only:
                self._connection.execute(pragma(catalog, "mmap_size", Path(where).stat().st_size))
            elif catalog == STATE:
                self._connection.execute(pragma(catalog, "journal_mode", "WAL")).fetchall()
                self._connection.execute(pragma(catalog, "synchronous", "NORMAL"))
        except sqlite3.Error as error:
            with suppress(sqlite3.Error):
                self._connection.execute(f"DETACH {quoted(catalog)}")
            self._catalogs.pop(catalog, None)
            raise EngineError(_attach_problem(where, error)) from error

    def _attach(self, uri: str, catalog: str) -> None:
        self._connection.execute(f"PRAGMA busy_timeout = {ATTACH_MS}")
        self._connection.execute(f"ATTACH ? AS {quoted(catalog)}", [uri])
        self._connection.execute(self.control.table_names(catalog)).fetchall()  # ATTACH itself reads nothing
        self._connection.execute(f"PRAGMA busy_timeout = {BUSY_MS}")
        if self._cache is not None:
            self._connection.execute(pragma(catalog, "cache_size", -(self._cache // 1024)))
        self._catalogs[catalog] = uri

    def detach(self, catalog: str) -> None:
        """Detach a database."""
        self.execute(f"DETACH {quoted(catalog)}")
        del self._catalogs[catalog]

    @contextmanager
    def loading(self, catalog: str) -> Iterator[None]:
        """Hold the file alone and keep no journal: it is thrown away if this process ends."""
        if "vfs=memdb" not in self._catalogs[catalog]:
            for option, value in (("locking_mode", "EXCLUSIVE"), ("journal_mode", "OFF"), ("synchronous", "OFF")):
                self.execute(pragma(catalog, option, value))
        yield

    # -- statements ------------------------------------------------------------------------------------
    def prepare(self, sql: str) -> str:
        """The text: the client keeps the statements it has prepared."""
        return sql

    def execute(self, statement: str, parameters: Sequence[Any] | None = None) -> None:
        """Run a statement."""
        with _errors():
            self._connection.execute(statement, parameters or ())

    def rows(self, statement: str, parameters: Sequence[Any] | None = None) -> list[tuple[Any, ...]]:
        """Run a query and give its rows."""
        with _errors():
            return self._connection.execute(statement, parameters or ()).fetchall()

    def read(self, spec: TableSpec, catalog: str | None = None) -> pa.Table:
        """All rows of a table of a program; NULL is NaN."""
        rows = self.rows(self.control.read(spec.name, [c.name for c in spec.columns], catalog))
        columns: Sequence[Sequence[Any]] = list(zip(*rows, strict=True)) or [()] * len(spec.columns)
        arrays = [pa.array(_array(c, values)) for c, values in zip(spec.columns, columns, strict=True)]
        return pa.table(arrays, names=[c.name for c in spec.columns])

    def insert(self, table: str, batch: pa.Table, catalog: str | None = None) -> None:
        """Append an Arrow table, some thousand rows at a time."""
        statement = self.control.insert(table, batch.column_names, catalog)
        for start in range(0, batch.num_rows, _ROWS):
            columns = [c.to_pylist() for c in batch.slice(start, _ROWS).columns]
            with _errors():
                self._connection.executemany(statement, zip(*columns, strict=True))

    def _roll_back(self) -> None:
        with suppress(sqlite3.Error):
            if self._connection.in_transaction:
                self._connection.execute(self.control.rollback)


def _look_for_signals() -> int:
    """Called by the engine now and then: Python runs its signal handlers here, and one that raises stops the query."""
    return 0


def _array(column: Column, values: Sequence[Any]) -> np.ndarray[Any, Any]:
    dtype = NUMPY_TYPES[column.type]
    if dtype.kind == "f":
        with np.errstate(over="ignore"):  # beyond float32 is infinity there
            return np.array(values, dtype=np.float64).astype(dtype)
    if None in values:
        raise EngineError(f"the column {column.name} has NULLs where a tensor has numbers")
    if any(type(v) is not int for v in values):
        raise EngineError(f"SQLite: an integer of the column {column.name} does not fit in 64 bits")
    return np.array(values, dtype=dtype)


def _bytes(limit: str) -> int:
    found = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([KMGT]?)I?B?\s*", limit.upper())
    if found is None:
        raise EngineError(f"a memory limit is a number with a unit, such as 4GB, not {limit!r}")
    return int(float(found[1]) * _UNITS[found[2]])


@contextmanager
def _errors() -> Iterator[None]:
    """What the engine raises, as irsql's errors; Ctrl-C within a statement stays Ctrl-C."""
    try:
        yield
    except sqlite3.Error as error:
        if str(error) == "interrupted":  # nothing here interrupts but a signal
            raise KeyboardInterrupt from error
        raise EngineError(_problem(error)) from error
    except OverflowError as error:
        raise EngineError("SQLite: an integer does not fit in 64 bits") from error


def _attach_problem(path: str, error: sqlite3.Error) -> str:
    kind = getattr(error, "sqlite_errorname", "")
    if kind.startswith(("SQLITE_BUSY", "SQLITE_LOCKED")):
        return f"{path} is in use by another process: wait for it to end, or give another file"
    if kind.startswith("SQLITE_NOTADB"):
        return f"{path} is not a SQLite database"
    if kind.startswith(("SQLITE_CORRUPT", "SQLITE_IOERR")) or "malformed" in str(error):
        return f"{path} is damaged or cut short: make it again"
    return f"{path} cannot be opened: {error}"


def _problem(error: sqlite3.Error) -> str:
    kind = getattr(error, "sqlite_errorname", "")
    if kind.startswith(("SQLITE_BUSY", "SQLITE_LOCKED")):
        return "another process is writing the state and has not ended within a minute"
    if kind.startswith("SQLITE_FULL"):
        return f"the disk is full: {error}"
    if kind.startswith("SQLITE_NOMEM"):
        return f"SQLite ran out of memory: {error}"
    if kind.startswith(("SQLITE_CORRUPT", "SQLITE_NOTADB", "SQLITE_IOERR_SHORT_READ")):
        return f"a database file is damaged, load the model again or give another file for the state: {error}"
    return f"SQLite: {error}"
