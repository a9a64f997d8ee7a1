"""An emitted statement cut into what it writes, its common table expressions, and its query, laid out for reading."""

from __future__ import annotations

import attrs
from sqlglot import exp, parse_one


@attrs.frozen
class Piece:
    """A common table expression, or the query of a statement.

    Attributes
    ----------
    name
        Of the common table expression; empty for the query.
    text
        SQL over several lines.
    brief
        What it does, in a few words: how it combines what it reads.
    """

    name: str
    text: str
    brief: str


@attrs.frozen
class Pieces:
    """A statement: ``head``, then ``WITH`` and the common table expressions, then the query.

    Attributes
    ----------
    table
        What it writes.
    head
        SQL before the query.
    ctes
        In order.
    query
        Without its common table expressions.
    """

    table: str
    head: str
    ctes: tuple[Piece, ...]
    query: Piece


def pieces(sql: str, dialect: str) -> Pieces:
    """Cut a statement that creates a table from a query or inserts one.

    Parameters
    ----------
    sql
        As emitted.
    dialect
        sqlglot dialect it is written in.
    """
    tree = parse_one(sql, dialect=dialect)
    query = tree.expression
    with_ = query.args.get("with_")
    query.set("with_", None)
    ctes = [Piece(cte.alias, cte.sql(dialect=dialect, pretty=True), _brief(cte.this))
            for cte in (with_.expressions if with_ else ())]  # fmt: skip
    body = Piece("", query.sql(dialect=dialect, pretty=True), _brief(query))
    written = tree.this.this if isinstance(tree.this, exp.Schema) else tree.this
    query.replace(exp.Placeholder())
    return Pieces(written.name, tree.sql(dialect=dialect, pretty=True).rstrip("? \n"), tuple(ctes), body)


def _brief(query: exp.Expr) -> str:
    kinds = {"union": exp.Union, "join": exp.Join, "group by": exp.Group}
    words = [word for word, kind in kinds.items() if query.find(kind)]
    tables = dict.fromkeys(t.name for t in query.find_all(exp.Table))
    return " · ".join(part for part in (", ".join(words), ", ".join(tables)) if part)
