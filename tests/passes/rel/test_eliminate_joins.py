"""Weights side by side in one row, and the self-join that they spare: structure, odd sizes, when not."""

from __future__ import annotations

import pytest

from irsql.dialects import expr as ex
from irsql.dialects.rel import ops as ro
from irsql.dialects.rel.types import rel
from irsql.dialects.tir import ops as ti
from irsql.ir import affine as af
from irsql.ir.affine import AffineMap
from irsql.ir.attributes import F32, TensorType
from irsql.ir.core import ArgInfo, IRError, Module, Value
from irsql.ir.dims import symbol
from irsql.ir.passes import Pass
from irsql.ir.target import Costs, Limits, Target
from irsql.passes.conversion.convert_rel_to_sql import ConvertRelToSql
from irsql.passes.conversion.convert_tir_to_rel import ConvertTirToRel
from irsql.passes.rel.apply_layout import ApplyLayout
from irsql.passes.rel.cancel_pack import CancelPack
from irsql.passes.rel.eliminate_joins import EliminateJoins
from irsql.passes.rel.legalise import Legalise
from irsql.passes.rel.select_layout import SelectLayout
from irsql.passes.rel.sink_unpack import SinkUnpack
from irsql.passes.rel.tile_storage import TileStorage
from irsql.passes.sql.inline_ctes import InlineCtes
from irsql.passes.sql.materialise import Materialise
from tests.passes.stages import LANES, Program, check_stages, expressions, ops_of, outcomes, run, same

B = symbol("B")
select = AffineMap.select
OUT = 5
"""Outputs of each of the stacked weights."""


def stacked(inner: int = 10, parts: int = 2, *, read_whole: bool = False, shift: int = 0, residual: bool = False,
            max_columns: int = 1000) -> Module:
    """``Π_g tanh(x W_g^T)``, the weights ``W_g`` stacked on the second axis of one.

    With ``read_whole`` another product reads the weight too; with ``shift`` the last factor is so many outputs ahead;
    with ``residual`` a tensor of the result's shape is added.
    """
    inputs = [("x", TensorType((B, inner), F32), ArgInfo()), ("r", TensorType((B, OUT - shift), F32), ArgInfo())]
    p = Program(inputs, {"B": (0, 9)})
    w = p.weight("w", OUT, parts, inner)
    maps = (select(4, (0, 2)), select(4, (1, 3, 2)), select(4, (0, 1, 3)))
    h = p.add(ti.Contract(p.args[0], w, maps=maps, bounds=(B, OUT, inner, parts),
                          result_types=[TensorType((B, OUT, parts), F32)])).result
    operands: list[tuple[Value, AffineMap]] = []
    for g in range(parts):
        ahead = af.add(af.dim(1), af.const(shift if g == parts - 1 else 0))
        operands.append((h, AffineMap(2, (af.dim(0), ahead, af.const(g)))))

    def product(e: ex.Exprs) -> Value:
        out = e.args[-1] if residual else e.const(1.0, F32)
        for factor in e.args[:parts]:
            out = e.binary("mul", out, e.unary("tanh", factor))
        return out

    if residual:
        operands.append((p.args[1], AffineMap.identity(2)))
    y = p.t.map((B, OUT - shift), operands, product)
    results = [y]
    if read_whole:
        maps = (*maps[:2], select(4, (0, 1)))
        results.append(p.add(ti.Contract(p.args[0], w, maps=maps, bounds=(B, OUT, inner, parts),
                                         result_types=[TensorType((B, OUT), F32)])).result)
    target = Target("lanes", "1", "duckdb", LANES.capabilities, LANES.functions, Limits(max_columns=max_columns),
                    layout=LANES.layout)
    return p.finish(*results, target=target)


def passes(layout: SelectLayout) -> list[Pass]:
    return [ConvertTirToRel(), layout, ApplyLayout(), TileStorage(), SinkUnpack(), CancelPack(), EliminateJoins(),
            Legalise(), ConvertRelToSql(), InlineCtes(), Materialise()]


LAYOUTS = [SelectLayout(lane=4), SelectLayout(lane=64), SelectLayout(form="wide"),
           SelectLayout(form="wide", wide_columns=6), SelectLayout(tile="dot:4x4x2"), SelectLayout(tile="dot:4x4x4")]
"""Pivoted, array, wide, in rows of columns, in two and four segments."""


@pytest.mark.parametrize("layout", LAYOUTS, ids=str)
@pytest.mark.parametrize("inner", [8, 13])
def test_every_stage_of_every_layout(layout: SelectLayout, inner: int) -> None:
    check_stages(stacked(inner), passes(layout), count=3)


@pytest.mark.parametrize("layout", LAYOUTS, ids=str)
def test_the_weight_is_one_row_and_no_join_is_left(layout: SelectLayout) -> None:
    m = stacked(13)
    run(m, ConvertTirToRel(), layout)
    (aggregate,) = ops_of(m, ro.Aggregate)
    assert aggregate.tile is not None
    assert aggregate.tile.beside == 2
    ctx = run(m, ApplyLayout(), TileStorage(), SinkUnpack(), CancelPack(), EliminateJoins())
    assert [r.kind for r in ctx.remarks] == ["passed"]
    (weight,) = ops_of(m, ro.Stored)
    assert [k.name for k in rel(weight.result).keys][:1] == ["i0"]
    assert "i1" not in rel(weight.result).columns
    joins = ops_of(m, ro.Join)
    assert all(any(isinstance(c.owner, ro.Stored | ro.Project) for c in j.inputs) for j in joins)
    assert len(joins) == max(1, aggregate.tile.segments if aggregate.tile.form == "dot" else 1)
    assert not ops_of(m, ro.Filter)
    assert not ops_of(m, ro.Unpack)


