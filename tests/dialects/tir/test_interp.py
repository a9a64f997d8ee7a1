from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from irsql.dialects.tir import interp as tir_interp
from irsql.dialects.tir import ops
from irsql.dialects.tir.build import Tensors
from irsql.dialects.tir.interp import KVState
from irsql.ir.affine import AffineMap, SymExpr, add, const, dim, floordiv, mod, mul
from irsql.ir.attributes import F32, I1, I64, TensorType
from irsql.ir.core import Builder, Func, IRError, Module
from irsql.ir.dims import symbol
from irsql.ir.interp import Interpreter

RNG = np.random.default_rng(0)


def run(inputs, build, *args, symbols=None, **kwargs) -> Any:
    """The results of a function with these argument types whose body is built by ``build(tensors, *arguments)``."""
    func = Func.build("f", [(f"a{i}", t) for i, t in enumerate(inputs)])
    out = build(Tensors(Builder(func.block)), *func.block.args)
    func.ret(*(out if isinstance(out, tuple) else (out,)))
    module = Module.empty(stage="tir")
    module.add(func)
    results = Interpreter(module, symbols=symbols, **kwargs).run("f", args)
    return results if isinstance(out, tuple) else results[0]


def t(*shape, dtype=F32):
    return TensorType(shape, dtype)


def rand(*shape):
    return RNG.standard_normal(shape).astype(np.float32)


@pytest.mark.parametrize(("shape", "results", "want"), [
    ((3, 4), (dim(1), dim(0)), lambda x: x.T),
    ((3, 2, 4), (dim(2), dim(0)), lambda x: np.broadcast_to(x.T[:, None, :], (3, 2, 4))),
    ((2, 2), (add(mul(dim(0), const(2)), const(1)), dim(1)), lambda x: x[1::2, :2][:2]),
    ((4, 3), (add(mul(dim(0), const(-1)), const(3)), dim(1)), lambda x: x[::-1]),
    ((12,), (floordiv(dim(0), 3), mod(dim(0), 3)), lambda x: x.ravel()),
    ((3,), (dim(0), dim(0)), lambda x: np.diagonal(x)),
    ((2,), (SymExpr("K"), dim(0)), lambda x: x[2, :2]),
])
def test_views(shape, results, want):
    x = rand(4, 3)
    got = run([t(4, 3)], lambda b, a: b.view(a, shape, AffineMap(len(shape), results)), x, symbols={"K": 2})
    np.testing.assert_array_equal(got, want(x))


def test_a_map_that_leaves_its_tensor_is_an_error():
    with pytest.raises(IRError, match="reads coordinates 1 to 4 of an axis of 4"):
        run([t(4)], lambda b, a: b.view(a, (4,), AffineMap(1, (add(dim(0), const(1)),))), rand(4))
    with pytest.raises(IRError, match="reads coordinates -1 to"):
        run([t(4)], lambda b, a: b.view(a, (8,), AffineMap(1, (add(floordiv(dim(0), 2), const(-1)),))), rand(4))


def contract(maps, bounds, shape):
    return lambda b, x, y: b.builder.insert(ops.Contract(x, y, maps=maps, bounds=bounds,
                                                         result_types=[t(*shape)])).result


@pytest.mark.parametrize("spec", ["ij,jk->ik", "ij,kj->ki", "bij,bjk->bik", "ij,ij->", "bi,bj->ijb", "ik,j->ij",
                                  "i,j->ji", "bhid,bhjd->bihj"])
@pytest.mark.parametrize("sizes", [(2, 3, 4, 5, 6, 7), (1, 0, 2, 1, 3, 2)])
def test_contractions_are_einsum(spec, sizes):
    letters = sorted(set(spec) - set(",->"))
    extent = dict(zip(letters, sizes, strict=False))
    terms = spec.replace("->", ",").split(",")
    maps = tuple(AffineMap.select(len(letters), [letters.index(c) for c in term]) for term in terms)
    shapes = [tuple(extent[c] for c in term) for term in terms]
    x, y = rand(*shapes[0]), rand(*shapes[1])
    got = run([t(*shapes[0]), t(*shapes[1])], contract(maps, tuple(extent[c] for c in letters), shapes[2]), x, y)
    np.testing.assert_allclose(got, np.einsum(spec, x, y), rtol=1e-5, atol=1e-5)


def test_a_loop_dim_that_nothing_reads_repeats_the_sum():
    maps = (AffineMap.select(3, [0]), AffineMap.select(3, [1]), AffineMap.select(3, [0]))
    x, y = rand(4), rand(3)
    got = run([t(4), t(3)], contract(maps, (4, 3, 5), (4,)), x, y)
    np.testing.assert_allclose(got, x * y.sum() * 5, rtol=1e-5)


