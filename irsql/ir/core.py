"""Operations, values, blocks and regions: SSA with use lists.

An op class is declared by annotation and :func:`op`; type checkers read it as a dataclass::

    @op("rel.filter", pure=True)
    class Filter(Op):
        rel: Value          # operand
        body: Region        # region
        kind: str = "x"     # attribute: everything else

Operands are annotated ``Value`` (or ``Operands`` for a variadic tail), regions ``Region``. Results are given by
``result_types=[…]``. Ops compare by identity.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, ClassVar, TypeVar, cast, dataclass_transform

import attrs

from irsql.ir.attributes import Attribute, AttrValue, FunctionType, Type, attribute
from irsql.ir.location import UNKNOWN, Location
from irsql.ir.op_fields import OperandField, OpInfo


class IRError(Exception):
    """Malformed IR or misuse of the IR API; carries the op it is about where there is one."""

    def __init__(self, message: str, op: Op | None = None) -> None:
        super().__init__(message)
        self.op = op


class Value:
    """An SSA value: the result of an op or the argument of a block."""

    def __init__(self, type_: Type, name: str = "") -> None:
        self.type = type_
        self.name = name
        """A hint for printing and for table names; need not be unique."""
        self.uses: dict[tuple[Op, int], None] = {}

    @property
    def owner(self) -> Op | Block:
        """The op or block that defines this value."""
        raise NotImplementedError

    def users(self) -> list[Op]:
        """Ops that use this value, each once, in order of use."""
        return list(dict.fromkeys(user for user, _ in self.uses))

    def replace_all_uses_with(self, new: Value) -> None:
        """Make every user of this value use ``new``."""
        if new is self:
            return
        for user, index in list(self.uses):
            user.set_operand(index, new)


class OpResult(Value):
    """Result ``index`` of ``op``."""

    def __init__(self, type_: Type, op_: Op, index: int) -> None:
        super().__init__(type_)
        self.op, self.index = op_, index

    @property
    def owner(self) -> Op:
        return self.op


class BlockArg(Value):
    """Argument ``index`` of ``block``."""

    def __init__(self, type_: Type, block: Block, index: int, name: str = "") -> None:
        super().__init__(type_, name)
        self.block, self.index = block, index

    @property
    def owner(self) -> Block:
        return self.block


Operands = tuple[Value, ...]
"""Annotation of a variadic operand group; at most one an op, after the single operands."""


class Block:
    """A list of ops with arguments."""

    def __init__(self, arg_types: Iterable[Type] = (), arg_names: Iterable[str] = ()) -> None:
        self.args: list[BlockArg] = []
        self.ops: list[Op] = []
        self.parent: Region | None = None
        names = list(arg_names)
        for i, t in enumerate(arg_types):
            self.add_arg(t, names[i] if i < len(names) else "")

    def add_arg(self, type_: Type, name: str = "") -> BlockArg:
        """Append a block argument."""
        arg = BlockArg(type_, self, len(self.args), name)
        self.args.append(arg)
        return arg

    def erase_arg(self, index: int) -> None:
        """Remove an unused block argument and renumber the rest."""
        if self.args[index].uses:
            raise IRError(f"block argument {index} is still used")
        del self.args[index]
        for i, arg in enumerate(self.args):
            arg.index = i

    def append(self, op_: OpT) -> OpT:
        """Insert ``op_`` at the end and return it."""
        return self.insert(len(self.ops), op_)

    def insert(self, index: int, op_: OpT) -> OpT:
        """Insert ``op_`` before position ``index`` and return it."""
        if op_.parent is not None:
            raise IRError(f"{op_.name} already sits in a block", op_)
        self.ops.insert(index, op_)
        op_.parent = self
        return op_

    @property
    def terminator(self) -> Op:
        """The last op.

        Raises
        ------
        IRError
            If the block is empty.
        """
        if not self.ops:
            raise IRError("the block has no terminator", self.parent.parent if self.parent else None)
        return self.ops[-1]

    @property
    def parent_op(self) -> Op | None:
        """The op that holds this block, if any."""
        return self.parent.parent if self.parent else None


class Region:
    """A list of blocks owned by an op."""

    def __init__(self, *blocks: Block) -> None:
        self.blocks: list[Block] = []
        self.parent: Op | None = None
        for block in blocks:
            self.append(block)

    def append(self, block: Block) -> Block:
        """Add a block at the end."""
        block.parent = self
        self.blocks.append(block)
        return block

    def walk(self) -> Iterator[Op]:
        """Every op in the region, each before its nested ops; safe against erasure of the yielded op."""
        for block in list(self.blocks):
            for inner in list(block.ops):
                yield from inner.walk()

    @property
    def block(self) -> Block:
        """The only block.

        Raises
        ------
        IRError
            If there is not exactly one.
        """
        if len(self.blocks) != 1:
            raise IRError(f"expected a region with one block, found {len(self.blocks)}", self.parent)
        return self.blocks[0]


OpT = TypeVar("OpT", bound="Op")
OPS: dict[str, type[Op]] = {}
"""Op name to class, filled by :func:`op`."""


@dataclass_transform(eq_default=False, field_specifiers=(attrs.field,))
def op(name: str, *, pure: bool = False, terminator: bool = False) -> Callable[[type[OpT]], type[OpT]]:
    """Declare an op class.

    Parameters
    ----------
    name
        ``dialect.op``.
    pure
        The op has no effect but its results: unused, it may be erased; equal ones may be merged.
    terminator
        The op ends its block.
    """

    def wrap(cls: type[OpT]) -> type[OpT]:
        cls.name, cls.pure, cls.is_terminator = name, pure, terminator
        cls = attrs.define(cls, eq=False, slots=False, repr=False)
        operands: list[str] = []
        regions: list[str] = []
        attributes: dict[str, str] = {}
        variadic: str | None = None
        for field in attrs.fields(cast("type[attrs.AttrsInstance]", cls)):
            if field.name in ("result_types", "loc"):
                continue
            kind = field.type if isinstance(field.type, str) else getattr(field.type, "__name__", str(field.type))
            if kind.startswith("Value"):
                setattr(cls, field.name, OperandField(len(operands), variadic=False))
                operands.append(field.name)
            elif kind == "Operands":
                setattr(cls, field.name, OperandField(len(operands), variadic=True))
                variadic = field.name
            elif kind.startswith("Region"):
                regions.append(field.name)
            else:
                attributes[field.name] = field.metadata.get("key", field.name)
        cls.info = OpInfo(tuple(operands), variadic, tuple(regions), attributes)
        if name:
            if name in OPS:
                raise ValueError(f"op {name} is declared twice: {OPS[name].__module__} and {cls.__module__}")
            OPS[name] = cls
        return cls

    return wrap


@op("")
class Op:
    """Base class of all operations; see the module docstring for how to declare one."""

    result_types: Sequence[Type] = attrs.field(default=(), kw_only=True)
    loc: Location = attrs.field(default=UNKNOWN, kw_only=True)

    name: ClassVar[str]
    pure: ClassVar[bool]
    is_terminator: ClassVar[bool]
    info: ClassVar[OpInfo]

    def __attrs_post_init__(self) -> None:
        self.parent: Block | None = None
        self._operands: list[Value] = self.__dict__.setdefault("_operands", [])
        self._ready = True
        for i, value in enumerate(self._operands):
            value.uses[self, i] = None
        self.results: list[OpResult] = [OpResult(t, self, i) for i, t in enumerate(self.result_types)]
        del self.result_types  # lives on in the results
        for region in self.regions:
            region.parent = self

    # -- structure ---------------------------------------------------------------------------------
    @property
    def operands(self) -> tuple[Value, ...]:
        """All operands in order."""
        return tuple(self._operands)

    @property
    def regions(self) -> list[Region]:
        """All regions in order of declaration."""
        return [cast(Region, self.__dict__[name]) for name in self.info.regions]

    @property
    def attributes(self) -> dict[str, AttrValue]:
        """Printed name to value of every attribute that is present (not None)."""
        return {key: self.__dict__[field] for field, key in self.info.attributes.items()
                if self.__dict__[field] is not None}

    @property
    def result(self) -> OpResult:
        """The only result.

        Raises
        ------
        IRError
            If there is not exactly one.
        """
        if len(self.results) != 1:
            raise IRError(f"{self.name} has {len(self.results)} results, expected one", self)
        return self.results[0]

    @property
    def parent_op(self) -> Op | None:
        """The op whose region holds this op, if any."""
        return self.parent.parent_op if self.parent else None

    def set_operand(self, index: int, value: Value) -> None:
        """Replace one operand, keeping the use lists right."""
        self._operands[index].uses.pop((self, index), None)
        self._operands[index] = value
        value.uses[self, index] = None

    def set_operands(self, values: Sequence[Value]) -> None:
        """Replace all operands."""
        for i, old in enumerate(self._operands):
            old.uses.pop((self, i), None)
        self._operands[:] = values
        for i, new in enumerate(self._operands):
            new.uses[self, i] = None

    def walk(self) -> Iterator[Op]:
        """Every op from this one down, each before its nested ops; safe against erasure of the yielded op."""
        yield self
        for region in self.regions:
            yield from region.walk()

    # -- change ------------------------------------------------------------------------------------
    def detach(self) -> None:
        """Take the op out of its block, keeping its operands."""
        if self.parent is not None:
            self.parent.ops.remove(self)
            self.parent = None

    def erase(self) -> None:
        """Remove the op and everything in it.

        Raises
        ------
        IRError
            If a result is still used.
        """
        for res in self.results:
            if res.uses:
                users = ", ".join(u.name for u in res.users()[:3])
                raise IRError(f"cannot erase {self.name}: result {res.index} is still used by {users}", self)
        self.detach()
        self.drop_uses()

    def drop_uses(self) -> None:
        """Remove this op and its nested ops from the use lists of their operands."""
        for inner in self.walk():
            for i, value in enumerate(inner._operands):
                value.uses.pop((inner, i), None)

    def replace_with(self, *values: Value) -> None:
        """Replace all results by ``values`` and erase the op."""
        if len(values) != len(self.results):
            raise IRError(f"{self.name} has {len(self.results)} results, got {len(values)} replacements", self)
        for old, new in zip(self.results, values, strict=True):
            if old.name and not new.name:
                new.name = old.name
            old.replace_all_uses_with(new)
        self.erase()

    def clone(self, mapping: dict[Value, Value] | None = None) -> Op:
        """A deep copy whose operands go through ``mapping``, which gets the results and block arguments.

        Values that are not in the mapping stay.
        """
        mapping = {} if mapping is None else mapping
        cls = type(self)
        fields: dict[str, Any] = {f: self.__dict__[f] for f in self.info.attributes}
        mapped = [mapping.get(v, v) for v in self._operands]
        fields |= dict(zip(self.info.operands, mapped, strict=False))
        if self.info.variadic:
            fields[self.info.variadic] = tuple(mapped[len(self.info.operands):])
        for name in self.info.regions:
            fields[name] = clone_region(cast(Region, self.__dict__[name]), mapping)
        new = cls(**fields, result_types=[r.type for r in self.results], loc=self.loc)
        for old, res in zip(self.results, new.results, strict=True):
            res.name = old.name
            mapping[old] = res
        return new

    def verify(self) -> None:
        """Check what the op's declaration does not: override, raise :class:`IRError` (pass ``self``)."""


