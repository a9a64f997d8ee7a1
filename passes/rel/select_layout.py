"""``select-layout``: choose how each contraction is tiled, so that the target's cost model predicts the least time.

The contracted axis goes into lanes and columns of both operands (one ``dot`` a column) where it is static; without
lanes into columns alone, and into several rows of them where it has more terms than a row may have columns. With lanes
it may stand in several rows too, if the target says so and the rows of a stored weight are joined on nothing else:
short lanes multiply fastest, and a column costs its planning once for all rows. Otherwise, as in P·V, a static free
axis of one operand goes into columns and each is a weighted sum. Element-wise operators stay on scalar rows: at the
sizes of one token their cost is small, and packing is explicit where it is needed.

Where every reader of a product fixes the index on a free axis of the weight, as the two halves of a gated unit do, the
rows of that axis may stand side by side as one row of the weight: then the product gives a column for each index, and
what was a join of its parts reads one row (the paper's ROW2COL, of rows that are used together).

A stored relation or state has one layout for all its readers. So the contractions over one axis of it choose together:
the layout of least time for a position that is read plus a position that is written, where a function counts by the new
positions it computes. The segments of a sum are no part of what is stored, so every contraction chooses its own; rows
of lanes are.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Literal

import attrs

from irsql.dialects.rel import ops as ro
from irsql.dialects.rel.types import rel
from irsql.ir.attributes import ScalarType
from irsql.ir.core import Func, IRError, Module
from irsql.ir.passes import Pass, PassContext
from irsql.ir.target import Target
from irsql.passes.rel._contraction import Contraction, axis_of, beside_axis, match
from irsql.passes.rel._cost import form_of, is_kept, milliseconds, work
from irsql.passes.rel._storage import storage

_KEYS = 20
"""Key columns that a join of two operands may have."""
_SHORTEST = 16
"""Lane lengths that are tried: the powers of two from here on, and the whole axis up to what a lane can have."""
_CHUNK_LANES, _CHUNK_COLUMNS = range(32, 129), (4, 8, 16, 32)
"""Lanes and columns that are tried for an axis in several rows of lanes."""
_MOST_SUMS = 64
"""Most columns of a weighted sum that are tried."""


def rows_of_lanes(extent: int, most: int) -> Iterator[tuple[int, int, int]]:
    """Lane length, columns and rows of the cuts of an axis into 2 to ``most`` rows that leave nothing over."""
    for rows in range(2, most + 1):
        for columns in _CHUNK_COLUMNS:
            lane, rest = divmod(extent, rows * columns)
            if not rest and lane in _CHUNK_LANES:
                yield lane, columns, rows


@attrs.frozen
class SelectLayout(Pass):
    """Write a ``tile`` on every contraction that can be tiled.

    Notes
    -----
    Tile-size selection. All layouts give the same relation, ``Unpack_l(Pack_l(R)) = R``, and the forms it chooses from
    are those of apply-layout. It takes ``argmin_l Σ_f t_f(l) / s_f`` over the layouts ``l`` of a stored relation, where
    ``t_f`` is the predicted time of function ``f`` and ``s_f`` the number of positions it computes.

    References
    ----------
    A layout is a physical property that a plan asks of its inputs: Graefe and McKenna, "The Volcano optimizer
    generator", ICDE 1993; Graefe, "The Cascades framework for query optimization", 1995. Choosing by a linear cost
    model: Selinger et al., "Access path selection in a relational database management system", SIGMOD 1979. That the
    best split is to be tuned: TranSQL+ (arXiv 2502.02818), ROW2COL.
    """

    name = "select-layout"
    summary = "choose the layout of each contraction by the target's cost model"
    stage_in = stage_out = "rel"

    lane: int = 0
    """Lane length; 0 chooses."""
    max_columns: int = 64
    """Most value columns of lanes."""
    wide_columns: int = 0
    """Most columns of a tile without lanes; 0 takes what the target's joins can have."""
    min_extent: int = 4
    """Shorter axes stay on scalar rows."""
    form: Literal["", "scalar", "wide"] = ""
    """Empty chooses; ``scalar`` forces scalar rows everywhere, ``wide`` forbids lanes."""
    carrier: str = ""
    """Lane carrier of products with stored weights; empty takes the target's first. ``halfvec`` rounds their operands
    to 16 bits.
    """
    beside: int = 4
    """Most rows of a weight that may stand side by side as one; 1 for none."""
    tile: str = ""
    """For experiments: ``dot:LANExCOLUMNSxSEGMENTS`` (lane 0 for wide columns), ``chunks:LANExCOLUMNSxROWS`` or
    ``wsum:0xCOLUMNSxSEGMENTS`` of every contraction whose axis it covers.
    """
    batch: int = 1
    """Extent to plan for of the dim B, where a function leaves it open."""
    prompt: int = 128
    """The same of S, the new positions."""
    context: int = 512
    """The same of T, the known positions, and of every other dim."""

    def run(self, module: Module, ctx: PassContext) -> None:
        target = ctx.require_target()
        if self.carrier and target.capability("dot", self.carrier).status != "native":
            raise IRError(f"the option carrier of select-layout is {self.carrier!r}, which is no lane carrier of "
                          f"{target.name}")
        groups: dict[object, list[_Place]] = {}
        reads = Counter(op.store for f in module.functions.values() for op in f.block.ops if isinstance(op, ro.Stored)
                        for _ in op.result.uses)
        for name, func in module.functions.items():
            sizes = self.sizes(func)
            for op in func.block.ops:
                found = match(op)
                if found is not None:
                    place = _Place(found, sizes, 1 / sizes.get("S", 1))
                    groups.setdefault(_shared_storage(place, name), []).append(place)
        for places in groups.values():
            self._choose(places, target, reads, ctx)

    def sizes(self, func: Func) -> dict[str, int]:
        """Extents of a function's dims for estimates."""
        wanted = {"B": self.batch, "S": self.prompt}
        out: dict[str, int] = {}
        for name, bounds in func.dims.items():
            assert isinstance(bounds, tuple)
            low, high = (int(str(b)) for b in bounds)
            out[name] = min(max(wanted.get(name, self.context), low), high)
        return out

    def _choose(self, places: list[_Place], target: Target, reads: Counter[str], ctx: PassContext) -> None:
        """One layout for contractions over the same axis of one relation; segments for each."""
        first = places[0].contraction
        chunks = target.layout.chunks if all(_can_do_without_hashing(p.contraction) for p in places) else 1
        options = list(self._candidates(first, target, chunks))
        beside = self._beside(places, reads)
        if beside > 1:
            options += self._candidates(first, target, chunks, beside)
        plans: list[tuple[float, list[tuple[float, ro.Tile]]]] = []
        for tiles in options:
            plan = [min(((_predict(p, t, target), t) for t in tiles), key=lambda x: x[0]) for p in places]
            plans.append((sum(ms * p.weight for (ms, _), p in zip(plan, places, strict=True)), plan))
        best = min(plans, key=lambda x: x[0])[1] if plans else []
        for n, place in enumerate(places):
            op = place.contraction.aggregate
            op.tile = best[n][1] if best else None
            if op.tile is None:
                ctx.remark("missed", op, "contraction stays on scalar rows", "form=scalar" if self.form == "scalar" else
                           "no static axis of at least min-extent is shared by a plain equality or free on one "
                           "side, or the numbers are integers")
            else:
                t = op.tile
                rows = f", {t.beside} rows of the weight as one" if t.beside > 1 else ""
                ctx.remark("passed", op, f"{t.form}: {t.segments} x {t.columns} x {t.lane or 1}{rows}, "
                           f"{best[n][0]:.3g} ms predicted, best of {len(options)} layouts")
                if beside > t.beside:
                    ctx.remark("missed", op, f"{beside} rows of the weight stay apart and their results are joined",
                               "no layout with all of them in one row is predicted to be faster")

    def _beside(self, places: list[_Place], reads: Counter[str]) -> int:
        """How many rows of a weight may stand side by side for all that read it, which are these contractions."""
        axes = [beside_axis(p.contraction) for p in places]
        found = {(f.input, f.key, f.extent) for f in axes if f is not None}
        if None in axes or len(found) != 1:
            return 1
        ((number, _, extent),) = found
        name = storage(places[0].contraction.join.inputs[number])
        alone = name is not None and reads[name] == len(places)
        return int(str(extent)) if alone and int(str(extent)) <= self.beside else 1

    def _candidates(self, c: Contraction, target: Target, chunks: int, beside: int = 1) -> Iterator[list[ro.Tile]]:
        """Layouts of the operands, each with the tiles that differ in segments only.

        Lanes stand in at most ``chunks`` rows, and ``beside`` rows of the weight stand side by side.
        """
        element = rel(c.aggregate.result).values[0].type
        if self.form == "scalar" or not (isinstance(element, ScalarType) and element.is_float):
            return  # an engine's inner product computes in floats; a sum of integers is exact
        axis = axis_of(c)
        forced = self._forced(c, target, beside)
        if forced is not None:
            if beside == 1 or forced.form != "wsum":
                yield [forced]
        elif axis is not None and int(str(axis.extent)) >= self.min_extent:
            yield from self._dots(int(str(axis.extent)), target, self._carriers(c, target), beside, chunks)
        elif beside == 1 and any(not isinstance(k.extent, int) for k in rel(c.project.result).keys):
            most = _widest(target)
            free = [f for f in c.free if isinstance(f.extent, int) and self.min_extent <= f.extent <= most]
            kept = [f for f in free if rel(c.join.inputs[f.input]).partial] or free
            extent = max((int(str(f.extent)) for f in kept), default=0)
            for columns in range(1, min(extent, _MOST_SUMS) + 1):
                if extent % columns == 0:
                    yield [ro.Tile("wsum", 0, columns, extent // columns, "")]

    def _forced(self, c: Contraction, target: Target, beside: int) -> ro.Tile | None:
        """The tile of the option, where it covers an axis of the contraction."""
        if not self.tile:
            return None
        said = re.fullmatch(r"(dot|chunks|wsum):(\d+)x(\d+)x(\d+)", self.tile)
        if said is None:
            raise IRError(f"the option tile of select-layout is {self.tile!r}, expected FORM:LANExCOLUMNSxSEGMENTS, "
                          "where FORM is dot, chunks or wsum")
        lane, columns, segments = (int(n) for n in said.groups()[1:])
        if said[1] == "wsum":
            covered = any(f.extent == columns * segments for f in c.free)
            return ro.Tile("wsum", 0, columns, segments, "") if covered and not lane else None
        axis = axis_of(c)
        chunks = segments if said[1] == "chunks" else 1
        if axis is None or max(lane, 1) * columns * chunks < int(str(axis.extent)):
            return None
        carriers = self._carriers(c, target) if lane else [""]
        if not carriers:
            raise IRError(f"the option tile of select-layout asks for lanes, which {target.name} has not")
        return ro.Tile("chunks" if chunks > 1 else "dot", lane, columns, segments, carriers[0], beside)

    def _carriers(self, c: Contraction, target: Target) -> list[str]:
        """Lane carriers to choose from."""
        if self.carrier and any(isinstance(v.owner, ro.Stored) for v in c.join.inputs):
            return [self.carrier]
        return [x for x in target.layout.carriers if target.capability("dot", x).status == "native"]

    def _dots(self, extent: int, target: Target, carriers: list[str], beside: int,
              chunks: int) -> Iterator[list[ro.Tile]]:
        if self.form == "wide" or not carriers:
            most = min(self.wide_columns or extent * beside, _widest(target)) // beside
            if not most:
                return
            rows = -(-extent // most)
            # a cut that divides the axis needs no zeros
            rows = next((n for n in range(rows, 2 * rows) if extent % n == 0), rows)
            yield [ro.Tile("chunks" if rows > 1 else "dot", 0, -(-extent // rows), rows, "", beside)]
            return
        longest = min(extent, target.limits.max_lane)
        powers = (2 ** n for n in range(int(math.log2(_SHORTEST)), longest.bit_length()))
        lanes = [self.lane] if self.lane else [*(n for n in powers if n < longest), longest]
        seen: set[int] = set()
        for lane in lanes:
            columns = min(-(-extent // lane), self.max_columns // beside)
            columns = -(-extent // -(-extent // columns)) if columns else 0  # none of padding alone
            if columns and columns not in seen:
                seen.add(columns)
                most = target.layout.cores if columns >= 4 else 1
                for carrier in carriers:
                    yield [ro.Tile("dot", -(-extent // columns), columns, segments, carrier, beside)
                           for segments in (1, 2, 4) if segments <= most]
        for lane, columns, rows in rows_of_lanes(extent, chunks):
            if lane <= longest and self.lane in (0, lane) and columns * beside <= self.max_columns:
                yield from ([ro.Tile("chunks", lane, columns, rows, carrier, beside)] for carrier in carriers)


@attrs.frozen(eq=False)
class _Place:
    """A contraction where it stands: sizes to plan for, and how much its time counts."""

    contraction: Contraction
    sizes: Mapping[str, int]
    weight: float


def _predict(place: _Place, tile: ro.Tile, target: Target) -> float:
    return milliseconds(work(place.contraction, tile, place.sizes, target), form_of(tile), target.costs)


def _can_do_without_hashing(c: Contraction) -> bool:
    """Whether rows of a stored weight would be joined on the number of a row alone."""
    return len(c.join.on.block.terminator.operands) == 1 and any(isinstance(v.owner, ro.Stored) for v in c.join.inputs)


def _shared_storage(place: _Place, function: str) -> object:
    """Equal for contractions that must agree on a layout: those over one axis of one stored relation or state."""
    c = place.contraction
    axis = axis_of(c)
    for n, value in enumerate(c.join.inputs):
        name = storage(value)
        if name is not None and is_kept(value):
            key = (axis.lhs_key, axis.rhs_key)[n] if axis is not None else tuple(f.key for f in c.free if f.input == n)
            return name, key
    return function, id(c.aggregate)


def _widest(target: Target) -> int:
    """Columns of an operand: a join has those of both, and their keys."""
    return (target.limits.max_columns - _KEYS) // 2
