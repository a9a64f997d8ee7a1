"""Choosing and applying layouts: structure, odd sizes, on and off."""

from __future__ import annotations

from typing import Literal

import pytest

from irsql.dialects import expr as ex
from irsql.dialects.expr import LaneType
from irsql.dialects.rel import ops as ro
from irsql.dialects.rel.types import rel
from irsql.dialects.sql import ops as so
from irsql.dialects.tir import ops as ti
from irsql.ir import affine as af
from irsql.ir.affine import AffineMap
from irsql.ir.attributes import F32, I64, TensorType
from irsql.ir.core import ArgInfo, IRError, Module
from irsql.ir.dims import symbol
from irsql.ir.passes import PassContext
from irsql.ir.pipeline import PipelineError, parse_pipeline
from irsql.ir.target import LayoutDefaults, Target, attach
from irsql.passes.conversion.convert_rel_to_sql import ConvertRelToSql
from irsql.passes.conversion.convert_tir_to_rel import ConvertTirToRel
from irsql.passes.rel.apply_layout import ApplyLayout
from irsql.passes.rel.cancel_pack import CancelPack
from irsql.passes.rel.select_layout import SelectLayout
from irsql.passes.rel.sink_unpack import SinkUnpack
from irsql.passes.rel.tile_storage import TileStorage
from irsql.passes.sql.inline_ctes import InlineCtes
from irsql.passes.sql.materialise import Materialise
from irsql.passes.sql.unhash_joins import UnhashJoins
from tests.passes.stages import (
    LANES,
    Program,
    check_stages,
    copy,
    expressions,
    names,
    ops_of,
    outcomes,
    pipeline,
    run,
    same,
)

B = symbol("B")
select = AffineMap.select
PRODUCT = (select(3, (0, 2)), select(3, (1, 2)), select(3, (0, 1)))


def two_products(inner: int = 10, table: bool = False) -> Module:
    """``(x W^T) W``-like: two products of stored weights; with ``table``, ``x`` is looked up in the first weight."""
    inputs = [("x", TensorType((B, inner), F32), ArgInfo()),
              ("ids", TensorType((B,), I64), ArgInfo(domain="range", low=0, high=7))]
    p = Program(inputs, {"B": (0, 9)})
    w, u = p.weight("w", 7, inner), p.weight("u", 5, 7)
    x = p.args[0]
    if table:
        x = p.add(ti.Gather(w, (p.args[1],), axes=(0,), data_map=AffineMap(2, (af.const(0), af.dim(1))),
                            index_maps=(select(2, (0,)),), result_types=[x.type])).result
    h = p.add(ti.Contract(x, w, maps=PRODUCT, bounds=(B, 7, inner), result_types=[TensorType((B, 7), F32)])).result
    y = p.add(ti.Contract(h, u, maps=PRODUCT, bounds=(B, 5, 7), result_types=[TensorType((B, 5), F32)])).result
    return p.finish(y)


@pytest.mark.parametrize("inner", [4, 5, 7, 8, 13, 33])
@pytest.mark.parametrize("lane", [1, 4, 8, 64])
def test_sizes_no_tile_divides(inner: int, lane: int) -> None:
    check_stages(two_products(inner), pipeline(lane), count=3)


@pytest.mark.parametrize("form", ["", "wide", "scalar"])
def test_forms(form: Literal["", "scalar", "wide"]) -> None:
    m = two_products()
    want = outcomes(m)
    run(m, ConvertTirToRel(), SelectLayout(form=form))
    tiles = [a.tile for a in ops_of(m, ro.Aggregate)]
    if form == "scalar":
        assert tiles == [None, None]
    else:
        assert [t.form for t in tiles if t] == ["dot", "dot"]
        assert all((t.lane > 0) == (form == "") for t in tiles if t)
    run(m, ApplyLayout())
    same(outcomes(m), want, 1e-5, form)
    assert m.attrs_["stage"] == "tiled"
    dots = [d for op in ops_of(m, ro.Project) for d in expressions(op, ex.Dot)]
    assert bool(dots) == (form == "")
    assert len(ops_of(m, ro.Aggregate)) == (2 if form == "scalar" else 0)


@pytest.mark.parametrize("inner", [4, 7, 8, 13])
@pytest.mark.parametrize("columns", [1, 3, 4])
def test_rows_of_columns(inner: int, columns: int) -> None:
    """An axis with more terms than a row has columns becomes several rows; both factors and what is stored."""
    m = two_products(inner)
    want = outcomes(m)
    run(m, ConvertTirToRel(), SelectLayout(form="wide", wide_columns=columns))
    tile = ops_of(m, ro.Aggregate)[0].tile
    assert tile is not None
    assert tile.form == ("chunks" if inner > columns else "dot")
    assert tile.columns <= columns
    assert tile.columns * (tile.segments - 1) < inner <= tile.columns * tile.segments
    run(m, ApplyLayout(), TileStorage(), SinkUnpack(), CancelPack())
    same(outcomes(m), want, 1e-5, "rows of columns")
    run(m, ConvertRelToSql(), InlineCtes(group_columns=1), Materialise())
    same(outcomes(m), want, 1e-5, "sql")


