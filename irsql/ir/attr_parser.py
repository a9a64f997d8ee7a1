"""Reads attribute values and types; the inverse of the attribute half of :mod:`irsql.ir.printer`."""

from __future__ import annotations

import math
import re
import struct
from collections.abc import Mapping
from typing import Any

import attrs
import numpy as np
import numpy.typing as npt

from irsql.ir import dims
from irsql.ir.affine_parser import AffineParser
from irsql.ir.attributes import (
    REGISTRY,
    Attribute,
    AttrValue,
    DenseElements,
    FunctionType,
    ScalarType,
    TensorType,
    Type,
)
from irsql.ir.core import IRError
from irsql.ir.dims import Dim
from irsql.ir.lexer import Token
from irsql.ir.printer import FLOAT_BITS, float_of_bits
from irsql.ir.registry import dialects, load_dialect, near_miss
from irsql.ir.typecheck import conforms, field_types, fields_of

SCALARS: dict[str, ScalarType] = {n: ScalarType(n) for n in
                                  ("f64", "f32", "f16", "bf16", "i64", "i32", "i16", "i8", "i1", "index")}
UNKNOWN_TYPE = ScalarType("<<unknown>>")
"""Stands for a type that could not be read, so that reading can go on to the next error."""

MAX_DENSE = 1 << 24
"""Most elements of a constant written in the text (a splat could claim any number)."""

_INT_TYPE = re.compile(r"(?:[su]?i[1-9]\d*|index)\Z")
_SHAPE = re.compile(r"\s*((?:(?:\d+|\?)x)*)")


