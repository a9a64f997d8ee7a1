"""Scalar functions that an engine lacks, written with those it has.

Each lowering computes in f64 where f32 would lose digits, so that the result rounded to f32 is what PyTorch gives up to
its own rounding. What a lowering uses is lowered again where the engine lacks that too.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from irsql.dialects import expr as ex
from irsql.ir.attributes import F64, I64, ScalarType
from irsql.ir.core import Block, Builder, Op, Value
from irsql.ir.target import Target
from irsql.passes.rel._guards import guard
from irsql.passes.rel._intervals import Intervals

OPERATORS = ("neg", "not")
"""Unary kinds that are operators of SQL, no functions."""
ROUNDING = ("floor", "ceil", "trunc", "round")

# W. J. Cody 1969, "Rational Chebyshev approximations for the error function", Math. Comp. 23, 631-637; coefficients as
# in his program CALERF (SPECFUN, netlib), whose relative error is below 1e-16.
_A = (3.16112374387056560e00, 1.13864154151050156e02, 3.77485237685302021e02, 3.20937758913846947e03,
      1.85777706184603153e-1)
_B = (2.36012909523441209e01, 2.44024637934444173e02, 1.28261652607737228e03, 2.84423683343917062e03)
_C = (5.64188496988670089e-1, 8.88314979438837594e00, 6.61191906371416295e01, 2.98635138197400131e02,
      8.81952221241769090e02, 1.71204761263407058e03, 2.05107837782607147e03, 1.23033935479799725e03,
      2.15311535474403846e-8)
_D = (1.57449261107098347e01, 1.17693950891312499e02, 5.37181101862009858e02, 1.62138957456669019e03,
      3.29079923573345963e03, 4.36261909014324716e03, 3.43936767414372164e03, 1.23033935480374942e03)
_NEAR = 0.46875
_FAR = 4.0
"""Beyond this |erf| differs from 1 by less than half a unit of float32."""


def lower(block: Block, target: Target, intervals: Intervals) -> list[str]:
    """Lower what ``target`` lacks in a body; give the functions it lacks for which there is no lowering, each once."""
    missing: dict[str, None] = {}
    queue = [op for op in block.ops if isinstance(op, ex.Unary | ex.Binary)]
    while queue:
        op = queue.pop(0)
        rule = _rule(op, target, intervals)
        if rule is None:
            name = _needs(op)
            if name is not None and target.function(name) is None:
                missing[name] = None
            continue
        first = len(block.ops)
        index = block.ops.index(op)
        e = ex.Exprs(Builder.before_op(op))
        op.replace_with(rule(e, list(op.operands)))
        added = len(block.ops) - first + 1
        queue += [x for x in block.ops[index:index + added] if isinstance(x, ex.Unary | ex.Binary)]
    return list(missing)


Rule = Callable[[ex.Exprs, list[Value]], Value]


def _needs(op: Op) -> str | None:
    """The function of the target's table that an op is written with."""
    if isinstance(op, ex.Binary):
        return "pow" if op.kind == "pow" else None
    assert isinstance(op, ex.Unary)
    return None if op.kind in OPERATORS else op.kind


def _rule(op: Op, target: Target, intervals: Intervals) -> Rule | None:
    if isinstance(op, ex.Binary):
        if op.kind in ("floordiv", "mod") and op.result.type == I64 and _truncates(op, target, intervals):
            if intervals.of(op.rhs)[0] > 0:
                return _quotient_by_positive if op.kind == "floordiv" else _rest_by_positive
            return _floored_quotient if op.kind == "floordiv" else _floored_rest
        if op.kind == "div" and _is_float(op.result) and target.contract.division_by_zero != "ieee":
            return None if _is_guarded(op) else _ieee_quotient
        return None
    assert isinstance(op, ex.Unary)
    if op.kind in ROUNDING and not _is_float(op.x):
        return _itself
    name = _needs(op)
    if name is None or target.function(name) is not None:
        return None if name is None else guard(op, target)
    if name == "isnan":
        return None if target.contract.has_nan and target.contract.nan_greatest else _isnan
    return _RULES.get(name)


