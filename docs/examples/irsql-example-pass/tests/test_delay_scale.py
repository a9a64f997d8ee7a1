"""The pass in a compile: what DuckDB computes stays the same, and the division happens elsewhere."""

import torch

import irsql
import irsql.compile
from irsql.compiled import Compiled
from irsql.ir.instruments.verify_semantics import VerifySemantics


class Head(torch.nn.Module):
    """One head of attention over a sequence of any length."""

    def __init__(self) -> None:
        super().__init__()
        self.q, self.k, self.v = (torch.nn.Linear(16, 8, bias=False) for _ in range(3))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.softmax(self.q(x) @ self.k(x).T, dim=-1) @ self.v(x)


def test_the_result_on_duckdb_is_the_same() -> None:
    """Three lengths, next to eager PyTorch and next to the usual pipeline."""
    torch.manual_seed(0)
    head, x = Head().eval(), torch.randn(5, 16)
    usual = irsql.compile(head, (x,), dynamic={"x": {0: "S"}})
    passes = irsql.compile.pipeline().replace("fuse-elementwise", "delay-scale,fuse-elementwise")
    delayed = irsql.compile(head, (x,), dynamic={"x": {0: "S"}}, pipeline=passes, instruments=[VerifySemantics()])
    for length in (1, 5, 33):
        x = torch.randn(length, 16)
        with torch.no_grad():
            torch.testing.assert_close(delayed(x), head(x))
        torch.testing.assert_close(delayed(x), usual(x))
    assert order(usual) == ["div", "contract"]
    assert order(delayed) == ["contract", "div"]


def order(compiled: Compiled) -> list[str]:
    """Whether the division of softmax stands before or after the last product."""
    text = compiled.ir("tir")
    places = {"div": text.rindex('kind = "div"'), "contract": text.rindex('"tir.contract"')}
    return sorted(places, key=lambda name: places[name])
