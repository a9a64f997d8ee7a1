"""``prune-columns``: value columns that nobody reads disappear from projections, joins, aggregates and windows.

What each relation must still provide is collected against the SSA order, then the ops are narrowed in it (projection
pruning, as every relational optimiser does it; Graefe 1993, "Query Evaluation Techniques for Large Databases"). Keys
stay: without them rows could no longer be told apart.
"""

from __future__ import annotations

import attrs

from irsql.dialects import expr as ex
from irsql.dialects.rel import ops as ro
from irsql.dialects.rel.types import RelType, Val, rel
from irsql.ir.cleanup import erase_dead
from irsql.ir.core import Builder, Func, Module, Op, Region, Value
from irsql.ir.passes import Pass, PassContext
from irsql.passes.conversion._bind import project
from irsql.passes.rel._contraction import origin


@attrs.frozen
class PruneColumns(Pass):
    """Narrow relations to the value columns that are read.

    Notes
    -----
    Projection push-down: ``π_A(R ⋈_θ S) = π_A(π_{A∪θ}(R) ⋈_θ π_{A∪θ}(S))``, ``π_A(σ_θ(R)) = π_A(σ_θ(π_{A∪θ}(R)))`` and
    ``π_A(γ_{k; f, g}(R)) = γ_{k; f}(R)`` for ``A = k ∪ f``.

    References
    ----------
    Garcia-Molina, Ullman and Widom, *Database Systems: The Complete Book*, section 16.2 (laws involving projection).
    """

    name = "prune-columns"
    summary = "drop value columns that nobody reads"
    stage_in = stage_out = "rel"

    def run(self, module: Module, ctx: PassContext) -> None:
        for func in module.functions.values():
            _prune(func, ctx)


def _prune(func: Func, ctx: PassContext) -> None:
    before = _count(func)
    pruner = _Pruner()
    for op in reversed(func.block.ops):
        pruner.collect(op)
        t = op.results[0].type if op.results else None
        if isinstance(t, RelType) and t.layout is not None and not set(_values(t)) <= pruner.of(op.results[0]):
            ctx.remark("missed", op, "a tiled relation keeps columns that nobody reads",
                       "a tile is one value, whose layout counts its columns", "prune-columns before apply-layout")
    for op in list(func.block.ops):
        pruner.narrow(op)
    erase_dead(func.block)
    dropped = before - _count(func)
    ctx.statistic("columns dropped", dropped)
    if dropped:
        ctx.remark("passed", func, f"@{func.sym_name}: {dropped} of {before} value columns dropped")


def _count(func: Func) -> int:
    return sum(len(v.type.values) for op in func.block.ops for v in op.results if isinstance(v.type, RelType))


def _values(type_: RelType) -> list[str]:
    return [v.name for v in type_.values]


def read_columns(region: Region) -> set[tuple[int, str]]:
    """``(input, column)`` of the columns a region reads, of live expressions only."""
    erase_dead(region.block)
    return {(op.input, op.column) for op in region.block.ops if isinstance(op, ex.Col)}


def drop_yields(op: ro.Project | ro.Aggregate, wanted: set[str]) -> None:
    """Drop the value columns of a projection or an aggregate that are not wanted."""
    t = rel(op.result)
    if t.layout is not None or set(_values(t)) <= wanted:
        return
    keep = [v.name in wanted for v in t.values]
    end = op.body.block.terminator
    kept: list[Value] = []
    if isinstance(op, ro.Project):
        arguments = list(end.operands[len(t.keys):])
        kept += end.operands[:len(t.keys)]
        counts = [1] * len(keep)
    else:
        arguments = list(end.operands)
        counts = [2 if k.startswith("arg") else 1 for k in op.kinds]
        op.kinds = tuple(k for k, stays in zip(op.kinds, keep, strict=True) if stays)
        op.tile = None
    for n, stays in zip(counts, keep, strict=True):
        taken, arguments = arguments[:n], arguments[n:]
        kept += taken if stays else []
    end.set_operands(kept)
    op.result.type = _only(t, wanted)


