"""Whole modules through the importer: symbolic dims, domains of arguments, and the report of what is unsupported."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from irsql.dialects.tir import ops as tir
from irsql.frontend.captured import CaptureError
from irsql.frontend.export import capture
from irsql.frontend.importer import UnsupportedError, import_captured
from irsql.frontend.importer.graph import PrecisionWarning
from irsql.ir.attributes import F32, I64, TensorType
from irsql.ir.core import ArgInfo, Module
from irsql.ir.dims import symbol
from tests.models.importing import Call, check_module, interpret
from tests.models.modules import ConvNet, Encoder, Mlp, TwoOutputs, seeded
from tests.models.tensor_cases import DECOMPOSED, SYMBOLIC

BATCHES = (0, 1, 7)


def names(module: Module) -> list[str]:
    """The op names of ``@forward`` in order."""
    return [op.name for op in module.functions["forward"].block.ops]


def test_mlp() -> None:
    others = [(torch.randn(b, 16),) for b in BATCHES]
    module = check_module(seeded(Mlp()), (torch.randn(3, 16),), *others, dynamic={"x": {0: "B"}})
    forward = module.functions["forward"]
    assert forward.block.args[0].type == TensorType((symbol("B"), 16), F32)
    assert forward.args == (ArgInfo(),)
    assert forward.dims == {"B": (0, 2**31 - 1)}
    parameters = [op.parameter for op in forward.block.ops if isinstance(op, tir.Parameter)]
    assert parameters == ["up.weight", "up.bias", "mid.weight", "down.weight", "down.bias"]


def test_encoder_with_a_padding_mask() -> None:
    def inputs(batch: int, length: int) -> tuple[Tensor, Tensor]:
        mask = torch.arange(length) < torch.randint(1, length + 1, (batch, 1))
        return torch.randn(batch, length, 24), mask

    axes = {0: "B", 1: ("S", 1, 512)}
    others = [inputs(b, s) for b, s in ((0, 4), (1, 1), (7, 9))]
    module = check_module(seeded(Encoder()), inputs(2, 5), *others, dynamic={"x": axes, "mask": axes}, tolerance=1e-5)
    assert module.functions["forward"].args == (ArgInfo(), ArgInfo(domain="mask"))
    assert names(module).count("tir.layer_norm") == 5


def test_two_outputs_and_an_integer_input() -> None:
    def inputs(batch: int) -> tuple[Tensor, Tensor]:
        return torch.randint(0, 11, (batch, 3)), torch.randn(batch, 8)

    dynamic = {"ids": {0: "B"}, "x": {0: "B"}}
    module = check_module(seeded(TwoOutputs()), inputs(3), *(inputs(b) for b in BATCHES), dynamic=dynamic)
    forward = module.functions["forward"]
    assert forward.args == (ArgInfo(domain="range", high=11), ArgInfo())
    assert forward.outputs == ("linear", "sqrt")


class SelfAttention(nn.Module):
    """torch's own multi-head attention with a key padding mask."""

    def __init__(self) -> None:
        super().__init__()
        self.attention = nn.MultiheadAttention(12, 3, batch_first=True)

    def forward(self, x: Tensor, hidden: Tensor) -> Tensor:
        return self.attention(x, x, x, key_padding_mask=hidden, need_weights=False)[0]


def test_torch_multihead_attention() -> None:
    hidden = torch.zeros(2, 5, dtype=torch.bool)
    hidden[1, 3:] = True
    check_module(seeded(SelfAttention()), (torch.randn(2, 5, 12), hidden), tolerance=1e-5)


def test_torch_encoder_layer_with_symbolic_dims() -> None:
    layer = seeded(nn.TransformerEncoderLayer(12, 3, 20, batch_first=True, norm_first=True, activation="gelu"))
    dynamic = {"src": {0: ("B", 1, 64), 1: ("S", 1, 64)}}
    check_module(layer, (torch.randn(2, 5, 12),), (torch.randn(1, 1, 12),), (torch.randn(3, 4, 12),),
                 dynamic=dynamic, tolerance=1e-5)


