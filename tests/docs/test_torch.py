"""The page on torch.compile and torch.fx, run as shown."""

from __future__ import annotations

from pathlib import Path

from tests.docs.pages import ROOT, execute


def test_every_command_of_the_page(tmp_path: Path) -> None:
    assert execute(ROOT / "docs" / "torch.md", tmp_path) == 3
