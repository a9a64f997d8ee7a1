"""Decoders: both recipes compute what ``transformers`` computes, over prefill and decode steps."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from transformers.models.llama.modeling_llama import LlamaRMSNorm

from irsql.frontend import ops
from irsql.frontend.captured import Captured, CaptureError
from irsql.frontend.checkpoint import Checkpoint
from irsql.frontend.decoder import capture_decoder, model_from_config
from irsql.frontend.provenance import provenance
from irsql.ir.dims import symbol
from tests.models.llamas import LLAMA3_ROPE, decidable_llama, greedy, llama_config, random_llama, save_llama
from tests.models.modules import seeded
from tests.models.running import relative_error, run_captured

B, S, P = symbol("B"), symbol("S"), symbol("P")
TOLERANCE = 1e-5

VARIANTS: dict[str, dict[str, Any]] = {
    "gqa-2": {},
    "gqa-1": {"num_key_value_heads": 4},
    "gqa-3-llama3-tied": {
        "num_attention_heads": 6,
        "num_key_value_heads": 2,
        "head_dim": 10,
        "rope_parameters": LLAMA3_ROPE,
        "tie_word_embeddings": True,
    },
    "gqa-8-biases": {
        "num_attention_heads": 8,
        "num_key_value_heads": 1,
        "head_dim": 8,
        "attention_bias": True,
        "mlp_bias": True,
    },
}

def llama_json(**changes: Any) -> str:
    """A Llama's config.json with some fields changed."""
    return json.dumps({**llama_config().to_dict(), **changes})


Step = Callable[[list[int], int], Tensor]


def stepper(captured: Captured, model: torch.nn.Module) -> Step:
    """A function that runs new ids of one sequence from a position on and keeps the state between calls."""
    store: ops.KVStore = {}
    past: list[Tensor] = [torch.zeros(1, s.kv_heads, 0, d) for s in captured.state for d in (s.k_dim, s.v_dim)]

    def step(ids: list[int], start: int) -> Tensor:
        nonlocal past
        positions = torch.arange(start, start + len(ids))[None]
        user = [torch.tensor([ids]), positions, torch.tensor([len(ids) - 1])]
        if captured.recipe == "aten":
            out = run_captured(captured, model, *user, *past)
            past = [torch.cat(pair, 2) for pair in zip(past, out[1:], strict=True)]
        else:
            with ops.kv_store(store):
                out = run_captured(captured, model, *user)
        return out[0]

    return step


@pytest.mark.parametrize("recipe", ["fused", "aten"])
@pytest.mark.parametrize("variant", VARIANTS)
def test_prefill_and_decode(variant: str, recipe: Any) -> None:
    model = random_llama(llama_config(**VARIANTS[variant]))
    # The graph comes from the configuration alone; the weights are bound by name.
    captured = capture_decoder(model_from_config(model.config), recipe)
    ids = [3, 77, 12, 5, 100, 41, 8, 8, 63]
    with torch.no_grad():
        want = model(input_ids=torch.tensor([ids]), use_cache=False).logits[0]
    step = stepper(captured, model)
    for start, stop in [(0, 5), (5, 6), (6, 7), (7, 9)]:
        got = step(ids[start:stop], start)
        assert got.shape == (1, model.config.vocab_size)
        assert relative_error(got[0], want[stop - 1]) < TOLERANCE


@pytest.mark.parametrize("recipe", ["fused", "aten"])
def test_greedy_ids_equal(recipe: Any) -> None:
    prompt = (1, 5, 9, 33, 7)
    model = decidable_llama(llama_config(rope_parameters=LLAMA3_ROPE), prompt)
    want, _ = greedy(model, prompt, 64)
    step = stepper(capture_decoder(model_from_config(model.config), recipe), model)
    got: list[int] = []
    new, at = list[int](prompt), 0
    for _ in want:
        got.append(int(step(new, at).argmax()))
        at += len(new)
        new = got[-1:]
    assert got == want


