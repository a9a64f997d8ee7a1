"""Dead code elimination and common subexpression elimination over pure ops, for every dialect."""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from typing import cast

from irsql.ir.attributes import Attribute, DenseElements
from irsql.ir.core import Block, Op, Region, Value
from irsql.ir.typecheck import fields_of


def erase_dead(block: Block) -> int:
    """Erase pure ops whose results are unused, in a block and the regions of its ops; give their number.

    One pass from the end: what only dead ops use is dead when it is reached.
    """
    erased = 0
    for op in reversed(list(block.ops)):
        if op.pure and not op.is_terminator and not any(res.uses for res in op.results):
            erased += sum(1 for _ in op.walk())
            op.erase()
            continue
        for region in op.regions:
            for inner in region.blocks:
                erased += erase_dead(inner)
    return erased


class _Keys:
    """Hashable forms of attributes and types, each computed once and stood for by a number."""

    def __init__(self) -> None:
        self._by_id: dict[int, tuple[object, int]] = {}
        self._numbers: dict[object, int] = {}

    def attribute(self, value: object) -> object:
        """Equal where the values would be printed alike: 1, 1.0 and true differ, as 0.0 and -0.0 do."""
        match value:
            case bool():
                return bool, value
            case float():
                return float, struct.pack("<d", value)
            case tuple() | list():
                return tuple(map(self.attribute, cast("Sequence[object]", value)))
            case Mapping():
                entries = cast("Mapping[str, object]", value)
                return dict, tuple((k, self.attribute(v)) for k, v in entries.items())
            case Attribute():
                return Attribute, self.number(value)
            case _:
                return value

    def number(self, value: Attribute) -> int:
        """The number of an attribute or type."""
        known = self._by_id.get(id(value))
        if known is None:
            parts: object = value
            if not isinstance(value, DenseElements):
                parts = type(value), *(self.attribute(getattr(value, name)) for name in fields_of(type(value)))
            known = self._by_id[id(value)] = value, self._numbers.setdefault(parts, len(self._numbers))
        return known[1]  # the reference to the value keeps its identity from being used again

    def op(self, op: Op, local: dict[Value, int]) -> tuple[object, ...]:
        """Name, operands, attributes, regions and result types; ``local`` numbers the values of enclosing regions."""
        return (op.name, tuple(local.get(v, v) for v in op.operands),
                tuple((k, self.attribute(v)) for k, v in op.attributes.items()),
                tuple(self.region(r, local) for r in op.regions), tuple(self.number(r.type) for r in op.results))

    def region(self, region: Region, local: dict[Value, int]) -> tuple[object, ...]:
        """The blocks of a region."""
        out: list[object] = []
        for block in region.blocks:
            for arg in block.args:
                local[arg] = len(local)
            out.append(tuple(self.number(arg.type) for arg in block.args))
            for op in block.ops:
                out.append(self.op(op, local))
                for result in op.results:
                    local[result] = len(local)
        return tuple(out)


def cse(block: Block, keys: _Keys | None = None) -> int:
    """Merge equal pure ops of a block, and those of each nested block among themselves; give the number of ops erased.

    A nested op is never replaced by one of an enclosing block: a region computes with its own values only.
    """
    keys = keys or _Keys()
    erased = 0
    seen: dict[tuple[object, ...], Op] = {}
    for op in list(block.ops):
        for region in op.regions:
            for inner in region.blocks:
                erased += cse(inner, keys)
        if not op.pure or op.is_terminator or not op.results or not _is_pure(op.regions):
            continue
        first = seen.setdefault(keys.op(op, {}), op)
        if first is not op:
            erased += sum(1 for _ in op.walk())
            op.replace_with(*first.results)
    return erased


def _is_pure(regions: list[Region]) -> bool:
    return all(inner.pure or inner.is_terminator
               for region in regions for block in region.blocks for op in block.ops for inner in op.walk())
