"""What a contraction costs in a layout: counts of what the engine must do, times the target's coefficients.

The counts are those of one run of the contraction with its packs and unpacks. ``irsql calibrate`` finds the
coefficients as a least-squares fit of measured times to the same counts, so that what is predicted and what is fitted
cannot drift apart.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import attrs

from irsql.dialects import expr as ex
from irsql.dialects.rel import ops as ro
from irsql.dialects.rel.types import rel
from irsql.ir import dims
from irsql.ir.core import Value
from irsql.ir.dims import Dim
from irsql.ir.target import Costs, Target
from irsql.passes.rel._contraction import Contraction, Free, Shared, axis_of, beside_axis, columns_in, free_axis, origin
from irsql.passes.rel._storage import storage

KEY_BYTES, FLOAT_BYTES = 8, 4
SHORT = 64
"""Lanes up to this length are equally fast."""


@attrs.frozen
class Work:
    """Counts that are multiplied with the fields of the same names of :class:`irsql.ir.target.Costs`.

    Attributes
    ----------
    statements
        Statements, and parts of one that must end before the next can begin: aggregates and packs.
    terms
        Terms of written-out sums.
    sums
        Columns of a weighted sum.
    macs
        Multiply-adds, divided by the cores that share them.
    calls
        Inner products, divided likewise.
    doublings
        Multiply-adds in lanes, times how often the lane is twice as long as :data:`SHORT`, divided likewise: the longer
        the lanes, the fewer rows of a batch fit into the processor's caches.
    rows
        Rows that come out of the join, divided likewise.
    grouped
        Rows that go into an aggregate, divided likewise.
    bytes
        Bytes scanned of what is stored, divided likewise.
    packed, unpacked
        Elements packed into tiles, and taken out of them, while the model runs.
    """

    statements: float = 1
    terms: float = 0
    sums: float = 0
    macs: float = 0
    calls: float = 0
    doublings: float = 0
    rows: float = 0
    grouped: float = 0
    bytes: float = 0
    packed: float = 0
    unpacked: float = 0


def milliseconds(work: Work, form: str, costs: Costs) -> float:
    """The predicted time of ``work`` in a form: a lane carrier, ``wide``, ``wsum`` or ``scalar``."""
    nanoseconds = (work.macs * costs.mac(form) + work.calls * costs.call_ns + work.doublings * costs.double_ns
                   + work.rows * costs.row_ns
                   + work.grouped * costs.group_ns + work.bytes * costs.byte_ns + work.packed * costs.pack_ns
                   + work.unpacked * costs.unpack_ns)
    planning = work.terms * costs.term_us + work.sums * costs.sum_us
    return work.statements * costs.statement_ms + planning * 1e-3 + nanoseconds * 1e-6


def form_of(tile: ro.Tile | None) -> str:
    """The name under which the cost table has the multiply-adds of a tile."""
    if tile is None:
        return "scalar"
    return "wsum" if tile.form == "wsum" else tile.carrier or "wide"


def size(dim: Dim, sizes: Mapping[str, int]) -> int:
    """An extent for estimates."""
    return dim if isinstance(dim, int) else max(int(dims.evaluate(dim, sizes)), 1)


def work(c: Contraction, tile: ro.Tile | None, sizes: Mapping[str, int], target: Target) -> Work:
    """Count what a contraction asks of the engine.

    Parameters
    ----------
    c
        The contraction, on scalar rows.
    tile
        Its layout.
    sizes
        Extents of the symbols.
    target
        Has the number of cores, and how many stored rows keep one busy.
    """
    loops = {k.name: size(k.extent, sizes) for k in rel(c.project.result).keys}
    every = math.prod(loops.values())
    result = math.prod(size(k.extent, sizes) for k in rel(c.aggregate.result).keys)
    if tile is None:
        cores = _cores(c, None, None, 1, sizes, target)
        row_bytes = {n: FLOAT_BYTES + KEY_BYTES * len(rel(c.join.inputs[n]).keys) for n in _kept(c)}
        scanned: float = sum(_elements(c, n, sizes) * b for n, b in row_bytes.items())
        return Work(2, rows=every / cores, grouped=every / cores, bytes=scanned / cores)
    if tile.form == "wsum":
        free = free_axis(c, tile.columns * tile.segments)
        rows = every / tile.columns
        v = c.join.inputs[free.input]
        packed = 0 if is_kept(v) else _elements(c, free.input, sizes)
        return Work(2 + (packed > 0), sums=tile.columns, macs=every, rows=rows, grouped=rows, packed=packed,
                    unpacked=result)
    axis = axis_of(c)
    assert axis is not None
    beside = beside_axis(c)
    branches = 1.0 if tile.form == "chunks" else tile.columns / -(-tile.columns // tile.segments)  # the longest decides
    chunks = tile.segments if tile.form == "chunks" else 1
    cores = _cores(c, axis, beside if tile.beside > 1 else None, branches, sizes, target, chunks)
    rows = every / loops[axis.project_key] / tile.beside
    rows *= chunks
    others = [k for k in loops if k != axis.project_key and k not in {k.name for k in rel(c.aggregate.result).keys}]
    parts = 1 if tile.form == "chunks" else tile.segments  # every row of a chunk is a row of the join
    grouped = rows * parts if others or tile.segments > 1 else 0
    padded = tile.columns * max(tile.lane, 1)
    packs = [n for n, v in enumerate(c.join.inputs) if not is_kept(v)]
    width = padded * chunks
    element_bytes = FLOAT_BYTES // 2 if tile.carrier in ex.HALF_CARRIERS else FLOAT_BYTES
    scanned = sum(_elements(c, n, sizes) / loops[axis.project_key] * width * element_bytes for n in _kept(c))
    macs = rows * tile.beside * padded / cores
    apart = beside is not None and tile.beside == 1  # the readers join what this row gave them in several
    return Work(
        statements=1 + len(packs) + (grouped > 0) + apart, terms=tile.columns * (tile.beside + len(packs)), macs=macs,
        calls=rows * tile.beside * tile.columns / cores if tile.lane else 0,
        doublings=macs * max(math.log2(max(tile.lane, 1) / SHORT), 0.0),
        rows=rows * parts / cores + (result if apart else 0),
        grouped=grouped / cores, bytes=scanned / cores, packed=sum(_elements(c, n, sizes) for n in packs),
    )  # fmt: skip


def is_kept(value: Value) -> bool:
    """Whether a relation is stored, or a state: then it is packed when it is written, not when it is read."""
    return storage(value) is not None


def _kept(c: Contraction) -> list[int]:
    return [n for n, v in enumerate(c.join.inputs) if is_kept(v)]


def _elements(c: Contraction, number: int, sizes: Mapping[str, int]) -> int:
    """Elements of an operand; a key that the loops do not run over, such as a position beside its row, adds none."""
    used = {column for value in c.project.body.block.terminator.operands
            for column in (origin(c.join, name) for _, name in columns_in(value))}
    for condition in c.join.on.block.terminator.operands:
        if isinstance(condition.owner, ex.Compare) and condition.owner.kind == "eq":
            used |= columns_in(condition)
    return math.prod(size(k.extent, sizes) for k in rel(c.join.inputs[number]).keys if (number, k.name) in used)


def stored_rows(c: Contraction, axis: Shared | None, beside: Free | None, sizes: Mapping[str, int]) -> int:
    """Rows of the larger kept operand once its axes are in columns and lanes; 0 if none is kept."""
    rows = 0
    for n, v in enumerate(c.join.inputs):
        if is_kept(v):
            tiled = {(axis.lhs_key, axis.rhs_key)[n]} if axis is not None else set[str]()
            tiled |= {beside.key} if beside is not None and beside.input == n else set()
            rows = max(rows, math.prod(size(k.extent, sizes) for k in rel(v).keys if k.name not in tiled))
    return rows


def _cores(c: Contraction, axis: Shared | None, beside: Free | None, branches: float, sizes: Mapping[str, int],
           target: Target, chunks: int = 1) -> float:
    """Cores that share the product: each needs enough stored rows, or a branch of its own."""
    layout = target.layout
    if layout.cores == 1:
        return 1.0
    rows = stored_rows(c, axis, beside, sizes) * chunks
    return min(float(layout.cores), max(1.0, rows / layout.min_rows_per_core) * branches)

