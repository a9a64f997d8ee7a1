"""Time and memory of compiling the Llama-3-8B configuration to SQL, without its weights.

Run as ``python -m irsql.tools.bench.compilation``.
"""

from __future__ import annotations

import json
import sys
import time
from typing import Any

from irsql.compile import compile_module, import_model
from irsql.tools.bench.process import peak_bytes

LLAMA_3_8B = {
    "architectures": ["LlamaForCausalLM"], "vocab_size": 128_256, "hidden_size": 4096, "intermediate_size": 14_336,
    "num_hidden_layers": 32, "num_attention_heads": 32, "num_key_value_heads": 8, "max_position_embeddings": 8192,
    "rms_norm_eps": 1e-5, "tie_word_embeddings": False, "rope_parameters": {"rope_type": "default", "rope_theta": 5e5},
}  # fmt: skip


def measure(**changes: Any) -> dict[str, Any]:
    """Capture and compile the configuration.

    Parameters
    ----------
    changes
        Fields of the configuration that are to be different.

    Returns
    -------
    dict
        ``capture_s``, ``compile_s``, ``peak_rss_bytes`` of this process until now, ``statements`` of a decode step.
    """
    from transformers import LlamaConfig

    fields: dict[str, Any] = LLAMA_3_8B | changes
    start = time.perf_counter()
    module, meta = import_model(LlamaConfig(**fields))
    captured = time.perf_counter()
    program = compile_module(module, meta=meta).program
    done = time.perf_counter()
    return {"capture_s": captured - start, "compile_s": done - captured, "peak_rss_bytes": peak_bytes(),
            "statements": len(program.functions["decode"].statements)}


if __name__ == "__main__":
    sys.stdout.write(json.dumps(measure(), indent=2) + "\n")
