"""The tutorial is executed as a reader would: files written, commands run, outputs compared."""

from __future__ import annotations

from pathlib import Path

from tests.docs.pages import ROOT, blocks, commands, execute
from tests.models.shells import shell

PAGE = ROOT / "docs" / "tutorial.md"
EAGER = "[[ 9.5  7.5]\n [21.5  7.5]\n [ 7.  10. ]]"


def test_every_command_prints_what_the_page_shows(tmp_path: Path) -> None:
    shell("duckdb")
    assert execute(PAGE, tmp_path) >= 30


def test_every_stage_gives_the_numbers_of_eager() -> None:
    shown = {command: output for b in blocks(PAGE) if b.language == "console" for command, output in commands(b.text)}
    stages = [f"python run.py {name}.mlir" for name in ("net", "fused", "rel", "tiled", "inlined")]
    assert {shown[command] for command in stages} == {EAGER}
