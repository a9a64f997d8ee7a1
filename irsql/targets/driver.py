"""What a driver offers: one connection to an engine, with databases attached to it as ``model`` and ``state``.

A driver says all that is an engine's own: how it opens files and whose they are, how rows come and go, what it raises.
Whoever uses one knows no engine by name.
"""

from __future__ import annotations

import os
import re
import shutil
import time
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import Any, ClassVar, Self

import pyarrow as pa

from irsql.targets.control import Control
from irsql.targets.errors import EngineError
from irsql.targets.profile import Profile
from irsql.targets.program import Column, TableSpec

HEAD = 4096
"""Bytes at the beginning of a file by which a driver knows its own."""


_SCHEME = re.compile("([a-z][a-z0-9+.-]*)://")


def scheme_of(place: str | os.PathLike[str]) -> str:
    """The scheme of the address of a server; empty for a file or a folder."""
    found = _SCHEME.match(os.fspath(place))
    return "" if found is None else found[1]


def is_address(place: str | os.PathLike[str]) -> bool:
    """Whether a text is the address of a server, as ``postgresql://…``, and no path."""
    return bool(scheme_of(place))


def quoted(identifier: str) -> str:
    """An identifier in double quotes."""
    return '"' + identifier.replace('"', '""') + '"'


def literal(text: str) -> str:
    """A string in single quotes."""
    return "'" + text.replace("'", "''") + "'"


def file_name(path: str | os.PathLike[str]) -> str:
    """A path as text, for messages and for the engine.

    Raises
    ------
    EngineError
        If it has a NUL: engines would take what stands before it for the name.
    """
    where = os.fspath(path)
    if "\0" in where:
        raise EngineError(f"{where!r} cannot be the name of a file: it has a NUL")
    return where


_ARROW = {"i64": pa.int64(), "i1": pa.bool_(), "f32": pa.float64(), "f64": pa.float64(), "text": pa.string(),
          "bytes": pa.binary()}  # fmt: skip


def as_stored(columns: Sequence[Column], rows: Sequence[Sequence[Any]]) -> pa.Table:
    """Rows of Python values as an Arrow table; NULL stays NULL, floats are doubles."""

    def array(column: Column, values: Iterable[Any]) -> pa.Array[Any]:
        element, lane, _ = column.type.partition("[")
        if element == "i1" and not lane:  # engines without booleans have 0 and 1
            values = (None if v is None else bool(v) for v in values)
        return pa.array(values, pa.list_(_ARROW[element]) if lane else _ARROW[element])

    arrays = [array(c, (row[n] for row in rows)) for n, c in enumerate(columns)]
    return pa.table(arrays, names=[c.name for c in columns])


