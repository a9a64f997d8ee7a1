"""The messages of sequences that are chats, in the state database."""

from __future__ import annotations

import json

import attrs

from irsql.targets.control import META, STATE
from irsql.targets.driver import Driver


@attrs.frozen
class Message:
    """A message of a conversation.

    Attributes
    ----------
    role, content
        ``system``, ``user`` or ``assistant``, and its text.
    end
        How many tokens the sequence had with it: for a user's message the prompt of the answer.
    """

    role: str
    content: str
    end: int = 0

    @property
    def shown(self) -> dict[str, str]:
        """As a template takes it."""
        return {"role": self.role, "content": self.content}


def chat_key(number: int) -> str:
    """Under which key the state database keeps the messages of a sequence that is a chat."""
    return f"chat {number}"


def read(db: Driver, number: int) -> list[Message] | None:
    """The messages of a sequence, None if it is no chat."""
    found = db.rows(db.control.read(META, ("value",), STATE, where=("key",)), [chat_key(number)])
    return [Message(**fields) for fields in json.loads(found[0][0])] if found else None


def write(db: Driver, number: int, messages: list[Message]) -> None:
    """Make a sequence a chat of these messages."""
    content = json.dumps([attrs.asdict(m) for m in messages], ensure_ascii=False)
    with db.transaction():
        db.execute(db.control.delete(META, STATE, ("key",)), [chat_key(number)])
        db.execute(db.control.insert(META, ("key", "value"), STATE), [chat_key(number), content])
