from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from irsql.dialects import expr as ex
from irsql.dialects.expr import LaneType
from irsql.dialects.rel import ops as ro
from irsql.dialects.rel.types import RelType, rel
from irsql.dialects.tir import ops as ti
from irsql.ir.affine import AffineMap
from irsql.ir.attributes import F32, TensorType
from irsql.ir.core import ArgInfo, Module, Op, Value
from irsql.ir.diagnostics import DiagnosticError
from irsql.ir.dims import symbol
from irsql.ir.location import Location
from irsql.ir.parser import parse_module
from irsql.ir.target import LANE_OPS, Capability, Limits, Target, attach
from irsql.passes.conversion.convert_tir_to_rel import ConvertTirToRel
from irsql.passes.rel._limits import depth_of
from irsql.passes.rel.apply_layout import ApplyLayout
from irsql.passes.rel.legalise import Legalise
from irsql.passes.rel.select_layout import SelectLayout
from tests.passes.programs import WEIGHTS, programs
from tests.passes.stages import LANES, Program, check_stages, copy, ops_of, outcomes, pipeline, run, same

B = symbol("B")
ALL_FUNCTIONS = {n: n.upper() for n in ("exp", "log", "sqrt", "sin", "cos", "floor", "pow")}


def target(lowered: tuple[str, ...] = (), limits: Limits | None = None) -> Target:
    """:data:`LANES`, with the lane ops named lowered to columns."""
    caps = tuple(Capability(op, "list", "lowered", "columns") if op in lowered else Capability(op, "list")
                 for op in LANE_OPS)
    return Target("columns", "1", capabilities=caps, functions=ALL_FUNCTIONS, limits=limits or Limits())


def linear(extent: int = 10) -> Program:
    p = Program([("x", TensorType((B, extent), F32), ArgInfo())], {"B": (0, 9)})
    w = p.weight("w", 7, extent)
    d = AffineMap.select
    maps = (d(3, (0, 2)), d(3, (1, 2)), d(3, (0, 1)))
    p.args.append(p.add(ti.Contract(p.args[0], w, maps=maps, bounds=(B, 7, extent),
                                    result_types=[TensorType((B, 7), F32)])).result)
    return p


def legalised(p: Program, to: Target, *results: Value) -> Module:
    """Through the pass, compared before and after."""
    m = p.finish(*results, target=LANES)
    run(m, ConvertTirToRel(), SelectLayout(lane=4), ApplyLayout())
    attach(m, to)
    want = outcomes(m)
    run(m, Legalise())
    same(outcomes(m), want, 1e-5, "legalise")
    return copy(m)


def lanes(m: Module) -> list[LaneType]:
    results = [r for f in m.functions.values() for op in f.block.ops for r in op.results]
    values = [v for r in results if isinstance(r.type, RelType) for v in r.type.values]
    return [v.type for v in values if isinstance(v.type, LaneType)]


def test_native_lanes_stay() -> None:
    p = linear()
    assert lanes(legalised(p, target(), p.args[-1]))


@pytest.mark.parametrize("op", ["dot", "pack"])
@pytest.mark.parametrize("extent", [10, 8, 5])
def test_lowered_lanes_become_columns(op: str, extent: int) -> None:
    p = linear(extent)
    m = legalised(p, target((op,)), p.args[-1])
    assert not lanes(m)
    assert not [x for x in m.walk() if isinstance(x, ex.Dot)]
    layout = rel(ops_of(m, ro.Pack)[0].result).layout
    assert layout is not None
    assert (layout.form, layout.carrier) == ("wide", "")


