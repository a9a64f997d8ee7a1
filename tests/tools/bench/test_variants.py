"""Each pass of the default pipeline can be left out, or a compile without it says why not: the rows of an ablation."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping
from typing import Any

import pytest
import torch

from irsql.compile import compile_captured, compile_module, import_model, pipeline
from irsql.frontend.export import capture
from irsql.frontend.importer import import_captured
from irsql.frontend.weights import ModuleWeights
from irsql.ir import pass_registry, semantics
from irsql.ir.bisect import clone
from irsql.ir.core import IRError, Module
from irsql.ir.interp import Array
from irsql.ir.pipeline import parse_pipeline
from irsql.tools.bench import variants
from tests.models.modules import EncoderLayer, Mlp, seeded
from tests.models.staged import LLAMA
from tests.models.targets import TARGETS

REQUIRED = {
    "decompose": r"not legal for convert-tir-to-rel: .*lowered by decompose",
    "split-load": r"split-load moves it to @load",
    "convert-tir-to-rel": r"takes a module of stage rel, this one is of stage tir",
    "apply-layout": r"takes a module of stage tiled, this one is of stage rel",
    "legalise": r"the target has no function for \w+; legalise lowers it",
    "convert-rel-to-sql": r"takes a module of stage sql, this one is of stage tiled",
    "materialise": r"result 0 of \w+ is no table: materialise makes it one",
}
"""The passes without a row, and what a compile without them says: it has no program to measure."""
TOLERANCE = 1e-4


def left_out(target: str, use: Callable[[str], None]) -> dict[str, str]:
    """Hand every variant's pipeline to ``use``; the passes without which it raises, and what it says."""
    out: dict[str, str] = {}
    for name, text in variants.pipelines(parse_pipeline(pipeline(target=target))).items():
        without = name.removeprefix("without ")
        try:
            use(text)
        except IRError as error:
            out[without] = str(error)
    return out


def check_required(found: Mapping[str, str], required: Collection[str]) -> None:
    """Fail unless these passes, and only these, are required, each with its reason."""
    assert set(found) == set(required), found
    for name, message in found.items():
        assert re.search(REQUIRED[name], message), f"without {name}: {message}"


def interpreted(module: Module, target: str, weights: Mapping[str, Array] | None = None) -> Callable[[str], None]:
    """Compiles with a pipeline, and compares what the interpreter makes of the last stage with what it makes of tir."""
    trials = semantics.trials(module, 2)
    wanted = [semantics.execute(clone(module), trial, weights) for trial in trials]

    def use(text: str) -> None:
        last = clone(module)
        compile_module(last, target, weights=weights, pipeline_text=text)
        assert last.attrs_["stage"] == "sql"
        for trial, want in zip(trials, wanted, strict=True):
            assert semantics.compare(semantics.execute(last, trial, weights), want, TOLERANCE) == [], text

    return use


@pytest.mark.parametrize("target", TARGETS)
def test_every_pass_has_a_row_or_is_required(target: str) -> None:
    """But for ``shrink``, which makes another program, for checks alone."""
    rows = {name.removeprefix("without ") for name in variants.pipelines(parse_pipeline(pipeline(target=target)))}
    own = {n for n in pass_registry.names() if pass_registry.load(n).__module__.startswith("irsql.passes.")}
    assert own - rows == {"shrink"}
    assert set(REQUIRED) < rows


@pytest.mark.parametrize("target", [t for t in TARGETS if t != "duckdb"])
def test_a_pass_is_left_out_on_other_targets(target: str) -> None:
    module = seeded(Mlp())
    weights = ModuleWeights(module)
    captured = capture(module, (torch.zeros(3, 16),), dynamic={"x": {0: "B"}})
    use = interpreted(import_captured(captured), target, {name: weights.read(name) for name in weights})
    check_required(left_out(target, use), REQUIRED)


def test_a_pass_is_left_out_of_a_model_with_a_state() -> None:
    from tests.models.llamas import llama_config

    module, _ = import_model(llama_config(**{**LLAMA, "num_hidden_layers": 1}))
    for name in set(module.functions) - {"prefill"}:
        module.functions[name].erase()
    found = left_out("duckdb", interpreted(module, "duckdb"))
    assert "only a product can read" in found.pop("tile-storage")  # rows of gate and up side by side are made at load
    check_required(found, set(REQUIRED) - {"legalise"})  # DuckDB has all functions of a Llama


def test_a_pass_is_left_out_of_what_an_engine_runs() -> None:
    module = seeded(EncoderLayer(6, 2, 7))
    weights, dims = ModuleWeights(module), {"x": {0: "B", 1: "S"}, "mask": {0: "B", 1: "S"}}
    captured = capture(module, (torch.zeros(2, 5, 6), torch.ones(2, 5, dtype=torch.bool)), dynamic=dims)
    args: tuple[Any, ...] = torch.randn(2, 3, 6, generator=torch.Generator().manual_seed(0)), torch.ones(2, 3) > 0
    wanted = module(*args)

    def use(text: str) -> None:
        got = compile_captured(captured, weights, pipeline=text)(*args)
        assert ((got - wanted).abs().max() / wanted.abs().max()) <= TOLERANCE, text

    check_required(left_out("duckdb", use), REQUIRED)
