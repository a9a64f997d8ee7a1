"""Test models loaded into databases, and their logits."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt
import torch
from transformers import LlamaForCausalLM

from irsql.compile import compile_model, pipeline
from irsql.frontend.checkpoint import Checkpoint
from irsql.runtime.load import load
from irsql.runtime.sequence import TokenSequence
from irsql.runtime.session import Model
from tests.models.llamas import save_llama


def database(
    model: LlamaForCausalLM, folder: Path, capture: Literal["fused", "aten"] = "fused", layout: str = "",
    target: str = "duckdb",
) -> Path:
    """Save, compile and load a model; `layout` are options of ``select-layout``."""
    save_llama(model, folder / "checkpoint")
    text = pipeline(layout, target)
    program = compile_model(folder / "checkpoint", target, capture=capture, pipeline_text=text).program
    return Path(load(program, Checkpoint.open(folder / "checkpoint"), folder / "model.db", progress=False))


def eager_logits(model: LlamaForCausalLM, ids: Sequence[int]) -> npt.NDArray[np.float32]:
    """Logits after every token, ``[len(ids), V]``, by the model itself."""
    with torch.no_grad():
        return model(input_ids=torch.tensor([list(ids)])).logits[0].numpy()


def logit_error(got: npt.NDArray[np.float32], want: npt.NDArray[np.float32]) -> float:
    """``max|a - b| / max|b|``."""
    assert got.shape == want.shape
    assert np.isfinite(got).all()
    return float(np.abs(got - want).max() / np.abs(want).max())


def continue_greedily(sequence: TokenSequence, prompt: Sequence[int], steps: int) -> list[int]:
    """The next `steps` ids after a prompt."""
    sequence.prefill(prompt)
    return [sequence.step() for _ in range(steps)]


def continue_together(db: Model, prompts: Sequence[Sequence[int]], steps: int) -> list[list[int]]:
    """The same for several prompts in one batch, token by token."""
    sequences = [db.sequence() for _ in prompts]
    for sequence, prompt in zip(sequences, prompts, strict=True):
        sequence.prefill(prompt)
    drawn = [db.step(sequences) for _ in range(steps)]
    return [list(column) for column in zip(*drawn, strict=True)]
