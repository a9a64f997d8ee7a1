"""Text that is not IR gives a diagnostic with a place, whatever it is, and never another exception."""

from __future__ import annotations

import random
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from irsql.ir.core import IRError
from irsql.ir.diagnostics import DiagnosticError
from irsql.ir.parser import parse_module, parse_op
from irsql.ir.printer import print_op
from irsql.ir.verifier import verify
from tests.ir import toy

RESOURCES: dict[str, np.ndarray[Any, Any]] = {}
VALID = print_op(toy.big(), resources=RESOURCES)


def error(text: str) -> str:
    """The rendered diagnostics of a text that does not parse."""
    with pytest.raises(DiagnosticError) as info:
        parse_module(text, filename="x.mlir")
    return str(info.value)


def survive(text: str) -> None:
    """Read, check and print a text; only diagnostics may come out."""
    try:
        module = parse_module(text, resources=RESOURCES)
        again = print_op(module)
        verify(module)
    except DiagnosticError as problem:
        rendered = str(problem)
    else:
        rendered = "error: none"
        assert print_op(parse_module(again, resources=RESOURCES)) == again
    assert "error: " in rendered


@settings(max_examples=200)
@given(st.randoms(use_true_random=False), st.integers(1, 3))
def test_mutations(rng: random.Random, times: int) -> None:
    text = VALID
    for _ in range(times):
        start = rng.randrange(len(text))
        end = min(len(text), start + rng.choice([0, 1, 1, 2, 5, 40]))
        piece_start = rng.randrange(len(text))
        piece = rng.choice(["", text[piece_start:piece_start + rng.choice([1, 3, 20, 80])], rng.choice(
            ['"', "<", ">", "{", "}", "(", "]", "[", "%", "%x", "#", "!", "^bb0:", "-", "?", "x", ":", "=", "0x",
             "1e999", "99999999999999999999", "\\", "\x00", "\ud800", "unit", "dense<", "loc(", "affine_map<", "->",
             "//"])])
        text = text[:start] + piece + text[end:]
    survive(text)


@given(st.text(st.characters(exclude_categories=()), max_size=40))
def test_noise(text: str) -> None:
    survive(text)


@pytest.mark.parametrize("keep", range(0, len(VALID), 97))
def test_truncation(keep: int) -> None:
    survive(VALID[:keep])


@pytest.mark.parametrize("text", [
    "[" * 5000, "(" * 5000, "{" * 5000,
    '"toy.holder"() <{value = ' + "[" * 5000,
    '"toy.holder"() <{value = ' + "{a = " * 5000,
    '"toy.holder"() <{value = ' + "(" * 5000,
    '"toy.holder"() <{value = ' + "() -> (" * 5000,
    '"toy.holder"() <{value = ' + "#toy.pair<" * 5000,
    '"toy.holder"() <{value = ' + "!toy.box<[], " * 5000,
    '"toy.holder"() <{value = dense<' + "[" * 5000,
    '"toy.holder"() <{value = affine_map<() -> (' + "(" * 5000,
    '"toy.holder"() <{value = affine_map<() -> (' + "- " * 5000,
    '"toy.holder"() <{value = affine_map<() -> (' + "1 + " * 5000 + "1)>}> : () -> ()",
    '"toy.holder"() <{value = affine_map<(a) -> (a' + " * 1" * 5000 + ")>}> : () -> ()",
    '"builtin.module"() ({' * 5000,
    '"toy.holder"() <{value = dense<1> : tensor<999999999999x9999999xi64>}> : () -> ()',
    '"toy.holder"() <{value = dense<> : tensor<0x99999999999999999999999xi64>}> : () -> ()',
    '"toy.holder"() <{value = ' + "9" * 5000 + "}> : () -> ()",
    '%a:99999999999 = "toy.source"() : () -> ()',
    '"toy.source"() : () -> tensor<' + "9" * 5000 + "xf32>",
    '"toy.source"() : () -> tensor<?xf32, #irsql.dims<["' + "9" * 5000 + '"]>>',
])
def test_extremes(text: str) -> None:
    assert "error: " in error(text)