def clone_region(region: Region, mapping: dict[Value, Value]) -> Region:
    """A deep copy of a region; see :meth:`Op.clone`."""
    out = Region()
    for block in region.blocks:
        copy = Block([a.type for a in block.args], [a.name for a in block.args])
        mapping.update(zip(block.args, copy.args, strict=True))
        for inner in block.ops:
            copy.append(inner.clone(mapping))
        out.append(copy)
    return out


class Builder:
    """Inserts ops at a point, with a default location."""

    def __init__(self, block: Block, before: Op | None = None, loc: Location = UNKNOWN) -> None:
        self.block, self.before, self.loc = block, before, loc

    @classmethod
    def before_op(cls, op_: Op) -> Builder:
        """A builder that inserts before ``op_`` with its location."""
        if op_.parent is None:
            raise IRError("the op sits in no block", op_)
        return cls(op_.parent, op_, op_.loc)

    def insert(self, op_: OpT, name: str = "") -> OpT:
        """Insert ``op_``; gives it the builder's location if it has none and its first result the name hint."""
        if not op_.loc.known:
            op_.loc = self.loc
        if name and op_.results:
            op_.results[0].name = name
        index = len(self.block.ops) if self.before is None else self.block.ops.index(self.before)
        return self.block.insert(index, op_)


