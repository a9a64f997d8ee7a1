"""Costs of this machine: where they are, that targets carry them, and files that hold none."""

from __future__ import annotations

from pathlib import Path

import pytest

from irsql.ir.core import IRError
from irsql.ir.target import Costs
from irsql.targets import calibration
from irsql.targets.base import backend

TARGET = backend("duckdb").target
COSTS = Costs(machine="here", mac_ns={"list": 3.5}, term_us=7.0)


def test_a_target_carries_what_was_measured(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv(calibration.FOLDER, str(tmp_path / "costs"))
    assert calibration.calibrated(TARGET) is TARGET
    path = tmp_path / "costs" / "duckdb.json"
    assert calibration.path_of("duckdb") == path
    calibration.write(COSTS, path)
    assert calibration.calibrated(TARGET) == TARGET.with_costs(COSTS)
    assert calibration.calibrated(backend("sqlite").target) is backend("sqlite").target


def test_costs_from_before_sums_counted_apart(tmp_path: Path) -> None:
    path = tmp_path / "duckdb.json"
    path.write_text('{"term_us": 43.0}', "utf-8")
    assert calibration.read(path).sum_us == 43.0  # a term is what they were


def test_nothing_is_looked_for_where_the_variable_is_empty(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(calibration.FOLDER, "")
    assert calibration.path_of("duckdb") is None
    monkeypatch.delenv(calibration.FOLDER)
    path = calibration.path_of("duckdb")
    assert path is not None
    assert path.name == "duckdb.json"


@pytest.mark.parametrize("text", ["", "{", "[]", '{"mac_ns": 3}', '{"mac_ns": {"list": "fast"}}', '{"speed": 1}',
                                  '{"byte_ns": "x"}', "\ud800".encode("utf-8", "surrogatepass").decode("latin-1")])
def test_files_that_hold_no_costs(tmp_path: Path, text: str) -> None:
    path = tmp_path / "duckdb.json"
    path.write_text(text)
    with pytest.raises(IRError, match="holds no costs"):
        calibration.read(path)


def test_costs_survive_their_file(tmp_path: Path) -> None:
    path = tmp_path / "new" / "c.json"
    calibration.write(COSTS, path)
    assert calibration.read(path) == COSTS
    assert isinstance(calibration.read(path), Costs)
