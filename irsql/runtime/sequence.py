"""One sequence of a model: its tokens, and the keys and values they left in the state database."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

import attrs
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from irsql.runtime import tokens
from irsql.runtime.errors import UserError
from irsql.runtime.settings import Settings
from irsql.targets import control
from irsql.targets.control import META, SEQUENCE, STATE, TOKEN
from irsql.targets.tables import from_arrow

if TYPE_CHECKING:
    from irsql.runtime.session import Model


def chat_key(number: int) -> str:
    """Under which key the state database keeps the messages of a sequence that is a chat."""
    return f"chat {number}"


class TokenSequence:
    """One sequence: its tokens, and the state they left in the database; see :meth:`Model.sequence`.

    Attributes
    ----------
    number
        Its number in the state database.
    ids
        All tokens.
    length
        How many of them have been run.
    prompt_length
        How many of them were given.
    max_length
        How many there may be.
    settings
        How the next one is chosen.
    """

    def __init__(self, model: Model, number: int, ids: list[int], length: int, prompt_length: int, max_length: int,
                 settings: Settings) -> None:  # fmt: skip
        self.model, self.number, self.ids, self.settings = model, number, ids, settings
        self.length, self.prompt_length, self.max_length = length, prompt_length, max_length

    def __repr__(self) -> str:
        return f"<sequence {self.number}: {len(self.ids)} of at most {self.max_length} tokens>"

    @property
    def waiting(self) -> int:
        """Tokens that are still to be run."""
        return len(self.ids) - self.length

    def prefill(self, ids: Iterable[int]) -> None:
        """Append tokens and run them.

        Raises
        ------
        UserError
            If there are none, one is unknown, or they do not fit the context.
        """
        new = tokens.check_ids(list(ids), self.model.vocabulary_size)
        self._check_room(len(new))
        self._append(new)  # all at once: what is killed while it runs has its whole prompt
        self.model.run([self])

    def step(self, token: int | None = None) -> int:
        """Draw the next token, or append a given one; gives it.

        Raises
        ------
        UserError
            If the sequence is empty or full, or the token is unknown.
        """
        if token is None:
            return self.model.step([self])[0]
        self._check_room(1)
        self._append(tokens.check_ids([token], self.model.vocabulary_size))
        return token

    def logits(self) -> npt.NDArray[np.float32]:
        """The logits of the token after the last one."""
        self._refresh()
        if self.waiting:
            self.model.run([self])
        db = self.model.db
        _, function = self.model._fresh[self.number]
        spec = control.output(self.model.program.functions[function], "logits")
        table = db.read(spec)
        mine = table.filter(pc.call_function("equal", [table.column(spec.keys[0].name), self.number]))
        mine = mine.set_column(0, spec.keys[0].name, pa.array(np.zeros(mine.num_rows, np.int64)))
        return from_arrow(spec, mine, {"B": 1, "S": 1})[0]

    def configure(self, settings: Settings | None = None, max_length: int | None = None) -> None:
        """Change how the next tokens are chosen, and how many there may be; what is not given stays."""
        self.settings = self.settings if settings is None else settings
        self.max_length = self.max_length if max_length is None else min(max_length, self.model.context)
        values = {"max_length": self.max_length, **attrs.asdict(self.settings)}
        db = self.model.db
        db.execute(db.control.update_sequence(tuple(values)), [*values.values(), self.number])

    def fork(self, at: int | None = None, settings: Settings | None = None) -> TokenSequence:
        """A new sequence with the same first tokens. Both go on independently and share the state of what they share.

        Parameters
        ----------
        at
            How many tokens the two have in common; all of them by default.
        settings
            How the new one chooses; by default as this one.

        Raises
        ------
        UserError
            If this sequence has fewer tokens, or the model takes one sequence at a time.
        """
        count = len(self.ids) if at is None else at
        if not 0 <= count <= len(self.ids):
            raise UserError(f"the sequence has {len(self.ids)} tokens, it cannot be forked at {count}")
        model, length = self.model, min(count, self.length)
        with model.db.transaction():
            child = model.add(self.settings if settings is None else settings, self.max_length, shares=(self, length))
            if count:
                child._append(self.ids[:count], given=min(count, self.prompt_length))
            model.db.execute(model.db.control.update_sequence(("length",)), [length, child.number])
        child.length = length
        return child

    def truncate(self, count: int) -> None:
        """Forget all but the first tokens.

        Raises
        ------
        UserError
            If there are fewer.
        """
        if not 0 <= count <= len(self.ids):
            raise UserError(f"the sequence has {len(self.ids)} tokens, it cannot be cut to {count}")
        db, c = self.model.db, self.model.db.control
        with db.transaction():
            self._cut(min(count, self.length))
            db.execute(c.delete(TOKEN, STATE, ("seq",), "pos"), [self.number, count])
            db.execute(c.update_sequence(("prompt_length",)), [min(count, self.prompt_length), self.number])
        del self.ids[count:]
        self.prompt_length = min(count, self.prompt_length)
        self.model._fresh.pop(self.number, None)

    def delete(self) -> None:
        """Remove the sequence and its state."""
        db, c = self.model.db, self.model.db.control
        with db.transaction():
            self.model.forks.drop(self.number)
            for name in (TOKEN, SEQUENCE):
                db.execute(c.delete(name, STATE, ("seq",)), [self.number])
            db.execute(c.delete(META, STATE, ("key",)), [chat_key(self.number)])
        self.model._fresh.pop(self.number, None)
        if self.model._selected:
            self.model._selected.discard(self.number)
        self.ids, self.length = [], 0

    def _append(self, ids: Sequence[int], given: int | None = None) -> None:
        """Write tokens behind those that are there; ``given`` of all are the prompt, by default every one."""
        db = self.model.db
        prompt = len(self.ids) + len(ids) if given is None else given
        count, begin = len(ids), len(self.ids)
        rows = pa.table(
            {"seq": np.full(count, self.number), "pos": np.arange(begin, begin + count), "id": np.array(ids)}
        )
        with db.transaction():
            db.insert(TOKEN, rows, STATE)
            db.execute(db.control.update_sequence(("prompt_length",)), [prompt, self.number])
        self.ids += ids
        self.prompt_length = prompt

    def _check_room(self, count: int) -> None:
        context = self.model.context
        if len(self.ids) + count > context:
            if count == 1 and self.ids:
                raise UserError(f"the context of {context} tokens is full")
            raise UserError(f"a prompt of {len(self.ids) + count} tokens does not fit the context of {context}")
        if len(self.ids) + count > self.max_length:
            raise UserError(f"the sequence may have {self.max_length} tokens, {len(self.ids) + count} are wanted")

    def _refresh(self) -> None:
        """See to it that the next step has logits: either tokens wait, or the last step's are this sequence's."""
        if not self.ids:
            raise UserError("the sequence is empty: prefill it first")
        if not self.waiting and self.model._fresh.get(self.number, (0, ""))[0] != len(self.ids):
            self._rewind()

    def _rewind(self) -> None:
        """Let the last token wait again, if none does."""
        if not self.waiting:
            self._cut(self.length - 1)

    def _cut(self, length: int) -> None:
        """Forget the state from a position on."""
        db = self.model.db
        with db.transaction():
            self.model.forks.cut(self.number, length)
            db.execute(db.control.update_sequence(("length",)), [length, self.number])
        self.length = length
