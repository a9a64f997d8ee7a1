"""``legalise``: make a tiled program fit the tables of its target.

Every lane op on every carrier is looked up: what is native stays, what is lowered to columns takes the wide form, and
what is unsupported is reported, all of it at once. Scalar functions the engine lacks are written with those it has, and
expressions beyond its limits are split over several projections.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

import attrs

from irsql.dialects import expr as ex
from irsql.dialects.expr import LaneType
from irsql.dialects.rel import ops as ro
from irsql.dialects.rel.types import RelType
from irsql.ir.core import Func, Module, Op, Value
from irsql.ir.diagnostics import Diagnostic, DiagnosticError
from irsql.ir.passes import Pass, PassContext
from irsql.ir.semantics import symbol_ranges
from irsql.ir.target import Target
from irsql.passes.rel import _functions
from irsql.passes.rel._extremes import lower_extremes
from irsql.passes.rel._intervals import Intervals
from irsql.passes.rel._limits import Bounds, depth_of, fit
from irsql.passes.rel._magnitudes import guard_magnitudes
from irsql.passes.rel._widen import widen

WIDE = ("columns", "unnest")
"""What a table calls the lowering to one value column an element."""


@attrs.frozen
class Legalise(Pass):
    """Rewrite what the target cannot do; report what nothing can be done about.

    Notes
    -----
    A lane of n is n columns, and ``⟨x, w⟩ = x_1·w_1 + … + x_n·w_n``; long sums become balanced trees by associativity;
    ``π_{f(g(x))}(R) = π_{f(y)}(π_{g(x) → y}(R))`` names a part of an expression that is too deep or repeated too often.
    Functions an engine lacks are rewritten by the identities in ``passes/rel/_functions.py``.

    References
    ----------
    Legal or not by the table of a target: MLIR's dialect conversion and LLVM's legalisation of types and operations.
    Trees for long sums: LLVM's and other compilers' reassociation (tree-height reduction).
    """

    name = "legalise"
    summary = "make lane ops, scalar functions and expression sizes fit the target's tables"
    stage_in = stage_out = "tiled"
    changes_signatures = True

    max_repeats: int = 32
    """Operators of a shared value that may be written again before it gets a column of its own."""

    def run(self, module: Module, ctx: PassContext) -> None:
        target = ctx.require_target()
        problems = self._lanes(module, target, ctx)
        limits = target.limits
        bounds = Bounds(limits.max_expression_depth, limits.max_sum_terms, self.max_repeats)
        for func in module.functions.values():
            if func.sym_name == "load":
                continue  # the loader computes it, no engine
            problems += _scalar_functions(func, target)
            done = Counter[str]()
            for op in list(func.block.ops):
                if isinstance(op, ro.Aggregate):
                    done["extremes lowered"] += lower_extremes(op, target)
            if target.contract.underflow_raises:
                done["magnitudes guarded"] += guard_magnitudes(func)
            for op in list(func.block.ops):
                if isinstance(op, ro.Project | ro.Aggregate):
                    done["projections added"] += fit(op, bounds)
            for what, count in done.items():
                ctx.statistic(what, count)
            if any(done.values()):
                counts = ", ".join(f"{n} {what}" for what, n in done.items() if n)
                ctx.remark("passed", func, f"@{func.sym_name}: {counts}")
            problems += _too_large(func, target)
        if problems:
            raise DiagnosticError(Diagnostic(
                f"{target.name} {target.version} cannot run {len(problems)} of the program's ops".replace("  ", " "),
                op=problems[0][0], notes=tuple(f"{op.name} at {op.loc}: {reason}" for op, reason in problems),
                suggestion="another layout (select-layout{form=wide} or form=scalar), or another target"))

    def _lanes(self, module: Module, target: Target, ctx: PassContext) -> list[tuple[Op, str]]:
        """Widen the carriers that need it; what is unsupported."""
        problems: list[tuple[Op, str]] = []
        wide: dict[str, None] = {}
        for func in module.functions.values():
            for op, lane_op, carrier in lane_ops(func):
                cap = target.capability(lane_op, carrier)
                reason = f"{lane_op} on {carrier} is unsupported: {cap.reason}"
                if cap.status == "unsupported" and (op, reason) not in problems:
                    problems.append((op, reason))
                elif cap.status == "lowered" and cap.to in WIDE:
                    wide[carrier] = None
        if not problems:
            for carrier in wide:
                ctx.remark("passed", None, f"lanes of {carrier} become columns")
                widen(module, carrier)
        return problems


def lane_ops(func: Func) -> Iterator[tuple[Op, str, str]]:
    """``(op, lane op, carrier)`` of all a function does inside lanes; nothing of ``@load``, which the loader runs."""
    if func.sym_name == "load":
        return
    for op in func.block.ops:
        if isinstance(op, ro.Pack | ro.Unpack):
            tiled = (op.result if isinstance(op, ro.Pack) else op.x).type
            if isinstance(tiled, RelType) and tiled.layout is not None and tiled.layout.lane:
                yield op, "pack" if isinstance(op, ro.Pack) else "unpack", tiled.layout.carrier
        for region in op.regions:
            for inner in region.block.ops[:-1]:
                lane = _lane_of(inner)
                if lane is not None and not isinstance(inner, ex.Col):
                    yield op, _lane_op(inner), lane.carrier


def _lane_of(op: Op) -> LaneType | None:
    values: list[Value] = [*op.operands, *op.results]
    return next((v.type for v in values if isinstance(v.type, LaneType)), None)


def _lane_op(op: Op) -> str:
    """Name of an expression on lanes in the closed list of lane ops."""
    match op:
        case ex.Dot():
            return "dot"
        case ex.Cast():
            return "cast"
        case ex.Extract():
            return "unpack"
        case ex.Binary(kind="add" | "mul"):
            scaled = op.kind == "mul" and len({isinstance(v.type, LaneType) for v in op.operands}) > 1
            return "scale" if scaled else op.kind
        case _:
            return "map"


def _scalar_functions(func: Func, target: Target) -> list[tuple[Op, str]]:
    problems: list[tuple[Op, str]] = []
    ranges = symbol_ranges(func)
    for op in func.block.ops:
        inputs = [v.type for v in op.operands if isinstance(v.type, RelType)]
        for region in op.regions:
            found = _functions.lower(region.block, target, Intervals(inputs, ranges))
            problems += [(op, f"the engine has no {name}") for name in found]
    return problems


def _too_large(func: Func, target: Target) -> list[tuple[Op, str]]:
    """Relations with too many columns and conditions that are too deep."""
    problems: list[tuple[Op, str]] = []
    limits = target.limits
    for op in func.block.ops:
        for r in op.results:
            count = len(r.type.columns) if isinstance(r.type, RelType) else 0
            if count > limits.max_columns:
                problems.append((op, f"{count} columns, at most {limits.max_columns} are possible"))
        if isinstance(op, ro.Join | ro.Filter | ro.Window):
            depth = max(depth_of(region.block) for region in op.regions)
            if depth > limits.max_expression_depth:
                problems.append((op, f"conditions nested {depth} deep, at most {limits.max_expression_depth} are "
                                     "possible"))
        if isinstance(op, ro.Join) and len(op.inputs) > limits.max_joins:
            problems.append((op, f"{len(op.inputs)} tables joined, at most {limits.max_joins} are possible"))
    return problems
