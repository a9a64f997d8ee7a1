"""Small random Llamas whose greedy steps are decidable, and their checkpoint folders."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")

import torch
from transformers import LlamaConfig, LlamaForCausalLM

from tests.models.modules import seeded

LLAMA3_ROPE = {
    "rope_type": "llama3",
    "rope_theta": 10_000.0,
    "factor": 8.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 32,
}
"""Llama 3's frequency scaling, with an original context short enough that every band of it is used."""

DECIDABLE_GAP = 1e-3
"""Least gap between first and second logit, relative to the largest: ten times the error allowed, 1e-4."""


def llama_config(**changes: Any) -> LlamaConfig:
    """A tiny Llama configuration: 2 layers, width 48, 4 heads over 2 key/value heads, vocabulary 101."""
    fields: dict[str, Any] = {
        "vocab_size": 101,
        "hidden_size": 48,
        "intermediate_size": 72,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "max_position_embeddings": 256,
        "rms_norm_eps": 1e-5,
        "tie_word_embeddings": False,
        "bos_token_id": 1,
        "eos_token_id": 2,
        "pad_token_id": None,
        "architectures": ["LlamaForCausalLM"],
    }
    return LlamaConfig(**{**fields, **changes})


def random_llama(config: LlamaConfig | None = None, seed: int = 0) -> LlamaForCausalLM:
    """A Llama of seeded random weights, float32 with eager attention."""
    model = LlamaForCausalLM._from_config(config or llama_config(), attn_implementation="eager", dtype=torch.float32)
    seeded(model, seed)
    if model.config.tie_word_embeddings:
        with torch.no_grad():  # else a token's own row, read by the head through the residuals, always wins
            model.model.embed_tokens.weight.mul_(0.05)
    return model


def greedy(model: LlamaForCausalLM, prompt: Sequence[int], steps: int) -> tuple[list[int], float]:
    """The greedy continuation by the model itself, and the smallest relative gap between its two best logits."""
    from transformers import DynamicCache

    cache, ids, out, gap = DynamicCache(), torch.tensor([list(prompt)]), [], float("inf")
    with torch.no_grad():
        for _ in range(steps):
            logits = model(input_ids=ids, cache=cache, use_cache=True, logits_to_keep=1).logits[0, -1]
            best = torch.topk(logits, 2).values
            gap = min(gap, float((best[0] - best[1]) / logits.abs().max()))
            ids = logits.argmax().reshape(1, 1)
            out.append(int(ids))
    return out, gap


def decidable_llama(
    config: LlamaConfig | None = None, prompt: Sequence[int] = (1, 5, 9, 33, 7), steps: int = 64, seed: int = 0
) -> LlamaForCausalLM:
    """The first random Llama from `seed` on whose greedy steps all have a gap of :data:`DECIDABLE_GAP`.

    A comparison of ids with another implementation is then a test of that implementation, not of rounding. At least
    a quarter of the ids must differ, so that a model stuck in a loop does not count.
    """
    for candidate in range(seed, seed + 50):
        model = random_llama(config, candidate)
        ids, gap = greedy(model, prompt, steps)
        if gap > DECIDABLE_GAP and len(set(ids)) >= min(steps, 64) // 4:
            return model
    raise AssertionError("no seed gives a decidable model: the configuration is degenerate")


def save_llama(
    model: LlamaForCausalLM, folder: str | Path, dtype: torch.dtype = torch.float32, shard_size: str = "1GB"
) -> Path:
    """Write a checkpoint folder as ``save_pretrained`` does, leaving the model in float32.

    The model itself is rounded through `dtype`, so that it stays the exact reference of the folder.
    """
    folder = Path(folder)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.copy_(parameter.to(dtype))
    state = {name: tensor.to(dtype) for name, tensor in model.state_dict().items()}
    model.save_pretrained(folder, state_dict=state, max_shard_size=shard_size)
    return folder
