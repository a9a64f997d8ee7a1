from __future__ import annotations

import numpy as np

from irsql.dialects.tir import ops
from irsql.ir.affine import AffineMap
from irsql.ir.attributes import F32, I64
from irsql.ir.dims import symbol
from tests.passes.tir.common import counts, module_of, run, tensor


def table(t, n):
    """cos(i · f_j) as a model writes it, [n, 3]."""
    frequencies = t.constant(np.array([1.0, 0.1, 0.01], dtype=np.float32), F32)
    positions = t.builder.insert(ops.Iota(result_types=[tensor(n, dtype=I64)])).result
    angles = t.map((n, 3), [(positions, AffineMap.select(2, [0])), (frequencies, AffineMap.select(2, [1]))],
                   lambda e: e.binary("mul", e.cast(e.args[0], F32), e.args[1]))
    return t.elementwise([angles], lambda e: e.unary("cos", e.args[0]))


def test_a_static_table_is_computed_and_a_symbolic_one_is_not():
    def build(t, x):
        return t.elementwise([x, table(t, 5)], lambda e: e.binary("mul", *e.args)), table(t, symbol("S"))

    module = module_of([tensor(5, 3)], build, {"S": (0, 9)})
    run(module, "fold-constants", "dce", exact=True)
    assert counts(module.functions["forward"]) == {"tir.constant": 2, "tir.iota": 1, "tir.map": 3, "func.return": 1}


def test_the_limit_is_respected_and_said():
    module = module_of([], lambda t: table(t, 5))
    remarks = run(module, "fold-constants{max-elements=14}", exact=True)
    assert counts(module.functions["forward"])["tir.map"] == 2
    assert "max-elements=14" in remarks[0].reason
