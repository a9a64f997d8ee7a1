from __future__ import annotations

import numpy as np
import pytest

from irsql.dialects.tir import ops
from irsql.dialects.tir.build import Tensors
from irsql.ir import semantics
from irsql.ir.attributes import F32, I64, ScalarType, TensorType
from irsql.ir.core import ArgInfo, Builder, Func, IRError, Module
from irsql.ir.dims import symbol
from tests.ir.samples import softmax


@pytest.mark.parametrize(("got", "want", "words"), [
    ([1.0, 2.0], [1.0, 2.0001], None),
    ([1.0, 2.0], [1.0, 2.001], "error 0.0005 in row []"),
    ([[1e-9, 0], [1, 1]], [[0.0, 0], [1, 1]], "in row [0]"),  # a row is measured by its own size
    ([[1e-9, 1], [1, 1]], [[0.0, 1], [1, 1]], None),
    ([np.nan, np.inf, -np.inf], [np.nan, np.inf, -np.inf], None),
    ([1.0, 2.0], [np.nan, 2.0], "1.0 instead of nan at [0]"),
    ([np.inf], [-np.inf], "inf instead of -inf"),
    ([np.nan], [1.0], "nan instead of 1.0"),
    ([1.0], [[1.0]], "shape (1,) instead of (1, 1)"),
    (np.zeros((0, 3)), np.zeros((0, 3)), None),
    (3.0, 3.0, None),
    (3.0, 3.1, "error"),
    (np.array([1, 2, 4]), np.array([1, 2, 3]), "1 of 3 integers differ, first at [2]: 4 instead of 3"),
    (np.array([10**9]), np.array([10**9 + 1]), "1 of 1 integers"),
])
def test_difference(got: object, want: object, words: str | None) -> None:
    text = semantics.difference(np.asarray(got), np.asarray(want))
    assert (text is None) if words is None else (text is not None and words in text)


def test_trials_stay_in_range_and_cover_the_edges() -> None:
    module = Module.empty(stage="tir")
    for name, dims in (("a", {"B": (0, 16), "S": (1, 4)}), ("b", {"B": (0, 16), "P": (0, 99)})):
        module.add(Func.build(name, [], dims=dims)).ret()
    found = [t.symbols for t in semantics.trials(module, count=9)]
    assert all(0 <= t["B"] <= 16 and 1 <= t["S"] <= 4 and "P" not in t for t in found)
    assert {0, 1, 5, 7} <= {t["B"] for t in found}
    assert {1, 3} <= {t["S"] for t in found}
    assert len({tuple(t.items()) for t in found}) == len(found)
    assert any(t["B"] != t["S"] for t in found)
    assert len(semantics.trials(module, count=2)) == 2


def test_static_module_has_one_trial() -> None:
    assert [str(t) for t in semantics.trials(Module.empty())] == ["the static sizes"]


def test_parameters_depend_on_name_and_seed_only_and_are_scaled() -> None:
    a = semantics.draw_parameter("w", (64, 256), F32.numpy)
    assert np.array_equal(a, semantics.draw_parameter("w", (64, 256), F32.numpy))
    assert not np.array_equal(a, semantics.draw_parameter("v", (64, 256), F32.numpy))
    assert not np.array_equal(a, semantics.draw_parameter("w", (64, 256), F32.numpy, seed=1))
    assert a.dtype == np.float32
    assert abs(float(a.std()) * 16 - 1) < 0.05
    assert abs(float(semantics.draw_parameter("g", (999,), F32.numpy).mean()) - 1) < 0.05


def test_parameters_are_drawn_when_read() -> None:
    types = {"w": TensorType((2, 3), F32), "huge": TensorType((10**7, 10**7), F32)}
    given = np.ones((2, 3), np.float32)
    parameters = semantics.Parameters(types, {"w": given}, 0)
    assert parameters["w"] is given
    assert sorted(parameters) == ["huge", "w"]


@pytest.mark.parametrize(("info", "want"), [
    (ArgInfo(domain="positions", low=2), [[5, 6, 7], [8, 9, 10]]),
    (ArgInfo(domain="range", low=4, high=5), [[4, 4, 4]] * 2),
])
def test_arguments_come_from_their_domain(info: ArgInfo, want: list[list[int]]) -> None:
    type_ = TensorType((symbol("B"), symbol("S")), I64)
    got = semantics.draw_argument(info, type_, {"B": 2, "S": 3}, np.random.default_rng(0), past=3)
    assert got.tolist() == want
    assert got.dtype == np.int64


def test_domains_that_are_drawn() -> None:
    def draw(info: ArgInfo, dtype: ScalarType) -> list[float]:
        return semantics.draw_argument(info, TensorType((300,), dtype), {"S": 3}, np.random.default_rng(0)).tolist()

    assert set(draw(ArgInfo(domain="last", of="S"), I64)) == {0, 1, 2}
    assert set(draw(ArgInfo(domain="range", low=1, high=4), I64)) == {1, 2, 3}
    heat = draw(ArgInfo(domain="interval", low=0, high=3), F32)
    assert {0.0, 1.0, 2.0} < set(heat)
    assert len({x for x in heat if x % 1}) > 100
    assert all(0 <= x < 3 for x in heat)


