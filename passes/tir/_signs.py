"""What is known of the sign of a tensor's elements: they are positive, at least 0, or anything.

Of real numbers: an exponential that underflows is 0, and a sum that overflows is infinite.
"""

from __future__ import annotations

from collections.abc import Mapping

from irsql.dialects import expr
from irsql.dialects.tir import ops
from irsql.ir import dims
from irsql.ir.core import Block, BlockArg, Op, OpResult, Value
from irsql.ir.dims import Dim

ANY, AT_LEAST_0, POSITIVE = range(3)
Ranges = Mapping[str, tuple[int, int]]


def sign(value: Value, ranges: Ranges) -> int:
    """Sign of a tensor's elements.

    Parameters
    ----------
    value
        A tensor.
    ranges
        Of the function's symbols.
    """
    op = value.op if isinstance(value, OpResult) else None
    match op:
        case ops.Map():
            return sign_in(op.body.block.terminator.operands[0], op, ranges)
        case ops.Reduce(kind="sum"):
            extents = [d for i, d in enumerate(ops.tensor(op.x).shape) if i in op.axes]
            return min(sign(op.x, ranges), POSITIVE if never_empty(extents, ranges) else AT_LEAST_0)
        case ops.Contract() if op.lhs is op.rhs and op.maps[0] == op.maps[1]:
            return AT_LEAST_0
        case _:
            return ANY


def sign_in(value: Value, owner: ops.Map, ranges: Ranges) -> int:
    """Sign of a value in the body of a map."""
    if isinstance(value, BlockArg):
        return sign(owner.inputs[value.index], ranges)
    op = value.owner
    if isinstance(op, Block):
        return ANY
    of = [sign_in(v, owner, ranges) for v in op.operands]
    return _of(op, of)


def _of(op: Op, of: list[int]) -> int:
    match op:
        case expr.Constant(value=int() | float() as number):
            return POSITIVE if number > 0 else AT_LEAST_0 if number == 0 else ANY
        case expr.Unary(kind="exp"):
            return POSITIVE
        case expr.Unary(kind="sqrt" | "rsqrt"):
            return of[0]
        case expr.Binary(kind="add"):
            return max(of) if min(of) >= AT_LEAST_0 else ANY
        case expr.Binary(kind="mul"):
            return min(of) if min(of) > ANY else AT_LEAST_0 if op.lhs is op.rhs else ANY
        case expr.Binary(kind="div"):
            return of[0] if of[1] == POSITIVE else ANY
        case expr.Binary(kind="max"):
            return max(of)
        case _:
            return ANY


def never_empty(extents: list[Dim], ranges: Ranges) -> bool:
    """Whether there is always an index along all of these axes."""
    return all(dims.bounds(extent, ranges)[0] >= 1 for extent in extents)