@pytest.mark.parametrize(("text", "expected"), [
    ("", "holds no op"),
    ('"toy.sourse"() : () -> ()', "did you mean 'toy.source'?"),
    ('"nope.x"() : () -> ()', "known dialects: builtin"),
    ("func.func @main() {}", "generic form"),
    ('"toy.holder"() <{value = #toy.pear<1>}> : () -> ()', "did you mean '#toy.pair'?"),
    ('"toy.source"() : () -> !toy.bax<1>', "did you mean '!toy.box'?"),
    ('"toy.source"() : () -> flot', "expected a type"),
    ('"toy.source"() : () -> tensor<2xf33>', "did you mean 'f32'?"),
    ('"toy.source"() <{teg = 1}> : () -> ()', "did you mean 'tag'?"),
    ('"toy.source"() <{tag = "x"}> : () -> ()', "it must be int"),
    ('"toy.source"() <{tag = true}> : () -> ()', "cannot be True"),
    ('"toy.source"() <{tag = 1, tag = 2}> : () -> ()', "occurs twice"),
    ('"toy.source"() <{tag = 1}> {tag = 2} : () -> ()', "occurs twice"),
    ('"toy.holder"() : () -> ()', "lacks the attribute 'value'"),
    ('"toy.source"()[^bb0] : () -> ()', "successors"),
    ('"toy.add"() : () -> ()', "takes 2 (lhs, rhs) operands, found 0"),
    ('"toy.source"() ({}) : () -> ()', "has 0 regions"),
    ('%gate = "toy.source"() : () -> f32\n"toy.effect"(%gat) : (f32) -> ()', "did you mean '%gate'?"),
    ('%x = "toy.source"() : () -> f32\n"toy.effect"(%x) : (f64) -> ()', "another type"),
    ('%x = "toy.source"() : () -> f32\n"toy.effect"(%x) : () -> ()', "its type says 0"),
    ('%x = "toy.source"() : () -> f32\n%x = "toy.source"() : () -> f32', "defined twice"),
    ('%x, %y = "toy.source"() : () -> f32', "2 are named"),
    ('"builtin.module"() ({ %x = "toy.source"() : () -> f32 }) : () -> ()\n"toy.effect"(%x) : (f32) -> ()',
     "not defined before"),
    ('"toy.holder"() <{value = #toy.pair<>}> : () -> ()', "has the parameters (first, second), found 0"),
    ('"toy.source"() : () -> !toy.box<[1], f32>', "parameter 'columns'"),
    ('"toy.source"() : () -> tensor<?xf32>', "needs its dims"),
    ('"toy.source"() : () -> tensor<2xf32, #irsql.dims<[3]>>', "contradict the shape"),
    ('"toy.source"() : () -> tensor<?xf32, #irsql.dims<["S +"]>>', "malformed dim"),
    ('"toy.holder"() <{value = "a}> : () -> ()', "not closed"),
    ('"toy.holder"() <{value = "\\q"}> : () -> ()', "unknown escape"),
    ('"toy.holder"() <{value = "\\FF"}> : () -> ()', "not UTF-8"),
    ('"toy.holder"() <{value = 1.0 : i64}> : () -> ()', "cannot have type i64"),
    ('"toy.holder"() <{value = 1 : f64}> : () -> ()', "hexadecimal"),
    ('"toy.holder"() <{value = 1.0e999}> : () -> ()', "out of the range of f64"),
    ('"toy.holder"() <{value = dense<[1, 2]> : tensor<3xi64>}> : () -> ()', "shape of the type"),
    ('"toy.holder"() <{value = dense<300> : tensor<1xi8>}> : () -> ()', "out of the range of i8"),
    ('"toy.holder"() <{value = dense<1.0e99> : tensor<1xf32>}> : () -> ()', "out of the range of f32"),
    ('"toy.holder"() <{value = dense<true> : tensor<1xf32>}> : () -> ()', "no element of type f32"),
    ('"toy.holder"() <{value = dense_resource<w> : tensor<20xf32>}> : () -> ()', "not in the resources"),
    ('"toy.holder"() <{value = affine_map<(a) -> (b)>}> : () -> ()', "expected a dim"),
    ('"toy.holder"() <{value = affine_map<(a, b) -> (a * b)>}> : () -> ()', "not affine"),
    ('"toy.holder"() <{value = affine_map<(a) -> (a floordiv 0)>}> : () -> ()', "positive constant"),
    ('"toy.holder"() <{value = affine_map<(a) -> (a ceildiv 2)>}> : () -> ()', "(a + b - 1) floordiv b"),
    ('"toy.holder"() <{value = affine_map<(a, a) -> (a)>}> : () -> ()', "declared twice"),
    ('"toy.source"() : () -> () loc(fused["a"])', "expected a location"),
    ("{-# dialect_resources: {} #-}", "generic form"),
])
def test_messages(text: str, expected: str) -> None:
    assert expected in error(text)


def test_all_semantic_errors_at_once() -> None:
    text = ('%x = "toy.nope"() : () -> f32\n'
            '  "toy.source"() <{teg = 1, tag = "s"}> : () -> ()\n'
            '"toy.holder"() <{value = #toy.pear<[1]>}> : () -> !toy.bax\n'
            '"toy.effect"(%x) : (f32) -> ()')
    rendered = error(text)
    assert [line.split(" ")[0] for line in rendered.splitlines() if "error: " in line] == [
        "x.mlir:1:6:", "x.mlir:2:20:", "x.mlir:2:29:", "x.mlir:3:26:", "x.mlir:3:51:"]


def test_the_caret() -> None:
    assert error('"toy.source"() : () -> ()\n  "toy.sourse"() : () -> ()') == (
        "x.mlir:2:3: error: unknown op \"toy.sourse\"\n"
        '    "toy.sourse"() : () -> ()\n'
        "    ^^^^^^^^^^^^\n"
        "  help: did you mean 'toy.source'?")


def test_a_long_line_is_cut_around_the_caret() -> None:
    rendered = error('"toy.holder"() <{value = [' + "1, " * 3000 + "oops]}> : () -> ()").splitlines()
    assert max(map(len, rendered)) < 300
    column = rendered[2].index("^")
    assert rendered[1][column:column + 4] == "oops"


def test_many_errors_end() -> None:
    with pytest.raises(DiagnosticError) as info:
        parse_module('"toy.nope"() : () -> ()\n' * 1000)
    assert len(info.value.diagnostics) == 50


def test_resource_of_another_shape() -> None:
    text = '"toy.holder"() <{value = dense_resource<w> : tensor<20xf32>}> : () -> ()'
    with pytest.raises(DiagnosticError, match="do not belong together"):
        parse_op(text, resources={"w": np.zeros(20, np.float64)})


def test_one_op_is_one_op() -> None:
    with pytest.raises(DiagnosticError, match="expected one op, found 2"):
        parse_op('"toy.source"() : () -> ()\n"toy.source"() : () -> ()')


def test_a_diagnostic_error_is_an_ir_error() -> None:
    with pytest.raises(IRError):
        parse_module("x")
