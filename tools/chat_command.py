"""``irsql chat``: a conversation in the terminal, or a message a line from a pipe."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from irsql.api import Model
from irsql.runtime.chat import Chat
from irsql.runtime.errors import UserError

FORGET = "the conversation goes on without this message, /reset forgets all of it"
HELP = "/reset forgets the conversation, /exit or Ctrl-D ends it, Ctrl-C breaks off an answer"


def run(model: Model, chat: Chat, max_new_tokens: int) -> None:
    """Ask for messages and print the answers until the input ends.

    Parameters
    ----------
    model
        An open model.
    chat
        A conversation with it.
    max_new_tokens
        Most tokens of an answer.

    Raises
    ------
    UserError
        At the end, if a message from a pipe got no answer. A message that gets none leaves the conversation as it was.
    """
    terminal = sys.stdin.isatty()
    if terminal:
        with contextlib.suppress(ImportError):
            import readline  # noqa: F401 - line editing and history for input()
        print(f"irsql: {Path(str(model.path)).stem}; {HELP}", file=sys.stderr)
    unanswered = 0
    for message in _messages(terminal):
        if message == "/exit":
            break
        if message == "/reset":
            chat.reset()
        elif message in ("/help", "/?"):
            print(HELP, file=sys.stderr)
        else:
            try:
                _answer(chat, message, max_new_tokens)
            except UserError as error:
                print(f"irsql: {error}; {FORGET}", file=sys.stderr)
                unanswered += 1
    if unanswered and not terminal:
        raise UserError(f"{unanswered} message{'s' * (unanswered != 1)} got no answer")


def _messages(terminal: bool) -> Iterator[str]:
    while True:
        try:
            line = input("> ") if terminal else next(sys.stdin)
        except (EOFError, StopIteration):
            return
        except KeyboardInterrupt:
            print(file=sys.stderr)
            continue
        if line.strip():
            yield line.strip()


def _answer(chat: Chat, message: str, max_new_tokens: int) -> None:
    pieces: Any = iter(())
    started = False
    try:
        pieces = chat.say(message, max_new_tokens)
        for piece in pieces:
            sys.stdout.write(piece.text)
            sys.stdout.flush()
            started = True
    except KeyboardInterrupt:
        if started:
            pieces.close()
    finally:
        sys.stdout.write("\n" if started else "")
        sys.stdout.flush()
    if started and len(chat.sequence.ids) >= chat.model.context:
        print(f"irsql: the context of {chat.model.context} tokens is full; /reset forgets the conversation",
              file=sys.stderr)  # fmt: skip
