from __future__ import annotations

import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from irsql.ir import affine
from irsql.ir.affine import SymExpr, add, const, dim, floordiv, mod, mul
from irsql.ir.affine_simplify import Simplifier

D0, D1, D2, S = dim(0), dim(1), dim(2), SymExpr("S")


@pytest.mark.parametrize(("expr", "text"), [
    (floordiv(add(mul(D0, const(64)), D1), 64), "d0"),
    (mod(add(mul(D0, const(64)), D1), 64), "d1"),
    (mod(add(mul(D0, const(64)), D1), 32), "d1 mod 32"),
    (floordiv(add(add(mul(D0, const(128)), D1), const(65)), 128), "d0 + (d1 + 65) floordiv 128"),
    (add(mul(floordiv(D1, 8), const(8)), mod(D1, 8)), "d1"),
    (floordiv(floordiv(D1, 4), 4), "d1 floordiv 16"),
    (floordiv(add(mul(D1, const(4)), const(6)), 8), "(d1 + 1) floordiv 2"),
    (mod(mul(D1, const(4)), 8), "(d1 mod 2) * 4"),
    (mod(mod(D1, 32), 8), "d1 mod 8"),
    (add(D2, add(D0, mul(D2, const(-1)))), "d0"),
    (floordiv(add(S, mul(D0, const(2))), 2), "d0 + S floordiv 2"),
])
def test_examples(expr, text):
    assert str(Simplifier([(0, 9), (0, 63), (0, 3)]).simplify(expr)) == text


def test_a_bound_that_does_not_hold_simplifies_nothing():
    expr = floordiv(add(mul(D0, const(64)), D1), 64)
    assert str(Simplifier([(0, 9), (0, 64)]).simplify(expr)) == "d0 + d1 floordiv 64"


def test_a_dim_of_extent_one_is_zero():
    assert Simplifier([(0, 0), (0, 5)]).simplify(add(D0, D1)) == D1


LEAVES = st.one_of(st.integers(0, 2).map(dim), st.integers(-9, 9).map(const), st.just(S))
EXPRS = st.recursive(LEAVES, lambda e: st.one_of(
    st.builds(add, e, e), st.builds(mul, e, st.integers(-6, 6).map(const)),
    st.builds(floordiv, e, st.integers(1, 8)), st.builds(mod, e, st.integers(1, 8))), max_leaves=8)


@settings(max_examples=300)
@given(EXPRS, st.tuples(*[st.integers(1, 5)] * 3))
def test_every_value_stays(expr, extents):
    simplifier = Simplifier([(0, n - 1) for n in extents], {"S": (0, 4)})
    simple, (low, high) = simplifier.simplify(expr), simplifier.bounds(expr)
    for point in itertools.product(*(range(n) for n in extents)):
        for s in (0, 1, 4):
            want = affine.evaluate(expr, point, {"S": s})
            assert affine.evaluate(simple, point, {"S": s}) == want
            assert low <= want <= high
    assert str(simplifier.simplify(simple)) == str(simple)
