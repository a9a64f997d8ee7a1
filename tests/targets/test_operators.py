"""Every operator case of the importer as SQL on every target, and through the interpreter of SQL, equals eager."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from tests.models import elementwise_cases, tensor_cases
from tests.models.engine import check_everywhere
from tests.models.importing import Call
from tests.models.targets import ENGINES, on_targets

CASES: dict[str, tuple[Callable[..., Any], tuple[Tensor, ...]]] = {
    f"{group}:{name}": case
    for group, cases in {**elementwise_cases.GROUPS, **tensor_cases.GROUPS}.items() for name, case in cases.items()}


@pytest.fixture(autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


def normal(*shape: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(sum(shape)))


def stages(target: str) -> tuple[str, ...]:
    """The interpreter runs once a case: for DuckDB, whose IR has all that there is."""
    return ("sql",) if target == "duckdb" else ()


SCALAR = [name for name in CASES if name.split(":")[0] not in ("contract", "norm")]
"""What no vector takes part in."""


@on_targets(SCALAR, ENGINES)
def test_operator(name: str, target: str) -> None:
    function, args = CASES[name]
    check_everywhere(Call(function), args, targets=[target], stages=stages(target))


@on_targets([name for name in CASES if name not in SCALAR])
def test_product(name: str, target: str) -> None:
    function, args = CASES[name]
    check_everywhere(Call(function), args, targets=[target], stages=stages(target))


@on_targets(tensor_cases.DECOMPOSED)
def test_decomposed_operator(name: str, target: str) -> None:
    check_everywhere(Call(tensor_cases.DECOMPOSED[name]), (normal(3, 6),), targets=[target], stages=stages(target))


@on_targets(tensor_cases.SYMBOLIC)
def test_symbolic_dims(name: str, target: str) -> None:
    dynamic_shapes = (({0: torch.export.Dim("B", min=1), 1: torch.export.Dim("S", min=1, max=99)},),)
    others = [(normal(b, s, 4),) for b, s in ((1, 1), (1, 6), (7, 1), (4, 3))]
    check_everywhere(Call(tensor_cases.SYMBOLIC[name]), (normal(2, 5, 4),), *others, dynamic_shapes=dynamic_shapes,
                     tolerance=1e-5, targets=[target], stages=stages(target))
