from __future__ import annotations

import pytest

from irsql.dialects.tir import ops
from irsql.ir.affine import AffineMap, DimExpr, add, const, mod, mul
from irsql.ir.attributes import F32, I64
from irsql.ir.core import ArgInfo, Module
from irsql.ir.dims import symbol
from tests.passes.stages import Program
from tests.passes.tir.common import counts, module_of, run, tensor

S = symbol("S")
DIMS = {"S": (0, 50)}
MAPS = (AffineMap.select(3, [0, 2]), AffineMap.select(3, [1, 2]), AffineMap.select(3, [0, 1]))


def weight(t, name, *shape):
    return t.builder.insert(ops.Parameter(parameter=name, result_types=[tensor(*shape)])).result


def linear(t, x, w, maps=MAPS, out=None):
    width = ops.tensor(x).shape[-1]
    out = out or ops.tensor(w).shape[0]
    return t.builder.insert(ops.Contract(x, w, maps=maps, bounds=(S, out, width), result_types=[tensor(S, out)])).result


def scaled(t, x, g, more=lambda e, y: y):
    """``x · s · more(g)``, where s is no weight."""
    rank2, rows = AffineMap.identity(2), AffineMap.select(2, [0])
    s = t.reduce("max", x, [1])

    def body(e):
        return e.binary("mul", e.binary("mul", e.args[0], e.args[1]), more(e, e.args[2]))

    return t.map((S, 4), [(x, rank2), (s, rows), (g, AffineMap.select(2, [1]))], body)


def maps_of(func, inputs):
    return [o for o in func.block.ops if isinstance(o, ops.Map) and len(o.inputs) == inputs]


@pytest.mark.parametrize("more", [lambda e, y: y, lambda e, y: e.binary("add", y, e.const(1.0, y.type))])
def test_the_weight_of_a_norm_moves_into_every_matrix_that_reads_it(more):
    def build(t, x):
        y = scaled(t, x, weight(t, "g", 4), more)
        return linear(t, y, weight(t, "q", 6, 4)), linear(t, y, weight(t, "k", 2, 4))

    module = module_of([tensor(S, 4)], build, DIMS)
    remarks = run(module, "fold-weights", "canonicalise", "dce")
    assert remarks[0].message == "1 factor moved into the weights of 2 contractions"
    func = module.functions["forward"]
    (left,) = [m for m in maps_of(func, 2) if S in ops.tensor(m.result).shape]
    assert not any(isinstance(v.owner, ops.Parameter) for v in left.inputs)
    run(module, "merge-contractions", "canonicalise", "split-load", "canonicalise", "dce")
    assert counts(module.functions["forward"])["tir.contract"] == 1
    assert counts(module.functions["load"])["tir.store"] == 1


def tied(t, x):
    w = weight(t, "w", 6, 4)
    return linear(t, scaled(t, x, weight(t, "g", 4)), w), linear(t, x, w)


def not_alone(t, x):
    y = scaled(t, x, weight(t, "g", 4))
    return linear(t, y, weight(t, "w", 6, 4)), y


def shifted(t, x):
    g = weight(t, "g", 4)
    y = t.map((S, 4), [(x, AffineMap.identity(2)), (g, AffineMap.select(2, [1]))], lambda e: e.binary("add", *e.args))
    return linear(t, y, weight(t, "w", 6, 4))


def part_of_a_weight(t, x):
    return linear(t, scaled(t, x, weight(t, "g", 4)), weight(t, "w", 9, 4), out=6)


@pytest.mark.parametrize(("build", "reason"), [
    (tied, "stored twice"), (not_alone, ""), (shifted, ""), (part_of_a_weight, "not read row by row"),
])  # fmt: skip
def test_what_is_left_alone(build, reason):
    module = module_of([tensor(S, 4)], build, DIMS)
    before = counts(module.functions["forward"])
    remarks = run(module, "fold-weights", exact=True)
    assert counts(module.functions["forward"]) == before
    assert [reason in r.reason for r in remarks] == ([True] if reason else [])


def test_a_factor_stays_where_the_other_side_is_no_weight():
    def build(t, x, w):
        return linear(t, scaled(t, x, weight(t, "g", 4)), w)

    module = module_of([tensor(S, 4), tensor(6, 4)], build, DIMS)
    assert run(module, "fold-weights", exact=True)[0].reason == "the other side is no weight"


def test_a_factor_along_the_rows_of_no_weight_stays():
    def build(t, x):
        g = weight(t, "g", 50)  # one a position: no axis of the weight
        inputs = [(x, AffineMap.identity(2)), (g, AffineMap.select(2, [0]))]
        y = t.map((S, 4), inputs, lambda e: e.binary("mul", *e.args))
        return linear(t, y, weight(t, "w", 6, 4))

    module = module_of([tensor(S, 4)], build, DIMS)
    remarks = run(module, "fold-weights", exact=True)
    assert "an axis that the weight does not have" in remarks[0].reason


