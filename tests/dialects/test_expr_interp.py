from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from irsql.dialects.expr import BINARY, COMPARE, UNARY, Dot, Exprs, Extract, LaneType
from irsql.dialects.expr_interp import eval_body
from irsql.ir.attributes import BF16, F16, F32, F64, I1, I32, I64, ScalarType
from irsql.ir.core import IRError, Module
from irsql.ir.interp import Interpreter

INTERP = Interpreter(Module.empty(), symbols={"S": 7})
FLOATS = np.array([-np.inf, -3.5, -2.5, -1.0, -0.5, 0.0, 0.5, 1.5, 2.5, 3.0, 40.0, np.inf, np.nan], dtype=np.float32)
INTS = np.array([-7, -3, -1, 1, 2, 5, 2**40], dtype=np.int64)
TORCH_BINARY: dict[str, Any] = {
    "mod": torch.remainder, "floordiv": torch.floor_divide, "min": torch.minimum, "max": torch.maximum,
    "and": torch.bitwise_and, "or": torch.bitwise_or}


def unary(kind, x, type_):
    e, region = Exprs.body((type_,))
    e.end(e.unary(kind, e.args[0]))
    return eval_body(INTERP, region.block, [x])[0]


def binary(kind, a, b, type_, compare=False):
    e, region = Exprs.body((type_, type_))
    e.end((e.compare if compare else e.binary)(kind, *e.args))
    return eval_body(INTERP, region.block, [a, b])[0]


@pytest.mark.parametrize("kind", [k for k in UNARY if k != "not"])
def test_unary_floats_are_pytorchs(kind):
    got = unary(kind, FLOATS, F32)
    fn = getattr(torch, kind)
    want = fn(torch.from_numpy(FLOATS)).numpy()
    if kind == "sign":  # torch.sign(nan) is 0
        want = np.where(np.isnan(FLOATS), got, want)
    assert got.dtype == want.dtype
    np.testing.assert_allclose(got, want, rtol=3e-7)


@pytest.mark.parametrize("kind", [k for k in BINARY if k not in ("and", "or")])
def test_binary_floats_are_pytorchs(kind):
    a, b = (x.ravel() for x in np.meshgrid(FLOATS, FLOATS[1:-2]))
    keep = ~((kind in ("floordiv", "mod")) & ((b == 0) | np.isinf(a)))
    a, b = a[keep], b[keep]
    got = binary(kind, a, b, F32)
    fn = TORCH_BINARY.get(kind) or getattr(torch, kind)
    want = fn(torch.from_numpy(a), torch.from_numpy(b)).numpy()
    assert got.dtype == np.float32
    np.testing.assert_allclose(got, want, rtol=3e-7)


@pytest.mark.parametrize("kind", ["add", "sub", "mul", "floordiv", "mod", "min", "max", "and", "or", "div", "pow"])
def test_binary_integers_are_pytorchs(kind):
    a, b = (x.ravel() for x in np.meshgrid(INTS, INTS[:-1]))
    got = binary(kind, a, b, I64)
    ta, tb = torch.from_numpy(a), torch.from_numpy(b)
    if kind == "div":
        want = torch.div(ta, tb, rounding_mode="trunc")
    elif kind == "pow":
        want = torch.pow(ta, tb)
    else:
        want = (TORCH_BINARY.get(kind) or getattr(torch, kind))(ta, tb)
    assert got.dtype == np.int64
    np.testing.assert_array_equal(got, want.numpy())


@pytest.mark.parametrize("kind", COMPARE)
def test_comparisons_with_nan(kind):
    a, b = (x.ravel() for x in np.meshgrid(FLOATS, FLOATS))
    got = binary(kind, a, b, F32, compare=True)
    np.testing.assert_array_equal(got, getattr(torch, kind)(torch.from_numpy(a), torch.from_numpy(b)).numpy())


@pytest.mark.parametrize(("type_", "dtype"), [(F16, torch.float16), (BF16, torch.bfloat16), (F64, torch.float64),
                                              (I64, torch.int64), (I32, torch.int32), (I1, torch.bool)])
def test_casts_are_pytorchs(type_: ScalarType, dtype):
    near_ties = np.array([1 + 2**-8, 1 + 3 * 2**-8, 3e-5], dtype=np.float32)
    x = np.concatenate([np.linspace(-9, 9, 101, dtype=np.float32), near_ties])
    e, region = Exprs.body((F32,))
    e.end(e.cast(e.args[0], type_))
    got = eval_body(INTERP, region.block, [x])[0]
    want = torch.from_numpy(x).to(dtype)
    np.testing.assert_array_equal(got, want.to({F16: torch.float32, BF16: torch.float32}.get(type_, dtype)).numpy())
    assert got.dtype == type_.numpy


def test_erf_has_double_accuracy():
    x = np.linspace(-6, 6, 1001)
    np.testing.assert_allclose(unary("erf", x, F64), torch.special.erf(torch.from_numpy(x)).numpy(), rtol=1e-15)


def test_big_integers_survive_rounding_ops():
    x = np.array([2**62 + 1], dtype=np.int64)
    assert unary("floor", x, I64)[0] == 2**62 + 1


def test_columns_and_lanes():
    lane = LaneType(F32, 3)
    e, region = Exprs.body()
    a, b = e.col("a", lane), e.col("b", lane, input=1)
    dot = e.builder.insert(Dot(a, b, result_types=[F32])).result
    second = e.builder.insert(Extract(a, position=1, result_types=[F32])).result
    e.end(dot, second, e.select(e.compare("gt", dot, second), a, b))
    rng = np.random.default_rng(0)
    table = {("a", 0): rng.standard_normal((4, 3)).astype(np.float32),
             ("b", 1): rng.standard_normal((4, 3)).astype(np.float32)}
    got = eval_body(INTERP, region.block, [], columns=lambda name, i: table[name, i])
    a_, b_ = table["a", 0], table["b", 1]
    np.testing.assert_allclose(got[0], (a_ * b_).sum(1), rtol=1e-6)
    np.testing.assert_array_equal(got[1], a_[:, 1])
    np.testing.assert_array_equal(got[2], np.where((got[0] > got[1])[:, None], a_, b_))


def test_a_column_outside_rel_is_an_error():
    e, region = Exprs.body()
    e.end(e.col("a", F32))
    with pytest.raises(IRError, match=r"expr\.col has no columns"):
        eval_body(INTERP, region.block, [])
