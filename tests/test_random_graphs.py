"""50 of the graphs that ``make fuzz`` tries by the thousand, and what it has found, reduced."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from irsql.frontend.export import as_module
from tests.fuzz.draw import KINDS, Made
from tests.fuzz.graphs import RandomGraph, Step
from tests.fuzz.running import check_seed, check_seeds
from tests.models.engine import STAGES, check_everywhere


@pytest.mark.parametrize("first", range(0, 50, 10))
def test_graphs(first: int) -> None:
    check_seeds(range(first, first + 10))


def test_every_kind_of_operator_occurs() -> None:
    drawn = {step.kind for seed in range(300) for step in RandomGraph(seed).steps}
    assert drawn == set(KINDS)


def test_a_wrong_graph_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    """What fails is cut down and printed, with the command that runs it again."""

    def wrong(x: Tensor) -> Tensor:
        return x + 1e-3 * torch.compiler.is_exporting()

    graph = RandomGraph(3)
    graph.steps[2] = Step("wrong", Made("wrong", wrong, []), (0,))
    graph.outputs = [6, 8, len(graph.draw.items) - 1]
    monkeypatch.setattr("tests.fuzz.running.RandomGraph", lambda seed: graph)
    with pytest.raises(AssertionError) as info:
        check_seed(3)
    text = str(info.value)
    assert "v8 = wrong(x)" in text
    assert "return v8\n" in text
    assert "aten.add" in text
    assert text.endswith("again: make fuzz GRAPH=3")


def test_few_graphs_that_run_are_not_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tests.fuzz.running.check_seed", lambda seed, targets: "not captured" if seed % 2 else "all")
    with pytest.raises(AssertionError, match="too few graphs"):
        check_seeds(range(10))


# -- found and reduced ---------------------------------------------------------------------------------
def check(function: Callable[..., Any], *inputs: Sequence[Tensor], dynamic: dict[str, dict[int, str]]) -> None:
    check_everywhere(as_module(function), *inputs, dynamic=dynamic, stages=STAGES)


def test_the_constant_of_a_contraction_with_nothing() -> None:
    """A join of no inputs is one row; the interpreter of rel had none."""
    check(lambda x: torch.einsum("bij->ji", x), [torch.ones(3, 1, 5)], [torch.ones(0, 1, 5)], dynamic={"x": {0: "B"}})


def test_an_axis_of_one_cut_to_nothing() -> None:
    """The interpreter of tir checked coordinates that an empty loop never reads."""
    check(lambda x: (F.pad(x, (-1, 0)), x[:, 1:]), [torch.ones(3, 1)], [torch.ones(0, 1)], dynamic={"x": {0: "B"}})


def test_a_constant_too_big_for_the_text() -> None:
    """The stages were read back without the constants that stand beside a text of more than 16 elements."""
    check(lambda x: x.index_fill(1, torch.tensor([11, -9, -8]), 1.0), [torch.zeros(3, 17)], dynamic={"x": {0: "B"}})
