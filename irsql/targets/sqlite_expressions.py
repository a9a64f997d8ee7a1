"""SQLite's expressions.

Its values have types of their own: integers of 64 bits, and doubles. So floats are computed in double precision and
rounded to 32 bits where they are read; NaN is NULL, booleans are 0 and 1. A float expression must be a double and never
an integer, for ``/`` of integers truncates.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

import numpy as np
from sqlglot import exp

from irsql.dialects import expr as ex
from irsql.dialects.rel.types import logical, rel
from irsql.dialects.sql import ops as so
from irsql.ir.attributes import I1, ScalarType, Type
from irsql.ir.core import IRError, Value
from irsql.ir.dims import Dim
from irsql.targets.expressions import Columns, Emitter, call, column, infix, number

Sub = Callable[[Value], exp.Expr]
_NARROW = 16
"""Fewer columns are packed in one step."""
_TERMS = 400
"""Terms of a compound select; SQLite takes 500."""
_ROWS = 5000
"""Rows written out in one VALUES: a statement's text has limits, the number of rows has not."""


def _is_float(value: Value) -> bool:
    return isinstance(value.type, ScalarType) and value.type.is_float


class SQLiteEmitter(Emitter):
    """Expressions of SQLite from 3.40 on, with its mathematical functions."""

    types: Mapping[str, str] = {"f64": "DOUBLE", "f32": "DOUBLE", "i64": "BIGINT", "i1": "BIGINT", "index": "BIGINT"}

    def constant(self, value: bool | int | float, type_: Type) -> exp.Expr:
        """A literal; 32-bit floats are the doubles they are."""
        assert isinstance(type_, ScalarType)
        if type_.name == "i1":
            return exp.Boolean(this=bool(value))
        if not type_.is_float:
            return number(int(value))
        x = float(np.float32(value)) if type_.name == "f32" else float(value)
        if np.isnan(x):
            return exp.Null()
        literal = exp.Literal.number("9e999" if np.isinf(x) else repr(abs(x)))
        return exp.Paren(this=exp.Neg(this=literal)) if x < 0 else literal

    def cast(self, x: exp.Expr, type_: Type) -> exp.Expr:
        """``CAST``, but not of a literal that has the type."""
        assert isinstance(type_, ScalarType)
        bare = x.this.this if isinstance(x, exp.Paren) and isinstance(x.this, exp.Neg) else x
        if isinstance(bare, exp.Literal) and bare.is_int and not type_.is_float:
            return x
        return super().cast(x, type_)

    def on_unary(self, op: ex.Unary, sub: Sub, columns: Columns) -> exp.Expr:
        """As in the base class, in double precision."""
        x, kind = sub(op.x), op.kind
        if kind == "neg":
            return exp.Paren(this=exp.Neg(this=x))
        if kind == "not":
            return exp.Paren(this=exp.Not(this=x))
        if kind == "isnan":
            return exp.Paren(this=exp.Is(this=x, expression=exp.Null()))
        out = call(self.native(op, kind), x)
        if kind == "log":  # LN gives NULL for 0
            zero = infix(exp.EQ, x.copy(), self.constant(0.0, op.x.type))
            lowest = exp.Case(ifs=[exp.If(this=zero, true=self.constant(-np.inf, op.x.type))])
            return exp.Coalesce(this=out, expressions=[lowest])
        return self.cast(out, op.result.type) if kind == "sign" else out  # SIGN gives an integer

    def on_binary(self, op: ex.Binary, sub: Sub, columns: Columns) -> exp.Expr:
        """``/`` of integers truncates, of doubles divides; MAX and MIN of a NULL are NULL."""
        a, b = sub(op.lhs), sub(op.rhs)
        simple = {"add": exp.Add, "sub": exp.Sub, "mul": exp.Mul, "and": exp.And, "or": exp.Or}
        if op.kind in simple:
            return infix(simple[op.kind], a, b)
        if op.kind == "div":
            return self._divide(a, b)
        if op.kind in ("min", "max"):
            return call(op.kind.upper(), a, b)
        if op.kind == "pow":
            out = call(self.native(op, "pow"), a, b)
            return out if _is_float(op.result) else self.cast(out, op.result.type)
        if _is_float(op.result):
            quotient = call("FLOOR", self._divide(a, b))
            return quotient if op.kind == "floordiv" else infix(exp.Sub, a.copy(), infix(exp.Mul, quotient, b.copy()))
        # Where an operand may be negative, legalise has written floor division with these two.
        return self._divide(a, b) if op.kind == "floordiv" else infix(exp.Mod, a, b)

    @staticmethod
    def _divide(a: exp.Expr, b: exp.Expr) -> exp.Expr:
        """``a / b`` as it stands; a plain Div is written with a cast to REAL."""
        return exp.Paren(this=exp.Div(this=a, expression=b, typed=True, safe=True))

    def on_compare(self, op: ex.Compare, sub: Sub, columns: Columns) -> exp.Expr:
        """A comparison with a NaN is false, and NULL where it is one of NULL."""
        plain = super().on_compare(op, sub, columns)
        offset = _offset(op)
        if offset is not None:  # said both ways, so that either side can be looked up
            y, other = sub(offset[0]), infix(exp.Sub, sub(op.lhs), number(offset[1]))
            return exp.And(this=plain, expression=infix(exp.EQ, y, other))
        if not _is_float(op.lhs):
            return plain
        return exp.Coalesce(this=plain, expressions=[exp.Boolean(this=op.kind == "ne")])

    def on_select(self, op: ex.Select, sub: Sub, columns: Columns) -> exp.Expr:
        """``CASE``, which takes a condition that is NULL for false."""
        test = op.condition.owner
        bare = isinstance(test, ex.Compare) and test.kind != "ne"
        condition = super().on_compare(test, sub, columns) if bare else sub(op.condition)  # type: ignore[arg-type]
        return exp.Case(ifs=[exp.If(this=condition, true=sub(op.on_true))], default=sub(op.on_false))

    def on_cast(self, op: ex.Cast, sub: Sub, columns: Columns) -> exp.Expr:
        """Between integers and doubles; there are no others."""
        x, source, t = sub(op.x), op.x.type, op.result.type
        assert isinstance(source, ScalarType) and isinstance(t, ScalarType)
        if t == I1:
            differs = infix(exp.NEQ, x, self.constant(0, source))
            return exp.Coalesce(this=differs, expressions=[exp.true()]) if source.is_float else differs
        return x if source.is_float == t.is_float else self.cast(x, t)

    def on_aggregate(self, op: ex.Aggregate, sub: Sub, columns: Columns) -> exp.Expr:
        """``first`` is one of equal values."""
        if op.kind == "count":
            return exp.Count(this=exp.Star())
        name = {"sum": "SUM", "max": "MAX", "min": "MIN", "first": "MAX"}.get(op.kind)
        if name is None:
            raise IRError(f"SQLite has no aggregate {op.kind}; legalise lowers it", op)
        return call(name, sub(op.x))

    def on_window(self, op: ex.Window, sub: Sub, columns: Columns) -> exp.Expr:
        """As in the base class; a NaN is the greatest."""
        window = super().on_window(op, sub, columns)
        assert isinstance(window, exp.Cast)
        order = window.this.args["order"].expressions
        for item, by in zip(order, op.args[op.value + op.partition:], strict=True):
            # NULL is the least, and sqlglot says so where the order it is told differs
            item.set("nulls_first", item.args["desc"] if _is_float(by) else not item.args["desc"])
        return window.this

    def materialised(self, value: Value, readers: int) -> bool:
        """Also what a reader would write out wherever it uses a column: SQLite substitutes selects."""
        op = value.owner
        computes = isinstance(op, so.Select) and not op.grouped and any(
            not isinstance(v.owner, ex.Col) for v in op.columns.block.terminator.operands)
        return readers > 1 or computes

    def join_order(self, op: so.Select) -> list[int] | None:
        """Wide rows first, the stored ones last of them: else SQLite indexes a copy of the few wide rows."""
        wide = [n for n, v in enumerate(op.inputs) if len(rel(v).values) > _NARROW]
        stored = [n for n in wide if isinstance(op.inputs[n].owner, so.Table)]
        if op.grouped or op.outer or len(wide) != 2 or len(stored) != 1:
            return None
        return sorted(range(len(op.inputs)), key=lambda n: (n not in wide, n in stored))

    # -- rows ----------------------------------------------------------------------------------------
    def count_to(self, extent: Dim, name: str) -> exp.Select:
        """A recursive common table expression that counts."""
        def below(x: exp.Expr) -> exp.Expr:
            return exp.LT(this=x, expression=self.dim(extent))

        following = infix(exp.Add, column("i"), number(1))
        first = exp.Select(expressions=[exp.alias_(number(0), "i", quoted=True)]).where(below(number(0)), copy=False)
        more = exp.Select(expressions=[following], from_=exp.From(this=exp.Table(this=exp.to_identifier("n"))))
        more.where(below(following.copy()), copy=False)
        alias = exp.TableAlias(this=exp.to_identifier("n"), columns=[exp.to_identifier("i", quoted=True)])
        counted = exp.CTE(this=exp.Union(this=first, expression=more, distinct=False), alias=alias)
        out = exp.Select(expressions=[exp.alias_(column("i"), name, quoted=True)],
                         from_=exp.From(this=exp.Table(this=exp.to_identifier("n"))))
        out.set("with_", exp.With(expressions=[counted], recursive=True))
        return out

    def rows(self, rows: list[list[exp.Expr]], names: list[str]) -> exp.Query:
        """``VALUES``: a compound of many selects has at most 500."""
        queries = []
        for start in range(0, len(rows), _ROWS):
            values = exp.Values(expressions=[exp.Tuple(expressions=cells) for cells in rows[start:start + _ROWS]])
            cells = [exp.alias_(exp.column(f"column{n}"), name, quoted=True) for n, name in enumerate(names, 1)]
            queries.append(exp.Select(expressions=cells, from_=exp.From(this=exp.Subquery(this=values))))
        return self.union_all(queries, names)

    def union_all(self, queries: list[exp.Select], names: list[str]) -> exp.Query:
        """Of more than a compound select may have, as one of subqueries."""
        while len(queries) > _TERMS:
            parts = [queries[n:n + _TERMS] for n in range(0, len(queries), _TERMS)]
            queries = [exp.Select(expressions=[column(c) for c in names], from_=exp.From(this=exp.Subquery(
                this=super(SQLiteEmitter, self).union_all(part, names)))) for part in parts]
        return super().union_all(queries, names)

    def pivoted(self, op: so.Select, base: exp.Select, group: list[exp.Expr], read: Columns) -> exp.Select | None:
        """Pack n columns in two steps of about √n columns each: one aggregate a column costs every row n tests."""
        t = rel(op.result)
        yields = op.columns.block.terminator.operands
        cells = [_digit_of(v) for v in yields[len(t.keys):]]
        if t.layout is None or t.layout.column is None or None in cells:
            return None
        found = [(self.value(d, read), n, self.value(x, read)) for d, n, x in (c for c in cells if c is not None)]
        digit, _, x = found[0]
        if [n for _, n, _ in found] != list(range(len(found))) or len({(d.sql(), v.sql()) for d, _, v in found}) > 1:
            return None
        # Only where no row can be missing is a NULL a NaN, and stays one.
        axis, extent = t.layout.tiled_axis, t.layout.column.extent
        assert axis is not None
        length = t.layout.extents[axis]
        partial = t.partial or any(rel(v).partial for v in op.inputs)
        whole = not partial and isinstance(length, int) and isinstance(extent, int) and length % extent == 0
        width = 1 << round(math.log2(len(found)) / 2) if len(found) >= _NARROW else len(found)
        keys = [(self.value(v, read), k.name) for v, k in zip(yields, t.keys, strict=False)]
        if width == len(found):
            wide = [exp.alias_(self._only(x.copy(), digit.copy(), n, whole), v.name, quoted=True)
                    for n, v in enumerate(t.values)]  # fmt: skip
            base.set("expressions", [*(exp.alias_(k, n, quoted=True) for k, n in keys), *wide])
            if group:
                base.set("group", exp.Group(expressions=group))
            return base
        high, low = self._divide(digit.copy(), number(width)), infix(exp.Mod, digit.copy(), number(width))
        narrow = [exp.alias_(self._only(x.copy(), low.copy(), n, whole), f"p{n}", quoted=True) for n in range(width)]
        base.set("expressions", [*(exp.alias_(k, n, quoted=True) for k, n in keys),
                                 exp.alias_(high, "c", quoted=True), *narrow])  # fmt: skip
        base.set("group", exp.Group(expressions=[*group, high.copy()]))
        names = [column(k.name) for k in t.keys]
        wide = [exp.alias_(self._only(column(f"p{n % width}"), column("c"), n // width, whole), v.name, quoted=True)
                for n, v in enumerate(t.values)]  # fmt: skip
        alias = exp.TableAlias(this=exp.to_identifier("p", quoted=True))
        out = exp.Select(expressions=[*names, *wide], from_=exp.From(this=exp.Subquery(this=base, alias=alias)))
        if names:
            out.set("group", exp.Group(expressions=[n.copy() for n in names]))
        return out

    @staticmethod
    def _only(x: exp.Expr, digit: exp.Expr, n: int, whole: bool) -> exp.Expr:
        """The ``x`` where ``digit`` is ``n``, 0 where it never is; ``whole`` says that it always is once."""
        where = exp.Where(this=exp.EQ(this=digit, expression=number(n)))
        found = exp.Filter(this=call("SUM", x), expression=where)
        return found if whole else exp.Coalesce(this=found, expressions=[exp.Literal.number("0.0")])

    def unpack(self, op: so.Unpack, source: exp.Expr) -> exp.Select:
        """Each row once for every index on the tiled axis, the column taken by a search."""
        t, out = rel(op.x), rel(op.result)
        layout = t.layout
        assert layout is not None and layout.column is not None and layout.lane is None
        assert layout.tiled_axis is not None
        axis, extent = layout.names[layout.tiled_axis], layout.extents[layout.tiled_axis]
        width, digit = layout.column.extent, column("i", "u")
        assert isinstance(extent, int) and isinstance(width, int)
        row = next((p for p in layout.rows if p.axis == layout.tiled_axis), None)
        index: exp.Expr = digit
        if row is not None:
            index = infix(exp.Add, infix(exp.Mul, column(row.name, "a0"), number(row.stride)), digit)
        cells: dict[str, exp.Expr] = {k.name: column(k.name, "a0") for k in out.keys}
        cells[axis] = index
        for v in logical(t).values:
            parts = [column(c.name, "a0") for c in t.values if c.name.rsplit("_", 1)[0] == v.name]
            cells[v.name] = _pick(digit, parts, 0)
        query = exp.Select(expressions=[exp.alias_(cells[c], c, quoted=True) for c in out.columns],
                           from_=exp.From(this=source))
        counted = exp.Subquery(this=self.count_to(width if row is not None else min(width, extent), "i"),
                               alias=exp.TableAlias(this=exp.to_identifier("u", quoted=True)))
        query.append("joins", exp.Join(this=counted, kind="CROSS"))
        if row is not None and isinstance(row.extent, int) and row.extent * row.stride > extent:
            query.where(infix(exp.LT, index.copy(), number(extent)), copy=False)
        return query


def _offset(op: ex.Compare) -> tuple[Value, int] | None:
    """``(y, c)`` of the comparison ``x = y + c`` of columns of two relations."""
    total = op.rhs.owner
    if op.kind != "eq" or not isinstance(total, ex.Binary) or total.kind != "add":
        return None
    x, y, c = op.lhs.owner, total.lhs.owner, total.rhs.owner
    if not isinstance(x, ex.Col) or not isinstance(y, ex.Col) or not isinstance(c, ex.Constant) or x.input == y.input:
        return None
    return total.lhs, int(c.value)


def _digit_of(cell: Value) -> tuple[Value, int, Value] | None:
    """``(d, n, x)`` of the sum of ``x`` where ``d`` is ``n``, else of 0."""
    total = cell.owner
    choice = total.x.owner if isinstance(total, ex.Aggregate) and total.kind == "sum" else None
    if not isinstance(choice, ex.Select) or not isinstance(choice.on_false.owner, ex.Constant):
        return None
    test = choice.condition.owner
    if choice.on_false.owner.value != 0 or not isinstance(test, ex.Compare) or test.kind != "eq":
        return None
    constant = test.rhs.owner
    return (test.lhs, int(constant.value), choice.on_true) if isinstance(constant, ex.Constant) else None


def _pick(digit: exp.Expr, parts: list[exp.Column], first: int) -> exp.Expr:
    """The column number ``digit`` of those, which are numbered from ``first`` on, found by halving."""
    if len(parts) == 1:
        return parts[0]
    half = len(parts) // 2
    below = exp.LT(this=digit.copy(), expression=number(first + half))
    return exp.Case(ifs=[exp.If(this=below, true=_pick(digit, parts[:half], first))],
                    default=_pick(digit, parts[half:], first + half))
