"""MLIR's own parser and xdsl read and verify what irsql prints.

The texts are the constructs of the core, every module of the filecheck tests, and all dumps under the folder named by
the environment variable ``IRSQL_DUMPS`` (any run with ``--dump-dir`` fills one).
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from irsql.ir import affine, dims
from irsql.ir.attributes import F32, I64, FunctionType, TensorType
from irsql.ir.core import Block, Module, Op, Region
from irsql.ir.diagnostics import DiagnosticError
from irsql.ir.location import Location
from irsql.ir.parser import parse_module
from irsql.ir.printer import print_op
from tests.ir.toy import Box, Empty, Holder, Pair, Source, big, small

TESTS = Path(__file__).parents[1]


def module_of(*ops: Op) -> str:
    """The text of a module of ops."""
    module = Module(Region(Block()))
    for op in ops:
        module.body.block.append(op)
    return print_op(module)


def hinted(*hints: str) -> list[Op]:
    """Sources whose results carry hints."""
    ops: list[Op] = []
    for hint in hints:
        ops.append(Source(result_types=[F32]))
        ops[-1].results[0].name = hint
    return ops


CONSTRUCTS = {
    "everything": print_op(big()),
    "small": print_op(small()[0]),
    "empty": module_of(),
    "numbers": module_of(Holder((1, -1, 2**63, -(2**200), 1.0, -0.0, 1e-05, 1e300, float("inf"), float("-inf"),
                                 float("nan"), True, False, None)), Holder(3), Holder(2**64), Holder(1e-05),
                         Holder(float("nan")), Holder(True)),
    "strings": module_of(Holder(("", "\x00\n\t\"\\", "é \U0001f600 \u2028", "%#@<>(){}[]->"))),
    "keys": module_of(Holder({"a b": 1, "true": 2, "loc": 3, "ключ": 4, "x.y": 5, "1": 6, "i32": 7, "tensor": 8})),
    "maps": module_of(Holder((
        affine.AffineMap(0, ()), affine.AffineMap.identity(3),
        affine.AffineMap(2, (affine.add(affine.floordiv(affine.mul(affine.dim(0), affine.const(-3)), 4),
                                        affine.SymExpr("S")),
                             affine.mod(affine.add(affine.dim(1), affine.const(-1)), 7))),
        affine.AffineMap(1, (affine.mul(affine.dim(0), affine.SymExpr("S")),))))),
    "types": module_of(Source(result_types=[
        TensorType((), F32), TensorType((0, 3), I64),
        TensorType((dims.symbol("S"), 0, dims.mul(dims.symbol("P"), 2)), F32),
        FunctionType((), ()), FunctionType((F32,), (FunctionType((), (I64,)),)),
        Box(("a -> b", "<"), Box((), F32, dims.sub(dims.symbol("S"), 1)))])),
    "attributes": module_of(Holder((Empty(), Pair(Pair((), {}), dims.symbol("S")), F32))),
    "locations": module_of(*(Source(loc=loc) for loc in (
        Location("a.py", 1, 2), Location("", 1, 2), Location("a \"b\".py", 0, 0, "m.layers.0", "add_1"),
        Location("", 0, 0, "m"), Location("", 0, 0, "", "node"), Location("a", 1, 1, "@#%", "@#%")))),
    "names": module_of(*hinted("x", "x", "", "layers.3.mlp", "a b", "3", "-", "é", "x_1", "x$1")),
}


def filecheck_modules() -> Iterator[tuple[str, str]]:
    """The modules of the filecheck tests that irsql reads, as irsql prints them."""
    for path in sorted((TESTS / "filecheck").rglob("*.mlir")):
        for i, chunk in enumerate(path.read_text(encoding="utf-8").split("// -----")):
            try:
                yield f"{path.relative_to(TESTS)}:{i}", print_op(parse_module(chunk))
            except DiagnosticError:
                continue  # a test of what is refused


def dumps() -> Iterator[tuple[str, str]]:
    """Dumps of other runs."""
    folder = os.environ.get("IRSQL_DUMPS")
    for path in sorted(Path(folder).rglob("*.mlir")) if folder else ():
        yield path.name, path.read_text(encoding="utf-8")


TEXTS = [pytest.param(text, id=name) for name, text in [*CONSTRUCTS.items(), *filecheck_modules(), *dumps()]]


@pytest.mark.parametrize("text", TEXTS)
def test_mlir_accepts(mlir: Callable[[str], None], text: str) -> None:
    mlir(text)


@pytest.mark.parametrize("text", TEXTS)
def test_xdsl_accepts(xdsl: Callable[[str], str], text: str) -> None:
    assert '"builtin.module"' in xdsl(text)


def test_mlir_refuses_what_is_wrong(mlir: Callable[[str], None]) -> None:
    with pytest.raises(Exception, match="undeclared SSA value"):
        mlir('"toy.effect"(%x) : (f32) -> ()')


@pytest.mark.parametrize("name", sorted(CONSTRUCTS.keys() - {"everything", "numbers", "maps"}))
def test_what_xdsl_prints_reads_back(xdsl: Callable[[str], str], name: str) -> None:
    """Except for decimals it cuts to six digits, bit patterns and names of symbols, xdsl loses nothing but places."""
    here = print_op(parse_module(CONSTRUCTS[name]), locations=False, hints=False)
    assert print_op(parse_module(xdsl(CONSTRUCTS[name])), locations=False, hints=False) == here