def test_mask_and_unknown_domains() -> None:
    rng = np.random.default_rng(0)
    mask = semantics.draw_argument(ArgInfo(domain="mask"), TensorType((100,), F32), {}, rng)
    assert set(mask.tolist()) == {0.0, 1.0}
    with pytest.raises(IRError, match="unknown value domain 'odd'"):
        semantics.draw_argument(ArgInfo(domain="odd"), TensorType((), F32), {}, rng)


def test_execute_equals_numpy() -> None:
    module = softmax()
    weight = np.random.default_rng(1).standard_normal((4, 4)).astype(np.float32)
    trial = semantics.Trial({"B": 3}, seed=0)
    (outcome,) = semantics.execute(module, trial, {"w": weight})
    assert outcome.call == "@forward"
    (got,) = outcome.results
    other, = semantics.execute(module, trial, {"w": weight})[0].results
    assert isinstance(got, np.ndarray)
    assert isinstance(other, np.ndarray)
    assert got.shape == (3, 4)
    assert np.allclose(got.sum(axis=1), 1)
    assert np.array_equal(got, other)
    drawn_otherwise = semantics.execute(module, semantics.Trial({"B": 3}, 1), {"w": weight})[0].results[0]
    assert isinstance(drawn_otherwise, np.ndarray)
    assert not np.array_equal(got, drawn_otherwise)


def with_state() -> Module:
    """One function that appends its input to a state and gives the number of rows before as a dense read."""
    state = ops.StateType("kv.0", 1, 2, 2, F32)
    b, s = symbol("B"), symbol("S")
    func = Func.build("step", [("x", TensorType((b, 1, s, 2), F32)), ("positions", TensorType((b, s), I64)),
                               ("kv.0", state)],
                      dims={"B": (1, 1), "S": (1, 8), "P": (0, 64)}, outputs=("past", "kv.0"),
                      args=(ArgInfo(), ArgInfo(domain="positions"), ArgInfo(role="state")))
    x, positions, kv = func.block.args
    read = func.block.append(ops.StateRead(kv, field="k", result_types=[TensorType((1, 1, symbol("P"), 2), F32)]))
    new = func.block.append(ops.StateAppend(kv, x, x, positions, result_types=[state]))
    func.ret(read.result, new.result)
    module = Module.empty(stage="tir")
    module.add(func)
    return module


def test_states_go_from_call_to_call() -> None:
    outcomes = semantics.execute(with_state(), semantics.Trial({"B": 1, "S": 5}, 0))
    assert [o.call for o in outcomes] == ["@step", "@step, call 2", "@step, call 3"]
    assert outcomes[0].names == ("past", "kv.0.k", "kv.0.v")
    pasts = [np.asarray(o.results[0]).shape[2] for o in outcomes]
    assert pasts == [0, 5, 6]
    last = outcomes[-1].results[1]
    assert isinstance(last, dict)
    assert last["pos"].tolist() == [0, 1, 2, 3, 4, 5, 6]
    assert np.array_equal(last["data"][:6, 0], np.asarray(outcomes[2].results[0])[0, 0])


def test_compare_looks_into_states() -> None:
    module, trial = with_state(), semantics.Trial({"B": 1, "S": 2}, 0)
    want, got = semantics.execute(module, trial), semantics.execute(module, trial)
    assert semantics.compare(got, want) == []
    state = got[1].results[2]
    assert isinstance(state, dict)
    state["data"] = state["data"] + 1
    (problem,) = semantics.compare(got, want)
    assert problem.startswith("@step, call 2, kv.0.v: data of the state: error")


def test_stored_relations_of_a_module_without_load_are_drawn() -> None:
    module = Module.empty(stage="tir")
    func = module.add(Func.build("forward", []))
    stored = func.block.append(ops.Stored(store="w", result_types=[TensorType((3, 4), F32)]))
    func.ret(Tensors(Builder(func.block)).reduce("sum", stored.result, [1]))
    (outcome,) = semantics.execute(module, semantics.Trial({}, 0))
    (got,) = outcome.results
    assert isinstance(got, np.ndarray)
    assert np.allclose(got, semantics.draw_parameter("w", (3, 4), F32.numpy).sum(axis=1))


def test_load_fills_what_the_others_read() -> None:
    module = Module.empty(stage="tir")
    type_ = TensorType((3, 4), F32)
    load = module.add(Func.build("load", []))
    weights = load.block.append(ops.Parameter(parameter="w", result_types=[type_]))
    load.block.append(ops.Store(weights.result, store="t"))
    load.ret()
    func = module.add(Func.build("forward", []))
    func.ret(func.block.append(ops.Stored(store="t", result_types=[type_])).result)
    weight = np.arange(12, dtype=np.float32).reshape(3, 4)
    (outcome,) = semantics.execute(module, semantics.Trial({}, 0), {"w": weight})
    assert np.array_equal(np.asarray(outcome.results[0]), weight)
