"""What the verifiers of ``rel`` and ``sql`` share: the columns that regions read, and the types they yield."""

from __future__ import annotations

from collections.abc import Sequence

from irsql.dialects import expr as ex
from irsql.dialects.rel.types import RelType
from irsql.ir.attributes import I1, I64, Type
from irsql.ir.core import IRError, Op, Region


def check_columns(op: Op, region: Region, inputs: Sequence[RelType]) -> None:
    """Every ``expr.col`` of a region names a column of its input and has its type.

    Raises
    ------
    IRError
        If one does not.
    """
    known: list[dict[str, Type]] = [
        {**{k.name: I64 for k in t.keys}, **{v.name: v.type for v in t.values}} for t in inputs]
    for inner in region.walk():
        if isinstance(inner, ex.Index):
            raise IRError(f"{op.name} has no loop coordinates: its regions read columns", inner)
        if not isinstance(inner, ex.Col):
            continue
        if not 0 <= inner.input < len(known):
            raise IRError(f"{op.name} has {len(known)} inputs, a column of input {inner.input} is read", inner)
        columns = known[inner.input]
        if inner.column not in columns:
            raise IRError(f"input {inner.input} of {op.name} has no column {inner.column!r}; there are "
                          f"{', '.join(columns) or 'none'}", inner)
        if inner.result.type != columns[inner.column]:
            raise IRError(f"the column {inner.column!r} is {columns[inner.column]}, not {inner.result.type}", inner)


def check_yields(op: Op, region: Region, types: Sequence[Type]) -> None:
    """A region yields values of these types.

    Raises
    ------
    IRError
        If it does not.
    """
    got = [v.type for v in region.block.terminator.operands]
    if len(got) != len(types):
        raise IRError(f"the region yields {len(got)} values, {len(types)} are needed", op)
    for n, (found, wanted) in enumerate(zip(got, types, strict=True)):
        if found != wanted:
            raise IRError(f"value {n} that the region yields is {found}, {wanted} is needed", op)


def check_conditions(op: Op, region: Region) -> None:
    """A region yields truth values only.

    Raises
    ------
    IRError
        If it does not.
    """
    check_yields(op, region, [I1] * len(region.block.terminator.operands))


def column_types(t: RelType) -> list[Type]:
    """Types of all columns, keys then values."""
    return [*(I64 for _ in t.keys), *(v.type for v in t.values)]
