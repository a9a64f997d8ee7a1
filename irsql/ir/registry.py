"""Which module declares a dialect; imported when its name is first met.

The core knows dialects by name only, so that it imports nothing above it and reading a dump imports no more than the
dump mentions. A package outside the project adds a dialect with an entry point::

    [project.entry-points."irsql.dialects"]
    mine = "my_package.mine"
"""

from __future__ import annotations

import difflib
import importlib
from collections.abc import Iterable, Mapping
from functools import cache
from importlib.metadata import entry_points

from irsql.ir.core import IRError

DIALECTS = {
    "builtin": "irsql.ir.core",
    "func": "irsql.ir.core",
    "irsql": "irsql.ir.target",
    "tir": "irsql.dialects.tir",
    "rel": "irsql.dialects.rel",
    "expr": "irsql.dialects.expr",
    "sql": "irsql.dialects.sql",
}
"""Dialects of the project: name to module."""


def declared(what: str, own: Mapping[str, str]) -> dict[str, str]:
    """The project's own of a kind (``dialect``, ``target``) and those of the entry points ``irsql.dialects``, ….

    Raises
    ------
    IRError
        If two packages declare the same name.
    """
    known = dict(own)
    for entry in entry_points(group=f"irsql.{what}s"):
        if known.setdefault(entry.name, entry.value) != entry.value:
            raise IRError(f"{what} {entry.name!r} is declared twice: by {known[entry.name]} and by {entry.value}")
    return known


@cache
def dialects() -> dict[str, str]:
    """All known dialects, name to module.

    Raises
    ------
    IRError
        If two packages declare the same name.
    """
    return declared("dialect", DIALECTS)


@cache
def load_dialect(name: str) -> bool:
    """Import the module of a dialect; False if no such dialect is known.

    Raises
    ------
    IRError
        If the module cannot be imported.
    """
    target = dialects().get(name)
    if target is None:
        return False
    try:
        importlib.import_module(target.partition(":")[0])
    except ImportError as error:
        raise IRError(f"dialect {name!r} is declared by {target}, which cannot be imported: {error}") from error
    return True


def near_miss(name: str, known: Iterable[str]) -> str:
    """``did you mean 'x'?`` for the closest known name, or ``""``."""
    close = difflib.get_close_matches(name, list(known), n=1, cutoff=0.6)
    return f"did you mean {close[0]!r}?" if close else ""
