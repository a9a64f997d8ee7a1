"""Calls of a compiled module: what changes between calls is a tensor of the compiled type; anything else is refused."""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import irsql
from irsql.compile import pipeline
from irsql.frontend.captured import CaptureError
from irsql.frontend.small_sizes import SizeWarning
from irsql.ir.core import IRError
from irsql.ir.pipeline import parse_pipeline
from irsql.tools.irsql_opt import main


class Function(nn.Module):
    """A function as a module."""

    def __init__(self, function: Callable[..., Any]) -> None:
        super().__init__()
        self.function = function

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        return self.function(*args, **kwargs)


X = torch.tensor([1.0, -2.5, 3.25])


@pytest.mark.parametrize(
    ("function", "fixed", "other"),
    [
        (lambda x, y: x * y, 2.5, 3.5),
        (lambda x, y: x * y, 2, 3),
        (lambda x, y: x * 2 if y else x, True, False),
        (lambda x, y: x * 2 if y == "a" else x, "a", "b"),
        (lambda x, y: x if y is None else x * y, None, X),
    ],
    ids=["float", "int", "bool", "string", "none"],
)
def test_arguments_that_are_no_tensors_are_fixed(function: Callable[..., Any], fixed: Any, other: Any) -> None:
    compiled = irsql.compile(Function(function).eval(), (X, fixed))
    assert torch.equal(compiled(X, fixed), function(X, fixed))
    with pytest.raises(CaptureError, match="only tensors may change from call to call"):
        compiled(X, other)


def test_fixed_keyword_arguments() -> None:
    module = Function(lambda x, *, scale: x * scale).eval()
    compiled = irsql.compile(module, (X,), {"scale": 2})
    assert torch.equal(compiled(X, scale=2), X * 2)
    with pytest.raises(CaptureError, match="captured with 2"):
        compiled(X, scale=3)


def test_another_type_is_refused_and_not_truncated() -> None:
    table, rows = torch.arange(10.0).reshape(5, 2), torch.tensor([1, 3])
    compiled = irsql.compile(Function(lambda t, i: t[i]).eval(), (table, rows))
    assert torch.equal(compiled(table, rows), table[rows])
    with pytest.raises(ValueError, match="is float32, expected int64"):
        compiled(table, torch.tensor([1.7, 3.2]))
    with pytest.raises(ValueError, match="is float64, expected float32"):
        compiled(table.double(), rows)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float64, torch.int32, torch.uint8, torch.bool])
def test_arguments_of_every_type(dtype: torch.dtype) -> None:
    x: Tensor = torch.tensor([0.0, 1.5, 3.0]).to(dtype)
    module = Function(lambda x: x.float() * 2).eval()
    assert torch.equal(irsql.compile(module, (x,))(x), module(x))


class Scale(nn.Module):
    def forward(self, x: Tensor, by: Tensor) -> Tensor:
        return x * by


def test_arguments_by_position_and_by_name_are_the_same() -> None:
    two = torch.tensor([2.0])
    for compiled in (irsql.compile(Scale(), (X, two)), irsql.compile(Scale(), (X,), {"by": two})):
        for result in (compiled(X, two), compiled(X, by=two), compiled(by=two, x=X)):
            assert torch.equal(result, X * 2)
        for args, kwargs, problem in [
            ((), {}, "x, by is missing"),
            ((X,), {}, "by is missing"),
            ((X, two, two), {}, "3 are given"),
            ((X, two), {"by": two}, "by is given twice"),
            ((X,), {"by": two, "of": two}, "3 are given"),
        ]:
            with pytest.raises(CaptureError, match=f"captured with the arguments x, by: {problem}"):
                compiled(*args, **kwargs)


def test_a_function_is_compiled_like_a_module() -> None:
    compiled = irsql.compile(lambda x: x * 2 + 1, (X,))
    assert torch.equal(compiled(X), X * 2 + 1)


def _branches(x: Tensor) -> Tensor:
    if x.sum() > 0:
        return x
    return -x


