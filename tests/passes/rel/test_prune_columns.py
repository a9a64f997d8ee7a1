from __future__ import annotations

import numpy as np
from hypothesis import HealthCheck, given, settings

from irsql.dialects import expr as ex
from irsql.dialects.rel import ops as ro
from irsql.dialects.rel.types import Key, RelType, Val, rel
from irsql.ir.attributes import F32, I64, DenseElements
from irsql.ir.core import Builder, Func, Module, Region, Value
from irsql.ir.parser import parse_module
from irsql.passes.conversion._bind import project
from irsql.passes.conversion.convert_tir_to_rel import ConvertTirToRel
from irsql.passes.rel.prune_columns import PruneColumns
from tests.passes.programs import WEIGHTS, programs
from tests.passes.stages import check_stages, ops_of, outcomes, pipeline, run, same

KEY = Key("k", 4)


def unused_columns() -> tuple[Module, Builder, Func, ro.Project]:
    """``a`` is wanted and ``b`` is not, all the way from a projection."""
    f = Func.build("forward", [])
    b = Builder(f.block)
    x = b.insert(ro.Values(value=DenseElements(np.arange(4, dtype=np.float32), F32),
                           result_types=[RelType((KEY,), (Val("v", F32),))])).result
    two = RelType((KEY,), (Val("a", F32), Val("b", F32)))
    p = project(b, x, two, lambda e: [e.col("k", I64), e.col("v", F32), e.unary("exp", e.col("v", F32))])
    m = Module.empty(stage="rel")
    m.add(f)
    assert isinstance(p.owner, ro.Project)
    return m, b, f, p.owner


def end(b: Builder, f: Func, x: Value) -> None:
    f.ret(project(b, x, RelType((KEY,), (Val("v", F32),)), lambda e: [e.col("k", I64), e.col("a", F32)]))


def columns(m: Module) -> list[tuple[str, ...]]:
    return [tuple(v.name for v in rel(op.result).values) for op in m.functions["forward"].block.ops if op.results]


def checked(m: Module) -> None:
    want = outcomes(m)
    run(m, PruneColumns())
    same(outcomes(m), want, 0.0, "prune-columns")


def test_projection_filter_and_window() -> None:
    m, b, f, p = unused_columns()
    e, body = ex.Exprs.body()
    e.end(e.compare("gt", e.col("a", F32), e.const(0.5, F32)))
    kept = b.insert(ro.Filter(p.result, body=body, result_types=[rel(p.result)])).result
    e, body = ex.Exprs.body()
    e.end(e.col("b", F32))
    ranked = RelType((KEY,), (*rel(p.result).values, Val("w", I64)))
    w = b.insert(ro.Window(kept, body=body, kind="row_number", partition=0, descending=(True,),
                           result_types=[ranked])).result
    end(b, f, b.insert(ro.Filter(w, body=_lt("k"), result_types=[ranked])).result)
    m.functions["forward"].block.terminator.operands[0].type = RelType((KEY,), (Val("v", F32),), partial=True)
    f.update_type()
    run(m, PruneColumns())
    assert columns(m) == [("v",), ("a",), ("a",), ("a",), ("v",)]
    assert not ops_of(m, ro.Window)
    assert not [op for op in p.walk() if isinstance(op, ex.Unary)]


def _lt(name: str) -> Region:
    e, body = ex.Exprs.body()
    e.end(e.compare("lt", e.col(name, I64), e.const(3, I64)))
    return body


def test_join_aggregate_complete_and_union() -> None:
    m, b, f, p = unused_columns()
    e, on = ex.Exprs.body()
    e.end(e.compare("eq", e.col("k", I64, 0), e.col("k", I64, 1)))
    values = tuple(Val(n, F32) for n in ("a", "b", "c", "d"))
    j = b.insert(ro.Join((p.result, p.result), on=on, result_types=[RelType((KEY, Key("l", 4)), values)])).result
    e, body = ex.Exprs.body()
    e.end(e.col("a", F32), e.col("d", F32), e.col("k", I64))
    two = RelType((KEY,), (Val("a", F32), Val("b", I64)))
    g = b.insert(ro.Aggregate(j, body=body, kinds=("sum", "argmax"), result_types=[two])).result
    box = b.insert(ro.Range(result_types=[RelType((KEY,), ())])).result
    c = b.insert(ro.Complete(g, box, fill=(0.0, 5.0), result_types=[two])).result
    low = b.insert(ro.Filter(c, body=_lt("k"), result_types=[two])).result
    e, body = ex.Exprs.body()
    e.end(e.compare("ge", e.col("k", I64), e.const(3, I64)))
    high = b.insert(ro.Filter(c, body=body, result_types=[two])).result
    end(b, f, b.insert(ro.Union((low, high), result_types=[two])).result)
    checked(m)
    assert columns(m) == [("v",), ("a",), ("a", "c"), ("a",), (), ("a",), ("a",), ("a",), ("a",), ("v",)]
    assert ops_of(m, ro.Aggregate)[0].kinds == ("sum",)
    assert ops_of(m, ro.Complete)[0].fill == (0.0,)


def test_union_of_a_relation_that_cannot_be_narrowed() -> None:
    m, b, f, p = unused_columns()
    two = rel(p.result)
    f.block.add_arg(two, "x")
    e, body = ex.Exprs.body()
    e.end(e.compare("lt", e.col("k", I64), e.const(0, I64)))
    none = b.insert(ro.Filter(f.block.args[0], body=body, result_types=[two])).result
    end(b, f, b.insert(ro.Union((p.result, none), result_types=[two])).result)
    run(m, PruneColumns())
    union = ops_of(m, ro.Union)[0]
    assert [len(rel(v).values) for v in (*union.inputs, union.result)] == [1, 1, 1]


@settings(max_examples=15, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
@given(programs(6))
def test_random_programs(source: str) -> None:
    passes = pipeline(lane=3)
    check_stages(parse_module(source), [ConvertTirToRel(), PruneColumns(), *passes[1:6], PruneColumns(), *passes[6:]],
                 tolerance=0.0, count=2, given=WEIGHTS)
