"""Reductions of the structure: fewer functions, results, operations, arguments and operands."""

from __future__ import annotations

from irsql.dialects.tir import ops as tir
from irsql.ir.attributes import ScalarType, TensorType, Type
from irsql.ir.core import ArgInfo, Module, OpResult, Value
from irsql.ir.rewriter import Rewriter
from irsql.passes.tir.canonicalise import DropUnusedInputs
from irsql.tools.reduce.base import (
    Chosen,
    Reduction,
    add_argument,
    body_ops,
    drop_argument,
    erase_unused,
    functions,
    infos,
    results_of,
    set_results,
)


class DropFunctions(Reduction):
    """Removes functions."""

    name = "functions"

    def apply(self, module: Module, chosen: Chosen) -> None:
        for func in functions(module):
            if chosen():
                func.erase()


class DropOps(Reduction):
    """Removes operations of functions, the last first.

    What is left stays alive and computable: a result of a removed operation that is still used becomes an argument of
    the function, and a value that only removed operations used becomes a result of it.
    """

    name = "operations"

    def apply(self, module: Module, chosen: Chosen) -> None:
        for func in functions(module):
            removed = [op for op in reversed(func.block.ops) if not op.is_terminator and chosen()]
            loose: dict[Value, None] = {}
            for op in removed:
                for result in op.results:
                    if result.uses:
                        result.replace_all_uses_with(add_argument(func, result, _info(result.type)))
                loose.update(dict.fromkeys(v for nested in op.walk() for v in nested.operands))
                op.erase()
            kept = [v for v in loose if isinstance(v, OpResult) and v.op.parent is func.block and not v.uses]
            if kept:  # in front: the new versions of states come last
                set_results(func, [*((v.name or f"result{i}", v) for i, v in enumerate(reversed(kept))),
                                   *results_of(func)])
            func.update_type()


def _info(type_: Type) -> ArgInfo:
    """Values that are right for any use: 0 for integers, which may be indices."""
    dtype = type_.dtype if isinstance(type_, TensorType) else None
    integers = isinstance(dtype, ScalarType) and not dtype.is_float and dtype.name != "i1"
    return ArgInfo(domain="range", low=0, high=1) if integers else ArgInfo()


class Bypass(Reduction):
    """Removes operations, of functions and of regions, whose result can be an operand of the same type instead."""

    name = "operations by their operands"

    def apply(self, module: Module, chosen: Chosen) -> None:
        for op in list(body_ops(module)):
            new = [next((v for v in op.operands if v.type == r.type), None) for r in op.results]
            if op.parent is None or not new or None in new or not chosen():
                continue
            old = op.operands
            op.replace_with(*(v for v in new if v is not None))
            erase_unused(old)
        for func in functions(module):
            func.update_type()


class Reuse(Reduction):
    """Replaces operations of functions by the first value of the same type there is, arguments first."""

    name = "operations by earlier values"

    def apply(self, module: Module, chosen: Chosen) -> None:
        for func in functions(module):
            first: dict[Type, Value] = {}
            for arg in func.block.args:
                first.setdefault(arg.type, arg)
            for op in list(func.block.ops):
                known = [first.get(r.type) for r in op.results]
                if known and None not in known and chosen():
                    old = op.operands
                    op.replace_with(*(v for v in known if v is not None))
                    erase_unused(old)
                    continue
                for result in op.results:
                    first.setdefault(result.type, result)
            func.update_type()


class DropResults(Reduction):
    """Removes results of functions, and what only they needed; with the new version of a state its old one."""

    name = "results"

    def apply(self, module: Module, chosen: Chosen) -> None:
        for func in functions(module):
            states = [arg for arg, info in zip(func.block.args, infos(func), strict=True) if info.role == "state"]
            pairs = results_of(func)
            dropped = {i for i in range(len(pairs)) if chosen()}
            set_results(func, [pair for i, pair in enumerate(pairs) if i not in dropped])
            erase_unused(pairs[i][1] for i in dropped)
            first = len(pairs) - len(states)
            for i in dropped:
                if i >= first and not states[i - first].uses:
                    drop_argument(func, states[i - first].index)
            func.update_type()


class DropArguments(Reduction):
    """Removes arguments of functions that nothing uses."""

    name = "arguments"

    def apply(self, module: Module, chosen: Chosen) -> None:
        for func in functions(module):
            unused = [a for a, info in zip(func.block.args, infos(func), strict=True)
                      if not a.uses and info.role != "state"]
            for arg in reversed(unused):
                if chosen():
                    drop_argument(func, arg.index)
            func.update_type()


class DropInputs(Reduction):
    """Removes inputs of maps that their bodies do not read."""

    name = "operands"

    def apply(self, module: Module, chosen: Chosen) -> None:
        for op in list(body_ops(module)):
            old = op.operands
            if isinstance(op, tir.Map) and any(not a.uses for a in op.body.block.args) and chosen():
                DropUnusedInputs().rewrite(op, Rewriter())
                erase_unused(old)
