"""Patterns and the two drivers that apply them.

The walk driver visits every op once, in order, and is the default: most rewrites need no fixpoint. The greedy driver
goes on until nothing matches; its cap turns patterns that undo one another into an error that names them.
"""

from __future__ import annotations

import time
from collections import Counter, deque
from collections.abc import Callable, Iterable, Sequence
from typing import ClassVar, Literal

import attrs

from irsql.ir.core import IRError, Op, OpResult, OpT, Value
from irsql.ir.diagnostics import Diagnostic, DiagnosticError
from irsql.ir.location import UNKNOWN, Location
from irsql.ir.printer import print_op

RECENT = 64
"""The last rewrites of which a driver that exceeds its cap names the patterns."""


class Rewriter:
    """The changes a pattern makes go through here, so that the driver knows of them.

    Attributes
    ----------
    changes
        Number of changes so far.
    erased
        Ops that are gone, nested ones included.
    """

    def __init__(self, touched: Callable[[Op], None] | None = None,
                 inserted: Callable[[Op], None] | None = None) -> None:
        self.changes = 0
        self.erased: set[Op] = set()
        self._touched, self._inserted = touched, inserted

    def _touch(self, ops: Iterable[Op]) -> None:
        if self._touched is not None:
            for op in ops:
                self._touched(op)

    def _insert(self, anchor: Op, op: OpT, offset: int, name: str) -> OpT:
        if anchor.parent is None:
            raise IRError(f"{anchor.name} sits in no block", anchor)
        if not op.loc.known:
            op.loc = anchor.loc
        if name and op.results:
            op.results[0].name = name
        anchor.parent.insert(anchor.parent.ops.index(anchor) + offset, op)
        self.changes += 1
        if self._inserted is not None:
            for new in op.walk():
                self._inserted(new)
        return op

    def insert_before(self, anchor: Op, op: OpT, name: str = "") -> OpT:
        """Insert ``op`` before ``anchor``; it gets the anchor's location if it has none, and the name hint."""
        return self._insert(anchor, op, 0, name)

    def insert_after(self, anchor: Op, op: OpT, name: str = "") -> OpT:
        """Insert ``op`` after ``anchor``; see :meth:`insert_before`."""
        return self._insert(anchor, op, 1, name)

    def replace(self, op: Op, *new: Value | Op) -> None:
        """Replace ``op`` and erase it.

        Parameters
        ----------
        op
            The op to replace.
        *new
            One value for each result; or one op, inserted before ``op`` if it stands nowhere yet, whose results are
            the values.
        """
        values: list[Value] = []
        for item in new:
            if isinstance(item, Op):
                if item.parent is None:
                    self.insert_before(op, item)
                values += item.results
            else:
                values.append(item)
        users = [user for res in op.results for user in res.users()]
        self._gone(op)
        op.replace_with(*values)
        self._touch(users)
        self._touch(v.op for v in values if isinstance(v, OpResult))

    def erase(self, op: Op) -> None:
        """Erase an op whose results are unused."""
        if any(res.uses for res in op.results):
            op.erase()  # raises, naming the users
        self._gone(op)
        op.erase()

    def _gone(self, op: Op) -> None:
        self.changes += 1
        self.erased.update(op.walk())
        self._touch([v.op for v in op.operands if isinstance(v, OpResult)])

    def replace_uses(self, old: Value, new: Value) -> None:
        """Make every user of ``old`` use ``new``."""
        users = old.users()
        if users and old is not new:
            self.changes += 1
            old.replace_all_uses_with(new)
            self._touch(users)

    def modified(self, op: Op) -> None:
        """Say that ``op`` was changed in place (an attribute, an operand, a type)."""
        self.changes += 1
        self._touch([op, *(user for res in op.results for user in res.users())])


class Pattern:
    """One local rewrite.

    Attributes
    ----------
    root
        The class (or classes) of ops it is tried on; None for all.
    """

    root: ClassVar[type[Op] | tuple[type[Op], ...] | None] = None

    @property
    def name(self) -> str:
        """Shown in statistics and errors."""
        return type(self).__name__

    def rewrite(self, op: Op, rewriter: Rewriter) -> bool:
        """Change the IR around ``op`` through ``rewriter`` and return True, or leave it as it is and return False."""
        raise NotImplementedError


@attrs.define
class PatternStats:
    """How often a pattern was tried, how often it matched, and the time it took."""

    tries: int = 0
    hits: int = 0
    seconds: float = 0.0

    @property
    def ms(self) -> float:
        """The time in milliseconds."""
        return self.seconds * 1e3


Stats = dict[str, PatternStats]


@attrs.define
class RewriteLimit:
    """Counts the rewrites of all drivers that share it, and may stop them after some: ``irsql-opt --bisect``.

    Attributes
    ----------
    most
        No pattern is tried after so many rewrites; None for no limit.
    count
        Rewrites so far.
    last
        Rewrite number ``most``: the pattern, the first line of the op as it was, and the location of the op or of what
        holds it.
    """

    most: int | None = None
    count: int = 0
    last: tuple[str, str, Location] = ("", "", UNKNOWN)

    @property
    def reached(self) -> bool:
        """Whether the drivers are to stop."""
        return self.most is not None and self.count >= self.most


