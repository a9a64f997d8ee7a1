from __future__ import annotations

import numpy as np
import pytest

from irsql.dialects import expr
from irsql.dialects.tir import ops
from irsql.ir.affine import AffineMap, add, const, dim, floordiv, mod, mul
from irsql.ir.attributes import F32, I64
from irsql.ir.core import ArgInfo
from irsql.ir.dims import symbol
from tests.passes.tir.common import counts, module_of, run, tensor

S = symbol("S")
DIMS = {"S": (0, 100)}
T2 = AffineMap(2, (dim(1), dim(0)))


def double(e):
    return e.binary("add", e.args[0], e.args[0])


def body_of(module):
    (op,) = [o for o in module.functions["forward"].block.ops if isinstance(o, ops.Map)]
    return [o for o in op.body.block.ops if not o.is_terminator]


def test_views_go_into_maps():
    def build(t, x):
        view = t.view(x, (12, S), T2)
        split = t.view(view, (3, 4, S), AffineMap(3, (add(mul(dim(0), const(4)), dim(1)), dim(2))))
        joined = t.view(split, (12, S), AffineMap(2, (floordiv(dim(0), 4), mod(dim(0), 4), dim(1))))
        return t.elementwise([joined], double)

    module = module_of([tensor(S, 12)], build, DIMS)
    run(module, "canonicalise", exact=True)
    func = module.functions["forward"]
    assert counts(func) == {"tir.map": 1, "func.return": 1}
    merged = func.block.ops[0]
    assert isinstance(merged, ops.Map)
    assert merged.maps == (T2,)


def test_views_go_into_contractions_and_an_identity_view_vanishes():
    def build(t, x, w):
        a = t.view(x, (4, S), T2)
        same = t.view(w, (4, 6), AffineMap.identity(2))
        return t.builder.insert(ops.Contract(a, same, bounds=(S, 6, 4), result_types=[tensor(S, 6)], maps=(
            AffineMap.select(3, [2, 0]), AffineMap.select(3, [2, 1]), AffineMap.select(3, [0, 1])))).result

    module = module_of([tensor(S, 4), tensor(4, 6)], build, DIMS)
    run(module, "canonicalise", exact=True)
    func = module.functions["forward"]
    assert counts(func) == {"tir.contract": 1, "func.return": 1}
    contract = func.block.ops[0]
    assert isinstance(contract, ops.Contract)
    assert contract.maps[0] == AffineMap.select(3, [0, 2])


@pytest.mark.parametrize("moves_the_looked_up_axis", [False, True])
def test_views_go_into_gathers(moves_the_looked_up_axis):
    def build(t, table, ids):
        flipped = t.view(table, (6, 3), AffineMap(2, (dim(1), add(mul(dim(0), const(-1)), const(5))))
                         if moves_the_looked_up_axis else T2)
        flat = t.view(ids, (S,), AffineMap(1, (const(0), dim(0))))
        return t.builder.insert(ops.Gather(flipped, (flat,), axes=(0,), data_map=AffineMap(2, (const(0), dim(1))),
                                           index_maps=(AffineMap.select(2, [0]),), result_types=[tensor(S, 3)])).result

    infos = [ArgInfo(), ArgInfo(domain="range", low=0, high=6)]
    module = module_of([tensor(3, 6), tensor(1, S, dtype=I64)], build, DIMS, infos)
    run(module, "canonicalise", exact=True)
    func = module.functions["forward"]
    assert counts(func)["tir.map"] == moves_the_looked_up_axis
    if not moves_the_looked_up_axis:
        (gather,) = [o for o in func.block.ops if isinstance(o, ops.Gather)]
        assert gather.axes == (1,)


def test_constants_of_one_value_and_iotas_go_into_bodies():
    def build(t, x):
        fill = t.constant(np.full((4,), 2.5, dtype=np.float32), F32)
        iota = t.builder.insert(ops.Iota(start=3, step=-2, result_types=[tensor(4, dtype=I64)])).result
        column = AffineMap.select(2, [1])

        def body(e):
            return e.binary("mul", e.args[0], e.binary("add", e.args[1], e.cast(e.args[2], F32)))

        return t.map((S, 4), [(x, AffineMap.identity(2)), (fill, column), (iota, column)], body)

    module = module_of([tensor(S, 4)], build, DIMS)
    run(module, "canonicalise", exact=True)
    assert counts(module.functions["forward"]) == {"tir.map": 1, "func.return": 1}


def test_zero_and_minus_zero_are_two_values():
    def build(t, x):
        zeros = t.constant(np.array([0.0, -0.0], dtype=np.float32), F32)
        return t.elementwise([x, zeros], lambda e: e.binary("div", e.args[0], e.args[1]))

    module = module_of([tensor(2)], build)
    run(module, "canonicalise", exact=True)
    assert counts(module.functions["forward"])["tir.constant"] == 1


@pytest.mark.parametrize(("body", "left"), [
    (lambda e, x: e.binary("mul", e.binary("div", x, e.const(1.0, F32)), e.const(1.0, F32)), []),
    (lambda e, x: e.binary("sub", x, e.const(0.0, F32)), []),
    (lambda e, x: e.binary("add", x, e.const(-0.0, F32)), []),
    (lambda e, x: e.binary("add", x, e.const(0.0, F32)), ["expr.constant", "expr.binary"]),
    (lambda e, x: e.binary("sub", x, e.const(-0.0, F32)), ["expr.constant", "expr.binary"]),
    (lambda e, x: e.unary("neg", e.unary("neg", x)), []),
    (lambda e, x: e.binary("pow", x, e.const(2.0, F32)), ["expr.binary"]),
    (lambda e, x: e.select(e.compare("lt", x, x), x, x), []),
    (lambda e, x: e.select(e.compare("lt", e.const(1.0, F32), e.const(2.0, F32)), x, e.unary("neg", x)), []),
    (lambda e, x: e.builder.insert(expr.Cast(x, result_types=[F32])).result, []),
    (lambda e, x: e.binary("mul", x, e.unary("sqrt", e.const(4.0, F32))), ["expr.constant", "expr.binary"]),
])
def test_bodies_are_simplified_where_that_is_exact(body, left):
    def build(t, x):
        return t.map((3,), [(x, AffineMap(1, (add(dim(0), const(1)),)))],
                     lambda e: e.binary("max", body(e, e.args[0]), e.binary("mul", e.args[0], e.args[0])))

    module = module_of([tensor(4)], build)
    run(module, "canonicalise", exact=True)
    names = [o.name for o in body_of(module)]
    assert names[:len(left)] == left
    assert len(names) == len(left) + 2 - (left == ["expr.binary"])  # x² is shared with the other operand


def test_unused_and_equal_inputs_are_dropped():
    def build(t, x, y):
        return t.elementwise([x, y, x], lambda e: e.binary("add", e.args[0], e.args[2]))

    module = module_of([tensor(3), tensor(3)], build)
    run(module, "canonicalise", exact=True)
    merged = module.functions["forward"].block.ops[0]
    assert isinstance(merged, ops.Map)
    assert len(merged.inputs) == 1
