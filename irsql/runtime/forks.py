"""Sequences that share the rows of a common beginning; ``irsql.targets.segments`` says how."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa

from irsql.targets import control
from irsql.targets.control import END, SEGMENT, STATE
from irsql.targets.driver import Driver
from irsql.targets.program import Program
from irsql.targets.segments import Segments

_COLUMNS = ("seq", "segment", "low", "high")


class Forks:
    """What the sequences of a state database see of its rows. Every method runs within a transaction of its caller.

    Parameters
    ----------
    db
        The connection.
    program
        Names the states.
    """

    def __init__(self, db: Driver, program: Program) -> None:
        self._db, self._sql = db, Segments(db.control)
        self._states = control.states(program)

    def add(self, sequences: Sequence[int], low: int = 0) -> None:
        """Sequences that append from a position on."""
        numbers, count = np.array(sequences, np.int64), len(sequences)
        columns = [numbers, numbers, np.full(count, low), np.full(count, END)]
        self._db.insert(SEGMENT, pa.table(dict(zip(_COLUMNS, columns, strict=True))), STATE)

    def cut(self, sequence: int, at: int) -> None:
        """Forget a sequence's rows from a position on; what others see stays."""
        for spec in self._states:
            self._db.execute(self._sql.cut(spec), [sequence, at])
        shared = any(segment < 0 and high > at for segment, _, high in self._rows(sequence))
        self._clip(sequence, at)
        if shared:
            self._collect()

    def fork(self, sequence: int, child: int, at: int) -> None:
        """Let a new sequence see the rows of another before a position; both append to rows of their own."""
        db, c = self._db, self._db.control
        (own,) = (low for segment, low, _ in self._rows(sequence) if segment >= 0)
        if own < at:
            number = db.rows(self._sql.next_number())[0][0]
            for spec in self._states:
                db.execute(self._sql.freeze(spec), [number, sequence, at])
            db.execute(c.insert(SEGMENT, _COLUMNS, STATE), [sequence, number, own, at])
            db.execute(c.delete(SEGMENT, STATE, ("seq", "segment")), [sequence, sequence])
            self.add([sequence], at)
        db.execute(self._sql.inherit(), [child, sequence])
        self._clip(child, at)
        self.add([child], at)

    def drop(self, sequence: int) -> None:
        """Forget a sequence; rows that others see too stay."""
        for spec in self._states:
            self._db.execute(self._sql.cut(spec), [sequence, 0])
        frozen = any(segment < 0 for segment, *_ in self._rows(sequence))
        self._db.execute(self._db.control.delete(SEGMENT, STATE, ("seq",)), [sequence])
        if frozen:
            self._collect()

    def _collect(self) -> None:
        """Delete frozen rows that nobody sees: the number of their segment may be given again."""
        for spec in self._states:
            self._db.execute(self._sql.collect(spec))

    def _clip(self, sequence: int, at: int) -> None:
        values = {"seq": sequence, "at": at}
        for statement, names in self._sql.clip():
            self._db.execute(statement, [values[name] for name in names])

    def _rows(self, sequence: int) -> Sequence[tuple[int, int, int]]:
        columns = ("segment", "low", "high")
        return self._db.rows(self._db.control.read(SEGMENT, columns, STATE, where=("seq",)), [sequence])
