"""Captured, imported, interpreted: the way of a module through the front end, compared with eager PyTorch."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils import _pytree as pytree

import irsql.dialects.tir.interp  # noqa: F401 - registers the interpreter
from irsql.frontend.captured import Captured
from irsql.frontend.export import capture
from irsql.frontend.importer import import_captured
from irsql.frontend.weights import ModuleWeights
from irsql.ir import dims
from irsql.ir.attributes import TensorType
from irsql.ir.core import Func, Module
from irsql.ir.interp import Array, Interpreter
from irsql.ir.verifier import verify


class Call(nn.Module):
    """A function as a module."""

    def __init__(self, function: Callable[..., Any]) -> None:
        super().__init__()
        self.function = function

    def forward(self, *args: Tensor) -> Any:
        return self.function(*args)


def imported(captured: Captured) -> Module:
    """The verified tir of a capture."""
    module = import_captured(captured)
    verify(module)
    return module


def bind(func: Func, args: Sequence[Array]) -> dict[str, int]:
    """The symbols of a function's arguments, from the sizes given."""
    symbols: dict[str, int] = {}
    for value, array in zip(func.block.args, args, strict=True):
        assert isinstance(value.type, TensorType)
        for dim, size in zip(value.type.shape, array.shape, strict=True):
            if not isinstance(dim, int) and dims.symbol(next(iter(dim.symbols()))) == dim:
                symbols[str(dim)] = size
    return symbols


def interpret(module: Module, source: nn.Module, args: Sequence[Tensor]) -> list[Array]:
    """The results of ``@forward`` on the module's own weights."""
    arrays = [a.float().numpy() if a.dtype == torch.bfloat16 else a.numpy() for a in args]
    weights = ModuleWeights(source)
    symbols = bind(module.functions["forward"], arrays)
    interp = Interpreter(module, {name: weights.read(name) for name in weights}, symbols)
    return [np.asarray(value) for value in interp.run("forward", arrays)]


def check_module(
    source: nn.Module,
    args: Sequence[Tensor],
    *others: Sequence[Tensor],
    dynamic: Mapping[str, Mapping[int, Any]] | None = None,
    dynamic_shapes: Any = None,
    tolerance: float = 2e-6,
) -> Module:
    """Import ``source`` captured with ``args`` and compare with eager on them and on ``others``; give the tir."""
    captured = capture(source, tuple(args), dynamic=dynamic, dynamic_shapes=dynamic_shapes)
    module = imported(captured)
    for given in (args, *others):
        with torch.no_grad():
            wanted = source(*given)
        flat = [w for w in pytree.tree_leaves(wanted) if w is not None]
        for got, want in zip(interpret(module, source, given), flat, strict=True):
            compare(got, torch.as_tensor(want), tolerance)
    return module


def check(function: Callable[..., Any], *args: Tensor, tolerance: float = 2e-6) -> Module:
    """:func:`check_module` of a function of static shapes."""
    return check_module(Call(function), args, tolerance=tolerance)


def compare(got: Array, want: Tensor, tolerance: float, least: float = 1e-30) -> None:
    """Equal integers; floats within ``tolerance`` of the largest (of ``least`` at least); same NaN and infinities."""
    assert got.shape == tuple(want.shape)
    expected = want.double().numpy() if want.dtype.is_floating_point else want.numpy()
    assert got.dtype.kind in {"f": "f", "b": "b"}.get(expected.dtype.kind, "iu")
    if not want.dtype.is_floating_point:
        np.testing.assert_array_equal(got, expected)
        return
    finite = np.isfinite(expected)
    np.testing.assert_array_equal(np.isfinite(got), finite)
    np.testing.assert_array_equal(got[~finite], expected[~finite])
    scale = max(np.abs(expected[finite]).max(initial=0.0), least)
    assert np.abs(got[finite] - expected[finite]).max(initial=0.0) <= tolerance * scale
