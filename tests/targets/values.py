"""What the tests of docs/values.md share: its tables, modules compiled for a target, cases where targets agree."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import attrs
import pytest
import torch
from torch import Tensor
from torch.utils import _pytree as pytree

import irsql
from irsql.ir.pipeline import PassFailure
from irsql.targets.errors import EngineError
from tests.models.importing import Call, compare

PAGE = Path(__file__).parents[2] / "docs" / "values.md"
INF, NAN = float("inf"), float("nan")
T = torch.tensor
SPECIAL = T([NAN, INF, -INF, 0.0, -0.0, -1.5, 3.0])


def table(heading: str) -> list[list[str]]:
    """The cells of the table below a heading."""
    section = PAGE.read_text(encoding="utf-8").split(f"## {heading}\n")[1].split("\n## ")[0]
    rows = [re.split(r"(?<!\|)\s\|\s(?!\|)", line.strip().removeprefix("| ").removesuffix(" |"))
            for line in section.splitlines() if line.startswith("|")]
    return rows[2:]


def check_row(connection: Any, error: type[Exception], sql: str, result: str) -> None:
    """An expression has on an engine the result that the page shows."""
    query, wanted = "SELECT " + sql.strip("`"), result.strip("`")
    if wanted.startswith("!! "):
        with pytest.raises(error, match=wanted.removeprefix("!! ")):
            connection.execute(query).fetchall()
        return
    (row,) = connection.execute(query).fetchall()
    assert repr(row).removeprefix("(").removesuffix(")").removesuffix(",") == wanted


@attrs.frozen
class On:
    """Modules on one target."""

    target: str

    def run(self, function: Callable[..., Any], *args: Tensor) -> list[Tensor]:
        return pytree.tree_leaves(irsql.compile(Call(function), args, target=self.target)(*args))

    def any_batch(self, function: Callable[[Tensor], Any]) -> Any:
        """Compiled with a first axis from 0."""
        return irsql.compile(Call(function), (torch.randn(5, 3),), target=self.target,
                             dynamic_shapes=(({0: torch.export.Dim("B", min=0)},),))  # fmt: skip

    def same(self, function: Callable[..., Any], *args: Tensor) -> None:
        """The target gives what eager gives, NaN for NaN."""
        for a, b in zip(self.run(function, *args), pytree.tree_leaves(function(*args)), strict=True):
            if b.dtype.is_floating_point:
                assert torch.equal(a.isnan(), b.isnan())
                a, b = a.nan_to_num(0.0, INF, -INF), b.nan_to_num(0.0, INF, -INF)
            compare(a.numpy(), b, 1e-6)

    def gives(self, function: Callable[..., Any], wanted: Any, *args: Tensor) -> None:
        """The target gives ``wanted``, eager something else."""
        assert [x.tolist() for x in self.run(function, *args)] == [wanted]
        assert [x.tolist() for x in pytree.tree_leaves(function(*args))] != [wanted]

    def fails(self, function: Callable[..., Any], message: str, *args: Tensor) -> None:
        """The target refuses, before anything is given back; the callable still works."""
        compiled = irsql.compile(Call(function), args, target=self.target)
        with pytest.raises(EngineError, match=message):
            compiled(*args)
        assert torch.isfinite(compiled(*(torch.ones_like(a) for a in args)).double()).all()


Case = Callable[[On], None]


def _empty_batch(on: On) -> None:
    def function(x: Tensor) -> tuple[Tensor, ...]:
        return x.sum(0), x.sum(1), x.softmax(1), x.amax(1), x.argmax(1), x.cumsum(0), (x > 0).any(0), (x > 0).all(0)

    compiled = on.any_batch(function)
    for batch in (0, 1, 7):
        x = torch.randn(batch, 3)
        for a, b in zip(compiled(x), function(x), strict=True):
            compare(a.numpy(), b, 1e-6)


def _max_of_nothing(on: On) -> None:
    assert on.any_batch(lambda x: x.amax(0))(torch.randn(0, 3)).tolist() == [-INF] * 3
    with pytest.raises(IndexError):
        torch.randn(0, 3).amax(0)


def _argmax_of_nothing(on: On) -> None:
    with pytest.raises(PassFailure, match="may be empty"):
        on.any_batch(lambda x: x.argmax(0))


def _index_out_of_range(on: On) -> None:
    rows, good, bad = T([[1.0, 2.0], [3.0, 4.0]]), T([1, 0]), T([1, 2])
    compiled = irsql.compile(Call(lambda x, i: x[i]), (rows, good), target=on.target)
    with pytest.raises(ValueError, match="2 rows where its tensor"):
        compiled(rows, bad)
    summed = irsql.compile(Call(lambda x, i: x[i].sum(0)), (rows, good), target=on.target)
    assert summed(rows, bad).tolist() == [3.0, 4.0]


ALIKE: dict[str, Case] = {
    "floor division and `%` of negative integers": lambda on: on.same(
        lambda i, j: (i // 3, i % 3, i // j), torch.arange(-7, 8), T([2, -2, 3, -3, 5] * 3)),
    "`round`": lambda on: on.same(torch.round, T([0.5, 1.5, 2.5, -0.5, -1.5, 3.7, -2.2, 1e10, 8388609.0])),
    "`.long()` of a float": lambda on: on.same(lambda x: x.long(), T([0.7, -0.7, 2.5, -2.5, 1e10])),
    "sum and cumulative sum of large integers": lambda on: on.same(
        lambda i: (i.sum(-1), i.cumsum(-1)), T([[2**62, -5, 3], [-(2**62), 2**61, 1]])),
    "argmax, argmin, sort and top-k among equals": lambda on: on.same(
        lambda x: (x.argmax(-1), x.argmin(-1), *torch.sort(x, stable=True), x.topk(2)[0]),
        T([[1.0, 1.0, 1.0], [3.0, 0.0, 0.0], [-0.0, 0.0, -0.0]])),
    "softmax with -inf": lambda on: on.same(lambda x: x.softmax(-1), T([[-INF, 0.0, 1.0], [-INF, -INF, 2.0]])),
    "softmax of nothing but -inf": lambda on: on.same(lambda x: x.softmax(-1), T([[-INF, -INF], [-INF, 2.0]])),
    "underflow": lambda on: on.same(lambda x: (x * x, (x - 104).exp(), x * 1e-40), T([1e-30, 1e-20, 1.0])),
    "`exp` that overflows": lambda on: on.same(torch.exp, T([100.0, 89.0, 88.7, NAN, INF, -INF])),
    "products and sums of two that overflow": lambda on: on.same(lambda x: (x * x, x + x), T([3e38, -3e38, 1e30])),
    "square root and logarithm of negatives": lambda on: on.same(
        lambda x: (x.sqrt(), x.log(), x.rsqrt()), T([-1.0, 0.0, 4.0, INF])),
    "`isnan`, `isinf`, `isfinite`, `x != x`": lambda on: on.same(
        lambda x: (x.isnan(), x.isinf(), torch.isfinite(x), x != x, x == x), SPECIAL),
    "an index outside of its tensor": _index_out_of_range,
    "empty batch": _empty_batch,
    "max over an axis that is empty": _max_of_nothing,
    "argmax over an axis that may be empty": _argmax_of_nothing,
}
"""Rows of the table of compiled modules where all targets do the same."""
CASES = [row[0] for row in table("What a compiled module does")]
