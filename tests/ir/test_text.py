"""The text form reads back to exactly what was printed."""

from __future__ import annotations

import struct
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from irsql.ir import affine, dims
from irsql.ir.attributes import F32, I1, I64, DenseElements, ScalarType, TensorType
from irsql.ir.core import Block, Func, Module, Op, Region
from irsql.ir.diagnostics import DiagnosticError
from irsql.ir.location import Location
from irsql.ir.parser import parse_module, parse_op
from irsql.ir.printer import print_op
from tests.ir import strategies, toy
from tests.ir.toy import Holder, Many, Pair, Source, T

Resources = dict[str, np.ndarray[Any, Any]]


def again(value: Any) -> Any:
    """A value, printed and read as an attribute."""
    resources: Resources = {}
    text = print_op(Holder(value), resources=resources)
    read = parse_op(text, resources=resources)
    assert print_op(read) == text
    assert isinstance(read, Holder)
    return read.value


def same(a: Any, b: Any) -> bool:
    """Equality that keeps bool, int and float, and the signs of zeros, apart."""
    if type(a) is not type(b):
        return False
    if isinstance(a, tuple):
        return len(a) == len(b) and all(map(same, a, b))
    if isinstance(a, dict):
        return list(a) == list(b) and all(same(a[k], b[k]) for k in a)
    if isinstance(a, float):
        return struct.pack(">d", a) == struct.pack(">d", b)
    if isinstance(a, Pair):
        return same(a.first, b.first) and same(a.second, b.second)
    return bool(a == b)


@given(strategies.values.filter(lambda v: v is not None))
def test_values(value: Any) -> None:
    assert same(again(value), value)


@settings(max_examples=300)
@given(strategies.dense())
def test_dense(value: DenseElements) -> None:
    assert again(value) == value


@pytest.mark.parametrize("value", [
    0.0, -0.0, 1.0, 1e-05, 1e22, 1e300, 5e-324, 1.7976931348623157e308, 0.1, float("inf"), float("-inf"), float("nan"),
    struct.unpack(">d", bytes.fromhex("7ff8000000000123"))[0], 1, 0, -1, 2**63 - 1, -(2**63), 2**63, 2**64, -(2**200),
    pytest.param(10**5000, id="huge"), True, False, "", "\x00\n\r\t\"\\é\U0001f600\u2028", "\ud800", (), {}, ((),),
    (None, True, 1, 1.0, "1"),
    {"a b": 1, "true": 2, "loc": 3, "ключ": 4, "x.y": 5, "1": 6}])
def test_plain_values(value: Any) -> None:
    assert same(again(value), value)


def test_true_is_not_one() -> None:
    text = print_op(Holder((True, 1, 1.0, "1")))
    assert "value = [true, 1, 1.0, \"1\"]" in text


@given(strategies.dim())
def test_dims(value: dims.Dim) -> None:
    assert again(value) == value


@given(strategies.affine_map())
def test_affine_maps(value: affine.AffineMap) -> None:
    assert again(value) == value


def test_symbol_named_like_a_dim() -> None:
    value = affine.AffineMap(2, (affine.BinExpr("+", affine.DimExpr(0), affine.SymExpr("d0")), affine.SymExpr("_d1")))
    assert again(value) == value


def test_map_times_symbol_is_opaque_to_mlir() -> None:
    value = affine.AffineMap(1, (affine.mul(affine.dim(0), affine.SymExpr("S")),))
    assert "#irsql.map<(d0)[S] -> (d0 * S)>" in print_op(Holder(value))


@pytest.mark.parametrize(("text", "point", "expected"), [
    ("(a, b)[S] -> (a - 1, -b + S)", (5, 3), (4, 6)),
    ("(i)[] -> (2 * i, (i + 1) * 2, i -1)", (5,), (10, 12, 4)),
    ("(i) -> (i floordiv 2 * 3, -(i) mod 4)", (5,), (6, 3)),
])
def test_affine_written_by_hand(text: str, point: tuple[int, ...], expected: tuple[int, ...]) -> None:
    op = parse_op(f'"toy.holder"() <{{value = affine_map<{text}>}}> : () -> ()')
    assert isinstance(op, Holder)
    assert isinstance(op.value, affine.AffineMap)
    assert tuple(affine.evaluate(r, point, {"S": 9}) for r in op.value.results) == expected


@given(strategies.types, strategies.locations)
def test_types_and_locations(type_: Any, location: Location) -> None:
    text = print_op(Source(result_types=[type_, type_], loc=location))
    op = parse_op(text)
    assert [r.type for r in op.results] == [type_, type_]
    assert op.loc == location
    assert print_op(op) == text


@given(st.lists(strategies.texts, max_size=12))
def test_names_are_stable(hints: list[str]) -> None:
    block = Block()
    for hint in hints:
        block.append(Source(result_types=[F32])).result.name = hint
    text = print_op(Module(Region(block)))
    read = parse_module(text)
    assert print_op(read) == text


def test_hints_come_back() -> None:
    block = Block([F32, F32], ["x", "x"])
    for hint in ("x", "", "layers.3.mlp", "", "x"):
        block.append(Source(result_types=[F32])).result.name = hint
    module = parse_module(print_op(Module(Region(block))))
    assert [a.name for a in module.body.block.args] == ["x", "x"]
    assert [op.result.name for op in module.body.block.ops] == ["x", "", "layers.3.mlp", "", "x"]


