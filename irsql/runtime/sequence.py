"""One sequence of a model: its tokens, and the keys and values they left in the state database."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

import attrs
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from irsql.runtime import messages, tokens
from irsql.runtime.errors import UserError
from irsql.runtime.settings import Settings
from irsql.targets import control
from irsql.targets.control import STATE, TOKEN
from irsql.targets.tables import from_arrow

if TYPE_CHECKING:
    from irsql.runtime.session import Model


@contextmanager
def changing(sequences: Iterable[TokenSequence]) -> Iterator[None]:
    """What changes sequences, here and in the database.

    Wherever it is broken off, also by Ctrl-C right after the database has committed, they are read anew before they
    are used again. One inside another is part of it.
    """
    known = [s for s in sequences if not s._stale]
    for s in known:
        s._stale = True
    yield
    for s in known:
        s._stale = False


class TokenSequence:
    """One sequence: its tokens, and the state they left in the database; see :meth:`Model.sequence`.

    Attributes
    ----------
    number
        Its number in the state database.
    """

    def __init__(self, model: Model, number: int, ids: list[int], length: int, prompt_length: int, max_length: int,
                 settings: Settings) -> None:  # fmt: skip
        self.model, self.number, self._ids, self._settings = model, number, ids, settings
        self._length, self._prompt_length, self._max_length = length, prompt_length, max_length
        self._stale = False

    def __repr__(self) -> str:
        return f"<sequence {self.number}: {len(self._ids)} of at most {self._max_length} tokens>"

    @property
    def ids(self) -> list[int]:
        """All tokens."""
        self._sync()
        return self._ids

    @property
    def length(self) -> int:
        """How many of them have been run."""
        self._sync()
        return self._length

    @property
    def prompt_length(self) -> int:
        """How many of them were given."""
        self._sync()
        return self._prompt_length

    @property
    def max_length(self) -> int:
        """How many there may be."""
        self._sync()
        return self._max_length

    @property
    def settings(self) -> Settings:
        """How the next one is chosen."""
        self._sync()
        return self._settings

    @property
    def waiting(self) -> int:
        """Tokens that are still to be run."""
        self._sync()
        return len(self._ids) - self._length

    @property
    def exists(self) -> bool:
        """Whether the sequence is in the state database."""
        try:
            self._sync()
        except UserError:
            return False
        return True

    def prefill(self, ids: Iterable[int]) -> None:
        """Append tokens and run them.

        Raises
        ------
        UserError
            If there are none, one is unknown, or they do not fit the context.
        """
        self._sync()
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
        self._sync()
        self._check_room(1)
        self._append(tokens.check_ids([token], self.model.vocabulary_size))
        return token

    def logits(self) -> npt.NDArray[np.float32]:
        """The logits of the token after the last one."""
        self._sync()
        self._refresh()
        self.model.run_ahead([self])
        db, waiting = self.model.db, self.waiting
        with changing([self]), db.transaction():
            if waiting:
                self.model._advance([self], run=True, draw=False)
            _, function = self.model._fresh[self.number]
            spec = control.output(self.model.program.functions[function], "logits")
            table = db.read(spec)
        mine = table.filter(pc.call_function("equal", [table.column(spec.keys[0].name), self.number]))
        mine = mine.set_column(0, spec.keys[0].name, pa.array(np.zeros(mine.num_rows, np.int64)))
        return from_arrow(spec, mine, {"B": 1, "S": 1})[0]

    def configure(self, settings: Settings | None = None, max_length: int | None = None) -> None:
        """Change how the next tokens are chosen, and how many there may be; what is not given stays."""
        self._sync()
        self._configure(settings, max_length)

    def _configure(self, settings: Settings | None, max_length: int | None) -> None:
        db = self.model.db
        with changing([self]):
            self._settings = self._settings if settings is None else settings
            self._max_length = self._max_length if max_length is None else min(max_length, self.model.context)
            values = {"max_length": self._max_length, **attrs.asdict(self._settings)}
            db.execute(db.control.update_sequence(tuple(values)), [*values.values(), self.number])

    def fork(self, at: int | None = None, settings: Settings | None = None) -> TokenSequence:
        """A new sequence with the same first tokens. Both go on independently and share the state of what they share.

        The fork of a chat is a chat, too: of the messages that lie before the fork.

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
        self._sync()
        count = len(self._ids) if at is None else at
        if not 0 <= count <= len(self._ids):
            raise UserError(f"the sequence has {len(self._ids)} tokens, it cannot be forked at {count}")
        model, length = self.model, min(count, self._length)
        with model.db.transaction():
            child = model.add(self._settings if settings is None else settings, self._max_length, shares=(self, length))
            if count:
                child._append(self._ids[:count], given=min(count, self._prompt_length))
            model.db.execute(model.db.control.update_sequence(("length",)), [length, child.number])
            child._length = length
            said = messages.read(model.db, self.number)
            if said is not None:
                messages.write(model.db, child.number, [m for m in said if m.end <= count])
        return child

    def truncate(self, count: int) -> None:
        """Forget all but the first tokens.

        Raises
        ------
        UserError
            If there are fewer.
        """
        self._sync()
        if not 0 <= count <= len(self._ids):
            raise UserError(f"the sequence has {len(self._ids)} tokens, it cannot be cut to {count}")
        self._truncate(count)

    def _truncate(self, count: int) -> None:
        db, c = self.model.db, self.model.db.control
        with changing([self]), db.transaction():
            self.model._fresh.pop(self.number, None)
            self._cut(min(count, self._length))
            db.execute(c.delete(TOKEN, STATE, ("seq",), "pos"), [self.number, count])
            db.execute(c.update_sequence(("prompt_length",)), [min(count, self._prompt_length), self.number])
            del self._ids[count:]
            self._prompt_length = min(count, self._prompt_length)

    def delete(self) -> None:
        """Remove the sequence and its state; nothing happens if it has been removed."""
        self.model.delete([self])

    def _replace(self, ids: Sequence[int], max_length: int) -> None:
        """Make these the tokens: cut where they begin to differ from those that are there, and append the rest."""
        shared = next((n for n, (a, b) in enumerate(zip(self._ids, ids, strict=False)) if a != b),
                      min(len(self._ids), len(ids)))  # fmt: skip
        shared = min(shared, len(ids) - 1)  # something has to run, for its logits
        self._configure(None, max_length)
        if shared < len(self._ids):
            self._truncate(shared)
        self._append(ids[shared:])

    def _append(self, ids: Sequence[int], given: int | None = None) -> None:
        """Write tokens behind those that are there; ``given`` of all are the prompt, by default every one."""
        db = self.model.db
        prompt = len(self._ids) + len(ids) if given is None else given
        count, begin = len(ids), len(self._ids)
        rows = pa.table(
            {"seq": np.full(count, self.number), "pos": np.arange(begin, begin + count), "id": np.array(ids)}
        )
        with changing([self]), db.transaction():
            db.insert(TOKEN, rows, STATE)
            db.execute(db.control.update_sequence(("prompt_length",)), [prompt, self.number])
            self._ids += ids
            self._prompt_length = prompt

    def _check_room(self, count: int) -> None:
        context = self.model.context
        if len(self._ids) + count > context:
            if count == 1 and self._ids:
                raise UserError(f"the context of {context} tokens is full")
            raise UserError(f"a prompt of {len(self._ids) + count} tokens does not fit the context of {context}")
        if len(self._ids) + count > self._max_length:
            raise UserError(f"the sequence may have {self._max_length} tokens, {len(self._ids) + count} are wanted")

    def _refresh(self) -> None:
        """See to it that the next step has logits: either tokens wait, or the last step's are this sequence's."""
        if not self._ids:
            raise UserError("the sequence is empty: prefill it first")
        left = self.model._fresh.get(self.number, (0, ""))[0] if self.model.db.keeps_results else 0
        if not self.waiting and left != len(self._ids):
            self._rewind()

    def _rewind(self) -> None:
        """Let the last token wait again, if none does."""
        if not self.waiting:
            self._cut(self._length - 1)

    def _cut(self, length: int) -> None:
        """Forget the state from a position on."""
        db = self.model.db
        with changing([self]), db.transaction():
            self.model.forks.cut(self.number, length)
            db.execute(db.control.update_sequence(("length",)), [length, self.number])
            self._length = length

    def _sync(self) -> None:
        """Read anew what is not known, because what changed it was broken off.

        Raises
        ------
        UserError
            If the sequence has been deleted.
        """
        if self.model._handles.get(self.number) is not self:
            raise UserError(f"sequence {self.number} has been deleted")
        if not self._stale:
            return
        self.model._fresh.pop(self.number, None)
        facts = self.model._facts(self.number)
        self._ids, self._length, self._prompt_length, self._max_length, self._settings = facts
        self._stale = False
