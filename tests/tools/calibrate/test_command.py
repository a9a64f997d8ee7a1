"""``irsql calibrate``: measures, checks what it measures, and leaves the costs where compilations find them."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from irsql.targets import calibration
from irsql.targets.base import backend
from irsql.tools import cli
from irsql.tools.calibrate import fit, probe
from irsql.tools.calibrate.probe import Probe, Shape
from tests.models.targets import TARGETS

SMALL = (Shape(2, 24, 40), Shape(1, 33, 17))
SUMS = (Shape(2, 8, 12, sums=True),)


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fit, "SHAPES", SMALL)
    monkeypatch.setattr(fit, "SUMS", SUMS)


@pytest.fixture
def folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    monkeypatch.setenv(calibration.FOLDER, str(tmp_path))
    return tmp_path


@pytest.mark.parametrize("target", TARGETS)
def test_costs_are_left_for_compilations(folder: Path, capsys: pytest.CaptureFixture[str], target: str) -> None:
    _run("calibrate", "--target", target, "--rounds", "2")
    said = capsys.readouterr().out
    assert "what they foretell" in said
    assert said.endswith(f"{folder / target}.json\n")
    assert calibration.calibrated(backend(target).target).costs.machine


def test_as_json(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    _run("calibrate", "--rounds", "2", "--json", "-o", str(folder / "mine.json"))
    found = json.loads(capsys.readouterr().out)
    assert {p["shape"]["inner"] for p in found["probes"]} == {40, 17, 12}
    assert all(p["ms"] > 0 and p["predicted_ms"] > 0 for p in found["probes"])
    assert calibration.read(folder / "mine.json").mac_ns == found["costs"]["mac_ns"]


def test_without_a_place(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv(calibration.FOLDER, "")
    with pytest.raises(SystemExit) as ended:
        cli.main(["calibrate"])
    assert ended.value.code == 1
    assert "give --output" in capsys.readouterr().err


def test_a_wrong_product_is_no_measurement(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    probes = [Probe.of(SMALL[0], "lane=8", "duckdb")]
    monkeypatch.setattr(probe, "from_arrow", lambda *_: np.zeros((2, 24)))
    with probe.loaded(probes, "duckdb", tmp_path / "p.db") as db, pytest.raises(ArithmeticError, match="is wrong"):
        probe.measure(probes, db, 2)


def _run(*args: str) -> None:
    with pytest.raises(SystemExit) as ended:
        cli.main(args)
    assert ended.value.code == 0
