"""docs/values.md is true of SQLite: every row of its tables runs here."""

from __future__ import annotations

import sqlite3

import pytest
import torch

from tests.targets.values import ALIKE, CASES, INF, NAN, SPECIAL, Case, On, T, check_row, table


@pytest.mark.parametrize(("case", "sql", "result"), table("What SQLite does"), ids=lambda x: str(x)[:40])
def test_engine(case: str, sql: str, result: str) -> None:
    check_row(sqlite3.connect(":memory:"), sqlite3.Error, sql, result)


def integers(on: On) -> None:
    on.fails(lambda i: i.sum(), "integer overflow", T([2**62, 2**62]))
    on.fails(lambda i: i * i, "does not fit in 64 bits", T([2**62, 3]))


def reductions_that_overflow(on: On) -> None:
    on.same(lambda x: x.sum(), T([3e38, 3e38]))
    on.same(lambda x: x ** 7.5, T([1e10, 1.0]))
    on.same(lambda x: x.double().mul(x.double()).float(), T([1e30]))
    on.gives(lambda x: (x * x) / x, [1.0000000150474662e30], T([1e30]))  # between two steps there is no overflow


def division_by_zero(on: On) -> None:
    on.same(lambda x: (x / 0.0, 1 / x), SPECIAL[[0, 1, 2, 3, 5, 6]])
    on.gives(lambda x: 1 / x, [INF], T([-0.0]))


def greatest(on: On) -> None:
    on.same(lambda x: torch.maximum(x, torch.zeros(7)), SPECIAL)
    on.gives(lambda x: x.max(), INF, SPECIAL)
    on.gives(lambda x: x.sum(), 1.0, T([NAN, 1.0]))
    on.same(lambda x, y: x @ y, T([[NAN] * 5, [1.0] * 5]), torch.ones(5, 2))
    on.same(lambda x, y: x @ y, T([[NAN] * 20, [1.0] * 20]), torch.ones(20, 2))


def least(on: On) -> None:
    on.same(lambda x: torch.minimum(x, torch.zeros(7)), SPECIAL)
    on.gives(lambda x: x.min(), -INF, SPECIAL)


def not_a_number_as_integer(on: On) -> None:
    on.fails(lambda x: x.long(), "NULLs where a tensor has numbers", T([NAN, 1.0]))
    assert on.run(lambda x: x.long(), T([INF, 1.0]))[0].tolist() == [2**63 - 1, 1]


OWN: dict[str, Case] = {
    "integers that pass 64 bits": integers,
    "a reduction, power or cast that overflows float32": reductions_that_overflow,
    "float division by zero": division_by_zero,
    "integer division by zero": lambda on: on.fails(
        lambda i: T([6, 7]) // i, "NULLs where a tensor has numbers", T([2, 0])),
    "NaN against another number by `>`": lambda on: on.same(lambda x: (x > 1, ~(x > 1)), T([NAN, 0.0, 2.0])),
    "maximum and max with a NaN": greatest,
    "minimum and min with a NaN": least,
    "a NaN or infinity `.long()`": not_a_number_as_integer,
    "a matrix product with a NaN": lambda on: on.same(
        lambda x, y: x @ y, T([[NAN] * 5, [1.0] * 5]), torch.ones(5, 2)),
}


def test_every_case_of_the_page_has_a_test() -> None:
    assert sorted(CASES) == sorted([*ALIKE, *OWN])


@pytest.mark.parametrize("case", CASES)
def test_compiled(case: str) -> None:
    (ALIKE | OWN)[case](On("sqlite"))
