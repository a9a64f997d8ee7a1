"""The interpreter: runs functions of any executable stage on NumPy values.

A dialect registers one function an op with :func:`impl`. What the values are is the dialect's business (dense
arrays in tir, columns in rel and sql); the interpreter only walks blocks and keeps the environment.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from irsql.ir.attributes import TensorType
from irsql.ir.core import Block, Func, IRError, Module, Op, Value

Array = npt.NDArray[Any]
Impl = Callable[["Interpreter", Any, tuple[Any, ...]], tuple[Any, ...]]
IMPLS: dict[str, Impl] = {}
"""Op name to its implementation, filled by :func:`impl`."""


def impl(cls: type[Op]) -> Callable[[Impl], Impl]:
    """Register the decorated ``(interpreter, op, operand values) -> result values`` for an op class."""

    def wrap(fn: Impl) -> Impl:
        if cls.name in IMPLS:
            raise ValueError(f"{cls.name} has two interpreter implementations")
        IMPLS[cls.name] = fn
        return fn

    return wrap


class Interpreter:
    """Executes functions of a module.

    Parameters
    ----------
    module
        The module whose functions may be run.
    parameters
        Checkpoint tensors by name.
    symbols
        Values of the symbolic dims; what is not given is read off the arguments where they are tensors.
    stored
        What ``@load`` stored, by name; filled by store ops and read by scans.
    """

    def __init__(self, module: Module, parameters: Mapping[str, Array] | None = None,
                 symbols: Mapping[str, int] | None = None, stored: dict[str, Any] | None = None) -> None:
        self.module = module
        self.parameters: Mapping[str, Array] = {} if parameters is None else parameters
        self.symbols = dict(symbols or {})
        self.stored: dict[str, Any] = stored if stored is not None else {}

    def run(self, function: str, args: Sequence[Any]) -> tuple[Any, ...]:
        """Run a function on argument values and give its results.

        Raises
        ------
        IRError
            If the function does not exist, the number of arguments is wrong or an op has no implementation.
        """
        funcs: dict[str, Func] = self.module.functions
        if function not in funcs:
            raise IRError(f"no function @{function}; the module has {', '.join('@' + f for f in funcs) or 'none'}")
        block = funcs[function].block
        for arg, value in zip(block.args, args, strict=False):
            shape = arg.type.shape if isinstance(arg.type, TensorType) else ()
            for extent, size in zip(shape, np.shape(value), strict=False):
                if not isinstance(extent, int) and str(extent).isidentifier():
                    self.symbols.setdefault(str(extent), size)
        return self.run_block(block, args)

    def run_block(self, block: Block, args: Sequence[Any], env: dict[Value, Any] | None = None) -> tuple[Any, ...]:
        """Run a block with an optional enclosing environment and give the operands of its terminator."""
        if len(args) != len(block.args):
            raise IRError(f"the block takes {len(block.args)} arguments, got {len(args)}", block.parent_op)
        env = {} if env is None else env
        env.update(zip(block.args, args, strict=True))
        for op in block.ops:
            operands = tuple(env[v] for v in op.operands)
            if op.is_terminator:
                return operands
            if op.name not in IMPLS:
                raise IRError(f"{op.name} cannot be interpreted", op)
            with np.errstate(all="ignore"):  # NaN and inf are results here, as in PyTorch
                results = IMPLS[op.name](self, op, operands)
            env.update(zip(op.results, results, strict=True))
        return ()
