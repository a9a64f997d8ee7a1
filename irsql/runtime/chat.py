"""A conversation with a model: messages, and the sequence whose keys and values they left."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Any

import attrs

from irsql.runtime.errors import UserError
from irsql.runtime.generate import Defaults, Generation, Piece, check_prompt, stop_set
from irsql.runtime.sequence import chat_key
from irsql.runtime.session import Model
from irsql.runtime.template import ChatTemplate
from irsql.targets.control import META, STATE


class Chat:
    """Turns of a conversation on one sequence; only what is new is run.

    Parameters
    ----------
    model
        An open model with a tokenizer and a chat template.
    resume
        Number of a sequence that an earlier chat left in the state database.
    system
        A system message, for a new chat.
    settings
        Fields of :class:`~irsql.runtime.settings.Settings`; by default the model's own.

    Attributes
    ----------
    messages
        The conversation so far, as ``role`` and ``content``.
    sequence
        The sequence in the database.

    Raises
    ------
    UserError
        If the model has no tokenizer or template, or the sequence is no chat.
    """

    def __init__(self, model: Model, *, resume: int | None = None, system: str | None = None, **settings: Any) -> None:
        if model.tokenizer_text is None:
            raise UserError("the model has no tokenizer, so it cannot chat")
        if model.chat_template is None:
            raise UserError("the model has no chat template: it continues texts (irsql generate), it does not answer")
        self.model, self._template = model, model.chat_template
        given = {name: value for name, value in settings.items() if value is not None}
        self.messages: list[dict[str, str]] = []
        if resume is None:
            self.sequence = model.add(attrs.evolve(Defaults.of(model).settings, **given))
            if system:
                self.messages.append({"role": "system", "content": system})
        else:
            self.sequence = model.resume(resume)
            self.messages = self._stored(resume)
            self.sequence.configure(attrs.evolve(self.sequence.settings, **given))

    @property
    def template(self) -> ChatTemplate:
        """The model's template."""
        return self._template

    def say(self, text: str, max_new_tokens: int = 512) -> Iterator[Piece]:
        """Answer a message, token by token; the answer joins the messages when it ends or is broken off.

        Raises
        ------
        UserError
            If the conversation does not fit the context.
        """
        asked: Sequence[dict[str, str]] = [*self.messages, {"role": "user", "content": text}]
        ids = self._template.encode(self.model.codec, asked)
        check_prompt(self.model, len(ids))
        return self._answer(list(asked), ids, max_new_tokens)

    def _answer(self, asked: list[dict[str, str]], ids: list[int], max_new_tokens: int) -> Iterator[Piece]:
        sequence = self.sequence
        shared = next((n for n, (a, b) in enumerate(zip(sequence.ids, ids, strict=False)) if a != b),
                      min(len(sequence.ids), len(ids)))  # fmt: skip
        shared = min(shared, len(ids) - 1)  # something has to run, for its logits
        if shared < len(sequence.ids):
            sequence.truncate(shared)
        sequence.configure(max_length=len(ids) + max_new_tokens)
        stops = stop_set(self.model, Defaults.of(self.model), None)
        self.model.set_stops(stops)
        running = Generation(sequence, ids[shared:], stops, delete=False)
        try:
            yield from running
        finally:
            self.messages = [*asked, {"role": "assistant", "content": running.text}]
            self._store()

    def reset(self) -> None:
        """Forget the conversation, but for its system message."""
        self.messages = [m for m in self.messages if m["role"] == "system"]
        self.sequence.truncate(0)
        self._store()

    # -- the messages in the state database ------------------------------------------------------------
    def _store(self) -> None:
        db, c = self.model.db, self.model.db.control
        with db.transaction():
            db.execute(c.delete(META, STATE, ("key",)), [chat_key(self.sequence.number)])
            content = json.dumps(self.messages, ensure_ascii=False)
            db.execute(c.insert(META, ("key", "value"), STATE), [chat_key(self.sequence.number), content])

    def _stored(self, number: int) -> list[dict[str, str]]:
        db, c = self.model.db, self.model.db.control
        found = db.rows(c.read(META, ("value",), STATE, where=("key",)), [chat_key(number)])
        if not found:
            raise UserError(f"sequence {number} is no chat: irsql generate --resume {number} continues its text")
        return list(json.loads(found[0][0]))