@pytest.mark.parametrize("inner", [8, 11, 12])
@pytest.mark.parametrize("tile", ["chunks:2x2x3", "chunks:3x1x4", "chunks:2x3x2"])
def test_rows_of_lanes(inner: int, tile: str) -> None:
    """An axis in several rows of lanes, padded or not; the target of the second run wants no hash table for them."""
    m = two_products(inner)
    want = outcomes(m)
    run(m, ConvertTirToRel(), SelectLayout(tile=tile))
    lane, columns, rows = (int(n) for n in tile.removeprefix("chunks:").split("x"))
    assert ops_of(m, ro.Aggregate)[0].tile == ro.Tile("chunks", lane, columns, rows, "list")
    run(m, ApplyLayout(), TileStorage(), SinkUnpack(), CancelPack())
    same(outcomes(m), want, 1e-5, "rows of lanes")
    assert len(rel(ops_of(m, ro.Stored)[0].result).keys) == 2
    for chunks in (1, 2):
        attach(m, Target("rows", "1", "duckdb", LANES.capabilities, LANES.functions,
                         layout=LayoutDefaults(("list",), chunks=chunks)))
        sql = copy(m)
        run(sql, ConvertRelToSql(), InlineCtes(), UnhashJoins(), Materialise())
        same(outcomes(sql), want, 1e-5, "sql")
        products = [op for op in ops_of(sql, so.Select) if expressions(op, ex.Dot)]
        differences = [op for op in products for x in op.where.block.ops if isinstance(x, ex.Binary)]
        assert len(differences) == (0 if chunks == 1 else len(products))


@pytest.mark.parametrize(("limit", "apart"), [(0, False), (1, True), (64, False)])
def test_columns_below_a_group_by(limit: int, apart: bool) -> None:
    """An engine that sorts for GROUP BY gets the product, not its factors."""
    m = two_products(8)
    want = outcomes(m)
    run(m, ConvertTirToRel(), SelectLayout(form="wide", wide_columns=4), ApplyLayout(), TileStorage(),
        ConvertRelToSql(), InlineCtes(group_columns=limit))  # fmt: skip
    sums = [op for op in ops_of(m, so.Select) if op.grouped and rel(op.result).layout is None]
    assert [len(op.inputs) for op in sums] == ([1, 1] if apart else [2, 2])
    same(outcomes(m), want, 1e-5, "sql")


def test_columns_and_lanes_cover_the_axis() -> None:
    m = two_products(13)
    run(m, ConvertTirToRel(), SelectLayout(lane=4), ApplyLayout())
    packs = [rel(op.result) for op in ops_of(m, ro.Pack)]
    assert len(packs) == 4
    for t in packs[:2]:
        assert t.layout is not None
        assert t.layout.extents[1] == 13
        lanes = [v.type.length for v in t.values if isinstance(v.type, LaneType)]
        assert sum(lanes) >= 13
        assert len(lanes) == 4


def test_short_axes_and_no_target_are_explained() -> None:
    m = two_products()
    p = SelectLayout(min_extent=8)
    run(m, ConvertTirToRel())
    ctx = PassContext.of(p, m)
    p.run(m, ctx)
    assert [r.kind for r in ctx.remarks] == ["passed", "missed"]
    assert "min-extent" in ctx.remarks[1].reason
    m.attrs_ = {"stage": "rel"}
    with pytest.raises(IRError, match="needs a target"):
        run(m, SelectLayout(lane=4))


def test_storage_is_packed_at_load() -> None:
    m = two_products()
    want = outcomes(m)
    run(m, ConvertTirToRel(), SelectLayout(lane=4), ApplyLayout(), TileStorage())
    same(outcomes(m), want, 1e-5, "tile-storage")
    assert names(m, "load").count("rel.pack") == 2
    assert all(rel(op.result).layout is not None for op in ops_of(m, ro.Stored))
    assert not [op for op in ops_of(m, ro.Pack) if isinstance(op.x.owner, ro.Stored)]


def test_a_table_is_stored_once_and_looked_up_by_tiles() -> None:
    m = two_products(table=True)
    want = outcomes(m)
    run(m, ConvertTirToRel(), SelectLayout(lane=4), ApplyLayout(), TileStorage())
    unpacks = ops_of(m, ro.Unpack)
    assert [isinstance(op.x.owner, ro.Stored) for op in unpacks] == [True]
    run(m, SinkUnpack())
    same(outcomes(m), want, 1e-5, "sink-unpack")
    unpacks = ops_of(m, ro.Unpack)
    assert [isinstance(op.x.owner, ro.Project) for op in unpacks] == [True]
    before = len(ops_of(m, ro.Pack))
    run(m, CancelPack())
    same(outcomes(m), want, 1e-5, "cancel-pack")
    assert len(ops_of(m, ro.Pack)) <= before


def test_pack_and_unpack_cancel() -> None:
    m = two_products()
    run(m, ConvertTirToRel(), SelectLayout(lane=4), ApplyLayout())
    pack = ops_of(m, ro.Pack)[0]
    func = m.functions["forward"]
    at = func.block.ops.index(pack) + 1
    unpack = func.block.insert(at, ro.Unpack(pack.result, result_types=[rel(pack.x)]))
    again = func.block.insert(at + 1, ro.Pack(unpack.result, result_types=[rel(pack.result)]))
    for user, i in list(pack.result.uses):
        if user is not unpack:
            user.set_operand(i, again.result)
    want = outcomes(m)
    run(m, CancelPack())
    same(outcomes(m), want, 0.0, "cancel-pack")
    assert not ops_of(m, ro.Unpack)
    assert len(ops_of(m, ro.Pack)) == 4


def test_an_unknown_form_is_refused() -> None:
    with pytest.raises(PipelineError, match="form is one of"):
        parse_pipeline("select-layout{form=pivoted}")
