"""Terse construction of tir: element-wise maps, views, reductions and contractions on values."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import attrs
import numpy as np

from irsql.dialects import expr
from irsql.dialects.expr import Exprs
from irsql.dialects.tir import ops as tir
from irsql.frontend.importer import views
from irsql.frontend.importer.views import Shape
from irsql.ir import affine, dims
from irsql.ir.affine import AffineExpr, AffineMap
from irsql.ir.attributes import F32, I1, I64, ScalarType, TensorType
from irsql.ir.core import Builder, OpT, Value
from irsql.ir.dims import Dim, SymDim

Scalar = bool | int | float | SymDim
Body = Callable[..., Value]
"""``(exprs, *elements) -> element``."""


def convert(e: Exprs, x: Value, dtype: ScalarType) -> Value:
    """Conversion inside a body; to i1 it asks for "not zero"."""
    if dtype == I1 and x.type != I1:
        assert isinstance(x.type, ScalarType)
        return e.compare("ne", x, scalar(e, 0, x.type))
    return e.cast(x, dtype)


def scalar(e: Exprs, value: Scalar, dtype: ScalarType) -> Value:
    """A number inside a body, rounded to its type as ATen does before it computes."""
    if isinstance(value, SymDim):
        return convert(e, e.builder.insert(expr.Symbol(value=value, result_types=[I64])).result, dtype)
    if dtype == I1:
        return e.const(bool(value), dtype)
    if dtype.is_float:
        return e.const(float(np.float32(value)) if dtype == F32 else float(value), dtype)
    return e.const(int(value), dtype)


def coordinate(e: Exprs, axis: int) -> Value:
    """The loop coordinate along an axis of the result."""
    return e.builder.insert(expr.Index(dim=axis, result_types=[I64])).result


@attrs.define
class Emitter:
    """Inserts tir ops at a builder."""

    builder: Builder

    def insert(self, op: OpT, name: str = "") -> OpT:
        """Insert an op."""
        return self.builder.insert(op, name)

    def map(self, inputs: Sequence[Value], maps: Sequence[AffineMap], type_: TensorType, body: Body) -> Value:
        """A ``tir.map`` with a body of expressions."""
        e, region = Exprs.body(tuple(tir.tensor(x).dtype for x in inputs))
        e.end(convert(e, body(e, *e.args), type_.dtype))
        return self.insert(tir.Map(tuple(inputs), body=region, maps=tuple(maps), result_types=[type_])).result

    def pointwise(self, inputs: Sequence[Value], shape: Shape, dtype: ScalarType, body: Body) -> Value:
        """An element-wise map over operands broadcast to ``shape``."""
        maps = [views.broadcast(tir.tensor(x).shape, shape) for x in inputs]
        return self.map(inputs, maps, TensorType(shape, dtype), body)

    def like(self, inputs: Sequence[Value], body: Body, dtype: ScalarType | None = None) -> Value:
        """An element-wise map with the shape (and by default the type) of the first operand."""
        first = tir.tensor(inputs[0])
        return self.pointwise(inputs, first.shape, dtype or first.dtype, body)

    def view(self, x: Value, shape: Shape, exprs: Sequence[AffineExpr]) -> Value:
        """A view: the element at each coordinate of ``shape`` is read at ``exprs``."""
        amap = AffineMap(len(shape), tuple(exprs))
        if amap.is_identity() and tir.tensor(x).shape == shape:
            return x
        return self.map([x], [amap], TensorType(shape, tir.tensor(x).dtype), lambda e, a: a)

    def broadcast(self, x: Value, shape: Shape) -> Value:
        """``x`` expanded to ``shape``."""
        return self.view(x, shape, views.broadcast(tir.tensor(x).shape, shape).results)

    def cast(self, x: Value, dtype: ScalarType) -> Value:
        """``x`` with another element type."""
        return x if tir.tensor(x).dtype == dtype else self.like([x], lambda e, a: a, dtype)

    def fill(self, value: Scalar, shape: Shape, dtype: ScalarType) -> Value:
        """A tensor of one number."""
        return self.map([], [], TensorType(shape, dtype), lambda e: scalar(e, value, dtype))

    def unsqueeze(self, x: Value, axes: Sequence[int]) -> Value:
        """``x`` with extents of 1 inserted so that they stand at ``axes`` of the result."""
        shape = list(tir.tensor(x).shape)
        for axis in sorted(axes):
            shape.insert(axis, 1)
        kept = [affine.dim(i) for i in range(len(shape)) if i not in axes]
        return self.view(x, tuple(shape), kept)

    def permute(self, x: Value, order: Sequence[int]) -> Value:
        """``x`` with axis ``order[i]`` at place i."""
        shape = tir.tensor(x).shape
        return self.view(x, tuple(shape[i] for i in order), [affine.dim(order.index(i)) for i in range(len(shape))])

    def slice(self, x: Value, axis: int, start: Dim, length: Dim, step: int = 1) -> Value:
        """Elements ``start + step * i`` for i in [0, length) along an axis."""
        shape = tir.tensor(x).shape
        exprs: list[AffineExpr] = [affine.dim(i) for i in range(len(shape))]
        exprs[axis] = affine.add(views.scale(exprs[axis], step), views.extent(start))
        return self.view(x, (*shape[:axis], length, *shape[axis + 1 :]), exprs)

    def concat(self, inputs: Sequence[Value], axis: int) -> Value:
        """Operands side by side along an axis."""
        types = [tir.tensor(x) for x in inputs]
        length: Dim = 0
        for type_ in types:
            length = dims.add(length, type_.shape[axis])
        shape = (*types[0].shape[:axis], length, *types[0].shape[axis + 1 :])
        result = TensorType(shape, types[0].dtype)
        return (
            inputs[0]
            if len(inputs) == 1
            else self.insert(tir.Concat(tuple(inputs), axis=axis, result_types=[result])).result
        )

    def reduce(self, x: Value, kind: str, axes: Sequence[int], keepdim: bool = False) -> Value:
        """A reduction; without axes the operand itself."""
        type_ = tir.tensor(x)
        if not axes:
            return self.cast(x, I64) if kind.startswith("arg") else x
        shape = tuple(size for i, size in enumerate(type_.shape) if i not in axes)
        dtype = I64 if kind.startswith("arg") else type_.dtype
        result = self.insert(
            tir.Reduce(x, kind=kind, axes=tuple(sorted(axes)), result_types=[TensorType(shape, dtype)])
        ).result
        return self.unsqueeze(result, axes) if keepdim else result

    def mean(self, x: Value, axes: Sequence[int], keepdim: bool = False, correction: float = 0) -> Value:
        """Sum over axes divided by their number of elements (less a correction)."""
        shape = tir.tensor(x).shape
        count = dims.product(shape[i] for i in axes)

        def divide(e: Exprs, total: Value) -> Value:
            assert isinstance(total.type, ScalarType)
            n = scalar(e, count, total.type)
            if correction:  # as in ATen, too few elements divide by 0
                n = e.binary("max", e.binary("sub", n, scalar(e, correction, total.type)), scalar(e, 0, total.type))
            return e.binary("div", total, n)

        return self.like([self.reduce(x, "sum", axes, keepdim)], divide)

    def contract(
        self, lhs: Value, left: Sequence[str], rhs: Value, right: Sequence[str], out: Sequence[str], shape: Shape
    ) -> Value:
        """Multiply and sum by labels, as ``einsum`` writes it; extents of 1 broadcast.

        Parameters
        ----------
        lhs, rhs
            Operands of equal element type.
        left, right, out
            One label an axis.
        shape
            Shape of the result.
        """
        sizes: dict[str, Dim] = dict(zip(out, shape, strict=True))
        for value, labels in ((lhs, left), (rhs, right)):
            for label, size in zip(labels, tir.tensor(value).shape, strict=True):
                if label not in out and (label not in sizes or sizes[label] == 1):
                    sizes[label] = size
        order = list(sizes)

        def read(value: Value, labels: Sequence[str]) -> AffineMap:
            exprs = [
                affine.const(0) if size == 1 and sizes[label] != 1 else affine.dim(order.index(label))
                for label, size in zip(labels, tir.tensor(value).shape, strict=True)
            ]
            return AffineMap(len(order), tuple(exprs))

        maps = (read(lhs, left), read(rhs, right), AffineMap.select(len(order), [order.index(x) for x in out]))
        return self.contract_maps(lhs, rhs, maps, tuple(sizes.values()), shape)

    def contract_maps(
        self, lhs: Value, rhs: Value, maps: tuple[AffineMap, AffineMap, AffineMap], bounds: Shape, shape: Shape
    ) -> Value:
        """A contraction by explicit index maps."""
        result = TensorType(shape, tir.tensor(lhs).dtype)
        return self.insert(tir.Contract(lhs, rhs, maps=maps, bounds=bounds, result_types=[result])).result


def wrapped(emit: Emitter, x: Value, least: int, count: int) -> Value:
    """Integers brought into ``[least, least + count)`` modulo ``count``."""

    def body(e: Exprs, v: Value) -> Value:
        shifted = e.binary("sub", v, e.const(least, I64)) if least else v
        rest = e.binary("mod", shifted, e.const(count, I64))
        return e.binary("add", rest, e.const(least, I64)) if least else rest

    return emit.like([x], body)
