"""The page on the model from SQL, run with the engine's own shell."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from irsql.runtime.generate import generate
from irsql.runtime.session import Model
from irsql.targets import base
from tests.docs.pages import ROOT, execute
from tests.models.shells import database, shell
from tests.runtime import toy

DEMO = ROOT / "irsql" / "data" / "demo"


def test_every_command_of_the_page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IRSQL_CACHE", str(tmp_path / "cache"))
    folders = {"scripts": "duckdb", "lite": "sqlite", "pg": "pgvector"}
    models = {folder: toy.database(tmp_path / target, target=target) for folder, target in folders.items()}
    programs = {target: shell(base.shell(target).program) for target in folders.values()}
    address, variables = database()
    for variable, value in variables.items():
        monkeypatch.setenv(variable, value)
    monkeypatch.setenv("PATH", str(Path(programs["pgvector"]).parent), prepend=os.pathsep)
    names = [("MODEL", str(models["scripts"])), ("SQLITE", str(models["lite"])), ("POSTGRES", str(models["pg"]))]
    assert execute(ROOT / "docs" / "sql.md", tmp_path, names) >= 12
    # the shell's text is the driver's
    for folder, model in models.items():
        state = "state" if folder == "pg" else tmp_path / folder / "state.db"
        with Model.open(address if folder == "pg" else model, state=state) as opened:
            for number, text in ((1, "Once upon a time"), (2, "One day, a girl")):
                sequence = opened.look(number)
                want = generate(opened, text, max_new_tokens=5, stop_ids=[])
                assert sequence.ids == [*opened.encode(text), *(p.id for p in want)]
