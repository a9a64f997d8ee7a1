"""Speed of the text form: prints, reads and verifies a synthetic module of 10,000 ops.

Run as ``python -m irsql.tools.bench.ir_text [OPS]``.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import TypeVar

from irsql.ir import dims
from irsql.ir.affine import AffineMap
from irsql.ir.attributes import F32, AttrValue, TensorType
from irsql.ir.core import Block, Builder, Func, Module, Op, Operands, Region, Value, op
from irsql.ir.location import Location
from irsql.ir.parser import parse_module
from irsql.ir.printer import print_op
from irsql.ir.verifier import verify

T = TypeVar("T")


@op("bench.map", pure=True)
class Map(Op):
    """An op with a region, index maps and a location, like those of the first stage."""

    inputs: Operands
    body: Region
    maps: tuple[AttrValue, ...]


@op("bench.scalar", pure=True)
class Scalar(Op):
    """A scalar op in the region of a map."""

    x: Value
    kind: str


@op("bench.yield", terminator=True)
class Yield(Op):
    """Ends the region of a map."""

    x: Value


def build(ops: int) -> Module:
    """A function with about ``ops`` ops: a chain of maps of two ops each."""
    type_ = TensorType((dims.symbol("S"), 64), F32)
    func = Func.build("forward", [("x", type_)], dims={"S": (1, 4096)})
    builder = Builder(func.block)
    value: Value = func.block.args[0]
    for i in range(ops // 3):
        body = Block([F32, F32], ["a", "b"])
        scalar = body.append(Scalar(body.args[0], "exp", result_types=[F32]))
        body.append(Yield(scalar.result))
        value = builder.insert(Map((value, func.block.args[0]), Region(body),
                                   (AffineMap.identity(2), AffineMap.select(2, (0, 1)), AffineMap.identity(2)),
                                   result_types=[type_], loc=Location("model.py", i, 9, f"model.layers.{i}", "mul")),
                               "h").result
    func.ret(value)
    module = Module.empty()
    module.add(func)
    return module


def timed(what: str, run: Callable[[], T]) -> T:
    """Run, print the time, give the result."""
    start = time.perf_counter()
    result = run()
    sys.stdout.write(f"{what:<8}{(time.perf_counter() - start) * 1e3:8.0f} ms\n")
    return result


def main(ops: int = 10_000) -> None:
    """Build, print, parse and verify, with the time of each."""
    module = build(ops)
    text = timed("print", lambda: print_op(module))
    again = timed("parse", lambda: parse_module(text))
    timed("verify", lambda: verify(again))
    sys.stdout.write(f"{sum(1 for _ in module.walk())} ops, {len(text) / 1e6:.1f} MB\n")


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
