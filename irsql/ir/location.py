"""Source locations: from any op of any stage back to the fx node, the module path and the user's line."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import takewhile

import attrs


@attrs.frozen
class Location:
    """Where an op comes from.

    Attributes
    ----------
    file, line, col
        The user's source line (file "" when unknown).
    scope
        Module path of the layer, ``model.layers.3.mlp.gate_proj`` ("" when unknown).
    node
        Name of the fx node, or of the pass that made the op ("" when unknown).
    """

    file: str = ""
    line: int = 0
    col: int = 0
    scope: str = ""
    node: str = ""

    @property
    def known(self) -> bool:
        """False for the empty location."""
        return bool(self.file or self.scope or self.node)

    def __str__(self) -> str:
        where = f"{self.file}:{self.line}" if self.file else ""
        return ", ".join(p for p in (self.scope, self.node, where) if p) or "unknown location"


UNKNOWN = Location()


def within(path: str, scope: str) -> bool:
    """Whether a module path is another or below it; everything is below ``""``."""
    return not scope or path == scope or path.startswith(f"{scope}.")


def layer_of(scope: str) -> str:
    """The layer a module path belongs to: up to its first number, ``model.layers.3``; else the whole path."""
    parts = scope.split(".")
    for i, part in enumerate(parts):
        if part.isdigit():
            return ".".join(parts[: i + 1])
    return scope


def common(scopes: Iterable[str]) -> str:
    """The innermost module that contains all of these."""
    parts = [scope.split(".") for scope in scopes]
    same = takewhile(lambda names: len(set(names)) == 1, zip(*parts, strict=False))
    return ".".join(names[0] for names in same)
