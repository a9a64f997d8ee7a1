"""PostgreSQL's expressions.

Floats are computed in double precision: ``real`` arithmetic raises where float32 underflows, and doubles have room for
what float32 numbers give. Stored relations are ``real``, so what is read from them is widened first. What raises
outside of its domain (``EXP``, ``LN``, ``SQRT``, ``/``) is asked before.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
from sqlglot import exp

from irsql.dialects import expr as ex
from irsql.dialects.rel.types import logical, rel
from irsql.dialects.sql import ops as so
from irsql.ir.attributes import F64, I1, I64, ScalarType, Type
from irsql.ir.core import IRError, Value
from irsql.ir.dims import Dim
from irsql.targets.expressions import Columns, Emitter, call, column, infix, number

Sub = Callable[[Value], exp.Expr]
POWER_LIMITS = {"f32": (-104.0, 88.72283), "f64": (-708.0, 709.78)}
"""Logarithms beyond which a power is 0 or infinite in a type."""
_ROWS = 5000
"""Rows written out in one VALUES."""


def vector(length: int, half: bool = False) -> exp.DataType:
    """The type of pgvector for ``length`` floats of 32 bits, or of 16."""
    size = [exp.DataTypeParam(this=number(length))]
    if half:
        return exp.DataType(this=exp.DType.USERDEFINED, kind="halfvec", expressions=size)
    return exp.DataType(this=exp.DType.VECTOR, expressions=size)


def _is_float(value: Value) -> bool:
    return isinstance(value.type, ScalarType) and value.type.is_float


def _array(*items: exp.Expr) -> exp.Array:
    return exp.Array(expressions=list(items))


class PostgresEmitter(Emitter):
    """Expressions of PostgreSQL from 16 on; lanes are pgvector's."""

    types: Mapping[str, str] = {"f64": "DOUBLE", "f32": "DOUBLE", "i64": "BIGINT", "i1": "BOOLEAN", "index": "BIGINT"}

    def data_type(self, type_: Type) -> exp.DataType:
        """The engine's type."""
        return vector(type_.length, type_.half) if isinstance(type_, ex.LaneType) else super().data_type(type_)

    def column_of(self, source: Value, name: str, alias: str) -> exp.Expr:
        """A column; one of ``real`` as a double, for an operator on two of them would raise on underflow."""
        found = column(name, alias)
        t = rel(source).column_type(name)
        stored = isinstance(source.owner, so.Table) and isinstance(t, ScalarType) and t.is_float
        return self.cast(found, F64) if stored else found

    # -- values --------------------------------------------------------------------------------------
    def constant(self, value: bool | int | float, type_: Type) -> exp.Expr:
        """A literal; 32-bit floats are the doubles they are."""
        assert isinstance(type_, ScalarType)
        if type_.name == "f32" and np.isfinite(value):
            return super().constant(float(np.float32(value)), F64)
        return super().constant(value, type_)

    def on_unary(self, op: ex.Unary, sub: Sub, columns: Columns) -> exp.Expr:
        """As in the base class, in double precision; legalise has asked what a function would raise on."""
        x, kind, t = sub(op.x), op.kind, op.x.type
        assert isinstance(t, ScalarType)
        if kind == "neg":
            return exp.Paren(this=exp.Neg(this=x))
        if kind == "not":
            return exp.Paren(this=exp.Not(this=x))
        if kind == "isnan":
            return infix(exp.EQ, x, self.constant(float("nan"), F64))
        if not t.is_float and kind in ("floor", "ceil", "trunc", "round"):
            return x
        found = call(self.native(op, kind), x)
        return found if t.is_float else self.cast(found, t)

    def on_binary(self, op: ex.Binary, sub: Sub, columns: Columns) -> exp.Expr:
        """``/`` of integers truncates, of doubles divides; where an operand may be negative, legalise has been."""
        if op.kind not in ("div", "pow", "floordiv", "mod"):
            return super().on_binary(op, sub, columns)
        a, b = sub(op.lhs), sub(op.rhs)
        if op.kind == "div":
            return _divide(a, b)
        if op.kind == "pow":
            return self._power(op, a, b)
        if _is_float(op.result):
            quotient = call("FLOOR", _divide(a, b))
            return quotient if op.kind == "floordiv" else infix(exp.Sub, a.copy(), infix(exp.Mul, quotient, b.copy()))
        return _divide(a, b) if op.kind == "floordiv" else infix(exp.Mod, a, b)

    def _power(self, op: ex.Binary, a: exp.Expr, b: exp.Expr) -> exp.Expr:
        """``POWER``, which raises for a zero with a negative exponent, a root of a negative, and out of range."""
        t = op.result.type
        assert isinstance(t, ScalarType)
        if not t.is_float:
            return self.cast(call("POWER", a, b), t)
        zero, inf, nan = (self.constant(c, F64) for c in (0.0, float("inf"), float("nan")))
        low, high = (self.constant(limit, F64) for limit in POWER_LIMITS[t.name])
        known = op.rhs.owner.value if isinstance(op.rhs.owner, ex.Constant) else None
        size = infix(exp.Mul, b.copy(), call("LN", call("ABS", a.copy())))
        odd = exp.NEQ(this=exp.Mod(this=self.cast(b.copy(), I64), expression=number(2)), expression=number(0))
        huge: exp.Expr = inf
        cases: list[tuple[exp.Expr, exp.Expr]] = []
        at_zero: exp.Expr
        root: exp.Expr
        below: exp.Expr
        if known is None:
            cases.append((exp.EQ(this=b.copy(), expression=nan.copy()), nan.copy()))
        cases.append((exp.EQ(this=call("ABS", a.copy()), expression=inf.copy()), call("POWER", a.copy(), b.copy())))
        if known is None or known < 0:
            at_zero = exp.EQ(this=a.copy(), expression=zero)
            if known is None:
                at_zero = exp.and_(at_zero, exp.LT(this=b.copy(), expression=zero.copy()), copy=False)
            cases.append((at_zero, inf.copy()))
        if known is None or known != int(known):
            root = exp.LT(this=a.copy(), expression=zero.copy())
            if known is None:
                root = exp.and_(root, exp.NEQ(this=b.copy(), expression=call("FLOOR", b.copy())), copy=False)
            cases.append((root, nan.copy()))
        if known is None or known % 2 == 1:
            below = exp.LT(this=a.copy(), expression=zero.copy())
            if known is None:
                below = exp.and_(below, odd, copy=False)
            huge = _case(inf.copy(), (below, exp.Paren(this=exp.Neg(this=inf.copy()))))
        number_ = exp.and_(exp.NEQ(this=a.copy(), expression=zero.copy()),
                           exp.NEQ(this=a.copy(), expression=nan.copy()), copy=False)
        inner = _case(call("POWER", a, b), (exp.GT(this=size, expression=high), huge),
                      (exp.LT(this=size.copy(), expression=low), zero.copy()))
        return _case(call("POWER", a.copy(), b.copy()), *cases, (number_, inner))

    def on_cast(self, op: ex.Cast, sub: Sub, columns: Columns) -> exp.Expr:
        """Between booleans, integers and doubles; a boolean becomes a double by way of an integer."""
        source, t = op.x.type, op.result.type
        assert isinstance(source, ScalarType) and isinstance(t, ScalarType)
        if source.is_float and t.is_float:
            return sub(op.x)
        if source == I1:
            return self.cast(exp.Cast(this=sub(op.x), to=exp.DataType(this=exp.DType.INT)), t)
        return super().on_cast(op, sub, columns)

    def on_extract(self, op: ex.Extract, sub: Sub, columns: Columns) -> exp.Expr:
        """An element of the vector as an array."""
        return self.cast(self.subscript(_reals(sub(op.lane)), op.position), F64)

    def on_aggregate(self, op: ex.Aggregate, sub: Sub, columns: Columns) -> exp.Expr:
        """``first`` is one of equal values; a sum of integers is wider than they are."""
        if op.kind == "count":
            return exp.Count(this=exp.Star())
        kinds = {"sum": "SUM", "max": "MAX", "min": "MIN", "first": "MAX"}
        if op.x.type == I1:
            kinds = {"max": "BOOL_OR", "min": "BOOL_AND", "first": "BOOL_OR"}
        if op.kind not in kinds:
            raise IRError(f"PostgreSQL has no aggregate {op.kind} of {op.x.type}; legalise lowers it", op)
        out = call(kinds[op.kind], sub(op.x))
        return self.cast(out, op.result.type) if op.kind == "sum" and not _is_float(op.result) else out

    def materialised(self, value: Value, readers: int) -> bool:
        """Also what a reader would write out wherever it uses a column: PostgreSQL substitutes selects."""
        op = value.owner
        if readers > 1 or not isinstance(op, so.Select) or op.grouped:
            return readers > 1 or rel(value).layout is not None
        return any(not isinstance(v.owner, ex.Col) for v in op.columns.block.terminator.operands)

    # -- lanes ---------------------------------------------------------------------------------------
    def collect(self, x: exp.Expr, order: exp.Expr) -> exp.Expr:
        """An array of doubles in the order of ``order``."""
        return call("ARRAY_AGG", exp.Order(this=x, expressions=[exp.Ordered(this=order, desc=False)]))

    def lane(self, items: exp.Expr, type_: ex.LaneType) -> exp.Expr:
        """An array that is as long as the lane, as a vector."""
        return exp.Cast(this=items, to=self.data_type(type_))

    def pad(self, lane: exp.Expr, type_: ex.LaneType, maybe_empty: bool) -> exp.Expr:
        """Zeros behind the elements, as many as the lane wants; NULL is no element to ``||``."""
        return _slice(exp.Paren(this=exp.DPipe(this=lane, expression=self._zeros(type_.length))), 0, type_.length)

    def _zeros(self, count: int) -> exp.Expr:
        return call("ARRAY_FILL", self.constant(0.0, F64), _array(number(count)))

    def subscript(self, lane: exp.Expr, position: int) -> exp.Expr:
        """Element ``position`` (from 0) of an array."""
        return exp.Bracket(this=exp.Paren(this=lane), expressions=[number(position + 1)], offset=1)

    # -- rows ----------------------------------------------------------------------------------------
    def count_to(self, extent: Dim, name: str) -> exp.Select:
        """``generate_series``."""
        last = number(extent - 1) if isinstance(extent, int) else infix(exp.Sub, self.dim(extent), number(1))
        series = call("GENERATE_SERIES", self.cast(number(0), I64), self.cast(last, I64))
        alias = exp.TableAlias(this=exp.to_identifier("g", quoted=True), columns=[exp.to_identifier(name, quoted=True)])
        return exp.Select(expressions=[column(name, "g")], from_=exp.From(this=exp.Table(this=series, alias=alias)))

    def rows(self, rows: list[list[exp.Expr]], names: list[str]) -> exp.Query:
        """``VALUES``."""
        queries = []
        for start in range(0, len(rows), _ROWS):
            values = exp.Values(expressions=[exp.Tuple(expressions=cells) for cells in rows[start:start + _ROWS]],
                                alias=exp.TableAlias(this=exp.to_identifier("v", quoted=True)))
            cells = [exp.alias_(exp.column(f"column{n}"), name, quoted=True) for n, name in enumerate(names, 1)]
            queries.append(exp.Select(expressions=cells, from_=exp.From(this=values)))
        return self.union_all(queries, names)

    def pivoted(self, op: so.Select, base: exp.Select, group: list[exp.Expr], read: Columns) -> exp.Select | None:
        """Pack n columns from one array of all their elements: one aggregate a column costs every row n tests."""
        t = rel(op.result)
        lay = t.layout
        if lay is None or lay.column is None:
            return None
        yields = op.columns.block.terminator.operands
        cells = [_cell(v) for v in yields[len(t.keys):]]
        found = [c for c in cells if c is not None]
        same = {tuple(self.value(v, read).sql() for v in (d, x, p) if v is not None) for d, _, x, p in found}
        if None in cells or [n for _, n, _, _ in found] != list(range(len(found))) or len(same) > 1:
            return None
        digit, _, x, position = found[0]
        order = [self.value(v, read) for v in (digit, position) if v is not None]
        items = call("ARRAY_AGG", exp.Order(this=self.value(x, read),
                                            expressions=[exp.Ordered(this=o, desc=False) for o in order]))
        keys = [(self.value(v, read), k.name) for v, k in zip(yields, t.keys, strict=False)]
        base.set("expressions", [*(exp.alias_(k, n, quoted=True) for k, n in keys),
                                 exp.alias_(items, "l", quoted=True)])
        if group:
            base.set("group", exp.Group(expressions=group))
        lane = yields[-1].type.length if isinstance(yields[-1].type, ex.LaneType) else 0
        axis, total = lay.tiled_axis, len(found) * max(lane, 1)
        assert axis is not None
        extent = lay.extents[axis]
        full = isinstance(extent, int) and extent % total == 0
        if lane and not full:
            padded = exp.DPipe(this=column("l"), expression=self._zeros(total))
            base = exp.Select(expressions=[*(column(n) for _, n in keys), exp.alias_(padded, "l", quoted=True)],
                              from_=exp.From(this=_subquery(base, "p0")))
        out: list[exp.Expr] = [column(n) for _, n in keys]
        for n, v in enumerate(t.values):
            if lane:
                assert isinstance(v.type, ex.LaneType)
                cell = self.lane(_slice(column("l"), n * lane, lane), v.type)
            else:
                cell = self.subscript(column("l"), n)
                cell = cell if full else exp.Coalesce(this=cell, expressions=[self.constant(0.0, F64)])
            out.append(exp.alias_(cell, v.name, quoted=True))
        return exp.Select(expressions=out, from_=exp.From(this=_subquery(base, "p1")))

    def unpack(self, op: so.Unpack, source: exp.Expr) -> exp.Select:
        """The elements of arrays beside each other, with their number."""
        t, out = rel(op.x), rel(op.result)
        lay = t.layout
        assert lay is not None and lay.tiled_axis is not None
        axis, extent = lay.names[lay.tiled_axis], lay.extents[lay.tiled_axis]
        assert isinstance(extent, int)
        row = next((p for p in lay.rows if p.axis == lay.tiled_axis), None)
        index: exp.Expr = infix(exp.Sub, column("i", "u"), number(1))
        if row is not None:
            index = infix(exp.Add, infix(exp.Mul, column(row.name, "a0"), number(row.stride)), index)
        cells: dict[str, exp.Expr] = {k.name: column(k.name, "a0") for k in out.keys}
        cells[axis] = index
        arrays: list[exp.Expr] = []
        for n, v in enumerate(logical(t).values):
            parts: list[exp.Expr] = [column(c.name, "a0") for c in t.values if c.name == v.name or (
                lay.column is not None and c.name.rsplit("_", 1)[0] == v.name)]
            if lay.lane is None:
                arrays.append(_array(*parts))
            else:
                joined = _reals(parts[0])
                for part in parts[1:]:
                    joined = exp.DPipe(this=joined, expression=_reals(part))
                arrays.append(joined)
            cells[v.name] = column(f"x{n}", "u")
            if _is_float_type(v.type):
                cells[v.name] = self.cast(cells[v.name], F64)
        names = [*(f"x{n}" for n in range(len(arrays))), "i"]
        alias = exp.TableAlias(this=exp.to_identifier("u", quoted=True),
                               columns=[exp.to_identifier(name, quoted=True) for name in names])
        elements = exp.Unnest(expressions=arrays, offset=True, alias=alias)
        query = exp.Select(expressions=[exp.alias_(cells[c], c, quoted=True) for c in out.columns],
                           from_=exp.From(this=source))
        query.append("joins", exp.Join(this=exp.Lateral(this=elements), kind="CROSS"))
        query.where(infix(exp.LT, index.copy(), number(extent)), copy=False)
        return query