def _is_float(value: Value) -> bool:
    return isinstance(value.type, ScalarType) and value.type.is_float


def _truncates(op: ex.Binary, target: Target, intervals: Intervals) -> bool:
    """The engine's division rounds towards zero and the operands may be negative."""
    contract = target.contract
    native = contract.integer_division == "floors" if op.kind == "floordiv" else contract.mod_sign == "divisor"
    return not native and (intervals.of(op.lhs)[0] < 0 or intervals.of(op.rhs)[0] < 0)


def _is_guarded(op: ex.Binary) -> bool:
    """The divisor is a constant that is not 0, or :func:`_ieee_quotient` asks first whether it is 0."""
    divisor = op.rhs.owner
    return (isinstance(divisor, ex.Constant) and bool(divisor.value)) or any(
        isinstance(user, ex.Select) and user.on_false is op.result and _asks(user.condition, op.rhs)
        for user in op.result.users())


def _asks(condition: Value, x: Value) -> bool:
    test = condition.owner
    return (isinstance(test, ex.Compare) and test.kind == "eq" and test.lhs is x
            and isinstance(test.rhs.owner, ex.Constant) and test.rhs.owner.value == 0)


def _ieee_quotient(e: ex.Exprs, args: list[Value]) -> Value:
    """Infinity, or NaN for 0, where the divisor is 0 (never -0: such an engine has none)."""
    a, b = args
    zero = e.compare("eq", b, e.const(0.0, b.type))
    return e.select(zero, e.binary("mul", a, e.const(float("inf"), a.type)), e.binary("div", a, b))


def _rest_and_quotient(e: ex.Exprs, a: Value, b: Value) -> tuple[Value, Value, Value]:
    """Quotient and rest rounded towards zero, and whether floor rounding differs."""
    zero = e.const(0, I64)
    quotient = e.binary("div", a, b)
    rest = e.binary("sub", a, e.binary("mul", quotient, b))
    below = e.binary("or", e.binary("and", e.compare("lt", rest, zero), e.compare("gt", b, zero)),
                     e.binary("and", e.compare("gt", rest, zero), e.compare("lt", b, zero)))
    return quotient, rest, below


def _floored_quotient(e: ex.Exprs, args: list[Value]) -> Value:
    quotient, _, below = _rest_and_quotient(e, args[0], args[1])
    return e.select(below, e.binary("sub", quotient, e.const(1, I64)), quotient)


def _floored_rest(e: ex.Exprs, args: list[Value]) -> Value:
    _, rest, below = _rest_and_quotient(e, args[0], args[1])
    return e.select(below, e.binary("add", rest, args[1]), rest)


def _rest_by_positive(e: ex.Exprs, args: list[Value]) -> Value:
    a, b = args
    rest = e.binary("sub", a, e.binary("mul", e.binary("div", a, b), b))
    return e.select(e.compare("lt", rest, e.const(0, I64)), e.binary("add", rest, b), rest)


def _quotient_by_positive(e: ex.Exprs, args: list[Value]) -> Value:
    a, b = args
    return e.binary("div", e.binary("sub", a, _rest_by_positive(e, args)), b)


def _in_f64(build: Rule) -> Rule:
    """Compute in f64 and round to the argument's type at the end."""

    def rule(e: ex.Exprs, args: list[Value]) -> Value:
        return e.cast(build(e, [e.cast(a, F64) for a in args]), args[0].type)

    return rule


def _horner(e: ex.Exprs, x: Value, first: Value, coefficients: Sequence[float]) -> Value:
    """``(first + c0) · x + c1) · x + …``, the last coefficient added without a product."""
    out = first
    for n, c in enumerate(coefficients):
        out = e.binary("add", out, e.const(c, F64))
        if n + 1 < len(coefficients):
            out = e.binary("mul", out, x)
    return out


