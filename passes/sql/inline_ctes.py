"""``inline-ctes``: merge a select into the select that reads it.

A select without aggregates is its reader's business: its inputs and conditions move into the reader and its columns are
substituted (select merging; sqlglot's ``merge_subqueries``, ibis' ``merge_select_select`` do the same on their trees).
A projection above an aggregate becomes the aggregate's select list. What would compute something expensive twice stays
a CTE, and so does a product of lanes whose reader joins it: an engine may order the joins so that it hashes the rows of
a weight, kilobytes each, where it could hash numbers.
"""

from __future__ import annotations

from collections.abc import Callable

import attrs

from irsql.dialects import expr as ex
from irsql.dialects.rel.types import rel
from irsql.dialects.sql import ops as so
from irsql.ir.core import Block, Builder, Func, Module, Op, Region, Value
from irsql.ir.passes import Pass, PassContext
from irsql.ir.target import Limits
from irsql.passes.rel._limits import extent_of

FUNCTION = 8
"""What a function worth computing once costs in additions."""


@attrs.frozen
class InlineCtes(Pass):
    """Merge selects into their readers where nothing is computed twice.

    Notes
    -----
    ``π_f(σ_p(π_g(σ_q(R)) ⋈ S)) = π_{f∘g}(σ_{p∘g ∧ q}(R ⋈ S))``: view merging. The conditions of a select move into the
    one that reads it, next to its joins (predicate push-down is then the engine's). Aggregate–project fusion is
    ``π_f(γ_{k; g}(R)) = γ_{k; f∘g}(R)`` where ``f`` keeps the keys.

    References
    ----------
    Pirahesh, Hellerstein and Hasan, "Extensible/rule based query rewrite optimization in Starburst", SIGMOD 1992;
    sqlglot's ``merge_subqueries``; ibis' ``merge_select_select``; CTE merging of TranSQL+ (arXiv 2502.02818).
    """

    name = "inline-ctes"
    summary = "merge selects into the selects that read them"
    stage_in = stage_out = "sql"

    max_inputs: int = 8
    """Most tables in one FROM."""
    max_ops: int = 2000
    """Most expression ops written in one select."""
    cheap: int = 1
    """Expressions of at most this many operators may be computed several times."""
    group_columns: int = 0
    """Most columns that move below a GROUP BY, for engines that sort all that is read there; 0 for any number."""

    def run(self, module: Module, ctx: PassContext) -> None:
        fits = _Fits(ctx.target.limits if ctx.target else Limits())
        for func in module.functions.values():
            before = _selects(func)
            kept: dict[so.Select, str] = {}
            while self._round(func, fits, kept):
                kept.clear()
            _sweep(func)
            merged = before - _selects(func)
            ctx.statistic("merged", merged)
            if merged:
                ctx.remark("passed", func, f"@{func.sym_name}: {merged} of {before} selects merged into their readers")
            for select, reason in kept.items():
                ctx.remark("missed", select, f"{select.result.name or 'a select'} stays apart from its reader", reason)

    def _round(self, func: Func, fits: _Fits, kept: dict[so.Select, str]) -> bool:
        """Merge what can be, each reader once; ``kept`` takes the others and what keeps them."""
        changed = False
        for op in list(func.block.ops):
            if not isinstance(op, so.Select) or op.parent is None:
                continue
            for i, value in enumerate(op.inputs):
                producer = value.owner
                if not isinstance(producer, so.Select) or (producer.grouped and not _projects(op)):
                    continue  # nothing that could be one select
                reason = "together they are beyond the engine's limits"
                if fits(producer, op):
                    reason = self._above(producer, op) if producer.grouped else self._into(producer, op, i)
                if not reason:
                    changed = True
                    break
                kept.setdefault(producer, reason)
        return changed

    def _into(self, p: so.Select, c: so.Select, i: int) -> str:
        """Move ungrouped ``p`` into ``c``, or say why not."""
        if p.outer or c.outer or _special(p):
            return "an outer join or a window function is between them"
        if c.inputs.count(p.result) > 1:
            return "one select reads it more than once"
        if (tables := len(c.inputs) + len(p.inputs) - 1) > self.max_inputs:
            return f"one FROM would have {tables} tables, more than max-inputs={self.max_inputs}"
        if len(p.inputs) > 1 and len(c.inputs) > 1 and any(isinstance(op, ex.Dot) for op in p.columns.block.ops):
            return "it multiplies lanes, and its reader would join rows of lanes instead of their products"
        single = len(p.result.uses) == 1
        uses = _column_uses(c, i)
        by_name = dict(zip(rel(p.result).columns, p.columns.block.terminator.operands, strict=True))
        for name, value in by_name.items():
            if (uses.get(name, 0) > 1 or (not single and uses.get(name, 0))) and _size(value) > self.cheap:
                return f"{name} would be computed more than once, and costs {_size(value)} operators"
        if c.grouped and self.group_columns and sum(
                len(_reads(by_name[name])) for name in uses) > self.group_columns:
            return f"its reader would group more than group-columns={self.group_columns} columns"
        if not single and (len(p.inputs) > 1 or p.where.block.terminator.operands):
            return "several selects read it, and each would join or filter again"
        if (size := _ops(p) + _ops(c)) > self.max_ops:
            return f"one select would have {size} operators, more than max-ops={self.max_ops}"
        _merge(p, c, i, by_name)
        return ""

    def _above(self, p: so.Select, c: so.Select) -> str:
        """Move projection ``c`` into the select list of grouped ``p``, or say why not."""
        if len(p.result.uses) != 1:
            return "several selects read it, and each would group again"
        if _special_pack(p):
            return "it packs lanes, which have no expression around them"
        by_name = dict(zip(rel(p.result).columns, p.columns.block.terminator.operands, strict=True))
        uses = _column_uses(c, 0)
        if any(uses.get(n, 0) > 1 and _size(v) > self.cheap + 2 for n, v in by_name.items()):
            return "its reader writes an aggregate more than once"
        keys = {n for n in (k.name for k in rel(p.result).keys)}
        if not all(_reads(v) <= keys for v in c.columns.block.terminator.operands[:len(rel(c.result).keys)]):
            return "its reader makes keys of what it aggregates"
        columns = _rewrite(c.columns, 0, lambda j: j, by_name)
        b = Builder.before_op(c)
        new = b.insert(so.Select(p.inputs, where=_copy(p.where), group=_copy(p.group), columns=columns, grouped=True,
                                 result_types=[rel(c.result)]))
        c.replace_with(new.result)
        p.erase()
        return ""


