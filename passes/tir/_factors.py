"""Factors of scalar bodies: what an element is a product of, and in which arguments it is linear."""

from __future__ import annotations

from collections.abc import Set

from irsql.dialects import expr
from irsql.dialects.expr import Exprs
from irsql.ir.core import Block, BlockArg, Op, OpResult, Value


def arguments(value: Value) -> set[int]:
    """Numbers of the body's arguments that a value of it depends on; -1 stands for a loop coordinate or symbol."""
    if isinstance(value, BlockArg):
        return {value.index}
    op = value.owner
    assert isinstance(op, Op)
    if isinstance(op, expr.Index | expr.Symbol):
        return {-1}
    return set[int]().union(*(arguments(v) for v in op.operands))


def factors(body: Block) -> list[Value]:
    """The values whose product the body yields; the body's value alone where it is no product."""
    todo, out = [body.terminator.operands[0]], list[Value]()
    while todo:
        value = todo.pop()
        op = value.owner if isinstance(value, OpResult) else None
        if isinstance(op, expr.Binary) and op.kind == "mul" and len(value.uses) == 1:
            todo += [op.rhs, op.lhs]
        else:
            out.append(value)
    return out


def quotient(body: Block) -> tuple[list[Value], list[Value]]:
    """The values whose product, and those by whose product, the body's value is a quotient."""
    todo, above, below = [(body.terminator.operands[0], False)], list[Value](), list[Value]()
    while todo:
        value, inverted = todo.pop()
        op = value.owner if isinstance(value, OpResult) else None
        if isinstance(op, expr.Binary) and op.kind in ("mul", "div") and len(value.uses) == 1:
            todo += [(op.rhs, inverted != (op.kind == "div")), (op.lhs, inverted)]
        else:
            (below if inverted else above).append(value)
    return above, below


def copy_into(value: Value, mapping: dict[Value, Value], e: Exprs) -> Value:
    """Copy what computes a value of a body into another body, arguments replaced by ``mapping``."""
    if value not in mapping:
        op = value.owner
        assert isinstance(op, Op)
        for operand in op.operands:
            copy_into(operand, mapping, e)
        e.builder.insert(op.clone(mapping))
    return mapping[value]


def is_linear(body: Block, args: Set[int]) -> bool:
    """Whether the body's value is linear in the arguments of these numbers, taken together."""
    degree: dict[Value, int | None] = {a: int(a.index in args) for a in body.args}
    for op in body.ops:
        if op.is_terminator:
            return degree[op.operands[0]] == 1
        degree[op.results[0]] = _degree(op, [degree[v] for v in op.operands])
    return False


def _degree(op: Op, of: list[int | None]) -> int | None:
    """0 for independent, 1 for linear, None for anything else."""
    if not any(d != 0 for d in of):
        return 0
    match op:
        case expr.Unary(kind="neg"):
            return of[0]
        case expr.Binary(kind="add" | "sub"):
            return 1 if of == [1, 1] else None
        case expr.Binary(kind="mul"):
            return 1 if sorted(of, key=str) == [0, 1] else None
        case expr.Binary(kind="div"):
            return 1 if of == [1, 0] else None
        case expr.Select():
            return 1 if of == [0, 1, 1] else None
        case _:
            return None
