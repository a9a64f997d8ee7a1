from __future__ import annotations

from irsql.ir.affine import AffineMap
from irsql.ir.dims import symbol
from tests.passes.tir.common import counts, module_of, run, tensor

S = symbol("S")
DIMS = {"S": (0, 50)}


def unary(t, kind, x):
    return t.elementwise([x], lambda e: e.unary(kind, e.args[0]))


def maps_after(build, inputs, spec="fuse-elementwise"):
    module = module_of(inputs, build, DIMS)
    remarks = run(module, spec, exact=True)
    return counts(module.functions["forward"])["tir.map"], remarks


def test_a_chain_becomes_one_map():
    def build(t, x, y):
        gate = t.elementwise([x], lambda e: e.binary("div", e.args[0], e.unary("exp", e.args[0])))
        return t.elementwise([unary(t, "tanh", gate), y], lambda e: e.binary("mul", *e.args))

    number, remarks = maps_after(build, [tensor(S, 3), tensor(S, 3)])
    assert number == 1
    assert [r.message for r in remarks] == ["@forward: 2 of 3 maps moved into their readers"]


def test_a_transposed_producer_is_read_through_its_map():
    def build(t, x, y):
        return t.map((3, S), [(unary(t, "exp", x), AffineMap.select(2, [1, 0])), (y, AffineMap.identity(2))],
                     lambda e: e.binary("sub", *e.args))

    assert maps_after(build, [tensor(S, 3), tensor(3, S)])[0] == 1


def test_an_expensive_value_is_not_computed_again_for_every_column():
    def build(t, x, scale):
        return t.map((S, 3), [(x, AffineMap.identity(2)), (unary(t, "rsqrt", scale), AffineMap.select(2, [0]))],
                     lambda e: e.binary("mul", *e.args))

    number, remarks = maps_after(build, [tensor(S, 3), tensor(S)])
    assert number == 2
    assert "not cheap to repeat" in remarks[0].reason


def test_a_cheap_value_is():
    def build(t, x, shift):
        return t.map((S, 3), [(x, AffineMap.identity(2)), (unary(t, "neg", shift), AffineMap.select(2, [0]))],
                     lambda e: e.binary("mul", *e.args))

    assert maps_after(build, [tensor(S, 3), tensor(S)])[0] == 1


def test_an_expensive_value_with_two_users_stays_and_a_result_stays():
    def build(t, x):
        shared = unary(t, "exp", x)
        return unary(t, "neg", shared), unary(t, "abs", shared)

    assert maps_after(build, [tensor(S)])[0] == 3


def test_a_cheap_value_of_two_inputs_with_two_users_stays_so_that_it_is_joined_once():
    def build(t, x, y):
        residual = t.elementwise([x, y], lambda e: e.binary("add", *e.args))
        return unary(t, "exp", residual), unary(t, "abs", residual)

    number, remarks = maps_after(build, [tensor(S), tensor(S)])
    assert number == 3
    assert "each would join its inputs" in remarks[0].reason


def test_limits():
    def chain(t, x):
        for _ in range(6):  # each square repeats its argument in the text: 1, 3, 7, 15 … operations
            x = t.elementwise([x], lambda e: e.binary("mul", e.args[0], e.args[0]))
        return x

    assert maps_after(chain, [tensor(S)], "fuse-elementwise{max-ops=7}")[0] == 2
    assert maps_after(chain, [tensor(S)], "fuse-elementwise{max-ops=1}")[0] == 6

    def wide(t, a, b, c):
        product = t.elementwise([a, b], lambda e: e.binary("mul", *e.args))
        return t.elementwise([product, c], lambda e: e.binary("mul", *e.args))

    assert maps_after(wide, [tensor(S)] * 3, "fuse-elementwise{max-inputs=2}")[0] == 2
    assert maps_after(wide, [tensor(S)] * 3, "fuse-elementwise{max-inputs=3}")[0] == 1
