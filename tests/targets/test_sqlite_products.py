"""Products on SQLite with more terms than a row has columns."""

from __future__ import annotations

import torch
from torch import nn

import irsql
from tests.models.engine import check_everywhere


class Wide(nn.Module):
    """Two products that are too long for one row, a bias and a residual between them."""

    def __init__(self, terms: int) -> None:
        super().__init__()
        self.a, self.b = nn.Linear(terms, 5), nn.Linear(5, terms)
        self.c = nn.Linear(terms, 3, bias=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.c(x + self.b(torch.relu(self.a(x))))


def test_they_are_rows_of_columns() -> None:
    """Of 1,000 terms there are two rows of 500; 997 is a prime, so the second row ends in zeros."""
    torch.manual_seed(0)
    for terms in (997, 1000):
        x = torch.randn(2, terms)
        check_everywhere(Wide(terms), (x,), (torch.randn(0, terms),), (torch.randn(5, terms),), targets=["sqlite"],
                         dynamic={"x": {0: "S"}})  # fmt: skip


def test_the_plan_of_one() -> None:
    """The stored rows are read once a row of the input, and no index of wide rows is made on the way."""
    compiled = irsql.compile(Wide(1000), (torch.randn(2, 1000),), target="sqlite", dynamic={"x": {0: "S"}})
    products = [s for s in compiled.sql.split(";\n") if '"v_499" *' in s]
    assert len(products) == 2
    for statement in products:
        product = statement.index('CROSS JOIN "model"."stored_')
        assert "SELECT" in statement[product:]  # it is a table of its own: what is grouped are the sums of its rows
        assert "GROUP BY" not in statement[statement.index('"v_499" *'):product]
