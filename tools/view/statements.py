"""The emitted SQL as a column: each statement, and in it each common table expression, with the op it was made from."""

from __future__ import annotations

from collections.abc import Sequence

from sqlglot import exp, parse_one

from irsql.dialects.sql import ops as so
from irsql.ir.core import Func, IRError, Module, Op, Value
from irsql.ir.location import UNKNOWN, Location
from irsql.ir.target import target_of
from irsql.targets.base import emit_sql
from irsql.tools.view.stages import Column, Row, locations


def columns(module: Module) -> dict[str, Column]:
    """The statements of every function that has some.

    Raises
    ------
    IRError
        If the module has no SQL form.
    """
    emitted, target = emit_sql(module), target_of(module)
    assert target is not None  # emit_sql reports it
    return {name: Column(_rows(module.functions[name], texts, target.dialect)) for name, texts in emitted.items()}


def _rows(func: Func, texts: Sequence[str], dialect: str) -> list[Row]:
    writers = [op for op in func.block.ops if isinstance(op, so.Materialise | so.Append)]
    if len(writers) != len(texts):
        raise IRError(f"@{func.sym_name} has {len(texts)} statements for {len(writers)} ops that write one")
    rows: list[Row] = []
    for i, (op, text) in enumerate(zip(writers, texts, strict=True)):
        rows += _statement(i + 1, op, text, dialect)
    return rows


def _statement(number: int, op: so.Materialise | so.Append, text: str, dialect: str) -> list[Row]:
    tree = parse_one(text, dialect=dialect)
    query = tree.expression
    ops = _members(op.x if isinstance(op, so.Materialise) else op.rows)
    with_ = query.args.get("with_")
    ctes = list(with_.expressions) if with_ else []
    of_ops = [_read(member) for member in ops]
    if len(ctes) + 1 != len(ops):  # not one a CTE, as this engine writes them: each piece has the whole statement's
        of_ops = [tuple(dict.fromkeys(loc for locs in of_ops for loc in locs))] * (len(ctes) + 1)
    query.set("with_", None)
    body = query.sql(dialect=dialect, pretty=True)
    everything = tuple(dict.fromkeys([*locations(op), *(loc for locs in of_ops for loc in locs)]))
    written = tree.this.this if isinstance(tree.this, exp.Schema) else tree.this
    query.replace(exp.Placeholder())
    head = tree.sql(dialect=dialect, pretty=True).rstrip("? \n")
    kind = "insert" if isinstance(op, so.Append) else "create"
    rows = [Row(kind, written.name, "", op.loc, everything, head if ctes else f"{head}\n{body}", number, "statement")]
    if not ctes:
        return rows
    for cte, locs in zip(ctes, of_ops, strict=False):
        piece = cte.sql(dialect=dialect, pretty=True)
        rows.append(Row("with", cte.alias, _brief(cte.this), _first(locs, op), locs, piece, number, "cte"))
    rows.append(Row("query", "", _brief(query), _first(of_ops[-1], op), of_ops[-1], body, number, "query"))
    return rows


def _members(root: Value) -> list[Op]:
    """The pure ops that a statement's query is made of, in the order of its CTEs; the last one is the query itself."""
    seen: dict[Op, None] = {}

    def visit(value: Value) -> None:
        op = value.owner
        if isinstance(op, Op) and op not in seen and not isinstance(op, so.Materialise | so.Append | so.Table):
            for operand in op.operands:
                visit(operand)
            seen[op] = None

    visit(root)
    return list(seen)


def _read(op: Op) -> tuple[Location, ...]:
    """Locations of an op and of the stored tables it reads, which its text names."""
    tables = [v.owner for v in op.operands if isinstance(v.owner, so.Table)]
    return tuple(dict.fromkeys(loc for x in (op, *tables) for loc in locations(x)))


def _first(locs: Sequence[Location], op: Op) -> Location:
    return locs[0] if locs else op.loc if op.loc.known else UNKNOWN


def _brief(query: exp.Expr) -> str:
    """What a query does, in a few words: how it combines what it reads."""
    kinds = {"union": exp.Union, "join": exp.Join, "group by": exp.Group}
    words = [word for word, kind in kinds.items() if query.find(kind)]
    tables = dict.fromkeys(t.name for t in query.find_all(exp.Table))
    return " · ".join(part for part in (", ".join(words), ", ".join(tables)) if part)
