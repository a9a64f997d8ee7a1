"""IR text made readable: long lists of equal columns are folded; a module's text is cut into functions and ops."""

from __future__ import annotations

import re
from urllib.parse import unquote

_RUN = re.compile(r'(#[\w.]+<"[^"\d]*)(\d+)(", [^<>"]*(?:<[^<>]*>)?[^<>"]*>)(?:, \1\d+\3){2,}')
_FUNCTION = re.compile(r'  "func\.func"\(\) <\{sym_name = "([^"]*)"')
_PARTS = re.compile(r'(?:"([^"]*)")?\(?(?:"([^"]*)":(\d+):\d+)?\)?')
_LOCATION = re.compile(r" loc\((.*)\)$")


def fold(text: str) -> str:
    """Write ``#rel.val<"v_0", f32>, #rel.val<"v_1", f32>, …`` as ``#rel.val<"v_0…15", f32>``.

    Only a run of consecutive numbers is folded, so different texts stay different.
    """

    def short(match: re.Match[str]) -> str:
        head, first, tail = match[1], int(match[2]), match[3]
        count = match[0].count(head)
        return (f"{head}{first}…{first + count - 1}{tail}"
                if match[0] == ", ".join(f"{head}{first + i}{tail}" for i in range(count)) else match[0])  # fmt: skip

    return _RUN.sub(short, text) if "#" in text else text


class Folder:
    """:func:`fold` for lines, which repeat their types: each type is folded once."""

    def __init__(self) -> None:
        self._known: dict[str, str] = {}

    def __call__(self, line: str) -> str:
        if len(line) < 120:
            return line
        head, mark, tail = line.partition(" : (")
        if not mark or " : (" in tail:
            return fold(line)
        tail, loc, place = tail.partition(" loc(")
        if tail not in self._known:
            self._known[tail] = fold(tail)
        return f"{head if len(head) < 120 else fold(head)}{mark}{self._known[tail]}{loc}{place}"


def functions(lines: list[str]) -> dict[str, list[list[str]]]:
    """The functions of a printed module by name, each as units of lines: its head, its ops, its end.

    What stands outside functions has the name "".
    """
    out: dict[str, list[list[str]]] = {}
    units = out.setdefault("", [])
    for line in lines:
        if line.startswith(('"', "}")):  # the module
            units = out[""]
            units.append([line])
        elif line.startswith('  "'):
            match = _FUNCTION.match(line)
            units = out.setdefault(match[1] if match else "", [])
            units.append([line])
        elif line.startswith("   ") and not line.startswith(("     ", "    }", "    ^")):
            units.append([line])
        elif units and line.startswith(("   ", "  ^")):
            units[-1].append(line)
        else:
            units.append([line])
    return {name: units for name, units in out.items() if units}


def location_of(unit: list[str]) -> str:
    """What stands in ``loc(…)`` at the end of an op; empty without."""
    match = _LOCATION.search(unit[-1])
    return match[1] if match else ""


def readable(location: str) -> str:
    """What stands in ``loc(…)`` for humans: module, node and line."""
    match = _PARTS.fullmatch(location)
    if match is None:
        return location
    scope, _, node = (match[1] or "").partition("#")
    place = f"{match[2]}:{match[3]}" if match[2] else ""
    return "  ".join(part for part in (unquote(scope), unquote(node), place) if part)


def without_location(line: str, location: str) -> str:
    """A line without its location, where it is this one."""
    return line.removesuffix(f" loc({location})") if location else line
