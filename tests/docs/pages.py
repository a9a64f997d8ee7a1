"""Documentation pages run as a reader would run them: files written, commands run, outputs compared."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import attrs

ROOT = Path(__file__).parents[2]
_BLOCK = re.compile(r"^```(\w+)(?: title=\"([^\"]+)\")?\n(.*?)^```$", re.MULTILINE | re.DOTALL)
COMMANDS = {
    "irsql-opt": "-m irsql.tools.irsql_opt",
    "irsql-reduce": "-m irsql.tools.irsql_reduce",
    "irsql": "-m irsql.tools.cli",
    "python": "",
    "filecheck": "-c 'from filecheck.main import main; main()'",
}


@attrs.frozen
class Block:
    """A fenced block: its language, its title (a file name), its text."""

    language: str
    title: str
    text: str


def blocks(page: Path) -> list[Block]:
    """The fenced blocks of a page in order."""
    return [Block(*found) for found in _BLOCK.findall(page.read_text(encoding="utf-8"))]


def commands(console: str) -> list[tuple[str, str]]:
    """Each command of a console block, which a backslash continues, with the output shown below it."""
    out: list[tuple[str, list[str]]] = []
    for line in console.splitlines():
        if line.startswith("$ "):
            out.append((line[2:], []))
        elif out[-1][0].endswith("\\") and not out[-1][1]:
            out[-1] = (f"{out[-1][0]}\n{line}", [])
        else:
            out[-1][1].append(line)
    return [(command, "\n".join(lines)) for command, lines in out]


def matches(shown: str, actual: str) -> bool:
    """Whether an output is as shown; ``...`` stands for anything, spaces at the end of a line for nothing."""
    pattern = ".*".join(map(re.escape, shown.strip().split("...")))
    lines = "\n".join(line.rstrip() for line in actual.splitlines())
    return re.fullmatch(pattern, lines.strip(), re.DOTALL) is not None


def write_commands(folder: Path) -> None:
    """Put the project's commands into ``bin``, as an installation does."""
    bin_ = folder / "bin"
    bin_.mkdir(exist_ok=True)
    for name, code in COMMANDS.items():
        (bin_ / name).write_text(f'#!/bin/sh\nexec "{sys.executable}" {code} "$@"\n')
        (bin_ / name).chmod(0o755)


def run(command: str, folder: Path, *path: Path, timeout: int = 120) -> subprocess.CompletedProcess[str]:
    """Run a shell command in a folder; ``path`` comes first on Python's."""
    search = (str(folder / "bin"), str(Path(sys.executable).parent), os.environ["PATH"])
    environment = os.environ | {
        "PATH": os.pathsep.join(search),
        "PYTHONPATH": os.pathsep.join(map(str, (*path, folder, ROOT))),
    }
    return subprocess.run(
        ["bash", "-o", "pipefail", "-c", command + " 2>&1"], cwd=folder, env=environment, capture_output=True,
        encoding="utf-8", errors="replace", check=False, timeout=timeout,
    )  # fmt: skip


def execute(
    page: Path,
    folder: Path,
    names: Sequence[tuple[str, str]] = (),
    timeout: int = 120,
    path: Sequence[Path] = (),
    excerpts: str = "\n",
) -> int:
    """Run every command of a page and compare its output with what is shown; files are written where they stand.

    Parameters
    ----------
    page
        The page.
    folder
        Where to work; ``bin`` is made there.
    names
        Words of commands to replace (``MODEL`` by a path).
    timeout
        Seconds of one command.
    path
        What comes first on Python's path.
    excerpts
        Titles that begin so are parts of files that are there, and are not written.

    Returns
    -------
    int
        How many commands ran.

    Raises
    ------
    AssertionError
        With the command, its output and what the page shows.
    """
    write_commands(folder)
    ran = 0
    for block in blocks(page):
        if block.title and not block.title.startswith(excerpts):
            (folder / block.title).parent.mkdir(parents=True, exist_ok=True)
            (folder / block.title).write_text(block.text, encoding="utf-8")
        if block.language != "console":
            continue
        for command, shown in commands(block.text):
            real = command
            for old, new in names:
                real = re.sub(rf"\b{old}\b", new, real)
            done = run(real, folder, *path, timeout=timeout)
            assert matches(shown, done.stdout), f"$ {real}\n{done.stdout}\nthe page shows:\n{shown}"
            assert done.returncode == int(shown.startswith("error:")), f"$ {real}\n{done.stdout}"
            ran += 1
    return ran
