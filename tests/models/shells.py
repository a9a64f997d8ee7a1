"""The shells of the engines, for tests of scripts."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from irsql.targets import base

SOURCES = {"duckdb": "pip install duckdb-cli", "sqlite3": "the package sqlite3 of the operating system"}
"""Shell to where one gets it."""


def shell(name: str) -> str:
    """Where the shell of an engine is.

    A test that needs one is skipped where it is missing; under CI, which installs everything, it fails.
    """
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
    found = shutil.which(name, path=path)
    if found is not None:
        return found
    reason = f"needs the shell {name}: {SOURCES[name]}"
    if os.environ.get("CI"):
        pytest.fail(reason)
    pytest.skip(reason)


class Scripts:
    """The shell of a target's engine in a folder of scripts."""

    def __init__(self, folder: Path, target: str) -> None:
        self.words = base.shell(target)
        self.program, self.folder = shell(self.words.program), folder

    def __call__(self, text: str, error: str = "") -> str:
        """What it prints; ``error`` is part of how it fails."""
        done = subprocess.run([self.program], input=text, cwd=self.folder, capture_output=True, encoding="utf-8",
                              errors="replace", check=False)  # fmt: skip
        assert done.returncode == (1 if error else 0), done.stderr
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
