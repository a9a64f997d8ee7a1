"""The text form: MLIR's generic form, exact, readable by MLIR's own parser and by xdsl.

What is printed, and why:

* Properties stand in ``<{…}>`` in the order of the op's fields. Names with a dot (``irsql.dims``) are what MLIR calls
  discardable attributes and stand in ``{…}`` behind the regions: MLIR drops, and xdsl refuses, a property that a
  registered op (``func.func``, ``builtin.module``) does not declare.
* An integer that is itself a property carries its type (``3 : i64``); nested in a list, a dict or the parameters of an
  attribute it stands bare. A float always has a point or an exponent, or is the hexadecimal bit pattern where decimal
  text cannot say it (infinities, NaN). ``true`` is never ``1``. ``unit`` is a nested ``None``.
* SSA names come from the hints of the values. Equal names become ``%x``, ``%x$1``, ``%x$2``: a hint never contains
  ``$``, so reading gives the hints back and prints the same text again.
* A location is ``loc("scope#node"("file":line:col))`` with empty parts left out; ``%``, ``#`` and ``@`` in scope and
  node are percent-encoded.
* An affine map that multiplies by a symbol is not affine for MLIR tools (xdsl fails on it): it is printed as
  ``#irsql.map<…>``, which they treat as opaque text.

Printing never fails: what is missing in ill-formed IR becomes a placeholder in ``<<…>>`` that no parser accepts.

References: MLIR Language Reference, "Generic form" and "Location attributes".
"""

from __future__ import annotations

import hashlib
import re
import struct
from collections.abc import Iterable, Mapping
from typing import Any, cast

import attrs
import numpy as np
import numpy.typing as npt

from irsql.ir.affine import AffineExpr, AffineMap, BinExpr, ConstExpr
from irsql.ir.attributes import Attribute, DenseElements, FunctionType, ScalarType, TensorType, Type
from irsql.ir.core import Block, Op, Region, Value
from irsql.ir.dims import SymDim
from irsql.ir.location import UNKNOWN, Location
from irsql.ir.typecheck import fields_of

INLINE_ELEMENTS = 16
"""Constants of more elements are printed as ``dense_resource``."""

FLOAT_BITS = {"f64": 64, "f32": 32, "f16": 16, "bf16": 16}
"""Width of the hexadecimal form of a float."""

_BARE_KEY = re.compile(r"[A-Za-z_][A-Za-z0-9_$.]*\Z")
_NOT_IN_NAME = re.compile(r"[^A-Za-z0-9_.\-]")
_ESCAPE = re.compile(r'[\x00-\x1f\x7f"\\\ud800-\udfff]')
_DIM_NAME = re.compile(r"d\d+\Z")


def quote(text: str) -> str:
    r"""A string literal: ``"``, ``\``, control characters and lone surrogates become ``\XX``, the rest stays UTF-8."""

    def escape(match: re.Match[str]) -> str:
        return "".join(f"\\{byte:02X}" for byte in match.group().encode("utf-8", "surrogatepass"))

    return f'"{_ESCAPE.sub(escape, text)}"'


def float_bits(value: float, dtype: str) -> int:
    """The bit pattern of a float in an element type."""
    if dtype == "f64":
        return int.from_bytes(struct.pack(">d", value), "big")
    if dtype == "f16":
        return int(np.float16(value).view(np.uint16))
    bits = int(np.float32(value).view(np.uint32))
    return bits >> 16 if dtype == "bf16" else bits


def float_text(value: float) -> str | None:
    """The shortest decimal text that gives ``value`` back, in MLIR's syntax; None for infinities and NaN."""
    text = repr(float(value))
    if "n" in text:  # inf, nan
        return None
    if "." not in text:
        mantissa, _, exponent = text.partition("e")
        text = f"{mantissa}.0e{exponent}"
    return text


def is_affine(map_: AffineMap) -> bool:
    """True where every product has a constant factor, as MLIR's tools want it."""

    def check(expr: AffineExpr) -> bool:
        if not isinstance(expr, BinExpr):
            return True
        return (expr.op != "*" or isinstance(expr.rhs, ConstExpr)) and check(expr.lhs) and check(expr.rhs)

    return all(map(check, map_.results))


