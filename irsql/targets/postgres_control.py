"""Control SQL as PostgreSQL has it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import ClassVar

import attrs
from sqlglot import exp

from irsql.targets.control import MODEL, STATE, Control, name, sql_type, table
from irsql.targets.postgres_expressions import vector
from irsql.targets.program import Function, Program, TableSpec
from irsql.targets.tables import split_type

OLDEST, OLDEST_VECTOR = 160000, (0, 7)
"""What irsql needs: the server's version, and pgvector's."""
FILLS = re.compile(r'INSERT INTO ("(?:[^"]|"")*") \(')
"""The beginning of what fills a temporary table."""
LOCKS = 0x6972
"""Namespace of irsql's advisory locks."""
SESSION = {
    "jit": "off", "synchronous_commit": "off", "client_min_messages": "error", "work_mem": "4MB",
    "temp_buffers": "128MB", "client_connection_check_interval": "2s", "max_parallel_workers_per_gather": "0",
    "standard_conforming_strings": "on", "extra_float_digits": "1",
}  # fmt: skip
"""Settings of a connection."""
_ROW_BYTES = 8100
"""What a page has for one row; longer ones are kept elsewhere, a piece a row, which costs a look-up each."""
_INLINE = f" WITH (toast_tuple_target = {_ROW_BYTES})"
"""Of a longer row, as much as fits stays in it; sqlglot has no node for this."""
_PLAIN = exp.ColumnConstraint(kind=exp.Var(this="STORAGE PLAIN"))
"""Kept in its row. So no table is made for the rest of the row, and emptying one is a hundred times as fast."""


def _bytes(type_: str) -> int:
    """What a column takes of a row."""
    element, lane = split_type(type_) if type_ not in ("text", "bytes") else ("", 0)
    return (2 if element == "f16" else 4) * lane + 8


@attrs.frozen
class PostgresControl(Control):
    """Writes PostgreSQL's control statements."""

    begin_transaction: ClassVar[str] = "BEGIN"

    def create_schema(self, schema: str, exists_ok: bool = False) -> str:
        """``CREATE SCHEMA``."""
        return self.text(exp.Create(this=exp.Table(db=name(schema)), kind="SCHEMA", exists=exists_ok))

    def drop_schema(self, schema: str) -> str:
        """``DROP SCHEMA`` with all it holds, if it is there."""
        return self.text(exp.Drop(tables=[exp.Table(db=name(schema))], kind="SCHEMA", exists=True, cascade=True))

    def text(self, node: exp.Expr) -> str:
        """The node as SQL. A view that may be there is replaced: there is no ``IF NOT EXISTS`` for it."""
        if isinstance(node, exp.Create) and node.kind == "VIEW" and node.args.get("exists"):
            node.set("exists", False)
            node.set("replace", True)
        return super().text(node)

    def column_type(self, type_: str, catalog: str | None) -> exp.DataType:
        """Stored floats have 32 bits; what is computed is a double, for ``real`` raises on underflow."""
        element, lane = split_type(type_) if type_ not in ("text", "bytes") else (type_, 0)
        if lane:
            return vector(lane, element == "f16")
        return sql_type("f64" if element == "f32" and catalog != MODEL else type_)

    def create_table(self, table_name: str, columns: Sequence[tuple[str, str]], catalog: str | None = None,
                     exists_ok: bool = False, replace: bool = False) -> str:
        """As in the base class; a temporary table is emptied by the end of its transaction."""
        return self._create(table_name, columns, catalog, exists_ok)

    def create_spec(self, spec: TableSpec, catalog: str | None = None, exists_ok: bool = False) -> str:
        """In a state, rows are found by their keys; those of a model get theirs when it is loaded."""
        keys = [k.name for k in spec.keys] if catalog == STATE else []
        return self._create(spec.name, [(c.name, c.type) for c in spec.columns], catalog, exists_ok, keys)

    def _create(self, table_name: str, columns: Sequence[tuple[str, str]], catalog: str | None, exists_ok: bool,
                keys: Sequence[str] = ()) -> str:  # fmt: skip
        plain = [_PLAIN] if sum(_bytes(t) for _, t in columns) <= _ROW_BYTES else []
        parts: list[exp.Expr] = [
            exp.ColumnDef(this=name(c), kind=self.column_type(t, catalog),
                          constraints=[p.copy() for p in plain if t.endswith("]")]) for c, t in columns]  # fmt: skip
        if keys:
            parts.append(exp.PrimaryKey(expressions=[name(k) for k in keys]))
        properties = None
        if catalog is None:
            properties = exp.Properties(expressions=[exp.TemporaryProperty(), exp.OnCommitProperty(delete=True)])
        schema = exp.Schema(this=table(table_name, catalog), expressions=parts)
        text = self.text(exp.Create(this=schema, kind="TABLE", exists=exists_ok, properties=properties))
        return text if plain or catalog is None else text + _INLINE

    def temporaries(self, program: Program) -> list[str]:
        """As in the base class, and the results, which no statement creates."""
        results = {spec.name: spec for f in program.functions.values() for spec in f.outputs}
        return [*(self.create_spec(spec, exists_ok=True) for spec in results.values()), *super().temporaries(program)]

    def statements(self, function: Function) -> list[str]:
        """As in the base class; tables are empty where a transaction begins."""
        return [s.sql for s in function.statements]


CONTROL = PostgresControl("postgres", emptied=True)