def test_three_of_one_row_meet_once() -> None:
    m = stacked(8, parts=3)
    run(m, ConvertTirToRel(), SelectLayout(lane=4), ApplyLayout(), TileStorage(), SinkUnpack())
    want = outcomes(m)
    ctx = run(m, EliminateJoins())
    assert len(ctx.remarks) == 2
    same(outcomes(m), want, 1e-5, "eliminate-joins")
    assert len(ops_of(m, ro.Join)) == 1


def test_a_third_relation_stays_joined() -> None:
    m = stacked(8, residual=True)
    run(m, ConvertTirToRel(), SelectLayout(lane=4), ApplyLayout(), TileStorage(), SinkUnpack())
    assert sorted(len(j.inputs) for j in ops_of(m, ro.Join)) == [2, 3]
    want = outcomes(m)
    run(m, EliminateJoins())
    same(outcomes(m), want, 1e-5, "eliminate-joins")
    joins = ops_of(m, ro.Join)
    assert [len(j.inputs) for j in joins] == [2, 2]
    conditions = [len(j.on.block.terminator.operands) for j in joins]
    assert conditions[1] == 2, "the batch and the output, each said once"
    assert [len(rel(v).keys) for v in joins[1].inputs] == [4, 2], "batch and output once, and the index of each factor"
    check_stages(stacked(8, residual=True), passes(SelectLayout(lane=4)), count=3)


def test_other_rows_of_one_relation_stay_joined() -> None:
    m = stacked(8, shift=1)
    run(m, ConvertTirToRel(), SelectLayout(lane=4), ApplyLayout(), TileStorage(), SinkUnpack())
    ctx = run(m, EliminateJoins())
    assert not ctx.remarks
    assert len(ops_of(m, ro.Join)) == 2
    check_stages(stacked(8, shift=1), passes(SelectLayout(lane=4)), count=3)


def test_a_weight_with_other_readers_keeps_its_rows() -> None:
    m = stacked(8, read_whole=True)
    run(m, ConvertTirToRel(), SelectLayout(lane=4))
    assert [a.tile.beside for a in ops_of(m, ro.Aggregate) if a.tile] == [1, 1]
    check_stages(stacked(8, read_whole=True), passes(SelectLayout(lane=4)), count=3)


@pytest.mark.parametrize(("layout", "parts"), [(SelectLayout(beside=1), 2), (SelectLayout(beside=2), 3),
                                               (SelectLayout(form="scalar"), 2)], ids=str)
def test_limits_of_the_option(layout: SelectLayout, parts: int) -> None:
    m = stacked(8, parts)
    run(m, ConvertTirToRel(), layout)
    assert all(a.tile is None or a.tile.beside == 1 for a in ops_of(m, ro.Aggregate))
    check_stages(stacked(8, parts), passes(layout), count=2)


def test_the_engine_s_columns_are_enough() -> None:
    """Half of 60 columns, less the keys: 20 columns of a row, which are 10 of each of two weights."""
    m = stacked(30, max_columns=60)
    run(m, ConvertTirToRel(), SelectLayout(form="wide"))
    (tile,) = [a.tile for a in ops_of(m, ro.Aggregate)]
    assert tile == ro.Tile("chunks", 0, 10, 3, "", 2)
    check_stages(stacked(30, max_columns=60), passes(SelectLayout(form="wide")), count=2)


def test_dear_rows_and_joins_decide() -> None:
    """Without a reason to join less, and with dear terms, the rows stay apart; the remark says so."""
    costs = Costs(**{**LANES.costs.as_dict(), "statement_ms": 0.0, "row_ns": 0.0, "term_us": 1000.0})
    m = stacked(13)
    m.attrs_ = {**m.attrs_, "target": LANES.with_costs(costs)}
    run(m, ConvertTirToRel())
    ctx = run(m, SelectLayout(lane=4))
    assert [r.kind for r in ctx.remarks] == ["passed", "missed"]
    assert "stay apart" in ctx.remarks[1].message


def test_rows_side_by_side_cannot_be_unpacked() -> None:
    m = stacked(8)
    run(m, ConvertTirToRel(), SelectLayout(lane=4), ApplyLayout())
    (pack,) = [op for op in ops_of(m, ro.Pack) if isinstance(op.x.owner, ro.Stored)]
    layout = rel(pack.result).layout
    assert layout is not None
    with pytest.raises(IRError, match="stand in the columns of a row"):
        _ = layout.column


def test_dots_read_both_weights_of_a_row() -> None:
    m = stacked(8)
    run(m, ConvertTirToRel(), SelectLayout(lane=4), ApplyLayout())
    (product,) = [op for op in ops_of(m, ro.Project) if expressions(op, ex.Dot)]
    assert len(expressions(product, ex.Dot)) == 4
    assert [v.name for v in rel(product.result).values] == ["v_0", "v_1"]
