"""What a target is: its tables and its expressions; and how a module of the sql stage becomes a program.

A package outside the project adds a target with an entry point that names a :class:`Backend`::

    [project.entry-points."irsql.targets"]
    mine = "my_package.mine:BACKEND"
"""

from __future__ import annotations

import hashlib
import importlib
import os
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import attrs

from irsql.dialects.rel.types import rel
from irsql.dialects.sql import ops as so
from irsql.ir.core import IRError, Module
from irsql.ir.printer import print_op
from irsql.ir.registry import declared
from irsql.ir.target import Target, target_of
from irsql.targets.control import empties
from irsql.targets.emit import DIMS, FunctionEmitter, spec, table
from irsql.targets.expressions import Emitter
from irsql.targets.names import Names
from irsql.targets.program import ConstantData, LoadStep, Program, Stored

if TYPE_CHECKING:
    from irsql.targets.driver import Driver
    from irsql.targets.shell import Shell

DEFAULT_TARGET = "duckdb"
BACKENDS = {
    "duckdb": "irsql.targets.duckdb_tables:DUCKDB", "sqlite": "irsql.targets.sqlite_tables:SQLITE",
    "postgres": "irsql.targets.postgres_tables:POSTGRES", "pgvector": "irsql.targets.postgres_tables:PGVECTOR",
    "pgvector-half": "irsql.targets.postgres_tables:PGVECTOR_HALF",
}  # fmt: skip
"""Targets of the project: name to where its :class:`Backend` is."""


@attrs.frozen
class Backend:
    """An engine: data for the passes and classes for the emitter.

    Attributes
    ----------
    target
        Capability and cost tables.
    emitter
        Expressions.
    driver
        Where its :class:`irsql.targets.driver.Driver` is, as ``module:Class``, imported when something runs; empty for
        a target whose programs are text for the engine's own shell.
    shell
        Where its :class:`irsql.targets.shell.Shell` is, likewise; empty where irsql writes no scripts for one.
    passes
        Options of passes of the default pipeline, as text by the pass's name, where the engine wants others than the
        passes' own defaults.
    """

    target: Target
    emitter: type[Emitter]
    driver: str = ""
    shell: str = ""
    passes: Mapping[str, str] = attrs.field(factory=dict)


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
            functions[name] = FunctionEmitter(func, e, backend.target.dialect, names, empties(backend.target)).run()
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
            emitted = FunctionEmitter(func, e, target.dialect, names, empties(target)).run()
            out[name] = [s.sql for s in emitted.statements]
    return out


@cache
def backends() -> dict[str, str]:
    """All known targets, name to ``module:object``.

    Raises
    ------
    IRError
        If two packages declare the same name.
    """
    return declared("target", BACKENDS)


def backend(name: str) -> Backend:
    """The target called ``name``.

    Raises
    ------
    IRError
        If there is none, or its package does not hold what it declares.
    """
    place = backends().get(name)
    if place is None:
        raise IRError(f"unknown target {name!r}; there are {', '.join(backends())}")
    module, _, attribute = place.partition(":")
    try:
        found = getattr(importlib.import_module(module), attribute)
    except (ImportError, AttributeError) as error:
        raise IRError(f"target {name!r} is declared by {place}, which cannot be imported: {error}") from error
    if not isinstance(found, Backend) or found.target.name != name:
        raise IRError(f"target {name!r} is declared by {place}, which is no Backend of that name")
    return found


def runnable(name: str) -> Backend:
    """The target called ``name``, where irsql can run what is compiled for it.

    Raises
    ------
    IRError
        If there is no such target, or no driver for it: its programs are text for its own shell.
    """
    found = backend(name)
    if not found.driver:
        raise IRError(f"the target {name!r} can be compiled for (irsql-opt --emit-sql) and not run: it names no driver")
    return found


def driver(name: str) -> type[Driver]:
    """The driver of the target called ``name``.

    Raises
    ------
    IRError
        If there is none, or its package does not hold what it declares.
    """
    from irsql.targets.driver import Driver

    return _imported(f"the target {name!r} is driven by", runnable(name).driver, Driver)  # type: ignore[type-abstract]


def shell(name: str) -> Shell:
    """What scripts for the target called ``name`` are written with.

    Raises
    ------
    IRError
        If there is no such target, it names none, or its package does not hold what it declares.
    """
    from irsql.targets.shell import Shell

    place = backend(name).shell
    if not place:
        raise IRError(f"irsql writes no scripts for the target {name!r}: it names no shell")
    return _imported(f"the scripts of the target {name!r} are written by", place, Shell)()  # type: ignore[type-abstract]


T = TypeVar("T")


def _imported(what: str, place: str, base: type[T]) -> type[T]:
    """The class at ``module:Class``."""
    module, _, attribute = place.partition(":")
    try:
        found = getattr(importlib.import_module(module), attribute)
    except (ImportError, AttributeError) as error:
        raise IRError(f"{what} {place}, which cannot be imported: {error}") from error
    if not isinstance(found, type) or not issubclass(found, base):
        raise IRError(f"{what} {place}, which is no {base.__name__}")
    return found


def driver_of(place: str | os.PathLike[str]) -> type[Driver]:
    """The driver whose engine wrote a file or a folder, or has servers with such addresses.

    That of the first target where none knows a place.

    Raises
    ------
    IRError
        If no engine has servers with addresses of this scheme.
    """
    from irsql.targets.driver import HEAD, scheme_of

    first = driver(next(iter(BACKENDS)))
    drivers = (driver(name) for name in backends() if backend(name).driver)
    scheme = scheme_of(place)
    if scheme:
        found = next((d for d in drivers if scheme in d.schemes), None)
        if found is None:
            raise IRError(f"no target has servers with addresses that begin with {scheme}://")
        return found
    path = Path(place)
    if path.is_dir():
        return next((d for d in drivers if d.recognises_folder(path)), first)
    try:
        with open(path, "rb") as stream:
            head = stream.read(HEAD)
    except OSError:
        head = b""
    if not head or first.recognises(head):
        return first
    return next((d for d in drivers if d.recognises(head)), first)


def is_database(folder: Path) -> bool:
    """Whether a folder is a database of an engine that keeps its databases in folders."""
    return folder.is_dir() and driver_of(folder).recognises_folder(folder)