@settings(max_examples=12, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
@given(programs(6), st.sampled_from(["dot", "unpack"]))
def test_random_programs_on_columns(source: str, op: str) -> None:
    m = parse_module(source)
    attach(m, target((op,)))
    passes = pipeline(lane=3)
    check_stages(m, [*passes[:6], Legalise(max_repeats=2), *passes[6:]], tolerance=0.0, count=2, given=WEIGHTS)


def test_everything_unsupported_is_in_one_report() -> None:
    p = linear()
    loc = Location(file="net.py", line=7, col=1, scope="head")
    p.t.builder.loc = loc
    y = p.t.elementwise([p.args[-1]], lambda e: e.unary("sin", e.unary("log", e.args[0])))
    m = p.finish(y)
    run(m, ConvertTirToRel(), SelectLayout(lane=4), ApplyLayout())
    bare = Target("tiny", "3", capabilities=(Capability("pack", "list", "unsupported", "", "it has no lists"),),
                  limits=Limits(max_columns=3))
    attach(m, bare)
    with pytest.raises(DiagnosticError) as caught:
        run(m, Legalise())
    assert len(caught.value.diagnostics) == 1
    notes = caught.value.diagnostics[0].notes
    reasons = [n.partition(": ")[2] for n in notes]
    assert reasons.count("pack on list is unsupported: it has no lists") == 2
    assert "dot on list is unsupported: the capability table of tiny has no entry for dot on list" in reasons
    assert "the engine has no sin" in reasons
    assert "the engine has no log" in reasons
    assert any("columns, at most 3 are possible" in r for r in reasons)
    assert any("head" in n or "net.py" in n for n in notes)
    assert "tiny 3" in caught.value.diagnostics[0].message


def test_gelu_is_written_with_exp_alone() -> None:
    p = linear()
    y = p.t.elementwise([p.args[-1]], lambda e: e.binary("mul", e.args[0], e.unary("erf", e.args[0])))
    m = legalised(p, target(), y)
    assert {op.kind for op in m.walk() if isinstance(op, ex.Unary)} <= {"exp", "neg"}
    assert len(ops_of(m, ro.Project)) > 2, "what is used many times has a column of its own"


def chain(count: int) -> tuple[Program, Value]:
    """Element-wise chain with ``count`` nested operators."""
    p = Program([("x", TensorType((B, 3), F32), ArgInfo())], {"B": (0, 9)})

    def body(e: ex.Exprs) -> Value:
        v = e.args[0]
        for n in range(count):
            v = e.binary("add", e.binary("mul", v, e.const(0.5, F32)), e.const(float(n), F32))
        return v

    return p, p.t.elementwise([p.args[0]], body)


def depth(m: Module) -> int:
    return max(depth_of(r.block) for op in m.functions["forward"].block.ops for r in op.regions)


@pytest.mark.parametrize("limit", [4, 7, 50])
def test_deep_expressions_are_split(limit: int) -> None:
    p, y = chain(30)
    m = legalised(p, target(limits=Limits(max_expression_depth=limit)), y)
    assert depth(m) <= limit
    assert len(ops_of(m, ro.Project)) == -(-60 // limit)


@pytest.mark.parametrize("limit", [4, 7])
def test_projections_that_are_added_keep_what_is_read(limit: int) -> None:
    """An engine may write them to disk: the columns of a product's join, hundreds, end where their sum is named."""
    p = Program([(name, TensorType((B, 3), F32), ArgInfo()) for name in "xyz"], {"B": (0, 9)})

    def body(e: ex.Exprs) -> Value:
        v = e.binary("mul", e.args[0], e.args[1])
        for n in range(30):  # the last input is read at the end alone
            v = e.binary("add", e.binary("mul", v, e.const(0.5, F32)), e.const(float(n), F32))
        return e.binary("add", v, e.args[2])

    m = legalised(p, target(limits=Limits(max_expression_depth=limit)), p.t.elementwise(p.args, body))
    *added, last = ops_of(m, ro.Project)
    assert len(added) > 3
    for project, reader in zip(added, [*added[1:], last], strict=True):
        read = {op.column for op in reader.body.block.ops if isinstance(op, ex.Col)}
        assert {v.name for v in rel(project.result).values} <= read
        assert len(rel(project.result).values) == 2  # what was computed, and z


def test_long_sums_are_split_and_balanced() -> None:
    p = Program([("x", TensorType((B, 3), F32), ArgInfo())], {"B": (0, 9)})

    def body(e: ex.Exprs) -> Value:
        v = e.args[0]
        for n in range(40):
            v = e.binary("add", v, e.binary("mul", e.args[0], e.const(float(n), F32)))
        return v

    y = p.t.elementwise([p.args[0]], body)
    m = legalised(p, target(limits=Limits(max_expression_depth=9)), y)
    assert depth(m) == 7, "a tree of 41 terms"
    assert len(ops_of(m, ro.Project)) == 1
    p.module = copy(m)
    attach(p.module, target(limits=Limits(max_sum_terms=8)))
    want = outcomes(p.module)
    run(p.module, Legalise())
    same(outcomes(p.module), want, 1e-5, "legalise")
    for op in ops_of(p.module, ro.Project):
        adds = [x for x in op.body.block.ops if isinstance(x, ex.Binary) and x.kind == "add"]
        assert all(_terms(x.result) <= 8 for x in adds)


def _terms(v: Value) -> int:
    return sum(_terms(x) for x in v.owner.operands) if isinstance(v.owner, ex.Binary) and v.owner.kind == "add" else 1


def test_shared_values_are_computed_once() -> None:
    p = Program([("x", TensorType((B, 3), F32), ArgInfo())], {"B": (0, 9)})

    def body(e: ex.Exprs) -> Value:
        v = e.args[0]
        for _ in range(12):  # doubles when written out
            v = e.binary("mul", e.binary("min", v, e.const(2.0, F32)), e.binary("max", v, e.const(-2.0, F32)))
        return v

    y = p.t.elementwise([p.args[0]], body)
    m = legalised(p, target(), y)
    sizes = [_size(v) for op in ops_of(m, ro.Project) for v in op.body.block.terminator.operands]
    assert max(sizes) < 200


def _size(v: Value) -> int:
    assert isinstance(v.owner, Op)
    return 1 + sum(_size(x) for x in v.owner.operands)


def test_load_is_left_alone() -> None:
    p = linear()
    m = legalised(p, target(), p.args[-1])
    before = [op.name for op in m.functions["load"].block.ops]
    run(m, Legalise())
    assert [op.name for op in m.functions["load"].block.ops] == before
