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
from irsql.runtime.settings import Settings

AT_ONCE = 64
"""Sequences that are generated together, at most; their keys, values and logits are in memory at the same time."""
_DROPPED_AT_ONCE = 16
"""Sequences that have ended are deleted by so many: one statement for all costs hardly more than for one."""


@attrs.define
class Result:
    """What one prompt became.

    Attributes
    ----------
    prompt_ids, ids
        The prompt, and the new tokens; a stop token is the last of them.
    text
        Their text, empty for a model without tokenizer.
    ended
        Whether the text has ended, in contrast to one that still runs, waits, or was broken off.
    sequence
        Number of the sequence in the state database, where it is kept; None before it begins.
    """

    prompt_ids: list[int]
    ids: list[int] = attrs.Factory(list)
    text: str = ""
    ended: bool = False
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

    def __init__(self, model: Model, waiting: Sequence[tuple[Settings, list[int]]], max_new_tokens: int,
                 stop_ids: frozenset[int], keep: bool, at_once: int) -> None:  # fmt: skip
        self.results = [Result(ids) for _, ids in waiting]
        self.timings: dict[str, float] = {}
        self.ended = 0
        self._model, self._stop_ids, self._keep, self._at_once = model, stop_ids, keep, at_once
        self._new = [(settings, len(ids) + max_new_tokens) for settings, ids in waiting]
        self._sequences: dict[int, TokenSequence] = {}
        self._done: list[TokenSequence] = []
        self._fed = self._drawn = 0
        self._pieces = self._run()

    def __iter__(self) -> Iterator[tuple[int, Piece]]:
        return self._pieces

    def close(self) -> None:
        """Stop here; the sequences are deleted unless they are to be kept."""
        self._pieces.close()
        self._drop()

    def _drop(self) -> None:
        if not self._keep and not self._model.db.closed:
            gone = [*self._done, *self._sequences.values()]
            self._done, self._sequences = [], {}
            self._model.delete(gone)

    def _run(self) -> Generator[tuple[int, Piece], None, None]:
        running: list[_Running] = []
        begun = 0
        prefill = decode = 0.0
        try:
            while running or begun < len(self.results):
                begin = time.perf_counter()
                free = min(self._at_once - len(running), len(self.results) - begun)
                if free:
                    running += self._begin(range(begun, begun + free))
                    begun += free
                middle = time.perf_counter()
                drawn = self._model.step([r.sequence for r in running])
                prefill, decode = prefill + middle - begin, decode + time.perf_counter() - middle
                # All that the step gave is noted before any is handed out: who stops here has every text that ended.
                pieces = [self._note(r, token) for r, token in zip(running, drawn, strict=True)]
                self._time(prefill, decode)
                for r, piece in zip(running, pieces, strict=True):
                    self.ended += self.results[r.index].ended
                    yield r.index, piece
                ended = [r for r in running if self.results[r.index].ended]
                running = [r for r in running if not self.results[r.index].ended]
                self._done += [self._sequences.pop(r.index) for r in ended]
                if not self._keep and len(self._done) >= min(self._at_once, _DROPPED_AT_ONCE):
                    self._model.delete(self._done)
                    self._done = []
        finally:
            self._drop()

    def _begin(self, indices: Sequence[int]) -> list[_Running]:
        """Make the next sequences and run their prompts."""
        new = self._model.add_all([self._new[i] for i in indices])
        self._sequences |= zip(indices, new, strict=True)
        prompts = [self.results[i].prompt_ids for i in indices]
        if self._keep:
            for i, sequence in zip(indices, new, strict=True):
                self.results[i].sequence = sequence.number
        self._model.feed(list(zip(new, prompts, strict=True)))
        self._fed += sum(map(len, prompts))
        vocabulary = self._model.tokens
        return [_Running(i, s, tokens.TextStream(vocabulary)) for i, s in zip(indices, new, strict=True)]

    def _note(self, running: _Running, token: int) -> Piece:
        """Put a token into its result."""
        result, sequence = self.results[running.index], running.sequence
        result.ended = token in self._stop_ids or len(sequence.ids) >= sequence.max_length
        text = running.stream.push(token) + (running.stream.finish() if result.ended else "")
        result.ids.append(token)
        result.text += text
        self._drawn += 1
        return Piece(token, text)

    def _time(self, prefill: float, decode: float) -> None:
        self.timings = {
            "prefill_tokens": self._fed, "prefill_seconds": round(prefill, 6), "decode_tokens": self._drawn,
            "decode_seconds": round(decode, 6),
            "tokens_per_second": round(self._drawn / decode, 3) if decode else 0.0,
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
    waiting: list[tuple[Settings, list[int]]] = []
    for ids in encoded:
        waiting.append((attrs.evolve(base, stream=base.stream + seen[tuple(ids)]), ids))
        seen[tuple(ids)] += 1
    model.set_stops(stops)
    return BatchGeneration(model, waiting, max_new_tokens, stops, keep, max(1, at_once))
