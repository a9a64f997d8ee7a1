from __future__ import annotations

import numpy as np
import pytest

from irsql.dialects.tir import ops
from irsql.dialects.tir.build import Tensors
from irsql.ir import semantics
from irsql.ir.affine import AffineMap, add, const, dim, floordiv, mod, mul
from irsql.ir.attributes import F32, I64, TensorType
from irsql.ir.core import ArgInfo, Builder, Func, Module
from irsql.ir.dims import symbol
from irsql.ir.pipeline import PassFailure, run_passes
from irsql.ir.verifier import verify
from irsql.passes.tir.shrink import Shrink, elements

HEADS, GROUPS, LENGTH, VOCAB = 32, 8, 128, 1000
WIDE = HEADS * LENGTH


def heads() -> Module:
    """Embedding, projections into query and key heads, rotated halves, and scores of grouped heads."""
    s = symbol("S")
    func = Func.build("forward", [("ids", TensorType((s,), I64))], dims={"S": (0, 64)},
                      args=[ArgInfo(domain="range", high=VOCAB)])
    b = Builder(func.block)
    t = Tensors(b)

    def parameter(name: str, *shape: int) -> ops.Parameter:
        return b.insert(ops.Parameter(parameter=name, result_types=[TensorType(shape, F32)]))

    table = parameter("embed", VOCAB, WIDE).result
    d0, d1, d2 = dim(0), dim(1), dim(2)
    x = b.insert(ops.Gather(table, (func.block.args[0],), axes=(0,), data_map=AffineMap(2, (const(0), d1)),
                            index_maps=(AffineMap(2, (d0,)),), result_types=[TensorType((s, WIDE), F32)])).result
    projected = []
    for name, count in (("q", HEADS), ("k", GROUPS)):
        wide = count * LENGTH
        y = b.insert(ops.Contract(x, parameter(name, wide, WIDE).result, bounds=(s, wide, WIDE),
                                  maps=(AffineMap(3, (d0, d2)), AffineMap(3, (d1, d2)), AffineMap(3, (d0, d1))),
                                  result_types=[TensorType((s, wide), F32)])).result
        split = t.view(y, (count, s, LENGTH), AffineMap(3, (d1, add(mul(d0, const(LENGTH)), d2))))
        half = LENGTH // 2
        lower = t.view(split, (count, s, half), AffineMap(3, (d0, d1, add(d2, const(half)))))
        upper = t.view(split, (count, s, half), AffineMap.identity(3))
        projected.append(b.insert(ops.Concat((lower, upper), axis=2, result_types=[split.type])).result)
    q, k = projected
    maps = (AffineMap(4, (d0, d1, dim(3))), AffineMap(4, (floordiv(d0, HEADS // GROUPS), d2, dim(3))),
            AffineMap(4, (d0, d1, d2)))
    scores = b.insert(ops.Contract(q, k, bounds=(HEADS, s, s, LENGTH), maps=maps,
                                   result_types=[TensorType((HEADS, s, s), F32)])).result
    flat = t.view(q, (s, WIDE), AffineMap(2, (floordiv(d1, LENGTH), d0, mod(d1, LENGTH))))
    func.ret(scores, flat)
    module = Module.empty(stage="tir")
    module.add(func)
    return module


def test_heads_shrink_consistently() -> None:
    module = heads()
    verify(module)
    before = elements(module, {})
    (run,) = run_passes(module, Shrink(max_elements=3000))
    verify(module)
    assert before > 10_000_000
    assert elements(module, {}) <= 3000
    types = semantics.parameter_types(module, semantics.Adapter())
    vocab, wide = types["embed"].shape
    assert types["q"].shape == (wide, wide)
    narrow = types["k"].shape[0]
    assert (vocab, wide) != (VOCAB, WIDE)
    assert isinstance(wide, int)
    assert isinstance(narrow, int)
    assert wide // narrow == HEADS // GROUPS
    (outcome,) = semantics.execute(module, semantics.Trial({"S": 3}, 0))
    scores, flat = (np.asarray(r) for r in outcome.results)
    assert scores.shape[1:] == (3, 3)
    assert flat.shape == (3, wide)
    assert np.abs(flat).min() > 0  # every element comes from somewhere
    (remark,) = run.ctx.remarks
    assert (remark.kind, f"{VOCAB} -> {vocab}" in remark.reason) == ("passed", True)


def test_all_but_the_last_stays_all_but_the_last() -> None:
    module = Module.empty(stage="tir")
    func = module.add(Func.build("forward", []))
    b = Builder(func.block)
    weight = b.insert(ops.Parameter(parameter="w", result_types=[TensorType((5000, 3), F32)])).result
    func.ret(Tensors(b).view(weight, (4999, 3), AffineMap.identity(2)))
    run_passes(module, Shrink(max_elements=1000))
    (outcome,) = semantics.execute(module, semantics.Trial({}, 0))
    rows = semantics.parameter_types(module, semantics.Adapter())["w"].shape[0]
    assert isinstance(rows, int)
    assert rows < 334
    assert np.asarray(outcome.results[0]).shape == (rows - 1, 3)


def test_small_modules_stay() -> None:
    module = heads()
    (run,) = run_passes(module, Shrink(max_elements=10**9))
    assert elements(module, {}) == elements(heads(), {})
    assert run.ctx.remarks[0].kind == "missed"


def test_what_cannot_shrink_is_said() -> None:
    module = Module.empty(stage="tir")
    func = module.add(Func.build("forward", []))
    weight = func.block.append(ops.Parameter(parameter="w", result_types=[TensorType((7, 7), F32)]))
    func.ret(weight.result)
    with pytest.raises(PassFailure, match="no smaller twin"):
        run_passes(module, Shrink(max_elements=10))
