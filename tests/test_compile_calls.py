"""Calls of a compiled module: what changes between calls is a tensor of the compiled type; anything else is refused."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import irsql
from irsql.frontend.captured import CaptureError


class Function(nn.Module):
    """A function as a module."""

    def __init__(self, function: Callable[..., Any]) -> None:
        super().__init__()
        self.function = function

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        return self.function(*args, **kwargs)


X = torch.tensor([1.0, -2.5, 3.25])


@pytest.mark.parametrize(
    ("function", "fixed", "other"),
    [
        (lambda x, y: x * y, 2.5, 3.5),
        (lambda x, y: x * y, 2, 3),
        (lambda x, y: x * 2 if y else x, True, False),
        (lambda x, y: x * 2 if y == "a" else x, "a", "b"),
        (lambda x, y: x if y is None else x * y, None, X),
    ],
    ids=["float", "int", "bool", "string", "none"],
)
def test_arguments_that_are_no_tensors_are_fixed(function: Callable[..., Any], fixed: Any, other: Any) -> None:
    compiled = irsql.compile(Function(function).eval(), (X, fixed))
    assert torch.equal(compiled(X, fixed), function(X, fixed))
    with pytest.raises(CaptureError, match="only tensors may change from call to call"):
        compiled(X, other)


def test_fixed_keyword_arguments() -> None:
    module = Function(lambda x, *, scale: x * scale).eval()
    compiled = irsql.compile(module, (X,), {"scale": 2})
    assert torch.equal(compiled(X, scale=2), X * 2)
    with pytest.raises(CaptureError, match="captured with 2"):
        compiled(X, scale=3)


def test_another_type_is_refused_and_not_truncated() -> None:
    table, rows = torch.arange(10.0).reshape(5, 2), torch.tensor([1, 3])
    compiled = irsql.compile(Function(lambda t, i: t[i]).eval(), (table, rows))
    assert torch.equal(compiled(table, rows), table[rows])
    with pytest.raises(ValueError, match="is float32, expected int64"):
        compiled(table, torch.tensor([1.7, 3.2]))
    with pytest.raises(ValueError, match="is float64, expected float32"):
        compiled(table.double(), rows)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float64, torch.int32, torch.uint8, torch.bool])
def test_arguments_of_every_type(dtype: torch.dtype) -> None:
    x: Tensor = torch.tensor([0.0, 1.5, 3.0]).to(dtype)
    module = Function(lambda x: x.float() * 2).eval()
    assert torch.equal(irsql.compile(module, (x,))(x), module(x))
