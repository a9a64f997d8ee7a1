"""Functions that raise outside of their domain or range on an engine, asked first whether they would."""

from __future__ import annotations

from collections.abc import Callable

from irsql.dialects import expr as ex
from irsql.ir.attributes import ScalarType
from irsql.ir.core import Value
from irsql.ir.target import Target

EXP_LIMITS = {"f32": (-104.0, 88.72283), "f64": (-708.0, 709.78)}
"""Beyond these ``exp`` is 0 or infinite in a type."""

_Test = tuple[str, Callable[[ex.Exprs, Value], Value], float, Callable[[ex.Exprs, Value], Value]]
"""Comparison, what is compared (of the argument), with what, and the value where it holds."""


def guard(op: ex.Unary, target: Target) -> Callable[[ex.Exprs, list[Value]], Value] | None:
    """How to write a function of floats that may raise; None where it cannot, or has been asked already."""
    type_ = op.x.type
    if not isinstance(type_, ScalarType) or not type_.is_float:
        return None
    tests = _tests(op.kind, type_, target)
    if not tests or _is_last(op, tests[-1]):
        return None

    def rule(e: ex.Exprs, args: list[Value]) -> Value:
        (x,) = args
        out = e.unary(op.kind, x)
        for kind, of, limit, value in reversed(tests):
            out = e.select(e.compare(kind, of(e, x), e.const(limit, x.type)), value(e, x), out)
        return out

    return rule


def _tests(kind: str, type_: ScalarType, target: Target) -> list[_Test]:
    """What is asked before a function, in this order; a NaN passes all of it."""
    contract = target.contract
    tests: list[_Test] = []
    if kind == "exp":
        low, high = EXP_LIMITS[type_.name]
        if contract.exp_overflow_raises:
            # a NaN may compare as greater than every number, and stays one when infinity is added
            tests.append(("gt", _itself, high, lambda e, x: e.binary("add", x, e.const(float("inf"), x.type))))
        if contract.underflow_raises:
            tests.append(("lt", _itself, low, _constant(0.0)))
    elif contract.domain_raises:
        if kind == "log":
            tests = [("eq", _itself, 0.0, _constant(float("-inf"))), ("lt", _itself, 0.0, _constant(float("nan")))]
        elif kind == "sqrt":
            tests = [("lt", _itself, 0.0, _constant(float("nan")))]
        elif kind in ("sin", "cos"):
            tests = [("eq", lambda e, x: e.unary("abs", x), float("inf"), _constant(float("nan")))]
    return tests


def _is_last(op: ex.Unary, test: _Test) -> bool:
    """Whether a function is what remains of a choice that has asked the last test."""
    kind, _, limit, _ = test
    for user in op.result.users():
        asked = user.condition.owner if isinstance(user, ex.Select) and user.on_false is op.result else None
        if isinstance(asked, ex.Compare) and asked.kind == kind and isinstance(asked.rhs.owner, ex.Constant):
            of = asked.lhs.owner.x if isinstance(asked.lhs.owner, ex.Unary) and kind == "eq" else asked.lhs
            if of is op.x and asked.rhs.owner.value == limit:
                return True
    return False


def _itself(e: ex.Exprs, x: Value) -> Value:
    return x


def _constant(value: float) -> Callable[[ex.Exprs, Value], Value]:
    return lambda e, x: e.const(value, x.type)
