from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from irsql.dialects import expr as ex
from irsql.dialects.expr_interp import eval_body
from irsql.dialects.rel.types import Key, RelType
from irsql.ir.attributes import F32, F64, I64, ScalarType
from irsql.ir.core import Module, Region
from irsql.ir.interp import Array, Interpreter
from irsql.ir.target import Target, ValueContract
from irsql.passes.rel._functions import lower
from irsql.passes.rel._intervals import EVERYTHING, Intervals

BARE = Target("bare", functions={"exp": "EXP", "sqrt": "SQRT", "floor": "FLOOR"},
              contract=ValueContract(has_nan=False, nan_greatest=False))
"""An engine with three functions, and division and rest as in C."""
ANYTHING = Intervals((), {})


def unary(kind: str, type_: ScalarType) -> Region:
    e, body = ex.Exprs.body((type_,))
    e.end(e.unary(kind, e.args[0]))
    return body


def lowered(region: Region, *args: Array) -> Array:
    assert lower(region.block, BARE, ANYTHING) == []
    left = {op.kind for op in region.block.ops if isinstance(op, ex.Unary)}
    assert left <= {"exp", "sqrt", "floor", "neg", "not"}
    return eval_body(Interpreter(Module.empty()), region.block, args)[0]


def test_erf_is_exact_to_float_precision() -> None:
    x = np.concatenate([np.linspace(-7, 7, 40001), [0.46875, 4.0, -4.0, 1e30, -1e30, 0.0, math.inf, -math.inf],
                        np.logspace(-30, 0, 500)])
    want = np.array([math.erf(v) for v in x])
    double = lowered(unary("erf", F64), x)
    inside = np.abs(x) <= 4
    assert np.abs(double - want)[inside].max() < 1e-15
    assert np.abs(double - want).max() < 1.6e-8  # beyond 4 the value at 4 is taken
    single = lowered(unary("erf", F32), x.astype(np.float32))
    exact = np.array([math.erf(v) for v in x.astype(np.float32)])
    assert np.abs(single - exact).max() <= 2**-24


def test_gelu_with_it_is_within_a_millionth() -> None:
    x = np.linspace(-12, 12, 100_001).astype(np.float32)
    e, body = ex.Exprs.body((F32,))
    inner = e.unary("erf", e.binary("mul", e.args[0], e.const(math.sqrt(0.5), F32)))
    e.end(e.binary("mul", e.binary("mul", e.args[0], e.const(0.5, F32)), e.binary("add", inner, e.const(1.0, F32))))
    want = np.array([0.5 * v * math.erfc(-v * math.sqrt(0.5)) for v in x.astype(np.float64)])
    assert np.abs(lowered(body, x) - want).max() <= 1e-6


def test_tanh_never_overflows_and_keeps_small_values() -> None:
    x = np.concatenate([np.linspace(-20, 20, 10001), [-1e30, 1e30, math.inf, -math.inf, 0.0], np.logspace(-6, 0, 300)])
    single = x.astype(np.float32)
    got = lowered(unary("tanh", F32), single)
    np.testing.assert_allclose(got, np.tanh(single.astype(np.float64)), rtol=1e-7, atol=0)


@pytest.mark.parametrize(("kind", "reference"), [("round", np.rint), ("ceil", np.ceil), ("trunc", np.trunc),
                                                 ("abs", np.abs), ("sign", np.sign)])
def test_rounding_and_signs(kind: str, reference: np.ufunc) -> None:
    x = np.array([-3.5, -2.5, -1.5, -1.2, -0.5, -0.2, 0.0, 0.2, 0.5, 0.7, 1.5, 2.5, 3.5, 8388607.5, 2.0**30, -(2.0**60),
                  math.inf, -math.inf], np.float32)
    np.testing.assert_array_equal(lowered(unary(kind, F32), x), reference(x))


