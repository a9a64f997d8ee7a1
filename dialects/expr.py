"""``expr``: scalar expressions inside the regions of tir, rel and sql ops.

Bodies are straight-line pure ops ended by ``expr.yield``. In tir a body's block arguments are the elements of the
operands and ``expr.index`` the loop coordinates; in rel and sql columns are read by name with ``expr.col``.

Semantics: floats are IEEE as PyTorch computes them in the op's type; integers are 64 bit; ``floordiv`` rounds down and
``mod`` is non-negative for a positive divisor; ``max`` and ``min`` propagate NaN.
"""

from __future__ import annotations

import attrs

from irsql.ir.attributes import I1, I64, ScalarType, Type, attribute
from irsql.ir.core import Block, Builder, IRError, Op, Operands, Region, Value, op
from irsql.ir.dims import Dim

UNARY = ("neg", "abs", "exp", "log", "sqrt", "rsqrt", "sin", "cos", "tanh", "erf", "floor", "ceil", "trunc", "round",
         "sign", "not", "isnan")
BINARY = ("add", "sub", "mul", "div", "floordiv", "mod", "min", "max", "pow", "and", "or")
COMPARE = ("eq", "ne", "lt", "le", "gt", "ge")
AGGREGATE = ("sum", "max", "min", "count", "any", "argmax", "argmin", "first")

EXPENSIVE = frozenset({"exp", "log", "sqrt", "rsqrt", "sin", "cos", "tanh", "erf", "pow"})
"""Scalar functions worth computing once rather than in every row, or at every place, that uses the result."""
HALF_CARRIERS = ("halfvec",)
"""Lane carriers whose elements are IEEE numbers of 16 bits."""


@attribute("rel.lane")
class LaneType(Type):
    """A short vector inside one value: ``length`` elements in the target's lane carrier.

    Attributes
    ----------
    element
        Element type.
    length
        Number of elements, padding included.
    carrier
        ``list`` (``FLOAT[]``), ``array`` (``FLOAT[n]``), ``vector``, ``halfvec``: a name of the target's table.
    """

    element: ScalarType
    length: int
    carrier: str = "list"

    @property
    def half(self) -> bool:
        """Whether the elements are kept in half precision: packing rounds them."""
        return self.carrier in HALF_CARRIERS


@op("expr.constant", pure=True)
class Constant(Op):
    """A number, boolean or (for -inf and NaN) float of the result's type."""

    value: bool | int | float


@op("expr.col", pure=True)
class Col(Op):
    """The column ``column`` of the enclosing op's operand number ``input``."""

    column: str
    input: int = 0


@op("expr.index", pure=True)
class Index(Op):
    """The loop coordinate along result dimension ``dim`` of the enclosing tir op (i64)."""

    dim: int


@op("expr.symbol", pure=True)
class Symbol(Op):
    """The value of a (symbolic) extent when the program runs (i64)."""

    value: Dim


@op("expr.unary", pure=True)
class Unary(Op):
    """``kind(x)``; see ``UNARY``. ``round`` is half to even."""

    x: Value
    kind: str

    def verify(self) -> None:
        _one_of(self, self.kind, UNARY)


@op("expr.binary", pure=True)
class Binary(Op):
    """``kind(lhs, rhs)`` on equal types; see ``BINARY``.

    Attributes
    ----------
    non_negative
        The integer result is at least 0 on every row that passes the enclosing conditions (a key minus an offset that a
        filter guarantees), so that truncating division is floor division.
    """

    lhs: Value
    rhs: Value
    kind: str
    non_negative: bool | None = None

    def verify(self) -> None:
        _one_of(self, self.kind, BINARY)
        if not self.lhs.type == self.rhs.type == self.result.type:
            raise IRError(f"{self.kind} of {self.lhs.type} and {self.rhs.type} to {self.result.type}: types differ",
                          self)


@op("expr.compare", pure=True)
class Compare(Op):
    """``lhs kind rhs`` to i1; see ``COMPARE``. Comparisons with NaN are false but ``ne``."""

    lhs: Value
    rhs: Value
    kind: str

    def verify(self) -> None:
        _one_of(self, self.kind, COMPARE)
        if self.lhs.type != self.rhs.type or self.result.type != I1:
            raise IRError(f"{self.kind} of {self.lhs.type} and {self.rhs.type}: types differ or result is not i1", self)


