"""Reductions of what operations say: constants, scalar expressions, attributes, locations, names."""

from __future__ import annotations

import math
from typing import Any

import attrs
import numpy as np

from irsql.dialects import expr
from irsql.ir.attributes import DenseElements, ScalarType
from irsql.ir.core import ArgInfo, Builder, Module
from irsql.ir.location import UNKNOWN
from irsql.ir.typecheck import fields_of
from irsql.tools.reduce.base import Chosen, Reduction, body_ops, erase_unused, functions, values

STAGE = "stage"
"""The attribute of a module that says how to read it, which is never dropped."""


@attrs.frozen
class Fold(Reduction):
    """Replaces scalar operations inside of regions by the constant 1 (or true)."""

    name = "expressions by constants"

    def apply(self, module: Module, chosen: Chosen) -> None:
        for op in list(body_ops(module)):
            if op.parent is None or not op.name.startswith("expr.") or isinstance(op, expr.Constant):
                continue
            type_ = op.results[0].type if len(op.results) == 1 else None
            if not isinstance(type_, ScalarType) or not chosen():
                continue
            one: bool | int | float = True if type_.name == "i1" else 1.0 if type_.is_float else 1
            old = op.operands
            op.replace_with(Builder.before_op(op).insert(expr.Constant(value=one, result_types=[type_])).result)
            erase_unused(old)


def _complexity(number: float) -> tuple[int, float]:
    """0 is simpler than 1, that than small whole numbers, those than others."""
    if not math.isfinite(number):
        return 3, 0.0
    return (0 if number in (0, 1) else 1 if number == round(number) else 2), abs(number)


@attrs.frozen
class SimplerNumbers(Reduction):
    """Replaces numbers of scalar constants and other attributes (``eps``, ``scale``) by a simpler one.

    Attributes
    ----------
    to
        0, 1, or None for the nearest whole number.
    """

    name = "numbers"

    to: int | None = None

    def apply(self, module: Module, chosen: Chosen) -> None:
        for op in body_ops(module):
            for field in op.info.attributes:
                old: Any = getattr(op, field)
                if isinstance(old, bool) or not isinstance(old, float | int):
                    continue
                if isinstance(old, int) and not isinstance(op, expr.Constant):
                    continue  # an axis, a position: not a number that is computed with
                whole = self.to if self.to is not None else round(old) if math.isfinite(old) else 0
                if _complexity(whole) < _complexity(old) and chosen():
                    setattr(op, field, type(old)(whole))


@attrs.frozen
class SimplerConstants(Reduction):
    """Replaces constant tensors by one value everywhere.

    Attributes
    ----------
    to
        0, 1, or None for the first of their own values.
    """

    name = "constants"

    to: int | None = None

    def apply(self, module: Module, chosen: Chosen) -> None:
        for op in body_ops(module):
            for field in op.info.attributes:
                old: Any = getattr(op, field)
                if not isinstance(old, DenseElements) or old.array.size == 0:
                    continue
                first = old.array.flat[0] if self.to is None else old.array.dtype.type(self.to)
                new = DenseElements(np.full_like(old.array, first), old.dtype)
                if self._rank(new) < self._rank(old) and chosen():
                    setattr(op, field, new)

    @staticmethod
    def _rank(value: DenseElements) -> int:
        for rank, all_of in enumerate((0, 1, value.array.flat[0])):
            if (value.array == all_of).all():
                return rank
        return 3


class DropAttributes(Reduction):
    """Removes what a module carries (its target) and a function says of its arguments and results, and sets optional
    attributes of operations to their defaults.
    """

    name = "attributes"

    def apply(self, module: Module, chosen: Chosen) -> None:
        module.attrs_ = {k: v for k, v in module.attrs_.items() if k == STAGE or not chosen()}
        for func in functions(module):
            if func.outputs and chosen():
                func.outputs = ()
            func.args = tuple(ArgInfo() if isinstance(a, ArgInfo) and a.role != "state" and a != ArgInfo() and chosen()
                              else a for a in func.args)
            if func.args and all(a == ArgInfo() for a in func.args) and chosen():
                func.args = ()
        for op in body_ops(module):
            fields = fields_of(type(op))
            for field in op.info.attributes:
                default: Any = fields[field].default
                plain = default is not attrs.NOTHING and not hasattr(default, "factory")
                if plain and getattr(op, field) != default and chosen():
                    setattr(op, field, default)


class DropLocations(Reduction):
    """Removes locations."""

    name = "locations"

    def apply(self, module: Module, chosen: Chosen) -> None:
        for op in module.walk():
            if op.loc.known and chosen():
                op.loc = UNKNOWN


class DropNames(Reduction):
    """Removes the names of values."""

    name = "names"

    def apply(self, module: Module, chosen: Chosen) -> None:
        for op in module.walk():
            for value in values(op):
                if value.name and chosen():
                    value.name = ""
