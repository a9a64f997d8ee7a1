"""Magnitudes of floats, for an engine on which a product that underflows or overflows is an error.

Such an engine computes float32 in double precision. A *range* ``(low, high, grid)`` says that every number but 0 and
what is not finite lies in ``[2^low, 2^high]`` and is a multiple of ``2^grid``, as are sums of such numbers. Ranges are
followed from column to column: what is stored or given is float32; a product adds exponents. Only where a double might
not be enough, a value is *flushed* first: what float32 cannot tell from 0 becomes 0, what is beyond it becomes
infinite, as float32 itself would have it.
"""

from __future__ import annotations

import math

import attrs

from irsql.dialects import expr as ex
from irsql.dialects.expr import LaneType
from irsql.dialects.rel import ops as ro
from irsql.dialects.rel.types import RelType, rel
from irsql.ir.attributes import F32, ScalarType
from irsql.ir.core import Block, Builder, Func, Op, Value

Range = tuple[float, float, float]
DIGITS = 53.0
"""Binary digits of a double."""
FLOAT32: Range = (-149.0, 128.0, -149.0)
COLUMN: Range = (-480.0, 480.0, -480.0 - DIGITS)
"""What a column may hold: the product of two of them, summed, is a double."""
DOUBLE: Range = (-1020.0, 1020.0, -math.inf)
NOTHING: Range = (math.inf, -math.inf, math.inf)
_ROWS = 31.0
"""Logarithm of the rows that a sum may have."""


def guard_magnitudes(func: Func) -> int:
    """Flush what might leave the range of doubles, in the bodies of a function; give how often."""
    columns: dict[Value, dict[str, Range]] = {}
    count = 0
    for arg in func.block.args:  # what is given is float32; a state holds what was appended
        t = rel(arg)
        columns[arg] = {v.name: COLUMN if t.partial and not isinstance(v.type, LaneType) else FLOAT32 for v in t.values}
    for op in list(func.block.ops):
        if isinstance(op, ro.Project | ro.Aggregate):
            body = _Body(op.body.block, [columns.get(op.x, {})], [rel(op.x)])
            found = body.run(summed=op.kinds if isinstance(op, ro.Aggregate) else ())
            count += body.flushed
            if op.results:
                columns[op.result] = _named(rel(op.result), found)
        elif op.results and isinstance(op.result.type, RelType):
            columns[op.result] = _carried(op, columns)
    return count


def _named(t: RelType, found: list[Range]) -> dict[str, Range]:
    values = found[len(found) - len(t.values):]
    return {v.name: r for v, r in zip(t.values, values, strict=True)}


def _carried(op: Op, columns: dict[Value, dict[str, Range]]) -> dict[str, Range]:
    """Ranges of the result of an op without arithmetic: of all that it reads, or of float32 where that is stored."""
    t = rel(op.result)
    if isinstance(op, ro.Stored | ro.Parameter | ro.Values):
        return {v.name: FLOAT32 for v in t.values}
    if isinstance(op, ro.Join):
        parts = [columns.get(v, {}).get(c.name, COLUMN) for v in op.inputs for c in rel(v).values]
        return _named(t, parts) if len(parts) == len(t.values) else {}
    read = [r for v in op.operands if isinstance(v.type, RelType) for c in rel(v).values
            for r in (columns.get(v, {}).get(c.name, COLUMN),)]  # fmt: skip
    every = _union(read) if isinstance(op, ro.Filter | ro.Union | ro.Complete | ro.Pack | ro.Unpack) else COLUMN
    if isinstance(op, ro.Complete):
        every = _union([every, *(_of_number(c) for c in op.fill)])
    return {v.name: FLOAT32 if isinstance(v.type, LaneType) else every for v in t.values}


def _union(ranges: list[Range]) -> Range:
    lows, highs, grids = zip(*ranges, strict=True) if ranges else ((), (), ())
    return min(lows, default=math.inf), max(highs, default=-math.inf), min(grids, default=math.inf)


def _range(low: float, high: float) -> Range:
    """Of doubles about which nothing more is known."""
    return low, high, low - DIGITS


def _sum(parts: Range, rows: float = 1.0) -> Range:
    """Of sums of so many (as a logarithm) of these numbers."""
    return parts[2], parts[1] + rows, parts[2]


def _of_number(value: float) -> Range:
    if not math.isfinite(value) or value == 0:
        return NOTHING
    size = math.log2(abs(value))
    return _range(math.floor(size), math.ceil(size))