@pytest.mark.parametrize("name", SYMBOLIC)
def test_symbolic_dims(name: str) -> None:
    dynamic_shapes = (({0: torch.export.Dim("B", min=1), 1: torch.export.Dim("S", min=1, max=99)},),)
    others = [(torch.randn(b, s, 4),) for b, s in ((1, 1), (1, 6), (7, 1), (4, 3))]
    check_module(Call(SYMBOLIC[name]), (torch.randn(2, 5, 4),), *others, dynamic_shapes=dynamic_shapes, tolerance=1e-5)


class FlatLinear(nn.Module):
    """GPT-2's Conv1D: rows merged, ``addmm``, rows split."""

    def __init__(self) -> None:
        super().__init__()
        self.weight, self.bias = nn.Parameter(torch.randn(4, 6)), nn.Parameter(torch.randn(6))

    def forward(self, x: Tensor) -> Tensor:
        return torch.addmm(self.bias, x.view(-1, 4), self.weight).view(x.shape[0], x.shape[1], 6)


def test_merged_rows_are_multiplied_unmerged() -> None:
    others = [(torch.randn(b, s, 4),) for b, s in ((0, 3), (1, 1), (7, 2))]
    module = check_module(FlatLinear(), (torch.randn(2, 5, 4),), *others, dynamic={"x": {0: "B", 1: "S"}})
    assert names(module) == ["tir.parameter", "tir.parameter", "tir.contract", "tir.map", "func.return"]


def test_a_range_as_index_is_no_lookup() -> None:
    module = check_module(Call(lambda x: x[torch.arange(3), torch.arange(3)]), (torch.randn(3, 4),))
    assert "tir.gather" not in names(module)


def test_an_integer_mask_is_recognised() -> None:
    module = check_module(Call(lambda x, m: x.masked_fill(m == 0, -1.0)), (torch.randn(2, 3), torch.tensor([0, 1, 1])))
    assert module.functions["forward"].args[1] == ArgInfo(domain="mask")


def test_smallest_table_bounds_an_index() -> None:
    module = check_module(Call(lambda i, a, b: (F.embedding(i, a), b.index_select(0, i))),
                          (torch.tensor([0, 2]), torch.randn(7, 2), torch.randn(3, 2)))
    assert module.functions["forward"].args[0] == ArgInfo(domain="range", high=3)


