"""``@sample_filtered`` against transformers' processors, in the interpreter and on DuckDB."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from transformers import GenerationConfig
from transformers.generation.logits_process import (
    LogitsProcessorList,
    MinPLogitsWarper,
    RepetitionPenaltyLogitsProcessor,
    TemperatureLogitsWarper,
    TopKLogitsWarper,
    TopPLogitsWarper,
)

from irsql.dialects.tir.sampling import build_sample, build_sample_filtered
from irsql.ir.core import Module
from irsql.ir.interp import Array, Interpreter
from tests.models.engine import run_function

NEUTRAL = {"temperature": 1.0, "top_k": 0, "top_p": 1.0, "min_p": 0.0}
CASES: list[dict[str, float]] = [
    {},
    {"temperature": 0.7},
    {"top_k": 1},
    {"top_k": 5},
    {"top_k": 1000},
    {"top_p": 0.0},
    {"top_p": 0.3},
    {"top_p": 0.9},
    {"min_p": 0.05},
    {"min_p": 1.0},
    {"penalty": 1.3},
    {"penalty": 0.7, "temperature": 2.0},
    {"temperature": 0.7, "top_k": 20, "top_p": 0.8, "min_p": 0.02, "penalty": 1.2},
    {"temperature": 1.5, "top_k": 3, "min_p": 0.5},
    {"temperature": 0.2, "top_p": 0.95, "min_p": 0.001},
]


def module_of(build: Any, vocab: int) -> Module:
    module = Module.empty(stage="tir")
    module.add(build(vocab, {"B": (0, 100_000)}))
    return module


def arguments(
    logits: Array, seen: Array, case: dict[str, float], position: Array | int = 0, seed: int = 5
) -> list[Array]:
    """The arguments of ``@sample_filtered`` in order; ``seen`` marks the ids that are there already."""
    n = len(logits)
    full = {**NEUTRAL, **case}

    def column(value: Any, dtype: Any) -> Array:
        return np.broadcast_to(np.asarray(value, dtype), (n,)).copy()

    penalty = np.where(seen, full.get("penalty", 1.0), 1.0)
    return [logits.astype(np.float32), column(full["temperature"], np.float64), column(seed, np.int64),
            column(0, np.int64), column(position, np.int64), penalty, column(full["top_k"], np.int64),
            column(full["top_p"], np.float64), column(full["min_p"], np.float64)]  # fmt: skip


def transformers_distribution(logits: Array, seen: Array, case: dict[str, float]) -> Array:
    full = {**NEUTRAL, **case}
    chain = LogitsProcessorList()
    if "penalty" in full:
        chain.append(RepetitionPenaltyLogitsProcessor(full["penalty"]))
    chain.append(TemperatureLogitsWarper(float(full["temperature"])))
    if full["top_k"]:
        chain.append(TopKLogitsWarper(int(full["top_k"])))
    if full["top_p"] < 1:
        chain.append(TopPLogitsWarper(full["top_p"]))
    chain.append(MinPLogitsWarper(full["min_p"]))
    rows = []
    for row, mask in zip(logits, seen, strict=True):
        ids: Any = torch.from_numpy(np.flatnonzero(mask))[None]
        scores = chain(ids, torch.from_numpy(row.astype(np.float32))[None].clone())
        rows.append(torch.softmax(scores.double(), dim=-1)[0].numpy())
    return np.array(rows)


def example(vocab: int, rows: int = 6) -> tuple[Array, Array]:
    rng = np.random.default_rng(vocab)
    return (rng.standard_normal((rows, vocab)) * 3).astype(np.float32), rng.random((rows, vocab)) < 0.3


def normalised(weights: Array) -> Array:
    return weights / weights.sum(axis=1, keepdims=True)


@pytest.mark.parametrize("case", CASES, ids=str)
def test_the_distribution_is_transformers(case: dict[str, float]) -> None:
    logits, seen = example(97)
    module = module_of(build_sample_filtered, 97)
    _, weights = Interpreter(module, symbols={"B": len(logits)}).run(
        "sample_filtered", arguments(logits, seen, case)
    )
    want = transformers_distribution(logits, seen, case)
    np.testing.assert_array_equal(weights > 0, want > 0)
    np.testing.assert_allclose(normalised(weights), want, rtol=0, atol=1e-6)


def test_the_engine_gives_the_same_distribution() -> None:
    """All cases as the rows of one batch: every sequence has settings of its own."""
    logits, seen = example(61, len(CASES))
    columns = [arguments(logits[i : i + 1], seen[i : i + 1], case, i) for i, case in enumerate(CASES)]
    given = [np.concatenate(parts) for parts in zip(*columns, strict=True)]
    module = module_of(build_sample_filtered, 61)
    ids, weights = run_function(module, "sample_filtered", given, {"B": len(CASES)})
    want = np.concatenate([transformers_distribution(logits[i : i + 1], seen[i : i + 1], case)
                           for i, case in enumerate(CASES)])  # fmt: skip
    np.testing.assert_array_equal(weights > 0, want > 0)
    np.testing.assert_allclose(normalised(weights), want, rtol=0, atol=1e-6)
    alone = [Interpreter(module_of(build_sample_filtered, 61), symbols={"B": 1}).run("sample_filtered", row)[0][0]
             for row in columns]  # fmt: skip
    np.testing.assert_array_equal(ids, alone)


def test_draws_follow_the_filtered_distribution() -> None:
    """Chi-square over 10,000 draws; its mean is the number of cells less one, its variance twice that."""
    n, case = 10_000, {"temperature": 0.8, "top_k": 12, "top_p": 0.97, "min_p": 0.01, "penalty": 1.2}
    logits, seen = example(40, 1)
    want = transformers_distribution(logits, seen, case)[0]
    module = module_of(build_sample_filtered, 40)
    given = arguments(np.tile(logits, (n, 1)), np.tile(seen, (n, 1)), case, np.arange(n))
    ids = Interpreter(module, symbols={"B": n}).run("sample_filtered", given)[0]
    counts, kept = np.bincount(ids, minlength=40), want > 0
    assert counts[~kept].sum() == 0
    assert kept.sum() >= 5
    expected = want[kept] * n
    degrees = kept.sum() - 1
    assert ((counts[kept] - expected) ** 2 / expected).sum() < degrees + 4 * np.sqrt(2 * degrees)


def test_without_filters_it_draws_what_sample_draws() -> None:
    """A sequence gets the same tokens whatever its neighbours in the batch ask for."""
    n, vocab = 500, 33
    logits, _ = example(vocab, n)
    given = arguments(logits, np.zeros((n, vocab), bool), {"temperature": 0.9}, np.arange(n))
    given[1][::7] = 0.0
    ids = Interpreter(module_of(build_sample_filtered, vocab), symbols={"B": n}).run("sample_filtered", given)[0]
    plain = Interpreter(module_of(build_sample, vocab), symbols={"B": n}).run("sample", given[:5])[0]
    np.testing.assert_array_equal(ids, plain)


def test_greedy_with_a_penalty() -> None:
    logits = np.array([[1.0, 3.0, 2.9, -1.0], [-3.0, -1.0, -1.1, -4.0]], np.float32)
    seen = np.array([[False, True, False, False], [False, True, False, False]])
    module = module_of(build_sample_filtered, 4)
    given = arguments(logits, seen, {"temperature": 0.0, "penalty": 1.5, "top_k": 1})
    assert Interpreter(module, symbols={"B": 2}).run("sample_filtered", given)[0].tolist() == [2, 2]


@pytest.mark.parametrize("vocab", [1, 2])
def test_tiny_vocabularies_and_an_empty_batch(vocab: int) -> None:
    module = module_of(build_sample_filtered, vocab)
    for rows in (0, 3):
        logits, seen = np.zeros((rows, vocab), np.float32), np.ones((rows, vocab), bool)
        given = arguments(logits, seen, {"top_k": 1, "top_p": 0.5, "penalty": 2.0})
        ids, _ = Interpreter(module, symbols={"B": rows}).run("sample_filtered", given)
        assert ids.tolist() == [0] * rows


def test_ties_are_kept_by_lowest_id() -> None:
    """Top-k keeps all that equal the k-th, as transformers does; where top-p cuts among equals, low ids stay."""
    logits = np.array([[2.0, 1.0, 1.0, 1.0, 0.0]], np.float32)
    module = module_of(build_sample_filtered, 5)

    def kept(case: dict[str, float]) -> list[int]:
        _, weights = Interpreter(module, symbols={"B": 1}).run(
            "sample_filtered", arguments(logits, np.zeros((1, 5), bool), case)
        )
        return np.flatnonzero(weights[0]).tolist()

    assert kept({"top_k": 2}) == [0, 1, 2, 3]
    share = np.exp([2.0, 1.0, 1.0, 1.0, 0.0]) / np.exp([2.0, 1.0, 1.0, 1.0, 0.0]).sum()
    assert kept({"top_p": float(share[:2].sum() - 0.01)}) == [0, 1]


def test_the_order_of_the_processors_is_that_of_generate() -> None:
    """If a new transformers orders them differently, this says so."""
    from transformers import LlamaForCausalLM

    from tests.models.llamas import llama_config

    model: Any = LlamaForCausalLM(llama_config(num_hidden_layers=1))
    config = GenerationConfig(do_sample=True, temperature=0.5, top_k=4, top_p=0.5, min_p=0.1, repetition_penalty=1.5)
    chain = model._get_logits_processor(config, input_ids_seq_length=1, encoder_input_ids=torch.tensor([[1]]))
    assert [type(p).__name__ for p in chain] == [
        "RepetitionPenaltyLogitsProcessor",
        "TemperatureLogitsWarper",
        "TopKLogitsWarper",
        "TopPLogitsWarper",
        "MinPLogitsWarper",
    ]
