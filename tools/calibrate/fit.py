"""Coefficients of a target's cost model from measured times.

The model is linear in its coefficients, so they are the non-negative least squares (Lawson and Hanson, *Solving Least
Squares Problems*, 1974, chapter 23) of the probes' counts to their times. Every probe counts by its relative error: a
choice between layouts is a matter of ratios.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import date

import numpy as np

from irsql.ir.target import Costs, Target
from irsql.passes.rel._cost import milliseconds
from irsql.passes.rel.select_layout import SelectLayout, rows_of_lanes
from irsql.tools.calibrate.probe import Probe, Shape

COLUMNS = {"statement_ms": "statements", "term_us": "terms", "sum_us": "sums", "call_ns": "calls",
           "double_ns": "doublings", "row_ns": "rows", "group_ns": "grouped", "byte_ns": "bytes", "pack_ns": "packed",
           "unpack_ns": "unpacked"}
"""Coefficient to what it multiplies."""
LANES = (16, 32, 64, 128, 256, 512, 1024, 2048)
CHUNKS = ((32, 8), (64, 4), (64, 8), (64, 16), (128, 8))
"""Lanes and columns of the rows of lanes that are measured: enough to tell their costs apart."""
SHAPES = (Shape(1, 1024, 1024), Shape(1, 4096, 512), Shape(1, 512, 4096), Shape(1, 128, 128), Shape(16, 2048, 256),
          Shape(16, 512, 2048))  # fmt: skip
SUMS = (Shape(8, 64, 512, sums=True), Shape(32, 64, 512, sums=True))


def layouts(target: Target) -> Iterator[tuple[Shape, str]]:
    """What is measured: shapes and options of ``select-layout``."""
    most = SelectLayout().max_columns
    for shape in SHAPES:
        if shape.macs <= 1 << 22:
            yield shape, "form=scalar"
        if not target.layout.carriers or shape.macs <= 1 << 14:  # no choice beside lanes, and slow
            yield shape, "form=wide"
        if not target.layout.carriers:
            continue
        for n in sorted({-(-shape.inner // lane) for lane in LANES} | {1}):
            for segments in (1, 2) if n >= 8 and target.layout.cores > 1 else (1,):
                if n <= most:
                    yield shape, f"tile=dot:{-(-shape.inner // n)}x{n}x{segments}"
        for lane, columns, rows in rows_of_lanes(shape.inner, target.layout.chunks):
            if (lane, columns) in CHUNKS:
                yield shape, f"tile=chunks:{lane}x{columns}x{rows}"
    for shape in SUMS:
        yield shape, "form=scalar"
        for n in (n for n in (1, 4, 8, 16, 32, 64) if shape.outputs % n == 0):
            yield shape, f"tile=wsum:0x{n}x{shape.outputs // n}"


def fit(probes: Sequence[Probe], machine: str) -> Costs:
    """The coefficients under which the cost model comes closest to what was measured.

    Parameters
    ----------
    probes
        Measured.
    machine
        Its name, for the record.
    """
    from scipy.optimize import nnls

    forms = sorted({p.form for p in probes} - {"scalar"})
    scales = {"statement_ms": 1.0, "term_us": 1e-3, "sum_us": 1e-3}
    rows = [[getattr(p.work, field) * scales.get(name, 1e-6) for name, field in COLUMNS.items()]
            + [p.work.macs * 1e-6 if p.form == f else 0.0 for f in forms] for p in probes]
    measured = np.array([p.milliseconds for p in probes])
    found, _ = nnls(np.array(rows) / measured[:, None], np.ones(len(probes)))
    numbers = [float(f"{x:.4g}") for x in found]
    named = dict(zip(COLUMNS, numbers, strict=False))
    macs = dict(zip(forms, numbers[len(COLUMNS):], strict=True))
    return Costs(machine=machine, date=date.today().isoformat(), mac_ns=macs, **named)


def predicted(probe: Probe, costs: Costs) -> float:
    """Milliseconds of a probe."""
    return milliseconds(probe.work, probe.form, costs)


def kendall_tau(pairs: Sequence[tuple[float, float]], least: float = 1.1) -> float:
    """Agreement in order of (predicted, measured), over pairs whose measured times differ by more than ``least``.

    Kendall, *A New Measure of Rank Correlation*, Biometrika 1938: concordant minus discordant pairs over all; equal
    predictions count as discordant by half.
    """
    score, count = 0.0, 0
    for n, (p, m) in enumerate(pairs):
        for q, k in pairs[:n]:
            if max(m, k) > least * min(m, k):
                count += 1
                score += np.sign((p - q) * (m - k))
    return score / count if count else 1.0
