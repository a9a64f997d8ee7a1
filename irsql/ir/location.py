"""Source locations: from any op of any stage back to the fx node, the module path and the user's line."""

from __future__ import annotations

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