def map_text(map_: AffineMap) -> str:
    """``affine_map<…>``, or ``#irsql.map<…>`` where MLIR's tools would refuse it."""
    text = str(map_)
    if any(_DIM_NAME.match(s) for s in map_.symbols):  # a symbol named like a loop dimension: rename the dimensions
        prefix = "d"
        while any(s.startswith(prefix) for s in map_.symbols):
            prefix = "_" + prefix
        text = _rename_dims(map_, prefix)
    return text if is_affine(map_) else "#irsql.map" + text.removeprefix("affine_map")


def _rename_dims(map_: AffineMap, prefix: str) -> str:
    @attrs.frozen
    class Named:
        text: str

        def __str__(self) -> str:
            return self.text

    def rename(expr: Any) -> Any:
        if isinstance(expr, BinExpr):
            return BinExpr(expr.op, rename(expr.lhs), rename(expr.rhs))
        return Named(f"{prefix}{expr.index}") if hasattr(expr, "index") else expr

    dims = ", ".join(f"{prefix}{i}" for i in range(map_.num_dims))
    results = ", ".join(str(rename(r)) for r in map_.results)
    return f"affine_map<({dims})[{', '.join(map_.symbols)}] -> ({results})>"


def location_text(loc: Location) -> str:
    """The text between the parentheses of ``loc(…)``."""

    def encode(part: str) -> str:
        return part.replace("%", "%25").replace("#", "%23").replace("@", "%40")

    name = encode(loc.scope) + ("#" + encode(loc.node) if loc.node else "")
    place = f"{quote(loc.file)}:{loc.line}:{loc.col}" if loc.file or loc.line or loc.col else ""
    if name:
        return f"{quote(name)}({place})" if place else quote(name)
    return place or "unknown"


def resource_name(elements: DenseElements) -> str:
    """The name of a big constant beside the text, from its content."""
    array = np.ascontiguousarray(elements.array)
    digest = hashlib.blake2b(f"{elements.dtype}{array.shape}{array.dtype}".encode(), digest_size=8)
    digest.update(array.tobytes())
    return f"c_{digest.hexdigest()}"


