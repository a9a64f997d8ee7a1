"""Train the demo model: grammar → tokenizer → small Llama → Hugging Face folder.

The architecture is Llama's (RMSNorm, RoPE, grouped-query attention, SwiGLU; Touvron et al. 2023,
https://arxiv.org/abs/2302.13971) as ``transformers`` implements it, the corpus comes from
:mod:`irsql.tools.demo_model.grammar`. Every row of a batch begins with the first token of a story, as a prompt does.
"""

from __future__ import annotations

import argparse
import json
import math
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
from tqdm import tqdm
from transformers import GenerationConfig, LlamaConfig, LlamaForCausalLM

from irsql.tools.demo_model.grammar import stories

BOS, EOS = "<|begin_of_text|>", "<|end_of_text|>"
VOCAB_SIZE = 1536
TOKENIZER_STORIES = 4000
MAX_POSITIONS = 512
SEED_STRIDE = 1_000_003  # keeps the story streams of neighbouring seeds and purposes apart
PRONOUNS = frozenset("he she him her his".split())
DEFAULT_OUT = Path(__file__).resolve().parents[2] / "irsql" / "data" / "demo"


def token_id(tokenizer: Tokenizer, token: str) -> int:
    """The id of a token that the vocabulary must have."""
    found = tokenizer.token_to_id(token)
    if found is None:
        raise ValueError(f"the tokenizer has no token {token}")
    return int(found)


