"""Many prompts at once: one query a step for all of them, and the next prompt where a text has ended."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Generator, Iterator, Sequence
from typing import Any

import attrs

from irsql.runtime import tokens
from irsql.runtime.errors import UserError
from irsql.runtime.generate import Defaults, Piece, check_prompt, stop_set
from irsql.runtime.sequence import TokenSequence
from irsql.runtime.session import Model

AT_ONCE = 64
"""Sequences that are generated together, at most; their keys, values and logits are in memory at the same time."""


@attrs.define
class Result:
    """What one prompt became.

    Attributes
    ----------
    prompt_ids, ids
        The prompt, and the new tokens; a stop token is the last of them.
    text
        Their text, empty for a model without tokenizer.
    sequence
        Number of the sequence in the state database, where it was kept.
    """

    prompt_ids: list[int]
    ids: list[int] = attrs.Factory(list)
    text: str = ""
    sequence: int | None = None


@attrs.define
class _Running:
    index: int
    sequence: TokenSequence
    stream: tokens.TextStream


class BatchGeneration:
    """A running batch: iterate over it for ``(number of the prompt, piece)``; see :func:`generate_batch`.

    Attributes
    ----------
    results
        One entry a prompt, in order, growing as the batch runs.
    ended
        How many texts have ended.
    timings
        Seconds and token counts of both phases.
    """

    def __init__(self, model: Model, waiting: Sequence[tuple[TokenSequence, list[int]]], stop_ids: frozenset[int],
                 keep: bool, at_once: int) -> None:  # fmt: skip
        self.results = [Result(ids, sequence=sequence.number if keep else None) for sequence, ids in waiting]
        self.timings: dict[str, float] = {}
        self._model, self._stop_ids, self._keep, self._at_once = model, stop_ids, keep, at_once
        self._sequences = {i: sequence for i, (sequence, _) in enumerate(waiting)}
        self.ended = 0
        self._pieces = self._run()

    def __iter__(self) -> Iterator[tuple[int, Piece]]:
        return self._pieces

    def close(self) -> None:
        """Stop here; the sequences are deleted unless they are to be kept."""
        self._pieces.close()
        self._drop()

    def _drop(self) -> None:
        if not self._keep and not self._model.db.closed:
            while self._sequences:
                self._sequences.popitem()[1].delete()

    def _run(self) -> Generator[tuple[int, Piece], None, None]:
        running: list[_Running] = []
        pending = list(range(len(self.results)))[::-1]
        prefill = decode = 0.0
        fed = 0
        try:
            while running or pending:
                begin = time.perf_counter()
                free = min(self._at_once - len(running), len(pending))
                if free:
                    news = [_Running(i, self._sequences[i], tokens.TextStream(self._model.tokens))
                            for i in (pending.pop() for _ in range(free))]  # fmt: skip
                    self._model.feed([(r.sequence, self.results[r.index].prompt_ids) for r in news])
                    fed += sum(len(self.results[r.index].prompt_ids) for r in news)
                    running += news
                middle = time.perf_counter()
                drawn = self._model.step([r.sequence for r in running])
                prefill, decode = prefill + middle - begin, decode + time.perf_counter() - middle
                ended: list[_Running] = []
                for r, token in zip(running, drawn, strict=True):
                    done = token in self._stop_ids or len(r.sequence.ids) >= r.sequence.max_length
                    text = r.stream.push(token) + (r.stream.finish() if done else "")
                    result = self.results[r.index]
                    result.ids.append(token)
                    result.text += text
                    ended += [r] if done else []
                    self._time(fed, prefill, decode)
                    self.ended += done
                    yield r.index, Piece(token, text)
                running = [r for r in running if r not in ended]
                for r in () if self._keep else ended:
                    del self._sequences[r.index]
                    r.sequence.delete()
        finally:
            self._drop()

    def _time(self, fed: int, prefill: float, decode: float) -> None:
        count = sum(len(r.ids) for r in self.results)
        self.timings = {
            "prefill_tokens": fed, "prefill_seconds": round(prefill, 6), "decode_tokens": count,
            "decode_seconds": round(decode, 6), "tokens_per_second": round(count / decode, 3) if decode else 0.0,
        }  # fmt: skip


def generate_batch(
    model: Model,
    prompts: Sequence[str | Sequence[int]],
    *,
    max_new_tokens: int = 128,
    stop_ids: Sequence[int] | None = None,
    keep: bool = False,
    at_once: int = AT_ONCE,
    **settings: Any,
) -> BatchGeneration:
    """Continue many prompts. Each gets exactly what it gets alone, with the same seed.

    Parameters
    ----------
    model
        An open model.
    prompts
        Texts or token ids. The n-th copy of the same prompt draws other tokens than the first.
    max_new_tokens, stop_ids, keep, settings
        As in :func:`irsql.runtime.generate.generate`, for all of them.
    at_once
        How many run together.

    Raises
    ------
    UserError
        If a prompt does not fit the model; it is named, and nothing is generated.
    """
    if max_new_tokens < 1:
        raise UserError(f"the number of new tokens must be at least 1, not {max_new_tokens}")
    if not prompts:
        raise UserError("the batch is empty: give at least one prompt")
    if not model.batched:
        raise UserError("this model was captured for one sequence at a time: capture it with the fused recipe")
    defaults = Defaults.of(model)
    base = attrs.evolve(defaults.settings, **{k: v for k, v in settings.items() if v is not None})
    stops = stop_set(model, defaults, stop_ids)
    encoded: list[list[int]] = []
    for number, prompt in enumerate(prompts, 1):
        try:
            ids = model.encode(prompt) if isinstance(prompt, str) else tokens.check_ids(prompt, model.vocabulary_size)
            check_prompt(model, len(ids))
        except UserError as error:
            raise UserError(f"prompt {number}: {error}") from None
        encoded.append(ids)
    seen: Counter[tuple[int, ...]] = Counter()
    waiting: list[tuple[TokenSequence, list[int]]] = []
    with model.db.transaction():
        for ids in encoded:
            own = attrs.evolve(base, stream=base.stream + seen[tuple(ids)])
            seen[tuple(ids)] += 1
            waiting.append((model.add(own, len(ids) + max_new_tokens), ids))
    model.set_stops(stops)
    return BatchGeneration(model, waiting, stops, keep, max(1, at_once))