def _is_float_type(type_: Type) -> bool:
    return isinstance(type_, ScalarType) and type_.is_float


def _case(default: exp.Expr, *cases: tuple[exp.Expr, exp.Expr]) -> exp.Case:
    return exp.Case(ifs=[exp.If(this=condition, true=value) for condition, value in cases], default=default)


def _divide(a: exp.Expr, b: exp.Expr) -> exp.Expr:
    """``a / b`` as it stands; a plain Div is written with a cast."""
    return exp.Paren(this=exp.Div(this=a, expression=b, typed=True, safe=False))


def _reals(vector_: exp.Expr) -> exp.Expr:
    """A vector as an array."""
    real = exp.DataType(this=exp.DType.FLOAT)
    return exp.Cast(this=vector_, to=exp.DataType(this=exp.DType.ARRAY, expressions=[real], nested=True))


def _slice(items: exp.Expr, start: int, count: int) -> exp.Expr:
    bounds = exp.Slice(this=number(start + 1), expression=number(start + count))
    return exp.Bracket(this=exp.Paren(this=items), expressions=[bounds], offset=1)


def _subquery(query: exp.Query, alias: str) -> exp.Subquery:
    return exp.Subquery(this=query, alias=exp.TableAlias(this=exp.to_identifier(alias, quoted=True)))


def _cell(cell: Value) -> tuple[Value, int, Value, Value | None] | None:
    """``(digit, n, x, position)`` of a packed column: ``x`` of the rows whose ``digit`` is ``n``, as lane or number."""
    op = cell.owner
    position: Value | None
    if isinstance(op, ex.Pack):
        test = op.condition[0].owner if len(op.condition) == 1 else None
        x, position = op.x, op.position
    else:
        choice = op.x.owner if isinstance(op, ex.Aggregate) and op.kind == "sum" else None
        if not isinstance(choice, ex.Select) or not isinstance(choice.on_false.owner, ex.Constant):
            return None
        if choice.on_false.owner.value != 0:
            return None
        test, x, position = choice.condition.owner, choice.on_true, None
    if not isinstance(test, ex.Compare) or test.kind != "eq" or not isinstance(test.rhs.owner, ex.Constant):
        return None
    return test.lhs, int(test.rhs.owner.value), x, position
