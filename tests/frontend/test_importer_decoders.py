"""Imported Llamas of both recipes against transformers: a prefill and decode steps in the tir interpreter."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from irsql.dialects.tir import ops as tir
from irsql.dialects.tir.interp import KVState
from irsql.frontend.decoder import capture_decoder, model_from_config
from irsql.frontend.weights import ModuleWeights
from irsql.ir.core import ArgInfo, Module
from irsql.ir.interp import Array, Interpreter
from tests.models.importing import imported
from tests.models.llamas import LLAMA3_ROPE, llama_config, random_llama

TOLERANCE = 1e-5  # the contract is 1e-4; what is left is summation order
PROMPT, STEPS = [1, 5, 9, 33, 7], [12, 99]
CONFIGS: dict[str, dict[str, Any]] = {
    "gqa-2": {},
    "gqa-1": {"num_key_value_heads": 4},
    "gqa-3-odd-llama3-tied": {
        "num_attention_heads": 6,
        "num_key_value_heads": 2,
        "head_dim": 10,
        "hidden_size": 42,
        "intermediate_size": 67,
        "rope_parameters": LLAMA3_ROPE,
        "tie_word_embeddings": True,
    },
    "gqa-8-biases": {
        "num_attention_heads": 8,
        "num_key_value_heads": 1,
        "head_dim": 6,
        "attention_bias": True,
        "mlp_bias": True,
    },
}


def run_step(
    module: Module, function: str, weights: dict[str, Array], batch: list[list[int]], start: int, states: list[KVState]
) -> tuple[Array, list[KVState]]:
    """One call of ``@prefill`` or ``@decode`` with rows of equal length."""
    ids = np.array(batch)
    length = ids.shape[1]
    positions = np.broadcast_to(np.arange(start, start + length), ids.shape)
    last = np.full(len(batch), length - 1)
    symbols = {"B": len(batch), "S": length, "P": start}
    interp = Interpreter(module, weights, symbols)
    logits, *new = interp.run(function, [ids, positions, last, *states])
    return logits, list(new)


def empty_states(module: Module) -> list[KVState]:
    """The states of a fresh sequence."""
    types = [arg.type for arg in module.functions["prefill"].block.args]
    return [KVState.empty(type_) for type_ in types if isinstance(type_, tir.StateType)]


@pytest.mark.parametrize("recipe", ["fused", "aten"])
@pytest.mark.parametrize("name", CONFIGS)
def test_prefill_and_decode(name: str, recipe: Any) -> None:
    model = random_llama(llama_config(**CONFIGS[name]))
    module = imported(capture_decoder(model_from_config(model.config), recipe))
    checkpoint = ModuleWeights(model)
    weights = {key: checkpoint.read(key) for key in checkpoint}
    states = empty_states(module)
    seen: list[int] = []
    for ids in (PROMPT, *([i] for i in STEPS)):
        function = "prefill" if not seen else "decode"
        logits, states = run_step(module, function, weights, [ids], len(seen), states)
        seen += ids
        with torch.no_grad():
            want = model(input_ids=torch.tensor([seen]), use_cache=False).logits[0, -1].numpy()
        assert np.abs(logits[0] - want).max() <= TOLERANCE * np.abs(want).max()
    assert len(states) == model.config.num_hidden_layers
    assert all(len(state.pos) == len(seen) for state in states)


def test_a_batch_of_sequences() -> None:
    model = random_llama(llama_config())
    module = imported(capture_decoder(model, "fused"))
    checkpoint = ModuleWeights(model)
    weights = {key: checkpoint.read(key) for key in checkpoint}
    batch = [[1, 2, 3], [9, 8, 7]]
    logits, states = run_step(module, "prefill", weights, batch, 0, empty_states(module))
    logits, states = run_step(module, "decode", weights, [[4], [6]], 3, states)
    with torch.no_grad():
        want = model(input_ids=torch.tensor([[1, 2, 3, 4], [9, 8, 7, 6]]), use_cache=False).logits[:, -1].numpy()
    assert np.abs(logits - want).max() <= TOLERANCE * np.abs(want).max()


@pytest.mark.parametrize("recipe", ["fused", "aten"])
def test_signature(recipe: Any) -> None:
    module = imported(capture_decoder(model_from_config(llama_config()), recipe))
    prefill, decode = module.functions.values()
    assert module.attrs_["stage"] == "tir"
    assert module.attrs_["recipe"] == recipe
    assert (prefill.sym_name, decode.sym_name) == ("prefill", "decode")
    assert prefill.function_type == decode.function_type
    assert [arg.name for arg in prefill.block.args] == ["ids", "positions", "last", "kv.0", "kv.1"]
    assert prefill.outputs == ("logits", "kv.0", "kv.1")
    assert prefill.dims["S"] == (1, 256)
    assert decode.dims["S"] == (1, 1)
    assert (prefill.dims["B"] == (1, 1)) == (recipe == "aten")
    assert prefill.args == (
        ArgInfo(domain="range", high=101),
        ArgInfo(domain="positions"),
        ArgInfo(domain="last", of="S"),
        ArgInfo(role="state"),
        ArgInfo(role="state"),
    )


def test_the_fused_recipe_keeps_operators_whole() -> None:
    module = imported(capture_decoder(model_from_config(llama_config())))
    kinds = [op.name for op in module.functions["decode"].block.ops]
    assert kinds.count("tir.attention") == kinds.count("tir.state_append") == 2
    assert kinds.count("tir.rms_norm") == 5
    assert kinds.count("tir.rope") == 4
    assert kinds.count("tir.contract") == 15


def test_tied_weights_are_one_parameter() -> None:
    module = imported(capture_decoder(model_from_config(llama_config(tie_word_embeddings=True))))
    names = [op.parameter for op in module.functions["prefill"].block.ops if isinstance(op, tir.Parameter)]
    assert names.count("model.embed_tokens.weight") == 1
    assert "lm_head.weight" not in names


def test_locations_lead_to_the_model() -> None:
    module = imported(capture_decoder(model_from_config(llama_config())))
    ops = [op for op in module.functions["prefill"].block.ops if not op.is_terminator]
    assert all(op.loc.known for op in ops)
    contracts = [op.loc for op in ops if op.name == "tir.contract"]
    assert "model.layers.1.mlp.gate_proj" in {loc.scope for loc in contracts}
    assert all(loc.line for loc in contracts)
