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
from irsql.ir.passes import Pass, PassContext

SHARED = "shared-selects"
"""Option of a target: ``tables`` where a common table expression is parsed anew for each of its readers, so that chains
of shared ones grow exponentially."""
PACKED = "packed-operands"
"""Option of a target: ``tables``, unless it says otherwise. ``inline`` where a packed operand is a common table
expression of its product, which saves a statement. ``inline-of-tables`` where it is one only of step tables: what
another product gives becomes one first, for a planner that knows nothing of an expression's rows guesses too many
operands, and copies each of them."""
MAX_CHAIN = 8
"""Products in a row that a statement computes (attention and MLP are five): a deep network is not one statement."""
_STATEMENTS = (so.Materialise, so.Append, so.Store)


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
            within = bool(ctx.target and ctx.target.options.get(SHARED) == "tables")
            _shared(func, within)
            packed = _operands(func, where)
            _shared(func, within)  # there are more statements now
            _name(func)
            count = sum(isinstance(op, so.Materialise | so.Append) for op in func.block.ops)
            ctx.statistic(f"statements of {func.sym_name}", count)
            ctx.remark("passed", func, f"@{func.sym_name}: statements: {count}, of them of shared selects: "
                       f"{_tables(func) - results - packed}, of packed operands: {packed}")
            if where != "tables":
                ctx.remark("missed", func, f"@{func.sym_name}: packed operands stay common table expressions",
                           f"the target has {PACKED}={where}")


def _tables(func: Func) -> int:
    return sum(isinstance(op, so.Materialise) for op in func.block.ops)


def _operands(func: Func, where: str) -> int:
    """Cut what stored tiles are multiplied by, where the target asks for it; gives how many packed ones are tables."""
    packed = 0
    chain: dict[Op, int] = {}
    """Products on the longest way through the statement that computes an op."""
    for op in list(func.block.ops):
        if not isinstance(op, so.Select | so.UnionAll | so.Unpack):
            continue
        product = isinstance(op, so.Select) and _is_product(op)
        for operand in [v for v in op.operands if product and _packs(v)]:
            assert isinstance(operand.owner, Op)
            if where == "tables" or chain[operand.owner] >= MAX_CHAIN:
                _cut(operand)
                packed += 1
            elif where == "inline-of-tables":
                for v in operand.owner.operands:
                    if isinstance(v.owner, Op) and chain.get(v.owner):
                        _cut(v)
        behind = [chain.get(v.owner, 0) for v in op.operands if isinstance(v.owner, Op)]
        chain[op] = max(behind, default=0) + product
    return packed


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


def _is_product(select: so.Select) -> bool:
    """Multiplies stored tiles, of lanes or of columns."""
    stored = [v for v in select.inputs if isinstance(v.owner, so.Table)]
    return bool(stored) and (any(isinstance(op, ex.Dot) for op in select.columns.block.ops)
                             or any(_is_wide(v) for v in stored))


def _is_wide(value: Value) -> bool:
    layout = rel(value).layout
    return layout is not None and layout.form == "wide"


def _packs(value: Value) -> bool:
    op = value.owner
    return isinstance(op, so.Select) and (any(isinstance(x, ex.Pack) for x in op.columns.block.ops)
                                          or (op.grouped and _is_wide(value)))


def _shared(func: Func, within: bool) -> None:
    """Cut every computed value that more than one statement reaches, the latest first.

    With ``within`` also what one statement reads more than once.
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
        several = len(reached) > 1 or (within and len(op.result.uses) > 1)
        if several and isinstance(op, so.Select | so.UnionAll | so.Unpack):
            _cut(op.result)
            cut = next(u for u in op.result.users() if isinstance(u, so.Materialise))
            reached = frozenset({cut})
        roots[op] = reached


def _name(func: Func) -> None:
    """Give every step table a name from where it comes from."""
    taken: set[str] = set()
    for op in func.block.ops:
        if isinstance(op, so.Materialise):
            base = f"{op.loc.scope}.{op.result.name}" if op.loc.scope else (op.result.name or "step")
            name, n = base, 2
            while name in taken:
                name, n = f"{base}.{n}", n + 1
            taken.add(name)
            op.table = name

