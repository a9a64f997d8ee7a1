"""What a connection does to the tables of a state, and what PostgreSQL must therefore do with them."""

from __future__ import annotations

import re

ADDS = re.compile(r'INSERT INTO ("state"\."(?:[^"]|"")*") \(')
"""The beginning of what adds rows to a state."""
REMOVES = re.compile(r'DELETE FROM ("state"\."(?:[^"]|"")*")')
"""The beginning of what removes some."""
_MANY = 512
"""Rows of which the server is told."""


class Growth:
    """Rows that one connection has added to tables and removed from them."""

    def __init__(self) -> None:
        self._rows: dict[str, int] = {}
        self._enough: dict[str, int] = {}
        self._dead: dict[str, int] = {}

    def added(self, table: str, rows: int) -> bool:
        """Whether the table is to be analysed, which plans what reads it anew: it has twice as many as the last time.

        The plan for few rows looks at all rows of a sequence for each of its tokens.
        """
        now = self._rows[table] = self._rows.get(table, 0) + rows
        if now < self._enough.get(table, _MANY):
            return False
        self._enough[table] = 2 * now
        return True

    def removed(self, table: str, rows: int) -> None:
        """Rows are gone, though not from the disk."""
        self._rows[table] = max(self._rows.get(table, 0) - rows, 0)
        self._dead[table] = self._dead.get(table, 0) + rows

    def to_vacuum(self) -> list[str]:
        """Tables of which so much is dead that it is worth the time; they are forgotten."""
        out = [t for t, dead in self._dead.items() if dead >= max(_MANY, self._enough.get(t, 0) // 2)]
        for table in out:
            del self._dead[table]
        return out
