"""``select-layout``: choose how each contraction is tiled, by rule.

The contracted axis goes into lanes and columns of both operands (one ``dot`` a column) where it is static; without
lanes into columns alone, and into several rows of them where it has more terms than a row may have columns. Otherwise,
as in P·V, a static free axis of one operand goes into columns and each is a weighted sum. Element-wise operators stay
on scalar rows: at the sizes of one token their cost is small, and packing is explicit where it is needed.
"""

from __future__ import annotations

from typing import Literal

import attrs

from irsql.dialects.rel import ops as ro
from irsql.dialects.rel.types import rel
from irsql.ir.attributes import ScalarType
from irsql.ir.core import Module, Value
from irsql.ir.passes import Pass, PassContext
from irsql.ir.target import Target
from irsql.passes.rel._contraction import Contraction, match

_KEYS = 20
"""Key columns that a join of two operands may have."""


@attrs.frozen
class SelectLayout(Pass):
    """Write a ``tile`` on every contraction worth tiling."""

    name = "select-layout"
    summary = "choose the layout of each contraction by rule from the target's table"
    stage_in = stage_out = "rel"

    lane: int = 0
    """Lane length; 0 takes the target's."""
    max_columns: int = 64
    """Most value columns a tile may have."""
    wide_columns: int = 0
    """Most columns of a tile without lanes; 0 takes what the target's joins can have."""
    sum_columns: int = 16
    """Most columns of a weighted sum; the rest of the axis stays in rows."""
    min_extent: int = 4
    """Shorter axes stay on scalar rows."""
    form: Literal["", "scalar", "wide"] = ""
    """Empty chooses; ``scalar`` forces scalar rows everywhere, ``wide`` forbids lanes."""

    def run(self, module: Module, ctx: PassContext) -> None:
        target = ctx.require_target()
        for func in module.functions.values():
            for op in func.block.ops:
                found = match(op)
                if found is None:
                    continue
                tile = self._choose(found, target)
                found.aggregate.tile = tile
                if tile is None:
                    ctx.remark("missed", op, "contraction stays on scalar rows",
                               "no static axis of at least min-extent is shared by a plain equality or free on one "
                               "side, or the numbers are integers")
                else:
                    ctx.remark("passed", op, f"{tile.form}: {tile.segments} x {tile.columns} x {tile.lane or 1}")

    def _choose(self, c: Contraction, target: Target) -> ro.Tile | None:
        element = rel(c.aggregate.result).values[0].type
        if self.form == "scalar" or not (isinstance(element, ScalarType) and element.is_float):
            return None  # an engine's inner product computes in floats; a sum of integers is exact
        carrier = "" if self.form == "wide" else next((x for x in target.layout.carriers
                                                       if target.capability("dot", x).status == "native"), "")
        rows = _stored_rows(c)
        many = rows >= 4 * target.layout.min_rows_per_core
        lane = self.lane or (target.layout.lane_prefill if many else target.layout.lane_decode)
        static = [s for s in c.shared if isinstance(s.extent, int) and s.extent >= self.min_extent]
        if static:
            best = max(static, key=lambda s: int(str(s.extent)))
            return self._dot(int(str(best.extent)), lane, carrier, rows, target)
        most = _widest(target)
        free = [f for f in c.free if isinstance(f.extent, int) and self.min_extent <= f.extent <= most]
        stored = [f for f in free if _is_state(c.join.inputs[f.input])] or free
        if stored and any(not isinstance(k.extent, int) for k in rel(c.project.result).keys):
            extent = max(int(str(f.extent)) for f in stored)
            columns = max(d for d in range(1, self.sum_columns + 1) if extent % d == 0)
            return ro.Tile("wsum", 0, columns, extent // columns, "")
        return None

    def _dot(self, extent: int, lane: int, carrier: str, rows: int, target: Target) -> ro.Tile | None:
        if not carrier:
            rows = -(-extent // min(self.wide_columns or extent, _widest(target)))
            # a cut that divides the axis needs no zeros
            rows = next((n for n in range(rows, 2 * rows) if extent % n == 0), rows)
            return ro.Tile("chunks" if rows > 1 else "dot", 0, -(-extent // rows), rows, "")
        columns = -(-extent // lane)
        if columns > self.max_columns:
            lane, columns = -(-extent // self.max_columns), self.max_columns
        return ro.Tile("dot", -(-extent // columns), columns, _branches(rows, columns, target), carrier)


def _widest(target: Target) -> int:
    """Columns of an operand: a join has those of both, and their keys."""
    return (target.limits.max_columns - _KEYS) // 2


def _is_state(value: Value) -> bool:
    return rel(value).partial


def _stored_rows(c: Contraction) -> int:
    """Rows of the stored operand once the contracted axis is in columns and lanes; 0 if none is stored."""
    rows = 0
    for v, key in zip(c.join.inputs, ("lhs_key", "rhs_key"), strict=True):
        if isinstance(v.owner, ro.Stored):
            tiled = {getattr(s, key) for s in c.shared}
            count = 1
            for k in rel(v).keys:
                count *= k.extent if isinstance(k.extent, int) and k.name not in tiled else 1
            rows = max(rows, count)
    return rows


def _branches(rows: int, columns: int, target: Target) -> int:
    """Branches of the sum: two where the stored rows are too few to keep the cores busy and there is work to share."""
    least = target.layout.min_rows_per_core
    short = least // 2 <= rows <= least * target.layout.cores
    return 2 if short and target.layout.cores > 1 and columns >= 4 else 1
