"""The SQL of two small modules, as it was read and found good, for each target.

A change of the compiler that changes it shows here as a difference to be read;
``python -m pytest tests/targets/test_golden.py --update-golden`` writes it down.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import torch
from torch import nn
from torch.nn import functional

import irsql
from tests.models.targets import TARGETS

GOLDEN = Path(__file__).parent / "golden"
_CLAUSES = re.compile(r" (?=(?:WITH|SELECT|FROM|WHERE|GROUP BY|UNION ALL|(?:INNER|CROSS|LEFT) JOIN)\b"
                      r"|(?<=\), )\"[^\"]+\" AS (?:MATERIALIZED )?\(SELECT)")  # fmt: skip


class Attention(nn.Module):
    """One causal head."""

    def __init__(self) -> None:
        super().__init__()
        self.q, self.k, self.v = (nn.Linear(4, 4, bias=False) for _ in range(3))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        q, k, v = (f(x)[None] for f in (self.q, self.k, self.v))
        return functional.scaled_dot_product_attention(q, k, v, is_causal=True)[0]


MODULES = {
    "mlp": nn.Sequential(nn.Linear(6, 4), nn.SiLU(), nn.Linear(4, 2)),
    "attention": Attention(),
}
INPUTS = {"mlp": 6, "attention": 4}


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("name", MODULES)
def test_the_sql_is_as_it_was_read(name: str, target: str, request: pytest.FixtureRequest) -> None:
    x = torch.zeros(3, INPUTS[name])
    argument = "input" if name == "mlp" else "x"
    compiled = irsql.compile(MODULES[name], (x,), target=target, dynamic={argument: {0: "S"}})
    text = _CLAUSES.sub("\n  ", compiled.sql)  # the emitted text, a clause a line
    path = GOLDEN / target / f"{name}.sql"
    if request.config.getoption("--update-golden"):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    assert path.is_file(), f"read what is emitted, then write it down: pytest {Path(__file__).name} --update-golden"
    assert text == path.read_text(encoding="utf-8")
