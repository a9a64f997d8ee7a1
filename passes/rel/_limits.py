"""Expressions within an engine's limits: what is too deep, too long or repeated too often gets a projection of its own.

SQL has no name for a part of an expression but a column, so a shared value is written out once a use.
"""

from __future__ import annotations

from collections.abc import Container, Sequence

import attrs

from irsql.dialects import expr as ex
from irsql.dialects.rel import ops as ro
from irsql.dialects.rel.types import RelType, Val, rel
from irsql.ir.attributes import ScalarType
from irsql.ir.cleanup import erase_dead
from irsql.ir.core import Block, Builder, Op, Value
from irsql.passes.rel.prune_columns import drop_yields, read_columns

Reader = ro.Project | ro.Aggregate
"""Ops that may read a projection instead of their operand."""


@attrs.frozen
class Bounds:
    """What an expression may be.

    Attributes
    ----------
    depth
        Nested operators.
    terms
        Terms of one sum.
    repeats
        Operators that may be written more than once because their value is shared.
    """

    depth: int
    terms: int
    repeats: int


@attrs.define
class _Shape:
    """Depth and operators of a written-out expression, and its terms where it is a sum."""

    depth: int = 0
    size: int = 0
    terms: int = 1


def _is_sum(value: Value) -> bool:
    return isinstance(value.owner, ex.Binary) and value.owner.kind == "add"


def _shape(op: Op, shapes: dict[Value, _Shape], cut: Container[Value]) -> _Shape:
    """The shape of one op's value when those in ``cut`` are columns."""
    parts = [_Shape() if v in cut else shapes[v] for v in op.operands]
    shape = _Shape()
    if parts:
        shape.depth = 1 + max(p.depth for p in parts)
        shape.size = 1 + sum(p.size for p in parts)
    if _is_sum(op.result):
        shape.terms = sum(p.terms for p in parts)
    return shape


def extent_of(block: Block) -> tuple[int, int]:
    """Depth of the deepest expression of a body, and terms of its longest sum."""
    shapes: dict[Value, _Shape] = {}
    for op in block.ops[:-1]:
        shapes[op.result] = _shape(op, shapes, ())
    found = list(shapes.values())
    return max((s.depth for s in found), default=0), max((s.terms for s in found), default=1)


def depth_of(block: Block) -> int:
    """Depth of the deepest expression of a body."""
    return extent_of(block)[0]


def balance(block: Block) -> None:
    """Rewrite sums into trees of logarithmic depth."""
    for op in list(block.ops):
        if op.is_terminator or not _is_sum(op.result) or _inner_of_sum(op.result):
            continue
        leaves = _leaves(op.result)
        if len(leaves) > 2:
            e = ex.Exprs(Builder.before_op(op))
            while len(leaves) > 1:
                pairs = [e.binary("add", a, b) for a, b in zip(leaves[::2], leaves[1::2], strict=False)]
                leaves = pairs + leaves[len(pairs) * 2:]
            op.replace_with(leaves[0])
    erase_dead(block)


def _inner_of_sum(value: Value) -> bool:
    users = value.users()
    return len(value.uses) == 1 and isinstance(users[0], ex.Binary) and users[0].kind == "add"


def _leaves(root: Value) -> list[Value]:
    out: list[Value] = []
    stack = [root]
    while stack:
        v = stack.pop()
        if _is_sum(v) and (v is root or _inner_of_sum(v)):
            assert isinstance(v.owner, Op)
            stack += reversed(v.owner.operands)
        else:
            out.append(v)
    return out


def fit(op: Reader, bounds: Bounds) -> int:
    """Bring the expressions of ``op`` within bounds by projections before it; give their number."""
    block = op.body.block
    if depth_of(block) > bounds.depth:
        balance(block)
    cut = _cuts(block, bounds)
    if not cut:
        return 0
    levels = _levels(block, cut)
    names = _names(rel(op.x), cut)
    added = [_insert_level(op, [v for v in cut if levels[v] == level], names, levels)
             for level in range(1, max(levels.values()) + 1)]  # fmt: skip
    for v in cut:
        column = ex.Exprs(Builder(block, block.ops[0])).col(names[v], v.type)
        v.replace_all_uses_with(column)
    reader: Reader = op
    for project in reversed(added):  # what was only needed for a cut value goes no further than its projection
        drop_yields(project, {c for _, c in read_columns(reader.body)})
        reader = project
    return len(added)


def _cuts(block: Block, bounds: Bounds) -> list[Value]:
    """Values to be computed before, in order of definition."""
    cut: dict[Value, None] = {}
    shapes: dict[Value, _Shape] = {}
    for op in block.ops[:-1]:
        shape = _shape(op, shapes, cut)
        for v in sorted(op.operands, key=lambda v: -shapes[v].terms):
            if shape.terms > bounds.terms and v not in cut and shapes[v].terms > 1:
                cut[v] = None
                shape = _shape(op, shapes, cut)
        shapes[op.result] = shape
        repeated = shape.size * (len(op.result.uses) - 1) > bounds.repeats
        too_deep = shape.depth >= bounds.depth and any(not user.is_terminator for user in op.result.users())
        if isinstance(op.result.type, ScalarType) and (repeated or too_deep):
            cut[op.result] = None
    order: dict[Value, int] = {op.result: n for n, op in enumerate(block.ops) if op.results}
    return sorted(cut, key=lambda v: order[v])


def _levels(block: Block, cut: Sequence[Value]) -> dict[Value, int]:
    """Projection that computes each cut value: one after those it needs."""
    behind: dict[Value, int] = {}
    out: dict[Value, int] = {}
    for op in block.ops[:-1]:
        behind[op.result] = max((behind[v] for v in op.operands), default=0)
        if op.result in cut:
            behind[op.result] += 1
            out[op.result] = behind[op.result]
    return out


def _names(type_: RelType, cut: Sequence[Value]) -> dict[Value, str]:
    free = (n for n in (f"e{i}" for i in range(len(type_.columns) + len(cut))) if n not in type_.columns)
    return {v: next(free) for v in cut}


def _insert_level(op: Reader, computed: Sequence[Value], names: dict[Value, str],
                  levels: dict[Value, int]) -> ro.Project:
    """A projection before ``op`` that adds the columns ``computed`` to all there are."""
    source = rel(op.x)
    block = op.body.block
    wanted = set(computed)
    known = {v for v in names if levels[v] < levels[computed[0]]}
    needed: list[Op] = []
    for inner in reversed(block.ops):
        if inner.results and inner.result in wanted and inner.result not in known:
            needed.append(inner)
            wanted |= set(inner.operands)
    e, body = ex.Exprs.body()
    env: dict[Value, Value] = {v: e.col(names[v], v.type) for v in known}
    for inner in reversed(needed):
        e.builder.insert(inner.clone(env))
    e.end(*(e.col(c, source.column_type(c)) for c in source.columns), *(env[v] for v in computed))
    erase_dead(body.block)
    added: list[Val] = []
    for v in computed:
        assert isinstance(v.type, ScalarType)
        added.append(Val(names[v], v.type))
    t = RelType(source.keys, (*source.values, *added), source.partial)
    made = Builder.before_op(op).insert(ro.Project(op.x, body=body, result_types=[t]))
    op.set_operand(0, made.result)
    return made
