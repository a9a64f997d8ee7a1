"""docs/values.md is true of DuckDB: every row of its tables runs here."""

from __future__ import annotations

import duckdb
import pytest
import torch

from tests.targets.values import ALIKE, CASES, NAN, SPECIAL, Case, On, T, check_row, table

REFUSED = r"out of range|Overflow|Division by zero"


@pytest.mark.parametrize(("case", "sql", "result"), table("What DuckDB does"), ids=lambda x: str(x)[:40])
def test_engine(case: str, sql: str, result: str) -> None:
    check_row(duckdb.connect(), duckdb.Error, sql, result)


def overflow_of_reductions(on: On) -> None:
    on.fails(lambda x: x.sum(), REFUSED, T([3e38, 3e38]))
    on.fails(lambda x: x ** 7.5, REFUSED, T([1e10, 1.0]))
    on.fails(lambda x: x.double().mul(x.double()).float(), REFUSED, T([1e30]))


OWN: dict[str, Case] = {
    "integers that pass 64 bits": lambda on: on.fails(lambda i: i.sum(), REFUSED, T([2**62, 2**62])),
    "a reduction, power or cast that overflows float32": overflow_of_reductions,
    "float division by zero": lambda on: on.same(lambda x: (x / 0.0, 1 / x), SPECIAL),
    "integer division by zero": lambda on: on.fails(lambda i: T([6, 7]) // i, REFUSED, T([2, 0])),
    "NaN against another number by `>`": lambda on: on.gives(lambda x: x > 1, [True, False], T([NAN, 0.0])),
    "maximum and max with a NaN": lambda on: on.same(lambda x: (torch.maximum(x, torch.zeros(7)), x.max()), SPECIAL),
    "minimum and min with a NaN": lambda on: on.gives(
        lambda x: torch.minimum(x, T([1.0, 1.0])), [1.0, 0.0], T([NAN, 0.0])),
    "a NaN or infinity `.long()`": lambda on: on.fails(lambda x: x.long(), REFUSED, T([NAN, 1.0])),
    "a matrix product with a NaN": lambda on: on.same(
        lambda x, y: x @ y, T([[NAN] * 5, [1.0] * 5]), torch.ones(5, 2)),
}


def test_every_case_of_the_page_has_a_test() -> None:
    assert sorted(CASES) == sorted([*ALIKE, *OWN])


@pytest.mark.parametrize("case", CASES)
def test_compiled(case: str) -> None:
    (ALIKE | OWN)[case](On("duckdb"))
