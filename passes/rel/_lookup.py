"""Recognising a lookup: a projection of a join that carries one input's axis and value through, unread."""

from __future__ import annotations

from irsql.dialects import expr as ex
from irsql.dialects.rel import ops as ro
from irsql.dialects.rel.types import rel
from irsql.passes.rel._contraction import columns_in, origin


def carried(project: ro.Project, join: ro.Join, number: int, axis: str) -> int | None:
    """Position among the projection's keys where ``axis`` of the join's input ``number`` comes out.

    None unless that axis and the input's only value take no part in the join, and are each one plain column of the
    projection, which has no other value.
    """
    source, out = rel(join.inputs[number]), rel(project.result)
    if len(source.values) != 1 or len(out.values) != 1 or len(join.result.users()) != 1:
        return None
    value = source.values[0].name
    if any((number, n) in columns_in(c) for c in join.on.block.terminator.operands for n in (axis, value)):
        return None
    yields = project.body.block.terminator.operands
    position = [n for n, v in enumerate(yields) if any(origin(join, c) == (number, axis) for _, c in columns_in(v))]
    values = [v for v in yields if any(origin(join, c) == (number, value) for _, c in columns_in(v))]
    if len(position) != 1 or position[0] >= len(out.keys) or len(values) != 1 or values[0] is not yields[-1]:
        return None
    if not isinstance(yields[position[0]].owner, ex.Col) or not isinstance(yields[-1].owner, ex.Col):
        return None
    return position[0]
