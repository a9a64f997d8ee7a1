"""Weights of 16 bits in PostgreSQL: only on request, as exact as half precision is, and as the interpreter rounds."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

import irsql
from irsql.compile import compile_model, compile_module, pipeline
from irsql.ir.core import IRError
from irsql.ir.semantics import Trial, execute
from irsql.runtime.errors import UserError
from irsql.runtime.session import Model
from irsql.targets.base import backend
from irsql.tools.calibrate.probe import Shape
from tests.models.databases import database, eager_logits, logit_error
from tests.models.llamas import llama_config, random_llama

TARGET = "pgvector-half"
TOLERANCE, AGREEMENT = 1e-2, 0.99
TOKENS = [int(t) for t in np.random.default_rng(0).integers(3, 101, 40)]


@pytest.mark.parametrize("tied", [False, True])
def test_logits_of_a_llama(tied: bool, tmp_path: Path) -> None:
    """After every token of a teacher-forced text."""
    model = random_llama(llama_config(tie_word_embeddings=tied), 3)
    with Model.open(database(model, tmp_path, target=TARGET)) as db:
        db.set_stops(())
        want, sequence = eager_logits(model, TOKENS), db.sequence()
        sequence.prefill(TOKENS[:5])
        got = [sequence.logits()]
        for token in TOKENS[5:]:
            sequence.step(token)
            got.append(sequence.logits())
    errors = [logit_error(a, b) for a, b in zip(got, want[4:], strict=True)]
    assert 1e-5 < max(errors) <= TOLERANCE, "half precision is to be seen, and is all there is"
    assert np.mean([a.argmax() == b.argmax() for a, b in zip(got, want[4:], strict=True)]) >= AGREEMENT


def test_only_weights_and_only_on_request() -> None:
    """Keys and values of attention stay 32-bit vectors, and so does everything of the plain target."""
    config = llama_config()
    half, single = (compile_model(config, target).program for target in (TARGET, "pgvector"))
    assert {c.type[:3] for s in half.functions["decode"].states for c in s.values} == {"f32"}
    assert any(c.type.startswith("f16") for s in half.stored for c in s.table.values)
    assert not any(word in single.to_json() for word in ("f16", "halfvec"))


def test_products_are_those_of_rounded_operands() -> None:
    """In the engine and in the interpreter alike."""
    rng = np.random.default_rng(1)
    layer = nn.Linear(300, 7, bias=False)
    x = torch.from_numpy(rng.standard_normal((3, 300), np.float32))
    found = irsql.compile(layer, (x,), target=TARGET)
    a, w = (t.detach().half().double() for t in (x, layer.weight))
    want = (a @ w.T).numpy()
    assert logit_error(found(x).numpy(), want) < 2e-6 < logit_error(found(x).numpy(), layer(x).detach().numpy())


def test_the_interpreter_rounds() -> None:
    shape = Shape(2, 5, 40)
    w = np.random.default_rng(2).standard_normal((5, 40), np.float32)
    (exact,) = execute(shape.module(), Trial({}, 0), {"w": w})
    module = shape.module()
    compile_module(module, TARGET, weights={"w": w})
    (rounded,) = execute(module, Trial({}, 0), {"w": w})
    error = logit_error(np.asarray(rounded.results[0]), np.asarray(exact.results[0]))
    assert 1e-6 < error < TOLERANCE


def test_a_weight_beyond_half_precision(tmp_path: Path) -> None:
    model = random_llama(llama_config(), 3)
    with torch.no_grad():
        model.lm_head.weight[3, 5] = 70000.0
    with pytest.raises(UserError, match="has the number 70000, and half precision ends at 65504"):
        database(model, tmp_path, target=TARGET)
    assert not (tmp_path / "model.db").exists()


def test_a_target_without_the_carrier() -> None:
    with pytest.raises(IRError, match="'halfvec', which is no lane carrier of duckdb"):
        irsql.compile(nn.Linear(8, 4), (torch.zeros(2, 8),), pipeline=pipeline("carrier=halfvec"))


def test_capabilities() -> None:
    target = backend(TARGET).target
    assert target.capability("dot", "halfvec").status == "native"
    assert target.layout.carriers == backend("pgvector").target.layout.carriers == ("vector",)
