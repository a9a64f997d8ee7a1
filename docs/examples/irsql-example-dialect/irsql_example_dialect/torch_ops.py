"""The operators in PyTorch, and how a captured graph's calls of them become operations of the dialect."""

from __future__ import annotations

import torch
from torch import Tensor

from irsql.dialects.tir.ops import tensor
from irsql.frontend.importer.context import Context
from irsql.frontend.importer.registry import register
from irsql.ir.attributes import TensorType
from irsql.ir.core import Value
from irsql_example_dialect.fourier import Irdft, Rdft


@torch.library.custom_op("fourier::rdft", mutates_args=())
def rdft(x: Tensor) -> tuple[Tensor, Tensor]:
    """The spectrum of a real signal along the last axis, as a real and an imaginary tensor."""
    spectrum = torch.fft.rfft(x)
    return spectrum.real.clone(), spectrum.imag.clone()


@torch.library.custom_op("fourier::irdft", mutates_args=())
def irdft(real: Tensor, imaginary: Tensor, n: int) -> Tensor:
    """The real signal of length ``n`` of a spectrum."""
    signal: Tensor = torch.fft.irfft(torch.complex(real, imaginary), n)
    return signal


@rdft.register_fake
def _(x: Tensor) -> tuple[Tensor, Tensor]:
    shape = (*x.shape[:-1], x.shape[-1] // 2 + 1)
    return x.new_empty(shape), x.new_empty(shape)


@irdft.register_fake
def _(real: Tensor, imaginary: Tensor, n: int) -> Tensor:
    return real.new_empty((*real.shape[:-1], n))


@register(torch.ops.fourier.rdft.default)
def _import_rdft(ctx: Context, x: Value) -> tuple[Value, ...]:
    type_ = tensor(x)
    part = TensorType((*type_.shape[:-1], int(str(type_.shape[-1])) // 2 + 1), type_.dtype)
    return tuple(ctx.emit.insert(Rdft(x, result_types=[part, part])).results)


@register(torch.ops.fourier.irdft.default)
def _import_irdft(ctx: Context, real: Value, imaginary: Value, n: int) -> Value:
    return ctx.emit.insert(Irdft(real, imaginary, result_types=[ctx.result])).result
