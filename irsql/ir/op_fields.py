"""The fields of an op class: what is an operand, a region or an attribute, and how operands are read by name."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import attrs

if TYPE_CHECKING:
    from irsql.ir.core import Op


@attrs.frozen
class OpInfo:
    """What :func:`~irsql.ir.core.op` read from an op class."""

    operands: tuple[str, ...]
    variadic: str | None
    regions: tuple[str, ...]
    attributes: dict[str, str]
    """Field name to printed name."""


class OperandField:
    """Descriptor: a named view of one operand (or of the variadic tail)."""

    def __init__(self, index: int, variadic: bool) -> None:
        self.index, self.variadic = index, variadic

    def __get__(self, instance: Op | None, owner: type[Op]) -> Any:
        if instance is None:
            return self
        operands = instance._operands  # pyright: ignore[reportPrivateUsage]
        return tuple(operands[self.index:]) if self.variadic else operands[self.index]

    def __set__(self, instance: Op, value: Any) -> None:
        if "_ready" not in instance.__dict__:  # attrs' __init__ assigns the fields in order
            operands = instance.__dict__.setdefault("_operands", [])
            operands.extend(value) if self.variadic else operands.append(value)
        elif self.variadic:
            instance.set_operands([*instance.operands[: self.index], *value])
        else:
            instance.set_operand(self.index, value)
