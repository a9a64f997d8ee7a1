"""Checks everything an op's declaration promises; collects all problems before it fails."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, cast

import attrs

from irsql.ir.affine import AffineMap
from irsql.ir.attributes import Attribute, DenseElements, ScalarType, TensorType
from irsql.ir.core import Block, BlockArg, Func, IRError, Module, Op, OpResult, Region, Return, Value
from irsql.ir.diagnostics import Diagnostic, DiagnosticError
from irsql.ir.dims import SymDim
from irsql.ir.printer import FLOAT_BITS
from irsql.ir.typecheck import conforms, field_types, fields_of

MAX_PROBLEMS = 50
"""Verification stops after this many problems."""

_SCALARS = {*FLOAT_BITS, "i64", "i32", "i16", "i8", "i1", "index"}


class _TooManyError(Exception):
    """Ends a verification that has found enough."""


class _Verifier:
    """One verification; attributes and types are looked at once each."""

    def __init__(self, root: Op) -> None:
        self.root = root
        self.problems: list[Diagnostic] = []
        self.ops: set[Op] = set()
        self.visible: set[Value] = set()
        self.symbols: frozenset[str] | None = None
        self._open_blocks: dict[Block, None] = {}
        self._checked: dict[int, tuple[object, frozenset[str]]] = {}

    def problem(self, message: str, op: Op | None, suggestion: str = "") -> None:
        self.problems.append(Diagnostic(message, op=op, suggestion=suggestion))
        if len(self.problems) >= MAX_PROBLEMS:
            raise _TooManyError

    def run(self) -> None:
        try:
            if self.root.parent is not None:  # a part of something: what surrounds it is visible
                self._enter_surroundings()
            self.op(self.root)
            self.uses()
        except _TooManyError:
            pass

    def _enter_surroundings(self) -> None:
        op: Op | None = self.root
        while op is not None and op.parent is not None:
            block = op.parent
            self.visible.update(block.args)
            for earlier in block.ops[: block.ops.index(op) if op in block.ops else 0]:
                self.visible.update(earlier.results)
            op = block.parent_op
            if isinstance(op, Func):
                self.symbols = frozenset(_dims(op))
                break

    # -- ops ---------------------------------------------------------------------------------------
    def op(self, op: Op) -> None:
        if op in self.ops:
            self.problem(f"{op.name} stands in two places", op)
            return
        self.ops.add(op)
        before = len(self.problems)
        outer_symbols = self.symbols
        if isinstance(op, Func):
            self._function_head(op)
        self._operands(op)
        self._attributes(op)
        for i, res in enumerate(op.results):
            if res.op is not op or res.index != i:
                self.problem(f"result {i} of {op.name} does not know its place", op)
            self._type(res.type, f"result {i}", op)
        self._regions(op)
        if len(self.problems) == before:
            self._hook(op)
        self.symbols = outer_symbols
        self.visible.update(op.results)

    def _operands(self, op: Op) -> None:
        fixed, found = len(op.info.operands), len(op.operands)
        if found < fixed or (found > fixed and not op.info.variadic):
            at_least = "at least " if op.info.variadic else ""
            self.problem(f"{op.name} takes {at_least}{fixed} operands, found {found}", op)
        for i, value in enumerate(op.operands):
            if not isinstance(value, Value):  # pyright: ignore[reportUnnecessaryIsInstance]
                self.problem(f"operand {i} of {op.name} is no value: {value!r}", op)
                continue
            if (op, i) not in value.uses:
                self.problem(f"operand {i} of {op.name} does not know of this use", op,
                             "change operands with set_operand, not in the list itself")
            if value not in self.visible:
                self.problem(f"operand {i} of {op.name} {self._where(value)}", op)

    def _where(self, value: Value) -> str:
        """Why a value is not visible."""
        holder: Op | None = value.op if isinstance(value, OpResult) else None
        block = value.block if isinstance(value, BlockArg) else holder.parent if holder is not None else None
        if block is None or (holder is not None and holder not in block.ops):
            return f"is the result of {holder.name if holder is not None else 'nothing'}, which stands in no block"
        if block not in self._open_blocks:
            return "is defined in a region that does not enclose its use"
        return f"is used before {holder.name if holder is not None else 'its block'} defines it"

    def _attributes(self, op: Op) -> None:
        types = field_types(type(op))
        declared = fields_of(type(op))
        for field, key in op.info.attributes.items():
            value = op.__dict__.get(field)
            if value is None and declared[field].default is not None and declared[field].default is not attrs.NOTHING:
                continue
            if not conforms(value, types.get(field, Any)):
                self.problem(f"attribute {key!r} of {op.name} cannot be {value!r}", op,
                             f"it must be {declared[field].type}")
            self._value(value, f"attribute {key!r}", op)

    def _hook(self, op: Op) -> None:
        """Calls ``op.verify()``; only on an op that is right so far, so that hooks may rely on the declaration."""
        try:
            op.verify()
        except DiagnosticError as error:
            self.problems += error.diagnostics
        except IRError as error:
            self.problem(str(error), error.op or op)
        except Exception as error:  # a hook may be anybody's code; the other problems must still be shown
            self.problem(f"the check of {op.name} failed with {type(error).__name__}: {error}", op)

    # -- regions -----------------------------------------------------------------------------------
    def _regions(self, op: Op) -> None:
        outer_visible = self.visible
        outer_blocks = self._open_blocks
        if isinstance(op, Func | Module):  # nothing from outside is visible
            self.visible, self._open_blocks = set(), {}
        for name in op.info.regions:
            region = op.__dict__.get(name)
            if not isinstance(region, Region):
                self.problem(f"region {name!r} of {op.name} is missing", op)
                continue
            if region.parent is not op:
                self.problem(f"region {name!r} of {op.name} does not know its op", op)
            for block in region.blocks:
                if block.parent is not region:
                    self.problem(f"a block in region {name!r} of {op.name} does not know its region", op)
                if len(region.blocks) > 1 and not (block.ops and block.ops[-1].is_terminator):
                    self.problem(f"a block of region {name!r} of {op.name} does not end in a terminator", op)
                self._block(block, op)
        self.visible, self._open_blocks = outer_visible, outer_blocks

    def _block(self, block: Block, holder: Op) -> None:
        outer = self._open_blocks
        self._open_blocks = {**outer, block: None}
        for i, arg in enumerate(block.args):
            if arg.block is not block or arg.index != i:
                self.problem(f"argument {i} of a block of {holder.name} does not know its place", holder)
            self._type(arg.type, f"block argument {i}", holder)
        defined: list[Value] = [*block.args]
        self.visible.update(defined)
        for i, op in enumerate(block.ops):
            if op.parent is not block:
                self.problem(f"{op.name} does not know the block it stands in", op)
            if op.is_terminator and i + 1 < len(block.ops):
                self.problem(f"{op.name} ends a block but {block.ops[i + 1].name} follows it", op)
            self.op(op)
            defined += op.results
        self.visible.difference_update(defined)
        self._open_blocks = outer

    def _function_head(self, op: Func) -> None:
        """Dims, type and terminator of a function; opens its symbols."""
        self.symbols = frozenset(_dims(op))
        for symbol, limits in _dims(op).items():
            if not conforms(limits, tuple[int, int]) or not 0 <= limits[0] <= limits[1]:
                self.problem(f"the range of {symbol} must be (min, max) with 0 <= min <= max, found {limits!r}", op)
        body = op.__dict__.get("body")
        if not isinstance(body, Region) or len(body.blocks) != 1:
            self.problem(f"@{op.sym_name} needs a body with one block", op)
            return
        block = body.blocks[0]
        if not block.ops or not isinstance(block.ops[-1], Return):
            self.problem(f"@{op.sym_name} does not end in func.return", op)
            return
        type_ = op.function_type
        inputs = tuple(a.type for a in block.args)
        results = tuple(v.type for v in block.ops[-1].operands)
        for what, declared, found in (("arguments", type_.inputs, inputs), ("results", type_.results, results)):
            if declared != found:
                self.problem(f"the {what} of @{op.sym_name} do not have the types its function_type says", op,
                             "Func.update_type() recomputes it")
        for what, names, count in (("irsql.args", op.args, len(inputs)), ("irsql.results", op.outputs, len(results))):
            if names and len(names) != count:
                self.problem(f"{what} of @{op.sym_name} has {len(names)} entries for {count}", op)

    # -- attributes and types ----------------------------------------------------------------------
    def _type(self, type_: object, what: str, op: Op) -> None:
        if not isinstance(type_, Attribute):
            self.problem(f"{what} of {op.name} has no type", op)
            return
        self._value(type_, f"the type of {what}", op)

    def _value(self, value: object, what: str, op: Op) -> None:
        """Check a value and that its symbols are declared; equal objects are checked once."""
        known = self._checked.get(id(value))
        if known is None:
            found: set[str] = set()
            for message in _problems_of(value, found):
                self.problem(f"{what} of {op.name}: {message}", op)
            known = self._checked[id(value)] = value, frozenset(found)
        if known[1] and self.symbols is not None and (undeclared := known[1] - self.symbols):
            names = ", ".join(sorted(undeclared))
            self.problem(f"{what} of {op.name} uses {names}, which the function does not declare", op,
                         "declare its range in irsql.dims of the function")

    def uses(self) -> None:
        """The use lists of all values name only uses that exist."""
        for op in self.ops:
            values: Iterator[Value] = iter(
                [*op.results, *(a for r in op.info.regions if isinstance(op.__dict__.get(r), Region)
                                for b in op.__dict__[r].blocks for a in b.args)])
            for value in values:
                for user, index in value.uses:
                    what = f"a result or argument of {op.name} is listed as operand {index} of {user.name}"
                    if index >= len(user.operands) or user.operands[index] is not value:
                        self.problem(f"{what}, which uses another value", op)
                    elif user not in self.ops and op is not self.root:
                        self.problem(f"{what}, which is not in the IR", op,
                                     "erase an op that is not needed, do not only detach it")


def _dims(func: Func) -> dict[str, Any]:
    """The dims of a function; none where the attribute is no mapping, which is a problem of its own."""
    dims: object = func.__dict__.get("dims")
    return dict(cast("Mapping[str, Any]", dims)) if isinstance(dims, Mapping) else {}


def _problems_of(value: object, symbols: set[str]) -> Iterator[str]:
    """What is wrong with an attribute value, at any depth; gathers its symbols."""
    match value:
        case None | bool() | int() | float() | str():
            return
        case AffineMap():
            symbols.update(value.symbols)
        case SymDim():
            symbols |= value.symbols()
        case tuple():
            for item in cast("tuple[object, ...]", value):
                yield from _problems_of(item, symbols)
        case Mapping():
            for key, item in cast("Mapping[object, object]", value).items():
                if not isinstance(key, str) or not key:
                    yield f"the key {key!r} is no text"
                yield from _problems_of(item, symbols)
        case Attribute():
            yield from _problems_of_attribute(value, symbols)
        case _:
            yield f"{value!r} of class {type(value).__name__} is no attribute value"


def _problems_of_attribute(value: Attribute, symbols: set[str]) -> Iterator[str]:
    if isinstance(value, ScalarType):
        if value.name not in _SCALARS:
            yield f"{value.name!r} is no scalar type"
        return
    if isinstance(value, DenseElements):
        if value.array.dtype != value.dtype.numpy:
            yield f"an array of {value.array.dtype} cannot hold {value.dtype}"
        return
    if isinstance(value, TensorType):
        for dim in value.shape:
            if isinstance(dim, int) and dim < 0:
                yield f"the extent {dim} is negative"
    count = 0
    types = field_types(type(value))
    for name, field in fields_of(type(value)).items():
        item = getattr(value, name)
        if not conforms(item, types.get(name, Any)):
            yield f"parameter {name!r} cannot be {item!r}: it must be {field.type}"
            count += 1
        for message in _problems_of(item, symbols):
            yield message
            count += 1
    if count:
        return
    try:
        value.verify()
    except Exception as error:  # a hook may be anybody's code; the other problems must still be shown
        yield str(error) or type(error).__name__


def problems(op: Op) -> list[Diagnostic]:
    """Everything that is wrong with an op and what it holds, up to :data:`MAX_PROBLEMS`."""
    verifier = _Verifier(op)
    verifier.run()
    if isinstance(op, Module) and isinstance(op.__dict__.get("body"), Region):
        seen: set[str] = set()
        for block in op.body.blocks:
            for func in block.ops:
                if isinstance(func, Func):
                    if func.sym_name in seen:
                        verifier.problems.append(Diagnostic(f"two functions are named @{func.sym_name}", op=func))
                    seen.add(func.sym_name)
    return verifier.problems


def verify(op: Op) -> None:
    """Check an op and everything in it.

    Structure (parents, use lists, definition before use), what the declarations say (operands, regions, attribute
    types), functions (types, terminators, symbols), and the ``verify`` hooks of ops and attributes.

    Raises
    ------
    DiagnosticError
        With every problem found.
    """
    found = problems(op)
    if found:
        raise DiagnosticError(found)