def _erf(e: ex.Exprs, args: list[Value]) -> Value:
    (x,) = args
    zero, far = e.const(0.0, F64), e.const(_FAR, F64)
    negative = e.compare("lt", x, zero)
    size = e.select(negative, e.unary("neg", x), x)
    y = e.select(e.compare("gt", size, far), far, size)
    square = e.binary("mul", y, y)
    top = _horner(e, square, e.binary("mul", square, e.const(_A[4], F64)), _A[:4])
    near = e.binary("mul", y, e.binary("div", top, _horner(e, square, square, _B)))
    top = _horner(e, y, e.binary("mul", y, e.const(_C[8], F64)), _C[:8])
    rest = e.binary("div", top, _horner(e, y, y, _D))
    decay = e.unary("exp", e.unary("neg", square))
    distant = e.binary("sub", e.const(1.0, F64), e.binary("mul", rest, decay))
    value = e.select(e.compare("le", y, e.const(_NEAR, F64)), near, distant)
    return e.select(negative, e.unary("neg", value), value)


def _tanh(e: ex.Exprs, args: list[Value]) -> Value:
    """``(1 - t) / (1 + t)`` with ``t = exp(-2|x|)``, which cannot overflow."""
    (x,) = args
    zero, one = e.const(0.0, F64), e.const(1.0, F64)
    negative = e.compare("lt", x, zero)
    t = e.unary("exp", e.binary("mul", e.select(negative, x, e.unary("neg", x)), e.const(2.0, F64)))
    value = e.binary("div", e.binary("sub", one, t), e.binary("add", one, t))
    return e.select(negative, e.unary("neg", value), value)


def _rsqrt(e: ex.Exprs, args: list[Value]) -> Value:
    return e.binary("div", e.const(1.0, args[0].type), e.unary("sqrt", args[0]))


def _round(e: ex.Exprs, args: list[Value]) -> Value:
    """To the nearest integer, half to even."""
    (x,) = args
    half, one, two = (e.const(c, x.type) for c in (0.5, 1.0, 2.0))
    low = e.unary("floor", x)
    high = e.binary("add", low, one)
    part = e.binary("sub", x, low)
    even = e.compare("eq", e.binary("mul", e.unary("floor", e.binary("div", low, two)), two), low)
    tie = e.select(even, low, high)
    return e.select(e.compare("lt", part, half), low, e.select(e.compare("gt", part, half), high, tie))


def _ceil(e: ex.Exprs, args: list[Value]) -> Value:
    return e.unary("neg", e.unary("floor", e.unary("neg", args[0])))


def _trunc(e: ex.Exprs, args: list[Value]) -> Value:
    (x,) = args
    low = e.unary("floor", x)
    high = e.unary("neg", e.unary("floor", e.unary("neg", x)))
    return e.select(e.compare("lt", x, e.const(0.0, x.type)), high, low)


def _number(e: ex.Exprs, value: int, like: Value) -> Value:
    return e.const(float(value) if _is_float(like) else value, like.type)


def _itself(e: ex.Exprs, args: list[Value]) -> Value:
    return args[0]


def _abs(e: ex.Exprs, args: list[Value]) -> Value:
    (x,) = args
    return e.select(e.compare("lt", x, _number(e, 0, x)), e.unary("neg", x), x)


def _sign(e: ex.Exprs, args: list[Value]) -> Value:
    (x,) = args
    zero, one, minus = (_number(e, c, x) for c in (0, 1, -1))
    return e.select(e.compare("gt", x, zero), one, e.select(e.compare("lt", x, zero), minus, x))


def _isnan(e: ex.Exprs, args: list[Value]) -> Value:
    """A NaN differs from itself where the engine compares as IEEE does; false where there is none."""
    return e.compare("ne", args[0], args[0])


_RULES: dict[str, Rule] = {"erf": _in_f64(_erf), "tanh": _in_f64(_tanh), "rsqrt": _rsqrt, "round": _round,
                           "ceil": _ceil, "trunc": _trunc, "abs": _abs, "sign": _sign}


