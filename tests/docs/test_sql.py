"""The page on the model from SQL, run with the engine's own shell."""

from __future__ import annotations

from pathlib import Path

import pytest

from irsql.runtime.generate import generate
from irsql.runtime.session import Model
from tests.docs.pages import ROOT, execute
from tests.models.shells import shell
from tests.runtime import toy

DEMO = ROOT / "irsql" / "data" / "demo"


def test_every_command_of_the_page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shell("duckdb", "duckdb-cli")
    monkeypatch.setenv("IRSQL_CACHE", str(tmp_path / "cache"))
    model = toy.database(tmp_path / "toy")
    # the shell's text is the driver's
    assert execute(ROOT / "docs" / "sql.md", tmp_path, [("MODEL", str(model))]) >= 5
    with Model.open(model, state=tmp_path / "scripts" / "state.db") as opened:
        for number, text in ((1, "Once upon a time"), (2, "One day, a girl")):
            sequence = opened.look(number)
            want = generate(opened, text, max_new_tokens=5, stop_ids=[])
            assert sequence.ids == [*opened.encode(text), *(p.id for p in want)]
