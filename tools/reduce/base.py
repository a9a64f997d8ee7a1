"""What every reduction is, and the changes of a function that several of them share."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, ClassVar

from irsql.ir.attributes import Attribute, DenseElements
from irsql.ir.core import ArgInfo, Func, Module, Op, OpResult, Value
from irsql.ir.typecheck import fields_of

Chosen = Callable[[], bool]
"""Asked once for each target of a reduction, in order: whether to reduce it."""


class Reduction:
    """One way to make a module smaller, applied to any choice of its targets (as in llvm-reduce).

    ``apply`` walks over the targets, always in the same order, asks ``chosen()`` once for each and reduces those that
    are. It may leave invalid IR behind, or the module as it was: such candidates are dropped before they are tested.
    Reduced targets must be gone, or be no targets any more, so that repeating a reduction comes to an end.
    """

    name: ClassVar[str] = ""

    def apply(self, module: Module, chosen: Chosen) -> None:
        """Change ``module`` in place."""
        raise NotImplementedError


def functions(module: Module) -> list[Func]:
    """The functions; a list, so that they may be erased."""
    return list(module.functions.values())


def body_ops(module: Module) -> Iterator[Op]:
    """Every op inside of a function, at any depth, without the terminators."""
    for func in functions(module):
        for op in func.body.walk():
            if not op.is_terminator:
                yield op


def values(op: Op) -> list[Value]:
    """The results of an op and the arguments of its blocks."""
    return [*op.results, *(arg for region in op.regions for block in region.blocks for arg in block.args)]


def erase_unused(defined: Iterable[Value]) -> None:
    """Erase the pure ops that define these values where nothing uses them, and what only they used."""
    waiting = [v for v in defined if isinstance(v, OpResult)]
    while waiting:
        op = waiting.pop().op
        if op.parent is not None and op.pure and not any(r.uses for r in op.results):
            inner = [v for nested in op.walk() for v in nested.operands]
            op.erase()
            waiting += [v for v in inner if isinstance(v, OpResult) and v.op.parent is not None]


# -- signatures ----------------------------------------------------------------------------------------
def infos(func: Func) -> list[ArgInfo]:
    """A description for each argument, made up where the function has none."""
    given = [a for a in func.args if isinstance(a, ArgInfo)]
    return given if len(given) == len(func.block.args) else [ArgInfo() for _ in func.block.args]


def add_argument(func: Func, like: Value, info: ArgInfo) -> Value:
    """A new last argument of the type of ``like``."""
    func.args = (*infos(func), info)
    return func.block.add_arg(like.type, like.name)


def drop_argument(func: Func, index: int) -> None:
    """Remove an unused argument and its description."""
    if func.args:
        func.args = tuple(a for i, a in enumerate(infos(func)) if i != index)
    func.block.erase_arg(index)


def set_results(func: Func, results: Iterable[tuple[str, Value]]) -> None:
    """Make a function return other values; names are kept only where it had some."""
    pairs = list(results)
    if func.outputs:
        func.outputs = tuple(name for name, _ in pairs)
    func.block.terminator.set_operands([value for _, value in pairs])


def results_of(func: Func) -> list[tuple[str, Value]]:
    """Name ("" where it has none) and value of every result."""
    operands = func.block.terminator.operands
    names = [str(n) for n in func.outputs] if len(func.outputs) == len(operands) else [""] * len(operands)
    return list(zip(names, operands, strict=True))


# -- values of attributes ------------------------------------------------------------------------------
def rebuilt(value: Any, change: Callable[[Any], Any]) -> Any:
    """An attribute value with ``change`` applied from the outside in; where it gives None, the parts are changed."""
    new = change(value)
    if new is not None:
        return new
    if isinstance(value, tuple):
        return tuple(rebuilt(v, change) for v in value)
    if isinstance(value, Mapping):
        return {k: rebuilt(v, change) for k, v in value.items()}
    if isinstance(value, Attribute) and not isinstance(value, DenseElements):
        cls: Any = type(value)
        return cls(*(rebuilt(getattr(value, name), change) for name in fields_of(cls)))
    return value


def change_types(module: Module, change: Callable[[Any], Any]) -> None:
    """Apply ``change`` to the types of all values and mend the types of functions."""
    for op in module.walk():
        for value in values(op):
            value.type = rebuilt(value.type, change)
    for func in functions(module):
        func.update_type()
