"""The page on writing a pass is executed as a reader would: files written, commands run, outputs compared."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.docs.pages import ROOT, blocks, execute, run, write_commands

PAGE = ROOT / "docs" / "write_a_pass.md"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for block in blocks(PAGE):
        if block.title:
            (tmp_path / block.title).write_text(block.text, encoding="utf-8")
    write_commands(tmp_path)
    return tmp_path


def test_every_command_prints_what_the_page_shows(tmp_path: Path) -> None:
    assert execute(PAGE, tmp_path) >= 6


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