class WithBuffers(nn.Module):
    """One buffer of the checkpoint and one that is not."""

    scale: Tensor
    shift: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("scale", torch.tensor([1.0, 2.0]))
        self.register_buffer("shift", torch.tensor([3.0, 4.0]), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        return x * self.scale + self.shift


def test_buffers() -> None:
    module = check_module(WithBuffers(), (torch.randn(3, 2),))
    ops = module.functions["forward"].block.ops
    assert [op.parameter for op in ops if isinstance(op, tir.Parameter)] == ["scale"]
    (constant,) = [op for op in ops if isinstance(op, tir.Constant)]
    np.testing.assert_array_equal(constant.value.array, [3.0, 4.0])


class Tied(nn.Module):
    """An embedding and a head of one parameter."""

    def __init__(self) -> None:
        super().__init__()
        self.embed, self.head = nn.Embedding(9, 4), nn.Linear(4, 9, bias=False)
        self.head.weight = self.embed.weight

    def forward(self, ids: Tensor) -> Tensor:
        return self.head(self.embed(ids))


def test_tied_parameters_are_read_once() -> None:
    module = check_module(seeded(Tied()), (torch.tensor([[1, 2]]),))
    ops = module.functions["forward"].block.ops
    assert [op.parameter for op in ops if isinstance(op, tir.Parameter)] == ["embed.weight"]


def test_half_precision_is_computed_in_float32() -> None:
    linear = nn.Linear(4, 3).to(torch.bfloat16)
    x = torch.randn(2, 4).to(torch.bfloat16)
    with pytest.warns(PrecisionWarning, match="bfloat16 values are computed as float32, without rounding in between"):
        module = import_captured(capture(linear, (x,)))
    assert module.functions["forward"].block.args[0].type == TensorType((2, 4), F32)
    (got,) = interpret(module, linear, [x])
    want = F.linear(x.float(), linear.weight.float(), linear.bias.float()).detach().numpy()
    assert np.abs(got - want).max() <= 1e-6 * np.abs(want).max()


def test_small_integers_are_64_bit() -> None:
    module = check_module(Call(lambda i: i + 1), (torch.tensor([1, 2], dtype=torch.int32),))
    assert module.functions["forward"].block.args[0].type == TensorType((2,), I64)


@pytest.mark.parametrize("name", DECOMPOSED)
def test_unknown_operators_are_decomposed(name: str) -> None:
    check_module(Call(DECOMPOSED[name]), (torch.randn(3, 6),), tolerance=5e-6)


def test_what_cannot_be_decomposed_keeps_its_name() -> None:
    def both(x: Tensor) -> Tensor:
        return F.max_pool2d(F.mish(x), 2)

    with pytest.raises(UnsupportedError) as caught:
        import_captured(capture(Call(both), (torch.randn(1, 4, 4),)))
    assert [row.op for row in caught.value.rows] == ["aten.max_pool2d.default"]


def test_a_convolution_gives_one_complete_report() -> None:
    captured = capture(seeded(ConvNet()), (torch.randn(2, 3, 12, 12),))
    with pytest.raises(UnsupportedError) as caught:
        import_captured(captured)
    rows = {row.op: row for row in caught.value.rows}
    assert {op: row.count for op, row in rows.items()} == {"aten.conv2d.default": 2, "aten.max_pool2d.default": 1}
    assert rows["aten.conv2d.default"].loc.scope == "conv1"
    assert rows["aten.conv2d.default"].loc.file.endswith("modules.py")
    text = str(caught.value)
    assert "3 nodes" in text
    assert "aten.conv2d.default (×2)" in text
    assert "aten.max_pool2d.default (×1)" in text
    assert f"modules.py:{rows['aten.conv2d.default'].loc.line}" in text


UNSUPPORTED: dict[str, tuple[Any, tuple[Tensor, ...], set[str]]] = {
    "several": (
        lambda x: (torch.linalg.inv(x @ x.T) + (x.long() & 3).sum(), x % 0.3, x.norm(3.5)), (torch.randn(3, 3),),
        {"aten.linalg_inv.default", "aten.__and__.Scalar", "aten.remainder.Scalar", "aten.linalg_vector_norm.default"}),
    "complex": (lambda x: torch.view_as_complex(x.reshape(3, 2, 2)).abs(), (torch.randn(3, 4),),
                {"aten.view_as_complex.default"}),
    "complex-input": (lambda x: x.real + 1, (torch.randn(3, dtype=torch.complex64),),
                      {"input args_0", "aten.view_as_real.default"}),
    "random": (lambda x: x + torch.rand(3), (torch.randn(3),), {"aten.rand.default"}),
    "float-floor-division": (lambda x: x // 0.3, (torch.randn(3),), {"aten.floor_divide.default"}),
    "wrapping": (lambda x: (x * 300).to(torch.uint8), (torch.rand(3),), {"aten._to_copy.default"}),
}


@pytest.mark.parametrize("name", UNSUPPORTED)
def test_everything_unsupported_is_reported(name: str) -> None:
    function, args, wanted = UNSUPPORTED[name]
    with pytest.raises(UnsupportedError) as caught:
        import_captured(capture(Call(function), args))
    assert {row.op for row in caught.value.rows} == wanted
    for row in caught.value.rows:
        assert row.reason
        assert row.suggestion


def test_data_dependent_shapes_are_refused() -> None:
    with pytest.raises((UnsupportedError, CaptureError), match=r"nonzero|depends on data|boolean mask"):
        import_captured(capture(Call(lambda x: x[x > 0]), (torch.randn(3),)))


def test_division_by_a_symbolic_extent_is_refused() -> None:
    with pytest.raises(UnsupportedError, match="dynamic dim"):
        import_captured(capture(Call(lambda x: x.roll(1, 0)), (torch.randn(3),),
                                dynamic_shapes=(({0: torch.export.Dim("N", min=1)},),)))