@op("expr.select", pure=True)
class Select(Op):
    """``on_true`` where ``condition`` else ``on_false``."""

    condition: Value
    on_true: Value
    on_false: Value

    def verify(self) -> None:
        if self.condition.type != I1 or not self.on_true.type == self.on_false.type == self.result.type:
            raise IRError("select takes an i1 and two values of the result's type", self)


@op("expr.cast", pure=True)
class Cast(Op):
    """Conversion to the result type; float to integer truncates."""

    x: Value


@op("expr.dot", pure=True)
class Dot(Op):
    """Inner product of two lanes of equal length; zero-preserving in padding."""

    lhs: Value
    rhs: Value

    def verify(self) -> None:
        if not isinstance(self.lhs.type, LaneType) or self.lhs.type != self.rhs.type:
            raise IRError(f"dot of {self.lhs.type} and {self.rhs.type}: equal lane types are needed", self)


@op("expr.extract", pure=True)
class Extract(Op):
    """Element ``position`` (from 0) of a lane."""

    lane: Value
    position: int


@op("expr.aggregate", pure=True)
class Aggregate(Op):
    """An aggregate over the group (sql stage only): ``kind`` of ``x`` over the rows where ``predicates`` hold.

    ``operands`` after ``x``: for ``argmax``/``argmin`` the key whose lowest value wins among equals.
    """

    x: Value
    rest: Operands
    kind: str

    def verify(self) -> None:
        _one_of(self, self.kind, AGGREGATE)


@op("expr.pack", pure=True)
class Pack(Op):
    """Collects ``x`` of the rows of the group with ``condition`` into a lane at ``position`` (sql stage only).

    Positions are distinct; the lane is filled with zeros where no row has a position.
    """

    x: Value
    position: Value
    condition: Operands


@op("expr.window", pure=True)
class Window(Op):
    """A window function (sql stage only): ``kind`` (``row_number``, ``sum``) of ``args`` by partition and order.

    Attributes
    ----------
    partition, order
        Numbers of operands in ``args`` after the first ``value`` ones, in this order.
    descending
        One flag an order operand.
    """

    args: Operands
    kind: str
    value: int
    partition: int
    order: int
    descending: tuple[bool, ...] = ()


@op("expr.yield", terminator=True)
class Yield(Op):
    """Ends a body and gives its values."""

    values: Operands


@attrs.define
class Exprs:
    """Builds expression bodies tersely; every method inserts one op and returns its value."""

    builder: Builder

    @classmethod
    def body(cls, arg_types: tuple[Type, ...] = ()) -> tuple[Exprs, Region]:
        """A new one-block region and a builder at its end."""
        block = Block(arg_types)
        return cls(Builder(block)), Region(block)

    @property
    def args(self) -> list[Value]:
        """Arguments of the block built into."""
        return list(self.builder.block.args)

    def const(self, value: bool | int | float, type_: Type) -> Value:
        """A constant."""
        return self.builder.insert(Constant(value=value, result_types=[type_])).result

    def col(self, column: str, type_: Type, input: int = 0) -> Value:
        """A column reference."""
        return self.builder.insert(Col(column=column, input=input, result_types=[type_])).result

    def index(self, dim: int) -> Value:
        """The loop coordinate along a dim of the enclosing tir op."""
        return self.builder.insert(Index(dim=dim, result_types=[I64])).result

    def unary(self, kind: str, x: Value) -> Value:
        """``kind(x)``."""
        type_ = I1 if kind in ("not", "isnan") else x.type
        return self.builder.insert(Unary(x, kind=kind, result_types=[type_])).result

    def binary(self, kind: str, a: Value, b: Value) -> Value:
        """``kind(a, b)``."""
        return self.builder.insert(Binary(a, b, kind=kind, result_types=[a.type])).result

    def compare(self, kind: str, a: Value, b: Value) -> Value:
        """``a kind b``."""
        return self.builder.insert(Compare(a, b, kind=kind, result_types=[I1])).result

    def select(self, c: Value, a: Value, b: Value) -> Value:
        """``a if c else b``."""
        return self.builder.insert(Select(c, a, b, result_types=[a.type])).result

    def cast(self, x: Value, type_: Type) -> Value:
        """Conversion; nothing when the type is right already."""
        return x if x.type == type_ else self.builder.insert(Cast(x, result_types=[type_])).result

    def end(self, *values: Value) -> None:
        """Terminate the body."""
        self.builder.insert(Yield(values=values))


def _one_of(op_: Op, kind: str, kinds: tuple[str, ...]) -> None:
    if kind not in kinds:
        raise IRError(f"{op_.name}: unknown kind {kind!r}; known are {', '.join(kinds)}", op_)
