"""Rows in PostgreSQL's binary COPY format, to and from Arrow.

Where all columns have a fixed width, and numbers and lanes have, rows are made and read by one NumPy operation.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from irsql.targets.errors import EngineError
from irsql.targets.program import Column
from irsql.targets.tables import NUMPY_TYPES, split_type

HEADER = b"PGCOPY\n\xff\r\n\0" + bytes(8)
TRAILER = b"\xff\xff"
CHUNK = 1 << 22
"""About so many bytes go to the server at a time."""


def _row(types: Sequence[tuple[str, int]]) -> np.dtype[np.void]:
    """A row of columns ``(NumPy type, lane)``, each behind its length; a vector begins with its own, and two zeros."""
    fields: list[tuple[str, str] | tuple[str, str, tuple[int, ...]]] = [("n", ">i2")]
    for i, (type_, lane) in enumerate(types):
        fields.append((f"l{i}", ">i4"))
        if lane:
            fields += [(f"d{i}", ">i4"), (f"v{i}", type_, (lane,))]
        else:
            fields.append((f"v{i}", type_))
    return np.dtype(fields)


def _blank(types: Sequence[tuple[str, int]], count: int) -> npt.NDArray[np.void]:
    rows = np.zeros(count, _row(types))
    rows["n"] = len(types)
    for i, (type_, lane) in enumerate(types):
        rows[f"l{i}"] = np.dtype(type_).itemsize * max(lane, 1) + (4 if lane else 0)
        if lane:
            rows[f"d{i}"] = lane << 16
    return rows


def _width(type_: pa.DataType, column: pa.ChunkedArray, single: bool) -> tuple[str, int] | None:
    """The type that a column of numbers or lanes has in the server; None for text and bytes."""
    if pa.types.is_list(type_):
        flat = sum(len(chunk.flatten()) for chunk in column.chunks)
        return ">f2" if type_.value_type == pa.float16() else ">f4", flat // max(len(column), 1)
    if pa.types.is_boolean(type_):
        return "?", 0
    if pa.types.is_integer(type_):
        return ">i8", 0
    if pa.types.is_floating(type_):
        return (">f4" if single and type_ == pa.float32() else ">f8"), 0
    return None


def write(batches: Iterable[pa.Table], single: bool) -> Iterator[bytes]:
    """The rows of a table in COPY's format; ``single`` says that 32-bit floats are ``real`` in the server."""
    yield HEADER
    for batch in batches:
        yield from _rows(batch, single)
    yield TRAILER


def _rows(batch: pa.Table, single: bool) -> Iterator[bytes]:
    types = [_width(c.type, c, single) for c in batch.columns]
    fixed = [t for t in types if t is not None]
    if len(fixed) < len(types):
        yield from _loose(batch)
    elif batch.num_rows:
        step = max(1, CHUNK // _row(fixed).itemsize)
        for start in range(0, batch.num_rows, step):
            part = batch.slice(start, step)
            rows = _blank(fixed, part.num_rows)
            for i, (column, (_, lane)) in enumerate(zip(part.columns, fixed, strict=True)):
                rows[f"v{i}"] = _flat(column).reshape(part.num_rows, lane) if lane else column.to_numpy()
            yield rows.tobytes()


def _flat(column: pa.ChunkedArray) -> npt.NDArray[np.floating[Any]]:
    return pa.chunked_array([chunk.flatten() for chunk in column.chunks], column.type.value_type).to_numpy()


def _loose(batch: pa.Table) -> Iterator[bytes]:
    """Rows with text or bytes in them."""
    for row in zip(*(c.to_pylist() for c in batch.columns), strict=True):
        out = [len(row).to_bytes(2, "big")]
        for value in row:
            if isinstance(value, bool):
                data = bytes([value])
            elif isinstance(value, int):
                data = value.to_bytes(8, "big", signed=True)
            elif isinstance(value, float):
                data = np.array(value, ">f8").tobytes()
            else:
                data = value.encode() if isinstance(value, str) else value
            out += [len(data).to_bytes(4, "big"), data]
        yield b"".join(out)


def read(data: bytes, columns: Sequence[Column], single: bool) -> pa.Table:
    """The rows of numbers and lanes that COPY gave, in the types of a program.

    Raises
    ------
    EngineError
        If there is a NULL among them.
    """
    return _table(memoryview(data)[len(HEADER):-len(TRAILER)], columns, single)


def read_some(parts: Iterable[bytes], columns: Sequence[Column], single: bool, rows: int) -> Iterator[pa.Table]:
    """As :func:`read`, from parts of any size, so many rows at a time."""
    size, held, skip = rows * _row(_types(columns, single)).itemsize, bytearray(), len(HEADER)
    for part in parts:
        held += part
        if skip and len(held) >= skip:
            del held[:skip]
            skip = 0
        while not skip and len(held) >= size + len(TRAILER):
            yield _table(memoryview(bytes(held[:size])), columns, single)
            del held[:size]
    if len(held) > len(TRAILER):
        yield _table(memoryview(bytes(held[:-len(TRAILER)])), columns, single)


def _types(columns: Sequence[Column], single: bool) -> list[tuple[str, int]]:
    types = []
    for column in columns:
        element, lane = split_type(column.type)
        kind = {"i64": ">i8", "i1": "?", "f64": ">f8", "f16": ">f2", "f32": ">f4" if single or lane else ">f8"}[element]
        types.append((kind, lane))
    return types


def _table(body: memoryview, columns: Sequence[Column], single: bool) -> pa.Table:
    types = _types(columns, single)
    row = _row(types)
    count, rest = divmod(len(body), row.itemsize)
    rows = np.frombuffer(body, row, count)
    blank = _blank(types, 1)[0]
    if rest or any((rows[name] != blank[name]).any() for name in ("n", *(f"l{i}" for i in range(len(types))))):
        raise EngineError(f"the columns {', '.join(c.name for c in columns)} have NULLs where a tensor has numbers")
    arrays = []
    for i, (column, (_, lane)) in enumerate(zip(columns, types, strict=True)):
        dtype = NUMPY_TYPES[split_type(column.type)[0]]
        with np.errstate(over="ignore"):  # beyond float32 is infinity there
            values = np.ascontiguousarray(rows[f"v{i}"]).astype(dtype)
        if lane:
            offsets = np.arange(count + 1, dtype=np.int32) * np.int32(lane)
            arrays.append(pa.ListArray.from_arrays(pa.array(offsets), pa.array(values.reshape(-1))))
        else:
            arrays.append(pa.array(values))
    return pa.table(arrays, names=[c.name for c in columns])
