"""Intervals of integer expressions: keys lie in ``[0, extent)``, symbols in their range, the rest follows."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import attrs

from irsql.dialects import expr as ex
from irsql.dialects.rel.types import RelType
from irsql.ir.core import Op, Value
from irsql.ir.dims import Dim, bounds

Interval = tuple[float, float]
EVERYTHING: Interval = (-math.inf, math.inf)


@attrs.frozen
class Intervals:
    """Bounds of the i64 values of a region.

    Attributes
    ----------
    inputs
        Types of the relations the region reads.
    ranges
        Ranges of the function's symbols.
    """

    inputs: Sequence[RelType]
    ranges: Mapping[str, tuple[int, int]]

    def dim(self, dim: Dim) -> Interval:
        """Bounds of an extent."""
        return bounds(dim, self.ranges)

    def of(self, value: Value) -> Interval:
        """Lowest and highest value of an integer expression, infinite where unknown."""
        op = value.owner
        assert isinstance(op, Op)
        match op:
            case ex.Constant():
                return float(op.value), float(op.value)
            case ex.Symbol():
                return self.dim(op.value)
            case ex.Col():
                key = next((k for k in self.inputs[op.input].keys if k.name == op.column), None)
                return EVERYTHING if key is None else (0, self.dim(key.extent)[1] - 1)
            case ex.Select():
                a, b = self.of(op.on_true), self.of(op.on_false)
                return min(a[0], b[0]), max(a[1], b[1])
            case ex.Binary():
                low, high = _binary(op.kind, self.of(op.lhs), self.of(op.rhs))
                return (max(low, 0), high) if op.non_negative else (low, high)
            case _:
                return EVERYTHING


def _binary(kind: str, a: Interval, b: Interval) -> Interval:
    match kind:
        case "add":
            return a[0] + b[0], a[1] + b[1]
        case "sub":
            return a[0] - b[1], a[1] - b[0]
        case "mul":
            corners = [0.0 if 0 in (x, y) else x * y for x in a for y in b]
            return min(corners), max(corners)
        case "min" | "max":
            pick = min if kind == "min" else max
            return pick(a[0], b[0]), pick(a[1], b[1])
        case "floordiv" if b[0] > 0:
            corners = [_floor(x / y) for x in a for y in b if not (math.isinf(x) and math.isinf(y))]
            return (min(corners), max(corners)) if len(corners) == 4 else (0 if a[0] >= 0 else -math.inf, a[1])
        case "mod" if b[0] > 0:
            return (a if 0 <= a[0] and a[1] < b[0] else (0, b[1] - 1))
        case _:
            return EVERYTHING


def _floor(x: float) -> float:
    return x if math.isinf(x) else float(math.floor(x))