def _within(r: Range, limits: Range) -> bool:
    return r == NOTHING or (limits[0] <= r[0] and r[1] <= limits[1])


@attrs.define
class _Body:
    """One body: the ranges of its values, and what is flushed."""

    block: Block
    columns: list[dict[str, Range]]
    inputs: list[RelType]
    ranges: dict[Value, Range] = attrs.field(factory=dict[Value, Range])
    flushed: int = 0

    def run(self, summed: tuple[str, ...]) -> list[Range]:
        """Ranges of what the body gives; ``summed`` are the kinds of an aggregate's arguments."""
        for op in list(self.block.ops[:-1]):
            if not op.results or not _is_f32(op.result):
                if op.results:
                    self.ranges[op.result] = self._of(op)
                continue
            found = self._of(op)
            for n in sorted(range(len(op.operands)), key=lambda n: -_width(self.ranges.get(op.operands[n], NOTHING))):
                if not _within(found, DOUBLE) and _is_f32(op.operands[n]):
                    op.set_operand(n, self._flush(op.operands[n], op))
                    found = self._of(op)
            self.ranges[op.result] = found
        end = self.block.terminator
        out: list[Range] = []
        first = len(end.operands) - len(summed)
        for n, v in enumerate(list(end.operands)):
            found = self.ranges.get(v, COLUMN)
            kind = summed[n - first] if summed and n >= first else ""
            total = _sum(found, _ROWS) if kind == "sum" else found
            if _is_f32(v) and not _within(total, COLUMN):
                end.set_operand(n, self._flush(v, end))
                total = _sum(FLOAT32, _ROWS) if kind == "sum" else FLOAT32
            out.append(total)
        return out

    def _flush(self, x: Value, before: Op) -> Value:
        found = self.ranges.get(x, COLUMN)
        if _within(found, FLOAT32):
            return x
        e = ex.Exprs(Builder.before_op(before))
        size, out = e.unary("abs", x), x
        if found[0] < FLOAT32[0]:
            out = e.select(e.compare("lt", size, e.const(2.0 ** FLOAT32[0], F32)), e.const(0.0, F32), out)
        if found[1] > FLOAT32[1]:
            beyond = e.compare("gt", size, e.const(3.4028234663852886e38, F32))
            out = e.select(beyond, e.binary("mul", x, e.const(math.inf, F32)), out)
        self.ranges[out] = FLOAT32
        self.flushed += 1
        return out

    def _of(self, op: Op) -> Range:
        """The range of an op's value from those of its operands."""
        args = [self.ranges.get(v, COLUMN) for v in op.operands]
        match op:
            case ex.Constant():
                return _of_number(float(op.value))
            case ex.Col():
                return self.columns[op.input].get(op.column, COLUMN)
            case ex.Select():
                return _union(args[1:])
            case ex.Cast():
                of = op.x.type
                return args[0] if isinstance(of, ScalarType) and of.is_float else _range(0.0, 64.0)
            case ex.Dot() | ex.Extract():
                return FLOAT32
            case ex.Unary():
                return _of_function(op.kind, args[0])
            case ex.Binary():
                return _of_operator(op.kind, args[0], args[1])
            case _:
                return COLUMN


def _width(r: Range) -> float:
    return r[1] - r[0]


def _is_f32(value: Value) -> bool:
    return value.type == F32


def _of_function(kind: str, x: Range) -> Range:
    match kind:
        case "exp":
            return _range(-151.0, 129.0)  # guarded: beyond it is 0 or infinite
        case "log":
            return _range(-DIGITS, 11.0)
        case "sqrt":
            return _range(x[0] / 2 - 1, x[1] / 2 + 1)
        case "sin" | "cos" | "tanh":
            return _range(min(x[0] - 1, -60.0), 0.0)
        case "floor" | "ceil" | "trunc" | "round":
            return 0.0, max(x[1], 0.0) + 1, 0.0
        case "sign":
            return 0.0, 0.0, 0.0
        case _:
            return x


def _of_operator(kind: str, a: Range, b: Range) -> Range:
    if kind in ("min", "max"):
        return _union([a, b])
    if kind in ("add", "sub", "mod"):
        return _sum(_union([a, b]))
    if NOTHING in (a, b):
        return NOTHING  # 0, infinite or NaN
    if kind == "mul":
        return _range(a[0] + b[0], a[1] + b[1])
    if kind == "div":
        return _range(a[0] - b[1] - 1, a[1] - b[0] + 1)
    if kind == "pow":
        return _range(-151.0, 129.0)
    return _range(0.0, max(a[1] - b[0], 0.0) + 1)