def test_fused_batch_of_prompts_of_different_length() -> None:
    model = random_llama()
    captured = capture_decoder(model_from_config(model.config))
    prompts = [[4, 9, 2, 30], [7], [55, 3, 18]]
    width = max(map(len, prompts))
    ids = torch.tensor([p + [0] * (width - len(p)) for p in prompts])
    positions = torch.tensor([[*range(len(p))] + [-1] * (width - len(p)) for p in prompts])
    last = torch.tensor([len(p) - 1 for p in prompts])
    following = [11, 12, 13]
    store: ops.KVStore = {}
    with ops.kv_store(store):
        first = run_captured(captured, model, ids, positions, last)[0]
        decode = (torch.tensor(following)[:, None], last[:, None] + 1, torch.zeros(3, dtype=torch.long))
        second = run_captured(captured, model, *decode)[0]
    for i, prompt in enumerate(prompts):
        with torch.no_grad():
            want = model(input_ids=torch.tensor([[*prompt, following[i]]]), use_cache=False).logits[0]
        assert relative_error(first[i], want[-2]) < TOLERANCE
        assert relative_error(second[i], want[-1]) < TOLERANCE


def test_last_chooses_the_row() -> None:
    model = random_llama()
    ids = torch.tensor([[4, 9, 2, 30, 6]])
    with torch.no_grad():
        want = model(input_ids=ids, use_cache=False).logits[0]
    for recipe in ("fused", "aten"):
        captured = capture_decoder(model_from_config(model.config), recipe)
        past = [torch.zeros(1, 2, 0, 12)] * 4 if recipe == "aten" else []
        for row in (0, 2, 4):
            got = run_captured(captured, model, ids, torch.arange(5)[None], torch.tensor([row]), *past)[0]
            assert relative_error(got[0], want[row]) < TOLERANCE
        head = next(n for n in reversed(captured.gm.graph.nodes) if str(n.target) == "aten.linear.default")
        assert head.meta["val"].dim() == 2, "the head must see one row a sequence, not all"


def test_signature_of_fused() -> None:
    captured = capture_decoder(model_from_config(llama_config(tie_word_embeddings=True)))
    assert captured.symbols["S"] == (1, 256)
    assert captured.symbols["B"][0] == 0
    assert [(s.name, s.shape, s.dtype) for s in captured.of_kind("user")] == [
        ("input_ids", (B, S), "int64"),
        ("position_ids", (B, S), "int64"),
        ("last", (B,), "int64"),
    ]
    assert [o.shape for o in captured.outputs] == [(B, 101), *[(B, 2, S, 12)] * 4]
    assert [(s.layer, s.past_k, s.new_k, s.new_v, s.kv_heads, s.k_dim, s.v_dim) for s in captured.state] == [
        (0, None, 1, 2, 2, 12, 12),
        (1, None, 3, 4, 2, 12, 12),
    ]
    assert captured.tied == {"lm_head.weight": "model.embed_tokens.weight"}
    assert "lm_head.weight" not in {s.target for s in captured.inputs}
    ops_used = [str(n.target) for n in captured.gm.graph.nodes if n.op == "call_function"]
    assert [ops_used.count(f"irsql.{op}.default") for op in ("attention", "rms_norm", "rope")] == [2, 5, 4]
    assert not {"aten.softmax.int", "aten.pow.Tensor_Scalar", "aten.neg.default", "aten.le.Tensor"} & set(ops_used)
    layers = [n.args[4] for n in captured.gm.graph.nodes if str(n.target) == "irsql.attention.default"]
    assert layers == [0, 1]


def test_signature_of_aten() -> None:
    captured = capture_decoder(model_from_config(llama_config()), "aten")
    assert captured.symbols == {"S": (1, 256), "P": (0, 256)}
    assert [(s.name, s.shape) for s in captured.of_kind("user")] == [
        ("input_ids", (1, S)),
        ("position_ids", (1, S)),
        ("last", (1,)),
        *((f"past_{kv}_{layer}", (1, 2, P, 12)) for layer in (0, 1) for kv in "kv"),
    ]
    assert [(s.past_k, s.past_v) for s in captured.state] == [("past_k_0", "past_v_0"), ("past_k_1", "past_v_1")]
    assert all(str(n.target).startswith("aten.") or n.op != "call_function" or n.target.__module__ == "_operator"
               for n in captured.gm.graph.nodes)  # fmt: skip


