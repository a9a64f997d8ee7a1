"""Exact rules on scalar expressions: each gives the value that replaces an op's result, or None."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from irsql.dialects import expr
from irsql.dialects.expr import Exprs
from irsql.dialects.expr_interp import Scope, eval_op
from irsql.ir.attributes import ScalarType
from irsql.ir.core import Module, Op, OpResult, Value
from irsql.ir.interp import Interpreter

Rule = Callable[[Op, Exprs], Value | None]


def _constant(value: Value) -> bool | int | float | None:
    if isinstance(value, OpResult) and isinstance(value.op, expr.Constant):
        return value.op.value
    return None


def _is(value: Value, number: float) -> bool:
    found = _constant(value)
    return found is not None and found == number


def _is_float(value: Value) -> bool:
    return isinstance(value.type, ScalarType) and value.type.is_float


def fold_constant(op: Op, e: Exprs) -> Value | None:
    """An op on constants is a constant."""
    if isinstance(op, expr.Constant) or not op.operands or not isinstance(op.result.type, ScalarType):
        return None
    constants = [_constant(v) for v in op.operands]
    if any(c is None for c in constants):
        return None
    arrays = tuple(np.asarray(c, dtype=v.type.numpy) for c, v in zip(constants, op.operands, strict=True)
                   if isinstance(v.type, ScalarType))
    if len(arrays) != len(constants):
        return None
    with np.errstate(all="ignore"):
        folded = eval_op(Scope(Interpreter(Module.empty())), op, arrays)
    return e.const(folded.item(), op.result.type)


def cast_to_own_type(op: Op, e: Exprs) -> Value | None:
    """``cast`` to the type the value has."""
    return op.x if isinstance(op, expr.Cast) and op.x.type == op.result.type else None


def neutral_operand(op: Op, e: Exprs) -> Value | None:
    """``x·1``, ``x/1``, ``x-0``, ``x¹``, and on integers ``x+0``: exact for every x, -0.0 and NaN included."""
    if not isinstance(op, expr.Binary):
        return None
    lhs, rhs = (op.rhs, op.lhs) if op.kind in ("mul", "add") and _constant(op.lhs) is not None else (op.lhs, op.rhs)
    if op.kind in ("mul", "div", "pow") and _is(rhs, 1):
        return lhs
    zero = _constant(rhs)
    if zero is not None and zero == 0 and (
            (op.kind == "sub" and np.copysign(1, zero) > 0) or (op.kind == "add" and (
                not _is_float(rhs) or np.copysign(1, zero) < 0))):
        return lhs
    if op.kind == "floordiv" and _is(rhs, 1) and not _is_float(rhs):
        return lhs
    return None


def square(op: Op, e: Exprs) -> Value | None:
    """``x²`` as a product, which is how PyTorch computes it."""
    if isinstance(op, expr.Binary) and op.kind == "pow" and _is(op.rhs, 2):
        return e.binary("mul", op.lhs, op.lhs)
    return None


def double_negation(op: Op, e: Exprs) -> Value | None:
    """``--x`` and ``not not x``."""
    if isinstance(op, expr.Unary) and op.kind in ("neg", "not") and isinstance(op.x, OpResult):
        inner = op.x.op
        if isinstance(inner, expr.Unary) and inner.kind == op.kind:
            return inner.x
    return None


def own_equal(op: Op, e: Exprs) -> Value | None:
    """``x = x`` asks for a NaN; engines in whose order NaN equals itself have ``isnan``."""
    if not isinstance(op, expr.Compare) or op.kind not in ("eq", "ne") or op.lhs is not op.rhs or not _is_float(op.lhs):
        return None
    nan = e.unary("isnan", op.lhs)
    return e.unary("not", nan) if op.kind == "eq" else nan


def decided_select(op: Op, e: Exprs) -> Value | None:
    """A choice between equals, or on a constant."""
    if not isinstance(op, expr.Select):
        return None
    if op.on_true is op.on_false:
        return op.on_true
    condition = _constant(op.condition)
    return None if condition is None else op.on_true if condition else op.on_false


BODY_PATTERNS: tuple[Rule, ...] = (fold_constant, cast_to_own_type, neutral_operand, square, double_negation,
                                   own_equal, decided_select)
