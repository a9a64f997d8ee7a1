"""``--verify-diagnostics``: the errors a file must give stand in its comments.

``// expected-error@+1 {{text}}`` expects, one line further down, an error whose message contains ``text`` (``@-2``,
``@above``, ``@below``, or nothing for the same line). Errors of passes have no place in the text: for those only the
message counts. Missing and unexpected errors both fail. Follows MLIR's "Testing Guide".
"""

from __future__ import annotations

import re
from collections.abc import Iterable

import attrs

from irsql.ir.diagnostics import Diagnostic

_EXPECTED = re.compile(r"//\s*expected-(error|warning|remark)(?:@([+-]\d+|above|below))?\s*\{\{(.*?)\}\}")


@attrs.frozen
class Expected:
    """One annotation: severity, line it points to, text."""

    severity: str
    line: int
    text: str

    def matches(self, diagnostic: Diagnostic, filename: str) -> bool:
        """Whether a diagnostic is the expected one."""
        place = diagnostic.location
        here = place.file != filename or place.line == self.line
        return here and diagnostic.severity == self.severity and self.text in diagnostic.message


def expectations(text: str) -> list[Expected]:
    """The annotations of a text."""
    out: list[Expected] = []
    for number, line in enumerate(text.splitlines(), 1):
        for severity, offset, wanted in _EXPECTED.findall(line):
            shift = {"": 0, "above": -1, "below": 1}.get(offset)
            out.append(Expected(severity, number + (int(offset) if shift is None else shift), wanted))
    return out


def check(text: str, filename: str, found: Iterable[Diagnostic]) -> list[str]:
    """What is wrong, a sentence each: diagnostics nobody expected and expectations nothing met."""
    open_ = expectations(text)
    problems: list[str] = []
    for diagnostic in found:
        match = next((e for e in open_ if e.matches(diagnostic, filename)), None)
        if match is not None:
            open_.remove(match)
        else:
            problems.append(f"unexpected {diagnostic.render()}")
    missing = (f"{filename}:{e.line}: error: expected {e.severity} {{{{{e.text}}}}} was not produced" for e in open_)
    return [*problems, *missing]
