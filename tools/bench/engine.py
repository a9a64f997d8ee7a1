"""irsql's own contender: a program of a model on an engine, opened for each visit."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from irsql.ir.semantics import HALF_TOLERANCE, TOLERANCE
from irsql.runtime.errors import UserError
from irsql.runtime.sequence import TokenSequence
from irsql.runtime.session import Model
from irsql.targets.control import STATE, states
from irsql.targets.program import Program
from irsql.targets.segments import state_keys
from irsql.targets.tables import split_type, to_arrow
from irsql.tools.bench.contender import Contender, Measured, Prefix, Stopwatch
from irsql.tools.profile.recorder import Recorder, scanned_bytes

_POSITIONS = 256
"""Positions of a state that are written at a time."""


class Engine(Contender):
    """A program that an engine runs.

    Attributes
    ----------
    scanned
        Context to the bytes that a step looks at, and whether the engine counted them; after the first visit.
    """

    def __init__(self, name: str, program: Program, database: Path, threads: int | None) -> None:
        self.name, self.program, self.database, self._threads = name, program, database, threads
        self.statements = len(program.functions["decode"].statements)
        elements = {split_type(c.type)[0] for s in program.stored for c in s.table.values}
        self.tolerance = HALF_TOLERANCE if "f16" in elements else TOLERANCE
        self.scanned: dict[int, tuple[int, bool]] = {}

    def visit(self, prefix: Prefix, contexts: Sequence[int], steps: int) -> dict[int, Measured]:
        """Take steps after the prefix of each context."""
        out = {}
        with Model.open(self.database, threads=self._threads, program=self.program) as model:
            sequence = model.sequence()
            for context in contexts:
                fill(sequence, prefix, context)
                sequence.step(prefix.ids[context])
                logits = sequence.logits()
                ids, watch = [sequence.step()], Stopwatch()
                for _ in range(steps):
                    with watch.step():
                        ids.append(sequence.step())
                if context not in self.scanned:
                    with Recorder(model) as recorder:
                        sequence.step()
                    symbols = {"B": 1, "S": 1, "T": sequence.length}
                    self.scanned[context] = scanned_bytes(model.program, recorder.records, symbols)
                sequence.truncate(context)
                out[context] = Measured(watch, ids, logits)
        return out


def fill(sequence: TokenSequence, prefix: Prefix, length: int) -> None:
    """Give a sequence the first tokens of a prefix with their states, as if it had run them.

    Parameters
    ----------
    sequence
        A sequence that has run nothing but an earlier part of the prefix.
    prefix
        The tokens and states.
    length
        How many.
    """
    model = sequence.model
    begin = sequence.length
    with model.db.transaction():
        sequence._append(prefix.ids[begin:length])
        for spec in states(model.program):
            if spec.source not in prefix.states:
                raise UserError(f"the state {spec.source} is not among what eager PyTorch's cache holds")
            names = [c.name for c in spec.columns]
            number, position = (names.index(key) for key in state_keys(spec))
            for start in range(begin, length, _POSITIONS):
                values = prefix.states[spec.source][None, start: min(start + _POSITIONS, length)]
                rows = to_arrow(spec, values)
                moved = pc.call_function("add", [rows.column(position), pa.scalar(start)])
                rows = rows.set_column(position, names[position], moved)
                owner = pa.array(np.full(rows.num_rows, sequence.number))
                model.db.insert(spec.name, rows.set_column(number, names[number], owner), STATE)
        model.db.execute(model.db.control.update_sequence(("length",)), [length, sequence.number])
    sequence._stale = True  # read anew what was written past it

