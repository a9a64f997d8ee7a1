"""Element-wise operators, with ATen's type promotion."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
import torch.fx
from torch._prims_common import ELEMENTWISE_TYPE_PROMOTION_KIND as Promotion

from irsql.dialects.expr import Exprs
from irsql.frontend.importer.context import NARROW, Context
from irsql.frontend.importer.emit import Body, convert, coordinate, scalar
from irsql.frontend.importer.registry import register
from irsql.frontend.importer.shape import pointwise
from irsql.ir.attributes import I1, I64, ScalarType
from irsql.ir.core import Value

aten = torch.ops.aten
DEFAULT, TO_FLOAT, TO_BOOL = Promotion.DEFAULT, Promotion.INT_TO_FLOAT, Promotion.ALWAYS_BOOL


def apply(ctx: Context, raw: tuple[Any, ...], args: tuple[Any, ...], promotion: Promotion, body: Body) -> Value:
    """One element-wise map over tensors and numbers.

    Parameters
    ----------
    raw
        The arguments as they stand in the graph, for the type promotion.
    args
        The same with nodes replaced by values.
    body
        Gets all arguments as elements of the promoted type.
    """
    compute, _ = ctx.promoted(raw, promotion)
    tensors = [a for a in args if isinstance(a, Value)]

    def whole(e: Exprs, *elements: Value) -> Value:
        feed = iter(elements)
        return body(
            e, *(convert(e, next(feed), compute) if isinstance(a, Value) else scalar(e, a, compute) for a in args)
        )

    return pointwise(ctx, tensors, ctx.result, whole)


def _bind(promotion: Promotion, body: Body, arity: int) -> Callable[..., Value]:
    def handler(ctx: Context, *args: Any) -> Value:
        return apply(ctx, ctx.node.args[:arity], args[:arity], promotion, body)

    return handler


def const(e: Exprs, value: float, like: Value) -> Value:
    """A number of the type of another element."""
    assert isinstance(like.type, ScalarType)
    return scalar(e, value, like.type)


def _sigmoid(e: Exprs, x: Value) -> Value:
    one = const(e, 1, x)
    return e.binary("div", one, e.binary("add", one, e.unary("exp", e.unary("neg", x))))


def _silu(e: Exprs, x: Value) -> Value:
    return e.binary("div", x, e.binary("add", const(e, 1, x), e.unary("exp", e.unary("neg", x))))


def _reciprocal(e: Exprs, x: Value) -> Value:
    return e.binary("div", const(e, 1, x), x)


def _relu(e: Exprs, x: Value) -> Value:
    return e.binary("max", x, const(e, 0, x))


def _log1p(e: Exprs, x: Value) -> Value:
    """``log(1 + x)`` without loss near 0 (W. Kahan's correction; Goldberg 1991, theorem 4)."""
    one = const(e, 1, x)
    u = e.binary("add", one, x)
    log = e.unary("log", u)
    corrected = e.binary("div", e.binary("mul", log, x), e.binary("sub", u, one))
    return e.select(e.compare("eq", u, one), x, e.select(e.compare("eq", u, x), log, corrected))


def _expm1(e: Exprs, x: Value) -> Value:
    """``exp(x) - 1`` without loss near 0 (W. Kahan; Higham 2002, algorithm 1.14.1)."""
    one = const(e, 1, x)
    u = e.unary("exp", x)
    less = e.binary("sub", u, one)
    corrected = e.binary("mul", less, e.binary("div", x, e.unary("log", u)))
    # Where less equals u or -1 the correction would be inf / inf or divide by log(0).
    far = e.binary("or", e.compare("eq", less, u), e.compare("eq", less, const(e, -1, x)))
    return e.select(e.compare("eq", u, one), x, e.select(far, less, corrected))


def _unary(kind: str) -> Body:
    return lambda e, x: e.unary(kind, x)


def _integers_pass(kind: str) -> Body:
    """Rounding functions do nothing to integers."""
    return lambda e, x: e.unary(kind, x) if _is_float(x) else x


def _is_float(x: Value) -> bool:
    return isinstance(x.type, ScalarType) and x.type.is_float


def _logical(on_bool: str, on_number: str) -> Body:
    """Arithmetic that torch defines on booleans as a logical operation."""
    return lambda e, a, b: e.binary(on_bool if a.type == I1 else on_number, a, b)


def _xor(e: Exprs, a: Value, b: Value) -> Value:
    return e.compare("ne", a, b)


_UNARY: dict[Any, tuple[Promotion, Body]] = {
    aten.neg.default: (DEFAULT, _unary("neg")),
    aten.abs.default: (DEFAULT, _unary("abs")),
    aten.sign.default: (DEFAULT, _unary("sign")),
    aten.floor.default: (DEFAULT, _integers_pass("floor")),
    aten.ceil.default: (DEFAULT, _integers_pass("ceil")),
    aten.trunc.default: (DEFAULT, _integers_pass("trunc")),
    aten.round.default: (DEFAULT, _integers_pass("round")),
    aten.exp.default: (TO_FLOAT, _unary("exp")),
    aten.log.default: (TO_FLOAT, _unary("log")),
    aten.log1p.default: (TO_FLOAT, _log1p),
    aten.expm1.default: (TO_FLOAT, _expm1),
    aten.sqrt.default: (TO_FLOAT, _unary("sqrt")),
    aten.rsqrt.default: (TO_FLOAT, _unary("rsqrt")),
    aten.sin.default: (TO_FLOAT, _unary("sin")),
    aten.cos.default: (TO_FLOAT, _unary("cos")),
    aten.tanh.default: (TO_FLOAT, _unary("tanh")),
    aten.erf.default: (TO_FLOAT, _unary("erf")),
    aten.reciprocal.default: (TO_FLOAT, _reciprocal),
    aten.sigmoid.default: (TO_FLOAT, _sigmoid),
    aten.silu.default: (DEFAULT, _silu),
    aten.relu.default: (DEFAULT, _relu),
    aten.square.default: (DEFAULT, lambda e, x: e.binary("mul", x, x)),
    aten.isnan.default: (DEFAULT, lambda e, x: e.unary("isnan", x) if _is_float(x) else e.const(False, I1)),
    aten.isinf.default: (
        DEFAULT,
        lambda e, x: e.compare("eq", e.unary("abs", x), const(e, math.inf, x)) if _is_float(x) else e.const(False, I1),
    ),
    aten.logical_not.default: (DEFAULT, lambda e, x: e.unary("not", convert(e, x, I1))),
}
_COMPARE = {"eq": aten.eq, "ne": aten.ne, "lt": aten.lt, "le": aten.le, "gt": aten.gt, "ge": aten.ge}
_BINARY: dict[Any, tuple[Promotion, Body]] = {
    aten.mul.Tensor: (DEFAULT, _logical("and", "mul")),
    aten.mul.Scalar: (DEFAULT, _logical("and", "mul")),
    aten.div.Tensor: (TO_FLOAT, lambda e, a, b: e.binary("div", a, b)),
    aten.div.Scalar: (TO_FLOAT, lambda e, a, b: e.binary("div", a, b)),
    aten.maximum.default: (DEFAULT, _logical("or", "max")),
    aten.minimum.default: (DEFAULT, _logical("and", "min")),
    aten.logical_and.default: (DEFAULT, lambda e, a, b: e.binary("and", convert(e, a, I1), convert(e, b, I1))),
    aten.logical_or.default: (DEFAULT, lambda e, a, b: e.binary("or", convert(e, a, I1), convert(e, b, I1))),
    aten.logical_xor.default: (DEFAULT, lambda e, a, b: _xor(e, convert(e, a, I1), convert(e, b, I1))),
}
for _kind, _packet in _COMPARE.items():
    for _overload in (_packet.Tensor, _packet.Scalar):
        _BINARY[_overload] = (TO_BOOL, lambda e, a, b, kind=_kind: e.compare(kind, a, b))
for _target, (_promotion, _body) in _UNARY.items():
    register(_target)(_bind(_promotion, _body, 1))
for _target, (_promotion, _body) in _BINARY.items():
    register(_target)(_bind(_promotion, _body, 2))


def _bitwise(name: str, body: Body) -> Callable[..., Value]:
    def handler(ctx: Context, *args: Any) -> Value:
        if ctx.promoted(ctx.node.args, DEFAULT)[0] != I1:
            raise ctx.refuse(f"bitwise {name} of integers has no expression in every target", "use booleans")
        return apply(ctx, ctx.node.args, args, DEFAULT, body)

    return handler


for _name, _dunder, _body in (
    ("and", aten.__and__, lambda e, a, b: e.binary("and", a, b)),
    ("or", aten.__or__, lambda e, a, b: e.binary("or", a, b)),
    ("xor", aten.__xor__, _xor),
):
    _packet = getattr(aten, f"bitwise_{_name}")
    register(_packet.Tensor, _packet.Scalar, _dunder.Tensor, _dunder.Scalar)(_bitwise(_name, _body))
register(aten.bitwise_not.default)(_bitwise("not", lambda e, a: e.unary("not", a)))


@register(aten.add.Tensor, aten.add.Scalar)
def _add(ctx: Context, a: Any, b: Any, alpha: Any = 1) -> Value:
    def body(e: Exprs, x: Value, y: Value) -> Value:
        if x.type == I1:
            return e.binary("or", x, y if alpha else e.const(False, I1))
        return e.binary("add", x, _scaled(e, y, alpha))

    return apply(ctx, ctx.node.args[:2], (a, b), DEFAULT, body)


@register(aten.sub.Tensor, aten.sub.Scalar)
def _sub(ctx: Context, a: Any, b: Any, alpha: Any = 1) -> Value:
    return apply(ctx, ctx.node.args[:2], (a, b), DEFAULT, lambda e, x, y: e.binary("sub", x, _scaled(e, y, alpha)))


@register(aten.rsub.Scalar, aten.rsub.Tensor)
def _rsub(ctx: Context, a: Any, b: Any, alpha: Any = 1) -> Value:
    return apply(ctx, ctx.node.args[:2], (a, b), DEFAULT, lambda e, x, y: e.binary("sub", y, _scaled(e, x, alpha)))


def _scaled(e: Exprs, x: Value, alpha: Any) -> Value:
    return x if alpha == 1 else e.binary("mul", x, const(e, alpha, x))


@register(aten.div.Tensor_mode, aten.div.Scalar_mode)
def _div_mode(ctx: Context, a: Any, b: Any, rounding_mode: str | None = None) -> Value:
    promotion = TO_FLOAT if rounding_mode is None else DEFAULT
    is_float = ctx.promoted(ctx.node.args[:2], promotion)[0].is_float
    if rounding_mode == "floor":
        return _floor_divide(ctx, a, b)
    if rounding_mode == "trunc" and not is_float:
        raise ctx.refuse("integer division that rounds towards zero has no expression", "use rounding_mode='floor'")

    def body(e: Exprs, x: Value, y: Value) -> Value:
        quotient = e.binary("div", x, y)
        return e.unary("trunc", quotient) if rounding_mode == "trunc" else quotient

    return apply(ctx, ctx.node.args[:2], (a, b), promotion, body)


@register(aten.floor_divide.default, aten.floor_divide.Scalar)
def _floor_divide(ctx: Context, a: Any, b: Any) -> Value:
    if ctx.promoted(ctx.node.args[:2], DEFAULT)[0].is_float:
        raise ctx.refuse("floor division of floats rounds differently in every engine", "use torch.floor(a / b)")
    return apply(ctx, ctx.node.args[:2], (a, b), DEFAULT, lambda e, x, y: e.binary("floordiv", x, y))


@register(aten.remainder.Scalar, aten.remainder.Tensor)
def _remainder(ctx: Context, a: Any, b: Any) -> Value:
    if ctx.promoted(ctx.node.args[:2], DEFAULT)[0].is_float:
        raise ctx.refuse("the remainder of floats rounds differently in every engine", "use a - b * torch.floor(a / b)")
    if not isinstance(b, int) or b <= 0:
        raise ctx.refuse("the remainder is only defined for a positive constant divisor", "divide by a constant")
    return apply(ctx, ctx.node.args[:2], (a, b), DEFAULT, lambda e, x, y: e.binary("mod", x, y))


@register(aten.pow.Tensor_Scalar, aten.pow.Tensor_Tensor, aten.pow.Scalar)
def _pow(ctx: Context, a: Any, b: Any) -> Value:
    def body(e: Exprs, x: Value, y: Value) -> Value:
        # ATen's own special cases (aten/src/ATen/native/cpu/PowKernel.cpp), so that roundings agree.
        if isinstance(b, (int, float)) and b in (0.5, -0.5) and _is_float(x):
            return e.unary("sqrt" if b > 0 else "rsqrt", x)
        if isinstance(b, (int, float)) and b in (1, 2, 3, -1, -2):
            power = x
            for _ in range(int(abs(b)) - 1):
                power = e.binary("mul", power, x)
            return power if b > 0 else _reciprocal(e, power)
        if not _is_float(x):
            raise ctx.refuse("powers of integers are only known for the exponents 1, 2 and 3", "convert to float first")
        return e.binary("pow", x, y)

    return apply(ctx, ctx.node.args[:2], (a, b), DEFAULT, body)


@register(aten.gelu.default)
def _gelu(ctx: Context, x: Value, approximate: str = "none") -> Value:
    def body(e: Exprs, v: Value) -> Value:
        half = e.binary("mul", v, const(e, 0.5, v))
        if approximate == "none":
            inner = e.unary("erf", e.binary("mul", v, const(e, math.sqrt(0.5), v)))
        else:
            cube = e.binary("mul", e.binary("mul", v, v), v)
            shifted = e.binary("add", v, e.binary("mul", cube, const(e, 0.044715, v)))
            inner = e.unary("tanh", e.binary("mul", shifted, const(e, math.sqrt(2 / math.pi), v)))
        return e.binary("mul", half, e.binary("add", const(e, 1, v), inner))

    return apply(ctx, ctx.node.args[:1], (x,), DEFAULT, body)


@register(aten.leaky_relu.default)
def _leaky_relu(ctx: Context, x: Value, slope: float = 0.01) -> Value:
    return apply(
        ctx,
        ctx.node.args[:1],
        (x,),
        DEFAULT,
        lambda e, v: e.select(e.compare("gt", v, const(e, 0, v)), v, e.binary("mul", v, const(e, slope, v))),
    )


@register(aten.elu.default)
def _elu(ctx: Context, x: Value, alpha: float = 1, scale: float = 1, input_scale: float = 1) -> Value:
    def body(e: Exprs, v: Value) -> Value:
        below = e.binary("mul", _expm1(e, _scaled(e, v, input_scale)), const(e, alpha * scale, v))
        return e.select(e.compare("gt", v, const(e, 0, v)), _scaled(e, v, scale), below)

    return apply(ctx, ctx.node.args[:1], (x,), DEFAULT, body)


@register(aten.clamp.default, aten.clamp.Tensor)
def _clamp(ctx: Context, x: Value, min: Any = None, max: Any = None) -> Value:
    given = [(kind, bound) for kind, bound in (("max", min), ("min", max)) if bound is not None]

    def body(e: Exprs, v: Value, *bounds: Value) -> Value:
        for (kind, _), bound in zip(given, bounds, strict=True):
            v = e.binary(kind, v, bound)
        return v

    raw = [a for a in (*ctx.node.args, *ctx.node.kwargs.values()) if a is not None]
    return apply(ctx, tuple(raw), (x, *(bound for _, bound in given)), DEFAULT, body)


@register(aten.hardtanh.default, aten.relu6.default)
def _hardtanh(ctx: Context, x: Value, min_val: Any = None, max_val: Any = None) -> Value:
    low, high = (0, 6) if ctx.node.target is aten.relu6.default else (-1, 1)
    bounds = low if min_val is None else min_val, high if max_val is None else max_val
    return apply(ctx, ctx.node.args[:1], (x, *bounds), DEFAULT,
                 lambda e, v, a, b: e.binary("min", e.binary("max", v, a), b))


@register(aten.clamp_min.default)
def _clamp_min(ctx: Context, x: Value, low: Any) -> Value:
    return apply(ctx, ctx.node.args[:2], (x, low), DEFAULT, lambda e, v, b: e.binary("max", v, b))


@register(aten.clamp_max.default)
def _clamp_max(ctx: Context, x: Value, high: Any) -> Value:
    return apply(ctx, ctx.node.args[:2], (x, high), DEFAULT, lambda e, v, b: e.binary("min", v, b))


@register(aten.where.self, aten.where.ScalarOther, aten.where.ScalarSelf, aten.where.Scalar)
def _where(ctx: Context, condition: Value, a: Any, b: Any) -> Value:
    return select(ctx, condition, a, b)


@register(aten.masked_fill.Scalar, aten.masked_fill.Tensor)
def _masked_fill(ctx: Context, x: Value, mask: Value, value: Any) -> Value:
    return select(ctx, mask, value, x)


def select(ctx: Context, condition: Value, a: Any, b: Any) -> Value:
    """``a`` where the condition holds, else ``b``, in the type of the node's result."""
    result = ctx.result
    tensors = [x for x in (condition, a, b) if isinstance(x, Value)]

    def body(e: Exprs, c: Value, *rest: Value) -> Value:
        feed = iter(rest)
        sides = [
            convert(e, next(feed), result.dtype) if isinstance(x, Value) else scalar(e, x, result.dtype) for x in (a, b)
        ]
        return e.select(convert(e, c, I1), *sides)

    return ctx.emit.pointwise(tensors, result.shape, result.dtype, body)


@register(aten._to_copy.default, aten.to.dtype, aten.to.dtype_layout, aten.to.other, aten.type_as.default)
def _to(ctx: Context, x: Value, *_: Any, **__: Any) -> Value:
    source, target = ctx.meta(ctx.node.args[0]).dtype, ctx.node.meta["val"].dtype
    if target in NARROW and target != torch.int32 and source.is_floating_point:
        name = str(target).removeprefix("torch.")
        raise ctx.refuse(f"conversion of floats to {name} differs between machines", "convert to int64")
    return ctx.emit.cast(x, ctx.result.dtype)


@register(aten.tril.default, aten.triu.default)
def _triangle(ctx: Context, x: Value, diagonal: int = 0) -> Value:
    result = ctx.result
    keep = "le" if ctx.node.target is aten.tril.default else "ge"

    def body(e: Exprs, v: Value) -> Value:
        row, column = coordinate(e, len(result.shape) - 2), coordinate(e, len(result.shape) - 1)
        inside = e.compare(keep, column, e.binary("add", row, e.const(diagonal, I64)))
        return e.select(inside, v, const(e, 0, v))

    return ctx.emit.pointwise([x], result.shape, result.dtype, body)


@register(aten.dropout.default, aten.native_dropout.default)
def _dropout(ctx: Context, x: Value, p: float, train: bool | None = None) -> Value:
    if train and p:
        raise ctx.refuse("dropout draws random numbers", "call eval() on the module before the capture")
    return x


@register(aten._transformer_encoder_layer_fwd.default, aten._native_multi_head_attention.default)
def _fast_path(ctx: Context, *_: object, **__: object) -> Value:
    raise ctx.refuse("PyTorch's fast path for inference is one operator that says nothing of what it computes",
                     "torch.backends.mha.set_fastpath_enabled(False)")  # fmt: skip


@register(
    aten.alias.default, aten.clone.default, aten.contiguous.default, aten.detach.default, aten.lift_fresh_copy.default
)
def _copy(ctx: Context, x: Value, **_: Any) -> Value:
    return x


@register(aten.copy.default)
def _copy_into(ctx: Context, destination: Value, source: Value, non_blocking: bool = False) -> Value:
    result = ctx.result
    return ctx.emit.pointwise([source], result.shape, result.dtype, lambda e, a: a)
