"""Hostile databases: a loaded model, state files, and ways to damage them."""

from __future__ import annotations

import contextlib
import functools
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import duckdb

from tests.fuzz.files import run
from tests.runtime import toy


@functools.cache
def whole_databases() -> Path:
    """A folder with a loaded ``model.db`` and a ``state.db`` that holds a sequence; made once, never changed."""
    folder = Path(tempfile.mkdtemp(prefix="irsql-fuzz-"))
    toy.database(folder).rename(folder / "model.db")
    code, err = run("generate", folder / "model.db", "a", "--max-new-tokens", 3, "--db", folder / "state.db")
    assert code == 0, err
    return folder


@contextlib.contextmanager
def damaged_databases() -> Iterator[Path]:
    """A copy of them in a folder of its own."""
    with tempfile.TemporaryDirectory() as scratch:
        for name in ("model.db", "state.db"):
            shutil.copy(whole_databases() / name, scratch)
        yield Path(scratch)


def change(path: Path, *statements: str) -> list[tuple[Any, ...]]:
    """Run SQL on a database file; the rows of the last statement."""
    with duckdb.connect(str(path)) as con:
        return [con.execute(statement).fetchall() for statement in statements][-1]


def facts_of(path: Path) -> dict[str, str]:
    """The facts of a model database."""
    return dict(change(path, "SELECT key, value FROM irsql_meta"))


def set_fact(path: Path, key: str, value: str | None) -> None:
    """Change a fact of a database."""
    with duckdb.connect(str(path)) as con:
        con.execute("UPDATE irsql_meta SET value = ? WHERE key = ?", [value, key])
