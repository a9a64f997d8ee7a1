"""Modules that run as SQL equal eager PyTorch; what cannot be compiled gives one report."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils import _pytree as pytree

import irsql
from irsql.compile import pipeline
from irsql.compiled import Compiled
from irsql.frontend.importer import UnsupportedError
from irsql.ir.parser import parse_module
from irsql.ir.verifier import verify
from tests.models.importing import Call
from tests.models.modules import ConvNet, Deep, Encoder, FactorsOfSums, Gated, Mlp, TwoOutputs, seeded
from tests.models.running import relative_error
from tests.models.targets import TARGETS, on_targets

TOLERANCE = 1e-4
"""Largest error of a row: ``max|a - b| / max|b|``."""


everywhere = pytest.mark.parametrize("target", TARGETS)


def normal(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def same(got: Any, want: Any) -> None:
    """Same structure, types and shapes; equal integers; floats within the tolerance in every row."""
    flat_got, flat_want = (pytree.tree_leaves(x) for x in (got, want))
    assert len(flat_got) == len(flat_want)
    for a, b in zip(flat_got, flat_want, strict=True):
        assert a.dtype == b.dtype
        assert a.shape == b.shape
        if not b.dtype.is_floating_point:
            assert torch.equal(a, b)
        else:
            assert not a.isnan().any()
            finite = b.isfinite()
            assert torch.equal(a[~finite], b[~finite])
            zero = torch.zeros(())
            a, b = (torch.where(finite, x, zero).reshape(*(x.shape or (1,))) for x in (a, b))
            assert relative_error(a, b) <= TOLERANCE


def agree(module: nn.Module, compiled: Compiled, *args: Tensor) -> None:
    with torch.no_grad():
        same(compiled(*args), module(*args))


def compiles(
    module: nn.Module,
    args: Sequence[Tensor],
    dynamic: Mapping[str, Mapping[int, Any]] | None = None,
    target: str = "duckdb",
) -> Compiled:
    compiled: Compiled = irsql.compile(module, tuple(args), dynamic=dynamic, target=target)
    agree(module, compiled, *args)
    return compiled


# -- whole models --------------------------------------------------------------------------------------
@everywhere
def test_mlp(target: str) -> None:
    module = seeded(Mlp())
    compiled = compiles(module, [normal(4, 16)], {"x": {0: "B"}}, target)
    for batch in (0, 1, 7):
        agree(module, compiled, normal(batch, 16, seed=batch))


@everywhere
def test_products_in_a_row(target: str) -> None:
    """Some of a statement, some of the next: by layers, and by how many they are."""
    module = seeded(Deep())
    compiled = compiles(module, [normal(4, 17)], {"x": {0: "B"}}, target)
    for batch in (0, 1, 7):
        agree(module, compiled, normal(batch, 17, seed=batch))
    if target == "duckdb":
        assert len(compiled.program.functions["forward"].statements) < 8


@everywhere
def test_products_that_meet_element_by_element(target: str) -> None:
    module = seeded(Gated())
    compiled = compiles(module, [normal(4, 19)], {"x": {0: "B"}}, target)
    assert sorted(s.table.extents for s in compiled.program.stored if len(s.table.extents) == 3) == [
        (13, 2, 19), (19, 2, 19)], "gate and up, a and b; c is read the other way round"
    for batch in (0, 1, 7):
        agree(module, compiled, normal(batch, 19, seed=batch))


@everywhere
@pytest.mark.parametrize("width", [1024, 1031])
def test_wide_products_in_the_layouts_that_are_chosen(target: str, width: int) -> None:
    """Axes as long as a model's; DuckDB's lanes stand in several rows where the axis can be cut, also side by side."""
    module = seeded(Gated(width))
    compiled = compiles(module, [normal(4, width)], {"x": {0: "B"}}, target)
    for batch in (0, 1, 7):
        agree(module, compiled, normal(batch, width, seed=batch))
    if target == "duckdb":
        cut = {s.table.extents: {p.axis for p in s.table.parts if p.place == "column"}
               for s in compiled.program.stored if len(s.table.keys) == 2 and s.table.extents[-1] == width}
        # the first has the rows of both its products side by side; 13 rows are not worth it, and no cut divides 1,031
        assert cut == ({(1024, 2, 1024): {1, 2}, (1024, 1024): {1}} if width == 1024 else {})


@everywhere
@pytest.mark.parametrize("least", [0, 1])
def test_factors_that_come_out_of_sums(least: int, target: str) -> None:
    """The scale of a norm, and where it always has a term the sum of a softmax; an empty average is 0."""
    module = seeded(FactorsOfSums())

    def args(batch: int, terms: int, size: float = 1.0) -> list[Tensor]:
        return [size * normal(batch, 11, seed=batch), 30 * normal(batch, terms, seed=2), normal(terms, 3, seed=terms)]

    t = ("T", least, 50)
    dims: dict[str, dict[int, Any]] = {"x": {0: "B"}, "s": {0: "B", 1: t}, "v": {0: t}}
    compiled = compiles(module, args(4, 9), dims, target)
    without = pipeline(target=target).replace("eager-aggregation,", "")
    plain = irsql.compile(module, tuple(args(4, 9)), dynamic=dims, target=target, pipeline=without)
    assert compiled.sql != plain.sql
    for batch, terms, size in ((1, 1, 1.0), (0, 5, 1.0), (7, 50, 0.0), (2, 3, 1e15), (2, 3, 1e-15), (3, least, 1.0)):
        agree(module, compiled, *args(batch, terms, size))


def padding(*lengths: int, width: int) -> Tensor:
    """A mask of the first tokens of each row."""
    return torch.arange(width) < torch.tensor(lengths)[:, None]


@everywhere
def test_encoder_with_padding_mask(target: str) -> None:
    module = seeded(Encoder())
    dynamic = {"x": {0: "B", 1: "S"}, "mask": {0: "B", 1: "S"}}
    compiled = compiles(module, [normal(2, 5, 24), padding(5, 3, width=5)], dynamic, target)
    agree(module, compiled, normal(3, 9, 24, seed=1), padding(9, 1, 4, width=9))
    agree(module, compiled, normal(1, 1, 24, seed=2), padding(1, width=1))


@everywhere
def test_two_outputs_integer_input_symbolic_batch(target: str) -> None:
    module = seeded(TwoOutputs())
    ids = torch.randint(0, 11, (7, 3), generator=torch.Generator().manual_seed(0))
    compiled = compiles(module, [ids, normal(7, 8)], {"ids": {0: "B"}, "x": {0: "B"}}, target)
    for batch in (0, 1, 7):
        agree(module, compiled, ids[:batch], normal(batch, 8, seed=batch))


def test_convolution_runs_or_is_reported_whole() -> None:
    """Everything that is missing stands in one report, before anything runs."""
    with pytest.raises(UnsupportedError) as caught:
        irsql.compile(ConvNet().eval(), (normal(2, 3, 12, 12),))
    report = str(caught.value)
    assert "3 nodes" in report
    assert "aten.conv2d.default (×2)" in report
    assert "aten.max_pool2d.default (×1)" in report
    line = inspect.getsourcelines(ConvNet.forward)[1] + 1
    assert report.count(f"modules.py:{line}:") == 2
    assert report.count("help: ") == 2


# -- small functions, at sizes no tile divides -----------------------------------------------------------
FUNCTIONS: dict[str, tuple[Callable[..., Any], tuple[Tensor, ...]]] = {
    "views": (lambda x: x.reshape(5, 3, 7).transpose(0, 2).reshape(7, 15) * 2, (normal(15, 7),)),
    "transposed product": (lambda x, y: x.transpose(1, 2) @ y, (normal(3, 5, 7), normal(3, 5, 9))),
    "slices": (lambda x: x[:, 1:6:2] + x[:, -3:] - x[:, :3], (normal(5, 7),)),
    "concat": (lambda x, y: torch.cat([x, y, x[:, :2]], 1).tanh(), (normal(3, 5), normal(3, 7))),
    "stack": (lambda x, y: torch.stack([x, y], 1), (normal(3, 5), normal(3, 5, seed=1))),
    "gather rows": (lambda x, i: x[i], (normal(11, 9), torch.tensor([[3, 0, 10], [3, 9, 1]]))),
    "gather along": (lambda x, i: x.gather(1, i), (normal(4, 9), torch.tensor([[3, 0], [8, 8], [1, 2], [5, 5]]))),
    "softmax": (lambda x: torch.softmax(x, 1), (normal(3, 7, 5),)),
    "log softmax": (lambda x: F.log_softmax(x * 30, -1), (normal(3, 13),)),
    "argmax": (lambda x: x.argmax(-1), (torch.tensor([[1.0, 3.0, 3.0], [2.0, 2.0, -1.0], [-5.0, -4.0, -3.0]]),)),
    "top k": (lambda x: torch.topk(x, 3, dim=-1), (normal(5, 11),)),
    "cumulative sum": (lambda x: x.cumsum(1), (normal(3, 7),)),
    "where": (lambda x, y: torch.where(x > y, x.exp(), y * 0.5), (normal(5, 7), normal(7))),
    "broadcast": (lambda x, y: x[:, None, :] * y[None, :, :] + x.mean(), (normal(3, 7), normal(5, 7))),
    "reductions": (lambda x: (x.sum(0), x.amax(1), x.amin(), x.mean((0, 1))), (normal(5, 9),)),
    "layer norm": (lambda x, w: F.layer_norm(x, (13,), w), (normal(3, 13), normal(13, seed=2))),
    "activations": (
        lambda x: (F.silu(x), F.gelu(x, approximate="tanh"), torch.sigmoid(x), x.abs().sqrt()), (normal(3, 7),)
    ),
    "integers": (lambda i: (i // 3, i % 3, -i, i * i), (torch.arange(-7, 8),)),
    "booleans": (lambda x: ((x > 0) & (x < 1), ~(x > 0)), (normal(3, 7),)),
    "triangle": (lambda x: torch.tril(x) + torch.triu(x, 1) * 2, (normal(5, 7),)),
    "scalar": (lambda x: (x * x).sum(), (normal(3, 5),)),
    "rotate half": (lambda x: torch.cat([-x[..., 3:], x[..., :3]], -1), (normal(2, 5, 6),)),
    "repeat heads": (lambda x: x[:, :, None].expand(2, 3, 4, 5).reshape(2, 12, 5), (normal(2, 3, 5),)),
    "one hot": (lambda i: F.one_hot(i, 7).float(), (torch.tensor([0, 6, 3]),)),
    "empty": (lambda x: (x.sum(0), x @ torch.ones(5, 2)), (normal(0, 5),)),
}


@on_targets(FUNCTIONS)
def test_function(name: str, target: str) -> None:
    function, args = FUNCTIONS[name]
    compiles(Call(function), args, target=target)


def test_results_may_be_nested() -> None:
    class Nested(nn.Module):
        def forward(self, x: Tensor) -> dict[str, Any]:
            return {"sum": x.sum(-1), "pair": (x * 2, None)}

    module = Nested()
    x = normal(3, 5)
    got = irsql.compile(module, (x,))(x)
    assert got["pair"][1] is None
    same([got["sum"], got["pair"][0]], [x.sum(-1), x * 2])


# -- what there is to look at ----------------------------------------------------------------------------
def test_sql_and_ir_of_every_stage() -> None:
    compiled = compiles(seeded(Mlp()), [normal(3, 16)])
    assert "SELECT" in compiled.sql
    for stage in ("tir", "rel", "tiled", "sql"):
        module = parse_module(compiled.ir(stage))
        verify(module)
        assert module.attrs_["stage"] == stage
    with pytest.raises(KeyError, match="there are tir, rel, tiled, sql"):
        compiled.ir("nowhere")


@everywhere
def test_calls_do_not_depend_on_each_other(target: str) -> None:
    module = seeded(Mlp())
    compiled = compiles(module, [normal(4, 16)], {"x": {0: "B"}}, target)
    first = compiled(normal(4, 16))
    agree(module, compiled, normal(9, 16, seed=3))
    assert torch.equal(compiled(normal(4, 16)), first)


def test_wrong_arguments_are_refused() -> None:
    compiled = compiles(seeded(Mlp()), [normal(4, 16)])
    with pytest.raises(ValueError, match="shape"):
        compiled(normal(4, 15))


@everywhere
@pytest.mark.parametrize("function", [lambda x: torch.relu(x * 1.01 - 0.01), lambda x: torch.tanh(x * 1.01 + 0.01)])
def test_long_chains_stay_within_what_sql_can_nest(function: Any, target: str) -> None:
    def chain(x: Tensor) -> Tensor:
        for _ in range(200):
            x = function(x)
        return x

    x = torch.randn(3, 4, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(irsql.compile(chain, (x,), target=target)(x), chain(x))
