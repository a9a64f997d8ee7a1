from __future__ import annotations

from irsql.dialects.tir import ops
from tests.passes.tir.common import counts, module_of, run, tensor


def test_a_chain_nobody_uses_goes_and_a_store_stays():
    def build(t, x):
        dead = t.elementwise([x], lambda e: e.unary("exp", e.args[0]))
        t.reduce("sum", dead, [0])
        kept = t.elementwise([x], lambda e: e.unary("neg", e.args[0]))
        t.builder.insert(ops.Store(kept, store="s"))
        return x

    module = module_of([tensor(3)], build)
    run(module, "dce", exact=True)
    assert counts(module.functions["forward"]) == {"tir.map": 1, "tir.store": 1, "func.return": 1}
