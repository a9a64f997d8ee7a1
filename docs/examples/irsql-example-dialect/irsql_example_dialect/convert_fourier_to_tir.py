"""``convert-fourier-to-tir``: transforms become products with tables of cosines and sines.

A database has joins and sums and no butterflies: n² products of one query are less work for it than log n queries.
"""

from __future__ import annotations

import attrs
import numpy as np
import numpy.typing as npt

from irsql.dialects.tir import ops
from irsql.dialects.tir.build import Tensors
from irsql.ir import cleanup
from irsql.ir.affine import AffineMap
from irsql.ir.attributes import TensorType
from irsql.ir.core import Builder, Module, Op, OpResult, Value
from irsql.ir.passes import Pass, PassContext
from irsql.ir.rewriter import Pattern, Rewriter
from irsql_example_dialect.fourier import Irdft, Rdft

Table = npt.NDArray[np.float64]


def angles(n: int) -> Table:
    """2π·k·t/n by frequency and time; k·t is taken modulo n first, so that the angles stay small and exact."""
    return 2 * np.pi * (np.outer(np.arange(n // 2 + 1), np.arange(n)) % n) / n


def product(t: Tensors, x: Value, table: Table) -> Value:
    """``out[…, i] = Σ_j x[…, j] · table[i, j]``."""
    type_ = ops.tensor(x)
    batch, (rows, length) = range(type_.rank - 1), table.shape
    i, j, loops = type_.rank - 1, type_.rank, type_.rank + 1
    maps = tuple(AffineMap.select(loops, dims) for dims in ([*batch, j], [i, j], [*batch, i]))
    constant = t.constant(table.astype(type_.dtype.numpy), type_.dtype)
    return t.builder.insert(ops.Contract(
        x, constant, maps=maps, bounds=(*type_.shape[:-1], rows, length),
        result_types=[TensorType((*type_.shape[:-1], rows), type_.dtype)])).result


class LowerRdft(Pattern):
    """Two products, with cosines and with negated sines."""

    root = Rdft

    def rewrite(self, op: Op, rewriter: Rewriter) -> bool:
        assert isinstance(op, Rdft)
        n = int(str(ops.tensor(op.x).shape[-1]))
        scale = {"backward": 1.0, "ortho": n ** -0.5, "forward": 1 / n}[op.norm]
        t = Tensors(Builder.before_op(op))
        rewriter.replace(op, *(product(t, op.x, scale * part) for part in (np.cos(angles(n)), -np.sin(angles(n)))))
        return True


class LowerIrdft(Pattern):
    """The same tables turned round; every frequency but 0 and n/2 counts twice, for its mirror image."""

    root = Irdft

    def rewrite(self, op: Op, rewriter: Rewriter) -> bool:
        assert isinstance(op, Irdft)
        n = int(str(ops.tensor(op.result).shape[-1]))
        scale = {"backward": 1 / n, "ortho": n ** -0.5, "forward": 1.0}[op.norm]
        twice = np.array([1.0 if 2 * k in (0, n) else 2.0 for k in range(n // 2 + 1)])
        t = Tensors(Builder.before_op(op))
        parts = [product(t, x, (scale * twice * table.T)) for x, table in (
            (op.real, np.cos(angles(n))), (op.imaginary, -np.sin(angles(n))))]
        rewriter.replace(op, t.elementwise(parts, lambda e: e.binary("add", *e.args)))
        return True


class CancelInverse(Pattern):
    """The signal of its own spectrum."""

    root = Irdft

    def rewrite(self, op: Op, rewriter: Rewriter) -> bool:
        assert isinstance(op, Irdft)
        real, imaginary = op.real, op.imaginary
        source = real.op if isinstance(real, OpResult) else None
        if not isinstance(source, Rdft) or (real, imaginary) != tuple(source.results) or source.norm != op.norm:
            return False
        if source.x.type != op.result.type:  # as many frequencies, one number more or less
            return False
        rewriter.replace(op, source.x)
        return True


@attrs.frozen
class ConvertFourierToTir(Pass):
    """Cancels what cancels and writes the rest as contractions with constant tables, which ``@load`` stores."""

    name = "convert-fourier-to-tir"
    summary = "lower Fourier transforms to products with tables of cosines and sines"
    stage_in = stage_out = "tir"

    def run(self, module: Module, ctx: PassContext) -> None:
        ctx.apply([CancelInverse()], module)
        for func in module.functions.values():
            cleanup.erase_dead(func.block)
        ctx.apply([LowerRdft(), LowerIrdft()], module)
