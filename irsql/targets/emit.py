"""The sql stage as SQL text: every statement op becomes one statement over flat CTEs.

A statement's query is the part of its function that it reaches backwards without passing another statement: selects
with several readers in it, and those that cannot be inlined, are CTEs in topological order.
"""

from __future__ import annotations

from collections.abc import Iterable

import attrs
from sqlglot import exp
from sqlglot.errors import ErrorLevel

from irsql.dialects import expr as ex
from irsql.dialects.rel.types import RelType, logical, rel
from irsql.dialects.sql import ops as so
from irsql.ir.attributes import I64, ScalarType, Type
from irsql.ir.core import Func, IRError, Op, Return, Value
from irsql.ir.dims import Dim
from irsql.targets import packing
from irsql.targets.expressions import Columns, Emitter, column, number
from irsql.targets.names import Names, view_of
from irsql.targets.program import Column, Function, Part, Statement, TableSpec

MODEL, STATE = "model", "state"
DIMS = "dims"


def table(name: str, catalog: str = "") -> exp.Table:
    """A quoted table reference, in a catalog where one is given."""
    out = exp.Table(this=exp.to_identifier(name, quoted=True))
    if catalog:
        out.set("db", exp.to_identifier(catalog, quoted=True))
    return out


def ir_type(type_: Type) -> str:
    """A column type as a program writes it."""
    if isinstance(type_, ex.LaneType):
        return f"{'f16' if type_.half else type_.element.name}[{type_.length}]"
    assert isinstance(type_, ScalarType)
    return type_.name


def spec(name: str, source: str, type_: RelType) -> TableSpec:
    """The description of a table for the runtime."""
    scalar = logical(type_)
    element = scalar.values[0].type if scalar.values else I64
    parts = () if type_.layout is None else tuple(
        Part(p.axis, p.place, _extent(p.extent), p.stride, p.name) for p in type_.layout.parts)
    return TableSpec(name, source, tuple(Column(k.name, "i64") for k in type_.keys),
                     tuple(Column(v.name, ir_type(v.type)) for v in type_.values),
                     tuple(_extent(k.extent) for k in scalar.keys), parts, ir_type(element))


def _extent(dim: Dim) -> int | str:
    return dim if isinstance(dim, int) else str(dim)


