"""The story grammar, and the committed demo model against fresh stories of it."""

from __future__ import annotations

import json
import random
import re
from itertools import islice
from pathlib import Path

import pytest

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")
tokenizers = pytest.importorskip("tokenizers")
safetensors_numpy = pytest.importorskip("safetensors.numpy")

import irsql  # noqa: E402
from irsql.tools.demo_model.grammar import expand, pick, stories, story  # noqa: E402
from irsql.tools.demo_model.plots import PLOTS  # noqa: E402

FOLDER = Path(irsql.__file__).parent / "data" / "demo"
HELD_OUT = 987_654_321  # no stream that the training script draws from starts here

UNICODE = [
    "",
    " ",
    "\n\t  two  spaces ",
    "naïve café — “quotes” …",
    "日本語のテキスト",
    "👩‍👩‍👧‍👦🏳️‍🌈 e\u0301 \u202eright\u202c",
    "\x00\x01\x7f\ufeff\uffff\U0010ffff",
    "DROP TABLE weights; -- 'quoted' \"too\" \\ %s {x}",
]


def take(seed: int, count: int) -> list[str]:
    return list(islice(stories(seed), count))


@pytest.fixture(scope="module")
def tokenizer():
    return transformers.AutoTokenizer.from_pretrained(FOLDER)


@pytest.fixture(scope="module")
def model():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield transformers.AutoModelForCausalLM.from_pretrained(FOLDER, dtype=torch.float32).eval()
    torch.set_num_threads(threads)


def greedy(model, tokenizer, prompt: str) -> str:
    """The text that follows the prompt; the test fails if the model does not end it."""
    ids = tokenizer(prompt, return_tensors="pt").input_ids
    with torch.no_grad():
        out = model.generate(ids, do_sample=False, max_new_tokens=300, pad_token_id=model.config.eos_token_id)
    assert out[0, -1] == model.config.eos_token_id, "the story does not end"
    return tokenizer.decode(out[0, ids.shape[1] :], skip_special_tokens=True)


class TestGrammar:
    def test_same_seed_same_stories(self):
        assert take(7, 20) == take(7, 20)
        assert take(7, 20) != take(8, 20)

    def test_stories_differ(self):
        texts = take(3, 200)
        assert len(set(texts)) == 200
        assert len({text.split(".")[0] for text in texts}) > 190
        words = {word.strip('.,!?"') for text in texts for word in text.split()}
        assert len(words) > 800

    def test_length(self):
        lengths = [len(text.split()) for text in take(4, 500)]
        assert 80 <= min(lengths)
        assert max(lengths) <= 190

    @pytest.mark.parametrize("plot", PLOTS, ids=lambda plot: plot.name)
    def test_clean_english(self, plot):
        for seed in range(60):
            text = story(random.Random(seed), plot)
            assert not re.search(r"[\[\]{}|\n]|  | [.,!?]|[.!?] [a-z]|\"[a-z]|\b[Aa] [aeiou]", text), text
            assert text.count('"') % 2 == 0, text
            assert text.endswith((".", '."')), text

    def test_expand_nests_and_fills(self):
        slots = {"h": {"name": "Mia", "they": "she"}}
        found = {expand(random.Random(seed), "[a [b|c]|{h} {h.they}]", slots) for seed in range(50)}
        assert found == {"a b", "a c", "Mia she"}

    def test_early_items_are_likelier(self):
        rng = random.Random(0)
        drawn = [pick(rng, "abc") for _ in range(3000)]
        assert drawn.count("a") > drawn.count("b") > drawn.count("c") > 600


