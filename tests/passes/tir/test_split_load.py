from __future__ import annotations

import numpy as np

from irsql.dialects.tir import ops
from irsql.ir.affine import AffineMap
from irsql.ir.attributes import BF16, F32
from irsql.ir.core import Module
from irsql.ir.dims import symbol
from tests.passes.tir.common import counts, function, module_of, run, tensor

S = symbol("S")
DIMS = {"S": (0, 50)}
IDENTITY = AffineMap.identity(2)
SWAP = AffineMap.select(2, [1, 0])


def weight(t, name, *shape, dtype=F32):
    return t.builder.insert(ops.Parameter(parameter=name, result_types=[tensor(*shape, dtype=dtype)])).result


def add(t, x, w, amap=IDENTITY):
    return t.map(ops.tensor(x).shape, [(x, AffineMap.identity(2)), (w, amap)], lambda e: e.binary("add", *e.args))


def names(module, cls):
    return [o.store for o in module.walk() if isinstance(o, cls)]


def test_functions_share_what_is_stored_and_views_stay():
    module = Module.empty(stage="tir")

    def body(t, x):
        w = weight(t, "w", 4, 4, dtype=BF16)
        cast = t.elementwise([w], lambda e: e.cast(e.args[0], F32))
        return add(t, add(t, x, cast), t.view(cast, (4, 4), SWAP))

    for name in ("prefill", "decode"):
        function(module, name, [tensor(4, 4)], body)
    run(module, "split-load", exact=True)
    assert list(module.functions) == ["load", "prefill", "decode"]
    assert names(module, ops.Store) == ["w.map"]
    assert names(module, ops.Stored) == ["w.map", "w.map"]
    assert counts(module.functions["load"]) == {"tir.parameter": 1, "tir.map": 1, "tir.store": 1, "func.return": 1}
    assert counts(module.functions["decode"])["tir.map"] == 3


def test_names_and_constants():
    def build(t, x):
        a, b = weight(t, "a", 2, 4), weight(t, "b", 2, 4)
        ab = t.builder.insert(ops.Concat((a, b), axis=0, result_types=[tensor(4, 4)])).result
        ba = t.builder.insert(ops.Concat((a, a), axis=0, result_types=[tensor(4, 4)])).result
        small = t.constant(np.arange(4, dtype=np.float32), F32)
        large = t.constant(np.arange(16, dtype=np.float32).reshape(4, 4) ** 2, F32)
        wide = t.constant(np.arange(20, dtype=np.float32).reshape(4, 5), F32)
        y = add(t, add(t, add(t, x, ab), ba), small, AffineMap.select(2, [1]))
        return add(t, add(t, y, large), wide)

    module = module_of([tensor(4, 4)], build)
    run(module, "split-load", exact=True)
    assert names(module, ops.Store) == ["a.concat", "a.concat.2", "constant"]
    assert counts(module.functions["forward"])["tir.constant"] == 2


def test_what_depends_on_an_input_or_a_symbol_stays():
    def build(t, x):
        w = weight(t, "w", 4)
        wide = t.map((S, 4), [(w, AffineMap.select(2, [1]))], lambda e: e.unary("exp", e.args[0]))
        return add(t, x, wide)

    module = module_of([tensor(S, 4)], build, DIMS)
    run(module, "split-load", exact=True)
    assert names(module, ops.Store) == ["w"]
    assert counts(module.functions["forward"])["tir.map"] == 2


def test_a_second_run_changes_nothing_and_new_work_joins_the_load():
    module = module_of([tensor(4, 4)], lambda t, x: add(t, x, weight(t, "w", 4, 4)))
    run(module, "split-load", "split-load", exact=True)
    assert names(module, ops.Store) == ["w"]
    function(module, "other", [tensor(4, 4)],
             lambda t, x: add(t, add(t, x, weight(t, "w", 4, 4)), weight(t, "u", 4, 4)))
    run(module, "split-load", exact=True)
    assert names(module, ops.Store) == ["w", "u"]
    assert list(module.functions) == ["load", "forward", "other"]
