"""``fold-weights``: factors that are known at load time move into the weight of the contraction behind them.

The identity is distributivity, once for each side of a contraction over k:

* ``Σ_k (x_k · g_k) · W_nk = Σ_k x_k · (g_k · W_nk)``: the weight of a norm moves into the matrix that reads the norm;
* ``c · f(Σ_k x_k · W_nk) = f(Σ_k x_k · (c · W_nk))`` for a linear ``f``: the scale of attention moves through views
  and rotary embedding into the matrix of the queries.
"""

from __future__ import annotations

from collections.abc import Callable

import attrs

from irsql.dialects.expr import Exprs
from irsql.dialects.tir import ops
from irsql.dialects.tir.build import Tensors
from irsql.ir import cleanup
from irsql.ir.affine import AffineMap, DimExpr, const, used_dims
from irsql.ir.core import Builder, Module, Op, Value
from irsql.ir.passes import Pass, PassContext
from irsql.passes.tir._factors import arguments, copy_into, factors, is_linear
from irsql.passes.tir._maps import Input, known_ops, producer

SIDES = (0, 1)


@attrs.frozen
class FoldWeights(Pass):
    """Multiplies a weight once, when it is loaded, by what every step would multiply its operand or result with.

    A weight that somebody else reads too (a tied embedding) is left alone: it would be stored twice.

    Notes
    -----
    In relations: ``γ_{n; Σ x·g·w}(X ⋈ G ⋈ W) = γ_{n; Σ x·v}(X ⋈ V)`` for ``V = π_{n, k, g·w → v}(G ⋈ W)``, which
    ``@load`` stores once: a step has one join less.

    References
    ----------
    Weights of norms in the matrices behind them: Ashkboos et al., "SliceGPT", ICLR 2024. The scale of attention in the
    query matrix: common practice of inference engines.
    """

    name = "fold-weights"
    summary = "multiply weights by known factors of their operands when they are loaded"
    stage_in = stage_out = "tir"

    def run(self, module: Module, ctx: PassContext) -> None:
        for func in module.functions.values():
            known = known_ops(func.block, stored=True)
            for op in list(func.block.ops):
                if isinstance(op, ops.Map) and op not in known:
                    _fold_factors(op, known, ctx)
            known = known_ops(func.block, stored=True)  # the products made above too
            for op in func.block.ops:
                if isinstance(op, ops.Attention) and op.scale != 1.0:
                    _fold_scale(op, known, ctx)
            ctx.statistic("erased", cleanup.erase_dead(func.block))


# -- a factor of the operand ----------------------------------------------------------------------------
def _fold_factors(op: ops.Map, known: set[Op], ctx: PassContext) -> None:
    body = op.body.block
    given = {i for i, v in enumerate(op.inputs) if producer(v) in known}
    parts = factors(body)
    found = [f for f in parts if (used := arguments(f)) and used <= given]
    readers = [(u, i) for u, i in op.result.uses]
    if not found or len(found) == len(parts) or not all(isinstance(u, ops.Contract) for u, _ in readers):
        return  # nothing known among the factors, or the product itself is needed
    contracts = [(u, i) for u, i in readers if isinstance(u, ops.Contract)]
    for contract, side in contracts:
        reason = _obstacle(op, found, contract, side, known)
        if reason:
            ctx.remark("missed", op, f"a factor stays in front of {contract.result.name or 'a contraction'}", reason)
            return
    for contract, side in contracts:
        _multiply(contract, 1 - side, op, found)
    _drop(op, found)
    ctx.remark("passed", op, f"{len(found)} factor{'s' * (len(found) > 1)} moved into the weights of "
               f"{len(contracts)} contraction{'s' * (len(contracts) > 1)}")
    ctx.statistic("folded", len(contracts))


def _obstacle(op: ops.Map, found: list[Value], contract: ops.Contract, side: int, known: set[Op]) -> str:
    """Why the factors cannot move into the other side of a contraction; empty when they can."""
    weight = contract.operands[1 - side]
    if producer(weight) not in known:
        return "the other side is no weight"
    if contract.operands[side] is weight or len(weight.uses) > 1:
        return "the weight has other readers too, and would be stored twice"
    places = _positions(contract, side)
    if places is None:
        return "the weight is not read row by row"
    used = {d for f in found for i in arguments(f) for r in op.maps[i].results for d in used_dims(r)}
    return "" if used <= set(places) else "the factor runs over an axis that the weight does not have"