class Printer:
    """Prints ops; keeps for each op the line it starts on (:attr:`op_lines`), for diagnostics.

    Parameters
    ----------
    resources
        Receives the arrays of big constants by name.
    locations
        Print ``loc(…)``.
    hints
        Take SSA names from the hints of the values; without, values are numbered, so that equal texts mean equal
        structure.
    """

    def __init__(self, resources: dict[str, npt.NDArray[Any]] | None = None, locations: bool = True,
                 hints: bool = True) -> None:
        self.resources = resources
        self.locations, self.hints = locations, hints
        self.lines: list[str] = []
        self.op_lines: dict[Op, int] = {}
        self._names: dict[Value, str] = {}
        self._next: dict[str, int] = {}
        self._undo: list[tuple[str, int]] = []
        self._maps: dict[AffineMap, str] = {}
        self._types: dict[int, tuple[object, str]] = {}

    # -- attributes and types ----------------------------------------------------------------------
    def attribute(self, value: object, nested: bool = True) -> str:
        """The text of any attribute value or type."""
        match value:
            case None:
                return "unit"
            case bool():
                return "true" if value else "false"
            case int():
                wide = not -(2**63) <= value < 2**63
                width = max(64, 1 << value.bit_length().bit_length()) if wide else 64
                digits = f"{value:#x}" if width > 4096 else str(value)  # Python refuses very long decimals
                return digits if nested and not wide else f"{digits} : i{width}"
            case float():
                text = float_text(value)
                if text is None:
                    return f"0x{float_bits(value, 'f64'):016X} : f64"
                return text if nested else f"{text} : f64"
            case str():
                return quote(value)
            case tuple() | list():
                return f"[{', '.join(map(self.attribute, cast('tuple[object, ...]', value)))}]"
            case Mapping():
                return self.dictionary(cast("Mapping[object, object]", value))
            case AffineMap():
                if value not in self._maps:
                    self._maps[value] = map_text(value)
                return self._maps[value]
            case SymDim():
                return f"#irsql.dim<{quote(str(value))}>"
            case Attribute():
                return self.structured(value)
            case _:
                return f"<<{type(value).__name__} {str(value)[:40]!r}>>"

    def structured(self, value: Attribute) -> str:
        """The text of a type or structured attribute; texts are cached by identity while the IR is printed."""
        cached = self._types.get(id(value))
        if cached is not None:
            return cached[1]
        match value:
            case ScalarType():
                text = value.name
            case TensorType():
                dims = "".join("?x" if isinstance(d, SymDim) else f"{d}x" for d in value.shape)
                encoding = ", ".join(quote(str(d)) if isinstance(d, SymDim) else str(d) for d in value.shape)
                tail = f", #irsql.dims<[{encoding}]>" if "?" in dims else ""
                text = f"tensor<{dims}{self.attribute(value.dtype)}{tail}>"
            case FunctionType():
                text = self.function_type(value.inputs, value.results)
            case DenseElements():
                text = self.dense(value)
            case _:
                text = self._parameters(value)
        self._types[id(value)] = (value, text)  # the reference keeps the identity valid
        return text

    def _parameters(self, value: Attribute) -> str:
        sigil = "!" if isinstance(value, Type) else "#"
        if not value.mnemonic:
            return f"<<{type(value).__name__} has no mnemonic>>"
        fields = fields_of(type(value))
        params = ", ".join(self.attribute(getattr(value, name, None)) for name in fields)
        return f"{sigil}{value.mnemonic}" + (f"<{params}>" if fields else "")

    def dictionary(self, entries: Mapping[Any, object], nested: bool = True) -> str:
        """``{key = value, …}``."""
        parts: list[str] = []
        for key, value in entries.items():
            name = str(key)
            parts.append(f"{name if _BARE_KEY.match(name) else quote(name)} = {self.attribute(value, nested)}")
        return f"{{{', '.join(parts)}}}"

    def function_type(self, inputs: Iterable[object], results: Iterable[object]) -> str:
        """``(inputs) -> results``, the results in parentheses unless there is exactly one that is no function type."""
        outs = [self.type_text(t) for t in results]
        single = len(outs) == 1 and not outs[0].startswith("(")
        return f"({', '.join(map(self.type_text, inputs))}) -> " + (outs[0] if single else f"({', '.join(outs)})")

    def type_text(self, type_: object) -> str:
        """The text of a type, a placeholder if it is none."""
        return self.structured(type_) if isinstance(type_, Attribute) else f"<<NOT A TYPE: {type_!r}>>"

    def dense(self, value: DenseElements) -> str:
        """``dense<…>`` up to :data:`INLINE_ELEMENTS` elements, else ``dense_resource<…>``."""
        array = np.asarray(value.array)
        type_text = self.type_text(TensorType(tuple(array.shape), value.dtype))
        if array.size <= INLINE_ELEMENTS:
            body = _elements(array, value.dtype)
            if body is not None:
                return f"dense<{body}> : {type_text}"
        name = resource_name(value)
        if self.resources is not None:
            self.resources[name] = array
        return f"dense_resource<{name}> : {type_text}"

    # -- ops ---------------------------------------------------------------------------------------
    def name_of(self, value: object) -> str:
        """The SSA name of a value with ``%``, chosen on first use."""
        if not isinstance(value, Value):
            return "<<NULL VALUE>>"
        if value not in self._names:
            self._names[value] = self._fresh(value.name)
        return "%" + self._names[value]

    def _fresh(self, hint: object) -> str:
        base = _NOT_IN_NAME.sub("_", str(hint)) if self.hints and hint else ""
        if base and (base[0].isdigit() or base[0] in ".-"):
            base = "_" + base
        count = self._next.get(base, 0)
        self._undo.append((base, count))
        self._next[base] = count + 1
        return (f"{base}${count}" if count else base) if base else str(count)

    def op(self, op: Op, indent: int = 0) -> None:
        """Append the lines of an op."""
        pad = "  " * indent
        if op in self.op_lines:
            self.lines.append(f"{pad}<<{op.name} AGAIN>>")
            return
        self.op_lines[op] = len(self.lines)
        results = ", ".join(map(self.name_of, getattr(op, "results", ())))
        operands = ", ".join(map(self.name_of, op.operands))
        properties, discardable = _split_attributes(op)
        head = f'{pad}{results + " = " if results else ""}"{op.name}"({operands})'
        if properties:
            head += f" <{self.dictionary(properties, nested=False)}>"
        regions = [op.__dict__.get(name) for name in op.info.regions]
        if regions:
            head += " ("
            for i, region in enumerate(regions):
                self.lines.append(f"{head}{{")
                self.region(region, indent)
                head = f"{pad}}}" + (", " if i + 1 < len(regions) else ")")
        if discardable:
            head += f" {self.dictionary(discardable, nested=False)}"
        types = self.function_type((getattr(v, "type", None) for v in op.operands),
                                   (r.type for r in getattr(op, "results", ())))
        loc = f" loc({location_text(op.loc)})" if self.locations and op.loc != UNKNOWN else ""
        self.lines.append(f"{head} : {types}{loc}")

    def region(self, region: object, indent: int) -> None:
        """Append the blocks of a region; names defined in it are free again afterwards."""
        if not isinstance(region, Region):
            self.lines.append("  " * indent + "  <<NULL REGION>>")
            return
        mark = len(self._undo)
        for i, block in enumerate(region.blocks):
            self.block(block, i, indent, label=bool(i or block.args or not block.ops))
        while len(self._undo) > mark:
            base, count = self._undo.pop()
            self._next[base] = count

    def block(self, block: Block, index: int, indent: int, label: bool) -> None:
        """Append a block."""
        if label:
            args = ", ".join(f"{self.name_of(a)}: {self.type_text(a.type)}" for a in block.args)
            self.lines.append("  " * indent + f"^bb{index}" + (f"({args}):" if args else ":"))
        for op in block.ops:
            self.op(op, indent + 1)


