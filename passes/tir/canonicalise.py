"""``canonicalise``: views into the maps of their consumers, simpler maps, simpler bodies."""

from __future__ import annotations

import attrs
import numpy as np

from irsql.dialects import expr
from irsql.dialects.expr import Exprs
from irsql.dialects.tir import ops
from irsql.ir import affine, cleanup
from irsql.ir.affine import AffineMap, DimExpr
from irsql.ir.attributes import I64
from irsql.ir.core import Builder, Func, Module, Op, Value
from irsql.ir.passes import Pass, PassContext
from irsql.ir.rewriter import Pattern, Rewriter
from irsql.passes.tir._body import BODY_PATTERNS
from irsql.passes.tir._maps import enclosing_func, is_view, producer, rebuild, simplifier, tree_size, view_of

FILL_SIZE = 4
"""A map without inputs (a constant, a function of coordinates) of at most this size is computed where it is used."""


class FoldProducers(Pattern):
    """Views, small maps without inputs and equal inputs of a map go into its own maps and body."""

    root = ops.Map

    def rewrite(self, op: Op, rewriter: Rewriter) -> bool:
        assert isinstance(op, ops.Map)
        replaced: dict[int, ops.Map] = {}
        for i, value in enumerate(op.inputs):
            inner = producer(value)
            if isinstance(inner, ops.Map) and (is_view(inner) or _is_fill(inner)):
                replaced[i] = inner
        pairs = set(zip(op.inputs, op.maps, strict=True))
        if not replaced and len(pairs) == len(op.inputs):
            return False
        rewriter.replace(op, rebuild(op, replaced))
        return True


def _is_fill(op: ops.Map) -> bool:
    return not op.inputs and tree_size(op.body.block) <= FILL_SIZE


class FoldConstantInputs(Pattern):
    """A constant of one value and an iota become expressions of the body."""

    root = ops.Map

    def rewrite(self, op: Op, rewriter: Rewriter) -> bool:
        assert isinstance(op, ops.Map)
        for i, value in enumerate(op.inputs):
            inner = producer(value)
            dtype = ops.tensor(value).dtype
            e, region = Exprs.body()
            if isinstance(inner, ops.Constant) and _is_splat(inner.value.array):
                e.end(e.const(inner.value.array.flat[0].item(), dtype))
            elif isinstance(inner, ops.Iota):
                at = e.builder.insert(expr.Index(dim=0, result_types=[I64])).result
                scaled = at if inner.step == 1 else e.binary("mul", at, e.const(inner.step, I64))
                shifted = scaled if not inner.start else e.binary("add", scaled, e.const(inner.start, I64))
                e.end(e.cast(shifted, dtype))
            else:
                continue
            fill = ops.Map((), body=region, maps=(), result_types=[value.type])
            rewriter.replace(op, rebuild(op, {i: fill}))
            return True
        return False


def _is_splat(array: np.typing.NDArray[np.generic]) -> bool:
    """One value throughout, bit by bit: 0.0 and -0.0 are two."""
    return array.size > 0 and array.tobytes() == array.flat[0].tobytes() * array.size


class FoldViewIntoContract(Pattern):
    """An operand of a contraction that is a view: its map goes into the contraction's."""

    root = ops.Contract

    def rewrite(self, op: Op, rewriter: Rewriter) -> bool:
        assert isinstance(op, ops.Contract)
        sources = [view_of(op.lhs), view_of(op.rhs)]
        if sources == [None, None]:
            return False
        maps = list(op.maps)
        for i, source in enumerate(sources):
            if source is not None:
                op.set_operand(i, source[0])
                maps[i] = source[1].compose(op.maps[i])
        op.maps = tuple(maps)
        rewriter.modified(op)
        return True


class FoldViewIntoGather(Pattern):
    """A gather from a view, where the view passes the looked-up coordinates through, and indices that are views."""

    root = ops.Gather

    def rewrite(self, op: Op, rewriter: Rewriter) -> bool:
        assert isinstance(op, ops.Gather)
        for j, index in enumerate(op.indices):
            source = view_of(index)
            if source is not None:
                op.set_operand(1 + j, source[0])
                op.index_maps = (*op.index_maps[:j], source[1].compose(op.index_maps[j]), *op.index_maps[j + 1:])
                rewriter.modified(op)
                return True
        source = view_of(op.data)
        if source is None:
            return False
        data, amap = source
        axes: list[int] = []
        for axis in op.axes:
            at = [j for j, r in enumerate(amap.results) if axis in affine.used_dims(r)]
            if len(at) != 1 or amap.results[at[0]] != DimExpr(axis):
                return False
            if ops.tensor(op.data).shape[axis] != ops.tensor(data).shape[at[0]]:
                return False  # an index outside of the view must not find what lies there in its source
            axes += at
        op.set_operand(0, data)
        op.axes, op.data_map = tuple(axes), amap.compose(op.data_map)
        rewriter.modified(op)
        return True


class DropIdentity(Pattern):
    """A view that changes nothing."""

    root = ops.Map

    def rewrite(self, op: Op, rewriter: Rewriter) -> bool:
        assert isinstance(op, ops.Map)
        if not is_view(op) or not op.maps[0].is_identity() or op.inputs[0].type != op.result.type:
            return False
        rewriter.replace(op, op.inputs[0])
        return True