def _positions(contract: ops.Contract, side: int) -> dict[int, int] | None:
    """Axis of the operand to the axis of the weight that the same loop runs over; None if not all of it is read."""
    rows = contract.maps[1 - side].results
    loops = [r.index for r in rows if isinstance(r, DimExpr)]
    if len(set(loops)) != len(rows):
        return None
    if tuple(contract.bounds[i] for i in loops) != ops.tensor(contract.operands[1 - side]).shape:
        return None
    return {axis: rows.index(r) for axis, r in enumerate(contract.maps[side].results) if r in rows}


def _multiply(contract: ops.Contract, side: int, op: ops.Map, found: list[Value]) -> None:
    """Multiply the weight on one side of a contraction with factors of the map on its other side."""
    places = _positions(contract, 1 - side)
    assert places is not None, "`_obstacle` has seen to it"
    weight = contract.operands[side]
    width, rank = ops.tensor(weight).rank, ops.tensor(op.result).rank
    at = AffineMap(width, tuple(DimExpr(places[d]) if d in places else const(0) for d in range(rank)))
    numbers = sorted(set[int]().union(*map(arguments, found)))
    inputs = [(weight, AffineMap.identity(width)), *((op.inputs[i], op.maps[i].compose(at)) for i in numbers)]

    def body(e: Exprs) -> Value:
        mapping: dict[Value, Value] = {op.body.block.args[i]: a for i, a in zip(numbers, e.args[1:], strict=True)}
        product = e.args[0]
        for factor in found:
            product = e.binary("mul", product, copy_into(factor, mapping, e))
        return product

    _replace_weight(contract, side, inputs, body)


def _replace_weight(contract: ops.Contract, side: int, inputs: list[Input], body: Callable[[Exprs], Value]) -> None:
    weight = contract.operands[side]
    made = Tensors(Builder.before_op(contract)).map(ops.tensor(weight).shape, inputs, body)
    made.name = weight.name
    contract.set_operand(side, made)


def _drop(op: ops.Map, found: list[Value]) -> None:
    """Take factors out of the product that a map's body yields; inputs that are left unused go too."""
    block = op.body.block
    rest = [f for f in factors(block) if f not in found]
    e = Exprs(Builder.before_op(block.terminator))
    product = rest[0]
    for factor in rest[1:]:
        product = e.binary("mul", product, factor)
    block.terminator.set_operands([product])
    cleanup.erase_dead(block)


# -- a factor of the result -----------------------------------------------------------------------------
def _fold_scale(op: ops.Attention, known: set[Op], ctx: PassContext) -> None:
    found = _linear_source(op.q, known)
    if isinstance(found, str):
        ctx.remark("missed", op, "the scale of attention stays in front of every score", found)
        return
    contract, side = found
    weight = contract.operands[side]
    inputs = [(weight, AffineMap.identity(ops.tensor(weight).rank))]
    scale = op.scale
    _replace_weight(contract, side, inputs, lambda e: e.binary("mul", e.args[0], e.const(scale, e.args[0].type)))
    op.scale = 1.0
    ctx.remark("passed", op, f"the scale {scale:.6g} of attention moved into the weight of the queries")
    ctx.statistic("folded")


def _linear_source(value: Value, known: set[Op]) -> tuple[ops.Contract, int] | str:
    """The contraction with a weight that a value depends on linearly, and the weight's side; or why there is none."""
    op = producer(value)
    if len(value.uses) > 1 and len({id(u) for u in value.users()}) > 1:
        return "the queries have other readers too"
    if isinstance(op, ops.Contract):
        for side in SIDES:
            weight = op.operands[side]
            if producer(weight) in known:
                return (op, side) if len(weight.uses) == 1 else "the weight of the queries has other readers too"
        return "the queries are a product of no weight"
    if not isinstance(op, ops.Map):
        return "the queries do not depend linearly on a product with a weight"
    for source in dict.fromkeys(op.inputs):
        args = {i for i, v in enumerate(op.inputs) if v is source}
        if producer(source) not in known and is_linear(op.body.block, args):
            found = _linear_source(source, known)
            if not isinstance(found, str):
                return found
    return "the queries do not depend linearly on a product with a weight"
