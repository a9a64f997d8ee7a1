"""``torch.compile(model, backend="irsql")`` against eager PyTorch; graphs of ``torch.fx.symbolic_trace``."""

from __future__ import annotations

import gc
import warnings
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
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
from irsql.runtime.load import fill as fill_relations
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
    (nn.TransformerEncoderLayer(4, 2, 8, batch_first=True).eval(), r"set_fastpath_enabled\(False\)"),
], ids=["dropout", "batch-norm", "in-place", "operator", "fast-path"])  # fmt: skip
def test_what_cannot_run_is_one_error(module: Any, problem: str) -> None:
    with pytest.raises(BackendCompilerFailed, match=problem), torch.no_grad():
        torch.compile(module, backend="irsql")(torch.randn(1, 3, 4) if problem.endswith("\\)") else torch.randn(3, 4))


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


def _zero(tensor: torch.Tensor) -> None:
    tensor.zero_()


zero: Any = torch._dynamo.disable(_zero)


def chunks(x: torch.Tensor) -> torch.Tensor:
    h = x * 2
    a, _ = h.chunk(2, -1)
    zero(a)
    return h.sum()


def row(x: torch.Tensor) -> torch.Tensor:
    y = x + 1
    zero(y[0])
    return y * 2


@pytest.mark.filterwarnings("ignore::irsql.torch_backend.GraphBreakWarning")
@pytest.mark.parametrize("function", [chunks, row])
def test_a_write_between_two_graphs_is_seen(function: Callable[[torch.Tensor], torch.Tensor]) -> None:
    compiled = torch.compile(function, backend="irsql")
    for rows in (4, 5, 3):
        x = torch.randn(rows, 6)
        same(compiled(x), function(x))


@pytest.mark.parametrize("function", [
    lambda x: (x.view(-1), x[0], x * 1), lambda x: (x * 2).t(), lambda x: x.detach(), lambda x: x[1:, ::2],
    lambda x: (lambda y: (y, y.view(-1), y[:, 1:3]))(x + 1), lambda x: (x * 2, x.sum(0).expand(7, 6)),
    lambda x: (lambda y: y.chunk(2, -1))(x * 3),
], ids=["input", "transposed", "detached", "strided", "own", "expanded", "chunks"])  # fmt: skip
def test_results_lie_in_memory_as_in_pytorch(function: Callable[[torch.Tensor], Any]) -> None:
    compiled = torch.compile(function, backend="irsql")
    for rows in (4, 5, 3):
        mine, theirs = torch.randn(rows + 2, 6)[2:], torch.empty(rows, 6)
        theirs.copy_(mine)
        got, wanted = tree_leaves(compiled(mine)), tree_leaves(function(theirs))
        same(got, wanted)
        assert [g.stride() for g in got] == [w.stride() for w in wanted]
        for g, w in zip(got, wanted, strict=True):  # what is written to one is seen in the others
            if 0 not in w.stride():
                g[(0,) * g.dim()] = w[(0,) * w.dim()] = 7.0
        same(got, wanted)
        same(mine, theirs)


def test_which_results_require_gradients() -> None:
    layer = nn.Linear(6, 4)

    def function(x: torch.Tensor) -> Any:
        with torch.no_grad():
            quiet = layer(x)
        return quiet, layer(x).detach(), x * 2, layer(x), x.argmax(-1)

    compiled = torch.compile(function, backend="irsql")
    x = torch.randn(3, 6)
    same(compiled(x), function(x))
    assert [r.requires_grad for r in compiled(x)] == [r.requires_grad for r in function(x)]
    compiled(x)[0].numpy()


def test_numbers_that_compare_equal() -> None:
    def function(x: torch.Tensor, n: float) -> torch.Tensor:
        return x / n

    compiled = torch.compile(function, backend="irsql")
    x = torch.ones(2)
    for n in (0.5, 2.5, 1.5, 0.0, -0.0, float("nan"), 0.0):
        torch.testing.assert_close(compiled(x, n), function(x, n), equal_nan=True)


def test_doubles_stay_doubles() -> None:
    layer: Any = nn.Linear(5, 4).double()
    layer.register_buffer("limit", torch.tensor([0.1, 0.2, 0.3], dtype=torch.float64))

    def function(x: torch.Tensor, y: torch.Tensor) -> Any:
        return layer(x), y >= layer.limit

    x, y = torch.randn(3, 5, dtype=torch.float64), torch.tensor([0.1, 0.2, 0.3], dtype=torch.float64)
    got, wanted = torch.compile(function, backend="irsql")(x, y), function(x, y)
    torch.testing.assert_close(got[0], wanted[0], rtol=1e-14, atol=1e-14)
    assert got[1].tolist() == wanted[1].tolist() == [True] * 3


def test_names_that_clash() -> None:
    first: Any = nn.Module()
    second: Any = nn.Module()
    first.p = nn.Parameter(torch.randn(3))
    second.p = nn.Linear(3, 2)
    second._inputs = nn.Parameter(torch.randn(2))
    second.add_module("</script> 'quoted'", nn.Linear(2, 2))

    def function(x: torch.Tensor) -> torch.Tensor:
        return second._modules["</script> 'quoted'"](second.p(x + first.p)) + second._inputs

    x = torch.randn(4, 3)
    same(torch.compile(function, backend="irsql")(x), function(x))


def test_first_calls_from_several_threads() -> None:
    modules = [Block() for _ in range(4)]
    xs = [torch.randn(3 + i, 6) for i in range(4)]
    with ThreadPoolExecutor(4) as pool:
        runs = [pool.submit(torch.compile(m, backend="irsql"), x) for m, x in zip(modules, xs, strict=True)]
        for run, module, x in zip(runs, modules, xs, strict=True):
            same(run.result(), module(x))


def test_modes_are_refused() -> None:
    with pytest.raises(BackendCompilerFailed, match="no mode 'reduce-overhead'"):
        torch.compile(nn.Linear(2, 2), backend="irsql", mode="reduce-overhead")(torch.ones(1, 2))


def test_relations_are_freed_wherever_the_collector_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    """A compiled module that dies while another is filled neither waits for the filler nor takes its tables."""
    dead = [torch.compile(Block(), backend="irsql")]
    dead[0](torch.randn(2, 6))
    original = fill_relations

    def fill(*args: Any) -> None:
        dead.clear()
        torch._dynamo.reset()
        with ThreadPoolExecutor(1) as pool:
            pool.submit(gc.collect).result()
        original(*args)

    monkeypatch.setattr("irsql.relations.fill", fill)
    module, x = Block(), torch.randn(3, 6)
    same(irsql.compile(module, (x,))(x), module(x))


def test_a_failed_fill_leaves_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    before = stored()
    original = fill_relations

    def fill(*args: Any) -> None:
        original(*args)
        raise KeyboardInterrupt

    monkeypatch.setattr("irsql.relations.fill", fill)
    module, x = Block(), torch.randn(3, 6)
    compiled = torch.compile(module, backend="irsql")
    with pytest.raises(KeyboardInterrupt):
        compiled(x)
    assert stored() == before
    monkeypatch.undo()
    same(compiled(x), module(x))


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
