"""Reductions of extents: the same number is replaced everywhere, symbols become numbers, ranges narrow."""

from __future__ import annotations

from typing import Any

import attrs

from irsql.dialects import expr
from irsql.dialects.rel.types import Part
from irsql.dialects.tir import ops as tir
from irsql.ir import affine, dims
from irsql.ir.affine import AffineExpr, AffineMap, ConstExpr, SymExpr
from irsql.ir.attributes import DenseElements, TensorType
from irsql.ir.core import ArgInfo, Module, Op
from irsql.ir.dims import Dim, SymDim
from irsql.passes.tir import shrink
from irsql.passes.tir.shrink import Scale
from irsql.tools.reduce.base import Chosen, Reduction, body_ops, change_types, functions, rebuilt, values

MOST_POSITIONS = 8
"""Upper end that the range of a symbol is narrowed to."""


@attrs.frozen
class ShrinkSizes(Reduction):
    """Replaces static extents, each everywhere in the module, by a smaller number.

    Extents that the chosen ones determine follow: sums (concatenations), products and multiples (reshapes).

    Attributes
    ----------
    to
        The new extent; None for half of the old one.
    """

    name = "sizes"

    to: int | None = None

    def apply(self, module: Module, chosen: Chosen) -> None:
        scale: Scale = {}
        for n in sorted(_extents(module), reverse=True):
            new = n // 2 if self.to is None else self.to
            if 0 < new < n and chosen():
                scale[n] = new
        if scale and _follow(module, scale):
            resize(module, scale)


class ShrinkTogether(Reduction):
    """Replaces all extents at once as the pass ``shrink`` would; its proposals are the targets, the smallest first."""

    name = "all sizes"

    def apply(self, module: Module, chosen: Chosen) -> None:
        if any(not isinstance(v.type, TensorType | tir.StateType) for f in functions(module)
               for op in f.block.ops for v in op.results):
            return
        extents = _extents(module)
        proposals = list(shrink.candidates(module, shrink.accesses(module)))
        for scale in sorted(proposals, key=lambda scale: sum(scale.get(n, n) for n in extents)):
            if chosen():
                resize(module, scale)
                return


def _extents(module: Module) -> set[int]:
    """Static extents above 1 in the types of values."""
    found: set[int] = set()

    def look(value: Any) -> Any:
        if type(value) is int:
            found.add(value)
        elif isinstance(value, SymDim):
            found.update(abs(c) for mono, c in value.terms if mono)
        elif isinstance(value, Part):
            look(value.extent)
            return value
        return None

    for op in module.walk():
        for value in values(op):
            rebuilt(value.type, look)
    return {n for n in found if n > 1}


def _follow(module: Module, scale: Scale) -> bool:
    """Extend a scale by what it determines; False where it fits no better then."""
    accesses = shrink.accesses(module)
    for _ in range(8):
        before = dict(scale)
        for op in module.walk():
            if isinstance(op, tir.Concat):
                parts = [tir.tensor(v).shape[op.axis] for v in op.inputs]
                total = tir.tensor(op.result).shape[op.axis]
                if isinstance(total, int):
                    scale[total] = sum(scale.get(n, n) for n in parts if isinstance(n, int))
        broken = [a for a in accesses if a.edges(scale) != a.edges({})]
        for access in broken:
            _mend(sorted(access.numbers), scale)
        if scale == before:
            return not broken
    return False


def _mend(numbers: list[int], scale: Scale) -> None:
    """The largest of some numbers as the product of two others, after their change."""
    largest = numbers[-1]
    for i, a in enumerate(numbers):
        for b in numbers[i:]:
            if 1 < a < largest and a * b == largest:
                scale[largest] = scale.get(a, a) * scale.get(b, b)
                return


def resize(module: Module, scale: Scale) -> None:
    """Replace numbers in types, index maps, integer constants and constant tensors, which are cut."""

    def change(value: Any) -> Any:
        if type(value) is int:
            return scale.get(value, value)
        if isinstance(value, SymDim):
            return SymDim(tuple((mono, scale.get(c, c) if mono else c) for mono, c in value.terms))
        if isinstance(value, Part):  # its axis is no extent
            return Part(value.axis, value.place, change(value.extent), change(value.stride), value.name)
        return None

    shrink.resize(module, scale)
    for op in body_ops(module):
        if any(not isinstance(v.type, TensorType | tir.StateType) for v in values(op)):  # those are done
            for value in values(op):
                value.type = rebuilt(value.type, change)
        if isinstance(op, expr.Constant) and type(op.value) is int and op.value > 1:
            op.value = scale.get(op.value, op.value)
        _cut(op)
    for func in functions(module):
        for arg in func.block.args:
            if not isinstance(arg.type, TensorType | tir.StateType):
                arg.type = rebuilt(arg.type, change)
        func.update_type()


