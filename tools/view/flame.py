"""A profile of ``irsql profile --json`` as the boxes of a flame graph: modules, their statements, their operators."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import attrs

from irsql.runtime.errors import UserError
from irsql.tools.profile.summary import CLIENT, FORMAT

Box = tuple[int, float, float, str, str, str, int]
"""Depth, beginning and width in seconds, kind, label, more about it, number of the statement (-1 for none)."""


@attrs.define
class _Module:
    """A module path: its parts and its statements, in the order they first run."""

    children: dict[str, _Module] = attrs.field(factory=dict)
    statements: list[int] = attrs.field(factory=list)


def read(path: Path) -> dict[str, Any]:
    """A profile from a file.

    Raises
    ------
    UserError
        If it is none.
    """
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise UserError(f"{path} is no profile: {error}") from error
    if not isinstance(found, dict) or found.get("irsql_profile") != FORMAT:
        raise UserError(f"{path} is no profile that this irsql reads: irsql profile --json writes one")
    return found


def check(profile: Mapping[str, Any], emitted: Mapping[str, Sequence[str]]) -> None:
    """Whether a profile is of the statements that a dump becomes.

    Raises
    ------
    UserError
        If it is of others.
    """
    for statement in profile["statements"]:
        number, function = statement["number"], statement["function"]
        if number:
            texts = list(emitted.get(function, ()))
            if number > len(texts) or texts[number - 1].strip() != statement["sql"].removesuffix(";").strip():
                raise UserError(f"the profile is of another program than the dump: statement {number} of {function} "
                                "is not the same")  # fmt: skip


def boxes(profile: Mapping[str, Any]) -> list[Box]:
    """The boxes, parents before their children."""
    statements = profile["statements"]
    root = _Module()
    for n, statement in enumerate(statements):
        place = root
        for name in _path(statement["scope"]):
            place = place.children.setdefault(name, _Module())
        place.statements.append(n)
    whole = max(profile["profiled_seconds"], sum(s["seconds"] for s in statements))
    out: list[Box] = [(0, 0.0, whole, "module", profile["function"], f"{profile['engine']}, a step under the profiler",
                       -1)]  # fmt: skip
    end = _place(root, statements, 1, 0.0, out)
    if whole - end > 0:
        out.append((1, end, whole - end, "client", CLIENT, "outside of the engine", -1))
    return out


def _path(scope: str) -> list[str]:
    """A module path in pieces; a number stays with what it numbers."""
    out: list[str] = []
    for part in scope.split("."):
        if part.isdigit() and out:
            out[-1] += f".{part}"
        else:
            out.append(part)
    return out


def _place(module: _Module, statements: Sequence[Mapping[str, Any]], depth: int, begin: float, out: list[Box]) -> float:
    """Add the boxes of a module's parts from a place on; give where they end."""
    for n in module.statements:
        statement = statements[n]
        label = statement["node"].removeprefix(f"{statement['scope']}.") or statement["sql"].split("\n")[0]
        where = f"{statement['function']} {statement['number']}" if statement["number"] else "control"
        out.append((depth, begin, statement["seconds"], "statement", label, where, n))
        _operators(statement, n, depth + 1, begin, out)
        begin += statement["seconds"]
    for name, child in module.children.items():
        at = len(out)
        end = _place(child, statements, depth + 1, begin, out)
        out.insert(at, (depth, begin, end - begin, "module", name, "", -1))
        begin = end
    return begin


def _operators(statement: Mapping[str, Any], n: int, depth: int, begin: float, out: list[Box]) -> None:
    """Planning, then the operators, which share the rest of the time as they share the threads' time."""
    planning = min(statement["planning"] or 0.0, statement["seconds"])
    if planning:
        out.append((depth, begin, planning, "planning", "planning", "", n))
    busy = sum(part["seconds"] or 0.0 for part in statement["parts"])
    begin, rest = begin + planning, statement["seconds"] - planning
    for part in statement["parts"]:
        if part["seconds"]:
            width = rest * part["seconds"] / busy
            rows = "" if part["rows"] is None else f"{part['rows']:,} rows; "
            more = f"{rows}{part['seconds'] * 1e3:.2f} ms of all threads; {part['detail']}"
            out.append((depth, begin, width, "operator", part["name"], more.removesuffix("; "), n))
            begin += width
