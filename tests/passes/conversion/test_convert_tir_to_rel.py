"""Tensors become relations: random programs mean the same at every stage."""

from __future__ import annotations

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from irsql.ir.parser import parse_module
from tests.passes.programs import WEIGHTS, programs
from tests.passes.stages import Form, check_stages, pipeline

FEW = settings(max_examples=30, deadline=None, derandomize=True,
               suppress_health_check=[HealthCheck.too_slow, HealthCheck.large_base_example, HealthCheck.data_too_large])


@FEW
@given(programs(), st.sampled_from([(3, ""), (0, "wide"), (0, "scalar"), (2, "")]))
def test_every_stage_computes_what_tir_does(source: str, cut: tuple[int, Form]) -> None:
    check_stages(parse_module(source), pipeline(lane=cut[0], form=cut[1]), tolerance=0.0, count=3, given=WEIGHTS)
