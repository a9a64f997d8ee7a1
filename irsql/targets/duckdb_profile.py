"""DuckDB's own profile of a statement (``enable_profiling``), read from its JSON."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from irsql.targets.profile import Operator, Profile

_DETAILS = ("Function", "Conditions", "Groups", "Aggregates", "Filters", "Order By", "Projections")
"""What tells an operator from others of its kind, best first."""
_SHOWN = 200
"""Characters of a detail that are kept: a projection can hold hundreds of products."""


def read(text: str, seconds: float) -> Profile:
    """The profile in a JSON text.

    Parameters
    ----------
    text
        What the engine gave; a statement that it does not profile has no operators.
    seconds
        How long the statement took.
    """
    found = json.loads(text)
    if "operator" not in found:
        return Profile(seconds)
    planning = sum(float(found.get(part, {}).get("total_time", 0.0))
                   for part in ("parser", "planner", "optimizer", "physical_planner"))  # fmt: skip
    roots = found["operator"] if isinstance(found["operator"], list) else [found["operator"]]
    return Profile(seconds, planning, tuple(map(_operator, roots)))


def _operator(node: Mapping[str, Any]) -> Operator:
    facts = node.get("extra_info") or {}
    table = str(facts.get("Table", ""))
    read = facts.get("Projections") or ()
    columns = (read,) if isinstance(read, str) else tuple(map(str, read))
    detail = next((_text(facts[name]) for name in _DETAILS if facts.get(name)), "")
    return Operator(
        str(node.get("name", "")).strip(), detail[:_SHOWN], _number(node, "timing"), _count(node, "intermediate_rows"),
        table.rpartition(".")[2], columns if table else (), _count(node, "rows_scanned"),
        tuple(map(_operator, node.get("children") or ())),
    )  # fmt: skip


def _text(value: Any) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)


def _number(node: Mapping[str, Any], key: str) -> float | None:
    return float(node[key]) if key in node else None


def _count(node: Mapping[str, Any], key: str) -> int | None:
    return int(node[key]) if key in node else None
