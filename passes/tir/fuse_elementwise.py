"""``fuse-elementwise``: chains of element-wise maps become one."""

from __future__ import annotations

from typing import Any

import attrs
import networkx as nx

from irsql.dialects.tir import ops
from irsql.ir import affine, cleanup
from irsql.ir.core import Block, Func, Module
from irsql.ir.passes import Pass, PassContext
from irsql.passes.tir._maps import is_cheap, is_view, producer, rebuild, tree_size


@attrs.frozen
class FuseElementwise(Pass):
    """Computes a map inside the maps that use it, where that repeats no work worth mentioning.

    A producer moves into its consumer when it has no other user, or is cheap and has one input at most, and when the
    consumer does not read one element of an expensive producer from many places (a broadcast). What remains a map of
    its own is remarked upon.

    Notes
    -----
    ``map_g(map_f(X)) = map_{g∘f}(X)``, in relations ``π_g(π_f(R) ⋈ S) = π_{g∘f}(R ⋈ S)``. Operator fusion: the
    maps of a function are a graph, whose edges are taken in topological order.

    References
    ----------
    Chen et al., "TVM: an automated end-to-end optimizing compiler for deep learning", OSDI 2018 (operator fusion);
    MLIR, ``-linalg-fuse-elementwise-ops``.
    """

    name = "fuse-elementwise"
    summary = "merge chains of element-wise maps"
    stage_in = stage_out = "tir"

    max_inputs: int = 6
    """Most inputs of a fused map: each is a join."""
    max_ops: int = 48
    """Largest fused body, counted as the tree that it becomes in SQL text, where a shared value is written out at each
    of its uses.
    """

    def run(self, module: Module, ctx: PassContext) -> None:
        for func in module.functions.values():
            self._fuse(func.block, ctx)
            cleanup.erase_dead(func.block)

    def _fuse(self, block: Block, ctx: PassContext) -> None:
        graph = producer_graph(block)
        fusions = 0
        current = {node: node for node in graph.nodes}  # an op of the graph and what has become of it
        for node in list(nx.topological_sort(graph)):
            for source in list(graph.predecessors(node)):
                inner, op = current[source], current[node]
                reason = self.obstacle(inner, op)
                if reason:
                    ctx.remark("missed", op, f"{inner.result.name or inner.name} stays a map of its own", reason)
                    continue
                indices = [i for i, value in enumerate(op.inputs) if value is inner.result]
                fused = rebuild(op, {i: inner for i in indices})
                block.insert(block.ops.index(op), fused)
                op.replace_with(fused.result)
                current[node] = fused
                ctx.statistic("fused")
                fusions += 1
        func = block.parent_op
        if fusions and isinstance(func, Func):
            ctx.remark("passed", func, f"@{func.sym_name}: {fusions} of {len(graph)} maps moved into their readers")

    def obstacle(self, inner: ops.Map, op: ops.Map) -> str:
        """Why ``inner`` cannot be computed inside ``op``; empty when it can."""
        if is_view(inner):
            return ""
        cheap = is_cheap(inner)
        users = len(inner.result.users())
        if users > 1 and not (cheap and len(inner.inputs) <= 1):
            return f"it has {users} users and " + ("each would join its inputs" if cheap else "is not cheap to repeat")
        extents = ops.tensor(op.result).shape
        reads = [m for value, m in zip(op.inputs, op.maps, strict=True) if value is inner.result]
        wide = [m for m in reads if any(d != 1 and i not in _used(m) for i, d in enumerate(extents))]
        if not cheap and (wide or len(set(reads)) > 1):
            return "each element is used in many places and is not cheap to repeat"
        rest = {(v, m) for v, m in zip(op.inputs, op.maps, strict=True) if v is not inner.result}
        inputs = rest | {(v, m.compose(r)) for r in reads for v, m in zip(inner.inputs, inner.maps, strict=True)}
        if len(inputs) > self.max_inputs:
            return f"the fused map would have {len(inputs)} inputs, more than max-inputs={self.max_inputs}"
        own = tree_size(inner.body.block)
        size = tree_size(op.body.block, [own if v is inner.result else 0 for v in op.inputs])
        return f"the fused body would have {size} operations, more than max-ops={self.max_ops}" \
            if size > self.max_ops else ""


def producer_graph(block: Block) -> nx.DiGraph[Any]:
    """The maps of a block, with an edge from each to the maps that read it, in order of the block."""
    graph: nx.DiGraph[Any] = nx.DiGraph()
    for op in block.ops:
        if isinstance(op, ops.Map):
            graph.add_node(op)
            for value in op.inputs:
                source = producer(value)
                if isinstance(source, ops.Map) and source.parent is block:
                    graph.add_edge(source, op)
    return graph


def _used(amap: affine.AffineMap) -> frozenset[int]:
    return frozenset[int]().union(*(affine.used_dims(r) for r in amap.results))
