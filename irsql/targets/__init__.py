"""Engines: capability tables, SQL text (the only room with sqlglot) and drivers."""
