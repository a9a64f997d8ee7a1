"""Eager PyTorch: the oracle of every other way to run the model, and one of the peers."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from irsql.tools.bench.contender import Contender, Measured, Prefix, Stopwatch

CHUNK = 128
"""Positions that run at a time: their attention scores need memory."""


class Eager(Contender):
    """The model's own transformers class in float32, with its key-value cache.

    Parameters
    ----------
    folder
        The checkpoint.
    threads
        Threads of PyTorch.
    """

    name = "PyTorch, eager"

    def __init__(self, folder: Path, threads: int) -> None:
        self._folder, self._threads, self._model = folder, threads, None

    @contextmanager
    def _running(self) -> Iterator[Any]:
        import torch
        from transformers import AutoModelForCausalLM
        from transformers.utils import logging

        logging.disable_progress_bar()
        before = torch.get_num_threads()
        torch.set_num_threads(self._threads)
        try:
            with torch.inference_mode():
                yield AutoModelForCausalLM.from_pretrained(self._folder, dtype=torch.float32,
                                                           attn_implementation="eager").eval()  # fmt: skip
        finally:
            torch.set_num_threads(before)

    def prefix(self, contexts: Sequence[int], vocabulary: int, progress: Callable[[int], object]) -> Prefix:
        """The prefix of random tokens, seeded, with the logits after each context.

        Parameters
        ----------
        contexts
            Ascending.
        vocabulary
            Number of tokens.
        progress
            Takes a number of positions that are done.
        """
        import torch
        from transformers import DynamicCache

        ids = np.random.default_rng(0).integers(0, vocabulary, contexts[-1] + 1).tolist()
        logits, done = {}, 0
        with self._running() as model:
            cache = DynamicCache(config=model.config)
            for end in (c + 1 for c in contexts):
                while done < end:
                    upto = min(done + CHUNK, end)
                    out = model(torch.tensor([ids[done:upto]]), cache=cache, use_cache=True, logits_to_keep=1)
                    progress(upto - done)
                    done = upto
                logits[end - 1] = out.logits[0, -1].numpy().copy()
            states = {}
            for i, layer in enumerate(cache.layers):
                for name, attribute in (("k", "keys"), ("v", "values")):
                    tensor: torch.Tensor = getattr(layer, attribute)
                    states[f"kv.{i}.{name}"] = np.ascontiguousarray(tensor[0].transpose(0, 1).numpy())
        return Prefix(ids, states, logits)

    def visit(self, prefix: Prefix, contexts: Sequence[int], steps: int) -> dict[int, Measured]:
        """Take steps after the prefix of each context."""
        import torch
        from transformers import DynamicCache

        out = {}
        with self._running() as model:
            for context in contexts:
                cache = DynamicCache(config=model.config)
                for i in range(len(prefix.states) // 2):
                    keys, values = (torch.from_numpy(prefix.states[f"kv.{i}.{n}"][:context]).transpose(0, 1)[None]
                                    for n in ("k", "v"))  # fmt: skip
                    cache.update(keys, values, i)

                def step(token: int, cache: Any = cache) -> Any:
                    found = model(torch.tensor([[token]]), cache=cache, use_cache=True)
                    return found.logits[0, -1]

                logits = step(prefix.ids[context])
                ids, watch = [int(logits.argmax())], Stopwatch()
                for _ in range(steps):
                    with watch.step():
                        ids.append(int(step(ids[-1]).argmax()))
                out[context] = Measured(watch, ids, logits.numpy().copy())
        return out