@pytest.mark.parametrize("kind", ["abs", "sign", "round", "trunc", "ceil"])
def test_of_integers(kind: str) -> None:
    x = np.array([-(2**62) - 1, -3, 0, 5, 2**62 + 1])
    want = {"abs": np.abs, "sign": np.sign}.get(kind, lambda v: v)(x)
    np.testing.assert_array_equal(lowered(unary(kind, I64), x), want)


def test_rsqrt_and_isnan() -> None:
    x = np.array([0.25, 3.0, 1e-20], np.float32)
    np.testing.assert_allclose(lowered(unary("rsqrt", F32), x), 1 / np.sqrt(x), rtol=2e-7)
    assert lowered(unary("isnan", F32), np.array([1.0, np.nan], np.float32)).tolist() == [False, True]


@given(st.integers(-(2**40), 2**40), st.integers(-50, 50).filter(bool))
@example(-7, 2)
@example(7, -2)
@example(-8, 2)
def test_floor_division_on_an_engine_that_truncates(a: int, b: int) -> None:
    def column(name: str, _: int) -> Array:
        return np.array({"a": a, "b": b}[name])

    for kind, want in (("floordiv", a // b), ("mod", a % b)):
        e, body = ex.Exprs.body()
        e.end(e.binary(kind, e.col("a", I64), e.col("b", I64)))
        assert lower(body.block, BARE, Intervals((RelType((), ()),), {})) == []
        assert not [op for op in body.block.ops if isinstance(op, ex.Binary) and op.kind == kind]
        got = eval_body(Interpreter(Module.empty()), body.block, (), columns=column)
        assert int(got[0]) == want


def keys_only(kind: str, extent: int, build: Sequence[int]) -> list[str]:
    """Kinds left after lowering ``kind`` of an expression of a key."""
    e, body = ex.Exprs.body()
    k = e.col("k", I64)
    e.end(e.binary(kind, e.binary("add", k, e.const(build[0], I64)), e.const(build[1], I64)))
    lower(body.block, BARE, Intervals((RelType((Key("k", extent),), ()),), {}))
    return [op.kind for op in body.block.ops if isinstance(op, ex.Binary)]


def test_division_of_keys_stays_as_it_is() -> None:
    assert keys_only("floordiv", 12, (0, 4)) == ["add", "floordiv"]
    assert keys_only("mod", 12, (3, 4)) == ["add", "mod"]
    assert "mod" not in keys_only("mod", 12, (-1, 4))
    assert "floordiv" not in keys_only("floordiv", 12, (-12, 4))


@given(st.data())
def test_intervals_contain_every_value(data: st.DataObject) -> None:
    e, _ = ex.Exprs.body()
    extent = data.draw(st.integers(1, 6))
    pool = [e.col("k", I64), e.const(data.draw(st.integers(-4, 4)), I64), e.const(3, I64)]
    for _ in range(data.draw(st.integers(1, 5))):
        a, b = data.draw(st.sampled_from(pool)), data.draw(st.sampled_from(pool))
        kind = data.draw(st.sampled_from(["add", "sub", "mul", "min", "max", "floordiv", "mod"]))
        pool.append(e.binary(kind, a, pool[2] if kind in ("floordiv", "mod") else b))
    e.end(*pool)
    block = e.builder.block
    low_high = Intervals((RelType((Key("k", extent),), ()),), {})
    values = eval_body(Interpreter(Module.empty()), block, (), columns=lambda n, i: np.arange(extent))
    for v, x in zip(pool, values, strict=True):
        low, high = low_high.of(v)
        assert low <= x.min()
        assert x.max() <= high
    assert Intervals((RelType((), ()),), {}).of(pool[0]) == EVERYTHING


def test_what_has_no_replacement_is_reported() -> None:
    e, body = ex.Exprs.body((F32,))
    e.end(e.binary("pow", e.unary("sin", e.args[0]), e.unary("log", e.args[0])))
    assert lower(body.block, BARE, ANYTHING) == ["sin", "log", "pow"]
