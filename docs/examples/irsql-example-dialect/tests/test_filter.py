"""A learned filter (Rao et al. 2021, "Global Filter Networks"), from PyTorch down to DuckDB."""

import pytest
import torch
from irsql_example_dialect.torch_ops import irdft, rdft

import irsql
import irsql.compile


class Filter(torch.nn.Module):
    """Makes each frequency louder or softer."""

    def __init__(self, n: int) -> None:
        super().__init__()
        self.gain = torch.nn.Parameter(torch.rand(n // 2 + 1))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        real, imaginary = rdft(x)
        return irdft(real * self.gain, imaginary * self.gain, x.shape[-1])


@pytest.mark.parametrize("n", [1, 7, 32])
def test_a_filter_on_duckdb(n: int) -> None:
    """The spectrum is filtered as torch.fft would, at lengths that are odd, even and 1."""
    torch.manual_seed(0)
    module, x = Filter(n).eval(), torch.randn(3, n)
    passes = "convert-fourier-to-tir," + irsql.compile.pipeline()
    compiled = irsql.compile(module, (x,), dynamic={"x": {0: "S"}}, pipeline=passes)
    for rows in (1, 3, 10):
        x = torch.randn(rows, n)
        torch.testing.assert_close(compiled(x), module(x).detach(), rtol=1e-5, atol=1e-6)
