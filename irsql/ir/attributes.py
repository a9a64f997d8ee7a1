"""Types and structured attributes of the IR: frozen values with one generic text form.

Attribute values are plain Python (``bool``, ``int``, ``float``, ``str``, ``tuple``, ``dict`` with string keys,
``None`` for "absent"), the affine and dim classes, types, and subclasses of :class:`Attribute`. A structured
attribute or type is a frozen attrs class registered under a mnemonic; its fields in order are its parameters,
so that printing and parsing need no code of its own: ``#rel.layout<...>``, ``!rel.rel<...>``.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar, TypeVar, dataclass_transform

import attrs
import numpy as np
import numpy.typing as npt

from irsql.ir.affine import AffineMap
from irsql.ir.dims import Dim


class Attribute:
    """Base class of structured attributes; see :func:`attribute`."""

    mnemonic: ClassVar[str] = ""

    def verify(self) -> None:
        """Raise ValueError when the parameters contradict each other."""


class Type(Attribute):
    """Base class of the types of values."""

    @property
    def label(self) -> str:
        """What pictures show of it."""
        return ""


AttrT = TypeVar("AttrT", bound=Attribute)
REGISTRY: dict[str, type[Attribute]] = {}
"""Mnemonic (with its sigil, ``#rel.layout`` or ``!rel.rel``) to class, filled by :func:`attribute`."""


@dataclass_transform(frozen_default=True, field_specifiers=(attrs.field,))
def attribute(mnemonic: str) -> Callable[[type[AttrT]], type[AttrT]]:
    """Declare a structured attribute or type: a frozen attrs class registered for printing and parsing.

    Parameters
    ----------
    mnemonic
        ``dialect.name`` without the sigil (``#`` for attributes and ``!`` for types is added).
    """

    def wrap(cls: type[AttrT]) -> type[AttrT]:
        cls = attrs.frozen(cls)
        cls.mnemonic = mnemonic
        key = ("!" if issubclass(cls, Type) else "#") + mnemonic
        if key in REGISTRY:
            raise ValueError(f"{key} is declared twice: {REGISTRY[key].__module__} and {cls.__module__}")
        REGISTRY[key] = cls
        return cls

    return wrap


@attrs.frozen
class ScalarType(Type):
    """A builtin scalar: ``f32``, ``f64``, ``f16``, ``bf16``, ``i1``, ``i8`` … ``i64``, ``index``."""

    name: str

    def __str__(self) -> str:
        return self.name

    @property
    def is_float(self) -> bool:
        """True for the floating-point types."""
        return self.name in ("f64", "f32", "f16", "bf16")

    @property
    def numpy(self) -> np.dtype[np.generic]:
        """The NumPy dtype values of this type have in the interpreters (f16 and bf16 are widened to float32)."""
        return np.dtype(_NUMPY[self.name])


_NUMPY: dict[str, str] = {"f64": "float64", "f32": "float32", "f16": "float32", "bf16": "float32", "i64": "int64",
                          "i32": "int32", "i16": "int16", "i8": "int8", "i1": "bool", "index": "int64"}
F64, F32, F16, BF16 = ScalarType("f64"), ScalarType("f32"), ScalarType("f16"), ScalarType("bf16")
I64, I32, I16, I8, I1 = ScalarType("i64"), ScalarType("i32"), ScalarType("i16"), ScalarType("i8"), ScalarType("i1")
INDEX = ScalarType("index")


@attrs.frozen
class TensorType(Type):
    """A ranked tensor: ``tensor<?x64xf32, #irsql.dims<["S", 64]>>`` (the encoding only where a dim is symbolic)."""

    shape: tuple[Dim, ...]
    dtype: ScalarType

    @property
    def label(self) -> str:
        return f"{'×'.join(map(str, self.shape)) or 'scalar'} {self.dtype.name}"

    @property
    def rank(self) -> int:
        """Number of dims."""
        return len(self.shape)


@attrs.frozen
class FunctionType(Type):
    """``(inputs) -> results``."""

    inputs: tuple[Type, ...]
    results: tuple[Type, ...]


@attrs.frozen(eq=False)
class DenseElements(Attribute):
    """A constant array; printed inline up to 16 elements, as ``dense_resource<name>`` above.

    Attributes
    ----------
    array
        The values; treated as immutable.
    dtype
        Element type.
    """

    array: npt.NDArray[np.generic]
    dtype: ScalarType

    def __eq__(self, other: object) -> bool:
        return (isinstance(other, DenseElements) and self.dtype == other.dtype and self.array.shape == other.array.shape
                and self.array.tobytes() == other.array.tobytes())

    def __hash__(self) -> int:
        return hash((self.array.shape, self.dtype, self.array.tobytes()))


AttrValue = (bool | int | float | str | None | Attribute | AffineMap | Dim | tuple["AttrValue", ...]
             | dict[str, "AttrValue"])
