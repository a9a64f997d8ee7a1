"""``torch.compile(model, backend="irsql")`` against eager PyTorch; graphs of ``torch.fx.symbolic_trace``."""

from __future__ import annotations

import gc
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch._dynamo.exc import BackendCompilerFailed
from torch.utils._pytree import tree_leaves

import irsql
from irsql import torch_backend
from irsql.compile import compile_captured
from irsql.relations import Relations
from irsql.torch_backend import GraphBreakWarning


@pytest.fixture(autouse=True)
def _fresh() -> Iterator[None]:
    torch._dynamo.reset()
    torch.manual_seed(0)
    yield
    torch._dynamo.reset()


def same(got: Any, wanted: Any) -> None:
    for g, w in zip(tree_leaves(got), tree_leaves(wanted), strict=True):
        if isinstance(w, torch.Tensor):
            torch.testing.assert_close(g, w)
        else:
            assert g == w


class Block(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(6)
        self.up, self.down = nn.Linear(6, 9), nn.Linear(9, 6)
        self.scale: torch.Tensor
        self.register_buffer("scale", torch.rand(6))

    def forward(self, x: torch.Tensor, times: int = 2) -> dict[str, Any]:
        y = x + self.down(F.gelu(self.up(self.norm(x)))) * self.scale * times
        return {"y": y, "pair": (y.sum(-1), times), "rows": x.shape[0]}


def stored() -> set[str]:
    gc.collect()
    return torch_backend.relations().names


def test_equals_eager_for_every_size_and_plain_number() -> None:
    module = Block()
    compiled = torch.compile(module, backend="irsql")
    for rows in (5, 6, 1, 0, 11):
        x = torch.randn(rows, 6)
        same(compiled(x), module(x))
    for times in (3, 4, 2, 9):
        same(compiled(torch.ones(4, 6), times), module(torch.ones(4, 6), times))


@pytest.mark.parametrize("options", [{"dynamic": True}, {"fullgraph": True}, {"dynamic": False}], ids=str)
def test_options_of_torch_compile(options: dict[str, Any]) -> None:
    module = Block()
    compiled = torch.compile(module, backend="irsql", **options)
    for rows in (4, 3, 4):
        x = torch.randn(rows, 6)
        same(compiled(x), module(x))


@pytest.mark.parametrize("context", [torch.no_grad, torch.inference_mode, torch.enable_grad])
def test_grad_modes(context: Callable[[], Any]) -> None:
    module, x = Block(), torch.randn(3, 6)
    with context():
        same(torch.compile(module, backend="irsql")(x), module(x))


def test_parameters_are_stored_once(monkeypatch: pytest.MonkeyPatch) -> None:
    before = stored()
    filled: list[str] = []
    original = Relations.add

    def add(self: Any, program: Any, weights: Any) -> None:
        known = self.names
        original(self, program, weights)
        filled.extend(s.table.name for s in program.stored if s.table.name not in known)

    monkeypatch.setattr(Relations, "add", add)
    compilations: list[Any] = []
    def compile_and_note(*args: Any, **kwargs: Any) -> Any:
        compilations.append(compile_captured(*args, **kwargs))
        return compilations[-1]

    monkeypatch.setattr("irsql.torch_backend.compile_captured", compile_and_note)
    module = Block()
    compiled = torch.compile(module, backend="irsql", dynamic=False)
    for rows in (4, 3, 5):
        compiled(torch.randn(rows, 6))
    assert len(compilations) == 3
    assert len(filled) == len(set(filled)) == len(stored() - before) > 0
    del compiled, module
    compilations.clear()
    torch._dynamo.reset()
    assert stored() == before  # nothing stays of a model that is gone


@pytest.mark.parametrize("change", [
    lambda m: m.up.weight.mul_(3), lambda m: m.up.weight.data.neg_(), lambda m: m.scale.zero_(),
    lambda m: m.load_state_dict(Block().state_dict()), lambda m: setattr(m.down, "bias", nn.Parameter(torch.ones(6))),
    lambda m: setattr(m.down.bias, "data", torch.zeros(6)),
], ids=["in-place", "data", "buffer", "state-dict", "other-parameter", "other-data"])  # fmt: skip
def test_a_changed_parameter_is_seen(change: Callable[[Block], Any]) -> None:
    module, x = Block(), torch.randn(3, 6)
    compiled = torch.compile(module, backend="irsql")
    with torch.no_grad():
        first = compiled(x)["y"].clone()
        change(module)
        same(compiled(x), module(x))
        assert not torch.equal(module(x)["y"], first)


def test_open_numbers() -> None:
    def function(x: torch.Tensor, a: float, b: int, c: bool) -> torch.Tensor:
        return (x * a + b) if c else x / a

    compiled = torch.compile(function, backend="irsql", dynamic=True)
    for a, b, c in ((0.5, 2, True), (0.25, 3, True), (0.125, 3, False), (2.0, 2, True), (0.5, 2, True)):
        x = torch.randn(4)
        same(compiled(x, a, b, c), function(x, a, b, c))


def test_two_models_of_one_class() -> None:
    modules = [Block(), Block()]
    compiled = [torch.compile(m, backend="irsql") for m in modules]
    x = torch.randn(2, 6)
    for _ in range(2):
        for module, run in zip(modules, compiled, strict=True):
            same(run(x), module(x))


def test_tied_and_repeated_inputs() -> None:
    class Tied(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first = nn.Linear(4, 4)
            self.second = self.first

        def forward(self, a: torch.Tensor, b: torch.Tensor, many: list[torch.Tensor]) -> Any:
            return self.second(self.first(a)) @ self.first.weight + b, many[1] - many[0], self.first.bias, a

    module, x = Tied(), torch.randn(4, 4)
    compiled = torch.compile(module, backend="irsql")
    same(compiled(x, x, [x, x + 1]), module(x, x, [x, x + 1]))
    y = torch.randn(4, 4)
    same(compiled(x, y, [y, x]), module(x, y, [y, x]))


def test_a_transformers_model() -> None:
    transformers = pytest.importorskip("transformers")
    config = transformers.LlamaConfig(vocab_size=61, hidden_size=24, intermediate_size=40, num_hidden_layers=2,
                                      num_attention_heads=4, num_key_value_heads=2)  # fmt: skip
    model = transformers.LlamaForCausalLM(config).eval()
    compiled = torch.compile(model, backend="irsql")
    with torch.no_grad():
        for length in (5, 8):
            ids = torch.randint(0, 61, (2, length))
            same(compiled(ids, use_cache=False).logits, model(ids, use_cache=False).logits)


def test_a_graph_break_warns_at_the_line() -> None:
    def function(x: torch.Tensor) -> torch.Tensor:
        y = x * 2
        torch._dynamo.graph_break()
        return y.sum(0)

    x = torch.randn(3, 2)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        same(torch.compile(function, backend="irsql")(x), function(x))
    (warning,) = [w for w in caught if w.category is GraphBreakWarning]
    line = function.__code__.co_firstlineno + 2
    assert (warning.filename, warning.lineno) == (__file__, line)
    assert "graph break: " in str(warning.message)


def test_no_graph_break_no_warning() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error", GraphBreakWarning)
        torch.compile(lambda x: x * 2, backend="irsql")(torch.ones(2))


def test_gradients_are_an_error() -> None:
    module = Block()
    out = torch.compile(module, backend="irsql")(torch.randn(3, 6))["y"]
    assert out.requires_grad
    with pytest.raises(RuntimeError, match="compiled to SQL has no gradients"):
        out.sum().backward()
    with torch.no_grad():
        assert not torch.compile(module, backend="irsql")(torch.randn(3, 6))["y"].requires_grad


@pytest.mark.parametrize(("module", "problem"), [
    (nn.Dropout(0.5), "dropout draws random numbers"),
    (nn.BatchNorm1d(4), "must not change its buffers"),
    (lambda x: x.add_(1), "writes to its input x in place"),
    (lambda x: torch.fft.fft(x), "aten.fft_fft.default"),
], ids=["dropout", "batch-norm", "in-place", "operator"])  # fmt: skip
def test_what_cannot_run_is_one_error(module: Any, problem: str) -> None:
    with pytest.raises(BackendCompilerFailed, match=problem):
        torch.compile(module, backend="irsql")(torch.randn(3, 4))


def test_backend_options(tmp_path: Any) -> None:
    with pytest.raises(BackendCompilerFailed, match=r"no option 'layout'.*target, pipeline, dump_dir"):
        torch.compile(nn.Linear(2, 2), backend="irsql", options={"layout": "x"})(torch.ones(1, 2))
    torch.compile(nn.Linear(2, 2), backend="irsql", options={"dump_dir": tmp_path / "dump"})(torch.ones(1, 2))
    (folder,) = (tmp_path / "dump").iterdir()
    text = next(folder.glob("00_tir/000_*.mlir")).read_text()
    assert 'parameter = "weight"' in text


def test_locations_are_those_of_the_model(tmp_path: Any) -> None:
    torch.compile(Block(), backend="irsql", options={"dump_dir": tmp_path})(torch.ones(2, 6))
    (folder,) = tmp_path.iterdir()
    text = next(folder.glob("00_tir/000_*.mlir")).read_text()
    assert 'loc("up#' in text
    assert "test_torch_backend.py" in text
    assert 'parameter = "down.weight"' in text


def test_symbolic_trace() -> None:
    class Small(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layers = nn.Sequential(nn.Linear(4, 3), nn.ReLU())

        def forward(self, x: torch.Tensor, y: torch.Tensor) -> Any:
            h = self.layers(x) * x.shape[0] + y[:, :3]
            return (h * h).sum(-1), h.view(x.shape[0], 3, 1)[:, :-1]

    module = Small()
    graph = torch.fx.symbolic_trace(module)
    x, y = torch.randn(5, 4), torch.randn(5, 6)
    compiled = irsql.compile(graph, (x, y), dynamic={"x": {0: "S"}, "y": {0: "S"}})
    for rows in (5, 1, 0, 8):
        x, y = torch.randn(rows, 4), torch.randn(rows, 6)
        same(compiled(x, y), module(x, y))
    assert 'parameter = "layers.0.weight"' in compiled.ir("tir")
