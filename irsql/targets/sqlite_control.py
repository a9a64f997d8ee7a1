"""Control SQL as SQLite has it."""

from __future__ import annotations

from typing import ClassVar

import attrs
from sqlglot import exp

from irsql.targets.control import Control, name, sql_type, table
from irsql.targets.program import TableSpec


@attrs.frozen
class SQLiteControl(Control):
    """Writes SQLite's control statements."""

    begin_transaction: ClassVar[str] = "BEGIN IMMEDIATE"  # a second writer waits here, not in the middle of a step
    views_name_databases: ClassVar[bool] = False
    """A file whose views name a database cannot be opened under another name."""

    def create_spec(self, spec: TableSpec, catalog: str | None = None, exists_ok: bool = False) -> str:
        """In a database, rows are found by their keys: one key is the number of the row, several are a primary key."""
        if catalog is None or not spec.keys:
            return super().create_spec(spec, catalog, exists_ok)
        columns: list[exp.Expr] = [exp.ColumnDef(this=name(c.name), kind=sql_type(c.type)) for c in spec.columns]
        columns.append(exp.PrimaryKey(expressions=[name(k.name) for k in spec.keys]))
        schema = exp.Schema(this=table(spec.name, catalog), expressions=columns)
        return self.text(exp.Create(this=schema, kind="TABLE", exists=exists_ok)) + self.options(spec)

    @staticmethod
    def options(spec: TableSpec) -> str:
        """What sqlglot has no node for: rows of several keys are in the tree of their primary key."""
        return " WITHOUT ROWID" if len(spec.keys) > 1 else ""

    def table_names(self, catalog: str) -> str:
        """The names of the tables and views of an attached database."""
        query = exp.select(exp.column("name"), copy=False).from_(table("sqlite_master", catalog), copy=False)
        kinds = [exp.Literal.string(kind) for kind in ("table", "view")]
        return self.text(query.where(exp.In(this=exp.column("type"), expressions=kinds), copy=False))
