"""``materialise``: decide which selects become step tables; what is left are CTEs.

Three reasons make a statement of its own: a result of the function; a value that several statements read (or, where the
target asks for it, one statement several times); the packed operand of a product of tiles, where the engine must be
told that it is a few rows and stream the weights past it. The graph question (which statements reach a value) is a
reverse walk in SSA order.
"""

from __future__ import annotations

import attrs
import networkx as nx

from irsql.dialects import expr as ex
from irsql.dialects.rel.types import RelType, rel
from irsql.dialects.sql import ops as so
from irsql.ir.core import Builder, Func, Module, Op, Return, Value
from irsql.ir.location import common, layer_of, within
from irsql.ir.passes import Pass, PassContext

SHARED = "shared-selects"
"""Option of a target: ``tables`` where a common table expression is parsed anew for each of its readers, so that chains
of shared ones grow exponentially."""
PACKED = "packed-operands"
"""Option of a target: ``tables``, unless it says otherwise. ``inline`` where a packed operand is a common table
expression of its product, which saves a statement. ``inline-of-tables`` where it is one only of step tables: what
another product gives becomes one first, for a planner that knows nothing of an expression's rows guesses too many
operands, and copies each of them."""
MAX_PRODUCTS = 8
"""Products with stored tiles that one statement computes (from attention to the end of an MLP they are three): a deep
network is not one statement. Those of two layers never are, so that a statement belongs to one."""
_STATEMENTS = (so.Materialise, so.Append, so.Store)
_COMPUTED = (so.Select, so.UnionAll, so.Unpack)


@attrs.frozen
class Materialise(Pass):
    """Insert ``sql.materialise`` where a statement ends.

    Notes
    -----
    ``f(Q) , g(Q)`` is ``T := Q; f(T), g(T)``: a shared subplan is computed once, into a table that is there for a step.
    What is read once stays a common table expression: ``f(Q)``.

    References
    ----------
    Multi-query optimisation: Sellis, "Multiple-query optimization", TODS 13(1), 1988; Roy et al., "Efficient and
    extensible algorithms for multi query optimization", SIGMOD 2000. Materialise only what must be: CTE merging of
    TranSQL+ (arXiv 2502.02818).
    """

    name = "materialise"
    summary = "choose which selects are step tables and which are CTEs"
    stage_in = stage_out = "sql"

    def run(self, module: Module, ctx: PassContext) -> None:
        for func in module.functions.values():
            if func.sym_name == "load":
                continue
            _results(func)
            results = _tables(func)
            where = str(ctx.target.options.get(PACKED, "tables")) if ctx.target else "tables"
            twice = bool(ctx.target and ctx.target.options.get(SHARED) == "tables")
            _shared(func, twice)
            packed = _operands(func, where)
            _shared(func, twice)  # there are more statements now
            _name(func)
            count = sum(isinstance(op, so.Materialise | so.Append) for op in func.block.ops)
            ctx.statistic(f"statements of {func.sym_name}", count)
            ctx.remark("passed", func, f"@{func.sym_name}: statements: {count}, of them of shared selects: "
                       f"{_tables(func) - results - packed}, of packed operands: {packed}")
            if where != "tables":
                ctx.remark("missed", func, f"@{func.sym_name}: packed operands stay common table expressions",
                           f"the target has {PACKED}={where}"
                           + f"; {packed} would make a statement of two layers, or too long" * bool(packed))


def _tables(func: Func) -> int:
    return sum(isinstance(op, so.Materialise) for op in func.block.ops)


def _operands(func: Func, where: str) -> int:
    """Cut what stored tiles are multiplied by, where the target asks for it; gives how many packed ones are tables."""
    packed = 0
    reached = _Products()
    for op in list(func.block.ops):
        if not isinstance(op, _COMPUTED):
            continue
        operands = [v for v in op.operands if _packs(v)] if _is_product(op) else []
        if where == "tables":
            cut = operands
        elif where == "inline-of-tables":
            cut = [v for operand in operands if isinstance(operand.owner, Op)
                   for v in operand.owner.operands if reached.of(v)]  # fmt: skip
        else:
            cut = [v for v in op.operands if reached.of(v)] if reached.too_many(op) else []
        packed += sum(v in operands for v in cut)
        for v in cut:
            _cut(v)
        reached.add(op)
    return packed


