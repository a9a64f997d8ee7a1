"""What a target is: its tables, its expressions and its driver; and how a module of the sql stage becomes a program."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from typing import Any

import attrs

from irsql.dialects.rel.types import rel
from irsql.dialects.sql import ops as so
from irsql.ir.core import IRError, Module
from irsql.ir.printer import print_op
from irsql.ir.target import Target, target_of
from irsql.targets.emit import DIMS, FunctionEmitter, spec, table
from irsql.targets.expressions import Emitter
from irsql.targets.names import Names
from irsql.targets.program import ConstantData, LoadStep, Program, Stored


@attrs.frozen
class Backend:
    """An engine: data for the passes and classes for the emitter.

    Attributes
    ----------
    target
        Capability and cost tables.
    emitter
        Expressions.
    """

    target: Target
    emitter: type[Emitter]


def emit_program(module: Module, backend: Backend, steps: dict[str, tuple[LoadStep, ...]],
                 constants: dict[str, ConstantData], meta: dict[str, Any],
                 name_of: Callable[[Stored], str] | None = None) -> Program:
    """The program of a module.

    Parameters
    ----------
    module
        At the sql stage.
    backend
        The engine.
    steps
        How each stored relation is computed from the checkpoint.
    constants
        Arrays those steps push.
    meta
        Facts for the runtime.
    name_of
        Names the tables of stored relations; by default they are called after what they store.

    Raises
    ------
    IRError
        If something has no SQL form.
    """
    names = Names()
    functions = {}
    stored: list[Stored] = []
    load = module.functions.get("load")
    for op in load.block.ops if load else ():
        if isinstance(op, so.Store):
            if op.store not in steps:
                raise IRError(f"the loader does not know how to compute {op.store}", op)
            made = Stored(spec(names.mangle(f"stored.{op.store}"), op.store, rel(op.x)), steps[op.store])
            if name_of is not None:
                made = attrs.evolve(made, table=attrs.evolve(made.table, name=name_of(made)))
                names.given[f"stored.{op.store}"] = made.table.name
            stored.append(made)
    for name, func in module.functions.items():
        if name != "load":
            e = backend.emitter(backend.target.functions, table(DIMS))
            functions[name] = FunctionEmitter(func, e, backend.target.dialect, names).run()
    text = print_op(load, locations=False) if load else ""
    digest = hashlib.sha256((text + repr(stored)).encode()).hexdigest()
    return Program(backend.target.name, backend.target.version, functions, tuple(stored), DIMS, digest, meta, constants)


def emit_sql(module: Module) -> dict[str, list[str]]:
    """The statements of every function but ``@load``, in the dialect of the module's own target.

    Raises
    ------
    IRError
        If the module is not at the sql stage or carries no target.
    """
    target = target_of(module)
    if target is None:
        raise IRError("SQL is written for a target, and the module carries none: give --target", module)
    stage = module.attrs_.get("stage")
    if stage != "sql":
        raise IRError(f"SQL is written from the sql stage, this module is of stage {stage}", module)
    names, out = Names(), {}
    stores = [op.store for f in module.functions.values() for op in f.block.ops if isinstance(op, so.Store)]
    for store in stores:
        names.mangle(f"stored.{store}")  # as in a program: in the order of @load
    for name, func in module.functions.items():
        if name != "load":
            e = backend(target.name).emitter(target.functions, table(DIMS))
            out[name] = [s.sql for s in FunctionEmitter(func, e, target.dialect, names).run().statements]
    return out


def backend(name: str) -> Backend:
    """The engine called ``name``.

    Raises
    ------
    IRError
        If there is none.
    """
    from irsql.targets.duckdb_tables import DUCKDB

    known: Sequence[Backend] = (DUCKDB,)
    for b in known:
        if b.target.name == name:
            return b
    raise IRError(f"unknown target {name!r}; there are {', '.join(b.target.name for b in known)}")
