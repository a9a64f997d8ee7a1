"""Packing scalar rows into lanes and columns, and unpacking, as SQL."""

from __future__ import annotations

from sqlglot import exp

from irsql.dialects import expr as ex
from irsql.dialects.rel.types import Layout, RelType, logical, rel
from irsql.dialects.sql import ops as so
from irsql.ir.core import Value
from irsql.targets.expressions import Columns, Emitter, call, column, infix, number


def _filled(layout: Layout, nth: int) -> int:
    """Elements of a lane that hold data in every row; the rest is padding."""
    axis = layout.tiled_axis
    assert axis is not None and layout.lane is not None
    extent, lane = layout.extents[axis], layout.lane.extent
    assert isinstance(extent, int) and isinstance(lane, int)
    if any(p.place == "row" and p.axis == axis for p in layout.parts):
        columns = layout.column.extent if layout.column else 1
        assert isinstance(columns, int)
        return lane if extent % (lane * columns) == 0 else 0
    return max(0, min(lane, extent - nth * lane))


def _padded(e: Emitter, lay: Layout, nth: int, cell: exp.Expr, type_: ex.LaneType) -> exp.Expr:
    filled = _filled(lay, nth)
    return cell if filled == type_.length else e.pad(cell, type_, maybe_empty=not filled)


def lane(e: Emitter, op: ex.Pack, t: RelType, index: int, read: Columns) -> exp.Expr:
    """One packed column by an ordered aggregate."""
    lay, type_ = t.layout, op.result.type
    assert lay is not None and isinstance(type_, ex.LaneType)
    out = e.collect(e.value(op.x, read), e.value(op.position, read))
    for condition in op.condition:
        out = e.filtered(out, e.value(condition, read))
    nth = index - len(t.keys) if lay.column else 0
    return e.lane(_padded(e, lay, nth, out, type_), type_)


def _digit_of(op: ex.Pack) -> tuple[Value, int] | None:
    """``(digit, c)`` of a pack with the one condition ``digit = c``."""
    if len(op.condition) != 1:
        return None
    eq = op.condition[0].owner
    if not isinstance(eq, ex.Compare) or eq.kind != "eq" or not isinstance(eq.rhs.owner, ex.Constant):
        return None
    return eq.lhs, int(eq.rhs.owner.value)


def pivoted(e: Emitter, op: so.Select, base: exp.Select, group: list[exp.Expr], read: Columns) -> exp.Select | None:
    """A select whose value columns are the columns of one pack, in two levels of aggregation.

    First a lane for each (group, column digit), then one list of lanes a group that is taken apart: the cost is per
    element, where one filtered aggregate a column costs every row in every column. None if ``op`` is not of this form.
    """
    t = rel(op.result)
    lay = t.layout
    yields = op.columns.block.terminator.operands
    packs = [v.owner for v in yields[len(t.keys):]]
    if lay is None or lay.column is None or lay.lane is None or not packs:
        return None
    digits: list[Value] = []
    for n, p in enumerate(packs):
        found = _digit_of(p) if isinstance(p, ex.Pack) else None
        if found is None or found[1] != n:
            return None
        digits.append(found[0])
    first = packs[0]
    assert isinstance(first, ex.Pack)
    texts = {e.value(d, read).sql() for d in digits}
    if len(texts) != 1 or len({(e.value(p.x, read).sql(), e.value(p.position, read).sql()) for p in packs
                               if isinstance(p, ex.Pack)}) != 1:
        return None
    keys = [e.value(v, read) for v in yields[:len(t.keys)]]
    names = [k.name for k in t.keys]
    digit = e.value(digits[0], read)
    inner = base
    elements = e.collect(e.value(first.x, read), e.value(first.position, read))
    inner.set("expressions", [*(exp.alias_(k, n, quoted=True) for k, n in zip(keys, names, strict=True)),
                              exp.alias_(digit, "c", quoted=True), exp.alias_(elements, "l", quoted=True)])
    inner.set("group", exp.Group(expressions=[*group, digit.copy()]))
    middle = exp.Select(expressions=[*(exp.alias_(column(n), n, quoted=True) for n in names),
                                     exp.alias_(e.collect(column("l"), column("c")), "ll", quoted=True)],
                        from_=exp.From(this=_sub(inner, "p0")))
    if names:
        middle.set("group", exp.Group(expressions=[column(n) for n in names]))
    cells: list[exp.Expr] = [column(n) for n in names]
    for n, p in enumerate(packs):
        assert isinstance(p, ex.Pack)
        type_ = p.result.type
        assert isinstance(type_, ex.LaneType)
        cells.append(_padded(e, lay, n, e.subscript(column("ll"), n), type_))
    return exp.Select(expressions=[exp.alias_(c, n, quoted=True) for c, n in zip(cells, t.columns, strict=True)],
                      from_=exp.From(this=_sub(middle, "p1")))


def _sub(query: exp.Query, alias: str) -> exp.Subquery:
    return exp.Subquery(this=query, alias=exp.TableAlias(this=exp.to_identifier(alias, quoted=True)))


def unpack(e: Emitter, op: so.Unpack, source: exp.Expr) -> exp.Select:
    """Tiles unnested to scalar rows, the padding cut off."""
    t, out = rel(op.x), rel(op.result)
    lay = t.layout
    assert lay is not None and lay.tiled_axis is not None
    axis = lay.names[lay.tiled_axis]
    extent = lay.extents[lay.tiled_axis]
    assert isinstance(extent, int)
    row = next((p for p in lay.rows if p.axis == lay.tiled_axis), None)
    width = 1
    for p in (lay.column, lay.lane):
        if p is not None:
            assert isinstance(p.extent, int)
            width *= p.extent
    values = [v.name for v in logical(t).values]
    cells: dict[str, exp.Expr] = {}
    for k in out.keys:
        cells[k.name] = column(k.name, "a0")
    index = e.unnest(e.indices(width if row else extent))
    if row is not None:
        index = infix(exp.Add, infix(exp.Mul, column(row.name, "a0"), number(row.stride)), index)
    cells[axis] = index
    for name in values:
        columns = [v for v in t.values
                   if v.name == name or (lay.column is not None and v.name.rsplit("_", 1)[0] == name)]
        refs: list[exp.Expr] = [column(v.name, "a0") for v in columns]
        if lay.lane is None:
            items = e.list_of(refs)
        elif len(refs) == 1:
            items = refs[0]
        else:
            items = call("FLATTEN", e.list_of(refs))
        if row is None and width != extent:
            items = call("LIST_SLICE", items, number(1), number(extent))
        cells[name] = e.unnest(items)
    query = exp.Select(expressions=[exp.alias_(cells[c], c, quoted=True) for c in out.columns],
                       from_=exp.From(this=source))
    if row is not None and isinstance(row.extent, int) and row.extent * row.stride > extent:
        outer = exp.Select(expressions=[column(c) for c in out.columns], from_=exp.From(this=_sub(query, "u0")))
        outer.set("where", exp.Where(this=infix(exp.LT, column(axis), number(extent))))
        return outer
    return query