@pytest.mark.parametrize("limit", [2**25, 7])
def test_convolution_is_a_contraction(monkeypatch, limit):
    monkeypatch.setattr(tir_interp, "CHUNK_ELEMENTS", limit)
    x, w = rand(2, 3, 8, 7), rand(4, 3, 3, 2)
    d = [dim(i) for i in range(7)]  # n, o, y, x, c, ky, kx
    maps = (AffineMap(7, (d[0], d[4], add(mul(d[2], const(2)), d[5]), add(d[3], d[6]))),
            AffineMap(7, (d[1], d[4], d[5], d[6])), AffineMap.select(7, [0, 1, 2, 3]))
    got = run([t(2, 3, 8, 7), t(4, 3, 3, 2)], contract(maps, (2, 4, 3, 6, 3, 3, 2), (2, 4, 3, 6)), x, w)
    want = F.conv2d(torch.from_numpy(x), torch.from_numpy(w), stride=(2, 1))
    np.testing.assert_allclose(got, want.numpy(), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("kind", ["sum", "max", "min", "prod", "argmax", "argmin"])
def test_reductions(kind: str) -> None:
    x = np.round(rand(3, 5, 2) * 2)
    got = run([t(3, 5, 2)], lambda b, a: b.reduce(kind, a, [1]), x)
    name = {"max": "amax", "min": "amin"}.get(kind, kind)
    want = getattr(torch, name)(torch.from_numpy(x), dim=1).numpy()
    np.testing.assert_allclose(got, want, rtol=1e-6)
    assert got.dtype == (np.int64 if kind.startswith("arg") else np.float32)


def test_reductions_of_nothing_and_of_nan():
    assert run([t(0, 3)], lambda b, a: b.reduce("sum", a, [0]), rand(0, 3)).tolist() == [0, 0, 0]
    assert run([t(0, 3)], lambda b, a: b.reduce("argmax", a, [1]), rand(0, 3)).shape == (0,)
    assert np.isnan(run([t(2)], lambda b, a: b.reduce("max", a, [0]), np.array([1, np.nan], dtype=np.float32)))
    bools = np.array([[True, False], [True, True]])
    assert run([t(2, 2, dtype=I1)], lambda b, a: b.reduce("all", a, [1]), bools).tolist() == [False, True]
    assert run([t(2, 2, dtype=I1)], lambda b, a: b.reduce("any", a, [0]), bools).tolist() == [True, True]


def test_gather_scan_topk_concat_iota():
    table, ids = rand(6, 3), np.array([[5, 0], [2, 2]])

    def gather(b, a, i):
        return b.builder.insert(ops.Gather(a, (i,), axes=(0,), data_map=AffineMap(3, (const(0), dim(2))),
                                           index_maps=(AffineMap.select(3, [0, 1]),), result_types=[t(2, 2, 3)])).result

    np.testing.assert_array_equal(run([t(6, 3), t(2, 2, dtype=I64)], gather, table, ids), table[ids])
    with pytest.raises(IRError, match="index 6 is outside axis 0 of size 6"):
        run([t(6, 3), t(2, 2, dtype=I64)], gather, table, ids + 1)
    np.testing.assert_array_equal(run([t(6, 3)], lambda b, a: b.scan(a, 0), table), np.cumsum(table, 0))
    x = np.array([[1, 3, 3, np.nan, 2], [0, 0, -1, 5, 5]], dtype=np.float32)
    largest = run([t(2, 5)], lambda b, a: tuple(b.builder.insert(
        ops.TopK(a, k=3, result_types=[t(2, 3), t(2, 3, dtype=I64)])).results), x)
    np.testing.assert_array_equal(largest[1], [[3, 1, 2], [3, 4, 0]])
    np.testing.assert_array_equal(largest[0], [[np.nan, 3, 3], [5, 5, 0]])
    smallest = run([t(4, dtype=I64)], lambda b, a: tuple(b.builder.insert(
        ops.TopK(a, k=2, largest=False, result_types=[t(2, dtype=I64), t(2, dtype=I64)])).results),
        np.array([3, -2**63, 3, 1]))
    np.testing.assert_array_equal(smallest[1], [1, 3])
    joined = run([t(2, 3), t(4, 3)], lambda b, x, y: b.builder.insert(
        ops.Concat((x, y), axis=0, result_types=[t(6, 3)])).result, table[:2], table[2:])
    np.testing.assert_array_equal(joined, table)
    iota = run([], lambda b: b.builder.insert(
        ops.Iota(start=3, step=-2, result_types=[t(symbol("N"), dtype=I64)])).result, symbols={"N": 3})
    np.testing.assert_array_equal(iota, [3, 1, -1])


def test_parameters_and_stores():
    w = rand(2, 2)

    def body(b):
        p = b.builder.insert(ops.Parameter(parameter="w", result_types=[t(2, 2)])).result
        b.builder.insert(ops.Store(p, store="s"))
        return b.builder.insert(ops.Stored(store="s", result_types=[t(2, 2)])).result

    stored: dict[str, np.ndarray] = {}
    np.testing.assert_array_equal(run([], body, parameters={"w": w}, stored=stored), w)
    assert list(stored) == ["s"]
    with pytest.raises(IRError, match="no tensor 'w'"):
        run([], body)
    with pytest.raises(IRError, match=r"has shape \(3,\)"):
        run([], body, parameters={"w": rand(3)})


def composite(cls, *operands, shape, **attributes):
    return cls(*operands, result_types=[t(*shape)], **attributes)


def test_norms_softmax_and_rope_are_pytorchs():
    x, w, bias = rand(2, 3, 8), rand(8), rand(8)
    tx, tw, tb = map(torch.from_numpy, (x, w, bias))
    rms = run([t(2, 3, 8), t(8)], lambda b, *a: b.builder.insert(
        composite(ops.RmsNorm, *a, shape=(2, 3, 8), eps=1e-5)).result, x, w)
    np.testing.assert_allclose(rms, F.rms_norm(tx, (8,), tw, eps=1e-5).numpy(), rtol=1e-5)
    norm = run([t(2, 3, 8), t(8), t(8)], lambda b, a, *p: b.builder.insert(
        composite(ops.LayerNorm, a, p, shape=(2, 3, 8), eps=1e-5)).result, x, w, bias)
    np.testing.assert_allclose(norm, F.layer_norm(tx, (8,), tw, tb, eps=1e-5).numpy(), rtol=1e-4, atol=1e-6)
    soft = run([t(2, 3, 8)], lambda b, a: b.builder.insert(
        composite(ops.Softmax, a, shape=(2, 3, 8), axis=1)).result, x * 50)
    np.testing.assert_allclose(soft, F.softmax(tx * 50, dim=1).numpy(), rtol=1e-5)
    q, cos, sin = rand(2, 4, 3, 8), rand(2, 3, 8), rand(2, 3, 8)
    rope = run([t(2, 4, 3, 8), t(2, 3, 8), t(2, 3, 8)], lambda b, *a: b.builder.insert(
        composite(ops.Rope, *a, shape=(2, 4, 3, 8))).result, q, cos, sin)
    half = np.concatenate([-q[..., 4:], q[..., :4]], -1)
    np.testing.assert_allclose(rope, q * cos[:, None] + half * sin[:, None], rtol=1e-6)


STATE = ops.StateType("kv", 2, 4, 3, F32)


@pytest.mark.parametrize("window", [0, 2])
def test_attention_over_a_ragged_state_is_pytorchs(window):
    def step(b, q, k, v, pos, state):
        new = b.builder.insert(ops.StateAppend(state, k, v, pos, result_types=[STATE])).result
        out = b.builder.insert(ops.Attention(q, new, pos, scale=0.5, window=window,
                                             result_types=[t(2, symbol("S"), 6, 3)])).result
        return out, new

    s = symbol("S")
    types = [t(2, 6, s, 4), t(2, 2, s, 4), t(2, 2, s, 3), t(2, s, dtype=I64), STATE]
    q, k, v = rand(2, 6, 5, 4), rand(2, 2, 5, 4), rand(2, 2, 5, 3)
    state, outs = KVState.empty(STATE), []
    for a, b in ((0, 3), (3, 5)):
        pos = np.broadcast_to(np.arange(a, b), (2, b - a))
        out, state = run(types, step, q[:, :, a:b], k[:, :, a:b], v[:, :, a:b], pos, state, symbols={"S": b - a})
        outs.append(out)
    i = torch.arange(5)
    mask = i[:, None] >= i[None, :]
    if window:
        mask &= i[None, :] > i[:, None] - window
    tq, tk, tv = (torch.from_numpy(x) for x in (q, k, v))
    want = F.scaled_dot_product_attention(tq, tk, tv, attn_mask=mask, scale=0.5, enable_gqa=True)
    np.testing.assert_allclose(np.concatenate(outs, 1), want.transpose(1, 2).numpy(), rtol=1e-4, atol=1e-6)
    with pytest.raises(IRError, match="two rows at position 3"):
        run(types, step, q[:, :, 3:], k[:, :, 3:], v[:, :, 3:], pos, state, symbols={"S": 2})


def test_a_dense_read_of_a_state():
    state = KVState.empty(STATE).append(np.zeros(3, np.int64), np.array([2, 0, 1]), rand(3, 2, 4), rand(3, 2, 3))
    got = run([STATE], lambda b, s: b.builder.insert(
        ops.StateRead(s, field="v", result_types=[t(1, 2, symbol("P"), 3)])).result, state, symbols={"P": 3})
    np.testing.assert_array_equal(got[0], state.v[[1, 2, 0]].transpose(1, 0, 2))
    gap = KVState.empty(STATE).append(np.zeros(1, np.int64), np.array([1]), rand(1, 2, 4), rand(1, 2, 3))
    with pytest.raises(IRError, match="positions 0, 1"):
        run([STATE], lambda b, s: b.builder.insert(
            ops.StateRead(s, field="v", result_types=[t(1, 2, 1, 3)])).result, gap)
