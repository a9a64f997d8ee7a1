"""``eliminate-joins``: a relation joined with itself on its whole key is read once.

A gate and what it gates, two columns of one product, become an expression over its row.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import combinations

import attrs
import networkx as nx

from irsql.dialects import expr as ex
from irsql.dialects.rel import ops as ro
from irsql.dialects.rel.types import Key, RelType, Val, rel
from irsql.ir.cleanup import erase_dead
from irsql.ir.core import Block, Builder, Module, Op, Region, Value
from irsql.ir.passes import Pass, PassContext
from irsql.passes.conversion._bind import project
from irsql.passes.rel._contraction import origin

Column = tuple[int, str]
"""Input number of a join, and a column of that input."""


@attrs.frozen
class EliminateJoins(Pass):
    """Read a relation once where it is joined with itself on its key.

    Notes
    -----
    Where two inputs of a join are projections of one relation R, and the conditions equate every key of R in both, a
    row meets itself and no other: ``π_a(R) ⋈_{key = key} π_b(R) = π_{a ∪ b}(R)``. Keys are never NULL here.

    References
    ----------
    Join elimination of semantic query optimisation: King, "QUIST", VLDB 1981; Cheng et al., "Implementation of two
    semantic query optimization techniques in DB2 Universal Database", VLDB 1999.
    """

    name = "eliminate-joins"
    summary = "replace a join of one relation's projections on its key by one projection"
    stage_in = stage_out = "tiled"

    def run(self, module: Module, ctx: PassContext) -> None:
        for func in module.functions.values():
            for op in list(func.block.ops):
                at: Op | Block | None = op
                while isinstance(at, ro.Join) and (pair := _same_rows(at)) is not None:
                    ctx.remark("passed", at, "a relation joined with itself on its key is read once")
                    ctx.statistic("joins eliminated", 1)
                    row = _fold(at, *pair)
                    _read_through(row)
                    at = row.owner
            erase_dead(func.block)


def _same_rows(join: ro.Join) -> tuple[int, int, Value] | None:
    """Two inputs whose joined rows come from the same row of a relation, and that relation."""
    equal = _equalities(join)
    for i, j in combinations(range(len(join.inputs)), 2):
        base = _common(join.inputs[i], join.inputs[j])
        if base is not None and all(_meet(join, i, j, base, k.name, equal) for k in rel(base).keys):
            return i, j, base
    return None


def _equalities(join: ro.Join) -> nx.Graph[Column]:
    """Columns that are equal in every row of the result; paths count, for equality is transitive."""
    equal: nx.Graph[Column] = nx.Graph()
    for condition in join.on.block.terminator.operands:
        sides = _columns(condition)
        if sides is not None:
            equal.add_edge(*sides)
    return equal


def _common(a: Value, b: Value) -> Value | None:
    """The nearest relation that both are projections of."""
    behind = _projected(a)
    return next((v for v in _projected(b) if v in behind), None)


def _projected(value: Value) -> list[Value]:
    """A relation and those it is a projection of."""
    out = [value]
    while isinstance(op := out[-1].owner, ro.Project):
        out.append(op.x)
    return out


def _meet(join: ro.Join, i: int, j: int, base: Value, key: str, equal: nx.Graph[Column]) -> bool:
    """Whether the conditions equate a key of ``base`` in both inputs."""
    left, right = ([(n, k.name) for k in rel(join.inputs[n]).keys if _source(join.inputs[n], k.name, base) == key]
                   for n in (i, j))
    return any(a in equal and b in equal and nx.has_path(equal, a, b) for a in left for b in right)


def _source(value: Value, column: str, base: Value) -> str | None:
    """The column of ``base`` that a column of a projection of it is."""
    while value is not base:
        op = value.owner
        assert isinstance(op, ro.Project)
        found = op.body.block.terminator.operands[rel(value).columns.index(column)].owner
        if not isinstance(found, ex.Col):
            return None
        value, column = op.x, found.column
    return column


def _fold(join: ro.Join, i: int, j: int, base: Value) -> Value:
    """Read ``base`` once instead of the inputs ``i`` and ``j``; give what takes the place of the join."""
    b, out = Builder.before_op(join), rel(join.result)
    name = {origin(join, c): c for c in out.columns}
    types = {n: rel(join.inputs[n]) for n in (i, j)}
    e, body = ex.Exprs.body()
    inlined = _Inlined(e, base)
    cells = {name[n, c]: inlined.column(join.inputs[n], c) for n, t in types.items() for c in t.columns}
    # Alone, the row is no table: what reads it reads ``base``. Joined with others it may be one, which is to be narrow.
    twice = _twice(join, i, j, base, name) if len(join.inputs) > 2 else {}
    keys = tuple(Key(name[n, k.name], k.extent) for n, t in types.items() for k in t.keys
                 if name[n, k.name] not in twice)
    values = tuple(Val(name[n, v.name], v.type) for n, t in types.items() for v in t.values)
    t = RelType(keys, values, any(t.partial for t in types.values()))
    e.end(*(cells[c] for c in t.columns))
    part = join.inputs[i]  # the row stands where this part of it does, not where it is joined
    made = Builder.before_op(part.owner) if part is not base and isinstance(part.owner, ro.Project) else b
    row: Value = made.insert(ro.Project(base, body=body, result_types=[t])).result
    row.name = join.inputs[i].name
    inputs = tuple(row if n == i else v for n, v in enumerate(join.inputs) if n != j)
    on = _conditions(join, i, j, base, {column: twice.get(c, c) for column, c in name.items()})
    if len(inputs) > 1:
        others = [(n, rel(v)) for n, v in enumerate(join.inputs) if n != j]
        t = RelType(tuple(k for n, r in others for k in (keys if n == i else [Key(name[n, k.name], k.extent)
                                                                             for k in r.keys])),
                    tuple(v for n, r in others for v in (values if n == i else [Val(name[n, v.name], v.type)
                                                                               for v in r.values])), out.partial)
        row = b.insert(ro.Join(inputs, on=on, result_types=[t])).result
    elif on.block.terminator.operands:
        row = b.insert(ro.Filter(row, body=on, result_types=[t])).result
    joined = row
    if t.columns != out.columns:
        row = project(b, row, out, lambda e: [e.col(twice.get(c, c), out.column_type(c)) for c in out.columns])
    join.replace_with(row)
    return joined


def _twice(join: ro.Join, i: int, j: int, base: Value, name: Mapping[Column, str]) -> dict[str, str]:
    """Keys of input ``j`` that show a key of ``base`` which ``i`` shows too, and the key of ``i``: one is enough."""
    def shown(n: int) -> dict[str, str]:
        return {source: name[n, k.name] for k in rel(join.inputs[n]).keys
                if (source := _source(join.inputs[n], k.name, base)) is not None}

    first, second = shown(i), shown(j)
    return {column: first[source] for source, column in second.items() if source in first}


def _read_through(row: Value) -> None:
    """Let projections of a projection read what it reads: of its keys, each twice now, few are needed."""
    op = row.owner
    if not isinstance(op, ro.Project):
        return
    for user in row.users():
        if isinstance(user, ro.Project):
            e, body = ex.Exprs.body()
            inlined, env = _Inlined(e, op.x), dict[Value, Value]()
            for inner in user.body.block.ops:
                if isinstance(inner, ex.Col):
                    env[inner.result] = inlined.column(row, inner.column)
                else:
                    e.builder.insert(inner.clone(env))
            new = Builder.before_op(user).insert(ro.Project(op.x, body=body, result_types=[user.result.type]))
            new.result.name = user.result.name
            user.replace_with(new.result)


def _conditions(join: ro.Join, i: int, j: int, base: Value, name: Mapping[Column, str]) -> Region:
    """The conditions over the one row instead of two: without those it fulfils, and none twice."""
    alias: dict[str, str] = {}  # the first column that shows a column of the base stands for all that do
    e, on = ex.Exprs.body()
    env: dict[Value, Value] = {}
    said: dict[tuple[Column, Column] | Value, Value] = {}
    for op in join.on.block.ops:
        if isinstance(op, ex.Col):
            column, number = op.column, op.input - (op.input > j)
            if op.input in (i, j):
                column, number = name[op.input, op.column], i
                source = _source(join.inputs[op.input], op.column, base)
                column = column if source is None else alias.setdefault(source, column)
            env[op.result] = e.col(column, op.result.type, number)
        elif not op.is_terminator:
            e.builder.insert(op.clone(env))
    for condition in join.on.block.terminator.operands:
        new = env[condition]
        sides = _columns(new)
        if sides is None or sides[0] != sides[1]:
            said.setdefault(sides or new, new)
    e.end(*said.values())
    erase_dead(on.block)
    return on


def _columns(condition: Value) -> tuple[Column, Column] | None:
    """The two columns whose equality a condition is."""
    eq = condition.owner
    if not isinstance(eq, ex.Compare) or eq.kind != "eq":
        return None
    a, b = eq.lhs.owner, eq.rhs.owner
    if not isinstance(a, ex.Col) or not isinstance(b, ex.Col):
        return None
    return (a.input, a.column), (b.input, b.column)


@attrs.define
class _Inlined:
    """Columns of projections of ``base``, written as expressions over it."""

    e: ex.Exprs
    base: Value
    columns: dict[str, Value] = attrs.field(factory=dict[str, Value])
    done: dict[Value, Value] = attrs.field(factory=dict[Value, Value])

    def column(self, value: Value, name: str) -> Value:
        """A column of ``value``."""
        if value is self.base:
            if name not in self.columns:
                self.columns[name] = self.e.col(name, rel(value).column_type(name))
            return self.columns[name]
        op = value.owner
        assert isinstance(op, ro.Project)
        return self._expression(op.body.block.terminator.operands[rel(value).columns.index(name)], op.x)

    def _expression(self, x: Value, of: Value) -> Value:
        """An expression of a projection of ``of``."""
        if x not in self.done:
            op = x.owner
            assert isinstance(op, Op)
            self.done[x] = self.column(of, op.column) if isinstance(op, ex.Col) else self.e.builder.insert(
                op.clone({v: self._expression(v, of) for v in op.operands})).results[0]
        return self.done[x]
