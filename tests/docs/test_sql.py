"""The page on the model from SQL, run with the engine's own shell."""

from __future__ import annotations

from pathlib import Path

import pytest

from irsql.runtime.generate import generate
from irsql.runtime.session import Model
from irsql.targets import base
from tests.docs.pages import ROOT, execute
from tests.models.shells import shell
from tests.runtime import toy

DEMO = ROOT / "irsql" / "data" / "demo"


def test_every_command_of_the_page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IRSQL_CACHE", str(tmp_path / "cache"))
    folders = {"scripts": "duckdb", "lite": "sqlite"}
    models = {folder: toy.database(tmp_path / target, target=target) for folder, target in folders.items()}
    for target in folders.values():
        shell(base.shell(target).program)
    names = [("MODEL", str(models["scripts"])), ("SQLITE", str(models["lite"]))]
    assert execute(ROOT / "docs" / "sql.md", tmp_path, names) >= 8
    # the shell's text is the driver's
    for folder, model in models.items():
        with Model.open(model, state=tmp_path / folder / "state.db") as opened:
            for number, text in ((1, "Once upon a time"), (2, "One day, a girl")):
                sequence = opened.look(number)
                want = generate(opened, text, max_new_tokens=5, stop_ids=[])
                assert sequence.ids == [*opened.encode(text), *(p.id for p in want)]
