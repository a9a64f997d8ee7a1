"""``fourier``: the discrete Fourier transform of real signals, along the last axis.

A spectrum is two real tensors, the real and the imaginary part of the frequencies 0 … n/2. At this stage a transform
and its inverse cancel, which nobody sees any more once they are sums of products.
"""

from __future__ import annotations

from typing import Any, Literal

import numpy as np

from irsql.dialects.tir.interp import extents
from irsql.dialects.tir.ops import tensor
from irsql.ir.attributes import TensorType
from irsql.ir.core import IRError, Op, Value, op
from irsql.ir.interp import Array, Interpreter, impl


@op("fourier.rdft", pure=True)
class Rdft(Op):
    """The spectrum of a real signal: result k is Σ x[t] · exp(-2πi·k·t/n), real parts first.

    Attributes
    ----------
    norm
        Where the factor 1/n goes: ``backward`` into the inverse, ``forward`` here, ``ortho`` its root into both.
    """

    x: Value
    norm: Literal["backward", "ortho", "forward"] = "backward"

    def verify(self) -> None:
        if len(self.results) != 2:
            raise IRError("rdft gives a real and an imaginary part", self)
        for part in self.results:
            check(self, tensor(self.x), tensor(part))


@op("fourier.irdft", pure=True)
class Irdft(Op):
    """The real signal of a spectrum; as many numbers as the result type has on its last axis.

    Attributes
    ----------
    norm
        As of ``fourier.rdft``.
    """

    real: Value
    imaginary: Value
    norm: Literal["backward", "ortho", "forward"] = "backward"

    def verify(self) -> None:
        for part in (self.real, self.imaginary):
            check(self, tensor(self.result), tensor(part))


def check(self: Rdft | Irdft, signal: TensorType, spectrum: TensorType) -> None:
    """Whether the types of a signal and of its spectrum belong together.

    Raises
    ------
    IRError
        Saying what does not fit.
    """
    n = signal.shape[-1] if signal.shape else None
    if not isinstance(n, int) or n < 1 or not signal.dtype.is_float:
        raise IRError(f"a signal is floats, of a static length: not {text(signal)}", self)
    wanted = TensorType((*signal.shape[:-1], n // 2 + 1), signal.dtype)
    if spectrum != wanted:
        raise IRError(f"a signal {text(signal)} has a spectrum {text(wanted)}, not {text(spectrum)}", self)


def text(type_: TensorType) -> str:
    """A tensor type for a message: ``3 x 8 x f32``."""
    return " x ".join(map(str, (*type_.shape, type_.dtype.name)))


@impl(Rdft)
def _rdft(interp: Interpreter, self: Rdft, args: tuple[Any, ...]) -> tuple[Array, ...]:
    spectrum = np.fft.rfft(args[0], norm=self.norm)
    dtype = tensor(self.x).dtype.numpy
    return spectrum.real.astype(dtype), spectrum.imag.astype(dtype)


@impl(Irdft)
def _irdft(interp: Interpreter, self: Irdft, args: tuple[Any, ...]) -> tuple[Array, ...]:
    out = tensor(self.result)
    n = extents(out.shape, interp)[-1]
    return (np.fft.irfft(args[0] + 1j * args[1], n, norm=self.norm).astype(out.dtype.numpy),)