class _Fits:
    """Whether two selects stay within the engine's limits when merged, whatever column stands where.

    A select's expressions never change while it is in a block, so each is measured once.
    """

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self._extents: dict[so.Select, tuple[tuple[int, int], tuple[int, int]]] = {}

    def __call__(self, p: so.Select, c: so.Select) -> bool:
        inner, outer = self._extent(p)[0], self._extent(c)[1]
        limits = self.limits
        return inner[0] + outer[0] <= limits.max_expression_depth and (
            min(inner[1], outer[1]) == 1 or inner[1] + outer[1] <= limits.max_sum_terms)

    def _extent(self, s: so.Select) -> tuple[tuple[int, int], tuple[int, int]]:
        """Largest depth and terms without the grouping expressions, which do not move, and with them."""
        if s not in self._extents:
            found = [extent_of(r.block) for r in (s.columns, s.where, s.group)]
            self._extents[s] = _largest(found[:2]), _largest(found)
        return self._extents[s]


def _largest(found: list[tuple[int, int]]) -> tuple[int, int]:
    return max(depth for depth, _ in found), max(terms for _, terms in found)


def _merge(p: so.Select, c: so.Select, i: int, by_name: dict[str, Value]) -> None:
    """Rebuild ``c`` with ``p``'s inputs in place of input ``i``."""
    n = len(p.inputs)

    def shift(j: int) -> int:
        return j if j < i else j + n - 1

    inputs = (*c.inputs[:i], *p.inputs, *c.inputs[i + 1:])
    regions = [_rewrite(r, i, shift, by_name) for r in (c.where, c.group, c.columns)]
    _append_conditions(regions[0], p.where, i)
    b = Builder.before_op(c)
    new = b.insert(so.Select(inputs, where=regions[0], group=regions[1], columns=regions[2], grouped=c.grouped,
                             result_types=[rel(c.result)]))
    c.replace_with(new.result)
    if not p.result.uses:
        p.erase()


def _clone_value(e: ex.Exprs, value: Value, offset: int, memo: dict[Value, Value]) -> Value:
    """Copy an expression into another body, its inputs renumbered by ``offset``."""
    if value in memo:
        return memo[value]
    op = value.owner
    assert isinstance(op, Op)
    if isinstance(op, ex.Col):
        out = e.col(op.column, op.result.type, op.input + offset)
    else:
        mapping = {v: _clone_value(e, v, offset, memo) for v in op.operands}
        copy = op.clone(mapping)
        out = e.builder.insert(copy).results[0]
    memo[value] = out
    return out