def _headline(op: Op) -> tuple[str, Location]:
    """The first line of an op, and the innermost location there is."""
    holder: Op | None = op
    while holder is not None and not holder.loc.known:
        holder = holder.parent_op
    return print_op(op, locations=False).partition("\n")[0], holder.loc if holder is not None else UNKNOWN


class _Driver:
    """What both drivers share: trying one pattern on one op, counted, timed and checked for honesty."""

    def __init__(self, patterns: Sequence[Pattern], rewriter: Rewriter, counts: Stats | None,
                 limit: RewriteLimit | None) -> None:
        self.patterns, self.rewriter = patterns, rewriter
        self.counts: Stats = {} if counts is None else counts
        self.limit = limit or RewriteLimit()

    def attempt(self, pattern: Pattern, op: Op) -> bool:
        stats = self.counts.setdefault(pattern.name, PatternStats())
        stats.tries += 1
        shown = _headline(op) if self.limit.count + 1 == self.limit.most else ("", UNKNOWN)
        before, name, start = self.rewriter.changes, op.name, time.perf_counter()
        try:
            matched = pattern.rewrite(op, self.rewriter)
        except Exception as error:
            error.add_note(f"while pattern {pattern.name} rewrote {name}")
            raise
        finally:
            stats.seconds += time.perf_counter() - start
        changes = self.rewriter.changes - before
        if matched and not changes:
            raise DiagnosticError(Diagnostic(
                f"pattern {pattern.name} claims to have rewritten {name} but changed nothing",
                op=op,
                suggestion="return False where nothing changes; after a change in place call rewriter.modified(op)"))
        if changes and not matched:
            raise DiagnosticError(Diagnostic(
                f"pattern {pattern.name} changed the IR around {name} but returned False", op=op,
                suggestion="return True after a change"))
        stats.hits += matched
        if matched:
            self.limit.count += 1
            text, location = shown
            self.limit.last = pattern.name, text, location
        return matched

    def applicable(self, op: Op) -> Iterable[Pattern]:
        return (p for p in self.patterns if p.root is None or isinstance(op, p.root))


def walk(patterns: Sequence[Pattern], root: Op, *, counts: Stats | None = None, revisit: bool = False,
         max_rewrites: int | None = None, limit: RewriteLimit | None = None) -> bool:
    """Visit every op in ``root`` once, in order, and try every pattern on it; say whether anything changed.

    Parameters
    ----------
    patterns
        Tried in order on each op, until one erases it.
    root
        Visited too.
    counts
        Receives the statistics.
    revisit
        Also visit the ops that patterns insert.
    max_rewrites
        Cap on the rewrites (only with ``revisit`` can there be many); see :func:`greedy`.
    limit
        Counts the rewrites and may stop them.
    """
    queue: deque[Op] = deque(root.walk())
    rewriter = Rewriter(inserted=queue.append if revisit else None)
    return _run(_Driver(patterns, rewriter, counts, limit), queue, None, max_rewrites)


def greedy(patterns: Sequence[Pattern], root: Op, *, counts: Stats | None = None,
           max_rewrites: int | None = None, limit: RewriteLimit | None = None) -> bool:
    """Apply patterns until none matches; say whether anything changed.

    Parameters
    ----------
    patterns
        Tried in order on each op.
    root
        Visited too.
    counts
        Receives the statistics.
    max_rewrites
        Cap on the rewrites; by default 1000 and 50 for each op.
    limit
        Counts the rewrites and may stop them.

    Raises
    ------
    DiagnosticError
        If the cap is reached: the patterns undo one another. Names those of the last rewrites with their counts.
    """
    queue: deque[Op] = deque(root.walk())
    waiting = set(queue)

    def add(op: Op) -> None:
        if op not in waiting:
            waiting.add(op)
            queue.append(op)

    rewriter = Rewriter(touched=add, inserted=add)
    return _run(_Driver(patterns, rewriter, counts, limit), queue, waiting, max_rewrites)


def _run(driver: _Driver, queue: deque[Op], waiting: set[Op] | None, max_rewrites: int | None) -> bool:
    rewriter = driver.rewriter
    cap = 1000 + 50 * len(queue) if max_rewrites is None else max_rewrites
    recent: deque[str] = deque(maxlen=RECENT)
    rewrites = 0
    while queue and not driver.limit.reached:
        op = queue.popleft()
        if waiting is not None:
            waiting.discard(op)
        for pattern in driver.applicable(op):
            if op in rewriter.erased or driver.limit.reached:
                break
            if not driver.attempt(pattern, op):
                continue
            rewrites += 1
            recent.append(pattern.name)
            if rewrites > cap:
                alternating = ", ".join(f"{name} ({n})" for name, n in sorted(Counter(recent).items()))
                raise DiagnosticError(Diagnostic(
                    f"no end after {cap} rewrites: the last {len(recent)} were {alternating}",
                    op=op if op not in rewriter.erased else None,
                    suggestion="these patterns undo one another; let one of them require what the other leaves"))
    return rewriter.changes > 0


def apply_patterns(patterns: Sequence[Pattern], root: Op, *, driver: Literal["walk", "greedy"] = "walk",
                   counts: Stats | None = None, max_rewrites: int | None = None,
                   limit: RewriteLimit | None = None) -> bool:
    """Apply patterns with the named driver; say whether anything changed. See :func:`walk` and :func:`greedy`."""
    apply = greedy if driver == "greedy" else walk
    return apply(patterns, root, counts=counts, max_rewrites=max_rewrites, limit=limit)
