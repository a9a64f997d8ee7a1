"""``expr`` ops as sqlglot nodes; one class an engine says where it differs.

No expression leans on transpilation: our op has our meaning, and the emitter writes the node that has it in the engine.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from sqlglot import exp

from irsql.dialects import expr as ex
from irsql.dialects.sql import ops as so
from irsql.ir.attributes import ScalarType, Type
from irsql.ir.core import IRError, Op, Value
from irsql.ir.dims import Dim, SymDim
from irsql.targets.names import symbol_column

Columns = Callable[[str, int], exp.Expr]
FLOAT32_EXP_LIMIT = 88.72283


def call(name: str, *args: exp.Expr) -> exp.Expr:
    """A function call by its native name."""
    return exp.Anonymous(this=name, expressions=list(args))


def column(name: str, of: str = "") -> exp.Column:
    """A quoted column reference."""
    return exp.Column(this=exp.to_identifier(name, quoted=True),
                      table=exp.to_identifier(of, quoted=True) if of else None)


def number(value: int) -> exp.Expr:
    """An integer literal."""
    literal = exp.Literal(this=str(abs(value)), is_string=False)
    return exp.Paren(this=exp.Neg(this=literal)) if value < 0 else literal


def infix(cls: type[exp.Expr], a: exp.Expr, b: exp.Expr) -> exp.Expr:
    """A parenthesised binary operator."""
    return exp.Paren(this=cls(this=a, expression=b))


def union_all(queries: list[exp.Select]) -> exp.Query:
    """``UNION ALL`` of queries, as a balanced tree."""
    level: list[exp.Query] = list(queries)
    while len(level) > 1:
        odd = [level[-1]] if len(level) % 2 else []
        pairs = zip(level[::2], level[1::2], strict=False)
        level = [*(exp.Union(this=a, expression=b, distinct=False) for a, b in pairs), *odd]
    return level[0]


class Emitter:
    """Expressions of one engine; the base class is DuckDB's SQL, others override.

    Parameters
    ----------
    functions
        ``expr`` function name to native name.
    dims_table
        Table of the symbols.
    """

    types: Mapping[str, str] = {"f64": "DOUBLE", "f32": "FLOAT", "i64": "BIGINT", "i1": "BOOLEAN", "index": "BIGINT"}

    def __init__(self, functions: Mapping[str, Any], dims_table: exp.Expr) -> None:
        self.functions, self.dims_table = functions, dims_table
        self.is_key: Callable[[str, int], bool] = lambda _name, _input: False
        """Whether a column of the select at hand is a key (keys are never negative)."""

    # -- types ---------------------------------------------------------------------------------------
    def data_type(self, type_: Type) -> exp.DataType:
        """The engine's type."""
        if isinstance(type_, ex.LaneType):
            return exp.DataType(this=exp.DType.ARRAY, expressions=[self.data_type(type_.element)], nested=True)
        assert isinstance(type_, ScalarType)
        return exp.DataType(this=exp.DType[self.types[type_.name]], nested=False)

    def cast(self, x: exp.Expr, type_: Type) -> exp.Expr:
        """``CAST(x AS type)``."""
        return exp.Cast(this=x, to=self.data_type(type_))

    def column_of(self, source: Value, name: str, alias: str) -> exp.Expr:
        """A column of an operand of the select at hand."""
        return column(name, alias)

    # -- values --------------------------------------------------------------------------------------
    def constant(self, value: bool | int | float, type_: Type) -> exp.Expr:
        """A typed literal; floats are written so that they read back exactly."""
        assert isinstance(type_, ScalarType)
        if type_.name == "i1":
            return exp.Boolean(this=bool(value))
        if not type_.is_float:
            return number(int(value))
        x = float(value)
        if np.isnan(x) or np.isinf(x):
            text = "NaN" if np.isnan(x) else "Infinity" if x > 0 else "-Infinity"
            return self.cast(exp.Literal(this=text, is_string=True), type_)
        if type_.name == "f32":
            return self.cast(exp.Literal(this=repr(float(str(np.float32(x)))), is_string=True), type_)
        return self.cast(exp.Literal(this=repr(x), is_string=True), type_)

    def non_negative(self, value: Value) -> bool:
        """True where an integer expression is provably at least 0: built from keys, such constants and symbols."""
        op = value.owner
        if isinstance(op, ex.Constant):
            return op.value >= 0
        if isinstance(op, ex.Symbol):
            return True
        if isinstance(op, ex.Col):
            return self.is_key(op.column, op.input)
        if isinstance(op, ex.Binary) and op.non_negative:
            return True
        if isinstance(op, ex.Binary) and op.kind == "mod":
            return self.non_negative(op.rhs)
        if isinstance(op, ex.Binary) and op.kind in ("add", "mul", "floordiv", "min", "max"):
            return self.non_negative(op.lhs) and self.non_negative(op.rhs)
        return False

    def dim(self, dim: Dim) -> exp.Expr:
        """An extent: a number, or a sum of products of scalar subqueries on the symbols' table."""
        if isinstance(dim, int):
            return number(dim)
        assert isinstance(dim, SymDim)
        total: exp.Expr | None = None
        for mono, coef in dim.terms:
            term: exp.Expr | None = None if mono else number(coef)
            for name in mono:
                sub = exp.Subquery(this=exp.Select(expressions=[exp.column(symbol_column(name), quoted=True)],
                                                   from_=exp.From(this=self.dims_table.copy())))
                term = sub if term is None else infix(exp.Mul, term, sub)
            assert term is not None
            if mono and coef != 1:
                term = infix(exp.Mul, number(coef), term)
            total = term if total is None else infix(exp.Add, total, term)
        assert total is not None
        return total

    def value(self, value: Value, columns: Columns) -> exp.Expr:
        """An expression value, its columns read through ``columns``."""
        op = value.owner
        assert isinstance(op, Op)
        method = getattr(self, "on_" + op.name.partition(".")[2], None)
        if method is None:
            raise IRError(f"{op.name} has no SQL form", op)
        result = method(op, lambda v: self.value(v, columns), columns)
        assert isinstance(result, exp.Expr)
        return result

    def on_constant(self, op: ex.Constant, sub: Callable[[Value], exp.Expr], columns: Columns) -> exp.Expr:
        return self.constant(op.value, op.result.type)

    def on_col(self, op: ex.Col, sub: Callable[[Value], exp.Expr], columns: Columns) -> exp.Expr:
        return columns(op.column, op.input)

    def on_symbol(self, op: ex.Symbol, sub: Callable[[Value], exp.Expr], columns: Columns) -> exp.Expr:
        return self.dim(op.value)

    def on_unary(self, op: ex.Unary, sub: Callable[[Value], exp.Expr], columns: Columns) -> exp.Expr:
        x, t = sub(op.x), op.result.type
        kind = op.kind
        if kind == "neg":
            return exp.Paren(this=exp.Neg(this=x))
        if kind == "not":
            return exp.Paren(this=exp.Not(this=x))
        assert isinstance(t, ScalarType)
        if not t.is_float and kind in ("floor", "ceil", "trunc", "round"):
            return x
        if kind == "rsqrt":
            one = self.constant(1.0, t)
            return infix(exp.Div, one, self.cast(call(self.native(op, "sqrt"), x), t))
        if kind == "exp" and t.name == "f32":
            big = infix(exp.GT, x, self.constant(FLOAT32_EXP_LIMIT, t))
            # what is added to it keeps a NaN, which compares greater than everything
            inf = exp.Add(this=self.constant(float("inf"), ScalarType("f64")), expression=x.copy())
            guarded = exp.Case(ifs=[exp.If(this=big, true=inf)], default=call(self.native(op, "exp"), x.copy()))
            return self.cast(guarded, t)
        args = (x, number(0)) if kind == "round" else (x,)
        out = call(self.native(op, kind), *args)
        return self.cast(out, t) if kind not in ("abs", "isnan") else out

    def native(self, op: Op, kind: str) -> str:
        """Native name of an ``expr`` function.

        Raises
        ------
        IRError
            If the target's table has none.
        """
        name = self.functions.get(kind)
        if not isinstance(name, str) or name == "unsupported":
            raise IRError(f"the target has no function for {kind}; legalise lowers it", op)
        return name

    def on_binary(self, op: ex.Binary, sub: Callable[[Value], exp.Expr], columns: Columns) -> exp.Expr:
        a, b, t = sub(op.lhs), sub(op.rhs), op.result.type
        simple = {"add": exp.Add, "sub": exp.Sub, "mul": exp.Mul, "and": exp.And, "or": exp.Or}
        if op.kind in simple:
            return infix(simple[op.kind], a, b)
        assert isinstance(t, ScalarType)
        if op.kind == "div":
            return infix(exp.Div if t.is_float else exp.IntDiv, a, b)
        if op.kind in ("min", "max"):
            return call("LEAST" if op.kind == "min" else "GREATEST", a, b)
        if op.kind == "pow":
            return self.cast(call("POWER", a, b), t)
        if t.is_float:
            quotient = call("FLOOR", infix(exp.Div, a, b))
            return quotient if op.kind == "floordiv" else infix(exp.Sub, a.copy(), infix(exp.Mul, quotient, b.copy()))
        if self.non_negative(op.lhs) and self.non_negative(op.rhs):
            return infix(exp.IntDiv if op.kind == "floordiv" else exp.Mod, a, b)
        rest = infix(exp.Mod, infix(exp.Add, infix(exp.Mod, a, b), b.copy()), b.copy())
        return rest if op.kind == "mod" else infix(exp.IntDiv, infix(exp.Sub, a.copy(), rest), b.copy())

    def on_compare(self, op: ex.Compare, sub: Callable[[Value], exp.Expr], columns: Columns) -> exp.Expr:
        cls = {"eq": exp.EQ, "ne": exp.NEQ, "lt": exp.LT, "le": exp.LTE, "gt": exp.GT, "ge": exp.GTE}[op.kind]
        return infix(cls, sub(op.lhs), sub(op.rhs))

    def on_select(self, op: ex.Select, sub: Callable[[Value], exp.Expr], columns: Columns) -> exp.Expr:
        return exp.Case(ifs=[exp.If(this=sub(op.condition), true=sub(op.on_true))], default=sub(op.on_false))

    def on_cast(self, op: ex.Cast, sub: Callable[[Value], exp.Expr], columns: Columns) -> exp.Expr:
        x, source, t = sub(op.x), op.x.type, op.result.type
        assert isinstance(source, ScalarType) and isinstance(t, ScalarType)
        if t.name == "i1":
            return infix(exp.NEQ, x, self.constant(0, source))
        if source.is_float and not t.is_float:
            x = call(self.native(op, "trunc"), x)
        return self.cast(x, t)

    def on_dot(self, op: ex.Dot, sub: Callable[[Value], exp.Expr], columns: Columns) -> exp.Expr:
        t = op.lhs.type
        assert isinstance(t, ex.LaneType)
        return call(self.native(op, f"dot.{t.carrier}"), sub(op.lhs), sub(op.rhs))

    def on_extract(self, op: ex.Extract, sub: Callable[[Value], exp.Expr], columns: Columns) -> exp.Expr:
        return call("LIST_EXTRACT", sub(op.lane), number(op.position + 1))

    def on_aggregate(self, op: ex.Aggregate, sub: Callable[[Value], exp.Expr], columns: Columns) -> exp.Expr:
        x, t = sub(op.x), op.result.type
        if op.kind in ("argmax", "argmin"):
            # the order value and, among equals, the lowest index
            key = sub(op.rest[0])
            tie = exp.Neg(this=key.copy()) if op.kind == "argmax" else key.copy()
            return call(self.native(op, op.kind), key, call("ROW", x, tie))
        if op.kind == "count":
            return exp.Count(this=exp.Star())
        out = call({"sum": "SUM", "max": "MAX", "min": "MIN", "first": "FIRST"}[op.kind], x)
        return self.cast(out, t) if op.kind == "sum" else out

    def on_window(self, op: ex.Window, sub: Callable[[Value], exp.Expr], columns: Columns) -> exp.Expr:
        args = [sub(v) for v in op.args]
        partition = args[op.value:op.value + op.partition]
        by = args[op.value + op.partition:]
        order = [exp.Ordered(this=x, desc=d) for x, d in zip(by, op.descending, strict=True)]
        this = exp.RowNumber() if op.kind == "row_number" else call("SUM", args[0])
        spec = None if op.kind == "row_number" else exp.WindowSpec(
            kind="ROWS", start="UNBOUNDED", start_side="PRECEDING", end="CURRENT ROW")
        window = exp.Window(this=this, partition_by=partition, order=exp.Order(expressions=order), spec=spec)
        return self.cast(window, op.result.type)

    # -- lanes ---------------------------------------------------------------------------------------
    def collect(self, x: exp.Expr, order: exp.Expr) -> exp.Expr:
        """Aggregate ``x`` into a lane in the order of ``order``."""
        return call("LIST", exp.Order(this=x, expressions=[exp.Ordered(this=order, desc=False)]))

    def lane(self, items: exp.Expr, type_: ex.LaneType) -> exp.Expr:
        """What :meth:`collect` and :meth:`pad` made, as a lane."""
        return items

    def filtered(self, aggregate: exp.Expr, condition: exp.Expr) -> exp.Expr:
        """``aggregate FILTER (WHERE condition)``."""
        return exp.Filter(this=aggregate, expression=exp.Where(this=condition))

    def pad(self, lane: exp.Expr, type_: ex.LaneType, maybe_empty: bool) -> exp.Expr:
        """Fill a lane with zeros up to its length; one that may be empty may be NULL."""
        if maybe_empty:
            lane = exp.Coalesce(this=lane, expressions=[self.list_of([])])
        return call("LIST_RESIZE", lane, number(type_.length), self.constant(0.0, type_.element))

    def subscript(self, lane: exp.Expr, position: int) -> exp.Expr:
        """Element ``position`` (from 0)."""
        return call("LIST_EXTRACT", lane, number(position + 1))

    def count_to(self, extent: Dim, name: str) -> exp.Select:
        """The integers from 0 to below ``extent``, one a row of the column ``name``."""
        indices = self.unnest(call("RANGE", number(0), self.dim(extent)))
        return exp.Select(expressions=[exp.alias_(indices, name, quoted=True)])

    def rows(self, rows: list[list[exp.Expr]], names: list[str]) -> exp.Query:
        """Constant rows, at least one."""
        return union_all([exp.Select(expressions=[exp.alias_(c, n, quoted=True)
                                                  for c, n in zip(cells, names, strict=True)]) for cells in rows])

    def indices(self, count: int) -> exp.Expr:
        """The list of integers from 0 to below ``count``."""
        return call("RANGE", number(0), number(count))

    def unnest(self, items: exp.Expr) -> exp.Expr:
        """The elements of a list, one a row; several in one select list advance together."""
        return call("UNNEST", items)

    def list_of(self, items: list[exp.Expr]) -> exp.Expr:
        """A list of scalars or lanes."""
        return call("LIST_VALUE", *items)

    def union_all(self, queries: list[exp.Select], names: list[str]) -> exp.Query:
        """``UNION ALL`` of queries with columns of these names."""
        return union_all(queries)

    def join_order(self, op: so.Select) -> list[int] | None:
        """The order in which the engine must join the inputs, where it would choose a bad one."""
        return None

    def materialised(self, value: Value, readers: int) -> bool:
        """Whether a common table expression with so many readers is to be computed once, as a table.

        So are looked-up lanes that are unpacked: they point into all lanes of the scan, and ``flatten`` copies these.
        """
        op = value.owner
        looked_up = isinstance(op, so.Select) and len(op.inputs) > 1 and not op.grouped
        return readers > 1 or (looked_up and any(isinstance(user, so.Unpack) for user in value.users()))

    def pivoted(self, op: so.Select, base: exp.Select, group: list[exp.Expr], read: Columns) -> exp.Select | None:
        """A grouped select that packs rows into columns, in a form that is fast; None if there is no better one.

        Parameters
        ----------
        op
            The select.
        base
            Its FROM and WHERE.
        group
            What it groups by.
        read
            How its columns are read.
        """
        from irsql.targets import packing  # which writes its lanes with an emitter

        return packing.pivoted(self, op, base, group, read)

    def unpack(self, op: so.Unpack, source: exp.Expr) -> exp.Select:
        """The scalar rows of the tiles in a FROM item."""
        from irsql.targets import packing  # which writes its lanes with an emitter

        return packing.unpack(self, op, source)
