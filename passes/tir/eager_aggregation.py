"""``eager-aggregation``: sum first, multiply after."""

from __future__ import annotations

from collections.abc import Collection

import attrs

from irsql.dialects.expr import Exprs
from irsql.dialects.tir import ops
from irsql.dialects.tir.build import Tensors
from irsql.ir import cleanup
from irsql.ir.affine import AffineMap, DimExpr, const, used_dims
from irsql.ir.core import Block, Builder, Module, Value
from irsql.ir.dims import Dim
from irsql.ir.passes import Pass, PassContext
from irsql.passes.tir._factors import arguments, copy_into, quotient
from irsql.passes.tir._maps import producer, symbol_ranges
from irsql.passes.tir._signs import POSITIVE, Ranges, never_empty, sign_in

SIDES = (0, 1)


@attrs.frozen
class EagerAggregation(Pass):
    """Moves factors of an operand behind the contraction, where there are fewer elements to multiply with them.

    Notes
    -----
    ``Σ_k (a_ik · s_i) · b_kj = s_i · Σ_k a_ik · b_kj``. In relations:
    ``γ_{i,j; Σ a·s·b}(A ⋈ S ⋈ B) = S ⋈ γ_{i,j; Σ a·b}(A ⋈ B)`` where the grouping columns determine the row of S; the
    join with S reads sums instead of terms. What comes out is known to be positive, so that nothing is divided by zero,
    and the sum to have a term: 0 / 0 is not the sum of nothing.

    References
    ----------
    Yan and Larson, "Eager aggregation and lazy aggregation", VLDB 1995; for the division of a softmax: Rabe and Staats,
    "Self-attention does not need O(n²) memory", 2021, section 3.
    """

    name = "eager-aggregation"
    summary = "apply factors that a sum does not run over to the sum instead of to its terms"
    stage_in = stage_out = "tir"

    def run(self, module: Module, ctx: PassContext) -> None:
        for func in module.functions.values():
            for op in list(func.block.ops):
                if isinstance(op, ops.Contract):
                    for side in SIDES:
                        _move(op, side, symbol_ranges(func), ctx)


def _move(op: ops.Contract, side: int, ranges: Ranges, ctx: PassContext) -> None:
    """Move the factors of one operand that do not depend on a summed loop."""
    source = producer(op.operands[side])
    if not isinstance(source, ops.Map) or len(source.result.uses) > 1 or not ops.tensor(source.result).dtype.is_float:
        return
    above, below = quotient(source.body.block)
    found = {v for v in (*above, *below) if _is_constant_in_sum(op, side, source, v)}
    if not found or found.issuperset(above):
        return  # nothing to move, or nothing would stay
    reason = _obstacle(op, side, source, found, ranges)
    if reason:
        ctx.remark("missed", op, "a factor stays with the terms of a sum", reason)
        return
    _apply_after(op, side, source, [v for v in above if v in found], [v for v in below if v in found])
    _rebuild(source.body.block, [v for v in above if v not in found], [v for v in below if v not in found])
    ctx.remark("passed", op, f"{len(found)} factor{'s' * (len(found) > 1)} applied after the sum")
    ctx.statistic("moved", len(found))


def _obstacle(op: ops.Contract, side: int, source: ops.Map, found: Collection[Value], ranges: Ranges) -> str:
    """Why factors should not come out of a sum; empty when they should."""
    kept = _kept(op)
    if not _pays(op, side):
        return "the sum has fewer terms than the axis that its result would be multiplied along"
    if not never_empty([b for d, b in enumerate(op.bounds) if d not in kept], ranges):
        return "the sum may have no term"
    if any(sign_in(v, source, ranges) != POSITIVE for v in found):
        return "the factor may be zero"
    return ""


def _is_constant_in_sum(op: ops.Contract, side: int, source: ops.Map, factor: Value) -> bool:
    numbers = arguments(factor)
    if not numbers or -1 in numbers:
        return False
    loops = {d for i in numbers for r in source.maps[i].compose(op.maps[side]).results for d in used_dims(r)}
    return loops <= _kept(op).keys()


def _kept(op: ops.Contract) -> dict[int, int]:
    """Loops that are not summed over, and the axis of the result that each runs along."""
    return {r.index: axis for axis, r in enumerate(op.maps[2].results) if isinstance(r, DimExpr)}


def _pays(op: ops.Contract, side: int) -> bool:
    """Whether a sum has at least as many terms as a factor has readers in the result; a symbol counts as many."""
    kept = _kept(op)
    read = {d for r in op.maps[side].results for d in used_dims(r)}
    terms = _size([b for d, b in enumerate(op.bounds) if d not in kept])
    readers = _size([b for d, b in enumerate(op.bounds) if d in kept and d not in read])
    return terms >= readers


def _size(extents: Collection[Dim]) -> tuple[int, int]:
    """Symbols, and the product of what is static: an order of magnitude."""
    static = 1
    for extent in extents:
        static *= extent if isinstance(extent, int) else 1
    return sum(not isinstance(e, int) for e in extents), static


def _apply_after(op: ops.Contract, side: int, source: ops.Map, above: list[Value], below: list[Value]) -> None:
    """Multiply the result of a contraction with factors of its operand, and divide it by others."""
    out, kept = ops.tensor(op.result), _kept(op)
    at = AffineMap(out.rank, tuple(DimExpr(kept[d]) if d in kept else const(0) for d in range(len(op.bounds))))
    numbers = sorted(set[int]().union(*map(arguments, (*above, *below))))
    inputs = [(op.result, AffineMap.identity(out.rank)),
              *((source.inputs[i], source.maps[i].compose(op.maps[side]).compose(at)) for i in numbers)]
    block = op.parent
    assert block is not None

    def body(e: Exprs) -> Value:
        mapping: dict[Value, Value] = {source.body.block.args[i]: a for i, a in zip(numbers, e.args[1:], strict=True)}
        value = e.args[0]
        for kind, factors in (("mul", above), ("div", below)):
            for factor in factors:
                value = e.binary(kind, value, copy_into(factor, mapping, e))
        return value

    made = Tensors(Builder(block, block.ops[block.ops.index(op) + 1], op.loc)).map(out.shape, inputs, body)
    made.name = op.result.name
    for user, index in list(op.result.uses):
        if user is not made.owner:
            user.set_operand(index, made)


def _rebuild(block: Block, above: list[Value], below: list[Value]) -> None:
    """Let a body yield a quotient of what is left; inputs that are left unused go too."""
    e = Exprs(Builder.before_op(block.terminator))
    value = above[0]
    for factor in above[1:]:
        value = e.binary("mul", value, factor)
    for factor in below:
        value = e.binary("div", value, factor)
    block.terminator.set_operands([value])
    cleanup.erase_dead(block)
