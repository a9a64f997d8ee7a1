"""What is written for SQLite: sqlglot reads it back as it stands, and SQLite's limits are kept."""

from __future__ import annotations

import pytest
import torch
from sqlglot import exp, parse_one
from torch import Tensor
from torch.nn import functional as F

import irsql
from irsql.compiled import Compiled
from irsql.frontend.export import as_module
from tests.models.modules import Encoder, Mlp, seeded


def compiled(module: torch.nn.Module, *args: Tensor) -> Compiled:
    out: Compiled = irsql.compile(module, args, target="sqlite")
    return out


@pytest.mark.parametrize("name", ["mlp", "encoder", "functions"])
def test_it_reads_back(name: str) -> None:
    def functions(x: Tensor) -> tuple[Tensor, ...]:
        return (x.argmax(1), x.sort(descending=True)[0], x.cumsum(1), F.gelu(x), torch.floor(x / 0.3), x.long() % 3,
                x.isnan(), x.log())  # fmt: skip

    x = torch.randn(2, 5, 24)
    sql = {
        "mlp": lambda: compiled(seeded(Mlp()), torch.randn(4, 16)),
        "encoder": lambda: compiled(seeded(Encoder()), x, torch.ones(2, 5, dtype=torch.bool)),
        "functions": lambda: compiled(as_module(functions), torch.randn(3, 5)),
    }[name]().sql
    for statement in sql.rstrip(";\n").split(";\n\n"):
        tree = parse_one(statement, dialect="sqlite")
        assert isinstance(tree, exp.Insert)
        assert tree.sql("sqlite") == statement


def test_products_of_many_terms_stay_within_the_columns_of_a_table() -> None:
    torch.manual_seed(0)
    for length in (900, 901, 2100):
        layer, x = torch.nn.Linear(length, 3).eval(), torch.randn(2, length)
        module = compiled(layer, x)
        assert ("v_899" in module.sql) == (length == 900)
        torch.testing.assert_close(module(x), layer(x).detach(), rtol=1e-4, atol=1e-5)


def test_many_constant_rows() -> None:
    """A compound select has at most 500 terms; rows of VALUES are not counted."""
    table = torch.randn(700)
    module = as_module(lambda x: x + torch.arange(700) * 0.5 + table.sum())
    torch.testing.assert_close(compiled(module, table)(table), module(table))


def test_long_unions() -> None:
    x = torch.randn(600)
    module = as_module(lambda x: torch.stack([x[i] * i for i in range(600)]))
    torch.testing.assert_close(compiled(module, x)(x), module(x))
