"""Llamas of many shapes: DuckDB continues a prompt with the ids that transformers chooses, and with its logits."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import attrs
import pytest
import torch

from irsql.runtime.errors import UserError
from irsql.runtime.session import Model
from tests.models.databases import continue_greedily, continue_together, database, eager_logits, logit_error
from tests.models.llamas import LLAMA3_ROPE, decidable_llama, greedy, llama_config

TOLERANCE = 1e-4
PROMPT = (1, 5, 9, 33, 7)
STEPS = 64


@attrs.frozen
class Case:
    """A configuration, and how it is compiled."""

    config: dict[str, Any]
    capture: Literal["fused", "aten"] = "fused"
    layout: str = ""


def heads(queries: int, groups: int, dim: int, **more: Any) -> dict[str, Any]:
    """Attention of this geometry; the width is no multiple of anything."""
    return {"num_attention_heads": queries, "num_key_value_heads": groups, "head_dim": dim, **more}


ODD = {"hidden_size": 30, "intermediate_size": 51, "vocab_size": 97}
ODDER = {"hidden_size": 42, "intermediate_size": 51, "vocab_size": 131}

CASES = {
    "gqa 1:1, head dim 8": Case({**ODD, **heads(3, 3, 8)}),
    "gqa 3:1, head dim 10": Case({**ODD, **heads(3, 1, 10)}),
    "gqa 8:1, head dim 8": Case({**ODDER, **heads(8, 1, 8), "hidden_size": 40}),
    "gqa 2:1, head dim 64": Case({**ODD, **heads(2, 1, 64)}),
    "head dim 128": Case({**ODDER, **heads(2, 1, 128)}),
    "tied": Case({**ODDER, **heads(3, 1, 10), "tie_word_embeddings": True}),
    "biases": Case({**ODD, **heads(3, 1, 10), "attention_bias": True, "mlp_bias": True}),
    "llama3 rope": Case({**ODD, **heads(3, 1, 10), "rope_parameters": LLAMA3_ROPE}),
    "lane 7": Case({**ODDER, **heads(3, 1, 10)}, layout="lane=7"),
    "lane 7, tied, biases": Case({**ODD, **heads(3, 3, 8), "tie_word_embeddings": True, "attention_bias": True,
                                  "mlp_bias": True}, layout="lane=7"),
    "scalar rows": Case({**ODD, **heads(3, 1, 10)}, layout="form=scalar"),
    "wide": Case({**ODD, **heads(3, 1, 10)}, layout="form=wide"),
    "many columns of short lanes": Case({**ODD, **heads(3, 1, 10)}, layout="lane=3"),
    "rows of lanes": Case({**ODD, **heads(3, 1, 10)}, layout="tile=chunks:5x2x6"),
    "aten": Case({**ODD, **heads(3, 1, 10)}, capture="aten"),
    "aten, gqa 8:1, tied, biases, llama3 rope": Case(
        {**ODDER, **heads(8, 1, 8), "hidden_size": 40, "tie_word_embeddings": True, "attention_bias": True,
         "mlp_bias": True, "rope_parameters": LLAMA3_ROPE}, capture="aten"),
}  # fmt: skip


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.mark.parametrize("name", CASES)
def test_greedy_ids_and_logits(name: str, tmp_path: Path) -> None:
    """64 greedy ids; then the logits of a second, teacher-forced sequence: after a prefill and after single steps."""
    case = CASES[name]
    model = decidable_llama(llama_config(**case.config), PROMPT, STEPS)
    with Model.open(database(model, tmp_path, case.capture, case.layout), threads=1) as db:
        db.set_stops(())
        want, _ = greedy(model, PROMPT, STEPS)
        first = db.sequence()
        assert continue_greedily(first, PROMPT, STEPS) == want
        if case.capture == "aten":
            with pytest.raises(UserError, match="one sequence at a time"):
                db.sequence()
            first.delete()

        tokens = [*PROMPT, *reversed(want[:6])]
        logits = eager_logits(model, tokens)
        forced = db.sequence()
        forced.prefill(tokens[:9])
        errors = [logit_error(forced.logits(), logits[8])]
        for at in (9, 10):
            forced.step(tokens[at])
            errors.append(logit_error(forced.logits(), logits[at]))
        assert max(errors) <= TOLERANCE, errors


@pytest.mark.parametrize("layout", ["", "tile=chunks:5x2x6"])
def test_prompts_of_different_lengths_together(layout: str, tmp_path: Path) -> None:
    """A batch gives each of its sequences what it gets alone."""
    model = decidable_llama(llama_config(**ODD, **heads(3, 1, 10)), PROMPT, STEPS)
    prompts = [PROMPT, (4,), (8, 1, 90, 17, 3, 3, 20, 61, 2, 11, 40)]
    with Model.open(database(model, tmp_path, layout=layout), threads=1) as db:
        db.set_stops(())
        together = continue_together(db, prompts, 24)
        for prompt, ids in zip(prompts, together, strict=True):
            alone = continue_greedily(db.sequence(), prompt, 24)
            assert ids == alone
            logits = eager_logits(model, [*prompt, *ids])
            assert ids == list(logits[len(prompt) - 1 : -1].argmax(-1))


def test_context_longer_than_one_prefill(tmp_path: Path) -> None:
    """A prompt that is run in several chunks leaves the logits it leaves in one."""
    model = decidable_llama(llama_config(**ODD, **heads(3, 1, 10)), PROMPT, STEPS)
    prompt = [(7 * i * i + 3 * i + 1) % 97 for i in range(150)]
    with Model.open(database(model, tmp_path), threads=1) as db:
        sequence = db.sequence()
        sequence.prefill(prompt)
        assert logit_error(sequence.logits(), eager_logits(model, prompt)[-1]) <= TOLERANCE
