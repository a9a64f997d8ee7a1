"""Small random programs: every pass of this stage, and all of them in a row, keep what they mean."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from irsql.dialects.tir import ops
from irsql.ir import dims
from irsql.ir.affine import AffineMap, add, const, dim, floordiv, mod, mul
from irsql.ir.attributes import F32, I64
from irsql.ir.dims import symbol
from tests.passes.tir.common import module_of, run, tensor

S = symbol("S")
ALL = ["canonicalise", "cse", "fold-constants", "merge-contractions", "canonicalise", "fuse-elementwise{max-ops=12}",
       "decompose", "canonicalise", "cse", "fuse-elementwise", "split-load", "canonicalise", "dce"]


def transpose(t, pick, x):
    a, b = ops.tensor(x).shape
    return t.view(x, (b, a), AffineMap.select(2, [1, 0]))


def cut(t, pick, x):
    a, b = ops.tensor(x).shape
    if not isinstance(b, int) or b < 3:
        return x
    return t.view(x, (a, b - 2), AffineMap(2, (dim(0), add(dim(1), const(pick % 3)))))


def fold(t, pick, x):
    """[a, b] to [a, b / 2, 2] and back to [2 a, b / 2]: a reshape of one axis, then of both."""
    a, b = ops.tensor(x).shape
    if not isinstance(b, int) or b % 2:
        return x
    split = t.view(x, (a, b // 2, 2), AffineMap(3, (dim(0), add(mul(dim(1), const(2)), dim(2)))))
    return t.view(split, (dims.mul(a, 2), b // 2), AffineMap(2, (floordiv(dim(0), 2), dim(1), mod(dim(0), 2))))


def unary(t, pick, x):
    kind = ("neg", "tanh", "abs", "sin", "exp")[pick % 5]
    bounded = t.elementwise([x], lambda e: e.unary("tanh", e.args[0]))
    return t.elementwise([bounded], lambda e: e.unary(kind, e.args[0]))


def with_itself(t, pick, x):
    kind = ("add", "sub", "mul", "max")[pick % 4]
    return t.elementwise([x, unary(t, pick // 4, x)], lambda e: e.binary(kind, *e.args))


def with_row(t, pick, x):
    kind = ("sum", "max")[pick % 2]
    if kind == "max" and not isinstance(ops.tensor(x).shape[1], int):
        return x  # the maximum of no elements is an error in PyTorch
    row = t.reduce(kind, x, [1])
    shifted = t.elementwise([row], lambda e: e.unary(("neg", "tanh")[pick // 2 % 2], e.args[0]))
    return t.map(ops.tensor(x).shape, [(x, AffineMap.identity(2)), (shifted, AffineMap.select(2, [0]))],
                 lambda e: e.binary("add", *e.args))


def positions(t, pick, x):
    a, _ = ops.tensor(x).shape
    iota = t.builder.insert(ops.Iota(start=pick % 3, step=2, result_types=[tensor(a, dtype=I64)])).result
    return t.map(ops.tensor(x).shape, [(x, AffineMap.identity(2)), (iota, AffineMap.select(2, [0]))],
                 lambda e: e.binary("sub", e.args[0], e.cast(e.args[1], F32)))


def softmax(t, pick, x):
    return t.builder.insert(ops.Softmax(x, axis=1, result_types=[x.type])).result


def norm(t, pick, x):
    """Beside a residual: of a row of nearly equal numbers the norm alone is made of their last bits."""
    normed = t.builder.insert(ops.LayerNorm(x, (), eps=1.0, result_types=[x.type])).result
    return t.elementwise([x, normed], lambda e: e.binary("add", *e.args))


def projections(t, pick, x):
    a, b = ops.tensor(x).shape
    if not isinstance(b, int):
        return x
    parts = []
    for i in range(2):
        w = t.builder.insert(ops.Parameter(parameter=f"w{pick % 2}.{i}.{b}", result_types=[tensor(3, b)])).result
        parts.append(t.builder.insert(ops.Contract(x, w, bounds=(a, 3, b), result_types=[tensor(a, 3)], maps=(
            AffineMap.select(3, [0, 2]), AffineMap.select(3, [1, 2]), AffineMap.select(3, [0, 1])))).result)
    return t.elementwise(parts, lambda e: e.binary("mul", *e.args))


STEPS = (transpose, cut, fold, unary, with_itself, with_row, positions, softmax, norm, projections)
PROGRAMS = st.lists(st.tuples(st.sampled_from(STEPS), st.integers(0, 19)), min_size=1, max_size=7)


@pytest.mark.parametrize("pipeline", [["canonicalise"], ["fuse-elementwise"], ["merge-contractions"], ["split-load"],
                                      ["decompose"], ["cse", "dce"], ["fold-constants"], ALL], ids=lambda p: p[0])
@settings(max_examples=15, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(PROGRAMS, st.sampled_from([(S, 6), (5, 4), (S, 1), (1, S)]))
def test_passes_keep_the_meaning(pipeline, program, shape):
    def build(t, x):
        values = [x]
        for step, pick in program:
            values.append(step(t, pick, values[-1 - (pick == 7) * (len(values) > 1)]))
        return values[-1], values[len(values) // 2]

    module = module_of([tensor(*shape)], build, {"S": (0, 9)})
    run(module, *pipeline)
