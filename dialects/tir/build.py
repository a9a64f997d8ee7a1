"""Builds ``tir`` ops tersely: shapes and result types are worked out from the operands."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import attrs
import numpy as np
import numpy.typing as npt

from irsql.dialects.expr import Exprs
from irsql.dialects.tir import ops
from irsql.ir.affine import AffineMap
from irsql.ir.attributes import I64, DenseElements, ScalarType, TensorType
from irsql.ir.core import Builder, Value
from irsql.ir.dims import Dim


@attrs.define
class Tensors:
    """Every method inserts one op and returns its value."""

    builder: Builder

    def map(self, shape: Sequence[Dim], inputs: Sequence[tuple[Value, AffineMap]],
            body: Callable[[Exprs], Value]) -> Value:
        """A ``tir.map`` of the given shape; ``body`` builds the element from the arguments of its ``Exprs``."""
        exprs, region = Exprs.body(tuple(ops.tensor(v).dtype for v, _ in inputs))
        element = body(exprs)
        exprs.end(element)
        assert isinstance(element.type, ScalarType)
        type_ = TensorType(tuple(shape), element.type)
        return self.builder.insert(ops.Map(tuple(v for v, _ in inputs), body=region, maps=tuple(m for _, m in inputs),
                                           result_types=[type_])).result

    def elementwise(self, inputs: Sequence[Value], body: Callable[[Exprs], Value]) -> Value:
        """A map of tensors of one shape, element by element."""
        shape = ops.tensor(inputs[0]).shape
        return self.map(shape, [(v, AffineMap.identity(len(shape))) for v in inputs], body)

    def view(self, x: Value, shape: Sequence[Dim], amap: AffineMap) -> Value:
        """``out[i…] = x[amap(i…)]``."""
        return self.map(shape, [(x, amap)], lambda e: e.args[0])

    def reduce(self, kind: str, x: Value, axes: Sequence[int]) -> Value:
        """A reduction; argmax and argmin give i64."""
        type_ = ops.tensor(x)
        shape = tuple(d for i, d in enumerate(type_.shape) if i not in axes)
        dtype = I64 if kind.startswith("arg") else type_.dtype
        return self.builder.insert(ops.Reduce(x, kind=kind, axes=tuple(axes),
                                              result_types=[TensorType(shape, dtype)])).result

    def scan(self, x: Value, axis: int) -> Value:
        """The cumulative sum along ``axis``."""
        return self.builder.insert(ops.Scan(x, axis=axis, result_types=[x.type])).result

    def topk(self, x: Value, k: int) -> tuple[Value, Value]:
        """The ``k`` largest along the last axis and their indices."""
        type_ = ops.tensor(x)
        shape = (*type_.shape[:-1], k)
        made = self.builder.insert(ops.TopK(x, k=k, result_types=[TensorType(shape, type_.dtype),
                                                                  TensorType(shape, I64)]))
        return made.results[0], made.results[1]

    def constant(self, array: npt.NDArray[np.generic], dtype: ScalarType) -> Value:
        """A constant tensor."""
        return self.builder.insert(ops.Constant(value=DenseElements(array, dtype),
                                                result_types=[TensorType(array.shape, dtype)])).result
