"""The example packages below docs/examples: installed by pip, found by entry point, and their tests run."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.docs.pages import ROOT, blocks, execute, run, write_commands

EXAMPLES = ROOT / "docs" / "examples"
PACKAGES = sorted(p.name for p in EXAMPLES.iterdir() if (p / "pyproject.toml").is_file())
PAGE = ROOT / "docs" / "extend.md"
_RUN = re.compile(r"^// RUN: (.*)$", re.MULTILINE)
LIT = sorted(EXAMPLES.glob("*/tests/*.mlir"))
UNKNOWN = {
    "irsql-example-pass/tests/softmax_product.mlir -p delay-scale": "no pass is called 'delay-scale'",
    "irsql-example-dialect/tests/filter.mlir": 'unknown op "fourier.rdft"',
    "irsql-example-target/tests/gate.mlir --target duckdb-wide": "unknown target 'duckdb-wide'; there are duckdb",
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the packages beside the commands; in ``site`` what pip makes of them, without network."""
    folder = tmp_path_factory.mktemp("examples")
    for name in PACKAGES:
        shutil.copytree(EXAMPLES / name, folder / name, ignore=shutil.ignore_patterns("build", "*.egg-info"))
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index", "--no-build-isolation",
               "--disable-pip-version-check", "--target", str(folder / "site"), *(f"./{p}" for p in PACKAGES)]
    subprocess.run(command, cwd=folder, check=True, timeout=120)
    write_commands(folder)
    return folder


def test_there_is_one_of_each_kind() -> None:
    assert PACKAGES == ["irsql-example-dialect", "irsql-example-pass", "irsql-example-target"]


@pytest.mark.parametrize("path", LIT, ids=[p.name for p in LIT])
def test_filecheck(path: Path, folder: Path) -> None:
    commands = _RUN.findall(path.read_text(encoding="utf-8"))
    assert commands
    for command in commands:
        done = run(command.replace("%s", str(path)), folder, folder / "site")
        assert done.returncode == 0, f"$ {command}\n{done.stdout}"


def test_their_own_tests(folder: Path) -> None:
    where = " ".join(f"{name}/tests" for name in PACKAGES)
    done = run(f"python -m pytest -q -p no:cacheprovider {where}", folder, folder / "site")
    assert done.returncode == 0, done.stdout
    passed = re.search(r"(\d+) passed", done.stdout)
    assert passed is not None
    assert int(passed[1]) >= len(PACKAGES)


@pytest.mark.parametrize(("arguments", "message"), UNKNOWN.items(), ids=["pass", "dialect", "target"])
def test_without_the_package_the_name_is_unknown(arguments: str, message: str, folder: Path) -> None:
    done = run(f"irsql-opt {arguments}", folder)
    assert done.returncode == 1
    assert message in done.stdout
    assert run(f"irsql-opt {arguments}", folder, folder / "site").returncode == 0


def test_the_page(folder: Path) -> None:
    assert execute(PAGE, folder, path=[folder / "site"], excerpts="irsql-example-") >= 8


def test_the_page_shows_what_the_packages_hold() -> None:
    shown = [b for b in blocks(PAGE) if b.title.startswith("irsql-example-")]
    assert {b.title.partition("/")[0] for b in shown} == set(PACKAGES)
    for block in shown:
        assert block.text in (EXAMPLES / block.title).read_text(encoding="utf-8"), f"{block.title}:\n{block.text}"
