from __future__ import annotations

import pytest

from irsql.dialects.tir import ops
from irsql.ir.affine import AffineMap
from irsql.ir.attributes import F32, I64
from irsql.ir.dims import symbol
from tests.passes.tir.common import counts, module_of, run, tensor

S, T = symbol("S"), symbol("T")
DIMS = {"S": (0, 4), "T": (1, 9)}
SELECT = AffineMap.select
ROWS, COLUMNS, OUT = SELECT(3, [0, 2]), SELECT(3, [1, 2]), SELECT(3, [0, 1])


def contract(t, x, y, maps=(ROWS, COLUMNS, OUT), out=None):
    """``out[i, j] = Σ_k x[i, k] · y[j, k]``."""
    i, k = ops.tensor(x).shape
    j = ops.tensor(y).shape[0]
    return t.builder.insert(ops.Contract(x, y, maps=maps, bounds=(i, j, k), result_types=[out or tensor(i, j)])).result


def exponential(e):
    return e.unary("exp", e.args[1])


def weighted(kind, axis=0, last=exponential):
    """A product of ``x`` and ``last`` of ``s[axis]``, multiplied or divided, contracted with ``y``."""

    def build(t, x, s, y):
        scaled = t.map(ops.tensor(x).shape, [(x, AffineMap.identity(2)), (s, SELECT(2, [axis]))],
                       lambda e: e.binary(kind, e.args[0], last(e)))
        return contract(t, scaled, y)

    return build


def contraction_of(module):
    (op,) = [o for o in module.functions["forward"].block.ops if isinstance(o, ops.Contract)]
    return op


@pytest.mark.parametrize("kind", ["mul", "div"])
def test_a_factor_of_the_rows_is_applied_to_the_sums(kind):
    module = module_of([tensor(S, T), tensor(S), tensor(3, T)], weighted(kind), DIMS)
    remarks = run(module, "eager-aggregation", "canonicalise", "dce")
    assert [r.message for r in remarks if r.pass_name == "eager-aggregation"] == ["1 factor applied after the sum"]
    op = contraction_of(module)
    assert op.lhs is module.functions["forward"].block.args[0]
    (after,) = op.result.users()
    assert isinstance(after, ops.Map)
    assert ops.tensor(after.result).shape == (S, 3)


def test_a_softmax_divides_after_the_sum():
    def build(t, x, y):
        weights = t.map((S, T), [(x, AffineMap.identity(2)), (t.reduce("max", x, [1]), SELECT(2, [0]))],
                        lambda e: e.unary("exp", e.binary("sub", *e.args)))
        total = t.reduce("sum", weights, [1])
        share = t.map((S, T), [(weights, AffineMap.identity(2)), (total, SELECT(2, [0]))],
                      lambda e: e.binary("div", *e.args))
        return contract(t, y, share, out=tensor(3, S))

    module = module_of([tensor(S, T), tensor(3, T)], build, DIMS)
    run(module, "eager-aggregation", "canonicalise", "dce")
    weights = contraction_of(module).rhs.owner
    assert isinstance(weights, ops.Map)
    assert [e.name for e in weights.body.block.ops][:2] == ["expr.binary", "expr.unary"]


def both_sides(t, x, s, y):
    def scaled(v):
        return t.map(ops.tensor(v).shape, [(v, AffineMap.identity(2)), (s, SELECT(2, [0]))],
                     lambda e: e.binary("mul", e.args[0], exponential(e)))

    return contract(t, scaled(x), scaled(y))


def test_factors_of_both_sides_are_applied_after_the_sum():
    module = module_of([tensor(3, T), tensor(3), tensor(3, T)], both_sides, DIMS)
    remarks = run(module, "eager-aggregation", "canonicalise", "dce")
    assert [r.kind for r in remarks if r.pass_name == "eager-aggregation"] == ["passed", "passed"]
    assert {contraction_of(module).lhs, contraction_of(module).rhs} <= set(module.functions["forward"].block.args)


def read_twice(t, x, s, y):
    scaled = t.map(ops.tensor(x).shape, [(x, AffineMap.identity(2)), (s, SELECT(2, [0]))],
                   lambda e: e.binary("mul", *e.args))
    return contract(t, scaled, y), scaled