@pytest.mark.parametrize("rope", [None, LLAMA3_ROPE])
def test_buffers_recomputed_from_meta(rope: Any) -> None:
    config = llama_config(**({"rope_parameters": rope} if rope else {}))
    captured = capture_decoder(model_from_config(config))
    (name,) = captured.buffers
    want = random_llama(config).model.rotary_emb.inv_freq
    np.testing.assert_array_equal(captured.buffers[name], want.numpy())


def test_capture_leaves_the_model_as_it_was() -> None:
    model = random_llama()
    ids = torch.tensor([[4, 9, 2]])
    with torch.no_grad():
        before = model(input_ids=ids, use_cache=False).logits
        for recipe in ("fused", "aten"):
            capture_decoder(model, recipe)
        after = model(input_ids=ids, use_cache=False).logits
    assert torch.equal(before, after)
    assert "forward" not in vars(model)
    assert model.config._attn_implementation == "eager"


def test_provenance_of_fused_nodes() -> None:
    captured = capture_decoder(model_from_config(llama_config()))
    places = {"rms_norm": "input_layernorm", "attention": "self_attn", "rope": "self_attn"}
    for target, module in places.items():
        node = next(n for n in captured.gm.graph.nodes if str(n.target) == f"irsql.{target}.default")
        origin = provenance(node)
        assert origin.module == f"model.layers.0.{module}"
        assert origin.file == "transformers/models/llama/modeling_llama.py"
        assert origin.line > 0


class ShiftedRMSNorm(LlamaRMSNorm):
    def forward(self, hidden_states: Tensor) -> Tensor:
        return super().forward(hidden_states) + hidden_states


def test_a_norm_that_is_none_stays_plain() -> None:
    model = random_llama()
    for layer in model.model.layers:
        norm = layer.input_layernorm
        assert isinstance(norm, LlamaRMSNorm)
        norm.__class__ = ShiftedRMSNorm
    captured = capture_decoder(model)
    targets = [str(n.target) for n in captured.gm.graph.nodes]
    assert targets.count("irsql.rms_norm.default") == 3
    assert targets.count("aten.rsqrt.default") == 2


SIZES: dict[str, Any] = {
    "vocab_size": 101, "hidden_size": 48, "intermediate_size": 72, "num_hidden_layers": 2, "num_attention_heads": 4,
    "num_key_value_heads": 2, "head_dim": 12, "max_position_embeddings": 128, "pad_token_id": None,
}  # fmt: skip
OTHERS: dict[str, tuple[str, dict[str, Any]]] = {
    "a window": ("Mistral", {"sliding_window": 8}),
    "a soft cap and a window in every second layer": (
        "Gemma2", {"sliding_window": 8, "attn_logit_softcapping": 5.0, "query_pre_attn_scalar": 12},
    ),
    "a rotation of half of each head": ("Nemotron", {"partial_rotary_factor": 0.5}),
    "norms of heads": ("Qwen3", {}),
    "biases of q, k and v": ("Qwen2", {}),
}  # fmt: skip


@pytest.mark.parametrize("recipe", ["fused", "aten"])
@pytest.mark.parametrize("name", OTHERS)
def test_other_decoders(name: str, recipe: Any) -> None:
    """Each has something that Llama has not; what the fused recipe does not recognise stays plain."""
    import transformers

    family, extra = OTHERS[name]
    config = getattr(transformers, f"{family}Config")(**SIZES, **extra, architectures=[f"{family}ForCausalLM"])
    model = seeded(getattr(transformers, f"{family}ForCausalLM")._from_config(config, attn_implementation="eager"), 3)
    step = stepper(capture_decoder(model_from_config(config), recipe), model)
    seen: list[int] = []
    for ids in ([1, 5, 9, 33, 7], *([n] for n in range(20, 30))):  # past the window
        got = step(ids, len(seen))
        seen += ids
        with torch.no_grad():
            want = model(input_ids=torch.tensor([seen]), use_cache=False).logits[0, -1]
        assert relative_error(got, want) <= TOLERANCE