@pytest.mark.parametrize(
    ("module", "args", "dynamic", "message"),
    [
        (nn.Linear(3, 2), X, None, "args are the example inputs as a tuple, .* given is a Tensor"),
        (3, (X,), None, "a torch.nn.Module or a function of tensors is captured, not 3"),
        (nn.Linear, (X,), None, "a torch.nn.Module or a function of tensors is captured"),
        (nn.Linear(3, 2), (X,), {"input": [0]}, r"dynamic maps the axes of 'input' to names.*given is \[0\]"),
        (nn.Linear(3, 2), (X[None],), {"input": {1: "B"}}, r"Constraints violated \(B\)! You marked B as dynamic but"),
        (_branches, (X,), None, r"test_compile_calls.py:\d+ branches on values \(if x.sum\(\) > 0:\): torch.where"),
        (nn.Linear(3, 2), (X[:2],), None, "cannot capture Linear"),
    ],
)
def test_what_cannot_be_captured(
    module: Any, args: Any, dynamic: Any, message: str, capfd: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(CaptureError, match=message):
        irsql.compile(module, args, dynamic=dynamic)
    assert capfd.readouterr().err == ""


def test_an_index_outside_of_its_tensor_is_an_error() -> None:
    compiled = irsql.compile(lambda table, rows: table[rows], (torch.arange(10.0).reshape(5, 2), torch.tensor([1, 3])))
    with pytest.raises(ValueError, match="an index outside of its tensor finds no row"):
        compiled(torch.arange(10.0).reshape(5, 2), torch.tensor([1, 5]))


def test_passes_of_ones_own_and_dumps(tmp_path: Path) -> None:
    """What an own pipeline leaves out is not done, and every dump continues to the same SQL."""
    short = pipeline().replace("fuse-elementwise,", "").replace("inline-ctes,", "")
    compiled = irsql.compile(lambda x: torch.relu(x) * 2, (X,), pipeline=short, dump_dir=tmp_path / "dump")
    assert torch.equal(compiled(X), torch.relu(X) * 2)
    assert compiled.sql.count("SELECT") > irsql.compile(lambda x: torch.relu(x) * 2, (X,)).sql.count("SELECT")
    manifest = json.loads((tmp_path / "dump" / "manifest.json").read_text())
    assert [row["pass"] for row in manifest["passes"][1:]] == [p.spec for p in parse_pipeline(short)]
    with pytest.raises(IRError, match="no pass is called 'nonsense'"):
        irsql.compile(lambda x: x, (X,), pipeline="nonsense")


def test_sql_of_a_dump(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    compiled = irsql.compile(nn.Linear(3, 2), (X[None],), dump_dir=tmp_path / "dump")
    manifest = json.loads((tmp_path / "dump" / "manifest.json").read_text())
    files = [tmp_path / "dump" / row["file"] for row in manifest["passes"] if row["file"]]
    assert main([str(files[-1]), "--emit-sql"]) == 0
    statements = compiled.sql.replace(";\n\n", ";\n")
    assert capsys.readouterr().out == f"-- @forward\n{statements}"
    assert main([str(files[0]), "--emit-sql"]) == 1
    assert "SQL is written from the sql stage, this module is of stage tir" in capsys.readouterr().err


def test_examples_that_are_one_tensor_are_two_inputs() -> None:
    compiled = irsql.compile(lambda x, y: x + 10 * y, (X, X))
    assert torch.equal(compiled(torch.ones(3), torch.zeros(3)), torch.ones(3))
    compiled = irsql.compile(lambda xs: xs[0] - xs[1], ([X, X],))
    assert torch.equal(compiled([torch.ones(3), torch.zeros(3)]), torch.ones(3))


@pytest.mark.parametrize("index", [3, 5])
def test_an_index_outside_of_a_slice_finds_nothing_behind_it(index: int) -> None:
    table, rows = torch.arange(12.0).reshape(6, 2), torch.tensor([1, 2])
    compiled = irsql.compile(lambda t, i: t[:3][i], (table, rows))
    assert torch.equal(compiled(table, rows), table[rows])
    with pytest.raises(ValueError, match="an index outside of its tensor"):
        compiled(table, torch.tensor([1, index]))
    picked = irsql.compile(lambda t, i: t[:, :1].gather(1, i), (table, torch.zeros(6, 1, dtype=torch.long)))
    with pytest.raises(ValueError, match="an index outside of its tensor"):
        picked(table, torch.ones(6, 1, dtype=torch.long))


SMALL: dict[str, tuple[Callable[[Tensor], Any], int]] = {
    "branch on 1": (lambda x: x * 2 if x.shape[0] == 1 else x * 3, 2),
    "squeeze": (lambda x: x.squeeze(0), 2),
    "slice behind the end": (lambda x: x[1:2], 2),
    "broadcast of 1": (lambda x: x + x[:1], 1),
    "nothing special": (lambda x: x.relu().sum(0), 0),
}


@pytest.mark.parametrize("name", SMALL)
def test_sizes_that_the_graph_does_not_hold_for_are_refused(name: str) -> None:
    function, low = SMALL[name]
    example = torch.randn(3, 4)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", SizeWarning)
        compiled = irsql.compile(function, (example,), dynamic={"x": {0: "S"}})
    assert len([w for w in caught if w.category is SizeWarning]) == (low > 0)
    for size in (0, 1, 2, 3):
        x = example[:size]
        if size < low:
            with pytest.raises(ValueError, match=rf"the size S is {size}, outside of \[{low}, "):
                compiled(x)
        else:
            torch.testing.assert_close(compiled(x), function(x))


def test_dicts_in_another_order_are_the_same() -> None:
    compiled = irsql.compile(lambda d: d["a"] - d["b"], ({"a": X, "b": X * 2},))
    assert torch.equal(compiled({"b": X, "a": X * 3}), X * 2)
    with pytest.raises(CaptureError, match="structure"):
        compiled({"a": X, "c": X})


def test_threads_take_turns() -> None:
    compiled = irsql.compile(nn.Linear(3, 2), (X[None],))
    inputs = [torch.full((1, 3), float(n)) for n in range(20)]
    with ThreadPoolExecutor(4) as pool:
        for x, got in zip(inputs, pool.map(compiled, inputs), strict=True):
            torch.testing.assert_close(got, compiled(x), rtol=0, atol=0)


@pytest.mark.parametrize("moved", [
    lambda w: nn.functional.pad(w, (2, -1), value=1.0), lambda w: torch.cat([w[:, 1:], w[:, :2] * 2.0], 1),
    lambda w: w.T[1:].flip(0), lambda w: w[::2] + w[1:] * w[:2], lambda w: (w * w[0]).T * w[:, 0] + 1.0,
])  # fmt: skip
def test_parts_of_a_parameter_are_loaded_as_they_are(moved: Callable[[Tensor], Tensor]) -> None:
    class Parts(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.w = nn.Parameter(torch.arange(12.0).reshape(3, 4) - 5)

        def forward(self, x: Tensor) -> Tensor:
            return moved(self.w) * x[:1]

    module = Parts()
    torch.testing.assert_close(irsql.compile(module, (X,))(X), module(X).detach(), rtol=0, atol=0)


def test_what_cannot_be_streamed_is_one_constant() -> None:
    class Mixed(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.w = nn.Parameter(torch.arange(12.0).reshape(3, 4))

        def forward(self, x: Tensor) -> Tensor:
            return (self.w * 2.0 + 1.0).exp().sum(1) + (self.w * 3.0 - self.w.exp()).sum(1) * x

    module = Mixed()
    compiled = irsql.compile(module, (X,))
    used = {step.name for stored in compiled.program.stored for step in stored.steps if step.kind == "constant"}
    assert set(compiled.program.constants) == used
    torch.testing.assert_close(compiled(X), module(X).detach(), rtol=1e-5, atol=0)
