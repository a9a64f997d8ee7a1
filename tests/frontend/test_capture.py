"""Plain modules: the captured graph computes what eager computes, and says what it is."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.utils import _pytree as pytree

from irsql.frontend.captured import MAX_EXTENT, Captured, CaptureError
from irsql.frontend.export import capture
from irsql.frontend.provenance import provenance
from irsql.frontend.shapes import node_shape, node_size
from irsql.frontend.weights import ModuleWeights
from irsql.ir.dims import symbol
from tests.models.modules import ConvNet, Encoder, Mlp, TwoOutputs, seeded
from tests.models.running import relative_error, run_captured

B, S = symbol("B"), symbol("S")


def randn(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("batch", [0, 1, 7])
def test_mlp_with_symbolic_batch(batch: int) -> None:
    module = seeded(Mlp())
    captured = capture(module, (randn(3, 16),), dynamic={"x": {0: "B"}})
    (out,) = captured.outputs
    assert (out.kind, out.shape, out.dtype) == ("tensor", (B, 10), "float32")
    assert captured.symbols == {"B": (0, MAX_EXTENT)}
    x = randn(batch, 16, seed=1)
    (got,) = run_captured(captured, module, x)
    assert got.shape == (batch, 10)
    assert relative_error(got, module(x)) < 1e-6


@pytest.mark.parametrize(("batch", "length"), [(0, 4), (1, 1), (3, 9)])
def test_encoder_with_padding_mask(batch: int, length: int) -> None:
    module = seeded(Encoder())
    example = (randn(2, 5, 24), torch.ones(2, 5, dtype=torch.bool))
    captured = capture(module, example, dynamic={"x": {0: "B", 1: ("S", 1, 64)}, "mask": {0: "B", 1: ("S", 1, 64)}})
    assert captured.symbols == {"B": (0, MAX_EXTENT), "S": (1, 64)}
    assert [(s.target, s.shape, s.dtype) for s in captured.of_kind("user")] == [
        ("x", (B, S, 24), "float32"),
        ("mask", (B, S), "bool"),
    ]
    x, mask = randn(batch, length, 24, seed=2), torch.ones(batch, length, dtype=torch.bool)
    mask[:, max(length - 3, 1) :] = False
    (got,) = run_captured(captured, module, x, mask)
    assert relative_error(got, module(x, mask)) < 1e-5


@pytest.mark.parametrize("batch", [0, 1, 7])
def test_two_outputs_and_integer_input(batch: int) -> None:
    module = seeded(TwoOutputs())
    example = (torch.zeros(2, 3, dtype=torch.long), randn(2, 8))
    captured = capture(module, example, dynamic={"ids": {0: "B"}, "x": {0: "B"}})
    assert [out.shape for out in captured.outputs] == [(B, 5), (B,)]
    assert [spec.dtype for spec in captured.of_kind("user")] == ["int64", "float32"]
    ids = torch.randint(0, 11, (batch, 3), generator=torch.Generator().manual_seed(3))
    x = randn(batch, 8, seed=4)
    score, length = run_captured(captured, module, ids, x)
    want_score, want_length = module(ids, x)
    assert relative_error(score, want_score) < 1e-6
    torch.testing.assert_close(length, want_length, rtol=1e-6, atol=0)


def test_conv_net() -> None:
    module = seeded(ConvNet())
    captured = capture(module, (randn(2, 3, 12, 12),), dynamic={"x": {0: "B"}})
    x = randn(3, 3, 12, 12, seed=5)
    (got,) = run_captured(captured, module, x)
    assert relative_error(got, module(x)) < 1e-6
    assert "aten.conv2d.default" in {str(node.target) for node in captured.gm.graph.nodes}


class Oddities(nn.Module):
    """Everything that an importer must be told about: constants, buffers of both kinds, sharing, nested results."""

    def __init__(self) -> None:
        super().__init__()
        self.a = nn.Linear(4, 4)
        self.b = nn.Linear(4, 4)
        self.b.weight = self.a.weight
        self.unused = nn.Linear(2, 2)
        self.kept: Tensor
        self.lost: Tensor
        self.register_buffer("kept", torch.arange(4.0))
        self.register_buffer("lost", torch.arange(4.0) * 2, persistent=False)
        self.drop = nn.Dropout(0.5)

    def forward(self, x: Tensor, scale: float = 2.0, *, y: Tensor) -> dict[str, object]:
        h = self.drop(self.b(self.a(x)).contiguous().clone()) + self.kept * self.lost
        h = h.to(torch.float32) * scale + torch.tensor([1.0, 2.0, 3.0, 4.0])
        return {"h": h.detach(), "rest": (y[:, :2].float(), x.shape[0], None)}


def oddities() -> tuple[nn.Module, Captured]:
    torch.manual_seed(0)
    module = Oddities()
    return module, capture(
        module, (randn(3, 4), 3.0), {"y": torch.ones(3, 4, dtype=torch.bool)}, dynamic={"x": {0: "B"}, "y": {0: "B"}}
    )


def test_inputs_outputs_and_values() -> None:
    module, captured = oddities()
    assert captured.tied == {"b.weight": "a.weight"}
    assert {(s.kind, s.target) for s in captured.inputs} == {
        ("parameter", "a.weight"),
        ("parameter", "a.bias"),
        ("parameter", "b.bias"),
        ("buffer", "kept"),
        ("buffer", "lost"),
        ("constant", "lifted_tensor_0"),
        ("user", "x"),
        ("user", "y"),
    }
    assert set(captured.buffers) == {"lost", "lifted_tensor_0"}
    np.testing.assert_array_equal(captured.buffers["lost"], [0, 2, 4, 6])
    assert [(o.kind, o.shape) for o in captured.outputs] == [
        ("tensor", (B, 4)),
        ("tensor", (B, 2)),
        ("symint", ()),
        ("constant", ()),
    ]
    x, y = randn(5, 4, seed=6), torch.ones(5, 4, dtype=torch.bool)
    user = captured.user_tensors((x, 3.0), {"y": y})
    assert captured.out_spec is not None
    got = pytree.tree_unflatten(run_captured(captured, module, *user), captured.out_spec)
    want = module.eval()(x, 3.0, y=y)
    assert relative_error(got["h"], want["h"]) < 1e-6
    assert got["rest"][1:] == (5, None)
    with pytest.raises(CaptureError, match=r"captured with the arguments x, scale, y: scale, y is missing"):
        captured.user_tensors((x,), {})


def test_what_carries_no_data_is_gone() -> None:
    module, captured = oddities()
    targets = {str(node.target) for node in captured.gm.graph.nodes if node.op == "call_function"}
    assert targets == {
        "aten.linear.default",
        "aten.mul.Tensor",
        "aten.add.Tensor",
        "aten.slice.Tensor",
        "aten._to_copy.default",
        "aten.sym_size.int",
    }
    for node in captured.gm.graph.nodes:
        assert "device" not in node.kwargs
        assert "memory_format" not in node.kwargs
    assert all(child.training for child in module.modules()), "the module's mode must come back"


def test_shapes_of_inner_nodes() -> None:
    _, captured = oddities()
    nodes = {str(node.target): node for node in captured.gm.graph.nodes}
    assert node_shape(captured, nodes["aten.slice.Tensor"]) == (B, 2)
    assert node_size(captured, nodes["aten.sym_size.int"]) == B


def test_provenance_leads_to_the_source_line() -> None:
    module = seeded(Encoder())
    captured = capture(module, (randn(2, 5, 24), torch.ones(2, 5, dtype=torch.bool)))
    softmax = next(n for n in captured.gm.graph.nodes if str(n.target) == "aten.softmax.int")
    origin = provenance(softmax)
    assert (origin.node, origin.module) == (softmax.name, "layers.0")
    assert origin.file.endswith("tests/models/modules.py")
    with open(sys.modules[Encoder.__module__].__file__ or "", encoding="utf-8") as file:
        assert "torch.softmax" in file.readlines()[origin.line - 1]
    linear = next(n for n in captured.gm.graph.nodes if str(n.target) == "aten.linear.default")
    assert provenance(linear).module == "layers.0.q"


class Counter(nn.Module):
    count: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("count", torch.zeros(()))

    def forward(self, x: Tensor) -> Tensor:
        self.count += 1
        return x + self.count


class WritesInput(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x.add_(1)


class DataDependent(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x if x.sum() > 0 else -x


@pytest.mark.parametrize(
    ("module", "match"),
    [
        (Counter(), "writes to count"),
        (WritesInput(), "writes to its input x in place"),
        (DataDependent(), "torch.export cannot capture DataDependent"),
    ],
)
def test_modules_that_cannot_be_captured(module: nn.Module, match: str) -> None:
    with pytest.raises(CaptureError, match=match) as caught:
        capture(module, (torch.ones(3),))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("dynamic", "match"),
    [
        ({"z": {0: "B"}}, "names the input 'z'"),
        ({"x": {2: "B"}}, "has 2 axes, dynamic names axis 2"),
        ({"x": {0: "B"}}, "example size must be at least 2"),
        ({"x": {1: ("H", 5, 4)}}, "empty or negative"),
    ],
)
def test_bad_dynamic_dims(dynamic: dict, match: str) -> None:
    with pytest.raises(CaptureError, match=match):
        capture(seeded(Mlp()), (randn(1, 16),), dynamic=dynamic)


def test_static_unless_asked() -> None:
    captured = capture(seeded(Mlp()), (randn(3, 16),))
    assert captured.symbols == {}
    assert captured.outputs[0].shape == (3, 10)


def test_torch_dims_keep_their_names() -> None:
    batch = torch.export.Dim("rows", min=0, max=9)
    captured = capture(seeded(Mlp()), (randn(3, 16),), dynamic_shapes=({0: batch},))
    assert captured.symbols == {"rows": (0, 9)}
    assert captured.outputs[0].shape == (symbol("rows"), 10)


def test_module_weights() -> None:
    module = nn.Linear(3, 5).bfloat16()
    weights = ModuleWeights(module)
    assert sorted(weights) == ["bias", "weight"]
    assert weights.shape("weight") == (5, 3)
    np.testing.assert_array_equal(weights.read("weight", 1, 3), module.weight[1:3].float().detach().numpy())
    before = weights.fingerprint()
    with torch.no_grad():
        module.bias[2] += 1
    assert ModuleWeights(module).fingerprint() != before
    with pytest.raises(CaptureError, match="meta"):
        ModuleWeights(nn.Linear(2, 2, device="meta"))


def test_importing_the_front_end_loads_no_torch() -> None:
    code = (
        "import sys, irsql.frontend, irsql.frontend.checkpoint, irsql.frontend.captured\n"
        "irsql.frontend.Checkpoint, irsql.frontend.CaptureError\n"
        "bad = {'torch', 'transformers'} & set(sys.modules)\n"
        "sys.exit(f'imported {bad}' if bad else 0)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_every_export_exists() -> None:
    code = "import irsql.frontend as f\nfor n in f.__all__: assert callable(getattr(f, n)), n\n"
    subprocess.run([sys.executable, "-c", code], check=True)
