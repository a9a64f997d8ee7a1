"""``fold-constants``: what depends on constants only is computed now."""

from __future__ import annotations

import math

import attrs
import numpy as np

from irsql.dialects.tir import ops
from irsql.ir.attributes import DenseElements
from irsql.ir.core import Module, OpResult
from irsql.ir.interp import IMPLS, Array, Interpreter
from irsql.ir.passes import Pass, PassContext
from irsql.passes.tir._maps import is_static, is_view

FOLDABLE = (ops.Map, ops.Contract, ops.Reduce, ops.Gather, ops.Concat, ops.Scan, ops.Softmax, ops.RmsNorm,
            ops.LayerNorm, ops.Rope)


@attrs.frozen
class FoldConstants(Pass):
    """Replaces ops on constants and iotas by their value, computed by the interpreter.

    Views stay (their consumers absorb them), as do maps without inputs, results of symbolic extent and big results.

    Notes
    -----
    ``f(c_1, …, c_n) = c`` where all operands are known: a subquery over literals is a literal relation.

    References
    ----------
    MLIR, the ``fold`` of operations; ONNX simplifiers and TranSQL+ (arXiv 2502.02818) do so before anything else.
    """

    name = "fold-constants"
    summary = "compute operations on constants at compile time"
    stage_in = stage_out = "tir"

    max_elements: int = 65536
    """Results of more elements are not computed."""

    def run(self, module: Module, ctx: PassContext) -> None:
        interp = Interpreter(Module.empty())
        for func in module.functions.values():
            before, folded_here = len(func.block.ops), 0
            for op in list(func.block.ops):
                if not isinstance(op, FOLDABLE) or not op.operands or is_view(op):
                    continue
                values = [_value(v, interp) for v in op.operands]
                if any(v is None for v in values) or not is_static(op):
                    continue
                type_ = ops.tensor(op.result)
                if math.prod(d for d in type_.shape if isinstance(d, int)) > self.max_elements:
                    ctx.remark("missed", op, f"{op.name} on constants is left for later",
                               f"its result has more than max-elements={self.max_elements} elements")
                    continue
                with np.errstate(all="ignore"):
                    (array,) = IMPLS[op.name](interp, op, tuple(values))
                folded = ops.Constant(value=DenseElements(np.asarray(array, order="C"), type_.dtype),
                                      result_types=[type_], loc=op.loc)
                func.block.insert(func.block.ops.index(op), folded)
                op.replace_with(folded.result)
                ctx.statistic("folded")
                folded_here += 1
            if folded_here:
                ctx.remark("passed", func, f"@{func.sym_name}: {folded_here} of {before} operations computed")


def _value(value: object, interp: Interpreter) -> Array | None:
    """The array of a constant or of an iota of known length."""
    op = value.op if isinstance(value, OpResult) else None
    if not isinstance(op, ops.Constant | ops.Iota) or not is_static(op):
        return None
    array: Array = IMPLS[op.name](interp, op, ())[0]
    return array
