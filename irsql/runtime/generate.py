"""Continuing a prompt: what to generate, and the stream of its tokens and text."""

from __future__ import annotations

import operator
import time
from collections.abc import Generator as Generator_
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import attrs

from irsql.runtime import tokens
from irsql.runtime.errors import UserError
from irsql.runtime.sequence import TokenSequence
from irsql.runtime.session import Model
from irsql.runtime.settings import Settings

_IGNORED: Mapping[str, tuple[Any, ...]] = {
    "typical_p": (1.0, None), "epsilon_cutoff": (0.0, None), "eta_cutoff": (0.0, None), "top_h": (None,),
    "num_beams": (1, None), "no_repeat_ngram_size": (0, None), "bad_words_ids": (None,), "suppress_tokens": (None,),
    "min_length": (0, None), "min_new_tokens": (None,), "encoder_repetition_penalty": (1.0, None),
}  # fmt: skip
"""Settings of ``generation_config.json`` that change what is chosen and are not applied, with their neutral values."""
_NEUTRAL = attrs.asdict(Settings())
_FROM_CONFIG = ("temperature", "top_k", "top_p", "min_p", "repetition_penalty")


@attrs.frozen
class Piece:
    """One generated token.

    Attributes
    ----------
    id
        The token.
    text
        The characters it completes: none while a character is open, and none for special tokens.
    """

    id: int
    text: str


@attrs.frozen
class Defaults:
    """What a model's ``generation_config.json`` says about generating.

    Attributes
    ----------
    settings
        How it chooses: greedily unless it says ``do_sample``. Filters that it names hold when a temperature is given.
    stop_ids
        Its end-of-sequence tokens.
    ignored
        Settings it has that are not applied.
    """

    settings: Settings = attrs.Factory(Settings)
    stop_ids: tuple[int, ...] = ()
    ignored: tuple[str, ...] = ()

    @classmethod
    def of(cls, model: Model) -> Defaults:
        """The defaults of a model."""
        return cls.of_configs(model.generation_config, model.config)

    @classmethod
    def of_configs(cls, config: Mapping[str, Any], model_config: Mapping[str, Any]) -> Defaults:
        """The defaults in a ``generation_config.json`` and, for stop tokens, a ``config.json``."""
        given = {name: _number(name, config[name]) for name in _FROM_CONFIG if config.get(name) is not None}
        given["temperature"] = given.get("temperature", 1.0) if config.get("do_sample") else 0.0
        stops = config.get("eos_token_id", model_config.get("eos_token_id"))
        ids = stops if isinstance(stops, list) else [] if stops is None else [stops]
        if not all(isinstance(i, int) and not isinstance(i, bool) and 0 <= i < 2**63 for i in ids):
            raise UserError(f"the model's configuration names no ids at eos_token_id, but {stops!r}")
        ignored = [f"{name}={config[name]}" for name, neutral in _IGNORED.items()
                   if name in config and config[name] not in neutral]  # fmt: skip
        return cls(Settings(**given), tuple(int(i) for i in ids), tuple(ignored))


def _number(name: str, value: Any) -> Any:
    kind = type(_NEUTRAL[name])
    try:
        fits = isinstance(value, (int, float)) and not isinstance(value, bool) and kind(value) == value
    except (ValueError, OverflowError):  # infinities and NaN have no integer, large integers no float
        fits = False
    if not fits:
        what = "an integer" if kind is int else "a number"
        raise UserError(f"the model's generation_config.json says {name}: {value!r}, which is not {what}")
    return kind(value)


