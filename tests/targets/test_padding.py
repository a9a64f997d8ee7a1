"""Lanes and columns that hold nothing but padding are zeros to every engine."""

from __future__ import annotations

from pathlib import Path

import pytest

from irsql.ir.core import IRError
from irsql.targets.base import backend
from irsql.tools.calibrate.probe import Probe, Shape, loaded, measure
from tests.models.targets import TARGETS

PADDED = ("dot:4x3x1", "dot:4x3x2", "dot:4x4x1", "dot:4x4x2", "dot:3x8x2", "dot:2x16x4", "dot:0x16x1", "dot:0x16x2",
          "chunks:4x1x3", "chunks:2x3x2", "chunks:0x4x3")


LANES = [t for t in TARGETS if backend(t).target.layout.carriers]


@pytest.mark.parametrize(("target", "tile"), [(target, tile) for target in TARGETS for tile in PADDED
                                              if target in LANES or ":0x" in tile])
def test_products_of_padded_rows(target: str, tile: str, tmp_path: Path) -> None:
    probe = Probe.of(Shape(2, 12, 10), f"tile={tile}", target)
    assert probe.tile == tile.replace(":", " ")
    with loaded([probe], target, tmp_path / "padded.db") as db:
        measure([probe], db, rounds=1)  # compares the product with NumPy's
    assert len(probe.seconds) == 1


@pytest.mark.parametrize(("tile", "join"), [("chunks:4x1x3", "Blockwise Nl Join"), ("dot:4x3x1", "Cross Product")])
def test_rows_of_lanes_are_not_hashed_by_duckdb(tile: str, join: str, tmp_path: Path) -> None:
    """What unhash-joins is for is the engine's to do: a version that sees through it would copy lanes again."""
    probe = Probe.of(Shape(2, 12, 12), f"tile={tile}", "duckdb")
    with loaded([probe], "duckdb", tmp_path / "rows.db") as db:
        function = probe.program.functions["forward"]
        db.execute(db.control.create_spec(function.inputs[0]))
        (statement,) = (s for s in function.statements if "INNER_PRODUCT" in s.sql)
        query = statement.sql.partition(" AS ")[2]
        plan = "".join(text for row in db.rows(f"EXPLAIN {query}") for text in row)
    assert join in plan
    assert "Hash Join" not in plan


@pytest.mark.parametrize("target", sorted(set(TARGETS) - set(LANES)))
def test_lanes_where_there_are_none(target: str) -> None:
    with pytest.raises(IRError, match=f"the option tile of select-layout asks for lanes, which {target} has not"):
        Probe.of(Shape(2, 12, 10), "tile=dot:4x3x1", target)


@pytest.mark.parametrize("target", LANES)
@pytest.mark.parametrize("inner", [2049, 16_001])
def test_an_axis_longer_than_a_lane(target: str, inner: int, tmp_path: Path) -> None:
    """The pass's own choice: no longer than the engine allows, and no column of padding alone."""
    probe = Probe.of(Shape(2, 3, inner), "", target)
    lane, columns = (int(n) for n in probe.tile.removeprefix("dot ").split("x")[:2])
    assert (columns - 1) * lane < inner <= columns * lane
    assert lane <= backend(target).target.limits.max_lane
    with loaded([probe], target, tmp_path / "long.db") as db:
        measure([probe], db, rounds=1)