def test_every_construct() -> None:
    module = toy.big()
    resources: Resources = {}
    text = print_op(module, resources=resources)
    assert len(resources) == 1
    read = parse_module(text, resources=resources)
    assert print_op(read) == text
    assert print_op(read.clone()) == text
    many = next(op for op in read.walk() if isinstance(op, Many))
    assert [len(r.blocks) for r in many.regions] == [1, 0]
    assert many.any == {"a b": (1, True, None), "m": affine.AffineMap.identity(2)}


def test_golden() -> None:
    module, _ = toy.small()
    assert print_op(module) == '''"builtin.module"() ({
  "func.func"() <{sym_name = "main", function_type = (tensor<?x64xf32, #irsql.dims<["S", 64]>>) -> \
tensor<?x64xf32, #irsql.dims<["S", 64]>>}> ({
  ^bb0(%x: tensor<?x64xf32, #irsql.dims<["S", 64]>>):
    %0 = "toy.source"() <{tag = 0 : i64}> : () -> tensor<?x64xf32, #irsql.dims<["S", 64]>>
    %1 = "toy.add"(%x, %0) : (tensor<?x64xf32, #irsql.dims<["S", 64]>>, tensor<?x64xf32, #irsql.dims<["S", 64]>>) -> \
tensor<?x64xf32, #irsql.dims<["S", 64]>> loc("layers.0#add"("m.py":3:4))
    "func.return"(%1) : (tensor<?x64xf32, #irsql.dims<["S", 64]>>) -> ()
  }) {irsql.dims = {S = [1, 8]}} : () -> ()
}) {irsql.attrs = {stage = "test"}} : () -> ()
'''


def test_none_differs_from_a_default() -> None:
    op = parse_op(print_op(Holder(None)))
    assert isinstance(op, Holder)
    assert op.value is None


def test_loose_ops_make_a_module() -> None:
    module = parse_module('// a comment\n%a:2 = "toy.source"() : () -> (f32, f32)\n'
                          '%b = "toy.add"(%a#1, %a#0) {} : (f32, f32) -> f32 loc(unknown)')
    source, add = module.body.block.ops
    assert add.operands == (source.results[1], source.results[0])


def test_splat_and_bits() -> None:
    op = parse_op('"toy.holder"() <{value = [dense<2> : tensor<2x2xi64>, dense<0x3F80> : tensor<1xbf16>, '
                  'dense<[0x3C00]> : tensor<1xf16>, 0x3F800000 : f32, dense<-1.5> : tensor<f64>]}> : () -> ()')
    assert isinstance(op, Holder)
    assert isinstance(op.value, tuple)
    arrays = [v.array.tolist() for v in op.value if isinstance(v, DenseElements)]
    assert arrays == [[[2, 2], [2, 2]], [1.0], [1.0], -1.5]
    assert op.value[3] == 1.0


def test_resources_are_named_after_their_content() -> None:
    def names(array: Any, dtype: ScalarType = I64) -> list[str]:
        resources: Resources = {}
        print_op(Holder(DenseElements(array, dtype)), resources=resources)
        return list(resources)

    base = np.arange(20)
    assert names(base) == names(base.copy())
    assert len({*names(base), *names(base[::-1]), *names(base.reshape(4, 5)), *names(base % 2 == 0, I1)}) == 4


def broken() -> list[Op]:
    """Ops no verifier accepts."""
    module, f = toy.small()
    f.block.ops[1].set_operand(0, Source(result_types=[F32]).result)
    no_region = Many(f.block.args[0], (), Region(), Region())
    no_region.__dict__["body"] = None
    cyclic = Many(f.block.args[0], (), Region(Block()), Region())
    cyclic.body.block.ops.append(cyclic)
    cyclic.parent = cyclic.body.block
    null_operand = Source()
    null_operand._operands.append(None)  # type: ignore[arg-type]
    bad_type = Source(result_types=["f32"])  # type: ignore[list-item]
    return [module, no_region, cyclic, null_operand, bad_type, Holder(object()), Holder({1: 2}),  # type: ignore[arg-type,dict-item]
            Holder(TensorType((-1,), ScalarType("f33"))), Holder(DenseElements(np.array(["x"]), F32))]


@pytest.mark.parametrize("index", range(9))
def test_printing_never_fails(index: int) -> None:
    op = broken()[index]
    text = print_op(op)
    assert op.name in text
    if index in (1, 2, 3, 4, 5):
        assert "<<" in text
        with pytest.raises(DiagnosticError):
            parse_op(text)


def test_without_hints_equal_text_means_equal_structure() -> None:
    one, two = toy.small()[0], toy.small()[0]
    func = next(iter(two.functions.values()))
    func.block.ops[0].result.name = "other"
    func.block.ops[0].loc = Location("elsewhere.py", 1, 1)
    assert print_op(one) != print_op(two)
    assert print_op(one, locations=False, hints=False) == print_op(two, locations=False, hints=False)


def test_func_build_round_trip() -> None:
    f = Func.build("f", [("a", T)], dims={"S": (0, 9)}, outputs=("y",))
    f.ret(f.block.args[0])
    read = parse_op(print_op(f))
    assert isinstance(read, Func)
    assert (read.sym_name, read.function_type, read.dims, read.outputs) == ("f", f.function_type, f.dims, ("y",))
