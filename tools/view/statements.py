"""The emitted SQL as a column: each statement, and in it each common table expression, with the op it was made from."""

from __future__ import annotations

from collections.abc import Sequence

from irsql.dialects.sql import ops as so
from irsql.ir.core import Func, IRError, Module, Op, Value
from irsql.ir.location import Location
from irsql.ir.target import target_of
from irsql.targets.base import emit_sql
from irsql.targets.pieces import Piece, pieces
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


def _statement(number: int, op: so.Materialise | so.Append, sql: str, dialect: str) -> list[Row]:
    cut = pieces(sql, dialect)
    of_ops = [_read(member) for member in _members(op.x if isinstance(op, so.Materialise) else op.rows)]
    everything = _union(locations(op), *of_ops)
    if len(of_ops) != len(cut.ctes) + 1:  # not an op a piece: each piece has the locations of all
        of_ops = [_union(*of_ops)] * (len(cut.ctes) + 1)
    kind = "insert" if isinstance(op, so.Append) else "create"
    head = cut.head if cut.ctes else f"{cut.head}\n{cut.query.text}"
    rows = [Row(kind, cut.table, "", op.loc, everything, head, number, "statement")]
    if cut.ctes:
        rows += [_row("with", piece, locs, op, number, "cte") for piece, locs in zip(cut.ctes, of_ops, strict=False)]
        rows.append(_row("query", cut.query, of_ops[-1], op, number, "query"))
    return rows


def _row(name: str, piece: Piece, locs: tuple[Location, ...], op: Op, number: int, part: str) -> Row:
    return Row(name, piece.name, piece.brief, locs[0] if locs else op.loc, locs, piece.text, number, part)


def _union(*groups: tuple[Location, ...]) -> tuple[Location, ...]:
    return tuple(dict.fromkeys(loc for group in groups for loc in group))


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
    return _union(*map(locations, (op, *tables)))