def _cut(op: Op) -> None:
    """Cut the constant tensor of an op to the shape of its result."""
    value: Any = getattr(op, "value", None)
    if not isinstance(value, DenseElements) or len(op.results) != 1:
        return
    type_: Any = op.results[0].type
    shape = type_.shape if isinstance(type_, TensorType) else tuple(k.extent for k in type_.keys)
    if len(shape) == value.array.ndim and all(isinstance(n, int) for n in shape):
        cut = value.array[tuple(slice(0, n) for n in shape)]
        if cut.shape == shape != value.array.shape:
            op.value = DenseElements(cut.copy(), value.dtype)  # type: ignore[attr-defined]


@attrs.frozen
class StaticSymbols(Reduction):
    """Replaces symbols, each everywhere in the module, by a number.

    Attributes
    ----------
    to
        The number.
    """

    name = "symbols"

    to: int = 1

    def apply(self, module: Module, chosen: Chosen) -> None:
        names = dict.fromkeys(name for func in functions(module) for name in func.dims)
        numbers = {name: self.to for name in names if chosen()}
        if not numbers:
            return

        def change(value: Any) -> Any:
            if isinstance(value, SymDim):
                return _static(value, numbers)
            if isinstance(value, AffineMap):
                return AffineMap(value.num_dims, tuple(_static_expr(r, numbers) for r in value.results))
            if isinstance(value, ArgInfo) and value.of in numbers:
                return ArgInfo(value.role, "range", 0, numbers[value.of])
            return None

        for op in module.walk():
            if op is not module:
                for field in op.info.attributes:
                    setattr(op, field, rebuilt(getattr(op, field), change))
        for func in functions(module):
            func.dims = {name: bounds for name, bounds in func.dims.items() if name not in numbers}
        change_types(module, change)


def _static(dim: SymDim, numbers: dict[str, int]) -> Dim:
    total: Dim = 0
    for mono, coefficient in dim.terms:
        total = dims.add(total, dims.product([coefficient, *(numbers.get(s, dims.symbol(s)) for s in mono)]))
    return total


def _static_expr(expression: AffineExpr, numbers: dict[str, int]) -> AffineExpr:
    def on_bin(op: str, a: AffineExpr, b: AffineExpr) -> AffineExpr:
        if op in ("+", "*"):
            return affine.add(a, b) if op == "+" else affine.mul(a, b)
        assert isinstance(b, ConstExpr)
        return affine.floordiv(a, b.value) if op == "floordiv" else affine.mod(a, b.value)

    return affine.fold(expression, affine.dim, lambda s: ConstExpr(numbers[s]) if s in numbers else SymExpr(s),
                       ConstExpr, on_bin)


class NarrowSymbols(Reduction):
    """Removes symbols that nothing uses and lowers the upper ends of the ranges of the others."""

    name = "ranges"

    def apply(self, module: Module, chosen: Chosen) -> None:
        for func in functions(module):
            used: set[str] = set()

            def look(value: Any, used: set[str] = used) -> Any:
                used.update(value.symbols() if isinstance(value, SymDim) else ())
                used.update(value.symbols if isinstance(value, AffineMap) else ())
                used.update({value.of} if isinstance(value, ArgInfo) else ())
                return None

            for op in func.walk():
                for value in values(op):
                    rebuilt(value.type, look)
                for field in op.info.attributes:
                    if not (op is func and field == "dims"):
                        rebuilt(getattr(op, field), look)
            kept = dict(func.dims)
            for name, bounds in func.dims.items():
                if name not in used:
                    if chosen():
                        del kept[name]
                elif isinstance(bounds, tuple) and len(bounds) == 2:
                    low, high = bounds
                    new = max(low, MOST_POSITIONS) if isinstance(low, int) else MOST_POSITIONS
                    if isinstance(high, int) and new < high and chosen():
                        kept[name] = (low, new)
            func.dims = kept