class _Products:
    """The products that a statement has computed when it comes to an op: the stored tiles, with the product's scope."""

    def __init__(self) -> None:
        self._of: dict[Op, dict[Value, str]] = {}

    def add(self, op: Op) -> None:
        """Note an op whose operands stay as they are."""
        self._of[op] = self._behind(op) | _own(op)

    def of(self, value: Value) -> dict[Value, str]:
        """What is computed for a value; nothing for a table."""
        return self._of.get(value.owner, {}) if isinstance(value.owner, Op) else {}

    def too_many(self, op: Op) -> bool:
        """Whether a statement that computes ``op`` too would be one of two layers, or too long."""
        behind, own = self._behind(op), _own(op)
        layers = {layer_of(scope) for scope in behind.values()}
        return bool(own and layers - {layer_of(op.loc.scope)}) or len(behind | own) > MAX_PRODUCTS

    def _behind(self, op: Op) -> dict[Value, str]:
        return {table: scope for v in op.operands for table, scope in self.of(v).items()}


def _own(op: Op) -> dict[Value, str]:
    return dict.fromkeys(_stored(op), op.loc.scope) if _is_product(op) else {}


def _cut(value: Value) -> None:
    """Make ``value`` a step table."""
    owner = value.owner
    assert isinstance(owner, Op) and owner.parent is not None
    ops = owner.parent.ops
    after = ops[ops.index(owner) + 1]
    made = Builder(owner.parent, after, owner.loc).insert(so.Materialise(value, result_types=[value.type]))
    made.result.name = value.name
    for user, index in list(value.uses):
        if user is not made:
            user.set_operand(index, made.result)


def _results(func: Func) -> None:
    end = func.block.terminator
    for i, v in enumerate(end.operands):
        if isinstance(v.type, RelType) and not v.type.partial and not isinstance(v.owner, so.Materialise):
            loc, after = end.loc, end
            if isinstance(v.owner, Op):
                # right where it is computed: behind an append it would read a state that has moved on
                loc, after = v.owner.loc, func.block.ops[func.block.ops.index(v.owner) + 1]
            made = Builder(func.block, after, loc).insert(so.Materialise(v, result_types=[v.type]))
            made.result.name = str(func.outputs[i]) if i < len(func.outputs) else f"out{i}"
            end.set_operand(i, made.result)


def _stored(op: Op) -> list[Value]:
    return [v for v in op.operands if isinstance(v.owner, so.Table)]


def _is_product(op: Op) -> bool:
    """Multiplies stored tiles, of lanes or of columns."""
    return isinstance(op, so.Select) and bool(stored := _stored(op)) and (
        any(isinstance(x, ex.Dot) for x in op.columns.block.ops) or any(map(_is_wide, stored)))


def _is_wide(value: Value) -> bool:
    layout = rel(value).layout
    return layout is not None and layout.form == "wide"


def _packs(value: Value) -> bool:
    op = value.owner
    return isinstance(op, so.Select) and (any(isinstance(x, ex.Pack) for x in op.columns.block.ops)
                                          or (op.grouped and _is_wide(value)))


def _shared(func: Func, twice: bool) -> None:
    """Cut every computed value that more than one statement reaches, the latest first.

    With ``twice`` also what one statement reads more than once.
    """
    graph: nx.DiGraph[Op] = nx.DiGraph()
    order = [op for op in func.block.ops if not isinstance(op, Return)]
    for op in order:
        graph.add_node(op)
        for v in op.operands:
            if isinstance(v.owner, Op):
                graph.add_edge(v.owner, op)
    roots: dict[Op, frozenset[Op]] = {}
    for op in reversed(order):
        if isinstance(op, _STATEMENTS):
            roots[op] = frozenset({op})
            continue
        reached = frozenset[Op]().union(*(roots[user] for user in graph.successors(op)))
        several = len(reached) > 1 or (twice and len(op.result.uses) > 1)
        if several and isinstance(op, _COMPUTED):
            _cut(op.result)
            cut = next(u for u in op.result.users() if isinstance(u, so.Materialise))
            reached = frozenset({cut})
        roots[op] = reached


def _name(func: Func) -> None:
    """Give every step table a name from where it comes from: the module of what its statement computes."""
    taken: set[str] = set()
    products = _Products()
    for op in func.block.ops:
        if isinstance(op, _COMPUTED):
            products.add(op)
        if isinstance(op, so.Materialise):
            scopes = products.of(op.x).values()
            if not all(within(scope, op.loc.scope) for scope in scopes):  # what packs it is of the module that reads it
                op.loc = attrs.evolve(op.loc, scope=common(scopes))
            base = f"{op.loc.scope}.{op.result.name}" if op.loc.scope else (op.result.name or "step")
            name, n = base, 2
            while name in taken:
                name, n = f"{base}.{n}", n + 1
            taken.add(name)
            op.table = name
