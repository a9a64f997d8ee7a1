"""``merge-contractions``: contractions of one value with several weights become one with all of them.

Several queries over the same scan become one (multi-query optimisation; Sellis 1988, "Multiple-query optimization"),
as sibling matrix products of one activation become one in every tensor compiler (XLA's ``dot-merger``). Weights whose
results meet element by element, a gate and what it gates, are stacked on an axis of their own: a layout can put both in
one row (``select-layout``), and nothing is left to be joined. The others are concatenated.
"""

from __future__ import annotations

import attrs
import networkx as nx

from irsql.dialects.tir import ops
from irsql.dialects.tir.build import Tensors
from irsql.ir import affine, dims
from irsql.ir.affine import AffineExpr, AffineMap, DimExpr
from irsql.ir.attributes import TensorType
from irsql.ir.core import Block, Builder, Func, Module, Op, OpResult, Value
from irsql.ir.dims import Dim
from irsql.ir.passes import Pass, PassContext
from irsql.passes.tir._maps import known_ops, producer

Key = tuple[object, ...]
Meeting = tuple[Op, AffineMap]
"""An op that reads a value, and the map through which it does."""


@attrs.frozen
class MergeContractions(Pass):
    """Reads an operand once for all the weights it is multiplied with.

    Contractions of the same left side under the same maps, whose right sides depend on parameters only and differ in
    the extent of one axis, become one contraction with the weights side by side; its slices are views, which their
    consumers absorb. Where an element-wise op reads the same element of several results, these have weights of one
    shape, which are stacked on a new axis behind that one; their slices have a constant index. Stacking and
    concatenation themselves belong to ``@load`` (``split-load``).

    Notes
    -----
    ``X · [A | B] = [X · A | X · B]``. In relations, where A and B differ in the values of a key that is kept:
    ``γ(X ⋈ A) ∪ γ(X ⋈ B) = γ(X ⋈ (A ∪ B))``. So Q, K and V are one relation. Gate and up meet in an element-wise op:
    their rows stand side by side, ``γ_{j; Σ x·a, Σ x·b}(X ⋈ (A ⋈_{k,j} B))``, and what reads both needs no join.

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
                    for op in siblings[1:]:
                        _hoist(op.rhs, siblings[0])
                for met in _meeting(siblings):
                    ctx.remark("passed", met[0], f"stacked {len(met)} contractions whose results meet")
                    ctx.statistic("stacked", len(met))
                    _stack(func.block, met)
                    siblings = [op for op in siblings if op not in met]
                if len(siblings) > 1:
                    ctx.remark("passed", siblings[0], f"merged {len(siblings)} contractions of one operand")
                    ctx.statistic("merged", len(siblings))
                    _concatenate(func.block, siblings)


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


def _meeting(siblings: list[ops.Contract]) -> list[list[ops.Contract]]:
    """Groups of siblings of equal shape whose same elements some op reads together."""
    together: nx.Graph[ops.Contract] = nx.Graph()
    first: dict[object, ops.Contract] = {}
    for op in siblings:
        for meeting in _readers(op.result):
            other = first.setdefault((op.result.type, *meeting), op)
            if other is not op:
                together.add_edge(other, op)
    return [[op for op in siblings if op in met] for met in nx.connected_components(together)]


def _readers(value: Value) -> set[Meeting]:
    """The maps that read ``value``, through others too, and the index expressions with which they do."""
    found: set[Meeting] = set()
    rank = ops.tensor(value).rank
    todo: list[tuple[Value, AffineMap]] = [(value, AffineMap.identity(rank))]
    while todo:
        x, at = todo.pop()
        for user, number in x.uses:
            if isinstance(user, ops.Map) and (meeting := (user, at.compose(user.maps[number]))) not in found:
                found.add(meeting)
                todo.append((user.result, meeting[1]))
    return found


def _concatenate(block: Block, siblings: list[ops.Contract]) -> None:
    """Weights one after the other; a sibling's result is a range of the merged one."""
    d, axis = _axes(siblings[0])
    rank = ops.tensor(siblings[0].result).rank
    total: Dim = 0
    parts: list[AffineMap] = []
    for op in siblings:
        start = total
        assert isinstance(start, int)
        parts.append(AffineMap(rank, tuple(affine.add(DimExpr(i), affine.const(start if i == axis else 0))
                                           for i in range(rank))))
        total = dims.add(total, op.bounds[d])
    bounds = (*siblings[0].bounds[:d], total, *siblings[0].bounds[d + 1:])
    _merge(block, siblings, [op.rhs for op in siblings], 0, siblings[0].maps, bounds, parts)


def _stack(block: Block, siblings: list[ops.Contract]) -> None:
    """Weights beside each other on a new axis behind their first; a sibling's result has one index there."""
    first = siblings[0]
    _, axis = _axes(first)
    weight, rank = ops.tensor(first.rhs), ops.tensor(first.result).rank
    t = Tensors(Builder.before_op(first))
    kept = AffineMap.select(weight.rank + 1, (0, *range(2, weight.rank + 1)))
    weights = [t.view(op.rhs, (weight.shape[0], 1, *weight.shape[1:]), kept) for op in siblings]
    bounds = (*first.bounds, len(siblings))
    new = DimExpr(len(first.bounds))
    results = [first.maps[0].results, _inserted(first.maps[1], 1, new), _inserted(first.maps[2], axis + 1, new)]
    maps = tuple(AffineMap(len(bounds), r) for r in results)
    parts = [AffineMap(rank, _inserted(AffineMap.identity(rank), axis + 1, affine.const(n)))
             for n in range(len(siblings))]
    _merge(block, siblings, weights, 1, maps, bounds, parts)


def _axes(op: ops.Contract) -> tuple[int, int]:
    """The loop dim of the weight's first axis, and where it is in the result."""
    d = _output_dim(op)
    assert d is not None
    return d, op.maps[2].results.index(DimExpr(d))


def _inserted(amap: AffineMap, at: int, result: AffineExpr) -> tuple[AffineExpr, ...]:
    return *amap.results[:at], result, *amap.results[at:]


def _merge(block: Block, siblings: list[ops.Contract], weights: list[Value], axis: int, maps: tuple[AffineMap, ...],
           bounds: tuple[Dim, ...], parts: list[AffineMap]) -> None:
    """One contraction with the weights joined along ``axis``, and the ``parts`` of its result for the siblings."""
    first = siblings[0]
    builder = Builder.before_op(first)
    extent: Dim = 0
    for w in weights:
        extent = dims.add(extent, ops.tensor(w).shape[axis])
    weight = ops.tensor(weights[0])
    joined = builder.insert(ops.Concat(tuple(weights), axis=axis, result_types=[
        TensorType((*weight.shape[:axis], extent, *weight.shape[axis + 1:]), weight.dtype)])).result
    shape = tuple(bounds[r.index] for r in maps[2].results if isinstance(r, DimExpr))
    merged = builder.insert(ops.Contract(first.lhs, joined, maps=maps, bounds=bounds, result_types=[
        TensorType(shape, ops.tensor(first.result).dtype)])).result
    merged.name = "_".join(op.result.name for op in siblings if op.result.name)
    for op, at in zip(siblings, parts, strict=True):
        part = Tensors(Builder(block, first, op.loc)).view(merged, ops.tensor(op.result).shape, at)
        part.name = op.result.name
        op.result.replace_all_uses_with(part)
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
