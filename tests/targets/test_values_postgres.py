"""docs/values.md is true of PostgreSQL, with pgvector and without: every row of its tables runs here."""

from __future__ import annotations

from collections.abc import Iterator

import psycopg
import pytest
import torch

from irsql.targets.postgres import PgVector
from tests.targets.values import ALIKE, CASES, INF, NAN, SPECIAL, Case, On, T, check_row, table

TARGETS = ("postgres", "pgvector")


@pytest.fixture(scope="module")
def server() -> Iterator[PgVector]:
    with PgVector() as db:
        yield db


@pytest.mark.parametrize(("case", "sql", "result"), table("What PostgreSQL does"), ids=lambda x: str(x)[:40])
def test_engine(case: str, sql: str, result: str, server: PgVector) -> None:
    check_row(server._connection, psycopg.Error, sql, result)


def integers(on: On) -> None:
    on.fails(lambda i: i.sum(), "bigint out of range", T([2**62, 2**62]))
    on.fails(lambda i: i * i, "bigint out of range", T([2**62, 3]))


def overflow(on: On) -> None:
    on.same(lambda x: x.sum(), T([3e38, 3e38]))
    on.same(lambda x: x ** 7.5, T([1e10, 1.0, 0.0, INF, NAN, -1.0, 1e-20]))
    on.same(lambda x: x.double().mul(x.double()).float(), T([1e30]))
    on.gives(lambda x: (x * x) / x, [1.0000000150474662e30], T([1e30]))  # between two steps there is no overflow


def division_by_zero(on: On) -> None:
    on.same(lambda x: (x / 0.0, 1 / x), SPECIAL[[0, 1, 2, 3, 5, 6]])
    on.gives(lambda x: 1 / x, [INF], T([-0.0]))


def greatest(on: On) -> None:
    on.same(lambda x: (torch.maximum(x, torch.zeros(7)), x.max()), SPECIAL)
    on.same(lambda x: x.sum(), T([NAN, 1.0]))


def products(on: On) -> None:
    """Pgvector's vectors hold numbers alone."""
    args = T([[NAN] * 5, [1.0] * 5]), torch.ones(5, 2)
    if on.target == "pgvector":
        on.fails(lambda x, y: x @ y, "NaN not allowed in vector", *args)
    else:
        on.same(lambda x, y: x @ y, *args)


OWN: dict[str, Case] = {
    "integers that pass 64 bits": integers,
    "a reduction, power or cast that overflows float32": overflow,
    "float division by zero": division_by_zero,
    "integer division by zero": lambda on: on.fails(lambda i: T([6, 7]) // i, "division by zero", T([2, 0])),
    "NaN against another number by `>`": lambda on: on.gives(lambda x: x > 1, [True, False], T([NAN, 0.0])),
    "maximum and max with a NaN": greatest,
    "minimum and min with a NaN": lambda on: on.gives(
        lambda x: torch.minimum(x, T([1.0, 1.0])), [1.0, 0.0], T([NAN, 0.0])),
    "a NaN or infinity `.long()`": lambda on: on.fails(lambda x: x.long(), "bigint out of range", T([NAN, 1.0])),
    "a matrix product with a NaN": products,
}


def test_every_case_of_the_page_has_a_test() -> None:
    assert sorted(CASES) == sorted([*ALIKE, *OWN])


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("case", CASES)
def test_compiled(case: str, target: str) -> None:
    (ALIKE | OWN)[case](On(target))