def test_folder_to_graph_to_logits(tmp_path: Path) -> None:
    """A sharded bfloat16 checkpoint, captured from its folder and bound by the reader's names."""
    model = random_llama(llama_config(tie_word_embeddings=True))
    folder = save_llama(model, tmp_path / "m", torch.bfloat16, shard_size="40KB")
    captured = capture_decoder(model_from_config(folder))
    checkpoint = Checkpoint.open(folder)
    assert len({info.file for info in checkpoint.tensors.values()}) > 1
    wanted = {s.target: tuple(int(d) for d in s.shape if isinstance(d, int)) for s in captured.of_kind("parameter")}
    names = checkpoint.resolve(wanted, captured.tied)
    for target, stored in names.items():
        np.testing.assert_array_equal(checkpoint.read(stored), model.state_dict()[target].numpy())
    ids = torch.tensor([[4, 9, 2, 30, 6]])
    with torch.no_grad():
        want = model(input_ids=ids, use_cache=False).logits[0, -1]
    got = run_captured(captured, model, ids, torch.arange(5)[None], torch.tensor([4]))[0]
    assert relative_error(got[0], want) < TOLERANCE


@pytest.mark.parametrize(
    ("content", "match"),
    [
        (None, "holds no config.json"),
        ("{", "cannot be read"),
        ("{}", "names no model_type"),
        ('{"model_type": "nosuchmodel"}', "cannot be read"),
        ('{"model_type": "llama", "architectures": ["LlamaModel"]}', "no causal language model"),
        ('{"model_type": "t5", "architectures": ["T5ForConditionalGeneration"]}', "has an encoder"),
        (llama_json(hidden_act="nosuch"), "transformers cannot make LlamaForCausalLM of its configuration: KeyError"),
        (llama_json(num_hidden_layers=0), "has no layers"),
        (llama_json(hidden_size="abc"), "cannot be read|cannot make"),
        (llama_json(num_attention_heads=None), "cannot be read|cannot make"),
        (llama_json(head_dim=7), "cannot be read|cannot make"),
        (llama_json(num_key_value_heads=3), "cannot be read|cannot make"),
        (llama_json(rope_parameters={"rope_type": "nosuch"}), "cannot be read|cannot make"),
        (llama_json(vocab_size=-5), "cannot be read|cannot make"),
    ],
)
def test_bad_configurations(tmp_path: Path, content: str | None, match: str) -> None:
    if content is not None:
        (tmp_path / "config.json").write_text(content)
    with pytest.raises(CaptureError, match=match) as caught:
        model_from_config(tmp_path)
    assert "\n" not in str(caught.value)


def test_half_precision_is_refused() -> None:
    with pytest.raises(CaptureError, match="capture it in float32"):
        capture_decoder(random_llama().bfloat16())


def test_llama_3_8b_without_weights() -> None:
    """The real configuration, on meta: the graph is complete and no weight was allocated."""
    config = llama_config(
        hidden_size=4096, intermediate_size=14336, num_hidden_layers=32, num_attention_heads=32, num_key_value_heads=8,
        vocab_size=128256, max_position_embeddings=8192, rope_parameters={"rope_type": "default", "rope_theta": 5e5},
    )  # fmt: skip
    captured = capture_decoder(model_from_config(config))
    count = sum(math.prod(d for d in s.shape if isinstance(d, int)) for s in captured.of_kind("parameter"))
    assert count == 8_030_261_248
    assert len(captured.state) == 32
    assert len({s.target for s in captured.of_kind("parameter")}) == 291
    assert captured.outputs[0].shape == (B, 128256)
