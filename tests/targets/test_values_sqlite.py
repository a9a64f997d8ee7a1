"""docs/values.md is true of SQLite: every row of its tables runs here."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.utils import _pytree as pytree

import irsql
from irsql.ir.pipeline import PassFailure
from irsql.targets.errors import EngineError
from tests.models.importing import Call, compare
from tests.targets.test_values_duckdb import INF, NAN, SPECIAL, table

T = torch.tensor


@pytest.mark.parametrize(("case", "sql", "result"), table("What SQLite does"), ids=lambda x: str(x)[:40])
def test_engine(case: str, sql: str, result: str) -> None:
    connection = sqlite3.connect(":memory:")
    wanted = result.strip("`")
    if wanted.startswith("!! "):
        with pytest.raises(sqlite3.Error, match=wanted.removeprefix("!! ")):
            connection.execute("SELECT " + sql.strip("`")).fetchall()
        return
    (row,) = connection.execute("SELECT " + sql.strip("`")).fetchall()
    assert repr(row).removeprefix("(").removesuffix(")").removesuffix(",") == wanted


def run(function: Callable[..., Any], *args: Tensor) -> list[Tensor]:
    return pytree.tree_leaves(irsql.compile(Call(function), args, target="sqlite")(*args))


def same(function: Callable[..., Any], *args: Tensor) -> None:
    """SQLite gives what eager gives, NaN for NaN."""
    for a, b in zip(run(function, *args), pytree.tree_leaves(function(*args)), strict=True):
        if b.dtype.is_floating_point:
            assert torch.equal(a.isnan(), b.isnan())
            a, b = a.nan_to_num(0.0, INF, -INF), b.nan_to_num(0.0, INF, -INF)
        compare(a.numpy(), b, 1e-6)


def gives(function: Callable[..., Any], wanted: list[Any], *args: Tensor) -> None:
    """SQLite gives ``wanted``, eager something else."""
    assert [x.tolist() for x in run(function, *args)] == wanted
    assert [x.tolist() for x in pytree.tree_leaves(function(*args))] != wanted


def fails(function: Callable[..., Any], message: str, *args: Tensor) -> None:
    """SQLite refuses; the callable still works."""
    compiled = irsql.compile(Call(function), args, target="sqlite")
    with pytest.raises(EngineError, match=message):
        compiled(*args)
    assert torch.isfinite(compiled(*(torch.ones_like(a) for a in args)).double()).all()


def integers() -> None:
    fails(lambda i: i.sum(), "integer overflow", T([2**62, 2**62]))
    fails(lambda i: i * i, "does not fit in 64 bits", T([2**62, 3]))


def reductions_that_overflow() -> None:
    same(lambda x: x.sum(), T([3e38, 3e38]))
    same(lambda x: x ** 7.5, T([1e10, 1.0]))
    same(lambda x: x.double().mul(x.double()).float(), T([1e30]))
    gives(lambda x: (x * x) / x, [[1.0000000150474662e30]], T([1e30]))  # between two steps there is no overflow


def division_by_zero() -> None:
    same(lambda x: (x / 0.0, 1 / x), SPECIAL[[0, 1, 2, 3, 5, 6]])
    gives(lambda x: 1 / x, [[INF]], T([-0.0]))


def greatest() -> None:
    same(lambda x: torch.maximum(x, torch.zeros(7)), SPECIAL)
    gives(lambda x: x.max(), [INF], SPECIAL)
    gives(lambda x: x.sum(), [1.0], T([NAN, 1.0]))
    same(lambda x, y: x @ y, T([[NAN] * 5, [1.0] * 5]), torch.ones(5, 2))
    same(lambda x, y: x @ y, T([[NAN] * 20, [1.0] * 20]), torch.ones(20, 2))


def least() -> None:
    same(lambda x: torch.minimum(x, torch.zeros(7)), SPECIAL)
    gives(lambda x: x.min(), [-INF], SPECIAL)


def not_a_number_as_integer() -> None:
    fails(lambda x: x.long(), "NULLs where a tensor has numbers", T([NAN, 1.0]))
    assert run(lambda x: x.long(), T([INF, 1.0]))[0].tolist() == [2**63 - 1, 1]


def index_out_of_range() -> None:
    rows, good, bad = T([[1.0, 2.0], [3.0, 4.0]]), T([1, 0]), T([1, 2])
    compiled = irsql.compile(Call(lambda x, i: x[i]), (rows, good), target="sqlite")
    with pytest.raises(ValueError, match="2 rows where its tensor"):
        compiled(rows, bad)
    summed = irsql.compile(Call(lambda x, i: x[i].sum(0)), (rows, good), target="sqlite")
    assert summed(rows, bad).tolist() == [3.0, 4.0]


def any_batch(function: Callable[[Tensor], Any]) -> Any:
    return irsql.compile(Call(function), (torch.randn(5, 3),), target="sqlite",
                         dynamic_shapes=(({0: torch.export.Dim("B", min=0)},),))  # fmt: skip


def empty_batch() -> None:
    def function(x: Tensor) -> tuple[Tensor, ...]:
        return x.sum(0), x.sum(1), x.softmax(1), x.amax(1), x.argmax(1), x.cumsum(0), (x > 0).any(0), (x > 0).all(0)

    compiled = any_batch(function)
    for batch in (0, 1, 7):
        x = torch.randn(batch, 3)
        for a, b in zip(compiled(x), function(x), strict=True):
            compare(a.numpy(), b, 1e-6)


def argmax_of_nothing() -> None:
    with pytest.raises(PassFailure, match="may be empty"):
        any_batch(lambda x: x.argmax(0))


def max_of_nothing() -> None:
    assert any_batch(lambda x: x.amax(0))(torch.randn(0, 3)).tolist() == [-INF] * 3


CASES: dict[str, Callable[[], None]] = {
    "floor division and `%` of negative integers": lambda: same(
        lambda i, j: (i // 3, i % 3, i // j), torch.arange(-7, 8), T([2, -2, 3, -3, 5] * 3)),
    "`round`": lambda: same(torch.round, T([0.5, 1.5, 2.5, -0.5, -1.5, 3.7, -2.2, 1e10, 8388609.0])),
    "`.long()` of a float": lambda: same(lambda x: x.long(), T([0.7, -0.7, 2.5, -2.5, 1e10])),
    "sum and cumulative sum of large integers": lambda: same(
        lambda i: (i.sum(-1), i.cumsum(-1)), T([[2**62, -5, 3], [-(2**62), 2**61, 1]])),
    "integers that pass 64 bits": integers,
    "argmax, argmin, sort and top-k among equals": lambda: same(
        lambda x: (x.argmax(-1), x.argmin(-1), *torch.sort(x, stable=True), x.topk(2)[0]),
        T([[1.0, 1.0, 1.0], [3.0, 0.0, 0.0], [-0.0, 0.0, -0.0]])),
    "softmax with -inf": lambda: same(lambda x: x.softmax(-1), T([[-INF, 0.0, 1.0], [-INF, -INF, 2.0]])),
    "softmax of nothing but -inf": lambda: same(lambda x: x.softmax(-1), T([[-INF, -INF], [-INF, 2.0]])),
    "underflow": lambda: same(lambda x: (x * x, (x - 104).exp(), x * 1e-40), T([1e-30, 1e-20, 1.0])),
    "`exp` that overflows": lambda: same(torch.exp, T([100.0, 89.0, 88.7, NAN, INF, -INF])),
    "products and sums of two that overflow": lambda: same(lambda x: (x * x, x + x), T([3e38, -3e38, 1e30])),
    "a reduction, power or cast that overflows float32": reductions_that_overflow,
    "float division by zero": division_by_zero,
    "integer division by zero": lambda: fails(lambda i: T([6, 7]) // i, "NULLs where a tensor has numbers", T([2, 0])),
    "square root and logarithm of negatives": lambda: same(
        lambda x: (x.sqrt(), x.log(), x.rsqrt()), T([-1.0, 0.0, 4.0, INF])),
    "`isnan`, `isinf`, `isfinite`, `x != x`": lambda: same(
        lambda x: (x.isnan(), x.isinf(), torch.isfinite(x), x != x, x == x), SPECIAL),
    "NaN against another number by `>`": lambda: same(lambda x: (x > 1, ~(x > 1)), T([NAN, 0.0, 2.0])),
    "maximum and max with a NaN": greatest,
    "minimum and min with a NaN": least,
    "a NaN or infinity `.long()`": not_a_number_as_integer,
    "an index outside of its tensor": index_out_of_range,
    "empty batch": empty_batch,
    "max over an axis that is empty": max_of_nothing,
    "argmax over an axis that may be empty": argmax_of_nothing,
}


def test_every_case_of_the_page_has_a_test() -> None:
    assert [row[0] for row in table("What a compiled module does")] == list(CASES)


@pytest.mark.parametrize("case", CASES)
def test_compiled(case: str) -> None:
    CASES[case]()
