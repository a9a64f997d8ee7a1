"""The choice of a layout is compared with all others that were measured."""

from __future__ import annotations

import json

import attrs
import pytest

from irsql.targets.base import backend
from irsql.tools.calibrate import choices
from irsql.tools.calibrate.probe import Probe, Shape
from tests.models.targets import TARGETS

SMALL = Shape(2, 24, 40)


@pytest.mark.parametrize("target", TARGETS)
def test_a_line_a_product(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], target: str) -> None:
    monkeypatch.setattr(choices, "SHAPES", (SMALL,))
    monkeypatch.setattr(choices, "COLUMNS", (1, 4))
    monkeypatch.setattr(choices, "WIDE", (8, 16, 64))
    monkeypatch.setattr(choices, "MOST_ROUNDS", 2)
    choices.main([target])
    (line,) = capsys.readouterr().out.splitlines()
    found = choices.Choice(**json.loads(line))
    assert (found.shape, found.target) == ("2 x 40 by 40 x 24", target)
    assert found.layouts >= 3
    assert found.chosen_ms >= found.best_ms > 0
    assert found.ratio == pytest.approx(found.chosen_ms / found.best_ms, rel=0.2)  # both are rounded to microseconds
    assert -1 <= found.tau <= 1


def test_the_choice_is_the_compilers_own() -> None:
    target = backend("duckdb").target
    layouts = list(choices.layouts(Shape(1, 64, 256), target))
    assert len(layouts) == len(set(layouts)) >= 20
    assert "tile=chunks:32x4x2" in layouts
    probes = [Probe.of(SMALL, layout, "duckdb") for layout in ("", "form=scalar", "tile=dot:10x4x1")]
    for probe, seconds in zip(probes, (0.003, 0.009, 0.002), strict=True):
        probe.seconds.append(seconds)
    found = choices.judge(probes, target.costs, "duckdb")
    assert (found.chosen, found.best) == (probes[0].tile, probes[2].tile)
    assert found.ratio == pytest.approx(1.5)
    assert attrs.asdict(found)["layouts"] == 3
