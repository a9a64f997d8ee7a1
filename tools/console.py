"""Tables and names for people to read, whatever characters are in them."""

from __future__ import annotations

import sys
import unicodedata
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console

_JOINERS = "\u200c\u200d"
"""Format characters that words and emoji are written with."""


def console(width: int) -> Console:
    """Standard output; so wide where it is no terminal. Text is no markup here: ``[red]`` and ``:smile:`` stay."""
    from rich.console import Console

    return Console(width=None if sys.stdout.isatty() else width, highlight=False, markup=False, emoji=False)


def printable(text: str) -> str:
    """A text with its control characters escaped: a terminal would obey them."""
    return "".join(c.encode("unicode_escape").decode() if _controls(c) else c for c in text)


def _controls(character: str) -> bool:
    return unicodedata.category(character) in ("Cc", "Cf", "Cs", "Zl", "Zp") and character not in _JOINERS
