"""Tensors become relations: random programs mean the same at every stage."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from irsql.ir.attributes import F32, TensorType
from irsql.ir.core import Func, IRError, Module, Op, Value, op
from irsql.ir.parser import parse_module
from irsql.ir.pipeline import run_passes
from tests.passes.programs import WEIGHTS, programs
from tests.passes.stages import Form, check_stages, pipeline

FEW = settings(max_examples=30, deadline=None, derandomize=True,
               suppress_health_check=[HealthCheck.too_slow, HealthCheck.large_base_example, HealthCheck.data_too_large])


@FEW
@given(programs(), st.sampled_from([(3, ""), (0, "wide"), (0, "scalar"), (2, "")]))
def test_every_stage_computes_what_tir_does(source: str, cut: tuple[int, Form]) -> None:
    check_stages(parse_module(source), pipeline(lane=cut[0], form=cut[1]), tolerance=0.0, count=3, given=WEIGHTS)


@op("conversion.strange", pure=True)
class Strange(Op):
    x: Value


def test_ops_of_other_dialects_are_named() -> None:
    func = Func.build("f", [("x", TensorType((3,), F32))])
    func.ret(func.block.append(Strange(func.block.args[0], result_types=[TensorType((3,), F32)])).result)
    module = Module.empty(stage="tir")
    module.add(func)
    with pytest.raises(IRError, match=r"conversion\.strange \(1 times.*by a pass of theirs"):
        run_passes(module, "convert-tir-to-rel")