def train_tokenizer(seed: int) -> Tokenizer:
    """Byte-level BPE: every byte is in the vocabulary, so any UTF-8 text encodes and decodes exactly."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCAB_SIZE,
        special_tokens=[BOS, EOS],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(islice(stories(seed * SEED_STRIDE), TOKENIZER_STORIES), trainer)
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"{BOS} $A",
        pair=f"{BOS} $A {BOS} $B",
        special_tokens=[(BOS, token_id(tokenizer, BOS))],
    )
    return tokenizer


def model_config(tokenizer: Tokenizer) -> LlamaConfig:
    """The architecture: 4 layers, 6 query heads on 2 key/value heads of 32 dims, tied embedding and head."""
    return LlamaConfig(
        vocab_size=tokenizer.get_vocab_size(),
        hidden_size=192,
        intermediate_size=512,
        num_hidden_layers=4,
        num_attention_heads=6,
        num_key_value_heads=2,
        head_dim=32,
        max_position_embeddings=MAX_POSITIONS,
        rms_norm_eps=1e-5,
        rope_parameters={"rope_type": "default", "rope_theta": 10000.0},
        tie_word_embeddings=True,
        bos_token_id=token_id(tokenizer, BOS),
        eos_token_id=token_id(tokenizer, EOS),
    )


def batches(tokenizer: Tokenizer, seed: int, rows: int, length: int) -> Iterator[torch.Tensor]:
    """An endless stream of (rows, length) token ids; a row is whole stories from its start, the last one cut."""
    eos = token_id(tokenizer, EOS)
    source = stories(seed * SEED_STRIDE + 1)
    while True:
        batch = []
        for _ in range(rows):
            row: list[int] = []
            while len(row) < length:
                row += [*tokenizer.encode(next(source)).ids, eos]
            batch.append(row[:length])
        yield torch.tensor(batch)


def learning_rate(step: int, steps: int, peak: float) -> float:
    """Linear warm-up over a twentieth of the steps, then a cosine down to zero."""
    warmup = max(1, steps // 20)
    if step < warmup:
        return peak * (step + 1) / warmup
    return peak * 0.5 * (1 + math.cos(math.pi * (step - warmup) / max(1, steps - warmup)))


def cast_tokens(tokenizer: Tokenizer) -> torch.Tensor:
    """Which tokens name somebody (a float mask over the vocabulary): those with a capital, and the pronouns."""
    mask = torch.zeros(tokenizer.get_vocab_size())
    for token, index in tokenizer.get_vocab().items():
        word = token.removeprefix("\u0120")  # the byte-level alphabet's space
        mask[index] = word[:1].isupper() or word in PRONOUNS
    return mask


def train(tokenizer: Tokenizer, args: argparse.Namespace) -> LlamaForCausalLM:
    """Train (from scratch, or on from ``args.init``) and return the model in float32.

    With even weights, most of the gradient is the noise of a grammar's free choices, and the model learns only late to
    look up who a story is about. So names and pronouns weigh more at first; the weights end even, and so do the
    probabilities.
    """
    torch.manual_seed(args.seed)
    torch.set_num_threads(args.threads)
    if args.init:
        model = LlamaForCausalLM.from_pretrained(args.init, dtype=torch.float32).train()
    else:
        model = LlamaForCausalLM(model_config(tokenizer))
    matrices = [p for p in model.parameters() if p.ndim > 1]
    vectors = [p for p in model.parameters() if p.ndim == 1]
    groups = [{"params": matrices, "weight_decay": 0.1}, {"params": vectors, "weight_decay": 0.0}]
    optimizer = torch.optim.AdamW(groups, betas=(0.9, 0.98))
    cast = cast_tokens(tokenizer)
    source = batches(tokenizer, args.seed, args.rows, args.length)
    mean = math.log(tokenizer.get_vocab_size())
    with tqdm(range(args.steps), unit="step") as bar:
        for step in bar:
            for group in optimizer.param_groups:
                group["lr"] = learning_rate(step, args.steps, args.lr)
            ids = next(source)
            logits = model(input_ids=ids).logits[:, :-1].flatten(0, 1)
            weights = 1 + cast * (args.emphasis - 1) * (1 - step / args.steps)
            loss = torch.nn.functional.cross_entropy(logits, ids[:, 1:].flatten(), weights)
            loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
            mean += 0.05 * (loss.item() - mean)
            bar.set_postfix(loss=f"{mean:.3f}", refresh=False)
    return model.eval()


def save(model: LlamaForCausalLM, tokenizer: Tokenizer, folder: Path) -> None:
    """Write the Hugging Face folder: float16 weights, configuration, tokenizer."""
    folder.mkdir(parents=True, exist_ok=True)
    model.generation_config = GenerationConfig(
        bos_token_id=token_id(tokenizer, BOS), eos_token_id=token_id(tokenizer, EOS)
    )
    model.half().save_pretrained(folder)
    (folder / "model.safetensors").chmod(0o644)  # it is written readable by its owner only
    tokenizer.save(str(folder / "tokenizer.json"))
    settings = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "bos_token": BOS,
        "eos_token": EOS,
        "clean_up_tokenization_spaces": False,
        "model_max_length": MAX_POSITIONS,
    }
    (folder / "tokenizer_config.json").write_text(json.dumps(settings, indent=2) + "\n")


def main() -> None:
    """Command line: train and write the folder."""
    parser = argparse.ArgumentParser(
        prog="python -m irsql.tools.demo_model",
        description="Generate stories from the grammar, train the tokenizer and a small Llama on them (CPU, minutes), "
        "and write a Hugging Face folder.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    parser.add_argument("--out", type=Path, default=DEFAULT_OUT, help="folder to write")
    parser.add_argument("--seed", type=int, default=1, help="of the corpus and of the initial weights")
    parser.add_argument("--steps", type=int, default=2000, help="optimizer steps")
    parser.add_argument("--rows", type=int, default=4, help="token rows of a batch")
    parser.add_argument("--length", type=int, default=224, help="tokens of a row")
    parser.add_argument("--lr", type=float, default=2e-3, help="peak learning rate")
    parser.add_argument("--emphasis", type=float, default=4.0, help="first loss weight of names; the last is 1")
    parser.add_argument("--init", type=Path, help="folder to continue from: its weights and tokenizer")
    parser.add_argument("--threads", type=int, default=1, help="CPU threads")
    args = parser.parse_args()
    tokenizer = Tokenizer.from_file(str(args.init / "tokenizer.json")) if args.init else train_tokenizer(args.seed)
    model = train(tokenizer, args)
    save(model, tokenizer, args.out)
    size = sum(file.stat().st_size for file in args.out.iterdir())
    print(f"{args.out}: {model.num_parameters():,} parameters, {size / 1e6:.2f} MB")


if __name__ == "__main__":
    main()