class TestFolder:
    def test_size(self):
        assert sum(file.stat().st_size for file in FOLDER.iterdir()) <= 6_000_000

    def test_config_matches_weights(self):
        config = json.loads((FOLDER / "config.json").read_text())
        weights = safetensors_numpy.load_file(FOLDER / "model.safetensors")
        hidden, inner, head = config["hidden_size"], config["intermediate_size"], config["head_dim"]
        layer = {
            "self_attn.q_proj": (config["num_attention_heads"] * head, hidden),
            "self_attn.k_proj": (config["num_key_value_heads"] * head, hidden),
            "self_attn.v_proj": (config["num_key_value_heads"] * head, hidden),
            "self_attn.o_proj": (hidden, config["num_attention_heads"] * head),
            "mlp.gate_proj": (inner, hidden),
            "mlp.up_proj": (inner, hidden),
            "mlp.down_proj": (hidden, inner),
            "input_layernorm": (hidden,),
            "post_attention_layernorm": (hidden,),
        }
        expected = {"model.embed_tokens.weight": (config["vocab_size"], hidden), "model.norm.weight": (hidden,)}
        for index in range(config["num_hidden_layers"]):
            expected |= {f"model.layers.{index}.{name}.weight": shape for name, shape in layer.items()}
        assert config["tie_word_embeddings"]
        assert config["num_key_value_heads"] < config["num_attention_heads"]
        assert config["max_position_embeddings"] == 512
        assert {name: tensor.shape for name, tensor in weights.items()} == expected

    def test_special_ids_agree(self, tokenizer):
        config = json.loads((FOLDER / "config.json").read_text())
        generation = json.loads((FOLDER / "generation_config.json").read_text())
        for name, token in (("bos_token_id", "<|begin_of_text|>"), ("eos_token_id", "<|end_of_text|>")):
            assert config[name] == generation[name] == tokenizer.convert_tokens_to_ids(token)
        assert len(tokenizer) == config["vocab_size"]

    @pytest.mark.parametrize("text", UNICODE)
    def test_any_text_round_trips(self, text):
        plain = tokenizers.Tokenizer.from_file(str(FOLDER / "tokenizer.json"))
        encoding = plain.encode(text)
        assert encoding.tokens[0] == "<|begin_of_text|>"
        assert plain.decode(encoding.ids) == text

    def test_random_unicode_round_trips(self):
        plain = tokenizers.Tokenizer.from_file(str(FOLDER / "tokenizer.json"))
        rng = random.Random(5)
        for _ in range(200):
            points = [rng.randrange(0x11_0000 - 0x800) for _ in range(rng.randrange(1, 30))]
            text = "".join(chr(point if point < 0xD800 else point + 0x800) for point in points)
            assert plain.decode(plain.encode(text).ids) == text


class TestModel:
    def test_low_loss_on_new_stories(self, model, tokenizer):
        losses = []
        for text in take(HELD_OUT, 16):
            ids = torch.tensor([[*tokenizer(text).input_ids, tokenizer.eos_token_id]])
            with torch.no_grad():
                losses.append(model(input_ids=ids, labels=ids).loss.item())
        assert sum(losses) / len(losses) < 0.35

    @pytest.mark.parametrize(("kind", "name", "pronoun"), [("girl", "Lily", "she"), ("boy", "Omar", "he")])
    def test_greedy_story_ends_and_keeps_its_hero(self, model, tokenizer, kind, name, pronoun):
        text = greedy(model, tokenizer, f"Once upon a time, there was a little {kind} named {name}.")
        assert len(text.split()) > 60
        assert text.count(name) >= 4
        assert re.search(rf"\b{pronoun}\b", text)

    def test_greedy_steps_are_decidable(self, model, tokenizer):
        ids = tokenizer("Once upon a time", return_tensors="pt").input_ids
        with torch.no_grad():
            out = model.generate(
                ids,
                do_sample=False,
                max_new_tokens=120,
                pad_token_id=model.config.eos_token_id,
                output_logits=True,
                return_dict_in_generate=True,
            )
        gaps, bounds = [], []
        for logits in out.logits:
            first, second = logits[0].topk(2).values.tolist()
            gaps.append(first - second)
            # irsql promises equal tokens where the gap exceeds ten times its error, at most 1e-4 of the largest logit.
            bounds.append(10 * 1e-4 * logits.abs().max().item())
        decided = sum(gap > bound for gap, bound in zip(gaps, bounds, strict=True))
        assert decided >= 0.97 * len(gaps)
