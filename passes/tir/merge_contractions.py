"""``merge-contractions``: contractions of one value with several weights become one with their concatenation."""

from __future__ import annotations

import attrs

from irsql.dialects.tir import ops
from irsql.dialects.tir.build import Tensors
from irsql.ir import affine, dims
from irsql.ir.affine import AffineMap, DimExpr
from irsql.ir.attributes import TensorType
from irsql.ir.core import Block, Builder, Func, Module, Op, OpResult, Value
from irsql.ir.dims import Dim
from irsql.ir.passes import Pass, PassContext
from irsql.passes.tir._maps import known_ops, producer

Key = tuple[object, ...]


@attrs.frozen
class MergeContractions(Pass):
    """Reads an operand once for all the weights it is multiplied with.

    Contractions of the same left side under the same maps, whose right sides depend on parameters only and differ in
    the extent of one axis, become one contraction with the weights side by side; its slices are views, which their
    consumers absorb. The concatenation itself belongs to ``@load`` (``split-load``).

    Notes
    -----
    ``X · [A | B] = [X · A | X · B]``. In relations, where A and B differ in the values of a key that is kept:
    ``γ(X ⋈ A) ∪ γ(X ⋈ B) = γ(X ⋈ (A ∪ B))``. So Q, K and V are one relation, and so are gate and up.

    References
    ----------
    Table fusion of TranSQL+ (arXiv 2502.02818). On tensors: Jia et al., "TASO", SOSP 2019 (matrix products of one
    operand are merged by concatenating their weights).
    """

    name = "merge-contractions"
    summary = "multiply a value with several weights at once"
    stage_in = stage_out = "tir"

    def run(self, module: Module, ctx: PassContext) -> None:
        for func in module.functions.values():
            known = known_ops(func.block, stored=True)
            groups: dict[Key, list[ops.Contract]] = {}
            for op in func.block.ops:
                if isinstance(op, ops.Contract) and producer(op.rhs) in known and (key := merge_key(op)):
                    groups.setdefault(key, []).append(op)
            _report_others(func, known, groups, ctx)
            for siblings in groups.values():
                if len(siblings) > 1:
                    _merge(func.block, siblings)
                    ctx.remark("passed", siblings[0], f"merged {len(siblings)} contractions of one operand")
                    ctx.statistic("merged", len(siblings))


def _report_others(func: Func, known: set[Op], groups: dict[Key, list[ops.Contract]], ctx: PassContext) -> None:
    """Remark on contractions of one value with weights that are not all alike."""
    by_operand: dict[Value, list[ops.Contract]] = {}
    for op in func.block.ops:
        if isinstance(op, ops.Contract) and producer(op.rhs) in known:
            by_operand.setdefault(op.lhs, []).append(op)
    for found in by_operand.values():
        if len(found) > 1 and not any(len(siblings) == len(found) and found[0] in siblings
                                      for siblings in groups.values()):
            ctx.remark("missed", found[0], f"{len(found)} contractions of one operand are not all merged",
                       "their index maps, or the other axes or types of their weights, differ, or a weight's first "
                       "axis is not an axis of the result")


def _output_dim(op: ops.Contract) -> int | None:
    """The loop dim of the weight's first axis, if it runs over that axis alone and comes out as an axis."""
    first, *rest = op.maps[1].results or (affine.const(0),)
    if not isinstance(first, DimExpr):
        return None
    elsewhere = [*rest, *op.maps[0].results]
    free = not any(first.index in affine.used_dims(r) for r in elsewhere)
    return first.index if free and op.maps[2].results.count(first) == 1 else None


def merge_key(op: ops.Contract) -> Key | None:
    """Equal for contractions that can be merged; None for one that cannot."""
    d = _output_dim(op)
    if d is None or ops.tensor(op.rhs).shape[0] != op.bounds[d]:
        return None
    rhs = ops.tensor(op.rhs)
    bounds = tuple(-1 if i == d else b for i, b in enumerate(op.bounds))
    return id(op.lhs), op.maps, bounds, rhs.shape[1:], rhs.dtype, ops.tensor(op.result).dtype


def _merge(block: Block, siblings: list[ops.Contract]) -> None:
    first = siblings[0]
    for op in siblings[1:]:
        _hoist(op.rhs, first)
    d = _output_dim(first)
    assert d is not None
    sizes = [op.bounds[d] for op in siblings]
    total: Dim = 0
    for size in sizes:
        total = dims.add(total, size)
    builder = Builder.before_op(first)
    weight, out = ops.tensor(first.rhs), ops.tensor(first.result)
    joined = builder.insert(ops.Concat(tuple(op.rhs for op in siblings), axis=0, result_types=[
        TensorType((total, *weight.shape[1:]), weight.dtype)])).result
    axis = first.maps[2].results.index(DimExpr(d))
    shape = (*out.shape[:axis], total, *out.shape[axis + 1:])
    bounds = (*first.bounds[:d], total, *first.bounds[d + 1:])
    merged = builder.insert(ops.Contract(first.lhs, joined, maps=first.maps, bounds=bounds,
                                         result_types=[TensorType(shape, out.dtype)])).result
    merged.name = "_".join(op.result.name for op in siblings if op.result.name)
    start = 0
    for op, size in zip(siblings, sizes, strict=True):
        at = tuple(affine.add(DimExpr(i), affine.const(start if i == axis else 0)) for i in range(out.rank))
        part = Tensors(Builder(block, first, op.loc)).view(merged, ops.tensor(op.result).shape, AffineMap(out.rank, at))
        part.name = op.result.name
        op.result.replace_all_uses_with(part)
        assert isinstance(size, int)
        start += size
    for op in siblings:
        op.erase()


def _hoist(value: Value, anchor: Op) -> None:
    """Move what computes ``value`` before ``anchor``, in the same block."""
    op = value.op if isinstance(value, OpResult) else None
    block = anchor.parent
    if op is None or block is None or op.parent is not block or block.ops.index(op) < block.ops.index(anchor):
        return
    for operand in op.operands:
        _hoist(operand, anchor)
    op.detach()
    block.insert(block.ops.index(anchor), op)
