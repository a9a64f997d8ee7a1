"""The pipeline that a target names is the one that compiles for it."""

from __future__ import annotations

import json
from pathlib import Path

import attrs
import pytest
import torch
from torch import nn

import irsql
from irsql.compile import pipeline
from irsql.ir.core import IRError
from irsql.targets import base
from irsql.targets.duckdb_tables import DUCKDB
from irsql.tools.irsql_opt import main
from tests.models.targets import TARGETS


@pytest.mark.parametrize("target", TARGETS)
def test_the_text_gives_the_same_program(target: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    module = nn.Sequential(nn.Linear(6, 5), nn.SiLU(), nn.Linear(5, 3), nn.Softmax(-1))
    compiled = irsql.compile(module, (torch.zeros(2, 6),), target=target, dump_dir=tmp_path / "dump")
    manifest = json.loads((tmp_path / "dump" / "manifest.json").read_text())
    first = next(tmp_path / "dump" / row["file"] for row in manifest["passes"] if row["file"])
    assert main(["--target", target, "--print-pipeline"]) == 0
    printed = capsys.readouterr().out.strip()
    assert printed == pipeline(target=target)
    assert main([str(first), "-p", printed, "--emit-sql"]) == 0
    statements = compiled.sql.replace(";\n\n", ";\n")
    assert capsys.readouterr().out == f"-- @forward\n{statements}"


def test_what_a_target_wants_otherwise(monkeypatch: pytest.MonkeyPatch) -> None:
    wide = {"select-layout": "form=wide"}
    monkeypatch.setattr(base, "backend", lambda name: attrs.evolve(DUCKDB, passes=wide))
    monkeypatch.setattr("irsql.compile.backend", base.backend)
    assert "prune-columns,cse,dce,select-layout{form=wide},apply-layout" in pipeline(target="mine")
    assert "select-layout{form=wide sum-columns=8}" in pipeline("sum-columns=8", "mine")
    assert "select-layout{sum-columns=8 form=scalar}" in pipeline("sum-columns=8 form=scalar", "mine")
    wide["fly"] = "high=true"
    with pytest.raises(IRError, match="'mine' has options for passes that the default pipeline does not run: fly"):
        pipeline(target="mine")


def test_an_unknown_target(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--target", "oracle", "--print-pipeline"]) == 1
    known = "duckdb, sqlite, postgres, pgvector, pgvector-half"
    assert capsys.readouterr().err == f"error: unknown target 'oracle'; there are {known}\n"
