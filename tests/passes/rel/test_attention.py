"""Attention over a ragged state: prefill and two decode steps agree at every stage, in every layout."""

from __future__ import annotations

import pytest

from irsql.dialects.expr import Exprs
from irsql.dialects.rel.types import rel
from irsql.dialects.tir import ops as ti
from irsql.ir.affine import AffineMap
from irsql.ir.attributes import F32, I64, TensorType
from irsql.ir.core import ArgInfo, Func, IRError, Module
from irsql.ir.dims import Dim, symbol
from irsql.ir.target import attach
from irsql.ir.verifier import verify
from irsql.passes.conversion.convert_tir_to_rel import ConvertTirToRel
from irsql.passes.rel.legalise import Legalise
from irsql.passes.rel.prune_columns import PruneColumns
from tests.passes.stages import LANES, Form, Program, check_stages, outcomes, pipeline, run


def layer(p: Program, heads: int, groups: int, dim: int, v_dim: int, steps: Dim, window: int, softcap: float) -> Func:
    """One attention layer of rows [B, S, heads, dim]; returns its output and the new state."""
    q, k, v, positions, state = p.args
    made = p.add(ti.StateAppend(state, k, v, positions, result_types=[state.type])).result
    out = TensorType((symbol("B"), steps, heads, v_dim), F32)
    attended = p.add(ti.Attention(q, made, positions, scale=dim**-0.5, window=window, softcap=softcap,
                                  result_types=[out])).result
    p.func.ret(attended, made)
    p.func.outputs = ("out", "kv")
    return p.func


def program(heads: int, groups: int, dim: int, v_dim: int | None = None, window: int = 0,
            softcap: float = 0.0) -> Module:
    v_dim = v_dim or dim
    b = symbol("B")
    m = Module.empty(stage="tir")
    for name, steps in (("prefill", symbol("S")), ("decode", 1)):
        state = ti.StateType("kv.0", groups, dim, v_dim, F32)
        inputs = [("q", TensorType((b, heads, steps, dim), F32), ArgInfo()),
                  ("k", TensorType((b, groups, steps, dim), F32), ArgInfo()),
                  ("v", TensorType((b, groups, steps, v_dim), F32), ArgInfo()),
                  ("positions", TensorType((b, steps), I64), ArgInfo(domain="positions")),
                  ("kv.0", state, ArgInfo(role="state"))]
        p = Program(inputs, {"B": (0, 9), "S": (1, 9), "P": (0, 64)})
        func = layer(p, heads, groups, dim, v_dim, steps, window, softcap)
        func.sym_name = name
        m.add(func)
    attach(m, LANES)
    verify(m)
    return m


CASES = [(2, 2, 8), (6, 2, 10), (8, 1, 8), (3, 1, 10)]


@pytest.mark.parametrize(("heads", "groups", "dim"), CASES)
@pytest.mark.parametrize(("lane", "form"), [(4, ""), (3, ""), (0, "wide"), (0, "scalar")])
def test_every_stage_agrees(heads: int, groups: int, dim: int, lane: int, form: Form) -> None:
    m = program(heads, groups, dim)
    assert [o.call for o in outcomes(m)[0]] == ["@prefill", "@decode", "@decode, call 2", "@decode, call 3"]
    passes = pipeline(lane, form)
    done = check_stages(m, [passes[0], PruneColumns(), *passes[1:6], Legalise(), *passes[6:]], count=3)
    states = [a for a in done.functions["decode"].block.args if rel(a).partial]
    assert len(states) == 2
    assert all((rel(a).layout is None) == (form == "scalar") for a in states)


@pytest.mark.parametrize(("window", "softcap"), [(2, 0.0), (0, 3.0), (3, 1.0)])
def test_window_softcap_and_values_of_another_length(window: int, softcap: float) -> None:
    m = program(4, 2, 6, v_dim=5, window=window, softcap=softcap)
    check_stages(m, pipeline(4), count=2)


def test_the_rows_of_a_batch_are_never_invented() -> None:
    m = program(2, 2, 4)
    func = m.functions["prefill"]
    q = func.block.args[0]
    e, body = Exprs.body((F32,))
    e.end(e.args[0])
    spread = TensorType((symbol("B"), *ti.tensor(q).shape), F32)
    func.block.insert(0, ti.Map((q,), body=body, maps=(AffineMap.select(5, (1, 2, 3, 4)),), result_types=[spread]))
    with pytest.raises(IRError, match="only attention may mix"):
        run(m, ConvertTirToRel())
