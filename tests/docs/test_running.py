"""The page on running models: every command and the Python program, with the small Llama that comes with irsql."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.docs.pages import ROOT, execute

TEMPLATE = "{{ bos_token }}{% for m in messages %}{{ m.content }} {% endfor %}"


def test_every_command_of_the_page(tmp_path: Path) -> None:
    pytest.importorskip("transformers")
    folder = tmp_path / "llama"
    shutil.copytree(ROOT / "irsql" / "data" / "demo", folder)
    (folder / "chat_template.jinja").write_text(TEMPLATE)
    assert execute(ROOT / "docs" / "running.md", tmp_path, [("FOLDER", str(folder))]) >= 20
