"""``delay-scale``: what scales a whole row is applied after the row has been summed.

Where a product sums ``(a / s) · b`` and ``s`` is the same for all terms of a sum, it sums ``a · b`` and divides the
result. In attention this is the division of softmax behind the product with V, as FlashAttention does it (Dao et al.
2022); in SQL the big relation of weights is no longer joined with the small one of their totals.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import attrs

from irsql.dialects import expr
from irsql.dialects.expr import Exprs
from irsql.dialects.tir import ops
from irsql.dialects.tir.build import Tensors
from irsql.ir.affine import AffineMap, DimExpr, const, dim, used_dims
from irsql.ir.core import Builder, Module, Op, OpResult, Value
from irsql.ir.dims import Dim
from irsql.ir.passes import Pass, PassContext
from irsql.ir.rewriter import Pattern, Rewriter


@attrs.frozen
class DelayScale(Pass):
    """Moves factors and divisors that a sum does not run over behind the sum.

    The result is rounded in other places; where the unscaled sum overflows float32 and the scaled one does not, it is
    infinite. After softmax it cannot: no weight is above 1.
    """

    name = "delay-scale"
    summary = "scale the result of a product instead of its operand"
    stage_in = stage_out = "tir"

    symbolic_size: int = 1024
    """What a symbolic dim counts as where the sizes of operand and result are compared."""
    max_growth: float = 1.0
    """Most elements of the result for one of the operand: above 1, more numbers are scaled afterwards than before."""

    def run(self, module: Module, ctx: PassContext) -> None:
        ctx.apply([ScaleBehindSum(self, ctx)], module)

    def size(self, shape: Sequence[Dim]) -> int:
        """Elements of a tensor."""
        return math.prod(d if isinstance(d, int) else self.symbolic_size for d in shape)


@attrs.frozen
class ScaleBehindSum(Pattern):
    """``Σ (a · s) b`` is ``(Σ a b) · s``, and the same with a division by ``s``."""

    root = ops.Contract

    options: DelayScale
    ctx: PassContext

    def rewrite(self, op: Op, rewriter: Rewriter) -> bool:
        assert isinstance(op, ops.Contract)
        return any(self._delay(op, side, rewriter) for side in (0, 1))

    def _delay(self, op: ops.Contract, side: int, rewriter: Rewriter) -> bool:
        source = op.operands[side].owner
        if not isinstance(source, ops.Map) or len(source.result.uses) != 1:
            return False
        # The inputs of the map as functions of the product's loop; the sum runs over what its result drops.
        by_loop = [m.compose(op.maps[side]) for m in source.maps]
        kept = [r.index for r in op.maps[2].results if isinstance(r, DimExpr)]
        args: list[Value] = list(source.body.block.args)
        fixed = {a for a, m in zip(args, by_loop, strict=True) if all(used_dims(r) <= set(kept) for r in m.results)}
        found = factor(source, fixed)
        if found is None or not self._pays(op, source):
            return False
        kind, value, scale = found
        t = Tensors(Builder.before_op(op))
        shape, result = ops.tensor(source.result).shape, ops.tensor(op.result)
        used = [i for i, a in enumerate(args) if a in leaves(value)]
        unscaled = t.map(shape, [(source.inputs[i], source.maps[i]) for i in used],
                         lambda e: copy(value, e, dict(zip([args[i] for i in used], e.args, strict=True))))
        lhs, rhs = (unscaled, op.rhs) if side == 0 else (op.lhs, unscaled)
        product = t.builder.insert(ops.Contract(lhs, rhs, maps=op.maps, bounds=op.bounds, result_types=[result]),
                                   f"{op.result.name}.unscaled" if op.result.name else "")
        to_loop = AffineMap(result.rank, tuple(dim(kept.index(i)) if i in kept else const(0)
                                               for i in range(len(op.bounds))))
        used_after = [i for i, a in enumerate(args) if a in leaves(scale)]
        inputs = [(product.result, AffineMap.identity(result.rank)),
                  *((source.inputs[i], by_loop[i].compose(to_loop)) for i in used_after)]
        rewriter.replace(op, t.map(result.shape, inputs, lambda e: e.binary(kind, e.args[0], copy(
            scale, e, dict(zip([args[i] for i in used_after], e.args[1:], strict=True))))))
        rewriter.erase(source)
        return True

    def _pays(self, op: ops.Contract, source: ops.Map) -> bool:
        before, after = (self.options.size(ops.tensor(v).shape) for v in (source.result, op.result))
        if after <= before * self.options.max_growth:
            return True
        self.ctx.remark("missed", op, "the scale stays in the operand",
                        f"it scales {before} elements there and would scale {after} of the result",
                        f"max-growth={math.ceil(after / before)}")
        return False


def factor(source: ops.Map, fixed: set[Value]) -> tuple[str, Value, Value] | None:
    """``(kind, value, scale)`` where a map computes ``value kind scale`` with a scale of ``fixed`` arguments alone."""
    op = source.body.block.terminator.operands[0].owner
    if not isinstance(op, expr.Binary) or op.kind not in ("mul", "div"):
        return None
    pairs = [(op.lhs, op.rhs), (op.rhs, op.lhs)] if op.kind == "mul" else [(op.lhs, op.rhs)]
    for value, scale in pairs:
        if leaves(scale) and leaves(scale) <= fixed and not leaves(value) <= fixed:
            return op.kind, value, scale
    return None


def leaves(value: Value) -> set[Value]:
    """What an expression of a body is computed from: arguments, and results of ops without operands but constants."""
    if not isinstance(value, OpResult):
        return {value}
    if not value.op.operands:
        return set[Value]() if isinstance(value.op, expr.Constant) else {value}
    return set[Value]().union(*map(leaves, value.op.operands))


def copy(value: Value, e: Exprs, done: dict[Value, Value]) -> Value:
    """An expression of another body at the end of this one."""
    if value not in done:
        assert isinstance(value, OpResult)
        for operand in value.op.operands:
            copy(operand, e, done)
        e.builder.insert(value.op.clone(done))
    return done[value]