def numbered(t, x, s, y):
    """The factor depends on where the element stands."""
    scaled = t.map(ops.tensor(x).shape, [(x, AffineMap.identity(2))],
                   lambda e: e.binary("mul", e.args[0], e.cast(e.index(1), F32)))
    return contract(t, scaled, y)


def nothing_left(t, x, s, y):
    spread = t.map(ops.tensor(x).shape, [(s, SELECT(2, [0]))], lambda e: e.args[0])
    return contract(t, spread, y)


@pytest.mark.parametrize("build", [
    weighted("mul", axis=1), weighted("add"), read_twice, numbered, nothing_left,
])  # fmt: skip
def test_what_does_not_come_out_of_the_sum(build):
    module = module_of([tensor(5, 5), tensor(5), tensor(3, 5)], build)
    before = counts(module.functions["forward"])
    assert run(module, "eager-aggregation", exact=True) == []
    assert counts(module.functions["forward"]) == before


@pytest.mark.parametrize(("x", "s", "y", "moves"), [
    (tensor(2, 5), tensor(2), tensor(5, 5), True),
    (tensor(2, 4), tensor(2), tensor(5, 4), False),
    (tensor(2, T), tensor(2), tensor(50, T), True),
    (tensor(2, 50), tensor(2), tensor(S, 50), False),
])  # fmt: skip
def test_a_factor_moves_where_the_sum_has_enough_terms(x, s, y, moves):
    module = module_of([x, s, y], weighted("mul"), DIMS)
    (remark,) = run(module, "eager-aggregation")
    assert remark.kind == ("passed" if moves else "missed")


@pytest.mark.parametrize(("last", "moves"), [
    (lambda e: e.args[1], False),
    (lambda e: e.unary("abs", e.args[1]), False),
    (lambda e: e.binary("mul", e.args[1], e.args[1]), False),
    (lambda e: e.binary("add", e.binary("mul", e.args[1], e.args[1]), e.const(1e-5, F32)), True),
    (lambda e: e.binary("add", e.binary("mul", e.args[1], e.args[1]), e.const(-1e-5, F32)), False),
    (lambda e: e.unary("rsqrt", e.binary("max", e.args[1], e.const(0.5, F32))), True),
    (lambda e: e.binary("div", e.const(2.0, F32), exponential(e)), True),
    (lambda e: e.binary("div", e.const(2.0, F32), e.args[1]), False),
    (lambda e: e.unary("neg", exponential(e)), False),
])  # fmt: skip
def test_a_factor_that_may_be_zero_stays(last, moves):
    module = module_of([tensor(2, 5), tensor(2), tensor(3, 5)], weighted("div", last=last))
    remarks = run(module, "eager-aggregation")
    assert [r.reason for r in remarks] == ["" if moves else "the factor may be zero"]


@pytest.mark.parametrize("least", [0, 1])
def test_a_sum_that_may_be_empty_keeps_its_factors(least):
    """Nothing divided by an empty softmax's sum is 0, and not 0 / 0."""

    def build(t, x, y):
        weights = t.map((3, T), [(x, AffineMap.identity(2))], lambda e: e.unary("exp", e.args[0]))
        share = t.map((3, T), [(weights, AffineMap.identity(2)), (t.reduce("sum", weights, [1]), SELECT(2, [0]))],
                      lambda e: e.binary("div", *e.args))
        return contract(t, share, y)

    module = module_of([tensor(3, T), tensor(2, T)], build, {"T": (least, 5)})
    (remark,) = run(module, "eager-aggregation")
    assert remark.reason == ("" if least else "the sum may have no term")


def test_integers_stay():
    def build(t, x, s, y):
        scaled = t.map((2, 5), [(x, AffineMap.identity(2)), (s, SELECT(2, [0]))], lambda e: e.binary("mul", *e.args))
        return contract(t, scaled, y, out=tensor(2, 3, dtype=I64))

    module = module_of([tensor(2, 5, dtype=I64), tensor(2, dtype=I64), tensor(3, 5, dtype=I64)], build)
    assert run(module, "eager-aggregation", exact=True) == []
