"""What a pass changed in a function: ops aligned by structure, so that renumbered values are no change.

An op is a unit of lines. Units are aligned on their text with the numbers of SSA names taken out. A pair of equal
units whose operands do not correspond (``%3`` became ``%4``, but what defined ``%3`` now defines ``%9``) is a change
all the same. Where ops were replaced, old and new ones of one location stand together: for a conversion, that is what
each op became.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Sequence
from difflib import SequenceMatcher
from typing import Any

from irsql.tools.view.text import location_of, readable, without_location

_NAME = re.compile(r"%[A-Za-z0-9_.$\-]+")
_NUMBER = re.compile(r"%\d+(?![A-Za-z0-9_.$\-])|(?<=[A-Za-z0-9_.\-])\$\d+(?![A-Za-z0-9_.$\-])")
_OP = re.compile(r' *(?:%[^"]* = )?"([^"]*)"')
LINES = 1500
"""Longest texts of one op that are compared line by line."""

Unit = list[str]
Hunk = tuple[str, list[tuple[str, str]]]
"""A location, and lines with what happened to each: ``-``, ``+`` or a space."""


def compare(old: Sequence[Unit], new: Sequence[Unit]) -> list[Hunk]:
    """The changes from one text of a function to another."""
    hunks: list[Hunk] = []
    for tag, i1, i2, j1, j2 in _changes(old, new):
        if tag == "replace":
            hunks += _by_location(old[i1:i2], new[j1:j2])
        else:
            hunks += _by_location(old[i1:i2], []) if tag == "delete" else _by_location([], new[j1:j2])
    return hunks


def count(hunks: Sequence[Hunk]) -> tuple[int, int]:
    """Lines added and removed."""
    marks = [mark for _, lines in hunks for mark, _ in lines]
    return marks.count("+"), marks.count("-")


def _key(lines: Sequence[str]) -> str:
    return _NUMBER.sub("", "\n".join(lines))


def _changes(old: Sequence[Unit], new: Sequence[Unit]) -> list[tuple[str, int, int, int, int]]:
    matcher = SequenceMatcher(None, [_key(u) for u in old], [_key(u) for u in new], autojunk=False)
    out: list[tuple[str, int, int, int, int]] = []
    names = _Names()
    for tag, i1, i2, j1, j2 in matcher.get_opcodes():
        if tag != "equal":
            out.append((tag, i1, i2, j1, j2))
            names.forget(old[i1:i2], new[j1:j2])
            continue
        for i, j in zip(range(i1, i2), range(j1, j2), strict=True):
            if not names.correspond(old[i], new[j]):
                out.append(("replace", i, i + 1, j, j + 1))
    return _joined(out)


def _joined(changes: list[tuple[str, int, int, int, int]]) -> list[tuple[str, int, int, int, int]]:
    """Changes that touch become one."""
    out: list[tuple[str, int, int, int, int]] = []
    for tag, i1, i2, j1, j2 in changes:
        if out and out[-1][2] == i1 and out[-1][4] == j1:
            _, a1, _, b1, _ = out.pop()
            tag, i1, j1 = "replace", a1, b1
        out.append((tag, i1, i2, j1, j2))
    return out


def _definitions(line: str) -> int:
    """How many of the names in a line are defined by it: results, or the arguments of a block."""
    head = line.lstrip()
    if head.startswith("^"):
        return len(_NAME.findall(head))
    return len(_NAME.findall(head.partition(" = ")[0])) if head.startswith("%") else 0


class _Names:
    """What values of the old text are called in the new one.

    A name stands for its last definition (a region's names are free again behind it), so walking down both texts at
    once is enough. Values defined by changed ops are taken to correspond: the change is shown there.
    """

    def __init__(self) -> None:
        self.new_of: dict[str, str] = {}
        self.taken: set[str] = set()

    def forget(self, old: Sequence[Unit], new: Sequence[Unit]) -> None:
        """Drop the names that changed ops define."""
        for unit in old:
            for name in _NAME.findall(unit[0])[:_definitions(unit[0])]:
                self.new_of.pop(name, None)
        for unit in new:
            self.taken.difference_update(_NAME.findall(unit[0])[:_definitions(unit[0])])

    def correspond(self, old: Unit, new: Unit) -> bool:
        """Whether equal units read corresponding values; notes what their definitions are called now."""
        equal = True
        for a, b in zip(old, new, strict=True):
            if "%" not in a:
                continue
            before, after, first = _NAME.findall(a), _NAME.findall(b), _definitions(a)
            for x, y in zip(before[first:], after[first:], strict=False):
                equal = equal and (self.new_of[x] == y if x in self.new_of else y not in self.taken)
            for x, y in zip(before[:first], after[:first], strict=False):
                self.new_of[x] = y
                self.taken.add(y)
        return equal


def _by_location(old: Sequence[Unit], new: Sequence[Unit]) -> list[Hunk]:
    """Replaced ops in order, old and new ones of the same location together."""
    before, after = _runs(old), _runs(new)
    matcher = SequenceMatcher(None, [k for k, _ in before], [k for k, _ in after], autojunk=False)
    hunks: list[Hunk] = []
    for tag, i1, i2, j1, j2 in matcher.get_opcodes():
        if tag == "equal":
            hunks += [_hunk(loc, a, b) for (loc, a), (_, b) in zip(before[i1:i2], after[j1:j2], strict=True)]
            continue
        hunks += [_hunk(loc, a, []) for loc, a in before[i1:i2]]
        hunks += [_hunk(loc, [], b) for loc, b in after[j1:j2]]
    return hunks


def _runs(units: Sequence[Unit]) -> list[tuple[str, list[Unit]]]:
    return [(loc, list(group)) for loc, group in itertools.groupby(units, location_of)]


def _hunk(location: str, old: list[Unit], new: list[Unit]) -> Hunk:
    """Old and new ops; line by line where each old op has a new one of its name."""
    before, after = ([[without_location(line, location) for line in unit] for unit in units] for units in (old, new))
    if [_name(u) for u in old] == [_name(u) for u in new]:
        return location, [line for a, b in zip(before, after, strict=True) for line in _lines(a, b)]
    return location, [("-", line) for unit in before for line in unit] + [("+", line) for u in after for line in u]


def _name(unit: Unit) -> str:
    match = _OP.match(unit[0])
    return match[1] if match else ""


def _lines(before: Unit, after: Unit) -> list[tuple[str, str]]:
    """Two ops of a name, line by line where they have half their lines in common."""
    matcher = SequenceMatcher(None, [_key([x]) for x in before], [_key([x]) for x in after], autojunk=False)
    if max(len(before), len(after)) > LINES or (len(before) > 1 and matcher.ratio() < 0.5):
        return [("-", line) for line in before] + [("+", line) for line in after]
    lines: list[tuple[str, str]] = []
    opcodes = matcher.get_opcodes()
    for tag, i1, i2, j1, j2 in opcodes:
        if tag != "equal":
            lines += [("-", line) for line in before[i1:i2]] + [("+", line) for line in after[j1:j2]]
            continue
        for a, b in zip(before[i1:i2], after[j1:j2], strict=True):
            lines += [("-", a), ("+", b)] if len(opcodes) == 1 and a != b else [(" ", b)]  # only operands differ
    return lines


def as_json(hunks: Sequence[Hunk]) -> list[Any]:
    """For the page: ``[location, ["-line", "+line", …]]``."""
    return [[readable(location), [mark + line for mark, line in lines]] for location, lines in hunks]