@op("builtin.module")
class Module(Op):
    """The top-level op: functions, plus what the whole program carries (target, options, calibration)."""

    body: Region
    attrs_: Mapping[str, AttrValue] = attrs.field(factory=dict[str, AttrValue], metadata={"key": "irsql.attrs"})

    @classmethod
    def empty(cls, **attributes: AttrValue) -> Module:
        """A module without functions."""
        return cls(body=Region(Block()), attrs_=dict(attributes))

    @property
    def functions(self) -> dict[str, Func]:
        """Functions by symbol name, in order."""
        return {f.sym_name: f for f in self.body.block.ops if isinstance(f, Func)}

    def add(self, func: Func) -> Func:
        """Append a function."""
        return self.body.block.append(func)


@attribute("irsql.arg")
class ArgInfo(Attribute):
    """What an argument of a function is and which values it takes.

    Attributes
    ----------
    role
        ``input`` (given by the caller), ``control`` (a scalar row the driver sets), ``state`` (a version of a state).
    domain
        ``normal`` (floats drawn from N(0, 1)), ``range`` (integers in ``[low, high)``), ``positions`` (consecutive
        along the last axis, each row from a place of its own, the first from ``low``), ``last`` (an index of symbol
        ``of``), ``mask`` (0 or 1), ``interval`` (any numbers in ``[low, high)``).
    low, high
        Bounds of ``range``, ``interval`` and ``positions``.
    of
        A symbol, for ``last``.
    """

    role: str = "input"
    domain: str = "normal"
    low: int = 0
    high: int = 0
    of: str = ""


