"""Checkpoint folders through the whole of irsql: the tokens a database generates are those of transformers."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from transformers import LlamaForCausalLM

import irsql
from tests.models.llamas import LLAMA3_ROPE, decidable_llama, greedy, llama_config, random_llama, save_llama
from tests.models.targets import TARGETS

PROMPT = [1, 5, 9, 33, 7]
TOKENS = 64
DRAWN = [13, 410, 274, 260, 465, 497, 399, 453, 15, 453, 461, 270]
DEMO = Path(irsql.__file__).parent / "data" / "demo"


@pytest.fixture(autouse=True)
def _cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IRSQL_CACHE", str(tmp_path / "cache"))


def logit_error(ours: np.ndarray[Any, Any], model: Any, ids: list[int]) -> float:
    with torch.no_grad():
        want = model(input_ids=torch.tensor([ids])).logits[0, -1].numpy()
    return float(np.abs(ours - want).max() / np.abs(want).max())


@pytest.mark.parametrize("target", ["postgres", "pgvector"])
def test_tokens_change_nothing_in_the_catalogue(target: str) -> None:
    """PostgreSQL writes a row for each table that is made, dropped or truncated, which only vacuuming removes."""
    changes = """SELECT SUM(n_tup_ins + n_tup_upd + n_tup_del), pg_stat_force_next_flush()::text
        FROM pg_stat_sys_tables WHERE relname IN ('pg_class', 'pg_attribute', 'pg_depend', 'pg_type')"""
    seen = []
    with irsql.load(DEMO, target=target, progress=False) as model:
        for _ in range(3):
            sequence = model.sequence()
            sequence.prefill(PROMPT)
            for _ in range(5):
                sequence.step()
                sequence.logits()
            sequence.delete()
            model.db.rows(changes)  # what this transaction has counted is there after its end
            seen.append(model.db.rows(changes)[0][0])
    assert seen[0] > 0  # the tables were made
    assert seen[2] == seen[1]


@pytest.mark.parametrize("target", TARGETS)
def test_random_llama_in_shards(tmp_path: Path, target: str) -> None:
    """More shapes: test_llama_matrix.py."""
    model = decidable_llama(llama_config(rope_parameters=LLAMA3_ROPE), PROMPT, TOKENS)
    folder = save_llama(model, tmp_path / "model", shard_size="40KB")
    want, _ = greedy(model, PROMPT, TOKENS)
    with irsql.load(folder, target=target, progress=False) as loaded:
        sequence = loaded.sequence()
        sequence.prefill(PROMPT)
        assert logit_error(sequence.logits(), model, PROMPT) <= 1e-4
        assert [sequence.step() for _ in range(TOKENS)] == want
        assert logit_error(sequence.logits(), model, PROMPT + want) <= 1e-4


@pytest.mark.parametrize("target", TARGETS)
def test_aten_capture_is_the_oracle(tmp_path: Path, target: str) -> None:
    model = decidable_llama(llama_config(), PROMPT, 12)
    folder = save_llama(model, tmp_path / "model")
    want, _ = greedy(model, PROMPT, 12)
    with irsql.load(folder, capture="aten", target=target, progress=False) as loaded:
        for _ in range(2):
            running = loaded.generate(prompt_ids=PROMPT, max_new_tokens=12, stop_ids=[])
            assert [piece.id for piece in running] == want


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_narrow_checkpoints(dtype: torch.dtype, tmp_path: Path) -> None:
    model = random_llama()
    folder = save_llama(model, tmp_path / "model", dtype)
    with irsql.load(folder, progress=False) as loaded:
        sequence = loaded.sequence()
        sequence.prefill(PROMPT)
        assert logit_error(sequence.logits(), model, PROMPT) <= 1e-4


@pytest.mark.parametrize("target", TARGETS)
def test_demo_model(target: str) -> None:
    """Greedy tokens and text, a batch, a draw, and what is left of it after a break."""
    model = LlamaForCausalLM.from_pretrained(DEMO, dtype=torch.float32)
    with irsql.load(DEMO, target=target, progress=False) as loaded:
        prompt = loaded.encode("Once upon a time")
        want, _ = greedy(model, prompt, TOKENS)
        running = loaded.generate("Once upon a time", max_new_tokens=TOKENS, stop_ids=[])
        text = "".join(piece.text for piece in running)
        assert running.ids == want
        assert text == running.text == loaded.decode(want)

        def draw(**options: Any) -> list[int]:
            found = loaded.generate(prompt_ids=prompt, max_new_tokens=12, temperature=0.8, stop_ids=[], **options)
            return [piece.id for piece in found]

        drawn = draw(seed=3)
        assert drawn == DRAWN  # on every target
        assert draw(seed=3) == drawn
        assert draw(seed=4) != drawn
        batch = [
            loaded.sequence(temperature=0.8, seed=3),
            loaded.sequence(),
            loaded.sequence(temperature=0.8, seed=3, stream=1),
        ]
        for sequence in batch:
            sequence.prefill(prompt)
        steps = np.array([loaded.step(batch) for _ in range(12)]).T.tolist()
        assert steps[:2] == [drawn, want[:12]]
        assert steps[2] != drawn


GENERATE = """
import sys
from irsql.runtime.session import Model
from irsql.runtime.generate import generate
with Model.open(sys.argv[1]) as model:
    print(len(list(generate(model, "Once", max_new_tokens=2))))
print({"torch", "transformers", "irsql.passes", "irsql.dialects.tir"} & set(sys.modules))
"""


def test_loaded_database_needs_neither_torch_nor_the_compiler() -> None:
    with irsql.load(DEMO, progress=False) as loaded:
        path = loaded.path
    done = subprocess.run([sys.executable, "-c", GENERATE, str(path)], capture_output=True, text=True, check=False)
    assert (done.stdout, done.stderr) == ("2\nset()\n", "")