@attrs.define
class FunctionEmitter:
    """Emits one function.

    Attributes
    ----------
    func
        A function of the sql stage.
    e
        Expressions of the engine.
    dialect
        sqlglot dialect to write.
    names
        Table names of the whole program.
    emptied
        Step tables are there already, and empty when they are filled; see :func:`irsql.targets.control.empties`.
    """

    func: Func
    e: Emitter
    dialect: str
    names: Names
    emptied: bool = False
    tables: dict[Value, exp.Table] = attrs.field(factory=dict)
    latest: dict[str, Value] = attrs.field(factory=dict)
    appended: dict[str, str] = attrs.field(factory=dict)
    """View of a state to the table that its appends write."""
    reads: dict[str, None] = attrs.field(factory=dict)
    """Tables that the statement at hand reads."""

    def run(self) -> Function:
        """The function as statements.

        Raises
        ------
        IRError
            If an op has no SQL form, or a statement reads a version of a state that has been overwritten.
        """
        inputs: list[TableSpec] = []
        states: list[TableSpec] = []
        for arg in self.func.block.args:
            t = rel(arg)
            if t.partial:
                name = self.names.mangle(f"state.{arg.name}")
                self.tables[arg] = table(view_of(name), STATE)
                self.appended[view_of(name)] = name
                states.append(spec(name, arg.name, t))
                self.latest[view_of(name)] = arg
            else:
                name = self.names.mangle(f"{self.func.sym_name}.in.{arg.name}")
                self.tables[arg] = table(name)
                inputs.append(spec(name, arg.name, t))
        statements: list[Statement] = []
        steps: list[TableSpec] = []
        for op in self.func.block.ops:
            if isinstance(op, so.Materialise):
                name = self.names.mangle(f"{self.func.sym_name}.{op.table}")
                text = self._text(self._fill(name, rel(op.result), self._query(op.x)))
                statements.append(Statement(text, "step", name, op.loc.scope, tuple(self.reads)))
                self.tables[op.result] = table(name)
                steps.append(spec(name, op.table, rel(op.result)))
            elif isinstance(op, so.Append):
                target = self.tables[op.state]
                own = self.appended[target.name]
                columns = [exp.to_identifier(c, quoted=True) for c in rel(op.state).columns]
                insert = exp.Insert(this=exp.Schema(this=table(own, STATE), expressions=columns),
                                    expression=self._query(op.rows))
                statements.append(Statement(self._text(insert), "append", own, op.loc.scope, tuple(self.reads)))
                self.tables[op.result] = target
                self.latest[target.name] = op.result
        outputs: list[TableSpec] = []
        end = self.func.block.terminator
        assert isinstance(end, Return)
        for i, v in enumerate(end.values):
            t = rel(v)
            if not t.partial:
                if v not in self.tables:
                    raise IRError(f"result {i} of {self.func.sym_name} is no table: materialise makes it one", end)
                label = str(self.func.outputs[i]) if i < len(self.func.outputs) else f"out{i}"
                outputs.append(spec(self.tables[v].name, label, t))
        ranges: dict[str, tuple[int, int]] = {}
        for s, r in self.func.dims.items():
            assert isinstance(r, tuple) and isinstance(r[0], int) and isinstance(r[1], int)
            ranges[s] = (r[0], r[1])
        used = sorted({s for op in self.func.walk() for s in _symbols(op)})
        return Function(self.func.sym_name, tuple(inputs), tuple(states), tuple(steps), tuple(outputs),
                        tuple(statements), tuple(used), ranges)

    def _fill(self, name: str, type_: RelType, query: exp.Query) -> exp.Expr:
        """The statement that computes a step table."""
        if self.emptied:
            columns = [exp.to_identifier(c, quoted=True) for c in type_.columns]
            return exp.Insert(this=exp.Schema(this=table(name), expressions=columns), expression=query)
        return exp.Create(this=table(name), kind="TABLE", replace=True, expression=query,
                          properties=exp.Properties(expressions=[exp.TemporaryProperty()]))

    def _text(self, node: exp.Expr) -> str:
        return node.sql(dialect=self.dialect, unsupported_level=ErrorLevel.RAISE, copy=False)

    # -- one statement -----------------------------------------------------------------------------------
    def _query(self, root: Value) -> exp.Query:
        reached = self._reached(root)
        self.reads.clear()
        names: dict[Value, str] = {}
        local = Names()
        ctes: list[exp.CTE] = []
        for value in reached:
            if value is root:
                break
            base = f"{value.name or 'c'}"
            name = local.mangle(f"{base}.{len(names)}")
            query = self._op(value, names)
            alias = exp.TableAlias(this=exp.to_identifier(name, quoted=True))
            readers = sum(1 for user, _ in value.uses if user.result in reached or user.result is root)
            ctes.append(exp.CTE(this=query, alias=alias, materialized=self.e.materialised(value, readers) or None))
            names[value] = name
        body = self._op(root, names) if root in reached else self._all_of(root)
        if ctes:
            body.set("with_", exp.With(expressions=ctes))
        return body

    def _reached(self, root: Value) -> list[Value]:
        """Pure values of the statement in topological order, the root last."""
        seen: dict[Value, None] = {}

        def visit(v: Value) -> None:
            if v in seen or v in self.tables or isinstance(v.owner, so.Table):
                self._check_version(v)
                return
            assert isinstance(v.owner, Op)
            for operand in v.owner.operands:
                visit(operand)
            seen[v] = None

        visit(root)
        return list(seen)

    def _check_version(self, v: Value) -> None:
        if v in self.tables and rel(v).partial and self.latest.get(self.tables[v].name, v) is not v:
            raise IRError(f"a statement reads an old version of state {v.name}: it has been appended to",
                          v.owner if isinstance(v.owner, Op) else None)

    def _source(self, v: Value, names: dict[Value, str], alias: str) -> exp.Expr:
        """``v`` in a FROM clause."""
        if v in names:
            out = table(names[v])
        elif v in self.tables:
            out = self.tables[v].copy()
            self.reads[out.name] = None
        elif isinstance(v.owner, so.Table):
            out = table(self.names.mangle(f"stored.{v.owner.table}"), MODEL)
            self.reads[out.name] = None
        else:
            raise IRError("a value is read before its statement", v.owner if isinstance(v.owner, Op) else None)
        out.set("alias", exp.TableAlias(this=exp.to_identifier(alias, quoted=True)))
        return out

    def _all_of(self, v: Value) -> exp.Select:
        """``SELECT`` every column of a table."""
        return exp.Select(expressions=[column(c) for c in rel(v).columns],
                          from_=exp.From(this=self._source(v, {}, "a0")))

    def _op(self, value: Value, names: dict[Value, str]) -> exp.Query:
        op = value.owner
        if isinstance(op, so.Select):
            return self._select(op, names)
        if isinstance(op, so.UnionAll):
            queries = [exp.Select(expressions=[exp.alias_(column(c), out, quoted=True) for c, out in
                                               zip(rel(v).columns, rel(value).columns, strict=True)],
                                  from_=exp.From(this=self._source(v, names, "a0"))) for v in op.inputs]
            return self.e.union_all(queries, list(rel(value).columns))
        if isinstance(op, so.Values):
            return self._values(op)
        if isinstance(op, so.Range):
            return self._range(rel(value))
        if isinstance(op, so.Unpack):
            return self.e.unpack(op, self._source(op.x, names, "a0"))
        assert isinstance(op, Op)
        if isinstance(op, so.Parameter):
            raise IRError(f"a step would read {op.parameter} from the checkpoint; split-load moves it to @load", op)
        raise IRError(f"{op.name} has no SQL form here", op)

    def _values(self, op: so.Values) -> exp.Query:
        t = rel(op.result)
        flat = op.value.array.reshape(-1)
        element = t.values[0].type
        shape = op.value.array.shape
        rows: list[list[exp.Expr]] = []
        for n in range(flat.size):
            index: list[int] = []
            rest = n
            for extent in reversed(shape):
                index.insert(0, rest % extent)
                rest //= extent
            rows.append([*(self.e.cast(number(i), I64) for i in index), self.e.constant(flat[n].item(), element)])
        if not rows:
            empty = [self.e.cast(exp.Null(), t.column_type(c)) for c in t.columns]
            query = exp.Select(expressions=[exp.alias_(c, n, quoted=True)
                                            for c, n in zip(empty, t.columns, strict=True)])
            return query.where(exp.false(), copy=False)
        return self.e.rows(rows, list(t.columns))

    def _range(self, t: RelType) -> exp.Select:
        if not t.keys:
            return exp.Select(expressions=[exp.alias_(number(1), "one", quoted=True)])
        out = exp.Select(expressions=[exp.alias_(column(k.name, f"a{i}"), k.name, quoted=True)
                                      for i, k in enumerate(t.keys)])
        for i, k in enumerate(t.keys):
            sub = exp.Subquery(this=self.e.count_to(k.extent, k.name),
                               alias=exp.TableAlias(this=exp.to_identifier(f"a{i}", quoted=True)))
            if i == 0:
                out.set("from_", exp.From(this=sub))
            else:
                out.append("joins", exp.Join(this=sub, kind="CROSS"))
        return out

    def _select(self, op: so.Select, names: dict[Value, str]) -> exp.Query:
        def read(name: str, i: int) -> exp.Expr:
            return self.e.column_of(op.inputs[i], name, f"a{i}")

        types = [rel(v) for v in op.inputs]
        self.e.is_key = lambda name, i: any(k.name == name for k in types[i].keys)
        out = exp.Select()
        self._from(out, op, names, read)
        t = rel(op.result)
        if op.grouped:
            group = [self.e.value(v, read) for v in op.group.block.terminator.operands]
            nested = self.e.pivoted(op, out, group, read)
            if nested is not None:
                return nested
            if group:
                out.set("group", exp.Group(expressions=group))
        cells: list[exp.Expr] = []
        for n, v in enumerate(op.columns.block.terminator.operands):
            owner = v.owner
            if isinstance(owner, ex.Pack):
                cell = packing.lane(self.e, owner, t, n, read)
            else:
                cell = self.e.value(v, read)
                if isinstance(owner, ex.Constant | ex.Symbol) and owner.result.type == I64:
                    cell = self.e.cast(cell, I64)  # a bare integer literal has a narrower type
            if op.outer and n >= len(t.keys):
                cell = exp.Coalesce(this=cell, expressions=[self.e.constant(op.defaults[n - len(t.keys)], v.type)])
            cells.append(cell)
        out.set("expressions", [exp.alias_(c, name, quoted=True, copy=False)
                                for c, name in zip(cells, t.columns, strict=True)])
        return out

    def _from(self, out: exp.Select, op: so.Select, names: dict[Value, str], read: Columns) -> None:
        pending = list(op.where.block.terminator.operands)
        order = self.e.join_order(op)
        placed: set[int] = set()
        for i in order or range(len(op.inputs)):
            source = self._source(op.inputs[i], names, f"a{i}")
            placed.add(i)
            if len(placed) == 1:
                out.set("from_", exp.From(this=source))
                continue
            ready = [c for c in pending if _inputs(c) <= placed]
            pending = [c for c in pending if c not in ready]
            on = _conjunction(self.e.value(c, read) for c in ready)
            if op.outer:
                out.append("joins", exp.Join(this=source, side="LEFT", on=on or exp.true()))
            else:
                out.append("joins", exp.Join(this=source, kind="CROSS" if on is None or order else "INNER", on=on))
        rest = _conjunction(self.e.value(c, read) for c in pending)
        if rest is not None:
            out.set("where", exp.Where(this=rest))


def _conjunction(conditions: Iterable[exp.Expr]) -> exp.Expr | None:
    out: exp.Expr | None = None
    for c in conditions:
        out = c if out is None else exp.And(this=out, expression=c)
    return out


def _inputs(value: Value) -> set[int]:
    op = value.owner
    assert isinstance(op, Op)
    if isinstance(op, ex.Col):
        return {op.input}
    return set().union(*(_inputs(v) for v in op.operands)) if op.operands else set()


def _symbols(op: Op) -> frozenset[str]:
    """Symbols whose value the SQL of an op reads."""
    if isinstance(op, ex.Symbol) and not isinstance(op.value, int):
        return op.value.symbols()
    if isinstance(op, so.Range):
        return frozenset().union(*(k.extent.symbols() for k in rel(op.result).keys if not isinstance(k.extent, int)))
    return frozenset()