class ShareEqualInputs(Pattern):
    """Inputs of a map that are the same tensor read through the same map are one; the other is left unused."""

    root = ops.Map

    def rewrite(self, op: Op, rewriter: Rewriter) -> bool:
        assert isinstance(op, ops.Map)
        first: dict[tuple[Value, AffineMap], int] = {}
        changed = False
        for i, (value, amap) in enumerate(zip(op.inputs, op.maps, strict=True)):
            j = first.setdefault((value, amap), i)
            args = op.body.block.args
            if j != i and args[i].uses:
                args[i].replace_all_uses_with(args[j])
                changed = True
        if changed:
            rewriter.modified(op)
        return changed


class DropUnusedInputs(Pattern):
    """Inputs of a map that its body does not use."""

    root = ops.Map

    def rewrite(self, op: Op, rewriter: Rewriter) -> bool:
        assert isinstance(op, ops.Map)
        block = op.body.block
        unused = [i for i, arg in enumerate(block.args) if not arg.uses]
        if not unused:
            return False
        kept = [i for i in range(len(op.inputs)) if i not in unused]
        maps = tuple(op.maps[i] for i in kept)
        op.set_operands([op.inputs[i] for i in kept])
        op.maps = maps
        for i in reversed(unused):
            block.erase_arg(i)
        rewriter.modified(op)
        return True


class SimplifyMaps(Pattern):
    """Affine maps in simplest form under the bounds of the loop."""

    root = (ops.Map, ops.Contract, ops.Gather)

    def rewrite(self, op: Op, rewriter: Rewriter) -> bool:
        func = enclosing_func(op)
        match op:
            case ops.Contract():
                simple = simplifier(func, op.bounds)
                maps = (simple.map(op.maps[0]), simple.map(op.maps[1]), op.maps[2])
                changed, op.maps = maps != op.maps, maps
            case ops.Map():
                simple = simplifier(func, ops.tensor(op.result).shape)
                simpler = tuple(simple.map(m) for m in op.maps)
                changed, op.maps = simpler != op.maps, simpler
            case ops.Gather():
                simple = simplifier(func, ops.tensor(op.result).shape)
                before = (op.data_map, *op.index_maps)
                op.data_map, op.index_maps = simple.map(op.data_map), tuple(simple.map(m) for m in op.index_maps)
                changed = before != (op.data_map, *op.index_maps)
            case _:
                return False
        if changed:
            rewriter.modified(op)
        return changed


class SimplifyBody(Pattern):
    """The rules of ``_body`` on the scalar expression of a map."""

    root = ops.Map

    def rewrite(self, op: Op, rewriter: Rewriter) -> bool:
        assert isinstance(op, ops.Map)
        block = op.body.block
        changed = False
        for inner in list(block.ops):
            if inner.is_terminator:
                continue
            for rule in BODY_PATTERNS:
                new = rule(inner, Exprs(Builder.before_op(inner)))
                if new is not None:
                    inner.replace_with(new)
                    changed = True
                    break
        changed |= cleanup.cse(block) + cleanup.erase_dead(block) > 0
        if changed:
            rewriter.modified(op)
        return changed


PATTERNS: tuple[Pattern, ...] = (SimplifyBody(), ShareEqualInputs(), DropUnusedInputs(), FoldConstantInputs(),
                                 FoldProducers(), FoldViewIntoContract(), FoldViewIntoGather(), SimplifyMaps(),
                                 DropIdentity())


@attrs.frozen
class Canonicalise(Pass):
    """Folds views into their consumers, simplifies index maps by the loop's bounds and scalar bodies by exact rules.

    Every rewrite keeps every bit of the result: what is only nearly equal (``x + 0`` at ``-0.0``, reassociation) is
    left alone.

    Notes
    -----
    ``T[m(i)]`` for ``T[j] = X[n(j)]`` is ``X[n(m(i))]``: index maps are composed, no view is left between them. In
    relations: ``π_f(π_g(R)) = π_{f∘g}(R)``. An operand that is read twice through one map would be a self-join on all
    keys, and ``R ⋈_{keys} R = R`` (join elimination). Index arithmetic is collapsed and algebra cleaned up here.

    References
    ----------
    MLIR, ``-canonicalize``, the composition of affine maps and ``simplifyAffineExpr``. Exact scalar rules as in LLVM's
    InstSimplify.
    """

    name = "canonicalise"
    summary = "fold views into maps, simplify index maps and bodies"
    stage_in = stage_out = "tir"

    def run(self, module: Module, ctx: PassContext) -> None:
        for func in module.functions.values():
            before = len(func.block.ops)
            changed = ctx.apply(PATTERNS, func, driver="greedy")
            ctx.statistic("erased", cleanup.erase_dead(func.block))
            if changed:
                ctx.remark("passed", func, f"@{func.sym_name}: {before} operations became {len(func.block.ops)}")
            _report_views(func, ctx)


def _report_views(func: Func, ctx: PassContext) -> None:
    """Remark on the views that are left, by what keeps them."""
    views = [op for op in func.block.ops if is_view(op)]
    if views:
        readers = sorted({user.name for op in views for user in op.results[0].users()})
        ctx.remark("missed", func, f"@{func.sym_name}: {len(views)} of {len(func.block.ops)} operations remain views",
                   f"they are read by {', '.join(readers)}, not through a map")
