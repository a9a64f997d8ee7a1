"""docs/values.md is true: every row of its tables runs here."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import duckdb
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


def table(heading: str) -> list[list[str]]:
    """The cells of the table below a heading."""
    section = PAGE.read_text(encoding="utf-8").split(f"## {heading}\n")[1].split("\n## ")[0]
    rows = [re.split(r"(?<!\|)\s\|\s(?!\|)", line.strip().removeprefix("| ").removesuffix(" |"))
            for line in section.splitlines() if line.startswith("|")]
    return rows[2:]


@pytest.mark.parametrize(("case", "sql", "result"), table("What DuckDB does"), ids=lambda x: str(x)[:40])
def test_engine(case: str, sql: str, result: str) -> None:
    connection = duckdb.connect()
    wanted = result.strip("`")
    if wanted.startswith("!! "):
        with pytest.raises(duckdb.Error, match=wanted.removeprefix("!! ")):
            connection.execute("SELECT " + sql.strip("`")).fetchall()
        return
    (row,) = connection.execute("SELECT " + sql.strip("`")).fetchall()
    assert repr(row).removeprefix("(").removesuffix(")").removesuffix(",") == wanted


# -- compiled modules ------------------------------------------------------------------------------------
def same(function: Callable[..., Any], *args: Tensor) -> None:
    """DuckDB gives what eager gives, NaN for NaN."""
    module = Call(function)
    got, want = irsql.compile(module, args)(*args), module(*args)
    for a, b in zip(*(pytree.tree_leaves(x) for x in (got, want)), strict=True):
        if b.dtype.is_floating_point:
            assert torch.equal(a.isnan(), b.isnan())
            a, b = a.nan_to_num(0.0, INF, -INF), b.nan_to_num(0.0, INF, -INF)
        compare(a.numpy(), b, 1e-6)


def gives(function: Callable[..., Any], wanted: list[Any], *args: Tensor) -> None:
    """DuckDB gives ``wanted``, eager something else."""
    module = Call(function)
    assert irsql.compile(module, args)(*args).tolist() == wanted
    assert module(*args).tolist() != wanted


def fails(function: Callable[..., Any], *args: Tensor) -> None:
    """DuckDB refuses, before anything is given back; the callable still works."""
    compiled = irsql.compile(Call(function), args)
    with pytest.raises(EngineError, match=r"out of range|Overflow|Division by zero"):
        compiled(*args)
    fine = [torch.ones_like(a) for a in args]
    assert torch.isfinite(compiled(*fine).double()).all()


T = torch.tensor
SPECIAL = T([NAN, INF, -INF, 0.0, -0.0, -1.5, 3.0])


def empty_batch() -> None:
    def function(x: Tensor) -> tuple[Tensor, ...]:
        return x.sum(0), x.sum(1), x.softmax(1), x.amax(1), x.argmax(1), x.cumsum(0), (x > 0).any(0), (x > 0).all(0)

    compiled = compiled_for_any_batch(function)
    for batch in (0, 1, 7):
        x = torch.randn(batch, 3)
        for a, b in zip(compiled(x), function(x), strict=True):
            compare(a.numpy(), b, 1e-6)


def compiled_for_any_batch(function: Callable[[Tensor], Any]) -> Any:
    """Compiled with a first axis from 0."""
    return irsql.compile(Call(function), (torch.randn(5, 3),), dynamic_shapes=(({0: torch.export.Dim("B", min=0)},),))


def max_of_nothing() -> None:
    compiled = compiled_for_any_batch(lambda x: x.amax(0))
    assert compiled(torch.randn(0, 3)).tolist() == [-INF] * 3
    with pytest.raises(IndexError):
        torch.randn(0, 3).amax(0)


def argmax_of_nothing() -> None:
    with pytest.raises(PassFailure, match="may be empty"):
        compiled_for_any_batch(lambda x: x.argmax(0))


def overflow_of_reductions() -> None:
    fails(lambda x: x.sum(), T([3e38, 3e38]))
    fails(lambda x: x ** 7.5, T([1e10, 1.0]))
    fails(lambda x: x.double().mul(x.double()).float(), T([1e30]))


def index_out_of_range() -> None:
    rows, good, bad = T([[1.0, 2.0], [3.0, 4.0]]), torch.tensor([1, 0]), torch.tensor([1, 2])
    compiled = irsql.compile(Call(lambda x, i: x[i]), (rows, good))
    with pytest.raises(ValueError, match="2 rows where its tensor"):
        compiled(rows, bad)
    summed = irsql.compile(Call(lambda x, i: x[i].sum(0)), (rows, good))
    assert summed(rows, bad).tolist() == [3.0, 4.0]


CASES: dict[str, Callable[[], None]] = {
    "floor division and `%` of negative integers": lambda: same(
        lambda i, j: (i // 3, i % 3, i // j), torch.arange(-7, 8), T([2, -2, 3, -3, 5] * 3)),
    "`round`": lambda: same(torch.round, T([0.5, 1.5, 2.5, -0.5, -1.5, 3.7, -2.2, 1e10, 8388609.0])),
    "`.long()` of a float": lambda: same(lambda x: x.long(), T([0.7, -0.7, 2.5, -2.5, 1e10])),
    "sum and cumulative sum of large integers": lambda: same(
        lambda i: (i.sum(-1), i.cumsum(-1)), T([[2**62, -5, 3], [-(2**62), 2**61, 1]])),
    "integers that pass 64 bits": lambda: fails(lambda i: i.sum(), T([2**62, 2**62])),
    "argmax, argmin, sort and top-k among equals": lambda: same(
        lambda x: (x.argmax(-1), x.argmin(-1), *torch.sort(x, stable=True), x.topk(2)[0]),
        T([[1.0, 1.0, 1.0], [3.0, 0.0, 0.0], [-0.0, 0.0, -0.0]])),
    "softmax with -inf": lambda: same(lambda x: x.softmax(-1), T([[-INF, 0.0, 1.0], [-INF, -INF, 2.0]])),
    "softmax of nothing but -inf": lambda: same(lambda x: x.softmax(-1), T([[-INF, -INF], [-INF, 2.0]])),
    "underflow": lambda: same(lambda x: (x * x, (x - 104).exp(), x * 1e-40), T([1e-30, 1e-20, 1.0])),
    "`exp` that overflows": lambda: same(torch.exp, T([100.0, 89.0, 88.7, NAN, INF, -INF])),
    "products and sums of two that overflow": lambda: same(lambda x: (x * x, x + x), T([3e38, -3e38, 1e30])),
    "a reduction, power or cast that overflows float32": overflow_of_reductions,
    "float division by zero": lambda: same(lambda x: (x / 0.0, 1 / x), SPECIAL),
    "integer division by zero": lambda: fails(lambda i: T([6, 7]) // i, T([2, 0])),
    "square root and logarithm of negatives": lambda: same(
        lambda x: (x.sqrt(), x.log(), x.rsqrt()), T([-1.0, 0.0, 4.0, INF])),
    "`isnan`, `isinf`, `isfinite`, `x != x`": lambda: same(
        lambda x: (x.isnan(), x.isinf(), torch.isfinite(x), x != x, x == x), SPECIAL),
    "NaN against another number by `>`": lambda: gives(lambda x: x > 1, [True, False], T([NAN, 0.0])),
    "maximum and max with a NaN": lambda: same(
        lambda x: (torch.maximum(x, torch.zeros(7)), x.max()), SPECIAL),
    "minimum and min with a NaN": lambda: gives(lambda x: torch.minimum(x, T([1.0, 1.0])), [1.0, 0.0], T([NAN, 0.0])),
    "a NaN or infinity `.long()`": lambda: fails(lambda x: x.long(), T([NAN, 1.0])),
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
