"""What the cost model foretold of each contraction, kept with the program for ``irsql profile --layout-report``."""

from __future__ import annotations

from typing import Any

from irsql.dialects.rel import ops as ro
from irsql.ir.core import Module
from irsql.ir.instruments.base import Instrument
from irsql.passes.rel import _cost
from irsql.passes.rel._contraction import match
from irsql.passes.rel._storage import storage
from irsql.passes.rel.select_layout import SelectLayout


class Predictions(Instrument):
    """Reads the choices of ``select-layout`` right after it.

    Attributes
    ----------
    found
        For each contraction that reads something stored: ``function``, ``storage`` (what it reads), ``scope``
        (its module), ``tile``, ``ms`` and the ``sizes`` that were planned for.
    """

    def __init__(self) -> None:
        self.found: list[dict[str, Any]] = []

    def after_pass(self, run: Any) -> None:
        if isinstance(run.pass_, SelectLayout):
            self.found = _predictions(run.module, run.pass_, run.ctx.require_target())


def _predictions(module: Module, chosen: SelectLayout, target: Any) -> list[dict[str, Any]]:
    out: list[dict[str, Any]] = []
    for name, func in module.functions.items():
        sizes = chosen.sizes(func)
        for op in func.block.ops:
            found = match(op)
            kept = None if found is None else next((s for v in found.join.inputs if (s := storage(v))), None)
            if found is not None and kept is not None:
                tile = found.aggregate.tile
                counts = _cost.work(found, tile, sizes, target)
                out.append({"function": name, "storage": kept, "tile": tile_text(tile), "sizes": sizes,
                            "scope": found.aggregate.loc.scope,
                            "ms": round(_cost.milliseconds(counts, _cost.form_of(tile), target.costs), 4)})
    return out


def tile_text(tile: ro.Tile | None) -> str:
    """A tile in words: form, then lane x columns x segments, which are rows of the axis for ``chunks``."""
    return "scalar rows" if tile is None else f"{tile.form} {tile.lane}x{tile.columns}x{tile.segments}"