class Driver(ABC):
    """An open connection.

    Parameters
    ----------
    threads
        Number of threads; by default as the engine likes.
    memory_limit
        Most memory the engine's buffers may take, such as ``4GB``; it is not a hard limit.
    temp_directory
        Where the engine puts what does not fit.

    Attributes
    ----------
    name, title
        The engine, for programs and for people.
    control
        Writes control statements in its dialect.
    writers
        Connections that can write into one database at the same time.
    shares_state
        Whether other processes may write the same state between two transactions.
    keeps_results
        Whether the rows that a function leaves are there after its transaction.
    beside
        Endings of the files that the engine keeps beside a database.
    parallel
        Whether a statement can run on several threads.
    schemes
        Those of the addresses of its servers.
    closed
        Whether the connection has been closed.
    """

    name: ClassVar[str]
    title: ClassVar[str]
    control: ClassVar[Control]
    writers: ClassVar[int] = 1
    shares_state: ClassVar[bool] = False
    keeps_results: ClassVar[bool] = True
    beside: ClassVar[tuple[str, ...]] = ()
    parallel: ClassVar[bool] = True
    schemes: ClassVar[tuple[str, ...]] = ()
    closed: bool
    _within: bool

    @abstractmethod
    def __init__(
        self,
        threads: int | None = None,
        memory_limit: str | None = None,
        temp_directory: str | os.PathLike[str] | None = None,
    ) -> None: ...

    @classmethod
    def for_loading(cls, partial: str | os.PathLike[str]) -> Self:
        """A connection that fills a new database file with little memory.

        Parameters
        ----------
        partial
            The file; what does not fit into memory goes beside it.
        """
        return cls()

    @classmethod
    @abstractmethod
    def recognises(cls, head: bytes) -> bool:
        """Whether a file that begins so is a database of this engine."""

    @classmethod
    def recognises_folder(cls, folder: Path) -> bool:
        """Whether a folder is a database of this engine."""
        return False

    # -- places: files here; an engine with a server says what its places are --------------------------------
    @classmethod
    def partial(cls, place: str) -> str:
        """Where a database is while it is loaded, beside the place it is to have."""
        return f"{place}.partial"

    @classmethod
    def exists(cls, place: str) -> bool:
        """Whether something is at a place."""
        return Path(place).exists()

    @classmethod
    def remove(cls, place: str) -> None:
        """Remove a database that nobody uses, with what the engine keeps beside it."""
        for suffix in ("", *cls.beside):
            Path(f"{place}{suffix}").unlink(missing_ok=True)
        shutil.rmtree(f"{place}.tmp", ignore_errors=True)

    @classmethod
    def publish(cls, partial: str, place: str) -> None:
        """Give a finished database its name, after it is safely on disk; what was there is replaced."""
        with open(partial, "rb") as stream:
            os.fsync(stream.fileno())
        os.replace(partial, place)
        cls.remove(partial)
        if os.name == "posix":
            folder = os.open(Path(place).parent, os.O_RDONLY)
            try:
                os.fsync(folder)
            finally:
                os.close(folder)

    @classmethod
    def has_state(cls, model: str, state: str) -> bool:
        """Whether there is a state for a model at a place."""
        return cls.exists(state)

    @property
    @abstractmethod
    def version(self) -> str:
        """The engine's version."""

    @abstractmethod
    def cursor(self) -> Self:
        """Another connection to the same databases, for another thread; temporary tables are its own."""

    @abstractmethod
    def close(self) -> None:
        """Close the connection; databases attached to it are closed too."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # -- databases -------------------------------------------------------------------------------------
    @abstractmethod
    def attach(self, path: str | os.PathLike[str], catalog: str, *, read_only: bool = False) -> None:
        """Attach a database file (or ``:memory:``) under a name.

        Parameters
        ----------
        path
            The file.
        catalog
            The name.
        read_only
            Nothing is written to it as long as anybody has it open: many may read it.

        Raises
        ------
        EngineError
            If the file is missing, no database, damaged, or held by another process ("in use").
        """

    @abstractmethod
    def detach(self, catalog: str) -> None:
        """Detach a database; what its log holds goes into the file."""

    def tables(self, catalog: str) -> set[str]:
        """The names of the tables of an attached database."""
        return {row[0] for row in self.rows(self.control.table_names(catalog))}

    def loading(self, catalog: str) -> AbstractContextManager[None]:
        """While stored relations are written to a database that nobody else reads yet."""
        return nullcontext()

    # -- statements ------------------------------------------------------------------------------------
    @abstractmethod
    def prepare(self, sql: str) -> Any:
        """One statement made ready for many executions; :meth:`execute` and :meth:`rows` take it."""

    @abstractmethod
    def execute(self, statement: Any, parameters: Sequence[Any] | None = None) -> None:
        """Run a statement: text, or what :meth:`prepare` made of it.

        Raises
        ------
        EngineError
            If the engine refuses it.
        """

    def profile(self, statement: Any, parameters: Sequence[Any] | None = None) -> Profile:
        """Run a statement, and give what the engine knows about that; here no more than how long it took."""
        begin = time.perf_counter()
        self.execute(statement, parameters)
        return Profile(time.perf_counter() - begin)

    @abstractmethod
    def rows(self, statement: Any, parameters: Sequence[Any] | None = None) -> list[tuple[Any, ...]]:
        """Run a query and give its rows."""

    @abstractmethod
    def read(self, spec: TableSpec, catalog: str | None = None) -> pa.Table:
        """All rows of a table of a program, its columns in the types of the program."""

    def batches(self, spec: TableSpec, catalog: str, rows: int = 4096) -> Iterator[pa.Table]:
        """The rows of a table as they are stored, some at a time, for :meth:`insert`.

        An engine that can, overrides this to hold no more than a batch.
        """
        found = self.rows(self.control.read(spec.name, [c.name for c in spec.columns], catalog))
        for start in range(0, len(found), rows):
            yield as_stored(spec.columns, found[start:start + rows])

    @abstractmethod
    def insert(self, table: str, batch: pa.Table, catalog: str | None = None) -> None:
        """Append an Arrow table to a table with columns of the same names."""

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """All or nothing of what is run inside, also when it is interrupted; one inside another is part of it."""
        if self._within:
            yield
            return
        self._within = True
        try:  # around the beginning and the end too: a signal may come right after the engine has done either
            self.execute(self.control.begin_transaction)
            yield
            self.execute(self.control.commit)
        except BaseException:
            self._roll_back()
            raise
        finally:
            self._within = False

    @abstractmethod
    def _roll_back(self) -> None:
        """Undo what an open transaction did, if there is one; never raises."""
