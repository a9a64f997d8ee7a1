"""The stored relations of compiled modules: an in-memory database in which equal ones are there once."""

from __future__ import annotations

import hashlib
import threading
from collections import Counter, deque
from collections.abc import Callable, Iterable

import attrs

from irsql.runtime.assemble import Weights
from irsql.runtime.load import fill
from irsql.targets.base import driver
from irsql.targets.control import MODEL
from irsql.targets.program import Program, Stored

Identity = Callable[[str], str]
"""Parameter to a text that two parameters share only if they hold the same values."""


class Relations:
    """An in-memory database whose stored relations belong to all the programs that use them.

    Parameters
    ----------
    target
        What the programs are compiled for.

    Attributes
    ----------
    db
        The connection; programs run on cursors of it.
    """

    def __init__(self, target: str) -> None:
        self.db = driver(target)()
        self.db.attach(":memory:", MODEL)
        self._lock = threading.Lock()
        self._uses: Counter[str] = Counter()
        self._released: deque[tuple[str, ...]] = deque()

    @property
    def names(self) -> set[str]:
        """The tables that are there."""
        with self._lock:
            self._sweep()
            return set(self._uses)

    def add(self, program: Program, weights: Weights) -> None:
        """Fill those stored relations of a program that are not there yet; all of them get one more user."""
        names = [s.table.name for s in program.stored]
        with self._lock:
            self._sweep()
            fresh = tuple(s for s in program.stored if s.table.name not in self._uses)
            self._uses.update(names)
            try:
                fill(self.db, attrs.evolve(program, stored=fresh), weights, {})
            except BaseException:
                self._released.append(tuple(names))
                self._sweep()
                raise

    def release(self, names: Iterable[str]) -> None:
        """Take one user from each of these relations; those that have none left go when the next ones come.

        Finalizers call this, in whatever thread and place the garbage collector runs: it must neither wait for a lock
        nor use the database.
        """
        self._released.append(tuple(names))

    def _sweep(self) -> None:
        while self._released:
            self._uses.subtract(self._released.popleft())
        unused = [name for name, count in self._uses.items() if count <= 0]
        with self.db.cursor() as connection:
            for name in unused:
                connection.execute(connection.control.drop_table(name, MODEL))
                del self._uses[name]


def content_name(stored: Stored, constants: Callable[[str], bytes], identity: Identity) -> str:
    """A table name that two stored relations share only if they hold the same rows in the same layout.

    It is the relation's own name with a digest behind it.

    Parameters
    ----------
    stored
        The relation.
    constants
        Name to the bytes of a program's constant.
    identity
        Tells parameters apart.
    """
    digest = hashlib.sha256(repr(attrs.evolve(stored.table, name="", source="")).encode())
    for step in stored.steps:
        what = identity(step.name).encode() if step.kind == "parameter" else b""
        what = constants(step.name) if step.kind == "constant" else what
        digest.update(f"{step.kind} {step.ints} {len(what)} ".encode() + what)
    return f"{stored.table.name}_{digest.hexdigest()[:12]}"
