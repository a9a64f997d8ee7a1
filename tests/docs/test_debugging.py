"""The page on debugging is executed as a reader would: files written, commands run, outputs compared."""

from __future__ import annotations

from pathlib import Path

from irsql.ir.dump import read_module
from tests.docs.pages import ROOT, execute


def test_every_command_prints_what_the_page_shows(tmp_path: Path) -> None:
    assert execute(ROOT / "docs" / "debugging.md", tmp_path) >= 7
    for name, count in (("small.mlir", 2), ("softmax.mlir", 2)):
        (func,) = read_module(tmp_path / name).functions.values()
        assert len(func.block.ops) == count
