"""Choosing layouts by cost: counts, agreement of the readers of one relation, forced tiles."""

from __future__ import annotations

import pytest

from irsql.dialects.rel import ops as ro
from irsql.dialects.tir import ops as ti
from irsql.ir.affine import AffineMap
from irsql.ir.attributes import F32, TensorType
from irsql.ir.core import ArgInfo, Builder, Func, IRError, Module
from irsql.ir.dims import symbol
from irsql.ir.pipeline import PassFailure
from irsql.ir.target import LANE_OPS, Capability, Costs, LayoutDefaults, Target, attach
from irsql.passes.conversion.convert_tir_to_rel import ConvertTirToRel
from irsql.passes.rel._contraction import Contraction, match
from irsql.passes.rel._cost import Work, form_of, milliseconds, work
from irsql.passes.rel.select_layout import SelectLayout
from tests.passes.stages import run

COSTS = Costs(mac_ns={"list": 1.0, "wide": 9.0, "wsum": 3.0}, term_us=50.0, pack_ns=200.0, call_ns=4.0, double_ns=0.1)
TARGET = Target("lanes", "1", "duckdb", capabilities=tuple(Capability(op, "list") for op in LANE_OPS), costs=COSTS,
                layout=LayoutDefaults(("list",), min_rows_per_core=2048, cores=2))
OUTPUTS, INNER = 512, 4096


def changed(**costs: float) -> Costs:
    return Costs(**{**COSTS.as_dict(), **costs})


def module(target: Target = TARGET) -> Module:
    """One stored weight, read by ``@prefill`` (S open) and by ``@decode`` (S = 1)."""
    m, load = Module.empty(stage="tir"), Func.build("load", [])
    weight = TensorType((OUTPUTS, INNER), F32)
    loaded = Builder(load.block).insert(ti.Parameter(parameter="w", result_types=[weight])).result
    Builder(load.block).insert(ti.Store(loaded, store="w"))
    load.ret()
    m.add(load)
    s, select = symbol("S"), AffineMap.select
    for name, high in (("prefill", 1024), ("decode", 1)):
        func = Func.build(name, [("x", TensorType((s, INNER), F32))], dims={"S": (1, high)}, args=[ArgInfo()])
        b = Builder(func.block)
        w = b.insert(ti.Stored(store="w", result_types=[weight])).result
        maps = (select(3, (0, 2)), select(3, (1, 2)), select(3, (0, 1)))
        func.ret(b.insert(ti.Contract(func.block.args[0], w, maps=maps, bounds=(s, OUTPUTS, INNER),
                                      result_types=[TensorType((s, OUTPUTS), F32)])).result)
        m.add(func)
    attach(m, target)
    run(m, ConvertTirToRel())
    return m


def heads(target: Target, readers: str = "h") -> Module:
    """A function a reader of one weight: ``y[h, n] = Σ_k x[h, k] W[h, n, k]``, or ``Σ_k x[k] W[h, n, k]`` (``a``)."""
    m, load = Module.empty(stage="tir"), Func.build("load", [])
    weight = TensorType((4, OUTPUTS, INNER), F32)
    loaded = Builder(load.block).insert(ti.Parameter(parameter="w", result_types=[weight])).result
    Builder(load.block).insert(ti.Store(loaded, store="w"))
    load.ret()
    m.add(load)
    for reader in readers:
        of_head = reader == "h"
        given = TensorType((4, INNER) if of_head else (INNER,), F32)
        func = Func.build(reader, [("x", given)], args=[ArgInfo()])
        b, select = Builder(func.block), AffineMap.select
        w = b.insert(ti.Stored(store="w", result_types=[weight])).result
        maps = (select(3, (0, 2) if of_head else (2,)), select(3, (0, 1, 2)), select(3, (0, 1)))
        func.ret(b.insert(ti.Contract(func.block.args[0], w, maps=maps, bounds=(4, OUTPUTS, INNER),
                                      result_types=[TensorType((4, OUTPUTS), F32)])).result)
        m.add(func)
    attach(m, target)
    run(m, ConvertTirToRel())
    return m


def contraction(m: Module, function: str = "decode") -> Contraction:
    found = [c for op in m.functions[function].block.ops if (c := match(op))]
    assert len(found) == 1
    return found[0]


def tiles(m: Module) -> list[ro.Tile | None]:
    return [op.tile for name in ("prefill", "decode") if name in m.functions for op in m.functions[name].block.ops
            if isinstance(op, ro.Aggregate)]


def test_counts_of_a_product() -> None:
    c = contraction(module())
    counted = work(c, ro.Tile("dot", 256, 16, 1, "list"), {"S": 1}, TARGET)
    macs = OUTPUTS * INNER
    assert counted == Work(statements=2, terms=32, macs=macs, calls=OUTPUTS * 16, doublings=2 * macs, rows=OUTPUTS,
                           bytes=4 * macs, packed=INNER)
    halves = work(c, ro.Tile("dot", 256, 16, 2, "list"), {"S": 1}, TARGET)
    assert (halves.macs, halves.rows, halves.grouped) == (macs / 2, OUTPUTS, OUTPUTS)  # two cores, two rows an output
    scalar = work(c, None, {"S": 3}, TARGET)
    assert (scalar.rows, scalar.grouped) == (3 * macs / 2, 3 * macs / 2)


def test_padding_is_work() -> None:
    c = contraction(module())
    assert work(c, ro.Tile("dot", 1000, 5, 1, "list"), {"S": 1}, TARGET).macs == OUTPUTS * 5000


