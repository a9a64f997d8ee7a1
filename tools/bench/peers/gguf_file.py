"""A Llama checkpoint as a GGUF file with the same float32 weights, for llama.cpp.

Run as ``python -m irsql.tools.bench.peers.gguf_file FOLDER OUT``. The format:
https://github.com/ggml-org/ggml/blob/master/docs/gguf.md. Needs the package ``gguf``.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from irsql.frontend.checkpoint import Checkpoint

Array = npt.NDArray[Any]
_LAYER = {
    "attn_norm": "input_layernorm", "attn_q": "self_attn.q_proj", "attn_k": "self_attn.k_proj",
    "attn_v": "self_attn.v_proj", "attn_output": "self_attn.o_proj", "ffn_norm": "post_attention_layernorm",
    "ffn_gate": "mlp.gate_proj", "ffn_up": "mlp.up_proj", "ffn_down": "mlp.down_proj",
}  # fmt: skip


def write(folder: Path, out: Path) -> None:
    """Write the file; it appears when it is complete.

    Parameters
    ----------
    folder
        A checkpoint of a Llama.
    out
        The file.
    """
    from transformers import LlamaConfig
    from transformers.models.llama.modeling_llama import LlamaRotaryEmbedding

    gguf = importlib.import_module("gguf")
    checkpoint = Checkpoint.open(folder)
    config = LlamaConfig(**dict(checkpoint.config))
    heads = config.num_attention_heads
    width = config.head_dim or config.hidden_size // heads
    keys = config.num_key_value_heads or heads
    partial = out.with_suffix(".partial")
    writer = gguf.GGUFWriter(str(partial), "llama")
    writer.add_context_length(config.max_position_embeddings)
    writer.add_embedding_length(config.hidden_size)
    writer.add_block_count(config.num_hidden_layers)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_head_count(heads)
    writer.add_head_count_kv(keys)
    writer.add_key_length(width)
    writer.add_value_length(width)
    writer.add_rope_dimension_count(width)
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    writer.add_vocab_size(config.vocab_size)
    writer.add_file_type(gguf.LlamaFileType.ALL_F32)
    writer.add_tokenizer_model("none")
    base = float(checkpoint.config["rope_parameters"]["rope_theta"])
    writer.add_rope_freq_base(base)
    frequencies = LlamaRotaryEmbedding(config).inv_freq.numpy()
    plain = base ** -(np.arange(0, width, 2) / width)
    tensors = dict(_tensors(checkpoint, config.num_hidden_layers, heads, keys, bool(config.tie_word_embeddings)))
    tensors["rope_freqs.weight"] = lambda: (plain / frequencies).astype(np.float32)
    for name, make in tensors.items():
        array = make()
        writer.add_tensor_info(name, array.shape, array.dtype, array.nbytes)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_ti_data_to_file()
    for make in tensors.values():
        writer.write_tensor_data(make())
    writer.close()
    partial.rename(out)


def _tensors(checkpoint: Checkpoint, layers: int, heads: int, keys: int,
             tied: bool) -> Iterator[tuple[str, Callable[[], Array]]]:  # fmt: skip
    def read(name: str, count: int = 0) -> Callable[[], Array]:
        def make() -> Array:
            values = checkpoint.read(name).astype(np.float32, copy=False)
            return interleaved(values, count) if count else values

        return make

    yield "token_embd.weight", read("model.embed_tokens.weight")
    yield "output_norm.weight", read("model.norm.weight")
    if not tied:
        yield "output.weight", read("lm_head.weight")
    for i in range(layers):
        for theirs, ours in _LAYER.items():
            count = {"attn_q": heads, "attn_k": keys}.get(theirs, 0)
            yield f"blk.{i}.{theirs}.weight", read(f"model.layers.{i}.{ours}.weight", count)


def interleaved(weights: Array, heads: int) -> Array:
    """The rows of each head with the two halves that the rotary embedding turns next to each other.

    Parameters
    ----------
    weights
        A projection to queries or keys, its rows in the order of Hugging Face's checkpoints.
    heads
        How many heads it has.
    """
    rows, width = weights.shape
    halves = weights.reshape(heads, 2, rows // heads // 2, width)
    return np.ascontiguousarray(halves.swapaxes(1, 2)).reshape(rows, width)


if __name__ == "__main__":
    write(Path(sys.argv[1]), Path(sys.argv[2]))
