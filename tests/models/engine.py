"""A module on its whole way: eager PyTorch, the interpreter of every stage asked for, and an engine."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils import _pytree as pytree

from irsql.compile import compile_module, pipeline
from irsql.compiled import Compiled
from irsql.frontend.export import capture
from irsql.frontend.importer import import_captured
from irsql.frontend.weights import ModuleWeights
from irsql.ir import semantics
from irsql.ir.core import Module
from irsql.ir.instruments.base import Instrument, PassRun
from irsql.ir.interp import Array, Interpreter
from irsql.ir.parser import parse_module
from irsql.ir.printer import print_op
from irsql.ir.verifier import verify
from irsql.targets.base import backend, driver
from irsql.targets.control import MODEL, STATE
from irsql.targets.tables import from_arrow, to_arrow
from tests.models.importing import bind, compare

STAGES = ("tir", "rel", "tiled", "sql")


def interpret(module: Module, weights: Mapping[str, Array], args: Sequence[Array],
              symbols: Mapping[str, int]) -> list[Any]:
    """``@load`` and then ``@forward`` of a module of any stage on dense arrays."""
    adapter = semantics.adapter_for(module)
    stored: dict[str, Any] = {}
    if "load" in module.functions:
        Interpreter(module, weights, {}, stored).run("load", [])
    forward = module.functions["forward"]
    results = Interpreter(module, weights, symbols, stored).run("forward", adapter.encode_args(forward, args, symbols))
    return adapter.decode_results(forward, results, symbols)


def run_function(module: Module, name: str, arrays: Sequence[Array], symbols: Mapping[str, int],
                 target: str = "duckdb") -> list[Array]:
    """One function of a tir module on an engine: dense arrays in and out. The module is compiled in place."""
    program = compile_module(module, target).program
    function = program.functions[name]
    with driver(target)() as db:
        for catalog in (MODEL, STATE):
            db.attach(":memory:", catalog)
        for statement in db.control.temporaries(program):
            db.execute(statement)
        for spec in function.inputs:
            db.execute(db.control.create_spec(spec, exists_ok=True))
        with db.transaction():
            for spec, array in zip(function.inputs, arrays, strict=True):
                db.insert(spec.name, to_arrow(spec, array))
            dims = db.control.set_dims(program, {s: symbols[s] for s in function.symbols}) if function.symbols else ()
            for statement in (*dims, *db.control.statements(function)):
                db.execute(statement)
        return [from_arrow(spec, db.read(spec), symbols) for spec in function.outputs]


def check_everywhere(
    source: nn.Module,
    args: Sequence[Tensor],
    *others: Sequence[Tensor],
    dynamic: Mapping[str, Mapping[int, Any]] | None = None,
    dynamic_shapes: Any = None,
    stages: Sequence[str] = ("sql",),
    tolerance: float = 5e-6,
    least: float = 1e-30,
    targets: Sequence[str] = ("duckdb",),
    lanes: str = "",
) -> None:
    """Compile ``source`` and compare targets and the interpreters of ``stages`` with eager on ``args`` and ``others``.

    The stages are those of the first target. ``lanes`` are options of ``select-layout`` for targets that have lanes.
    The error of floats is relative to the largest of the result, or to ``least`` where that is more.

    Raises
    ------
    AssertionError
        Naming the stage, or the engine, that differs.
    """
    captured = capture(source, tuple(args), dynamic=dynamic, dynamic_shapes=dynamic_shapes)
    weights = ModuleWeights(source)
    arrays = {name: weights.read(name) for name in weights}
    texts = _Texts()
    compiled: dict[str, Compiled] = {}
    for n, target in enumerate(targets):
        layout = lanes if backend(target).target.layout.carriers else ""
        compilation = compile_module(import_captured(captured), target, weights=arrays,
                                     instruments=[] if n else [texts], pipeline_text=pipeline(layout, target))
        compiled[target] = Compiled(compilation, captured, weights)
    wanted_stages = dict.fromkeys(("tir", *stages))
    modules = {stage: parse_module(texts.of[stage], resources=texts.resources) for stage in wanted_stages}
    for stage in stages:
        verify(modules[stage])
    for given in (args, *others):
        with torch.no_grad():
            leaves: list[Any] = pytree.tree_leaves(source(*given))
        wanted = [torch.as_tensor(x) for x in leaves if x is not None]
        dense = [a.numpy() for a in given]
        symbols = bind(modules["tir"].functions["forward"], dense)
        for stage in stages:
            _same(stage, interpret(modules[stage], arrays, dense, symbols), wanted, tolerance, least)
        for target, function in compiled.items():
            got: list[Any] = pytree.tree_leaves(function(*given))
            _same(target, [torch.as_tensor(x).numpy() for x in got if x is not None], wanted, tolerance, least)


class _Texts(Instrument):
    """The module as it leaves each stage, and its big constants, which stand beside the text."""

    def __init__(self) -> None:
        self.of: dict[str, str] = {}
        self.resources: dict[str, Any] = {}

    def before_pass(self, run: PassRun) -> None:
        if run.pass_.changes_stage():
            self._keep(run.module)

    def after_pipeline(self, module: Module) -> None:
        self._keep(module)

    def _keep(self, module: Module) -> None:
        self.of[str(module.attrs_["stage"])] = print_op(module, resources=self.resources)


def _same(where: str, got: Sequence[Array], wanted: Sequence[Tensor], tolerance: float, least: float) -> None:
    assert len(got) == len(wanted), where
    for n, (a, b) in enumerate(zip(got, wanted, strict=True)):
        try:
            compare(np.asarray(a), b, tolerance, least)
        except AssertionError as error:
            raise AssertionError(f"{where}, result {n}: {error}\n{a}\nwanted {b}") from error