def _rewrite(region: Region, i: int, shift: Callable[[int], int], by_name: dict[str, Value]) -> Region:
    e, body = ex.Exprs.body()
    env: dict[Value, Value] = {}
    memo: dict[Value, Value] = {}
    for op in region.block.ops:
        if op.is_terminator:
            e.end(*(env[v] for v in op.operands))
        elif isinstance(op, ex.Col):
            env[op.result] = (_clone_value(e, by_name[op.column], i, memo) if op.input == i
                              else e.col(op.column, op.result.type, shift(op.input)))
        else:
            copy = op.clone({v: env[v] for v in op.operands})
            e.builder.insert(copy)
            env[op.results[0]] = copy.results[0]
    _dedupe(body.block)
    return body


def _append_conditions(region: Region, extra: Region, offset: int) -> None:
    end = region.block.terminator
    e = ex.Exprs(Builder(region.block, end))
    memo: dict[Value, Value] = {}
    added = [_clone_value(e, v, offset, memo) for v in extra.block.terminator.operands]
    end.set_operands([*added, *end.operands])


def _copy(region: Region) -> Region:
    e, body = ex.Exprs.body()
    memo: dict[Value, Value] = {}
    e.end(*(_clone_value(e, v, 0, memo) for v in region.block.terminator.operands))
    return body


def _dedupe(block: Block) -> None:
    """Share equal column references and drop dead ops."""
    seen: dict[tuple[str, int], Value] = {}
    for op in list(block.ops):
        if isinstance(op, ex.Col):
            key = (op.column, op.input)
            if key in seen:
                op.replace_with(seen[key])
            else:
                seen[key] = op.result
    for op in reversed(list(block.ops)):
        if not op.is_terminator and not any(r.uses for r in op.results):
            op.erase()


def _occurrences(block: Block) -> dict[Value, int]:
    """How often each value is written when the body is written as trees, which is what SQL text does."""
    count: dict[Value, int] = {}
    for op in reversed(block.ops):
        times = 1 if op.is_terminator else sum(count.get(r, 0) for r in op.results)
        for v in op.operands:
            count[v] = count.get(v, 0) + times
    return count


def _column_uses(c: so.Select, i: int) -> dict[str, int]:
    """How often each column of input ``i`` is written."""
    out: dict[str, int] = {}
    for region in (c.where, c.group, c.columns):
        count = _occurrences(region.block)
        for op in region.block.ops:
            if isinstance(op, ex.Col) and op.input == i:
                out[op.column] = out.get(op.column, 0) + count.get(op.result, 0)
    return out


def _size(value: Value) -> int:
    """Work of an expression written as a tree, in operators; a column or constant is none."""
    memo: dict[Value, int] = {}

    def size(v: Value) -> int:
        op = v.owner
        assert isinstance(op, Op)
        if v not in memo:
            memo[v] = 0 if not op.operands else _work(op) + sum(size(x) for x in op.operands)
        return memo[v]

    return size(value)


def _work(op: Op) -> int:
    """What one operator costs in additions, roughly."""
    match op:
        case ex.Dot():
            lane = op.lhs.type
            return lane.length if isinstance(lane, ex.LaneType) else 1
        case ex.Unary(kind=kind) | ex.Binary(kind=kind) if kind in ex.EXPENSIVE:
            return FUNCTION
        case _:
            return 1


def _reads(value: Value) -> set[str]:
    op = value.owner
    assert isinstance(op, Op)
    if isinstance(op, ex.Col):
        return {op.column}
    return set[str]().union(*(_reads(v) for v in op.operands))


def _ops(s: so.Select) -> int:
    return sum(sum(_occurrences(r.block).values()) for r in (s.where, s.group, s.columns))


def _special(s: so.Select) -> bool:
    """Has window functions."""
    return any(isinstance(op, ex.Window) for op in s.columns.block.ops)


def _projects(s: so.Select) -> bool:
    """Computes columns of one input, row by row."""
    return len(s.inputs) == 1 and not (s.grouped or s.outer or s.where.block.terminator.operands or _special(s))


def _special_pack(s: so.Select) -> bool:
    return any(isinstance(op, ex.Pack) for op in s.columns.block.ops)


def _selects(func: Func) -> int:
    return sum(isinstance(op, so.Select) for op in func.block.ops)


def _sweep(func: Func) -> None:
    for op in reversed(list(func.block.ops)):
        if op.pure and op.results and not any(r.uses for r in op.results):
            op.erase()