class Generation:
    """A running generation: iterate over it for its :class:`Piece` objects; see :func:`generate`.

    Attributes
    ----------
    sequence
        The sequence in the database.
    prompt_ids
        What was there before.
    ids
        The new tokens so far; a stop token is the last of them.
    text
        Their text so far, empty for a model without tokenizer.
    timings
        Seconds and token counts of both phases.
    """

    def __init__(self, sequence: TokenSequence, waiting: Sequence[int], stop_ids: frozenset[int], delete: bool) -> None:
        self.sequence = sequence
        self.prompt_ids = [*sequence.ids, *waiting]
        self.ids: list[int] = []
        self.text = ""
        self.timings: dict[str, float] = {}
        self._waiting, self._stop_ids, self._delete = list(waiting), stop_ids, delete
        self._prefilled = len(self._waiting)
        self._pieces = self._run()

    def __iter__(self) -> Iterator[Piece]:
        return self._pieces

    def close(self) -> None:
        """Stop here; the sequence is deleted unless it is to be kept."""
        self._pieces.close()
        self._drop()

    @property
    def context_full(self) -> bool:
        """Whether it ended because the model takes no more tokens."""
        full = len(self.prompt_ids) + len(self.ids) >= self.sequence.model.context
        return full and self.ids[-1] not in self._stop_ids

    def _drop(self) -> None:
        if self._delete and not self.sequence.model.db.closed:
            self._delete = False
            self.sequence.delete()

    def _run(self) -> Generator_[Piece, None, None]:
        model = self.sequence.model
        stream = tokens.TextStream(model.tokens)
        try:
            start = time.perf_counter()
            if self._waiting:
                self.sequence.prefill(self._waiting)
            first = time.perf_counter()
            self._time(first - start, 0.0)
            busy = 0.0
            while True:
                begin = time.perf_counter()
                token = self.sequence.step()
                busy += time.perf_counter() - begin
                self.ids.append(token)
                self._time(first - start, busy)
                done = token in self._stop_ids or len(self.sequence.ids) >= self.sequence.max_length
                text = stream.push(token) + (stream.finish() if done else "")
                self.text += text
                yield Piece(token, text)
                if done:
                    return
        finally:
            self._drop()

    def _time(self, prefill: float, decode: float) -> None:
        # The first token is drawn from the prompt's own logits, so one decode step fewer than tokens has run.
        self.timings = {
            "prefill_tokens": self._prefilled, "prefill_seconds": round(prefill, 6),
            "decode_tokens": len(self.ids), "decode_seconds": round(decode, 6),
            "tokens_per_second": round(len(self.ids) / decode, 3) if decode else 0.0,
        }  # fmt: skip


def generate(
    model: Model,
    prompt: str | None = None,
    prompt_ids: Iterable[int] | None = None,
    *,
    max_new_tokens: int = 128,
    stop_ids: Iterable[int] | None = None,
    resume: int | None = None,
    keep: bool = False,
    **settings: Any,
) -> Generation:
    """Continue a prompt. Everything is checked here; the database works while the result is iterated over.

    Parameters
    ----------
    model
        An open model.
    prompt, prompt_ids
        Text or token ids, not both.
    max_new_tokens
        Most tokens to generate; the context may end earlier.
    stop_ids
        Tokens that end the generation; by default the model's end-of-sequence tokens.
    resume
        Number of a sequence to continue, with or without a further prompt.
    keep
        Keep the sequence in the state database when done; a resumed one is always kept.
    settings
        Fields of :class:`~irsql.runtime.settings.Settings`. What is not given, or None, is as in the model's
        ``generation_config.json``, or for a resumed sequence as it was.

    Raises
    ------
    UserError
        If the arguments do not fit the model or each other.
    """
    if prompt is not None and prompt_ids is not None:
        raise UserError("give the prompt as text or as token ids, not both")
    if max_new_tokens < 1:
        raise UserError(f"the number of new tokens must be at least 1, not {max_new_tokens}")
    ids: list[int] = []
    if prompt is not None:
        ids = model.encode(prompt)
    elif prompt_ids is not None or resume is None:
        ids = [] if prompt_ids is None else list(prompt_ids)
    if ids or resume is None:
        ids = tokens.check_ids(ids, model.vocabulary_size)
    defaults = Defaults.of(model)
    stops = stop_set(model, defaults, stop_ids)
    given = {name: value for name, value in settings.items() if value is not None}
    if resume is None:
        sequence = model.add(attrs.evolve(defaults.settings, **given))
    else:
        sequence = model.resume(resume)
    total = len(sequence.ids) + len(ids)
    try:
        check_prompt(model, total)
        sequence.configure(attrs.evolve(sequence.settings, **given), total + max_new_tokens)
    except UserError:
        if resume is None:
            sequence.delete()
        raise
    model.set_stops(stops)
    return Generation(sequence, ids, stops, delete=not keep and resume is None)


def check_prompt(model: Model, total: int) -> None:
    """Whether a sequence of so many tokens can be continued.

    Raises
    ------
    UserError
        If it has none or no room.
    """
    if total > model.context:
        raise UserError(f"a prompt of {total} tokens does not fit the context of {model.context}")
    if total == model.context:
        raise UserError(f"a prompt of {total} tokens leaves no room for new ones in the context of {model.context}")
    if total == 0:
        raise UserError("the sequence is empty: give a prompt")


def stop_set(model: Model, defaults: Defaults, given: Iterable[int] | None) -> frozenset[int]:
    """The ids that end a text: those given, else the model's own.

    Raises
    ------
    UserError
        If one is not a token.
    """
    if given is None:
        return frozenset(defaults.stop_ids)
    ids = list(given)
    try:
        out = [operator.index(i) for i in ids]
    except TypeError:
        raise UserError(f"stop ids are integers, not {ids}") from None
    bad = next((i for i in out if not 0 <= i < model.vocabulary_size), None)
    if bad is not None:
        raise UserError(f"there is no token {bad} to stop at")
    return frozenset(out)
