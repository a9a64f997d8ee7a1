"""``unhash-joins``: rows of lanes meet in a nested loop instead of a hash table, where a hash table would copy them.

An axis in several rows of lanes joins the rows of the activation with those of the weight on the number of the row. An
engine that hashes an equality copies the lanes of the activation, kilobytes, to every row of the weight that it finds;
its nested loop refers to them. So the equality is written as a difference that is zero, which no hash table serves.
There are as many rows of an activation as the axis is cut into, so the pairs that are tried in vain are few.
"""

from __future__ import annotations

import attrs

from irsql.dialects import expr as ex
from irsql.dialects.rel.types import rel
from irsql.dialects.sql import ops as so
from irsql.ir.attributes import I64
from irsql.ir.core import Builder, Module, Value
from irsql.ir.passes import Pass, PassContext
from irsql.passes.rel._contraction import columns_in


@attrs.frozen
class UnhashJoins(Pass):
    """Keep an engine from hashing the rows of a product of lanes.

    Notes
    -----
    ``X ⋈_{x.c = w.c} W = σ_{x.c − w.c = 0}(X × W)``, for whole numbers that do not overflow.

    References
    ----------
    Nested loops against hashing: Graefe, "Query evaluation techniques for large databases", ACM Computing Surveys 1993,
    section 5. What an engine does with a condition that has no side of its own is the measurement in
    docs/decisions/layouts.md.
    """

    name = "unhash-joins"
    summary = "join rows of lanes by a nested loop where hashing would copy them"
    stage_in = stage_out = "sql"

    def run(self, module: Module, ctx: PassContext) -> None:
        for func in module.functions.values():
            for op in func.block.ops:
                if not isinstance(op, so.Select) or not (numbers := _numbers(op)):
                    continue
                name = op.result.name or "a select"
                found, others = _equalities(op, numbers)
                if not found:
                    continue
                if ctx.target is None or ctx.target.layout.chunks == 1:
                    ctx.remark("missed", op, f"{name} joins rows of lanes by their numbers",
                               "the target is not said to copy lanes when it hashes")
                elif others:
                    ctx.remark("missed", op, f"{name} joins rows of lanes by their numbers",
                               "it joins them on something else too, which is hashed anyway")
                else:
                    for condition in found:
                        _as_difference(condition)
                    ctx.remark("passed", op, f"{name} joins rows of lanes by a nested loop")


def _numbers(op: so.Select) -> set[frozenset[tuple[int, str]]]:
    """Pairs of columns, with their inputs, that number rows whose lanes are multiplied."""
    out: set[frozenset[tuple[int, str]]] = set()
    for dot in op.columns.block.ops:
        if isinstance(dot, ex.Dot) and isinstance(dot.lhs.owner, ex.Col) and isinstance(dot.rhs.owner, ex.Col):
            sides = {(i, _number(op.inputs[i])) for i in (dot.lhs.owner.input, dot.rhs.owner.input)}
            if len(sides) == 2 and all(column for _, column in sides):
                out.add(frozenset(sides))
    return out


def _equalities(op: so.Select, numbers: set[frozenset[tuple[int, str]]]) -> tuple[list[ex.Compare], list[ex.Compare]]:
    """Conditions that such numbers are equal, and others that could be hashed for the same inputs."""
    found: list[ex.Compare] = []
    others: list[ex.Compare] = []
    pairs = {frozenset(i for i, _ in pair) for pair in numbers}
    for value in op.where.block.terminator.operands:
        c = value.owner
        if isinstance(c, ex.Compare) and c.kind == "eq":
            left, right = columns_in(c.lhs), columns_in(c.rhs)
            if frozenset(left | right) in numbers and len(left) == len(right) == 1:
                found.append(c)
            elif {frozenset({i, j}) for i, _ in left for j, _ in right} & pairs and not _inputs(left) & _inputs(right):
                others.append(c)
    return found, others


def _inputs(columns: set[tuple[int, str]]) -> set[int]:
    return {i for i, _ in columns}


def _number(value: Value) -> str:
    """The key that numbers the rows of the axis that stands in lanes; empty if it stands in one row."""
    layout = rel(value).layout
    if layout is None or layout.lane is None:
        return ""
    return next((p.name for p in layout.rows if p.axis == layout.lane.axis), "")


def _as_difference(c: ex.Compare) -> None:
    e = ex.Exprs(Builder.before_op(c))
    c.replace_with(e.compare("eq", e.binary("sub", c.lhs, c.rhs), e.const(0, I64)))