def attention(turn, scale=0.375, norm=lambda p, x: x):
    """A layer over a state whose queries are ``turn(t, norm(p, x) W)``."""
    b, heads, dim = symbol("B"), 2, 6
    state = ops.StateType("kv.0", heads, dim, dim, F32)
    inputs = [("x", tensor(b, S, 5), ArgInfo()), ("k", tensor(b, heads, S, dim), ArgInfo()),
              ("v", tensor(b, heads, S, dim), ArgInfo()),
              ("positions", tensor(b, S, dtype=I64), ArgInfo(domain="positions")),
              ("kv.0", state, ArgInfo(role="state"))]
    p = Program(inputs, {"B": (0, 3), "S": (1, 5), "P": (0, 64)})
    x, k, v, positions, kv = p.args
    w = p.weight("w", heads * dim, 5)
    select = AffineMap.select
    product = p.add(ops.Contract(norm(p, x), w, maps=(select(4, (0, 1, 3)), select(4, (2, 3)), select(4, (0, 1, 2))),
                                 bounds=(b, S, heads * dim, 5), result_types=[tensor(b, S, heads * dim)])).result
    at = AffineMap(4, (DimExpr(0), DimExpr(2), add(mul(DimExpr(1), const(dim)), DimExpr(3))))
    q = turn(p.t, p.t.view(product, (b, heads, S, dim), at), product)
    made = p.add(ops.StateAppend(kv, k, v, positions, result_types=[kv.type])).result
    out = p.add(ops.Attention(q, made, positions, scale=scale, result_types=[tensor(b, S, heads, dim)])).result
    p.func.ret(out, made)
    p.func.outputs = ("out", "kv")
    p.func.sym_name = "prefill"
    module = Module.empty(stage="tir")
    load = p.load
    load.ret()
    module.add(load)
    module.add(p.func)
    return module


def rotated(t, q, product):
    turned = t.view(q, ops.tensor(q).shape, AffineMap(4, (*map(DimExpr, range(3)), mod(add(DimExpr(3), const(3)), 6))))
    return t.elementwise([q, turned], lambda e: e.binary(
        "sub", e.binary("mul", e.args[0], e.const(0.5, F32)),
        e.select(e.compare("lt", e.index(3), e.const(2, I64)), e.unary("neg", e.args[1]), e.args[1])))


@pytest.mark.parametrize("turn", [lambda t, q, product: q, rotated])
def test_the_scale_of_attention_moves_into_the_matrix_of_the_queries(turn):
    module = attention(turn)
    remarks = run(module, "canonicalise", "fold-weights", "canonicalise")
    (remark,) = [r for r in remarks if r.pass_name == "fold-weights"]
    assert remark.message == "the scale 0.375 of attention moved into the weight of the queries"
    (op,) = [o for o in module.functions["prefill"].block.ops if isinstance(o, ops.Attention)]
    assert op.scale == 1.0


def test_a_matrix_takes_the_weight_of_a_norm_and_the_scale_of_attention():
    def norm(p, x):
        rows = p.t.reduce("max", x, [2])
        inputs = [(x, AffineMap.identity(3)), (rows, AffineMap.select(3, [0, 1])),
                  (p.weight("g", 5), AffineMap.select(3, [2]))]
        return p.t.map(ops.tensor(x).shape, inputs,
                       lambda e: e.binary("mul", e.binary("mul", e.args[0], e.args[1]), e.args[2]))

    module = attention(rotated, norm=norm)
    remarks = run(module, "canonicalise", "fold-weights", "canonicalise")
    assert [r.kind for r in remarks if "moved" in r.message] == ["passed", "passed"]
    (op,) = [o for o in module.functions["prefill"].block.ops if isinstance(o, ops.Attention)]
    assert op.scale == 1.0


@pytest.mark.parametrize(("turn", "reason"), [
    (lambda t, q, product: t.elementwise([q], lambda e: e.unary("tanh", e.args[0])), "not depend linearly"),
    (lambda t, q, product: t.elementwise([q, q], lambda e: e.binary("mul", *e.args)), "not depend linearly"),
    (lambda t, q, product: t.elementwise([q], lambda e: e.binary("add", e.args[0], e.const(1.0, F32))), "not depend"),
    (lambda t, q, product: t.elementwise([q, t.elementwise([q], lambda e: e.unary("tanh", e.args[0]))],
                                         lambda e: e.binary("add", *e.args)), "not depend linearly"),
])  # fmt: skip
def test_a_scale_that_stays(turn, reason):
    module = attention(turn)
    remarks = run(module, "fold-weights", exact=True)
    assert reason in remarks[-1].reason


def test_a_scale_of_one_is_no_work():
    module = attention(lambda t, q, product: q, scale=1.0)
    assert run(module, "fold-weights", exact=True) == []
