"""A compiled program: what the runtime needs to load and run it, and nothing else. Plain data, JSON in and out.

Types of columns are IR names (``i64``, ``f32``, ``f64``, ``i1``), with ``[n]`` behind for a lane of ``n``; a target
maps them to its own.
"""

from __future__ import annotations

import base64
import json
from typing import Any

import attrs
import cattrs
import numpy as np
import numpy.typing as npt

FORMAT = 3


@attrs.frozen
class Column:
    """A column: name (already mangled) and IR type."""

    name: str
    type: str


@attrs.frozen
class Part:
    """A sub-axis of a layout; see ``irsql.dialects.rel.types.Part``. A symbolic extent is its text."""

    axis: int
    place: str
    extent: int | str
    stride: int
    name: str


@attrs.frozen
class TableSpec:
    """A table and the tensor it holds.

    Attributes
    ----------
    name
        Mangled table name.
    source
        Name in the model: of the argument, result, state or stored relation.
    keys, values
        Columns; the keys come first in the table.
    extents
        Logical extents of the tensor, symbolic ones as text.
    parts
        The layout; empty for scalar rows (key ``i`` is axis ``i``).
    dtype
        IR type of the elements.
    """

    name: str
    source: str
    keys: tuple[Column, ...]
    values: tuple[Column, ...]
    extents: tuple[int | str, ...]
    parts: tuple[Part, ...]
    dtype: str

    @property
    def columns(self) -> tuple[Column, ...]:
        """Keys, then values."""
        return self.keys + self.values


@attrs.frozen
class Statement:
    """One SQL statement of a function.

    Attributes
    ----------
    sql
        Text in the target's dialect; no parameters.
    kind
        ``step`` (fills a step table), ``append`` (grows a state), ``output`` (fills a result table).
    table
        Table it writes.
    scope
        Module path of the layer it computes.
    reads
        Tables and views it reads, in order of appearance.
    """

    sql: str
    kind: str
    table: str
    scope: str
    reads: tuple[str, ...] = ()


@attrs.frozen
class Function:
    """A function: fill ``inputs``, run ``statements`` in order, read ``outputs``.

    Attributes
    ----------
    inputs
        Tables the caller fills.
    states
        State tables it reads and appends to.
    steps
        Step tables, in order of creation (empty where the statements create them).
    outputs
        Tables that hold the results.
    symbols
        Symbols that must stand in the temporary ``dims`` table (one row, a column a symbol) before the statements run.
    ranges
        Range of each symbol of the function.
    """

    name: str
    inputs: tuple[TableSpec, ...]
    states: tuple[TableSpec, ...]
    steps: tuple[TableSpec, ...]
    outputs: tuple[TableSpec, ...]
    statements: tuple[Statement, ...]
    symbols: tuple[str, ...]
    ranges: dict[str, tuple[int, int]]


@attrs.frozen
class LoadStep:
    """One step of a stack program over tensors that computes a stored relation from the checkpoint.

    Attributes
    ----------
    kind
        ``parameter`` pushes checkpoint tensor ``name``; ``constant`` pushes the program's constant ``name``;
        ``concat`` joins the last ``ints[1]`` tensors along axis ``ints[0]``; ``permute`` permutes axes by ``ints``;
        ``expand`` inserts the axes ``ints`` (ascending) of length 1;
        ``add`` and ``multiply`` take two tensors, where axis i of the last is axis ``ints[i]`` of the one before.
    """

    kind: str
    name: str = ""
    ints: tuple[int, ...] = ()


@attrs.frozen
class ConstantData:
    """An array the program itself brings (``LoadStep("constant", name)``)."""

    dtype: str
    shape: tuple[int, ...]
    base64: str

    @classmethod
    def of(cls, array: npt.NDArray[Any]) -> ConstantData:
        """The data of an array (a NumPy dtype name is kept)."""
        data = np.ascontiguousarray(array).tobytes()
        return cls(array.dtype.name, array.shape, base64.b64encode(data).decode("ascii"))

    def content(self) -> bytes:
        """What makes two of them equal."""
        return f"{self.dtype} {self.shape} {self.base64}".encode()

    def array(self) -> npt.NDArray[Any]:
        """The array."""
        return np.frombuffer(base64.b64decode(self.base64), dtype=self.dtype).reshape(self.shape)


@attrs.frozen
class Stored:
    """A stored relation: its table, and the steps that compute it, a slice of its first axis at a time.

    Attributes
    ----------
    table
        Where it goes.
    steps
        How; see :class:`LoadStep`.
    """

    table: TableSpec
    steps: tuple[LoadStep, ...]


@attrs.frozen
class Program:
    """Everything a target runs.

    Attributes
    ----------
    target, target_version
        Engine it was emitted for.
    functions
        By name: ``forward``, or ``prefill``, ``decode`` and ``sample``.
    stored
        What ``@load`` stores.
    dims_table
        Name of the table with the symbols.
    text_hash
        SHA-256 of the text of ``@load``; with the checkpoint's fingerprint it identifies the stored relations.
    meta
        Facts for the runtime: vocabulary size, context limit, stop ids, recipe, architecture.
    """

    target: str
    target_version: str
    functions: dict[str, Function]
    stored: tuple[Stored, ...]
    dims_table: str
    text_hash: str
    meta: dict[str, Any]
    constants: dict[str, ConstantData] = attrs.field(factory=dict)
    """Arrays that the steps of stored relations push by name."""
    format: int = FORMAT

    def to_json(self) -> str:
        """The program as text."""
        return json.dumps(cattrs.unstructure(self), ensure_ascii=False)

    @classmethod
    def from_json(cls, text: str) -> Program:
        """The program that :meth:`to_json` wrote.

        Raises
        ------
        ValueError
            If the text is not a program of this format.
        """
        try:
            data = json.loads(text)
        except (TypeError, ValueError, RecursionError) as error:
            raise ValueError(f"no compiled program ({error}): load the model again") from None
        if not isinstance(data, dict) or data.get("format") != FORMAT:
            found = data.get("format") if isinstance(data, dict) else None
            raise ValueError(f"a compiled program of format {found}; this irsql reads format {FORMAT}: "
                             "load the model again")
        try:
            return _CONVERTER.structure(data, cls)
        except Exception as error:  # cattrs groups whatever goes wrong
            raise ValueError("a compiled program that is not whole: load the model again") from error


_CONVERTER = cattrs.Converter()
_CONVERTER.register_structure_hook(int | str, lambda v, _: v)
