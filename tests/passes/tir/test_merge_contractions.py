from __future__ import annotations

import pytest

from irsql.dialects.tir import ops
from irsql.ir import affine
from irsql.ir.affine import AffineMap
from irsql.ir.dims import symbol
from tests.passes.tir.common import counts, module_of, run, tensor

S = symbol("S")
DIMS = {"S": (0, 50)}
MAPS = (AffineMap.select(3, [0, 2]), AffineMap.select(3, [1, 2]), AffineMap.select(3, [0, 1]))


def weight(t, name, *shape):
    return t.builder.insert(ops.Parameter(parameter=name, result_types=[tensor(*shape)])).result


def linear(t, x, w):
    out, width = ops.tensor(w).shape
    return t.builder.insert(ops.Contract(x, w, maps=MAPS, bounds=(S, out, width),
                                         result_types=[tensor(S, out)])).result


def test_projections_of_one_value_become_one_contraction():
    def build(t, x):
        q = linear(t, x, weight(t, "q", 6, 4))
        k = linear(t, x, weight(t, "k", 2, 4))
        other = linear(t, t.elementwise([x], lambda e: e.unary("neg", e.args[0])), weight(t, "o", 3, 4))
        v = linear(t, x, weight(t, "v", 3, 4))
        first = AffineMap.identity(2)
        both = t.map((S, 2), [(k, first), (v, first)], lambda e: e.binary("mul", *e.args))
        return q, both, other

    module = module_of([tensor(S, 4)], build, DIMS)
    remarks = run(module, "merge-contractions", "canonicalise")
    assert remarks[0].message == "merged 3 contractions of one operand"
    func = module.functions["forward"]
    assert counts(func)["tir.contract"] == 2
    assert counts(func)["tir.concat"] == 1
    (merged,) = [o for o in func.block.ops if isinstance(o, ops.Contract) and ops.tensor(o.result).shape == (S, 11)]
    assert [o.name for o in merged.result.users()].count("tir.map") == 2  # q stays a view, the product reads two


def gated(t, x, shift=0, between=False):
    """A gate and what it gates, beside another product of the same value; the gate ``shift`` elements ahead."""
    gate = linear(t, x, weight(t, "gate", 3, 4))
    q = linear(t, x, weight(t, "q", 3, 4))
    up = linear(t, x, weight(t, "up", 3, 4))
    if between:
        gate = t.elementwise([gate], lambda e: e.unary("tanh", e.args[0]))
    ahead = AffineMap(2, (affine.dim(0), affine.add(affine.dim(1), affine.const(shift))))
    met = t.map((S, 3 - shift), [(gate, ahead), (up, AffineMap.identity(2))], lambda e: e.binary("mul", *e.args))
    return met, q


@pytest.mark.parametrize("between", [False, True])
def test_weights_whose_results_meet_are_stacked(between):
    module = module_of([tensor(S, 4)], lambda t, x: gated(t, x, between=between), DIMS)
    remarks = run(module, "merge-contractions", "canonicalise")
    assert [r.message for r in remarks][:1] == ["stacked 2 contractions whose results meet"]
    func = module.functions["forward"]
    shapes = {ops.tensor(o.result).shape for o in func.block.ops if isinstance(o, ops.Contract)}
    assert shapes == {(S, 3, 2), (S, 3)}
    (joined,) = [o for o in func.block.ops if isinstance(o, ops.Concat)]
    assert (joined.axis, ops.tensor(joined.result).shape) == (1, (3, 2, 4))


def test_weights_whose_results_meet_at_other_elements_are_concatenated():
    module = module_of([tensor(S, 4)], lambda t, x: gated(t, x, shift=1), DIMS)
    run(module, "merge-contractions", "canonicalise")
    shapes = [ops.tensor(o.result).shape for o in module.functions["forward"].block.ops if isinstance(o, ops.Contract)]
    assert shapes == [(S, 9)]


def test_weights_that_are_inputs_or_transposed_are_not_merged():
    def build(t, x, w):
        a = linear(t, x, w)
        b = linear(t, x, weight(t, "b", 3, 4))
        c = t.builder.insert(ops.Contract(x, weight(t, "c", 4, 3), bounds=(S, 3, 4), result_types=[tensor(S, 3)],
                                          maps=(MAPS[0], AffineMap.select(3, [2, 1]), MAPS[2]))).result
        return a, b, c

    module = module_of([tensor(S, 4), tensor(3, 4)], build, DIMS)
    run(module, "merge-contractions", exact=True)
    assert counts(module.functions["forward"])["tir.contract"] == 3