def test_milliseconds_weigh_the_counts() -> None:
    w = Work(statements=2, terms=10, macs=1e6, calls=1e3, packed=100)
    assert milliseconds(w, "list", COSTS) == pytest.approx(2 * 0.2 + 0.5 + 1.0 + 4e-3 + 0.02)
    assert milliseconds(w, "wide", COSTS) - milliseconds(w, "list", COSTS) == pytest.approx(8.0)


def test_readers_of_one_relation_agree_but_for_segments() -> None:
    m = module()
    run(m, SelectLayout())
    prefill, decode = tiles(m)
    assert prefill is not None
    assert decode is not None
    assert (prefill.lane, prefill.columns) == (decode.lane, decode.columns)
    assert prefill.lane * prefill.columns >= INNER


@pytest.mark.parametrize("costs", [COSTS, changed(term_us=5000.0), changed(double_ns=9.0),
                                   changed(call_ns=900.0)])
def test_nothing_tried_is_cheaper_for_decode_alone(costs: Costs) -> None:
    target = TARGET.with_costs(costs)
    m = module(target)
    m.functions["prefill"].erase()  # the weight is its alone now
    run(m, SelectLayout())
    (chosen,) = tiles(m)
    c = contraction(m)

    def predicted(tile: ro.Tile | None) -> float:
        return milliseconds(work(c, tile, {"S": 1}, target), form_of(tile), costs)

    others = [ro.Tile("dot", INNER // n, n, s, "list") for n in (2, 4, 8, 16, 32, 64) for s in (1, 2) if n > 3 or s < 2]
    assert predicted(chosen) == min(map(predicted, others))


def test_dear_terms_make_few_columns_and_dear_long_lanes_many() -> None:
    columns = []
    for costs in (changed(term_us=5000.0), changed(double_ns=9.0, term_us=1.0)):
        m = module(TARGET.with_costs(costs))
        run(m, SelectLayout())
        tile = tiles(m)[1]
        assert tile is not None
        columns.append(tile.columns)
    assert columns[0] < 8 < columns[1]


ROWS = Target("rows", "1", "duckdb", capabilities=TARGET.capabilities, costs=changed(double_ns=9.0, term_us=5000.0),
              layout=LayoutDefaults(("list",), min_rows_per_core=2048, cores=2, chunks=16))
"""Long lanes are dear and so are columns: what is left is more rows."""


def test_rows_of_lanes_where_the_target_says_so() -> None:
    m = module(ROWS)
    run(m, SelectLayout())
    prefill, decode = tiles(m)
    assert prefill == decode  # the rows are stored, so both read the same
    assert decode is not None
    assert decode.form == "chunks"
    assert decode.lane * decode.columns * decode.segments == INNER
    assert 1 < decode.segments <= 16
    m = module(TARGET.with_costs(ROWS.costs))
    run(m, SelectLayout())
    assert [t.form for t in tiles(m) if t] == ["dot", "dot"]


def test_counts_of_rows_of_lanes() -> None:
    c = contraction(module())
    counted = work(c, ro.Tile("chunks", 64, 8, 8, "list"), {"S": 1}, ROWS)
    rows, macs = OUTPUTS * 8, OUTPUTS * INNER
    assert counted == Work(statements=3, terms=16, macs=macs / 2, calls=rows * 8 / 2, rows=rows / 2, grouped=rows / 2,
                           bytes=4 * macs / 2, packed=INNER)  # two cores have 2,048 rows each


@pytest.mark.parametrize(("readers", "form"), [("a", "chunks"), ("h", "dot"), ("ah", "dot"), ("ha", "dot")])
def test_no_rows_of_lanes_where_a_join_has_other_keys(readers: str, form: str) -> None:
    """A product a head: the heads are hashed anyway, and every row would be tried with the rows of all numbers."""
    m = heads(ROWS, readers)
    run(m, SelectLayout())
    found = [op.tile for r in readers for op in m.functions[r].block.ops if isinstance(op, ro.Aggregate)]
    assert [t.form for t in found if t] == [form] * len(readers)


@pytest.mark.parametrize("columns", [3, 4, 8])
def test_columns_of_rows_of_lanes_have_a_limit(columns: int) -> None:
    m = module(ROWS)
    run(m, SelectLayout(max_columns=columns))
    assert all(t is not None and t.columns <= columns for t in tiles(m))


def test_a_tile_can_be_forced() -> None:
    m = module()
    run(m, SelectLayout(tile="dot:1024x4x2"))
    assert tiles(m) == [ro.Tile("dot", 1024, 4, 2, "list")] * 2
    m = module()
    run(m, SelectLayout(tile="dot:16x4x1"))
    assert all(t is not None and t.lane * t.columns >= INNER for t in tiles(m)), "one that does not cover is not taken"


@pytest.mark.parametrize("tile", ["dot", "dot:1x2", "sum:1x2x3", "dot:-1x2x3"])
def test_a_tile_that_is_none(tile: str) -> None:
    with pytest.raises((IRError, PassFailure), match="expected FORM:LANExCOLUMNSxSEGMENTS"):
        run(module(), SelectLayout(tile=tile))


def test_sizes_are_planned_for_within_their_ranges() -> None:
    m = module()
    assert SelectLayout().sizes(m.functions["prefill"]) == {"S": 128}
    assert SelectLayout(prompt=5000).sizes(m.functions["prefill"]) == {"S": 1024}
    assert SelectLayout().sizes(m.functions["decode"]) == {"S": 1}
