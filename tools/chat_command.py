"""``irsql chat``: a conversation in the terminal, or a message a line from a pipe."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator
from typing import Any

from irsql.api import Model
from irsql.runtime.chat import Chat

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
    """
    terminal = sys.stdin.isatty()
    if terminal:
        with contextlib.suppress(ImportError):
            import readline  # noqa: F401 - line editing and history for input()
        print(f"irsql: {model.path.stem}; {HELP}", file=sys.stderr)
    for message in _messages(terminal):
        if message == "/exit":
            return
        if message == "/reset":
            chat.reset()
        elif message in ("/help", "/?"):
            print(HELP, file=sys.stderr)
        else:
            _answer(chat, message, max_new_tokens)


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
    pieces: Any = chat.say(message, max_new_tokens)
    try:
        for piece in pieces:
            sys.stdout.write(piece.text)
            sys.stdout.flush()
    except KeyboardInterrupt:
        pieces.close()
    sys.stdout.write("\n")
    sys.stdout.flush()
