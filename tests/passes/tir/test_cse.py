from __future__ import annotations

from irsql.dialects.tir import ops
from tests.passes.tir.common import counts, module_of, run, tensor


def test_equal_maps_become_one_and_different_ones_stay():
    def build(t, x):
        a, b, c = (t.elementwise([x], lambda e, kind=kind: e.unary(kind, e.args[0])) for kind in ("exp", "exp", "neg"))
        return t.elementwise([a, b, c], lambda e: e.binary("add", e.binary("mul", e.args[0], e.args[1]), e.args[2]))

    module = module_of([tensor(3)], build)
    run(module, "cse", exact=True)
    func = module.functions["forward"]
    assert counts(func)["tir.map"] == 3
    last = func.block.ops[-2]
    assert isinstance(last, ops.Map)
    assert last.inputs[0] is last.inputs[1]
