"""Coefficients from times: those that made the times are found again."""

from __future__ import annotations

import numpy as np
import pytest

from irsql.ir.target import Costs
from irsql.targets.base import backend
from irsql.tools.calibrate import fit
from irsql.tools.calibrate.probe import Probe

MADE = Costs(mac_ns={"list": 0.9, "wide": 8.0, "wsum": 2.5}, byte_ns=0.05, row_ns=20.0, group_ns=11.0,
             statement_ms=0.4, term_us=60.0, sum_us=200.0, pack_ns=150.0, unpack_ns=30.0, call_ns=5.0,
             double_ns=0.2)  # fmt: skip


@pytest.fixture(scope="module")
def probes() -> list[Probe]:
    return [Probe.of(shape, layout, "duckdb") for shape, layout in fit.layouts(backend("duckdb").target)]


def test_what_made_the_times_is_found(probes: list[Probe]) -> None:
    for probe in probes:
        probe.seconds = [fit.predicted(probe, MADE) / 1e3]
    found = fit.fit(probes, "a machine")
    assert found.machine == "a machine"
    assert found.statement_ms == pytest.approx(0.4, rel=1e-2)
    assert found.sum_us == pytest.approx(200.0, rel=1e-2)
    assert [fit.predicted(p, found) for p in probes] == pytest.approx([p.milliseconds for p in probes], rel=1e-2)


def test_the_columns_of_a_weighted_sum_are_no_terms(probes: list[Probe]) -> None:
    sums = [p for p in probes if p.form == "wsum"]
    assert sums
    assert all(p.work.terms == 0 and f"0x{int(p.work.sums)}x" in p.tile for p in sums)
    assert not any(p.work.sums for p in probes if p.form != "wsum")


def test_rows_of_lanes_are_measured(probes: list[Probe]) -> None:
    rows = [p for p in probes if p.tile.startswith("chunks ")]
    assert len({p.tile.split("x")[1] for p in rows}) >= 3  # columns
    assert all(p.form == "list" and p.work.grouped for p in rows)


def test_noise_moves_predictions_little(probes: list[Probe]) -> None:
    rng = np.random.default_rng(0)
    for probe in probes:
        probe.seconds = list(fit.predicted(probe, MADE) / 1e3 * (1 + rng.exponential(0.1, 9)))
    found = fit.fit(probes, "")
    assert [fit.predicted(p, found) for p in probes] == pytest.approx([fit.predicted(p, MADE) for p in probes], rel=0.1)


def test_every_form_of_every_target_is_measured(probes: list[Probe]) -> None:
    assert {p.form for p in probes} == {"list", "wide", "wsum", "scalar"}
    sqlite = [Probe.of(shape, layout, "sqlite") for shape, layout in fit.layouts(backend("sqlite").target)]
    assert {p.form for p in sqlite} == {"wide", "wsum", "scalar"}
    tiles = [(p.shape, p.tile) for p in [*probes]]
    assert len(set(tiles)) == len(tiles), "no layout is measured twice"


@pytest.mark.parametrize(("pairs", "tau"), [
    ([(1, 1), (2, 2), (3, 3)], 1.0), ([(3, 1), (2, 2), (1, 3)], -1.0), ([(1, 1), (2, 1.05)], 1.0),
    ([(1, 1), (1, 2)], 0.0), ([(1, 1), (2, 2), (3, 1.5)], 1 / 3),
])  # fmt: skip
def test_kendall_tau(pairs: list[tuple[float, float]], tau: float) -> None:
    assert fit.kendall_tau(pairs) == pytest.approx(tau)