def _only(t: RelType, wanted: set[str]) -> RelType:
    return RelType(t.keys, tuple(v for v in t.values if v.name in wanted), t.partial, t.layout)


def _select(b: Builder, x: Value, wanted: set[str]) -> Value:
    """``x`` with the wanted value columns alone."""
    t = rel(x)
    out = _only(t, wanted)
    return project(b, x, out, lambda e: [e.col(c, t.column_type(c)) for c in out.columns])


@attrs.define
class _Pruner:
    """What is read of each relation, and where the value columns of each join came from before anything changed."""

    needed: dict[Value, set[str]] = attrs.field(factory=dict[Value, "set[str]"])
    sources: dict[Op, dict[tuple[int, str], str]] = attrs.field(factory=dict[Op, "dict[tuple[int, str], str]"])

    def of(self, value: Value) -> set[str]:
        """The value columns somebody reads."""
        return self.needed.get(value, set())

    def need(self, value: Value, columns: set[str]) -> None:
        """Somebody reads these columns (those among them that are value columns)."""
        self.needed.setdefault(value, set()).update(columns & set(_values(rel(value))))

    def collect(self, op: Op) -> None:
        """Note what ``op`` reads of its operands, given what is read of its result."""
        match op:
            case ro.Project() | ro.Aggregate():
                drop_yields(op, self.of(op.result))
                self.need(op.x, {c for _, c in read_columns(op.body)})
            case ro.Filter():
                self.need(op.x, self.of(op.result) | {c for _, c in read_columns(op.body)})
            case ro.Window():
                added = rel(op.result).values[-1].name
                self.need(op.x, self.of(op.result) - {added})
                if added in self.of(op.result):
                    self.need(op.x, {c for _, c in read_columns(op.body)})
            case ro.Join():
                names = _values(rel(op.result))
                inputs = [(i, c) for i, v in enumerate(op.inputs) for c in _values(rel(v))]
                self.sources[op] = dict(zip(inputs, names, strict=True))
                read = read_columns(op.on) | {origin(op, c) for c in self.of(op.result)}
                for i, v in enumerate(op.inputs):
                    self.need(v, {c for j, c in read if j == i})
            case ro.Complete():
                self.need(op.x, self.of(op.result))
            case ro.Union():
                wanted = [n for n, c in enumerate(_values(rel(op.result))) if c in self.of(op.result)]
                for v in op.inputs:
                    self.need(v, {_values(rel(v))[n] for n in wanted})
            case _:
                for v in op.operands:
                    if isinstance(v.type, RelType):
                        self.need(v, set(_values(v.type)))

    def narrow(self, op: Op) -> None:
        """Make the result of ``op`` follow from its operands, which have been narrowed."""
        match op:
            case ro.Filter():
                op.result.type = _only(rel(op.result), set(_values(rel(op.x))))
            case ro.Window():
                added = rel(op.result).values[-1].name
                if added not in self.of(op.result):
                    op.replace_with(op.x)
                else:
                    op.result.type = _only(rel(op.result), {*_values(rel(op.x)), added})
            case ro.Join():
                source = self.sources[op]
                values = [Val(source[i, v.name], v.type) for i, x in enumerate(op.inputs) for v in rel(x).values]
                op.result.type = RelType(rel(op.result).keys, tuple(values), rel(op.result).partial)
            case ro.Complete():
                t = rel(op.result)
                op.fill = tuple(f for f, v in zip(op.fill, t.values, strict=True) if v.name in self.of(op.result))
                op.result.type = _only(t, self.of(op.result))
            case ro.Union():
                for i, v in enumerate(op.inputs):
                    if len(rel(v).values) != len(self.of(v)):
                        op.set_operand(i, _select(Builder.before_op(op), v, self.of(v)))
                op.result.type = _only(rel(op.result), self.of(op.result))
            case _:
                pass
