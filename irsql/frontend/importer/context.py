"""What the importer functions see: the node at hand, types of its results, and the emitter."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import attrs
import torch
import torch.fx
from torch._prims_common import ELEMENTWISE_TYPE_PROMOTION_KIND as Promotion
from torch._prims_common import elementwise_dtypes

from irsql.dialects.tir import ops as tir
from irsql.frontend.captured import Captured, CaptureError
from irsql.frontend.importer.emit import Emitter
from irsql.frontend.importer.errors import Refused
from irsql.frontend.importer.views import Shape
from irsql.frontend.shapes import dim_of
from irsql.ir import dims
from irsql.ir.attributes import F32, F64, I1, I64, ScalarType, TensorType
from irsql.ir.core import BlockArg, Value
from irsql.ir.dims import Dim

_DTYPES: dict[torch.dtype, ScalarType] = {
    torch.float64: F64,
    torch.float32: F32,
    torch.float16: F32,
    torch.bfloat16: F32,
    torch.bool: I1,
    torch.int64: I64,
    torch.int32: I64,
    torch.int16: I64,
    torch.int8: I64,
    torch.uint8: I64,
}
_REMARKS: dict[torch.dtype, str] = {
    torch.float16: "float16 values are computed as float32, without rounding in between",
    torch.bfloat16: "bfloat16 values are computed as float32, without rounding in between",
}
NARROW: dict[torch.dtype, tuple[int, int]] = {
    torch.int32: (-(2**31), 2**32), torch.int16: (-(2**15), 2**16), torch.int8: (-(2**7), 2**8), torch.uint8: (0, 2**8),
}  # fmt: skip
"""Integers that wrap around before 64 bits: the smallest value, and how many there are."""


@attrs.define
class Context:
    """State of the import of one function.

    Attributes
    ----------
    captured
        The module being imported.
    emit
        Inserts tir ops.
    node
        The node at hand.
    flattened
        Values that merge symbolic extents, to the value they are a reshape of: reshaping the latter is a plain view.
    indexed
        Function arguments used as indices, to the smallest number of rows they select from.
    states
        Layer to the current version of its state.
    remarks
        What the user should know of the import; keys in order.
    """

    captured: Captured
    emit: Emitter
    node: torch.fx.Node = attrs.field(default=None)
    flattened: dict[Value, Value] = attrs.Factory(dict)
    indexed: dict[Value, Dim] = attrs.Factory(dict)
    states: dict[int, Value] = attrs.Factory(dict)
    remarks: dict[str, None] = attrs.Factory(dict)

    # -- types -------------------------------------------------------------------------------------
    def dtype(self, dtype: torch.dtype) -> ScalarType:
        """The element type that stands for torch's.

        Raises
        ------
        Refused
            For complex, quantised and 8-bit float types.
        """
        if dtype not in _DTYPES:
            raise Refused(
                f"{str(dtype).removeprefix('torch.')} tensors have no relational form",
                "use real floats, integers or booleans",
            )
        if dtype in _REMARKS:
            self.remarks[_REMARKS[dtype]] = None
        return _DTYPES[dtype]

    def shape_of(self, sizes: Sequence[Any]) -> Shape:
        """Torch's sizes as dims.

        Raises
        ------
        Refused
            If a size depends on data or is no polynomial of the symbols.
        """
        return tuple(self.dim(size) for size in sizes)

    def dim(self, size: Any) -> Dim:
        """One size as a dim; see :meth:`shape_of`."""
        try:
            dim = dim_of(size, self.captured.symbol_names)
        except CaptureError as error:
            raise Refused(str(error), "make this extent static, or a sum of products of dynamic dims") from error
        unknown = set() if isinstance(dim, int) else dim.symbols() - self.captured.symbols.keys()
        if unknown:
            raise Refused(
                f"an extent depends on data ({', '.join(sorted(unknown))})",
                "keep shapes independent of values: mask rows instead of selecting them",
            )
        return dim

    def type_of(self, val: Any) -> TensorType:
        """The type of a fake tensor."""
        if val.is_sparse or val.is_quantized:
            raise Refused("sparse and quantised tensors have no relational form", "use dense tensors")
        return TensorType(self.shape_of(val.shape), self.dtype(val.dtype))

    @property
    def result(self) -> TensorType:
        """The type of the node's only result."""
        return self.type_of(self.node.meta["val"])

    @property
    def results(self) -> tuple[TensorType, ...]:
        """The types of the node's results."""
        return tuple(self.type_of(val) for val in self.node.meta["val"])

    def meta(self, arg: Any) -> Any:
        """A node's argument as torch saw it: a fake tensor, or the Python value."""
        return arg.meta["val"] if isinstance(arg, torch.fx.Node) else arg

    def promoted(self, args: Sequence[Any], kind: Promotion) -> tuple[ScalarType, ScalarType]:
        """ATen's type promotion of raw node arguments: the type to compute in and the type of the result."""
        compute, result = elementwise_dtypes(*(self.meta(arg) for arg in args), type_promotion_kind=kind)
        return self.dtype(compute), self.dtype(result)

    def bounds(self, dim: Dim) -> tuple[int, int]:
        """Lower and upper bound of a dim."""
        return dims.bounds(dim, self.captured.symbols)

    # -- values ------------------------------------------------------------------------------------
    def axis(self, axis: int, rank: int) -> int:
        """An axis counted from the front."""
        return axis % max(rank, 1)

    def axes(self, axes: int | Sequence[int] | None, rank: int) -> tuple[int, ...]:
        """Axes counted from the front; None and ``[]`` mean all."""
        if isinstance(axes, int):
            axes = [axes]
        return tuple(sorted(axis % rank for axis in axes)) if axes and rank else tuple(range(rank))

    def note_index(self, index: Value, rows: Dim) -> None:
        """Record that ``index`` selects among ``rows`` rows, for the domain of the argument it comes from."""
        source = trace_view(index)
        if isinstance(source, BlockArg):
            known = self.indexed.get(source)
            if known is None or self.bounds(rows)[0] < self.bounds(known)[0]:
                self.indexed[source] = rows

    def refuse(self, reason: str, suggestion: str | None = None) -> Refused:
        """The exception that puts the node into the report."""
        return Refused(reason, suggestion) if suggestion else Refused(reason)


def view_source(value: Value) -> Value | None:
    """The operand of the view that defines ``value``, if a view does."""
    if isinstance(value, BlockArg):
        return None
    op = value.owner
    if not isinstance(op, tir.Map) or len(op.inputs) != 1:
        return None
    body = op.body.block
    return op.inputs[0] if len(body.ops) == 1 and body.terminator.operands == (body.args[0],) else None


def trace_view(value: Value) -> Value:
    """The value at the start of the chain of views that ends in ``value``."""
    while (source := view_source(value)) is not None:
        value = source
    return value
