"""``decompose``: composite ops (norms, softmax, rope, uniform, products) in terms of the core list."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

import attrs

from irsql.dialects import expr
from irsql.dialects.expr import Exprs
from irsql.dialects.tir import ops, uniform
from irsql.dialects.tir.build import Tensors
from irsql.ir.affine import AffineMap, add, const, dim, mod
from irsql.ir.attributes import F64, I64, TensorType
from irsql.ir.core import Builder, IRError, Module, Op, Value
from irsql.ir.dims import Dim
from irsql.ir.passes import Pass, PassContext
from irsql.ir.rewriter import Pattern, Rewriter

COMPOSITE: dict[str, type[Op]] = {"attention": ops.Attention, "rms_norm": ops.RmsNorm, "layer_norm": ops.LayerNorm,
                                  "softmax": ops.Softmax, "rope": ops.Rope, "uniform": ops.Uniform}


def _expand(op: Op, rewriter: Rewriter, build: Callable[[Tensors], Value]) -> bool:
    rewriter.replace(op, build(Tensors(Builder.before_op(op))))
    return True


def _count(e: Exprs, extent: Dim, like: Value) -> Value:
    """The number of elements of an axis as a float of the type of ``like``."""
    if isinstance(extent, int):
        return e.const(float(extent), like.type)
    return e.cast(e.builder.insert(expr.Symbol(value=extent, result_types=[I64])).result, like.type)


def _row_sum_of_squares(t: Tensors, x: Value) -> Value:
    """Σ x² over the last axis, as a contraction: an inner product wherever the layout has vectors."""
    type_ = ops.tensor(x)
    rows, identity = AffineMap.select(type_.rank, range(type_.rank - 1)), AffineMap.identity(type_.rank)
    result = TensorType(type_.shape[:-1], type_.dtype)
    return t.builder.insert(ops.Contract(x, x, maps=(identity, identity, rows), bounds=type_.shape,
                                         result_types=[result])).result


def _inverse_deviation(t: Tensors, sum_of_squares: Value, extent: Dim, eps: float) -> Value:
    """``1 / sqrt(mean + eps)`` of each row."""

    def body(e: Exprs) -> Value:
        mean = e.binary("div", e.args[0], _count(e, extent, e.args[0]))
        return e.unary("rsqrt", e.binary("add", mean, e.const(eps, mean.type)))

    return t.elementwise([sum_of_squares], body)


class DecomposeRmsNorm(Pattern):
    """x · rsqrt(Σx²/n + eps) · weight."""

    root = ops.RmsNorm

    def rewrite(self, op: Op, rewriter: Rewriter) -> bool:
        assert isinstance(op, ops.RmsNorm)
        x, weight, eps = op.x, op.weight, op.eps
        shape, rank = ops.tensor(x).shape, ops.tensor(x).rank

        def build(t: Tensors) -> Value:
            scale = _inverse_deviation(t, _row_sum_of_squares(t, x), shape[-1], eps)
            return t.map(shape, [(x, AffineMap.identity(rank)), (scale, AffineMap.select(rank, range(rank - 1))),
                                 (weight, AffineMap.select(rank, [rank - 1]))],
                         lambda e: e.binary("mul", e.binary("mul", e.args[0], e.args[1]), e.args[2]))

        return _expand(op, rewriter, build)


class DecomposeLayerNorm(Pattern):
    """The rows centred, then as RMSNorm, then scaled and shifted."""

    root = ops.LayerNorm

    def rewrite(self, op: Op, rewriter: Rewriter) -> bool:
        assert isinstance(op, ops.LayerNorm)
        x, affine, eps = op.x, op.affine, op.eps
        shape, rank = ops.tensor(x).shape, ops.tensor(x).rank
        each, row = AffineMap.identity(rank), AffineMap.select(rank, range(rank - 1))
        last = AffineMap.select(rank, [rank - 1])

        def scaled(e: Exprs) -> Value:
            y = e.binary("mul", e.args[0], e.args[1])
            for kind, operand in zip(("mul", "add"), e.args[2:], strict=False):
                y = e.binary(kind, y, operand)
            return y

        def build(t: Tensors) -> Value:
            mean = t.elementwise([t.reduce("sum", x, [rank - 1])],
                                 lambda e: e.binary("div", e.args[0], _count(e, shape[-1], e.args[0])))
            centred = t.map(shape, [(x, each), (mean, row)], lambda e: e.binary("sub", e.args[0], e.args[1]))
            scale = _inverse_deviation(t, _row_sum_of_squares(t, centred), shape[-1], eps)
            return t.map(shape, [(centred, each), (scale, row), *((p, last) for p in affine)], scaled)

        return _expand(op, rewriter, build)


class DecomposeSoftmax(Pattern):
    """exp(x - max) / Σ."""

    root = ops.Softmax

    def rewrite(self, op: Op, rewriter: Rewriter) -> bool:
        assert isinstance(op, ops.Softmax)
        x, shape, rank = op.x, ops.tensor(op.x).shape, ops.tensor(op.x).rank
        axis = op.axis % rank
        each, row = AffineMap.identity(rank), AffineMap.select(rank, [i for i in range(rank) if i != axis])

        def build(t: Tensors) -> Value:
            top = t.reduce("max", x, [axis])
            weights = t.map(shape, [(x, each), (top, row)],
                            lambda e: e.unary("exp", e.binary("sub", e.args[0], e.args[1])))
            total = t.reduce("sum", weights, [axis])
            return t.map(shape, [(weights, each), (total, row)], lambda e: e.binary("div", e.args[0], e.args[1]))

        return _expand(op, rewriter, build)


class DecomposeRope(Pattern):
    """x · cos + rotate_half(x) · sin, the rotation as an index map."""

    root = ops.Rope

    def rewrite(self, op: Op, rewriter: Rewriter) -> bool:
        assert isinstance(op, ops.Rope)
        x, cos, sin = op.x, op.cos, op.sin
        shape = ops.tensor(x).shape
        size = shape[3]
        if not isinstance(size, int) or size % 2:
            raise IRError(f"rope needs an even, static head size, not {size}", op)
        half = size // 2
        each, table = AffineMap.identity(4), AffineMap.select(4, [0, 2, 3])
        other = AffineMap(4, (dim(0), dim(1), dim(2), mod(add(dim(3), const(half)), size)))

        def body(e: Exprs) -> Value:
            value, partner, c, s = e.args
            at = e.builder.insert(expr.Index(dim=3, result_types=[I64])).result
            turned = e.select(e.compare("lt", at, e.const(half, I64)), e.unary("neg", partner), partner)
            return e.binary("add", e.binary("mul", value, c), e.binary("mul", turned, s))

        return _expand(op, rewriter, lambda t: t.map(shape, [(x, each), (x, other), (cos, table), (sin, table)], body))


class DecomposeProduct(Pattern):
    """A product over static axes: the halves of an axis are multiplied until one element is left.

    SQL has no portable aggregate of it, and exp(Σ log) is wrong for zeros, signs and integers.
    """

    root = ops.Reduce

    def rewrite(self, op: Op, rewriter: Rewriter) -> bool:
        assert isinstance(op, ops.Reduce)
        x, axes, shape = op.x, op.axes, ops.tensor(op.x).shape
        if op.kind != "prod" or not all(isinstance(shape[axis], int) for axis in axes):
            return False

        def build(t: Tensors) -> Value:
            y = x
            for axis in sorted(axes, reverse=True):
                y = _product_along(t, y, axis)
            return y

        return _expand(op, rewriter, build)


def _product_along(t: Tensors, x: Value, axis: int) -> Value:
    shape, rank = ops.tensor(x).shape, ops.tensor(x).rank
    rest = (*shape[:axis], *shape[axis + 1:])
    each = [dim(i) for i in range(rank)]

    def element(y: Value, at: int) -> tuple[Value, AffineMap]:
        kept = [dim(i) for i in range(rank - 1)]
        return y, AffineMap(rank - 1, (*kept[:axis], const(at), *kept[axis:]))

    factors: list[tuple[Value, AffineMap]] = []
    n = shape[axis]
    assert isinstance(n, int)
    while n > 1:
        if n % 2:
            factors.append(element(x, n - 1))
        n //= 2
        upper = AffineMap(rank, (*each[:axis], add(dim(axis), const(n)), *each[axis + 1:]))
        lower = AffineMap.identity(rank)
        x = t.map((*shape[:axis], n, *shape[axis + 1:]), [(x, lower), (x, upper)],
                  lambda e: e.binary("mul", e.args[0], e.args[1]))
    if n:
        factors.append(element(x, 0))
    one = 1.0 if ops.tensor(x).dtype.is_float else 1

    def body(e: Exprs) -> Value:
        out = e.args[0] if e.args else e.const(one, ops.tensor(x).dtype)
        for factor in e.args[1:]:
            out = e.binary("mul", out, factor)
        return out

    return t.map(rest, factors, body)


@attrs.frozen
class ExprAlgebra:
    """The algebra of :mod:`irsql.dialects.tir.uniform` on expressions of a body: of numbers that are at least 0."""

    exprs: Exprs

    def const(self, value: int) -> Value:
        return self.exprs.const(value, I64)

    def binary(self, kind: str, a: Value, b: Value) -> Value:
        op = expr.Binary(a, b, kind=kind, non_negative=True, result_types=[I64])
        return self.exprs.builder.insert(op).result

    def natural(self, x: Value) -> Value:
        """``x``, which is not negative by contract, in a form that shows it."""
        return self.exprs.binary("max", x, self.const(0))


class DecomposeUniform(Pattern):
    """One map a round: in one body, where SQL text repeats each use of a value, it would grow as 3 to the rounds."""

    root = ops.Uniform

    def rewrite(self, op: Op, rewriter: Rewriter) -> bool:
        assert isinstance(op, ops.Uniform)
        seed, sequence, position = op.seed, op.sequence, op.position

        def one_round(t: Tensors, x: Value, i: int) -> Value:
            source, index = uniform.KEY_LIMBS[i % len(uniform.KEY_LIMBS)]

            def body(e: Exprs) -> Value:
                alg = ExprAlgebra(e)
                key = uniform.limb(alg, alg.natural(e.args[1]), index)
                return uniform.mimc_round(alg, e.args[0], key, uniform.ROUND_CONSTANTS[i])

            return t.elementwise([x, seed if source == "seed" else sequence], body)

        def to_unit(e: Exprs) -> Value:
            shifted = e.binary("add", e.cast(e.args[0], F64), e.const(0.5, F64))
            return e.binary("div", shifted, e.const(float(uniform.PRIME), F64))

        def build(t: Tensors) -> Value:
            x = t.elementwise([position], lambda e: e.binary("mod", ExprAlgebra(e).natural(e.args[0]),
                                                             e.const(uniform.PRIME, I64)))
            for i in range(len(uniform.ROUND_CONSTANTS)):
                x = one_round(t, x, i)
            return t.elementwise([x], to_unit)

        return _expand(op, rewriter, build)


PATTERNS: tuple[Pattern, ...] = (DecomposeRmsNorm(), DecomposeLayerNorm(), DecomposeSoftmax(), DecomposeRope(),
                                 DecomposeUniform(), DecomposeProduct())


@attrs.frozen
class Decompose(Pass):
    """Expands composite operations into maps, contractions and reductions.

    Attention over a state has its expansion in the conversion to relations, not here.

    Notes
    -----
    ``rms_norm(x)_k = x_k · w_k / sqrt(Σ_j x_j² / n + ε)``, and layer norm the same of the centred ``x``;
    ``softmax(x)_k = exp(x_k - max x) / Σ_j exp(x_j - max x)``; ``rope(x) = x · cos + rotate_half(x) · sin``;
    ``Π_{j<2n} x_j = Π_{j<n} x_j · x_{n+j}``. Each is a map over aggregates: ``π(R ⋈ γ(R))``.

    References
    ----------
    Zhang and Sennrich, "Root mean square layer normalization", NeurIPS 2019; Ba, Kiros and Hinton, "Layer
    normalization", 2016; Su et al., "RoFormer", 2021; Albrecht et al., "MiMC", ASIACRYPT 2016, for ``uniform``. The
    softmax is the usual stable one of PyTorch; map, aggregate, map is also how TranSQL+ (arXiv 2502.02818) writes it.
    """

    name = "decompose"
    summary = "expand norms, softmax, rope, uniform and products into core operations"
    stage_in = stage_out = "tir"

    keep: tuple[str, ...] = ("attention",)
    """Composites that stay whole: ``attention``, ``rms_norm``, ``layer_norm``, ``softmax``, ``rope``, ``uniform``."""

    def run(self, module: Module, ctx: PassContext) -> None:
        unknown = sorted(set(self.keep) - set(COMPOSITE))
        if unknown:
            raise IRError(f"decompose cannot keep {', '.join(unknown)}; it knows {', '.join(COMPOSITE)}")
        kept = {COMPOSITE[name] for name in self.keep}
        for func in module.functions.values():
            before = Counter(op.name for op in func.block.ops)
            ctx.apply([p for p in PATTERNS if p.root not in kept], func)
            expanded = before - Counter(op.name for op in func.block.ops)
            if expanded:
                ctx.remark("passed", func, f"@{func.sym_name}: expanded "
                           + ", ".join(f"{n} {name}" for name, n in sorted(expanded.items())))
        for op in module.walk():
            if isinstance(op, ops.Reduce) and op.kind == "prod":
                ctx.remark("missed", op, "a product over an axis of symbolic extent stays",
                           "halving needs a number of elements, and SQL has no portable aggregate of it")
        if "attention" not in self.keep:
            for op in module.walk():
                if isinstance(op, ops.Attention):
                    ctx.remark("missed", op, "attention stays whole",
                               "its rows are those of a state, which tensors cannot express",
                               "convert-tir-to-rel expands it; list it in keep")