@op("func.func")
class Func(Op):
    """A function; its dims stand once, here, as ranges of the symbols its types use."""

    body: Region
    sym_name: str
    function_type: FunctionType
    dims: Mapping[str, AttrValue] = attrs.field(factory=dict[str, AttrValue], metadata={"key": "irsql.dims"})
    """Symbol to ``(min, max)``."""
    args: tuple[AttrValue, ...] = attrs.field(default=(), metadata={"key": "irsql.args"})
    """One :class:`ArgInfo` an argument."""
    outputs: tuple[AttrValue, ...] = attrs.field(default=(), metadata={"key": "irsql.results"})
    """Names of the results."""

    @classmethod
    def build(cls, name: str, inputs: Sequence[tuple[str, Type]], results: Sequence[Type] = (),
              dims: Mapping[str, AttrValue] | None = None, args: Sequence[AttrValue] = (),
              outputs: Sequence[str] = (), loc: Location = UNKNOWN) -> Func:
        """A function with an empty entry block whose arguments are ``inputs``; end it with :meth:`ret`."""
        block = Block([t for _, t in inputs], [n for n, _ in inputs])
        return cls(body=Region(block), sym_name=name,
                   function_type=FunctionType(tuple(t for _, t in inputs), tuple(results)), dims=dict(dims or {}),
                   args=tuple(args), outputs=tuple(outputs), loc=loc)

    @property
    def block(self) -> Block:
        """The entry block."""
        return self.body.block

    def ret(self, *values: Value) -> None:
        """Append ``func.return`` and fix the function type."""
        self.block.append(Return(values=values))
        self.update_type()

    def update_type(self) -> None:
        """Recompute the function type from the block arguments and the return op."""
        self.function_type = FunctionType(tuple(a.type for a in self.block.args),
                                          tuple(v.type for v in self.block.terminator.operands))


@op("func.return", terminator=True)
class Return(Op):
    """Ends a function and gives its results."""

    values: Operands
