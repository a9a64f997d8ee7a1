"""A conversation with a model: messages, and the sequence whose keys and values they left."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import attrs

from irsql.runtime import messages
from irsql.runtime.errors import UserError
from irsql.runtime.generate import Defaults, Generation, Piece, check_prompt, stop_set
from irsql.runtime.messages import Message
from irsql.runtime.sequence import TokenSequence, changing
from irsql.runtime.session import Model
from irsql.runtime.template import ChatTemplate
from irsql.runtime.tokens import TextStream


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
        self._messages: list[Message] = []
        self._sequence: TokenSequence | None = None
        if resume is None:
            model.next_number()  # refuses what the first message could not have
            self._settings = attrs.evolve(Defaults.of(model).settings, **given)
            if system:
                self._messages.append(Message("system", system))
        else:
            self._sequence = model.resume(resume)
            self._messages = self._restored(self._sequence)
            self._settings = attrs.evolve(self._sequence.settings, **given)
            self._sequence.configure(self._settings)

    @property
    def messages(self) -> list[dict[str, str]]:
        """The conversation so far, as ``role`` and ``content``."""
        return [m.shown for m in self._messages]

    @property
    def sequence(self) -> TokenSequence:
        """The sequence in the database; there is one from the first message on.

        Raises
        ------
        UserError
            If there has been no message.
        """
        if self._sequence is None:
            raise UserError("the chat has no sequence before its first message")
        return self._sequence

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
        ids = self._template.encode(self.model.codec, [*self.messages, {"role": "user", "content": text}])
        check_prompt(self.model, len(ids))
        return self._answer([*self._messages, Message("user", text, len(ids))], ids, max_new_tokens)

    def _answer(self, asked: list[Message], ids: list[int], max_new_tokens: int) -> Iterator[Piece]:
        stops = stop_set(self.model, Defaults.of(self.model), None)
        self.model.set_stops(stops)
        sequence = self._begin(asked, ids, max_new_tokens)
        running = Generation(sequence, (), stops, delete=False)
        failed = True
        try:
            yield from running
            failed = False
        except (GeneratorExit, KeyboardInterrupt):
            failed = False
            raise
        finally:
            if not self.model.db.closed:
                if not failed:
                    self._messages = [*asked, Message("assistant", running.text, len(sequence.ids))]
                messages.write(self.model.db, sequence.number, self._messages)

    def _begin(self, asked: list[Message], ids: list[int], max_new_tokens: int) -> TokenSequence:
        """Write the prompt, and with it the messages: who resumes a chat that was killed finds both, or neither."""
        sequence = self._present()
        with ExitStack() as changes, self.model.db.transaction():
            if sequence is None:
                sequence = self._sequence = self.model.add(self._settings)
            changes.enter_context(changing([sequence]))
            sequence._replace(ids, len(ids) + max_new_tokens)
            messages.write(self.model.db, sequence.number, asked)
        return sequence

    def _present(self) -> TokenSequence | None:
        """The sequence, unless it has been deleted, or was never written because its first message was broken off."""
        return self._sequence if self._sequence is not None and self._sequence.exists else None

    def reset(self) -> None:
        """Forget the conversation, but for its system message."""
        self._messages = [attrs.evolve(m, end=0) for m in self._messages if m.role == "system"]
        sequence = self._present()
        if sequence is not None:
            sequence.truncate(0)
            messages.write(self.model.db, sequence.number, self._messages)

    def _restored(self, sequence: TokenSequence) -> list[Message]:
        """The messages in the state database; of an answer without an end what there is of it."""
        found = messages.read(self.model.db, sequence.number)
        if found is None:
            raise UserError(f"sequence {sequence.number} is no chat: irsql generate --resume {sequence.number} "
                            "continues its text")  # fmt: skip
        if found and found[-1].role == "user":
            stream = TextStream(self.model.tokens)
            text = "".join(map(stream.push, sequence.ids[found[-1].end :]))
            found.append(Message("assistant", text, len(sequence.ids)))
        return found
