"""Runs every ``tests/filecheck/**/*.mlir`` in this process.

Each ``// RUN:`` line is a command, as for LLVM's lit: ``[not] irsql-opt %s FLAGS [2>&1] [| filecheck %s FLAGS]``;
``%s`` is the file, ``%t`` an empty folder, and a trailing backslash continues on the next ``RUN`` line. Without a pipe
the output is checked against the ``CHECK`` lines of the file where it has any.
"""

from __future__ import annotations

import contextlib
import io
import re
import shlex
from pathlib import Path

import pytest
from filecheck.finput import FInput
from filecheck.matcher import Matcher
from filecheck.options import parse_argv_options
from filecheck.parser import Parser

from irsql.ir import pass_registry
from irsql.ir.pipeline import parse_pipeline
from irsql.tools import irsql_opt

ROOT = Path(__file__).parent
FILES = sorted(ROOT.rglob("*.mlir"))
_RUN = re.compile(r"^//\s*RUN:\s*(.*)$", re.MULTILINE)


def run_lines(text: str) -> list[str]:
    """The commands of a file, continuation lines joined."""
    return [line.strip() for line in re.sub(r"\\\n", " ", "\n".join(_RUN.findall(text))).splitlines()]


def run(command: str) -> str:
    """Run one command without its pipe and give what it prints."""
    words = shlex.split(command)
    fails = words[0] == "not"
    words = words[1:] if fails else words
    merged = "2>&1" in words
    if words[0] != "irsql-opt":
        raise ValueError(f"a RUN line runs irsql-opt, not {words[0]}")
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(out if merged else err):
        code = irsql_opt.main([w for w in words[1:] if w != "2>&1"])
    assert code == int(fails), f"exit code {code} of: {command}\n{err.getvalue()}{out.getvalue() if merged else ''}"
    return out.getvalue()


def check(arguments: list[str], output: str) -> None:
    """Match an output with the CHECK lines of a file."""
    options = parse_argv_options(["filecheck", *arguments])
    report = io.StringIO()
    matcher = Matcher(options, FInput("<output>", output), Parser.from_opts(options))
    matcher.stderr = report
    with contextlib.redirect_stdout(report):
        failed = matcher.run()
    assert not failed, f"{report.getvalue()}\nthe output was:\n{output}"


@pytest.mark.parametrize("path", FILES, ids=[p.relative_to(ROOT).as_posix() for p in FILES])
def test_file(path: Path, tmp_path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    commands = run_lines(text)
    assert commands, f"{path} has no RUN line"
    for n, line in enumerate(commands):
        folder = tmp_path / str(n)
        folder.mkdir()
        line = line.replace("%s", shlex.quote(str(path))).replace("%t", shlex.quote(str(folder)))
        command, _, pipe = line.partition(" | ")
        output = run(command)
        if pipe:
            name, *arguments = shlex.split(pipe)
            assert name == "filecheck", f"the output goes to filecheck, not {name}"
            check(arguments, output)
        elif re.search(r"^\s*//\s*CHECK", text, re.MULTILINE):
            check([str(path)], output)


def passes_run(path: Path) -> set[str]:
    """The passes that the RUN lines of a file name and whose output it checks."""
    found: set[str] = set()
    for line in run_lines(path.read_text(encoding="utf-8")):
        words = shlex.split(line)
        flags = [w.removeprefix("--pass-pipeline=") for w in words if w.startswith("--pass-pipeline=")]
        flags += [words[i + 1] for i, w in enumerate(words[:-1]) if w in ("-p", "--pass-pipeline")]
        if words[0] == "irsql-opt" and "filecheck" in words:
            found |= {p.name for text in flags for p in parse_pipeline(text)}
    return found


@pytest.mark.parametrize("name", [n for n in pass_registry.names()
                                  if pass_registry.load(n).__module__.startswith("irsql.passes.")])
def test_every_pass_has_a_file_of_its_own_name_that_runs_it(name: str) -> None:
    files = [p for p in FILES if p.stem.startswith(name.replace("-", "_"))]
    assert any(name in passes_run(p) for p in files), f"of {[p.name for p in files]}, none runs {name}"


def test_the_harness_itself_can_fail(tmp_path: Path) -> None:
    path = tmp_path / "x.mlir"
    path.write_text("// CHECK: yes\n// OTHER: no\n")
    check([str(path)], "yes\n")
    with pytest.raises(AssertionError, match="the output was"):
        check([str(path), "--check-prefix=OTHER"], "yes\n")
    with pytest.raises(AssertionError, match="exit code 1"):
        run(f"irsql-opt {tmp_path}/missing.mlir")
    with pytest.raises(AssertionError, match="exit code 0"):
        run("not irsql-opt --list-passes")
    assert run_lines("// RUN: a \\\n// RUN: b\n// RUN: c\n") == ["a  b", "c"]
