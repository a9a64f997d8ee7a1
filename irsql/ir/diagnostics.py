"""Errors as users see them: a sentence, the place, a caret, what to do; never a Python traceback."""

from __future__ import annotations

import traceback
from collections.abc import Iterable, Sequence

import attrs

from irsql.ir.core import IRError, Op
from irsql.ir.location import UNKNOWN, Location
from irsql.ir.printer import Printer

CONTEXT = 2
"""Lines of IR shown before and after the op a diagnostic is about."""

MAX_WIDTH = 240
"""Longer lines of IR are cut in diagnostics."""


@attrs.frozen(eq=False)
class Diagnostic:
    """One problem, or remark.

    Attributes
    ----------
    message
        What is wrong, one sentence.
    severity
        ``error``, ``warning`` or ``remark``.
    location
        Where it comes from: the user's source, or the place in a text that does not parse.
    op
        The op it is about, shown in its context.
    notes
        Further sentences.
    suggestion
        What to do, if known.
    source
        The line of text that does not parse; the caret stands under ``location.col`` and is ``width`` wide.
    """

    message: str
    severity: str = "error"
    location: Location = UNKNOWN
    op: Op | None = None
    notes: tuple[str, ...] = ()
    suggestion: str = ""
    source: str | None = None
    width: int = 1

    def render(self) -> str:
        """The full text: headline, source line or IR excerpt with a caret, notes, suggestion."""
        location = self.location if self.location.known or self.op is None else self.op.loc
        place = ""
        if location.file:
            place = f"{location.file}:{location.line}:{location.col}: "
        lines = [f"{place}{self.severity}: {self.message}"]
        origin = ", ".join(p for p in (location.scope, location.node) if p)
        if origin:
            lines.append(f"  from {origin}")
        if self.source is not None:
            lines += caret(self.source, location.col, self.width)
        elif self.op is not None:
            lines += excerpt(self.op)
        lines += [f"  note: {note}" for note in self.notes]
        if self.suggestion:
            lines.append(f"  help: {self.suggestion}")
        return "\n".join(lines)


class DiagnosticError(IRError):
    """One or more diagnostics that stop what was asked for; ``str()`` renders all of them."""

    def __init__(self, diagnostics: Diagnostic | Iterable[Diagnostic]) -> None:
        self.diagnostics: list[Diagnostic] = (
            [diagnostics] if isinstance(diagnostics, Diagnostic) else list(diagnostics))
        super().__init__("; ".join(d.message for d in self.diagnostics),
                         next((d.op for d in self.diagnostics if d.op is not None), None))

    def __str__(self) -> str:
        return "\n".join(d.render() for d in self.diagnostics)


def from_error(error: Exception, op: Op | None = None) -> DiagnosticError:
    """Any exception as diagnostics: an :class:`IRError` with the op it names, others by class and text."""
    if isinstance(error, DiagnosticError):
        return error
    if isinstance(error, IRError):
        return DiagnosticError(Diagnostic(str(error), op=error.op or op, notes=_notes(error)))
    notes = (*_notes(error), *_where(error))
    return DiagnosticError(Diagnostic(f"{type(error).__name__}: {error}", op=op, notes=notes))


def _where(error: Exception) -> tuple[str, ...]:
    frames = traceback.extract_tb(error.__traceback__)
    return (f"raised at {frames[-1].filename}:{frames[-1].lineno} in {frames[-1].name}",) if frames else ()


def _notes(error: Exception) -> tuple[str, ...]:
    return tuple(getattr(error, "__notes__", ()))


def caret(line: str, col: int, width: int = 1) -> list[str]:
    """A source line and a caret under its 1-based column, cut around the column when the line is long."""
    start = max(0, col - 1)
    shift = max(0, start - MAX_WIDTH // 2) if len(line) > MAX_WIDTH else 0
    shown = line[shift:shift + MAX_WIDTH].replace("\t", " ")
    width = max(1, min(width, len(shown) - (start - shift)))
    return [f"  {shown}", "  " + " " * (start - shift) + "^" * width]


def excerpt(op: Op) -> list[str]:
    """The op in generic form with a caret under it, the ops around it and the heads of the ops that hold it."""
    top = op
    holders: list[Op] = []
    while (parent := top.parent_op) is not None and parent not in holders:
        holders.append(parent)
        top = parent
    printer = Printer(locations=False)
    printer.op(top)
    line = printer.op_lines.get(op)
    if line is None:  # the op is not reachable from its parents: show it alone
        printer, holders = Printer(locations=False), []
        printer.op(op)
        line = 0
    wanted: set[int] = {printer.op_lines[h] for h in holders if h in printer.op_lines}
    wanted |= set(range(max(0, line - CONTEXT), min(len(printer.lines), line + CONTEXT + 1)))
    return _excerpt_lines(printer.lines, sorted(wanted), line)


def _excerpt_lines(lines: Sequence[str], wanted: Sequence[int], line: int) -> list[str]:
    out: list[str] = []
    previous = -1
    for index in wanted:
        if index > previous + 1:
            out.append("  ...")
        text = lines[index]
        out.append("  " + (text if len(text) <= MAX_WIDTH else text[:MAX_WIDTH] + " ..."))
        if index == line:
            indent = len(text) - len(text.lstrip())
            end = text.find("(", text.find('"'))
            out.append("  " + " " * indent + "^" * max(1, (end if end > 0 else len(text)) - indent))
        previous = index
    if previous + 1 < len(lines):
        out.append("  ...")
    return out
