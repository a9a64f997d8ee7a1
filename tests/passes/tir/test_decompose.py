from __future__ import annotations

from typing import Any

import pytest

from irsql.dialects.tir import ops
from irsql.dialects.tir.sampling import build_sample
from irsql.ir import semantics
from irsql.ir.attributes import F32, I64, TensorType
from irsql.ir.core import IRError, Module
from irsql.ir.dims import symbol
from irsql.ir.pipeline import run_passes
from tests.passes.tir.common import counts, module_of, outcomes, run, tensor

S = symbol("S")
DIMS = {"S": (0, 50)}
CORE = {"tir.map", "tir.contract", "tir.reduce", "tir.constant", "func.return"}


@pytest.mark.parametrize(("cls", "inputs", "options"), [
    (ops.Softmax, [(S, 5)], {"axis": 1}),
    (ops.Softmax, [(3, S, 2)], {"axis": -1}),
    (ops.RmsNorm, [(2, S, 6), (6,)], {"eps": 1e-5}),
    (ops.LayerNorm, [(S, 7)], {"eps": 1e-5}),
    (ops.LayerNorm, [(S, 7), (7,)], {"eps": 1e-5}),
    (ops.LayerNorm, [(2, S, 7), (7,), (7,)], {"eps": 1e-3}),
    (ops.Rope, [(2, 3, S, 6), (2, S, 6), (2, S, 6)], {}),
])
def test_composites_become_core_ops_of_equal_value(cls, inputs, options):
    def build(t, *args):
        operands: Any = (args[0], args[1:]) if cls is ops.LayerNorm else args
        return t.builder.insert(cls(*operands, result_types=[tensor(*inputs[0])], **options)).result

    module = module_of([tensor(*shape) for shape in inputs], build, DIMS)
    run(module, "decompose")
    assert set(counts(module.functions["forward"])) <= CORE


@pytest.mark.parametrize("n", [0, 1, 2, 3, 7, 8])
@pytest.mark.parametrize("dtype", [F32, I64])
def test_a_product_of_any_static_length(n, dtype):
    module = module_of([TensorType((S, n, 2), dtype)], lambda t, x: t.reduce("prod", x, [1]), DIMS)
    run(module, "decompose")
    assert set(counts(module.functions["forward"])) == {"tir.map", "func.return"}


def test_a_product_over_two_axes():
    module = module_of([tensor(3, S, 5)], lambda t, x: t.reduce("prod", x, [0, 2]), DIMS)
    run(module, "decompose")
    assert "tir.reduce" not in counts(module.functions["forward"])


def test_a_product_of_symbolic_length_stays():
    module = module_of([tensor(S, 2)], lambda t, x: t.reduce("prod", x, [0]), DIMS)
    run(module, "decompose", exact=True)
    assert counts(module.functions["forward"])["tir.reduce"] == 1


def test_the_draw_is_exactly_the_same_after_expansion_and_after_fusion():
    module = Module.empty(stage="tir")
    module.add(build_sample(11, {"B": (0, 50)}))
    before = outcomes(module)
    run(module, "decompose", "canonicalise", "cse", "fuse-elementwise", exact=True)
    assert semantics.compare(outcomes(module), before, 0.0) == []
    number = counts(module.functions["sample"])
    assert "tir.uniform" not in number
    assert number["tir.map"] < 20


def test_what_is_kept_stays_whole():
    def build(t, x):
        return t.builder.insert(ops.Softmax(x, axis=0, result_types=[x.type])).result

    module = module_of([tensor(4)], build)
    run(module, "decompose{keep=softmax}", exact=True)
    assert counts(module.functions["forward"])["tir.softmax"] == 1


def test_an_unknown_composite_is_an_error():
    with pytest.raises(IRError, match="cannot keep conv; it knows attention, rms_norm"):
        run_passes(Module.empty(stage="tir"), "decompose{keep=conv}")
