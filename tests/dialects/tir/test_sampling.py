from __future__ import annotations

import numpy as np
import pytest
import torch
from transformers.generation.logits_process import TemperatureLogitsWarper

from irsql.dialects.tir.sampling import build_greedy, build_sample
from irsql.ir.core import Module
from irsql.ir.interp import Interpreter
from tests.dialects.tir.test_uniform import draws


def sample(logits, temperature, seed, sequence, position):
    batch, vocab = logits.shape
    module = Module.empty(stage="tir")
    module.add(build_sample(vocab, {"B": (0, 100_000)}))
    columns = [np.broadcast_to(np.asarray(x, dtype=d), (batch,)) for x, d in
               ((temperature, np.float64), (seed, np.int64), (sequence, np.int64), (position, np.int64))]
    return Interpreter(module, symbols={"B": batch}).run("sample", [logits.astype(np.float32), *columns])[0]


def reference(logits, temperature, u):
    if temperature == 0:
        return int(np.argmax(logits))
    scores = logits.astype(np.float64) / temperature
    cdf = np.cumsum(np.exp(scores - scores.max()))
    return next((i for i, c in enumerate(cdf[:-1]) if c > u * cdf[-1]), len(cdf) - 1)


@pytest.mark.parametrize("vocab", [1, 2, 97])
def test_equals_a_plain_inverse_cdf(vocab):
    rng = np.random.default_rng(vocab)
    logits = rng.standard_normal((200, vocab)).astype(np.float32)
    temperature = rng.choice([0.0, 0.3, 1.0, 2.5], 200)
    position = np.arange(200)
    got = sample(logits, temperature, 7, 3, position)
    want = [reference(*row) for row in zip(logits, temperature, draws(7, 3, position), strict=True)]
    np.testing.assert_array_equal(got, want)


def test_greedy_takes_the_lowest_id_among_equals():
    logits = np.array([[1, 5, 5, 0], [2, 2, 2, 2], [-np.inf, -np.inf, 0, -1]], dtype=np.float32)
    np.testing.assert_array_equal(sample(logits, 0.0, 0, 0, 0), [1, 0, 2])


def test_an_id_of_probability_zero_is_never_drawn():
    logits = np.full((20_000, 5), -np.inf, dtype=np.float32)
    logits[:, [1, 3]] = 0
    ids = sample(logits, 1.0, 5, 0, np.arange(20_000))
    assert set(ids.tolist()) == {1, 3}


@pytest.mark.parametrize("temperature", [5e-324, 1e-310, 1e-30])
def test_the_smallest_temperatures_are_greedy(temperature: float) -> None:
    logits = np.array([[1, 5, 2, 0], [-3, -9, -4, -2.5]], dtype=np.float32)
    np.testing.assert_array_equal(sample(logits, temperature, 3, 0, 1), [1, 3])


def test_an_empty_batch():
    assert sample(np.zeros((0, 4), dtype=np.float32), 0.0, 0, 0, 0).shape == (0,)


def test_the_distribution_is_transformers():
    n = 10_000
    logits = np.random.default_rng(2).standard_normal(12).astype(np.float32) * 2
    scores = TemperatureLogitsWarper(0.7)(torch.LongTensor([[0]]), torch.from_numpy(logits)[None])
    expected = torch.softmax(scores.double(), dim=-1).numpy()[0] * n
    ids = sample(np.tile(logits, (n, 1)), 0.7, 11, 0, np.arange(n))
    counts = np.bincount(ids, minlength=12)
    big = expected > 5
    assert ((counts - expected) ** 2 / expected)[big].sum() < 11 + 4 * np.sqrt(22)
    assert counts[~big].sum() < 5 + 4 * max(1.0, expected[~big].sum())


def test_greedy_takes_the_lowest_id_of_the_largest_logit() -> None:
    module = Module.empty(stage="tir")
    module.add(build_greedy(5, {"B": (0, 9)}))
    logits = np.array([[0.0, 3.0, 1.0, 3.0, 2.0], [-1.0, -5.0, -1.0, -2.0, -9.0]], np.float32)
    ids = Interpreter(module, symbols={"B": 2}).run("greedy", [logits])[0]
    assert ids.tolist() == [1, 0]
