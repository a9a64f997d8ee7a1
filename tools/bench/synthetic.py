"""Checkpoints of random weights in Hugging Face layout: the shape of a real model, without its download.

Every tensor is drawn from its own generator (seed and name), a block of rows at a time, so a checkpoint is the same
whatever its shards, its order or the memory of the machine, and writing one needs a few megabytes. The file format:
https://github.com/huggingface/safetensors#format.
"""

from __future__ import annotations

import json
import math
import shutil
import struct
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, BinaryIO, Literal

import attrs
import numpy as np

DType = Literal["bf16", "f16", "f32"]
_FORMATS: dict[str, tuple[str, str, int]] = {"bf16": ("BF16", "bfloat16", 2), "f16": ("F16", "float16", 2),
                                             "f32": ("F32", "float32", 4)}
"""Name in safetensors, name in config.json, bytes an element."""
BLOCK = 1 << 22
"""Elements drawn at a time."""
STD = 0.02
"""Standard deviation of the weights, as ``initializer_range`` of a Llama: a product of 2048 terms stays near 1."""
RECIPE = "synthetic.json"
"""File that says how a folder was made; a folder with another recipe is not reused."""


@attrs.frozen
class Shape:
    """The shape of a Llama; the defaults are those of Llama-3.2-1B, with 8 layers instead of 16.

    Attributes
    ----------
    hidden, intermediate, layers, heads, kv_heads, head_dim, vocab
        Sizes, as in config.json.
    tied
        The head is the embedding.
    rope_factor
        Factor of the ``llama3`` scaling of the rotary embedding; 0 for the unscaled one.
    context
        ``max_position_embeddings``.
    """

    hidden: int = 2048
    intermediate: int = 8192
    layers: int = 8
    heads: int = 32
    kv_heads: int = 8
    head_dim: int = 64
    vocab: int = 128256
    tied: bool = True
    rope_factor: float = 32.0
    context: int = 131072

    def tensors(self) -> Iterator[tuple[str, tuple[int, ...]]]:
        """Name and shape of every tensor, in the order of the model."""
        queries, keys = self.heads * self.head_dim, self.kv_heads * self.head_dim
        yield "model.embed_tokens.weight", (self.vocab, self.hidden)
        for i in range(self.layers):
            layer = f"model.layers.{i}."
            yield layer + "self_attn.q_proj.weight", (queries, self.hidden)
            yield layer + "self_attn.k_proj.weight", (keys, self.hidden)
            yield layer + "self_attn.v_proj.weight", (keys, self.hidden)
            yield layer + "self_attn.o_proj.weight", (self.hidden, queries)
            yield layer + "mlp.gate_proj.weight", (self.intermediate, self.hidden)
            yield layer + "mlp.up_proj.weight", (self.intermediate, self.hidden)
            yield layer + "mlp.down_proj.weight", (self.hidden, self.intermediate)
            yield layer + "input_layernorm.weight", (self.hidden,)
            yield layer + "post_attention_layernorm.weight", (self.hidden,)
        yield "model.norm.weight", (self.hidden,)
        if not self.tied:
            yield "lm_head.weight", (self.vocab, self.hidden)

    def config(self, dtype: DType = "bf16") -> dict[str, Any]:
        """The content of config.json. No id stops: a benchmark decides itself when it ends."""
        rope: dict[str, Any] = {"rope_type": "default", "rope_theta": 500000.0}
        if self.rope_factor:
            rope |= {"rope_type": "llama3", "factor": self.rope_factor, "low_freq_factor": 1.0,
                     "high_freq_factor": 4.0, "original_max_position_embeddings": min(8192, self.context // 2)}
        return {
            "architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_act": "silu",
            "hidden_size": self.hidden, "intermediate_size": self.intermediate, "num_hidden_layers": self.layers,
            "num_attention_heads": self.heads, "num_key_value_heads": self.kv_heads, "head_dim": self.head_dim,
            "vocab_size": self.vocab, "max_position_embeddings": self.context, "rms_norm_eps": 1e-5,
            "initializer_range": STD, "attention_bias": False, "mlp_bias": False, "tie_word_embeddings": self.tied,
            "rope_parameters": rope, "bos_token_id": 0, "eos_token_id": None, "pad_token_id": None,
            "dtype": _FORMATS[dtype][1],
        }


def write(folder: Path, shape: Shape, *, dtype: DType = "bf16", seed: int = 0, shard_size: int = 5 << 30) -> bool:
    """Write the checkpoint, unless the folder holds exactly this one already; say whether it was written.

    Parameters
    ----------
    folder
        The Hugging Face folder; it appears when it is complete.
    shape
        The model's shape.
    dtype
        Type of the stored weights.
    seed
        Of all draws.
    shard_size
        Most bytes of tensors a file, if more than one tensor would fit; one file holds all if they fit.

    Raises
    ------
    FileExistsError
        If the folder exists and is something else.
    """
    recipe = {"shape": attrs.asdict(shape), "dtype": dtype, "seed": seed, "shard_size": shard_size}
    if folder.exists():
        if (folder / RECIPE).is_file() and json.loads((folder / RECIPE).read_text(encoding="utf-8")) == recipe:
            return False
        raise FileExistsError(f"{folder} exists and holds something else; remove it or choose another folder")
    partial = folder.with_name(folder.name + ".partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    shards = list(_shards(shape, _FORMATS[dtype][2], shard_size))
    index: dict[str, str] = {}
    for i, tensors in enumerate(shards):
        name = "model.safetensors" if len(shards) == 1 else f"model-{i + 1:05}-of-{len(shards):05}.safetensors"
        index |= dict.fromkeys((t for t, _ in tensors), name)
        with open(partial / name, "wb") as file:
            _write_shard(file, tensors, dtype, seed)
    if len(shards) > 1:
        total = sum(math.prod(s) for _, s in shape.tensors()) * _FORMATS[dtype][2]
        _write_json(partial / "model.safetensors.index.json", {"metadata": {"total_size": total}, "weight_map": index})
    config = shape.config(dtype)
    _write_json(partial / "config.json", config)
    _write_json(partial / "generation_config.json", {k: config[k] for k in ("bos_token_id", "eos_token_id")})
    _write_json(partial / RECIPE, recipe)
    partial.rename(folder)
    return True


def source_bytes(folder: Path) -> int:
    """Bytes of all weight files of a folder."""
    return sum(f.stat().st_size for f in folder.glob("*.safetensors"))


def _shards(shape: Shape, itemsize: int, limit: int) -> Iterator[list[tuple[str, tuple[int, ...]]]]:
    current: list[tuple[str, tuple[int, ...]]] = []
    size = 0
    for name, extents in shape.tensors():
        nbytes = math.prod(extents) * itemsize
        if current and size + nbytes > limit:
            yield current
            current, size = [], 0
        current.append((name, extents))
        size += nbytes
    yield current


def _write_shard(file: BinaryIO, tensors: Sequence[tuple[str, tuple[int, ...]]], dtype: DType, seed: int) -> None:
    stored, _, itemsize = _FORMATS[dtype]
    header: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    offset = 0
    for name, extents in tensors:
        end = offset + math.prod(extents) * itemsize
        header[name] = {"dtype": stored, "shape": list(extents), "data_offsets": [offset, end]}
        offset = end
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    file.write(struct.pack("<Q", len(text)) + text)
    for name, extents in tensors:
        for block in _blocks(name, extents, seed):
            file.write(_encode(block, dtype).tobytes())


def _blocks(name: str, extents: tuple[int, ...], seed: int) -> Iterator[np.ndarray]:
    """The tensor's elements in order, a block at a time: norms are ones, everything else is normal."""
    rng = np.random.default_rng([seed, zlib.crc32(name.encode())])
    total = math.prod(extents)
    for start in range(0, total, BLOCK):
        count = min(BLOCK, total - start)
        if len(extents) == 1:
            yield np.ones(count, np.float32)
        else:
            yield rng.standard_normal(count, np.float32) * np.float32(STD)


def _encode(block: np.ndarray, dtype: DType) -> np.ndarray:
    if dtype == "bf16":  # the upper half of a float32, rounded to nearest, ties to even
        bits = block.view(np.uint32)
        return ((bits + np.uint32(0x7FFF) + ((bits >> np.uint32(16)) & np.uint32(1))) >> np.uint32(16)).astype("<u2")
    return block.astype("<f2" if dtype == "f16" else "<f4")


def _write_json(path: Path, content: Any) -> None:
    path.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
