"""Reads the text form: the exact inverse of :mod:`irsql.ir.printer`.

Only the generic form is read, so one grammar serves every dialect::

    %r, %s = "dialect.op"(%a, %b) <{properties}> ({regions}) {discardable} : (types) -> types loc(…)

Every error is a :class:`~irsql.ir.diagnostics.DiagnosticError` with ``file:line:col``, the source line and a caret. A
mistake of syntax stops the reader; unknown names, missing fields and wrong types are collected and shown together.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import unquote

import attrs
import numpy.typing as npt

from irsql.ir.attr_parser import UNKNOWN_TYPE, AttributeParser
from irsql.ir.attributes import AttrValue, FunctionType
from irsql.ir.core import OPS, Block, Module, Op, Region, Value
from irsql.ir.diagnostics import DiagnosticError
from irsql.ir.lexer import Token
from irsql.ir.location import UNKNOWN, Location
from irsql.ir.registry import near_miss
from irsql.ir.typecheck import conforms, field_types, fields_of

MAX_RESULTS = 4096
"""Most results one op may claim with ``%r:n``."""

_SUFFIX = re.compile(r"\$\d+\Z")
_SIGNATURE = re.compile(r"[^\n]*?(?= loc\(|\n|\Z)")


def hint_of(ssa_name: str) -> str:
    """The name hint an SSA name stands for: ``x`` for ``%x`` and ``%x$1``, none for ``%3``."""
    name = _SUFFIX.sub("", ssa_name.lstrip("%"))
    return "" if name.isdigit() else name


class Parser(AttributeParser):
    """Reads ops; see the module docstring."""

    def __init__(self, text: str, filename: str, resources: Mapping[str, npt.NDArray[Any]] | None = None) -> None:
        super().__init__(text, filename, resources)
        self._values: dict[str, Value] = {}
        self._defined: list[str] = []
        self._signatures: dict[str, FunctionType] = {}

    # -- ops ---------------------------------------------------------------------------------------
    def top_level(self) -> list[Op]:
        """All ops of the text.

        Raises
        ------
        DiagnosticError
            If anything is wrong with it.
        """
        block = Block()
        while self.peek().kind != "eof":
            self.op(block)
        if not block.ops and not self.errors:
            self.fail("the text holds no op")
        if self.errors:
            raise DiagnosticError(self.errors)
        for op in (ops := list(block.ops)):
            op.detach()
        return ops

    def op(self, block: Block) -> None:
        """Read one op and append it to a block."""
        results = self._result_names()
        name_token = self.expect_kind("string", 'an op in generic form, as in "dialect.op"()')
        operands = self._operands()
        if self.peek().text == "[":
            self.fail("successors are not supported: control flow is structured here")
        entries: dict[str, tuple[AttrValue, Token]] = {}
        if self.accept("<"):
            entries = self.entries()
            self.expect(">", "to close the properties")
        regions = self._regions() if self.peek().text == "(" else []
        if self.peek().text == "{":
            for key, entry in self.entries().items():
                if key in entries:
                    self.fail(f"attribute {key!r} occurs twice", entry[1])
                entries[key] = entry
        self.expect(":", "and the type of the op")
        signature = self._signature()
        loc = self.location() if self.accept("loc") else UNKNOWN
        self._check_signature(name_token, signature, operands, sum(n for _, n, _ in results))
        op = self._build(name_token, operands, entries, regions, signature, loc)
        if op is not None:
            block.append(op)
        self._define_results(results, op, signature)

    def _result_names(self) -> list[tuple[str, int, Token]]:
        """``%a, %b:2 =`` as ``(name, count, token)``."""
        names: list[tuple[str, int, Token]] = []
        if self.peek().kind != "ssa":
            return names
        while True:
            token = self.expect_kind("ssa", "the name of a result")
            count = 1
            if self.accept(":"):
                count = self.integer(self.expect_kind("int", "a number of results"))
                if not 1 <= count <= MAX_RESULTS:
                    self.fail(f"the number of results must lie in 1 to {MAX_RESULTS}", token)
            names.append((token.text, count, token))
            if not self.accept(","):
                break
        self.expect("=", "after the results")
        return names

    def _operands(self) -> list[Value]:
        self.expect("(", "to open the operands")
        out: list[Value] = []
        while not self.accept(")"):
            if out:
                self.expect(",", "or ')' in the operands")
            out.append(self._use(self.expect_kind("ssa", "a value")))
        return out

    def _use(self, token: Token) -> Value:
        value = self._values.get(token.text)
        if value is None:
            self.report(f"{token.text} is used but not defined before, here or in an enclosing region", token,
                        near_miss(token.text, self._values))
            value = Value(UNKNOWN_TYPE)
        return value

    def _define(self, name: str, value: Value, token: Token) -> None:
        if name in self._values:
            self.report(f"{name} is defined twice", token)
        else:
            self._defined.append(name)
        self._values[name] = value

    def _define_results(self, names: list[tuple[str, int, Token]], op: Op | None, signature: FunctionType) -> None:
        values: list[Value] = list(op.results) if op is not None else [Value(t) for t in signature.results]
        values += [Value(UNKNOWN_TYPE)] * (sum(n for _, n, _ in names) - len(values))
        position = 0
        for name, count, token in names:
            for i in range(count):
                value = values[position]
                value.name = hint_of(name)
                self._define(name if count == 1 else f"{name}#{i}", value, token)
                position += 1
            if count > 1:
                self._define(name, values[position - count], token)

    def _signature(self) -> FunctionType:
        """The type of an op; equal texts are read once."""
        match = _SIGNATURE.match(self.text, self.pos)
        assert match is not None  # the pattern matches the empty text
        key = match[0]
        known = self._signatures.get(key)
        if known is not None:
            self.seek(match.end())
            return known
        signature = self.function_type()
        if self.pos == match.end():
            self._signatures[key] = signature
        return signature

    def _check_signature(self, token: Token, signature: FunctionType, operands: list[Value], results: int) -> None:
        if len(signature.inputs) != len(operands):
            self.fail(f"{token.text} has {len(operands)} operands, its type says {len(signature.inputs)}", token)
        if results not in (0, len(signature.results)):
            self.fail(f"{token.text} gives {len(signature.results)} results, {results} are named", token)
        for i, (value, type_) in enumerate(zip(operands, signature.inputs, strict=True)):
            if value.type is not type_ and UNKNOWN_TYPE not in (value.type, type_) and value.type != type_:
                self.report(f"operand {i} of {token.text} is defined with another type than it is used with", token)

    # -- regions -----------------------------------------------------------------------------------
    def _regions(self) -> list[Region]:
        self.expect("(", "to open the regions")
        self.enter()
        regions: list[Region] = []
        while not self.accept(")"):
            if regions:
                self.expect(",", "or ')' in the regions")
            regions.append(self._region())
        self.leave()
        return regions

    def _region(self) -> Region:
        self.expect("{", "to open a region")
        mark = len(self._defined)
        region = Region()
        block: Block | None = None
        while not self.accept("}"):
            if self.peek().kind == "block":
                block = region.append(self._block_head())
                continue
            if self.peek().kind == "eof":
                self.fail("expected '}' to close a region, found the end of the text")
            block = block or region.append(Block())
            self.op(block)
        for name in self._defined[mark:]:
            del self._values[name]
        del self._defined[mark:]
        return region

    def _block_head(self) -> Block:
        self.next()
        block = Block()
        if self.accept("("):
            while not self.accept(")"):
                if block.args:
                    self.expect(",", "or ')' in the arguments of a block")
                token = self.expect_kind("ssa", "the name of a block argument")
                self.expect(":", "and the type of the block argument")
                self._define(token.text, block.add_arg(self.type(), hint_of(token.text)), token)
        self.expect(":", "after the label of a block")
        return block

    # -- building ----------------------------------------------------------------------------------
    def _build(self, token: Token, operands: list[Value], entries: dict[str, tuple[AttrValue, Token]],
               regions: list[Region], signature: FunctionType, loc: Location) -> Op | None:
        """The op, or None if something is wrong with it (which is then reported)."""
        name = self.unquote(token)
        dialect = name.partition(".")[0]
        if name not in OPS:
            self.load(dialect, token)
        cls = OPS.get(name) if name else None
        if cls is None:
            self.report(f"unknown op {token.text}", token, near_miss(name, OPS) or self.known_dialects())
            return None
        before = len(self.errors)
        info = cls.info
        fixed = len(info.operands)
        if len(operands) < fixed or (len(operands) > fixed and not info.variadic):
            wanted = f"{'at least ' if info.variadic else ''}{fixed} ({', '.join(info.operands)})"
            self.report(f"{name} takes {wanted} operands, found {len(operands)}", token)
        if len(regions) != len(info.regions):
            self.report(f"{name} has {len(info.regions)} regions ({', '.join(info.regions)}), found {len(regions)}",
                        token)
        fields = self._fields(cls, token, entries)
        if self.errors[before:] or any(v.type is UNKNOWN_TYPE for v in operands):
            return None
        fields |= dict(zip(info.operands, operands, strict=False)) | dict(zip(info.regions, regions, strict=True))
        if info.variadic:
            fields[info.variadic] = tuple(operands[fixed:])
        try:
            return cls(**fields, result_types=signature.results, loc=loc)
        except Exception as error:  # a constructor may be anybody's code: what it refuses is an error of the text
            self.report(f"{name} cannot be built: {error}", token)
            return None

    def _fields(self, cls: type[Op], token: Token, entries: dict[str, tuple[AttrValue, Token]]) -> dict[str, Any]:
        """Attributes by field name, checked against the declaration."""
        by_key = {key: field for field, key in cls.info.attributes.items()}
        types = field_types(cls)
        declared = fields_of(cls)
        out: dict[str, Any] = {}
        for key, (value, where) in entries.items():
            if key not in by_key:
                known = ", ".join(by_key) or "none"
                self.report(f"{cls.name} has no attribute {key!r}", where,
                            near_miss(key, by_key) or f"its attributes: {known}")
            elif not conforms(value, types.get(by_key[key], Any)):
                self.report(f"attribute {key!r} of {cls.name} cannot be {value!r}", where,
                            f"it must be {declared[by_key[key]].type}")
            else:
                out[declared[by_key[key]].alias or by_key[key]] = value
        missing = [key for key, field in by_key.items()
                   if key not in entries and declared[field].default is attrs.NOTHING]
        if missing:
            self.report(f"{cls.name} lacks the attribute{'s' if len(missing) > 1 else ''} "
                        + ", ".join(map(repr, missing)), token)
        return out

    # -- locations ---------------------------------------------------------------------------------
    def location(self) -> Location:
        """Read ``(…)`` of a location."""
        self.expect("(", "after loc")
        if self.accept("unknown"):
            loc = UNKNOWN
        else:
            first = self.unquote(self.expect_kind("string", "a location"))
            if self.accept(":"):
                loc = self._place(first)
            else:
                loc = Location()
                if self.accept("("):
                    file = self.unquote(self.expect_kind("string", "a file name"))
                    self.expect(":", "and a line")
                    loc = self._place(file)
                    self.expect(")", "to close the place")
                scope, _, node = first.partition("#")
                loc = attrs.evolve(loc, scope=unquote(scope), node=unquote(node))
        self.expect(")", "to close the location")
        return loc

    def _place(self, file: str) -> Location:
        line = self.integer(self.expect_kind("int", "a line"))
        self.expect(":", "and a column")
        return Location(file, line, self.integer(self.expect_kind("int", "a column")))


def parse_module(text: str, *, filename: str = "<string>",
                 resources: Mapping[str, npt.NDArray[Any]] | None = None) -> Module:
    """Read a module; ops that stand outside of any module are put into one.

    Parameters
    ----------
    text
        Generic form, as :func:`~irsql.ir.printer.print_op` writes it; ``//`` comments are skipped.
    filename
        Named in errors.
    resources
        Arrays for ``dense_resource<name>``.

    Raises
    ------
    DiagnosticError
        If the text is not a module of known ops.
    """
    ops = Parser(text, filename, resources).top_level()
    if len(ops) == 1 and isinstance(ops[0], Module):
        return ops[0]
    module = Module.empty()
    module.body.block.ops.extend(ops)
    for op in ops:
        op.parent = module.body.block
    return module


def parse_op(text: str, *, filename: str = "<string>", resources: Mapping[str, npt.NDArray[Any]] | None = None) -> Op:
    """Read exactly one op; see :func:`parse_module`.

    Raises
    ------
    DiagnosticError
        If the text is not exactly one well-formed op.
    """
    parser = Parser(text, filename, resources)
    ops = parser.top_level()
    if len(ops) != 1:
        parser.fail(f"expected one op, found {len(ops)}")
    return ops[0]
