"""Interpreter of ``expr``: scalar expressions evaluated on whole NumPy arrays at once.

Every value is an array (or a 0-d array) of the dtype of its IR type; arrays of one body broadcast against each other.
A lane value has its lane as an extra trailing axis. Where columns and loop coordinates come from is the caller's
business: see :class:`Scope`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import attrs
import numpy as np

from irsql.dialects import expr
from irsql.ir import dims
from irsql.ir.attributes import ScalarType, Type
from irsql.ir.core import Block, IRError, Op, Value
from irsql.ir.interp import Array, Interpreter

Columns = Callable[[str, int], Array]
Indices = Callable[[int], Array]


@attrs.frozen
class Scope:
    """What the ops of a body may refer to besides each other.

    Attributes
    ----------
    interp
        For the values of symbols.
    columns
        ``(name, input) -> column`` for ``expr.col`` (rel and sql).
    indices
        ``dim -> loop coordinates`` for ``expr.index`` (tir).
    """

    interp: Interpreter
    columns: Columns | None = None
    indices: Indices | None = None


Scalar = Callable[[Scope, Any, tuple[Array, ...]], Any]
SCALAR: dict[str, Scalar] = {}
"""Op name to ``(scope, op, operand arrays) -> array``, filled by :func:`scalar_impl`."""

FnT = TypeVar("FnT", bound=Scalar)


def scalar_impl(cls: type[Op]) -> Callable[[FnT], FnT]:
    """Register the decorated function as the meaning of an ``expr`` op."""

    def wrap(fn: FnT) -> FnT:
        if cls.name in SCALAR:
            raise ValueError(f"{cls.name} has two implementations")
        SCALAR[cls.name] = fn
        return fn

    return wrap


def dtype_of(type_: Type) -> np.dtype[np.generic]:
    """The NumPy dtype of values of a scalar or lane type.

    Raises
    ------
    IRError
        If the type is neither.
    """
    if isinstance(type_, ScalarType):
        return type_.numpy
    if isinstance(type_, expr.LaneType):
        return type_.element.numpy
    raise IRError(f"{type_} is not the type of a scalar expression")


def eval_op(scope: Scope, op: Op, operands: tuple[Array, ...]) -> Array:
    """The value of one expression op.

    Raises
    ------
    IRError
        If the op has no meaning here.
    """
    if op.name not in SCALAR:
        raise IRError(f"{op.name} cannot be interpreted inside a body", op)
    return np.asarray(SCALAR[op.name](scope, op, operands), dtype=dtype_of(op.result.type))


def eval_body(interp: Interpreter, block: Block, args: Sequence[Array], *, columns: Columns | None = None,
              indices: Indices | None = None) -> tuple[Array, ...]:
    """Evaluate a body on arrays and give the operands of its ``expr.yield``, not broadcast to a common shape.

    Parameters
    ----------
    interp
        The interpreter, for symbols.
    block
        The body.
    args
        Values of the block arguments.
    columns
        Meaning of ``expr.col``.
    indices
        Meaning of ``expr.index``.
    """
    scope = Scope(interp, columns, indices)
    env: dict[Value, Array] = dict(zip(block.args, args, strict=True))
    with np.errstate(all="ignore"):  # NaN and inf are results here, as in PyTorch
        for op in block.ops:
            operands = tuple(env[v] for v in op.operands)
            if op.is_terminator:
                return operands
            env[op.result] = eval_op(scope, op, operands)
    raise IRError("the body has no expr.yield", block.parent_op)


@scalar_impl(expr.Constant)
def _constant(scope: Scope, op: expr.Constant, args: tuple[Array, ...]) -> Any:
    return op.value


@scalar_impl(expr.Col)
def _col(scope: Scope, op: expr.Col, args: tuple[Array, ...]) -> Any:
    if scope.columns is None:
        raise IRError("expr.col has no columns to refer to here", op)
    return scope.columns(op.column, op.input)


@scalar_impl(expr.Index)
def _index(scope: Scope, op: expr.Index, args: tuple[Array, ...]) -> Any:
    if scope.indices is None:
        raise IRError("expr.index has no loop to refer to here", op)
    return scope.indices(op.dim)


@scalar_impl(expr.Symbol)
def _symbol(scope: Scope, op: expr.Symbol, args: tuple[Array, ...]) -> Any:
    return dims.evaluate(op.value, scope.interp.symbols)


def erf(x: Array) -> Array:
    """The error function in double accuracy, in the dtype of ``x`` (NumPy has none)."""
    flat = np.asarray(x, dtype=np.float64).ravel()
    out = np.fromiter(map(math.erf, flat.tolist()), dtype=np.float64, count=flat.size)
    return out.reshape(np.shape(x)).astype(x.dtype)


def _rsqrt(x: Array) -> Array:
    return np.asarray(x.dtype.type(1) / np.sqrt(x))


def _keep_integers(fn: Callable[[Array], Array]) -> Callable[[Array], Array]:
    """Rounding of an integer is the integer: NumPy would go through float64 and lose digits."""
    return lambda x: fn(x) if x.dtype.kind == "f" else x


_UNARY: dict[str, Callable[[Array], Array]] = {
    "neg": np.negative, "abs": np.abs, "exp": np.exp, "log": np.log, "sqrt": np.sqrt, "rsqrt": _rsqrt,
    "sin": np.sin, "cos": np.cos, "tanh": np.tanh, "erf": erf, "floor": _keep_integers(np.floor),
    "ceil": _keep_integers(np.ceil), "trunc": _keep_integers(np.trunc), "round": _keep_integers(np.rint),
    "sign": np.sign, "not": np.logical_not, "isnan": np.isnan,
}


def _div(a: Array, b: Array) -> Array:
    """Float division; on integers towards zero, 0 for a zero divisor."""
    if a.dtype.kind == "f":
        return np.asarray(np.divide(a, b))
    quotient = np.asarray(np.floor_divide(a, b))
    return np.asarray(quotient + ((quotient < 0) & (quotient * b != a)))


def _pow(a: Array, b: Array) -> Array:
    """``a`` to the ``b``; on integers, a negative power is 0 except of 1 and -1, as in PyTorch."""
    if a.dtype.kind == "f":
        return np.asarray(np.power(a, b))
    powered = np.power(a, np.maximum(b, 0))
    negative = np.where(a == 1, 1, np.where(a == -1, np.where(b % 2 == 0, 1, -1), 0))
    return np.asarray(np.where(b < 0, negative, powered))


_BINARY: dict[str, Callable[[Array, Array], Array]] = {
    "add": np.add, "sub": np.subtract, "mul": np.multiply, "div": _div, "floordiv": np.floor_divide,
    "mod": np.remainder, "min": np.minimum, "max": np.maximum, "pow": _pow, "and": np.bitwise_and,
    "or": np.bitwise_or,
}
_COMPARE: dict[str, Callable[[Array, Array], Array]] = {
    "eq": np.equal, "ne": np.not_equal, "lt": np.less, "le": np.less_equal, "gt": np.greater, "ge": np.greater_equal,
}


@scalar_impl(expr.Unary)
def _unary(scope: Scope, op: expr.Unary, args: tuple[Array, ...]) -> Any:
    return _UNARY[op.kind](args[0])


@scalar_impl(expr.Binary)
def _binary(scope: Scope, op: expr.Binary, args: tuple[Array, ...]) -> Any:
    return _BINARY[op.kind](*args)


@scalar_impl(expr.Compare)
def _compare(scope: Scope, op: expr.Compare, args: tuple[Array, ...]) -> Any:
    return _COMPARE[op.kind](*args)


@scalar_impl(expr.Select)
def _select(scope: Scope, op: expr.Select, args: tuple[Array, ...]) -> Any:
    condition = args[0][..., None] if isinstance(op.result.type, expr.LaneType) else args[0]
    return np.where(condition, args[1], args[2])


@scalar_impl(expr.Cast)
def _cast(scope: Scope, op: expr.Cast, args: tuple[Array, ...]) -> Any:
    type_ = op.result.type
    element = type_.element if isinstance(type_, expr.LaneType) else type_
    assert isinstance(element, ScalarType)
    x = args[0]
    if element.name == "i1":
        return x != 0
    if element.name == "f16":
        return x.astype(np.float16).astype(np.float32)
    if element.name == "bf16":
        return round_bf16(x.astype(np.float32))
    return x.astype(element.numpy)


def round_lane(x: Array, type_: Type) -> Array:
    """What a value column of a type keeps of ``x``: a lane in half precision rounds."""
    if not isinstance(type_, expr.LaneType) or not type_.half:
        return x
    with np.errstate(over="ignore"):  # an engine raises there
        return x.astype(np.float16).astype(x.dtype)


def round_bf16(x: Array) -> Array:
    """The nearest bfloat16 (ties to even) of float32 values, as float32."""
    bits = x.view(np.uint32)
    rounded = (bits + np.uint32(0x7FFF) + ((bits >> np.uint32(16)) & np.uint32(1))) & np.uint32(0xFFFF0000)
    return np.where(np.isnan(x), x, np.asarray(rounded, dtype=np.uint32).view(np.float32))


@scalar_impl(expr.Dot)
def _dot(scope: Scope, op: expr.Dot, args: tuple[Array, ...]) -> Any:
    return np.einsum("...l,...l->...", args[0], args[1])


@scalar_impl(expr.Extract)
def _extract(scope: Scope, op: expr.Extract, args: tuple[Array, ...]) -> Any:
    return args[0][..., op.position]
