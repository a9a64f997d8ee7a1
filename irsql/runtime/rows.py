"""The rows of many sequences, written and removed by one statement a table. The caller has a transaction open."""

from __future__ import annotations

from collections.abc import Sequence

import attrs
import numpy as np
import pyarrow as pa

from irsql.runtime.forks import Forks
from irsql.runtime.messages import chat_key
from irsql.runtime.settings import COLUMNS, Settings
from irsql.targets.control import END, META, SEGMENT, SEQUENCE, STATE, TOKEN, states
from irsql.targets.driver import Driver
from irsql.targets.many import Many
from irsql.targets.program import Program
from irsql.targets.segments import state_keys


def numbers(db: Driver) -> tuple[int, int] | None:
    """The smallest and the largest number of a sequence, None if there is none."""
    low, high = db.rows(Many(db.control).bounds())[0]
    return None if low is None else (low, high)


def create(db: Driver, first: int, new: Sequence[tuple[Settings, int]]) -> None:
    """Write new, empty sequences with numbers from ``first`` on: their settings, and how many tokens each may have.

    They have no segment of rows yet: :class:`irsql.runtime.forks.Forks` gives them theirs.
    """
    count = len(new)
    seq, zero = np.arange(first, first + count), np.zeros(count, np.int64)
    chosen = [attrs.asdict(settings) for settings, _ in new]
    values = {name: [c[name] for c in chosen] for name in COLUMNS}
    db.insert(SEQUENCE, pa.table({
        "seq": seq, "length": zero, "prompt_length": zero, "max_length": [limit for _, limit in new],
        "run_to": np.full(count, END), "live": np.zeros(count, np.bool_), **values}), STATE)  # fmt: skip


def remove(db: Driver, program: Program, forks: Forks, gone: Sequence[int]) -> None:
    """Remove sequences, their state and their messages; rows that others see too stay."""
    if not gone:
        return
    sql = Many(db.control)
    for (number,) in db.rows(sql.sharing(gone)):
        forks.drop(number)
    own = [(spec.name, state_keys(spec)[0]) for spec in states(program)]
    for name, column in (*own, (SEGMENT, "seq"), (TOKEN, "seq"), (SEQUENCE, "seq")):
        db.execute(sql.delete(name, column, gone))
    db.execute(sql.delete(META, "key", [chat_key(number) for number in gone]))
