"""What a value is a version of: the stored relation or state whose layout all its readers share."""

from __future__ import annotations

from irsql.dialects.rel import ops as ro
from irsql.dialects.rel.types import rel
from irsql.ir.core import BlockArg, Value


def storage(value: Value) -> str | None:
    """Name of the stored relation or state behind a value, if it is one."""
    if isinstance(value, BlockArg):
        return value.name if rel(value).partial else None
    owner = value.owner
    if isinstance(owner, ro.Stored):
        return owner.store
    if isinstance(owner, ro.Append):
        return storage(owner.state)
    return None
