"""CTE inlining and the choice of step tables."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import pytest

from irsql.dialects import expr as ex
from irsql.dialects.sql import ops as so
from irsql.dialects.tir import ops as ti
from irsql.ir.attributes import F32, TensorType
from irsql.ir.core import ArgInfo, Block, Module, Value
from irsql.ir.location import Location
from irsql.ir.target import Limits, Target, attach
from irsql.passes.rel._limits import depth_of
from irsql.passes.sql.inline_ctes import InlineCtes
from irsql.passes.sql.materialise import MAX_PRODUCTS, Materialise
from tests.passes.rel.test_layouts import PRODUCT, B, two_products
from tests.passes.stages import Program, ops_of, outcomes, pipeline, run, same


def sql(m: Module, lane: int = 0, form: Literal["", "scalar", "wide"] = "") -> Module:
    """Up to the sql stage, nothing inlined."""
    run(m, *pipeline(lane, form)[:7])
    return m


@pytest.mark.parametrize("form", ["", "wide", "scalar"])
def test_inlining_leaves_fewer_selects_of_the_same_meaning(form: Literal["", "scalar", "wide"]) -> None:
    m = sql(two_products(), form=form)
    want, before = outcomes(m), len(ops_of(m, so.Select))
    run(m, InlineCtes())
    same(outcomes(m), want, 1e-6, "inline-ctes")
    after = len(ops_of(m, so.Select))
    assert after < before
    run(m, InlineCtes())
    assert len(ops_of(m, so.Select)) == after, "once is enough"


def elementwise(count: int, uses: int) -> Module:
    """A sum of products, an expensive function of it, and ``uses`` readings of that."""
    p = Program([("x", TensorType((B, 6), F32), ArgInfo())], {"B": (0, 9)})
    w = p.weight("w", 5, 6)
    t = TensorType((B, 5), F32)
    y: Value = p.add(ti.Contract(p.args[0], w, maps=PRODUCT, bounds=(B, 5, 6), result_types=[t])).result
    for _ in range(count):
        y = p.t.elementwise([y], lambda e: e.unary("exp", e.unary("neg", e.unary("abs", e.args[0]))))

    def body(e: ex.Exprs) -> Value:
        out = e.args[0]
        for _ in range(uses - 1):
            out = e.binary("add", out, e.args[0])
        return out

    return p.finish(p.t.elementwise([y], body))


def test_nothing_expensive_is_computed_twice() -> None:
    for uses in (1, 3):
        m = sql(elementwise(1, uses), form="scalar")
        want = outcomes(m)
        run(m, InlineCtes())
        same(outcomes(m), want, 1e-6, "inline-ctes")
        per_row = [op for op in m.functions["forward"].walk() if isinstance(op, ex.Unary) and op.kind == "exp"]
        assert len(per_row) == 1
        written = max(len(op.result.uses) for op in per_row)
        assert written == 1


@pytest.mark.parametrize("lane", [0, 2])
def test_a_product_of_lanes_is_not_joined_as_lanes(lane: int) -> None:
    """The engine might hash the rows of a weight to find what is added to their products."""
    p = Program([("x", TensorType((B, 6), F32), ArgInfo()), ("r", TensorType((B, 5), F32), ArgInfo())], {"B": (0, 9)})
    w, t = p.weight("w", 5, 6), TensorType((B, 5), F32)
    y = p.add(ti.Contract(p.args[0], w, maps=PRODUCT, bounds=(B, 5, 6), result_types=[t])).result
    m = sql(p.finish(p.t.elementwise([y, p.args[1]], lambda e: e.binary("add", *e.args))), lane)
    want = outcomes(m)
    run(m, InlineCtes())
    same(outcomes(m), want, 1e-6, "inline-ctes")
    products = [s for s in ops_of(m, so.Select) if any(isinstance(op, ex.Dot) for op in s.columns.block.ops)]
    assert [len(s.inputs) for s in products] == [2]


def test_expressions_stay_within_the_limits() -> None:
    m = sql(elementwise(6, 1), form="scalar")
    attach(m, Target("small", limits=Limits(max_expression_depth=7)))
    want = outcomes(m)
    run(m, InlineCtes())
    same(outcomes(m), want, 1e-6, "inline-ctes")
    depths = [depth_of(r.block) for op in ops_of(m, so.Select) for r in op.regions]
    assert 3 < max(depths) <= 7


def test_caps_on_tables_and_expressions() -> None:
    m = sql(two_products(), form="scalar")
    run(m, InlineCtes(max_inputs=1))
    assert all(len(op.inputs) <= 2 for op in ops_of(m, so.Select))
    m = sql(two_products(), form="scalar")
    before = len(ops_of(m, so.Select))
    run(m, InlineCtes(max_ops=0))
    assert len(ops_of(m, so.Select)) == before


def test_a_statement_for_each_result_and_packed_operand() -> None:
    m = sql(two_products())
    run(m, InlineCtes())
    want = outcomes(m)
    ctx = run(m, Materialise())
    same(outcomes(m), want, 0.0, "materialise")
    made = ops_of(m, so.Materialise)
    assert ctx.statistics["statements of forward"] == len(made)
    assert len({op.table for op in made}) == len(made)
    assert isinstance(m.functions["forward"].block.terminator.operands[0].owner, so.Materialise)
    for op in ops_of(m, so.Select):
        if any(isinstance(x, ex.Dot) for x in op.columns.block.ops):
            assert {type(v.owner) for v in op.inputs} == {so.Table, so.Materialise}
    assert not ops_of(m, so.Materialise, "load")


@pytest.mark.parametrize(
    ("option", "packed", "statements"),
    [
        ("tables", [Block, so.Select], 3),
        ("inline", [Block, so.Select], 1),
        ("inline-of-tables", [Block, so.Materialise], 2),
    ],
)
def test_a_packed_operand_within_the_statement_of_its_product(
    option: str, packed: list[type], statements: int
) -> None:
    p = Program([("x", TensorType((B, 6), F32), ArgInfo())], {"B": (0, 9)})
    w, u = p.weight("w", 7, 6), p.weight("u", 5, 7)
    wide = TensorType((B, 7), F32)
    h: Value = p.add(ti.Contract(p.args[0], w, maps=PRODUCT, bounds=(B, 7, 6), result_types=[wide])).result
    h = p.t.elementwise([h], lambda e: e.binary("mul", e.args[0], e.unary("tanh", e.args[0])))
    y = p.add(ti.Contract(h, u, maps=PRODUCT, bounds=(B, 5, 7), result_types=[TensorType((B, 5), F32)])).result
    m = sql(p.finish(y))
    attach(m, Target("an engine", options={"packed-operands": option}))
    run(m, InlineCtes())
    want = outcomes(m)
    run(m, Materialise())
    same(outcomes(m), want, 0.0, "materialise")
    packs = [op for op in ops_of(m, so.Select) if any(isinstance(x, ex.Pack) for x in op.columns.block.ops)]
    assert [type(op.inputs[0].owner) for op in packs] == packed, "what each product packs"
    assert len(ops_of(m, so.Materialise)) == statements


def stored_in(value: Value) -> set[Value]:
    """The stored tables that the statement of a value reads."""
    op = value.owner
    if isinstance(op, so.Table):
        return {value}
    return set() if isinstance(op, Block | so.Materialise) else set().union(*map(stored_in, op.operands))


def deep(count: int, scopes: Sequence[str] = ("",)) -> Module:
    """Products in a row, each of what the one before gave and its tanh; each belongs to one of the modules."""
    p = Program([("x", TensorType((B, 6), F32), ArgInfo())], {"B": (0, 9)})
    wide = TensorType((B, 6), F32)
    h: Value = p.args[0]
    for n in range(count):
        h = p.t.elementwise([h], lambda e: e.binary("mul", e.args[0], e.unary("tanh", e.args[0])))
        op = p.add(ti.Contract(h, p.weight(f"w{n}", 6, 6), maps=PRODUCT, bounds=(B, 6, 6), result_types=[wide]))
        op.loc = Location(scope=scopes[n % len(scopes)])
        h = op.result
    return sql(p.finish(h))


@pytest.mark.parametrize(
    ("option", "statements"), [("tables", 18), ("inline", 3), ("inline-of-tables", 17)]
)
def test_a_deep_network_is_not_one_statement(option: str, statements: int) -> None:
    m = deep(2 * MAX_PRODUCTS + 1)
    attach(m, Target("an engine", options={"packed-operands": option}))
    run(m, InlineCtes())
    want = outcomes(m)
    run(m, Materialise())
    same(outcomes(m), want, 0.0, "materialise")
    assert len(ops_of(m, so.Materialise)) == statements
    packs = [op for op in ops_of(m, so.Select) if any(isinstance(x, ex.Pack) for x in op.columns.block.ops)]
    if option == "inline-of-tables":
        assert [type(op.inputs[0].owner) for op in packs] == [Block] + [so.Materialise] * (2 * MAX_PRODUCTS)


def test_a_statement_belongs_to_one_layer() -> None:
    m = deep(4, ["layers.0.up", "layers.0.down", "layers.1.up", "layers.1.down"])
    attach(m, Target("an engine", options={"packed-operands": "inline"}))
    run(m, InlineCtes(), Materialise())
    assert [op.loc.scope for op in ops_of(m, so.Materialise)] == ["layers.0", "layers.1"]


def test_a_wide_network_is_not_one_statement() -> None:
    p = Program([("x", TensorType((B, 6), F32), ArgInfo())], {"B": (0, 9)})
    wide = TensorType((B, 6), F32)
    found: list[Value] = []
    for n in range(2 * MAX_PRODUCTS):
        product = ti.Contract(p.args[0], p.weight(f"w{n}", 6, 6), maps=PRODUCT, bounds=(B, 6, 6), result_types=[wide])
        found.append(p.t.elementwise([p.add(product).result], lambda e: e.unary("tanh", e.args[0])))
    while len(found) > 1:
        found = [p.t.elementwise([v, u], lambda e: e.binary("add", *e.args))
                 for v, u in zip(found[::2], found[1::2], strict=True)]  # fmt: skip
    m = sql(p.finish(found[0]))
    attach(m, Target("an engine", options={"packed-operands": "inline"}))
    run(m, InlineCtes())
    want = outcomes(m)
    run(m, Materialise())
    same(outcomes(m), want, 0.0, "materialise")
    counts = [len(stored_in(op.x)) for op in ops_of(m, so.Materialise)]
    assert max(counts) <= MAX_PRODUCTS
    assert sum(counts) == 2 * MAX_PRODUCTS, "none is computed twice"


def test_a_value_of_two_statements_is_computed_once() -> None:
    p = Program([("x", TensorType((B, 6), F32), ArgInfo())], {"B": (0, 9)})
    w = p.weight("w", 5, 6)
    t = TensorType((B, 5), F32)
    y = p.add(ti.Contract(p.args[0], w, maps=PRODUCT, bounds=(B, 5, 6), result_types=[t])).result
    m = sql(p.finish(p.t.reduce("max", y, [1]), p.t.reduce("sum", y, [1])), form="scalar")
    run(m, InlineCtes(), Materialise())
    assert len(ops_of(m, so.Materialise)) == 3
    reads = [op for op in ops_of(m, so.Select) if isinstance(op.inputs[0].owner, so.Materialise)]
    assert len(reads) == 2
