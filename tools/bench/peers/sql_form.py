"""A Llama's decode step in SQL that was not compiled: what all written forms share.

A form says how the weights are stored and which statements take a token to the next logits. It runs as irsql's own
programs do: weights in an attached file, keys and values in an attached database in memory, no bound parameter in a
step, one transaction a step, the token drawn by SQL. The statements are templates over sizes: no name in them comes
from a model.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from contextlib import nullcontext
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from irsql.frontend.checkpoint import Checkpoint
from irsql.targets.base import driver
from irsql.targets.driver import Driver, literal
from irsql.tools.bench.contender import Contender, Measured, Prefix, Stopwatch
from irsql.tools.bench.synthetic import Shape

ENGINE = "duckdb"
"""The target whose dialect the forms are written in."""
ROWS = 2048
"""Rows of a matrix that are written at a time."""
EPS = 1e-5
Array = npt.NDArray[Any]


class SqlForm(Contender):
    """One form.

    Parameters
    ----------
    folder
        The checkpoint of a Llama.
    shape
        Its shape.
    work
        Where the database of the form is kept.
    threads
        Of the engine.
    positions
        How many positions the table of the rotary embedding has.
    """

    def __init__(self, folder: Path, shape: Shape, work: Path, threads: int | None, positions: int) -> None:
        self.shape, self._threads, self._positions = shape, threads, positions
        self._checkpoint = Checkpoint.open(folder)
        config = self._checkpoint.config
        self.eps = float(config.get("rms_norm_eps", EPS))
        self.statements = len(self.step())
        self._file = work / f"{folder.name}-{self._checkpoint.fingerprint()[:8]}-{self.key}.db"

    key: str
    """For file names."""
    hints = True
    """Whether weights are stored as irsql stores its own, uncompressed and in small row groups, or by the defaults."""

    @abstractmethod
    def stored(self) -> Iterator[tuple[str, Iterator[pa.Table]]]:
        """Names of the stored tables, and their rows in slices."""

    @abstractmethod
    def state_schema(self) -> list[str]:
        """Statements that create the tables of keys and values."""

    @abstractmethod
    def state_rows(self, layer: int, keys: Array, values: Array, begin: int) -> Iterator[tuple[str, pa.Table]]:
        """Rows of the states of a layer: keys and values by position, head, element, from position ``begin`` on."""

    @abstractmethod
    def step(self) -> list[str]:
        """From the tables ``token`` (id) and ``step`` (pos) to the table ``logits`` (i, v), states appended."""

    def between(self, position: int) -> list[str]:
        """Statements after the step at a position, where a form has to tidy up now and then."""
        return []

    def rotated(self, name: str, where: str = "") -> str:
        """A query: the rotary embedding of a table of scalars, collected into a list a head."""
        d, half = self.shape.head_dim, self.shape.head_dim // 2
        turned = f"CASE WHEN a.i % {d} < {half} THEN a.v * r.cos - b.v * r.sin ELSE a.v * r.cos + b.v * r.sin END"
        return (f"SELECT a.i // {d} AS head, list(CAST({turned} AS FLOAT) ORDER BY a.i) AS v FROM {name} a JOIN {name} "
                f"b ON b.i = a.i - a.i % {d} + (a.i + {half}) % {d} JOIN state.rope r ON r.j = a.i % {half} "
                f"AND r.pos = (SELECT pos FROM state.step) {where} GROUP BY a.i // {d}")  # fmt: skip

    # -- running ---------------------------------------------------------------------------------------
    def visit(self, prefix: Prefix, contexts: Sequence[int], steps: int) -> dict[int, Measured]:
        """Take steps after the prefix of each context."""
        if not self._file.exists():
            self._load()
        out = {}
        for context in contexts:
            with driver(ENGINE)(self._threads) as db:
                self._attach(db, self._file, read_only=True)
                db.attach(":memory:", "state")
                out[context] = self._steps(db, prefix, context, steps)
        return out

    def _steps(self, db: Driver, prefix: Prefix, context: int, steps: int) -> Measured:
        for text in self.state_schema():
            db.execute(text)
        db.execute(f"CREATE TABLE state.rope ({', '.join(_columns(self._rope))})")
        db.insert("rope", self._rope, "state")
        for layer in range(self.shape.layers):
            keys, values = (prefix.states[f"kv.{layer}.{n}"][:context] for n in ("k", "v"))
            for table, rows in self.state_rows(layer, keys, values, 0):
                db.insert(table, rows, "state")
        db.execute(f"CREATE TABLE state.token AS SELECT CAST({int(prefix.ids[context])} AS BIGINT) AS id")
        db.execute(f"CREATE TABLE state.step AS SELECT CAST({context} AS BIGINT) AS pos")
        plan = [db.prepare(text) for text in (*self.step(), *_DRAW)]
        self._step(db, plan, context)
        logits = np.array([v for (v,) in db.rows("SELECT v FROM logits ORDER BY i")], np.float32)
        ids, watch = self._drawn(db), Stopwatch()
        for position in range(context + 1, context + 1 + steps):
            with watch.step():
                self._step(db, plan, position)
                ids += self._drawn(db)
        return Measured(watch, ids, logits)

    def _step(self, db: Driver, plan: Sequence[Any], position: int) -> None:
        with db.transaction():
            for statement in plan:
                db.execute(statement)
            for text in self.between(position):
                db.execute(text)

    @staticmethod
    def _drawn(db: Driver) -> list[int]:
        return [row[0] for row in db.rows("SELECT id FROM state.token")]

    # -- loading ---------------------------------------------------------------------------------------
    def _load(self) -> None:
        partial = self._file.with_suffix(".partial")
        partial.unlink(missing_ok=True)
        with driver(ENGINE).for_loading(partial) as db:
            self._attach(db, partial)
            with db.loading("model") if self.hints else nullcontext():
                for name, slices in self.stored():
                    made = False
                    for rows in slices:
                        if not made:
                            db.execute(f"CREATE TABLE model.{name} ({', '.join(_columns(rows))})")
                            made = True
                        db.insert(name, rows, "model")
            db.detach("model")
        partial.rename(self._file)

    def _attach(self, db: Driver, path: Path, read_only: bool = False) -> None:
        if self.hints:
            db.attach(path, "model", read_only=read_only)
        else:
            db.execute(f"ATTACH {literal(str(path))} AS model{' (READ_ONLY)' if read_only else ''}")

    def read(self, name: str, begin: int = 0, end: int | None = None) -> Array:
        """Rows of a tensor."""
        return self._checkpoint.read(name, begin, end).astype(np.float32, copy=False)

    def layer(self, i: int, name: str) -> Array:
        """A weight of a layer."""
        return self.read(f"model.layers.{i}.{name}.weight")

    def norm(self, i: int, name: str) -> Array:
        """The weights of a norm of a layer."""
        return self.layer(i, f"{name}_layernorm")

    @property
    def head_name(self) -> str:
        """The tensor of the head."""
        return "model.embed_tokens.weight" if self.shape.tied else "lm_head.weight"

    def blocks(self, name: str) -> Iterator[tuple[int, Array]]:
        """A big tensor, some rows at a time, with the number of the first."""
        for begin in range(0, self.shape.vocab, ROWS):
            yield begin, self.read(name, begin, min(begin + ROWS, self.shape.vocab))

    @cached_property
    def _rope(self) -> pa.Table:
        """The table of the rotary embedding: pos, j, cos, sin; j counts the elements of half a head."""
        import torch
        from transformers import LlamaConfig
        from transformers.models.llama.modeling_llama import LlamaRotaryEmbedding

        rotary = LlamaRotaryEmbedding(LlamaConfig(**dict(self._checkpoint.config)))
        cos, sin = rotary(torch.zeros(1), torch.arange(self._positions)[None])
        half = self.shape.head_dim // 2
        pos, j = (x.ravel() for x in np.mgrid[:self._positions, :half])
        return pa.table({"pos": pos, "j": j, "cos": cos[0, :, :half].numpy().ravel(),
                         "sin": sin[0, :, :half].numpy().ravel()})  # fmt: skip


_DRAW = (
    "CREATE OR REPLACE TEMP TABLE drawn AS SELECT min(i) AS id FROM logits WHERE v = (SELECT max(v) FROM logits)",
    "UPDATE state.token SET id = (SELECT id FROM drawn)",
    "UPDATE state.step SET pos = pos + 1",
)
_TYPES = {pa.int64(): "BIGINT", pa.float32(): "FLOAT", pa.list_(pa.float32()): "FLOAT[]"}


def _columns(rows: pa.Table) -> Iterator[str]:
    for field in rows.schema:
        tile = pa.types.is_fixed_size_list(field.type)
        yield f"{field.name} {f'FLOAT[{field.type.list_size}]' if tile else _TYPES[field.type]}"


def lists(matrix: Array) -> pa.ListArray:
    """The rows of a matrix as lists."""
    count, width = matrix.shape
    flat = pa.array(np.ascontiguousarray(matrix, np.float32).reshape(-1))
    return pa.ListArray.from_arrays(pa.array(np.arange(count + 1, dtype=np.int32) * np.int32(width)), flat)


def tiles(matrix: Array) -> pa.FixedSizeListArray:
    """The rows of a matrix as arrays of a fixed size."""
    flat = pa.array(np.ascontiguousarray(matrix, np.float32).reshape(-1))
    return pa.FixedSizeListArray.from_arrays(flat, matrix.shape[1])


def wide(matrix: Array, length: int, keys: Mapping[str, Array], prefix: str = "c") -> pa.Table:
    """A matrix with a row a row, cut into list columns ``c0``, ``c1`` and so on."""
    columns: dict[str, Any] = {name: pa.array(values, pa.int64()) for name, values in keys.items()}
    for n, begin in enumerate(range(0, matrix.shape[1], length)):
        columns[f"{prefix}{n}"] = lists(matrix[:, begin: begin + length])
    return pa.table(columns)


def total(terms: Sequence[str]) -> str:
    """A sum as a balanced tree: engines walk long chains of additions slowly."""
    if len(terms) == 1:
        return terms[0]
    middle = len(terms) // 2
    return f"({total(terms[:middle])} + {total(terms[middle:])})"