class AttributeParser(AffineParser):
    """Reads attributes and types from a text.

    Parameters
    ----------
    text, filename
        See :class:`~irsql.ir.lexer.Lexer`.
    resources
        Arrays for ``dense_resource<name>``.
    """

    def __init__(self, text: str, filename: str, resources: Mapping[str, npt.NDArray[Any]] | None) -> None:
        super().__init__(text, filename)
        self.resources = resources
        self._type_cache: dict[str, Type] = {}

    # -- attribute values --------------------------------------------------------------------------
    def attribute(self) -> AttrValue:
        """Read one attribute value."""
        token = self.peek()
        case: tuple[str, str] = token.kind, token.text
        match case:
            case "string", _:
                return self.unquote(self.next())
            case ("int" | "float"), _:
                return self.number()
            case "punct", "[":
                return self._list()
            case "punct", "{":
                return self.dictionary()
            case "punct", "(":
                return self.type()
            case "attr", _:
                return self._hash_attribute()
            case "type", _:
                return self.type()
            case "ident", ("true" | "false"):
                return self.next().text == "true"
            case "ident", "unit":
                self.next()
                return None
            case "ident", "affine_map":
                self.next()
                return self.affine_map()
            case "ident", "dense":
                return self._dense()
            case "ident", "dense_resource":
                return self._dense_resource()
            case "ident", name if name == "tensor" or name in SCALARS:
                return self.type()
            case _:
                pass
        self.fail(f"expected an attribute value, found {self.describe()}",
                  suggestion=near_miss(token.text, [*SCALARS, "true", "false", "unit", "affine_map", "dense",
                                                    "dense_resource", "tensor"]) if token.kind == "ident" else "")

    def number(self) -> int | float:
        """Read a number with its optional type."""
        token = self.next()
        type_ = ""
        if self.accept(":"):
            type_token = self.expect_kind("ident", "the type of the number")
            type_ = type_token.text
            if type_ not in FLOAT_BITS and not _INT_TYPE.match(type_):
                self.fail(f"a number cannot have type {type_!r}", type_token, near_miss(type_, SCALARS))
        if token.kind == "float":
            if type_ and type_ not in FLOAT_BITS:
                self.fail(f"a float literal cannot have type {type_}", token)
            value = float(token.text)
            if math.isinf(value):
                self.fail("this float is out of the range of f64", token)
            return value
        integer = self.integer(token)
        if type_ not in FLOAT_BITS:
            return integer
        return self._from_bits(token, integer, type_)

    def _from_bits(self, token: Token, bits: int, type_: str) -> float:
        if not token.text.startswith("0x") or bits >> FLOAT_BITS[type_]:
            self.fail(f"expected a float or the {FLOAT_BITS[type_]}-bit hexadecimal pattern of one", token)
        if type_ == "f64":
            return float(struct.unpack(">d", bits.to_bytes(8, "big"))[0])
        return float(float_of_bits(bits, type_, np.dtype(np.float64)))

    def _list(self) -> tuple[AttrValue, ...]:
        self.expect("[", "to open a list")
        self.enter()
        items: list[AttrValue] = []
        while not self.accept("]"):
            if items:
                self.expect(",", "or ']' in a list")
            items.append(self.attribute())
        self.leave()
        return tuple(items)

    def dictionary(self) -> dict[str, AttrValue]:
        """Read ``{key = value, …}``."""
        return {key: value for key, (value, _) in self.entries().items()}

    def entries(self) -> dict[str, tuple[AttrValue, Token]]:
        """Read ``{key = value, …}`` and keep where each key stands; a key alone is ``unit``."""
        self.expect("{", "to open a dictionary")
        self.enter()
        out: dict[str, tuple[AttrValue, Token]] = {}
        while not self.accept("}"):
            if out:
                self.expect(",", "or '}' in a dictionary")
            if self.peek().kind not in ("ident", "string"):
                self.fail(f"expected a key, found {self.describe()}")
            token = self.next()
            key = self.unquote(token) if token.kind == "string" else token.text
            if key in out:
                self.fail(f"key {key!r} occurs twice", token)
            out[key] = (self.attribute() if self.accept("=") else None), token
        self.leave()
        return out

    def _hash_attribute(self) -> AttrValue:
        token = self.peek()
        if token.text == "#irsql.map":
            self.next()
            return self.affine_map()
        if token.text == "#irsql.dim":
            self.next()
            self.expect("<", "after #irsql.dim")
            value = self._dim(self.expect_kind("string", "a dim in quotes"))
            self.expect(">", "to close #irsql.dim")
            return value
        return self.structured()

    def structured(self) -> Attribute:
        """Read ``#dialect.name<…>`` or ``!dialect.name<…>`` by the class registered for it."""
        token = self.next()
        cls = self._lookup(token)
        if cls is None:
            self.seek(self.balanced_end(token.end))
            return UNKNOWN_TYPE
        params: list[AttrValue] = []
        if self.accept("<"):
            self.enter()
            while not self.accept(">"):
                if params:
                    self.expect(",", f"or '>' in the parameters of {token.text}")
                params.append(self.attribute())
            self.leave()
        return self._construct(cls, params, token)

    def _lookup(self, token: Token) -> type[Attribute] | None:
        dialect = token.text[1:].partition(".")[0]
        if token.text not in REGISTRY:
            self.load(dialect, token)
        if token.text not in REGISTRY:
            kind = "type" if token.kind == "type" else "attribute"
            self.report(f"unknown {kind} {token.text}", token, near_miss(token.text, REGISTRY))
        return REGISTRY.get(token.text)

    def load(self, dialect: str, token: Token) -> None:
        """Import a dialect if it is known; fail where its module cannot be imported."""
        try:
            load_dialect(dialect)
        except IRError as error:
            self.fail(str(error), token)

    def known_dialects(self) -> str:
        """The names of the dialects, for a message."""
        return "known dialects: " + ", ".join(sorted(dialects()))

    def _construct(self, cls: type[Attribute], params: list[AttrValue], token: Token) -> Attribute:
        fields = fields_of(cls)
        names = list(fields)
        required = sum(f.default is attrs.NOTHING for f in fields.values())
        if not required <= len(params) <= len(fields):
            self.fail(f"{token.text} has the parameters ({', '.join(names)}), found {len(params)}", token)
        types = field_types(cls)
        for name, value in zip(names, params, strict=False):
            if not conforms(value, types.get(name, Any)):
                self.fail(f"parameter {name!r} of {token.text} cannot be {value!r}", token,
                          f"it must be {fields[name].type}")
        try:
            return cls(*params)
        except Exception as error:  # a constructor may be anybody's code: what it refuses is an error of the text
            self.fail(f"{token.text} cannot be built: {error}", token)

    # -- types -------------------------------------------------------------------------------------
    def type(self) -> Type:
        """Read a type."""
        token = self.peek()
        if token.kind == "ident" and token.text in SCALARS:
            self.next()
            return SCALARS[token.text]
        if token.kind == "punct" and token.text == "(":
            return self.function_type()
        if token.kind != "type" and token.text != "tensor":
            known = [*SCALARS, "tensor", *(m for m in REGISTRY if m.startswith("!"))]
            self.fail(f"expected a type, found {self.describe()}", suggestion=near_miss(token.text, known))
        end = self.balanced_end(token.end)
        key = self.text[token.start:end]
        cached = self._type_cache.get(key)
        if cached is not None:
            self.seek(end)
            return cached
        self.enter()
        type_ = self._tensor() if token.text == "tensor" else self.structured()
        self.leave()
        assert isinstance(type_, Type)  # the registry keeps types under '!'
        if self.pos == end:
            self._type_cache[key] = type_
        return type_

    def function_type(self) -> FunctionType:
        """Read ``(types) -> types``."""
        self.enter()
        inputs = self._type_list()
        self.expect("->", "in a function type")
        if self.peek().text == "(":
            results = self._type_list()
        else:
            results = (self.type(),)
        self.leave()
        return FunctionType(inputs, results)

    def _type_list(self) -> tuple[Type, ...]:
        self.expect("(", "to open a list of types")
        out: list[Type] = []
        while not self.accept(")"):
            if out:
                self.expect(",", "or ')' in a list of types")
            out.append(self.type())
        return tuple(out)

    def _tensor(self) -> TensorType:
        head = self.next()
        self.expect("<", "after tensor")
        match = _SHAPE.match(self.text, self.pos)
        assert match is not None  # the pattern matches the empty text
        self.seek(match.end())
        try:
            shape: list[Dim | None] = [None if d == "?" else int(d) for d in match[1].split("x")[:-1]]
        except ValueError:
            self.fail("a dim of this tensor is too long", head)
        dtype = self.expect_kind("ident", "an element type")
        if dtype.text not in SCALARS:
            self.fail(f"{dtype.text!r} is no element type", dtype, near_miss(dtype.text, SCALARS))
        if self.accept(","):
            shape = self._encoding(shape)
        self.expect(">", "to close a tensor type")
        if None in shape:
            self.fail("a tensor with '?' needs its dims", head,
                      'write them as an encoding: tensor<?x64xf32, #irsql.dims<["S", 64]>>')
        return TensorType(tuple(d for d in shape if d is not None), SCALARS[dtype.text])

    def _encoding(self, shape: list[Dim | None]) -> list[Dim | None]:
        token = self.next()
        if token.text != "#irsql.dims":
            self.fail("the encoding of a tensor must be #irsql.dims<[…]>", token)
        self.expect("<", "after #irsql.dims")
        self.expect("[", "to open the dims")
        full: list[Dim | None] = []
        while not self.accept("]"):
            if full:
                self.expect(",", "or ']' in the dims")
            item = self.next()
            if item.kind not in ("string", "int"):
                self.fail("a dim is an integer or a quoted expression", item)
            full.append(self._dim(item) if item.kind == "string" else self.integer(item))
        self.expect(">", "to close #irsql.dims")
        if len(full) != len(shape) or any(d is not None and d != f for d, f in zip(shape, full, strict=False)):
            self.fail("the dims of the encoding contradict the shape", token)
        return full

    def _dim(self, token: Token) -> Dim:
        try:
            return dims.parse(self.unquote(token))
        except ValueError as error:
            self.fail(str(error), token)

    # -- constants ---------------------------------------------------------------------------------
    def _dense(self) -> DenseElements:
        head = self.next()
        self.expect("<", "after dense")
        literal: Any = [] if self.peek().text == ">" else self._elements()
        self.expect(">", "to close dense")
        type_ = self._constant_type(head)
        shape = tuple(d for d in type_.shape if isinstance(d, int))
        if max(math.prod(shape), *shape, 0) > MAX_DENSE:
            self.fail(f"a constant in the text has at most {MAX_DENSE} elements", head)
        dtype = type_.dtype.numpy
        if isinstance(literal, Token):
            return DenseElements(np.full(shape, self._element(literal, type_.dtype), dtype), type_.dtype)
        flat = self._flatten(literal, shape, head) if math.prod(shape) or literal else []
        values = np.array([self._element(t, type_.dtype) for t in flat], dtype)
        return DenseElements(values.reshape(shape), type_.dtype)

    def _elements(self) -> Any:
        """A token, or a nested list of tokens."""
        if not self.accept("["):
            return self.next()
        self.enter()
        items: list[Any] = []
        while not self.accept("]"):
            if items:
                self.expect(",", "or ']' in the elements")
            items.append(self._elements())
        self.leave()
        return items

    def _flatten(self, literal: Any, shape: tuple[int, ...], head: Token) -> list[Token]:
        if not shape:
            if not isinstance(literal, Token):
                self.fail("the elements are nested deeper than the type", head)
            return [literal]
        if isinstance(literal, Token) or len(literal) != shape[0]:
            self.fail("the elements do not have the shape of the type", head)
        return [t for item in literal for t in self._flatten(item, shape[1:], head)]

    def _element(self, token: Token, dtype: ScalarType) -> Any:
        if dtype.is_float and token.kind in ("int", "float"):
            if token.text.startswith("0x"):
                bits = self.integer(token)
                if bits >> FLOAT_BITS[dtype.name]:
                    self.fail(f"more bits than {dtype} has", token)
                return float_of_bits(bits, dtype.name, dtype.numpy)[()]
            with np.errstate(over="ignore"):
                value = np.array(float(token.text)).astype(dtype.numpy)
            if not np.isfinite(value):
                self.fail(f"this float is out of the range of {dtype}", token)
            return value
        if dtype.name == "i1" and token.text in ("true", "false"):
            return token.text == "true"
        if token.kind == "int" and not dtype.is_float and dtype.name != "i1":
            value_int = self.integer(token)
            limit = 1 << (8 * dtype.numpy.itemsize - 1)
            if not -limit <= value_int < limit:
                self.fail(f"this integer is out of the range of {dtype}", token)
            return value_int
        self.fail(f"{token.text!r} is no element of type {dtype}", token)

    def _constant_type(self, head: Token) -> TensorType:
        self.expect(":", "and the type of the constant")
        type_ = self.type()
        if not isinstance(type_, TensorType) or not all(isinstance(d, int) for d in type_.shape):
            self.fail("the type of a constant must be a tensor with static dims", head)
        return type_

    def _dense_resource(self) -> DenseElements:
        head = self.next()
        self.expect("<", "after dense_resource")
        if self.peek().kind not in ("ident", "string"):
            self.fail(f"expected the name of a resource, found {self.describe()}")
        token = self.next()
        name = self.unquote(token) if token.kind == "string" else token.text
        self.expect(">", "to close dense_resource")
        type_ = self._constant_type(head)
        if self.resources is None or name not in self.resources:
            self.report(f"the constant {name!r} is not in the resources", token,
                        "a dump keeps big constants beside the text, in <name>.resources.npz")
            return DenseElements(np.zeros(0, type_.dtype.numpy), type_.dtype)
        array = self.resources[name]
        if array.shape != type_.shape or array.dtype != type_.dtype.numpy:
            self.fail(f"the constant {name!r} is {array.dtype}{list(array.shape)} in the resources", token,
                      "the dump and its resources do not belong together")
        return DenseElements(array, type_.dtype)