def _split_attributes(op: Op) -> tuple[dict[str, Any], dict[str, Any]]:
    """Properties and discardable attributes of an op, in field order, without empty defaults."""
    properties: dict[str, Any] = {}
    discardable: dict[str, Any] = {}
    declared = fields_of(type(op))
    for field, key in op.info.attributes.items():
        value: Any = op.__dict__.get(field)
        default: Any = declared[field].default
        default = default.factory() if hasattr(default, "factory") else default
        if value is None and default is None:
            continue
        if isinstance(value, tuple | Mapping) and not value and value == default:
            continue
        (discardable if "." in key else properties)[key] = value
    return properties, discardable


def _elements(array: npt.NDArray[Any], dtype: ScalarType) -> str | None:
    """The inline text of an array; None where text could not give the same bytes back."""
    if array.size == 0:
        return ""
    if not dtype.is_float:
        return str(array.tolist()).lower() if array.dtype.kind in "iub" else None
    if array.dtype.kind != "f":
        return None

    def element(value: Any) -> str | None:
        text = float_text(value)
        if text is None:
            bits = float_bits(value, dtype.name)
            if float_of_bits(bits, dtype.name, array.dtype).tobytes() != value.tobytes():
                return None
            return f"0x{bits:0{FLOAT_BITS[dtype.name] // 4}X}"
        short = str(value)
        return short if "." in short and array.dtype.type(float(short)) == value else text

    texts = [element(v) for v in array.reshape(-1)]
    if any(t is None for t in texts):
        return None
    nested: list[Any] = list(texts)
    for extent in reversed(array.shape[1:] if array.ndim else ()):
        nested = [f"[{', '.join(nested[i:i + extent])}]" for i in range(0, len(nested), extent)]
    return f"[{', '.join(nested)}]" if array.ndim else str(nested[0])


def float_of_bits(bits: int, dtype: str, numpy_dtype: np.dtype[Any]) -> npt.NDArray[Any]:
    """The scalar array a bit pattern of an element type stands for, in the dtype the interpreters use."""
    if dtype == "f64":
        value: Any = np.array(bits, np.uint64).view(np.float64)
    elif dtype == "f16":
        value = np.array(bits, np.uint16).view(np.float16)
    else:
        value = np.array(bits << 16 if dtype == "bf16" else bits, np.uint32).view(np.float32)
    return np.asarray(value, dtype=numpy_dtype)


def print_op(op: Op, *, resources: dict[str, npt.NDArray[Any]] | None = None, locations: bool = True,
             hints: bool = True) -> str:
    """The text of an op and everything in it, ending in a newline.

    Parameters
    ----------
    op
        Any op, usually a module; it may be ill-formed.
    resources
        Receives the arrays of constants over 16 elements, by the name used in ``dense_resource<name>``.
    locations
        Whether to print ``loc(…)``.
    hints
        Whether SSA names come from hints; with neither hints nor locations equal texts mean equal structure.
    """
    printer = Printer(resources, locations, hints)
    printer.op(op)
    return "\n".join(printer.lines) + "\n"
