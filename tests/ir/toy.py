"""A small dialect and modules of it, for the tests of the IR core."""

from __future__ import annotations

import numpy as np

from irsql.ir import affine, dims
from irsql.ir.attributes import (
    F32,
    I64,
    Attribute,
    AttrValue,
    DenseElements,
    FunctionType,
    ScalarType,
    TensorType,
    Type,
    attribute,
)
from irsql.ir.core import Block, Func, IRError, Module, Op, Operands, Region, Value, op
from irsql.ir.location import Location

T = TensorType((dims.symbol("S"), 64), F32)


@attribute("toy.pair")
class Pair(Attribute):
    """Two parameters, one of them optional."""

    first: AttrValue
    second: AttrValue = None

    def verify(self) -> None:
        if self.first == "bad":
            raise ValueError("the first is bad")


@attribute("toy.empty")
class Empty(Attribute):
    """No parameter."""


@attribute("toy.box")
class Box(Type):
    """A type with a list of columns and a nested type."""

    columns: tuple[str, ...]
    inner: Type
    extent: dims.Dim = 1


@op("toy.source", pure=True)
class Source(Op):
    """Gives values."""

    tag: int = 0


@op("toy.add", pure=True)
class Add(Op):
    """Two operands."""

    lhs: Value
    rhs: Value

    def verify(self) -> None:
        if self.lhs.type != self.rhs.type:
            raise IRError("toy.add of different types", self)


@op("toy.many", pure=True)
class Many(Op):
    """Every kind of field."""

    first: Value
    rest: Operands
    body: Region
    other: Region
    any: AttrValue = None
    count: int = 3
    scale: float = 1.0
    flag: bool = False
    label: str | None = None


@op("toy.holder", pure=True)
class Holder(Op):
    """An attribute of any value, nothing else."""

    value: AttrValue


@op("toy.effect")
class Effect(Op):
    """Not pure."""

    x: Value


@op("toy.yield", terminator=True)
class Yield(Op):
    """Ends a block."""

    values: Operands


def small() -> tuple[Module, Func]:
    """A module with ``@main(x) = x + source`` (and its function)."""
    f = Func.build("main", [("x", T)], dims={"S": (1, 8)})
    x = f.block.args[0]
    source = f.block.append(Source(result_types=[T]))
    total = f.block.append(Add(x, source.result, result_types=[T], loc=Location("m.py", 3, 4, "layers.0", "add")))
    f.ret(total.result)
    module = Module.empty(stage="test")
    module.add(f)
    return module, f


def big() -> Module:
    """A module with every construct of the text form."""
    module, f = small()
    x = f.block.args[0]
    inner = Block([F32, T], ["x", ""])
    inner.append(Yield((inner.args[0],)))
    many = Many(x, (x, x), Region(inner), Region(), any={"a b": (1, True, None), "m": affine.AffineMap.identity(2)},
                result_types=[T, Box(("a", "b"), T), FunctionType((T,), (F32,)), FunctionType((), ())],
                loc=Location("", 0, 0, "a#b", "c@d%e"))
    many.results[1].name = "x"
    f.block.insert(1, many)
    empty = Block()
    two = Region(Block(), Block([I64], ["i"]))
    for block in two.blocks:
        block.append(Yield(()))
    f.block.insert(2, Many(many.results[0], (), Region(empty), two, result_types=[]))
    holder = Holder((DenseElements(np.array([[1.5, np.inf], [-0.0, np.nan]], np.float32), F32),
                     DenseElements(np.arange(40, dtype=np.int64), I64),
                     DenseElements(np.zeros((0, 3), np.float32), F32),
                     DenseElements(np.array(True), ScalarType("i1")), Pair(Empty(), 2**70), float("inf"), 1e-5))
    f.block.insert(0, holder)
    second = Func.build("second", [("x", T), ("x", T)], dims={"S": (0, 3)})
    second.ret(second.block.args[1])
    module.add(second)
    return module
