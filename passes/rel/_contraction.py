"""Recognising a contraction in relational algebra: Σ a·b over a join of two relations.

Structure, not names: ``aggregate{sum}(project(mul(a, b), join(A, B)))``. What matters for a layout is which reduced key
is matched by a plain equality (it can go into lanes and columns of both sides) and which free key comes from one side
only.
"""

from __future__ import annotations

import attrs

from irsql.dialects import expr as ex
from irsql.dialects.rel import ops as ro
from irsql.dialects.rel.types import rel
from irsql.ir.core import Op, Value
from irsql.ir.dims import Dim


@attrs.frozen
class Shared:
    """A reduced key that both inputs have, joined by ``lhs_key = rhs_key`` alone."""

    project_key: str
    lhs_key: str
    rhs_key: str
    extent: Dim
    condition: Value


@attrs.frozen
class Free:
    """A result key that is a plain key of one input and takes no part in the join."""

    project_key: str
    input: int
    key: str
    extent: Dim


@attrs.frozen
class Contraction:
    """The parts of a matched contraction.

    Attributes
    ----------
    aggregate, project, join
        The three ops.
    shared
        Keys that may be tiled on both sides.
    free
        Keys that may be tiled on one side.
    value_inputs
        Input number of the two factors (0 and 1 in some order).
    """

    aggregate: ro.Aggregate
    project: ro.Project
    join: ro.Join
    shared: tuple[Shared, ...]
    free: tuple[Free, ...]


def axis_of(c: Contraction) -> Shared | None:
    """The shared axis that a ``dot`` puts into lanes and columns: the longest static one."""
    static = [s for s in c.shared if isinstance(s.extent, int)]
    return max(static, key=lambda s: int(str(s.extent)), default=None)


def free_axis(c: Contraction, extent: int) -> Free:
    """The free axis of that extent that a ``wsum`` puts into columns, rather one of a state."""
    free = [f for f in c.free if f.extent == extent]
    return next((f for f in free if rel(c.join.inputs[f.input]).partial), free[0])


def beside_axis(c: Contraction) -> Free | None:
    """The free axis of a weight that may be columns of it: every reader of the result fixes its index."""
    readers = c.aggregate.result.users()
    for f in c.free:
        if isinstance(f.extent, int) and f.extent > 1 and isinstance(c.join.inputs[f.input].owner, ro.Stored) and (
                readers and all(isinstance(op, ro.Filter) and fixed_index(op, f.project_key) for op in readers)):
            return f
    return None


def fixed_index(op: ro.Filter, key: str) -> tuple[int, Value] | None:
    """The index that a filter demands of a key, and the condition that does."""
    for condition in op.body.block.terminator.operands:
        eq = condition.owner
        if isinstance(eq, ex.Compare) and eq.kind == "eq":
            column, index = eq.lhs.owner, eq.rhs.owner
            if isinstance(column, ex.Col) and column.column == key and isinstance(index, ex.Constant):
                return int(index.value), condition
    return None


def origin(join: ro.Join, column: str) -> tuple[int, str]:
    """Input number and input column behind a column of a join's result."""
    sources = [(i, k.name) for i, v in enumerate(join.inputs) for k in rel(v).keys]
    sources += [(i, c.name) for i, v in enumerate(join.inputs) for c in rel(v).values]
    return sources[rel(join.result).columns.index(column)]


def columns_in(value: Value) -> set[tuple[int, str]]:
    """``(input, column)`` of every column an expression reads."""
    op = value.owner
    assert isinstance(op, Op)
    if isinstance(op, ex.Col):
        return {(op.input, op.column)}
    return set[tuple[int, str]]().union(*(columns_in(v) for v in op.operands))


def match(op: Op) -> Contraction | None:
    """The contraction that ends in ``op``, or None."""
    if not isinstance(op, ro.Aggregate) or op.kinds != ("sum",):
        return None
    project = op.x.owner
    if not isinstance(project, ro.Project) or len(project.result.users()) != 1:
        return None
    join = project.x.owner
    if not isinstance(join, ro.Join) or len(join.inputs) != 2 or len(join.result.users()) != 1:
        return None
    if any(len(rel(v).values) != 1 or rel(v).layout is not None for v in join.inputs):
        return None
    if not _plain_argument(op, project) or not _is_product(project, join):
        return None
    yields = project.body.block.terminator.operands
    group = {k.name for k in rel(op.result).keys}
    conjuncts = join.on.block.terminator.operands
    used_by_key: dict[tuple[int, str], list[str]] = {}
    plain: dict[str, tuple[int, str]] = {}
    for k, v in zip(rel(project.result).keys, yields, strict=False):
        for _, column in columns_in(v):
            used_by_key.setdefault(origin(join, column), []).append(k.name)
        if isinstance(v.owner, ex.Col):
            plain[k.name] = origin(join, v.owner.column)
    in_conditions: dict[tuple[int, str], list[Value]] = {}
    for c in conjuncts:
        for source in columns_in(c):
            in_conditions.setdefault(source, []).append(c)
    shared: list[Shared] = []
    free: list[Free] = []
    for k in rel(project.result).keys:
        if k.name not in plain:
            continue
        source = plain[k.name]
        conditions = in_conditions.get(source, [])
        if k.name not in group:
            found = _equality(conditions, source, in_conditions)
            if found is not None:
                other, condition = found
                if used_by_key.get(source) == [k.name] and other not in used_by_key:
                    pair = (source, other) if source[0] == 0 else (other, source)
                    shared.append(Shared(k.name, pair[0][1], pair[1][1], k.extent, condition))
        elif not conditions and used_by_key.get(source) == [k.name]:
            free.append(Free(k.name, source[0], source[1], k.extent))
    return Contraction(op, project, join, tuple(shared), tuple(free))


def _plain_argument(op: ro.Aggregate, project: ro.Project) -> bool:
    arg = op.body.block.terminator.operands[0].owner
    return isinstance(arg, ex.Col) and arg.column == rel(project.result).values[0].name and len(
        rel(project.result).values) == 1


def _is_product(project: ro.Project, join: ro.Join) -> bool:
    mul = project.body.block.terminator.operands[-1].owner
    if not isinstance(mul, ex.Binary) or mul.kind != "mul":
        return False
    sides = [v.owner for v in (mul.lhs, mul.rhs)]
    names = [origin(join, s.column)[0] for s in sides if isinstance(s, ex.Col)]
    keys = {k.name for k in rel(join.result).keys}
    return sorted(names) == [0, 1] and all(isinstance(s, ex.Col) and s.column not in keys for s in sides)


def _equality(conditions: list[Value], source: tuple[int, str],
              in_conditions: dict[tuple[int, str], list[Value]]) -> tuple[tuple[int, str], Value] | None:
    """The column on the other side when ``source`` occurs in one plain equality and so does its partner."""
    if len(conditions) != 1:
        return None
    eq = conditions[0].owner
    if not isinstance(eq, ex.Compare) or eq.kind != "eq":
        return None
    a, b = eq.lhs.owner, eq.rhs.owner
    if not isinstance(a, ex.Col) or not isinstance(b, ex.Col) or a.input == b.input:
        return None
    other = (b.input, b.column) if (a.input, a.column) == source else (a.input, a.column)
    return (other, conditions[0]) if len(in_conditions[other]) == 1 else None
