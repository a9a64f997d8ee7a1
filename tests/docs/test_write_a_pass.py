"""The page on writing a pass is executed as a reader would: files written, commands run, outputs compared."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import attrs
import pytest

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "write_a_pass.md"
_BLOCK = re.compile(r"^```(\w+)(?: title=\"([^\"]+)\")?\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@attrs.frozen
class Block:
    language: str
    title: str
    text: str


def blocks(page: Path) -> list[Block]:
    return [Block(*found) for found in _BLOCK.findall(page.read_text(encoding="utf-8"))]


def commands(console: str) -> list[tuple[str, str]]:
    """Each command of a console block with the output shown below it."""
    out: list[tuple[str, list[str]]] = []
    for line in console.splitlines():
        if line.startswith("$ "):
            out.append((line[2:], []))
        else:
            out[-1][1].append(line)
    return [(command, "\n".join(lines)) for command, lines in out]


def matches(shown: str, actual: str) -> bool:
    """Whether an output is as shown; ``...`` stands for anything."""
    pattern = ".*".join(map(re.escape, shown.strip().split("...")))
    return re.fullmatch(pattern, actual.strip(), re.DOTALL) is not None


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for block in blocks(PAGE):
        if block.title:
            (tmp_path / block.title).write_text(block.text, encoding="utf-8")
    bin_ = tmp_path / "bin"
    bin_.mkdir()
    for name, code in {"irsql-opt": "-m irsql.tools.irsql_opt", "python": "",
                       "filecheck": "-c 'from filecheck.main import main; main()'"}.items():
        (bin_ / name).write_text(f'#!/bin/sh\nexec "{sys.executable}" {code} "$@"\n')
        (bin_ / name).chmod(0o755)
    return tmp_path


def run(command: str, folder: Path, *path: Path) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"PATH": f"{folder / 'bin'}{os.pathsep}{os.environ['PATH']}",
                                "PYTHONPATH": os.pathsep.join(map(str, (*path, folder, ROOT)))}
    return subprocess.run(["bash", "-o", "pipefail", "-c", command + " 2>&1"], cwd=folder, env=environment,
                          capture_output=True, text=True, check=False, timeout=120)


def test_every_command_prints_what_the_page_shows(folder: Path) -> None:
    ran = 0
    for block in blocks(PAGE):
        if block.language != "console":
            continue
        for command, shown in commands(block.text):
            done = run(command, folder)
            assert matches(shown, done.stdout), f"$ {command}\n{done.stdout}\nthe page shows:\n{shown}"
            assert done.returncode == int(shown.startswith("error:")), f"$ {command}\n{done.stdout}"
            ran += 1
    assert ran >= 6


def test_the_pass_and_its_test_take_fewer_than_40_lines() -> None:
    text = "".join(b.text for b in blocks(PAGE) if b.title in ("exact_division.py", "half.mlir"))
    lines = [line for line in text.splitlines() if line.strip()]
    assert 0 < len(lines) < 40
    assert f"together {len(lines)} lines" in PAGE.read_text(encoding="utf-8")


def test_an_entry_point_makes_the_pass_known(folder: Path) -> None:
    """As pip leaves it: a package, and beside it the metadata with the lines the page shows."""
    site = folder / "site"
    package = site / "my_package"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("")
    (package / "exact_division.py").write_text((folder / "exact_division.py").read_text())
    info = site / "my_package-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: my-package\nVersion: 1.0\n")
    toml = next(b.text for b in blocks(PAGE) if b.language == "toml")
    section, entry = toml.strip().splitlines()
    group = section.removeprefix('[project.entry-points."').removesuffix('"]')
    (info / "entry_points.txt").write_text(f"[{group}]\n{entry.replace(chr(34), '')}\n")
    done = run("irsql-opt half.mlir -p exact-division | filecheck half.mlir", folder, site)
    assert done.returncode == 0, done.stdout
    assert "exact-division  (tir -> tir)" in run("irsql-opt --list-passes", folder, site).stdout
    unknown = run("irsql-opt half.mlir -p exact-division", folder)
    assert unknown.returncode == 1
    assert "no pass is called 'exact-division'" in unknown.stdout


def test_registering_in_a_session_makes_the_pass_known(folder: Path) -> None:
    code = ("from exact_division import ExactDivision; from irsql.ir import pass_registry, pipeline; "
            "pass_registry.register(ExactDivision); print(*pipeline.parse_pipeline('exact-division'))")
    assert run(f'python -c "{code}"', folder).stdout == "exact-division\n"
