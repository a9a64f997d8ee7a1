"""Llamas at the edge of sizes: one layer, one head, width 1, a vocabulary of 1, a prompt up to the last position."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import pytest

from irsql.runtime.errors import UserError
from irsql.runtime.session import Model
from tests.models.databases import database, eager_logits, logit_error
from tests.models.llamas import llama_config, random_llama

ONE = {"num_hidden_layers": 1, "num_attention_heads": 1, "num_key_value_heads": 1, "head_dim": 2}
CASES: dict[str, tuple[dict[str, Any], int]] = {
    "width 1": ({**ONE, "hidden_size": 1, "intermediate_size": 1, "vocab_size": 3}, 4),
    "width 2": ({**ONE, "hidden_size": 2, "intermediate_size": 3, "vocab_size": 3}, 1),
    "vocabulary 1": (
        {**ONE, "hidden_size": 4, "intermediate_size": 3, "vocab_size": 1, "bos_token_id": 0, "eos_token_id": 0}, 2),
}  # fmt: skip


@pytest.mark.parametrize("capture", ["fused", "aten"])
@pytest.mark.parametrize("name", CASES)
def test_logits_up_to_the_last_position(name: str, capture: Literal["fused", "aten"], tmp_path: Path) -> None:
    """After a prompt and after each token that follows, until the context is full."""
    config, prompt = CASES[name]
    model = random_llama(llama_config(**config, max_position_embeddings=6), 1)
    ids = [i * 2 % config["vocab_size"] for i in range(6)]
    want = eager_logits(model, ids)
    with Model.open(database(model, tmp_path, capture), threads=1) as db:
        sequence = db.sequence()
        sequence.prefill(ids[:prompt])
        for position in range(prompt, 6):
            assert logit_error(sequence.logits(), want[position - 1]) <= 1e-4
            sequence.step(ids[position])
        assert logit_error(sequence.logits(), want[5]) <= 1e-4
        with pytest.raises(UserError, match="the context of 6 tokens is full"):
            sequence.step()
