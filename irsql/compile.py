"""From a module or a checkpoint folder to a program: capture, passes, emission.

:func:`compile` makes a callable of any module; :func:`compile_model` a language model's program with prefill, decode
and sampling, without reading a weight.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, cast

import attrs
import numpy as np

from irsql.dialects import expr as ex
from irsql.dialects.tir import interp as _interp  # noqa: F401  (registers the interpreter)
from irsql.dialects.tir import ops as ti
from irsql.dialects.tir.sampling import build_greedy, build_sample, build_sample_filtered
from irsql.ir.attributes import F32
from irsql.ir.core import BlockArg, Func, IRError, Module, Op, Value
from irsql.ir.instruments.base import Instrument
from irsql.ir.interp import Interpreter
from irsql.ir.pipeline import PassManager, parse_pipeline
from irsql.ir.printer import print_op
from irsql.ir.target import attach
from irsql.predictions import Predictions
from irsql.relations import content_name
from irsql.targets.base import DEFAULT_TARGET, Backend, backend, emit_program, runnable
from irsql.targets.calibration import calibrated
from irsql.targets.program import ConstantData, LoadStep, Program, Stored

if TYPE_CHECKING:
    from irsql.compiled import Compiled
    from irsql.frontend.captured import Captured
    from irsql.frontend.weights import ModuleWeights
    from irsql.relations import Relations

TIR = ("canonicalise,cse,decompose{keep=attention},canonicalise,fold-constants,fold-weights,eager-aggregation,"
       "merge-contractions,canonicalise,cse,fuse-elementwise,canonicalise,cse,dce,split-load,canonicalise,dce")
REL = ("convert-tir-to-rel,prune-columns,cse,dce,select-layout,apply-layout,tile-storage,sink-unpack,cancel-pack,"
       "eliminate-joins,legalise,cse,dce")
SQL = "convert-rel-to-sql,inline-ctes,unhash-joins,materialise"


def pipeline(layout: str = "", target: str = DEFAULT_TARGET) -> str:
    """The default pipeline of a target as text; ``layout`` are options of ``select-layout`` that win.

    Raises
    ------
    IRError
        If there is no such target, or it has options for a pass that does not run.
    """
    passes = ",".join((TIR, REL, SQL)).split(",")
    options = dict(backend(target).passes)
    if layout:
        given = {option.partition("=")[0] for option in layout.split()}
        others = [o for o in options.get("select-layout", "").split() if o.partition("=")[0] not in given]
        options["select-layout"] = " ".join((*others, layout))
    unknown = ", ".join(name for name in options if name not in passes)
    if unknown:
        raise IRError(f"the target {target!r} has options for passes that the default pipeline does not run: {unknown}")
    return ",".join(f"{name}{{{options[name]}}}" if name in options else name for name in passes)


@attrs.define
class Compilation:
    """A module on its way: the IR of every stage as text, and the program.

    Attributes
    ----------
    module
        The IR at its last stage.
    program
        What the runtime takes.
    stages
        Stage to the text of the module when it left it.
    """

    module: Module
    program: Program
    stages: dict[str, str]


def lower(module: Module, to: Backend, instruments: Sequence[Instrument] = (), text: str | None = None,
          keep_text: bool = False) -> dict[str, str]:
    """Run the default (or a given) pipeline on a tir module in place.

    Returns
    -------
    dict
        The text of the module as it entered each next stage, if ``keep_text``.
    """
    attach(module, calibrated(to.target))
    stages: dict[str, str] = {}
    watch = _StageTexts(stages) if keep_text else None
    passes = parse_pipeline(text or pipeline(target=to.target.name))
    PassManager(passes, [*instruments, *([watch] if watch else [])]).run(module)
    if keep_text:
        stages[str(module.attrs_["stage"])] = print_op(module)
    return stages


class _StageTexts(Instrument):
    """Keeps the module's text just before a conversion."""

    def __init__(self, stages: dict[str, str]) -> None:
        self.stages = stages

    def before_pass(self, run: Any) -> None:
        if run.pass_.changes_stage():
            self.stages[str(run.module.attrs_["stage"])] = print_op(run.module)


def load_steps(load: Func | None, evaluate: Callable[[Value], np.ndarray[Any, Any]]) -> tuple[
        dict[str, tuple[LoadStep, ...]], dict[str, ConstantData]]:
    """What the loader does for each ``tir.store``: a stack program, its constants beside it.

    What is not a parameter, a concatenation, a permutation, one more axis of length 1, or made of sums and products of
    those is computed here and becomes a constant.
    """
    steps: dict[str, tuple[LoadStep, ...]] = {}
    constants: dict[str, ConstantData] = {}

    def push(array: np.ndarray[Any, Any]) -> list[LoadStep]:
        name = f"c{len(constants)}"
        constants[name] = ConstantData.of(array)
        return [LoadStep("constant", name)]

    def of(value: Value) -> list[LoadStep]:
        op = value.owner
        if isinstance(op, ti.Parameter):
            return [LoadStep("parameter", op.parameter)]
        if isinstance(op, ti.Concat):
            return [s for v in op.inputs for s in of(v)] + [LoadStep("concat", ints=(op.axis, len(op.inputs)))]
        before = len(constants)
        found = element(op, op.body.block.terminator.operands[0]) if isinstance(op, ti.Map) else None
        shape = ti.tensor(value).shape
        missing = tuple(i for i in range(len(shape)) if found is None or i not in found[1])
        if found is None or (missing and (not found[1] or any(shape[i] != 1 for i in missing))):
            for name in list(constants)[before:]:
                del constants[name]  # of steps that came to nothing
            return push(evaluate(value))
        steps, axes = found
        order = tuple(axes.index(i) for i in sorted(axes))
        steps = steps if order == tuple(range(len(axes))) else [*steps, LoadStep("permute", ints=order)]
        return [*steps, LoadStep("expand", ints=missing)] if missing else steps

    def element(op: ti.Map, value: Value) -> tuple[list[LoadStep], tuple[int, ...]] | None:
        """Steps for a value of the body of a map, and the axes of the map that they run over; None if none do."""
        inner = value.owner
        if isinstance(value, BlockArg):
            source, axes = op.inputs[value.index], tuple(getattr(r, "index", -1) for r in op.maps[value.index].results)
            covers = -1 not in axes and ti.tensor(source).shape == tuple(ti.tensor(op.result).shape[a] for a in axes)
            return (of(source), axes) if covers and len(set(axes)) == len(axes) else None
        if isinstance(inner, ex.Constant) and value.type == F32:
            return push(np.array(inner.value, np.float32)), ()
        if not isinstance(inner, ex.Binary) or inner.kind not in ("add", "mul") or value.type != F32:
            return None
        sides = [element(op, v) for v in (inner.lhs, inner.rhs)]
        if sides[0] is None or sides[1] is None:
            return None
        wide, narrow = sorted((sides[0], sides[1]), key=lambda side: -len(side[1]))
        if not set(narrow[1]) <= set(wide[1]):
            return None
        ints = tuple(wide[1].index(a) for a in narrow[1])
        return [*wide[0], *narrow[0], LoadStep({"add": "add", "mul": "multiply"}[inner.kind], ints=ints)], wide[1]

    for op in load.block.ops if load else ():
        if isinstance(op, ti.Store):
            steps[op.store] = tuple(of(op.x))
    return steps, constants


def _evaluator(module: Module, weights: Mapping[str, Any] | None) -> Callable[[Value], np.ndarray[Any, Any]]:
    """Computes load-time values: from constants alone, or from a module's weights where they are at hand."""

    def evaluate(value: Value) -> np.ndarray[Any, Any]:
        ops: dict[Op, None] = {}

        def visit(v: Value) -> None:
            assert isinstance(v.owner, Op)
            for operand in v.owner.operands:
                visit(operand)
            ops[v.owner] = None

        visit(value)
        needed = [op.parameter for op in ops if isinstance(op, ti.Parameter)]
        if needed and weights is None:
            owner = value.owner
            raise IRError(f"@load computes {owner.name if isinstance(owner, Op) else 'a value'} of "
                          f"{', '.join(needed)}, which the loader cannot stream",
                          owner if isinstance(owner, Op) else None)
        func = Func.build("evaluate", [])
        mapping: dict[Value, Value] = {}
        for op in ops:
            func.block.append(op.clone(mapping))
        func.ret(mapping[value])
        scratch = Module.empty(stage="tir")
        scratch.add(func)
        parameters = {n: weights[n] for n in needed} if weights is not None else {}
        return cast("np.ndarray[Any, Any]", Interpreter(scratch, parameters).run("evaluate", [])[0])

    return evaluate


class _LoadSteps(Instrument):
    """Reads ``@load`` when it is still tensors."""

    def __init__(self, weights: Mapping[str, Any] | None) -> None:
        self.weights = weights
        self.steps: dict[str, tuple[LoadStep, ...]] = {}
        self.constants: dict[str, ConstantData] = {}

    def before_pass(self, run: Any) -> None:
        if run.pass_.name == "convert-tir-to-rel":
            evaluate = _evaluator(run.module, self.weights)
            self.steps, self.constants = load_steps(run.module.functions.get("load"), evaluate)


def compile_module(module: Module, target: str = DEFAULT_TARGET, *, weights: Mapping[str, Any] | None = None,
                   meta: Mapping[str, Any] | None = None, instruments: Sequence[Instrument] = (),
                   pipeline_text: str | None = None, keep_text: bool = False,
                   identity: Callable[[str], str] | None = None) -> Compilation:
    """A tir module to a program.

    Parameters
    ----------
    module
        At the tir stage; it is changed in place.
    target
        Name of the engine.
    weights
        Parameters by name, where the module computes on them before the first call.
    meta
        Facts for the runtime.
    instruments, pipeline_text
        As for :func:`compile_model`.
    keep_text
        Keep the IR of every stage in the result.
    identity
        Parameter to a text that is the same only for the same values. The tables of stored relations are then named
        after their content, for :class:`irsql.relations.Relations`.
    """
    to = backend(target)
    loader, predictions = _LoadSteps(weights), Predictions()
    stages = lower(module, to, [*instruments, loader, predictions], pipeline_text, keep_text)
    name_of: Callable[[Stored], str] | None = None
    if identity is not None:
        name_of = partial(content_name, constants=lambda name: loader.constants[name].content(), identity=identity)
    facts = {**(meta or {}), "predictions": predictions.found}
    program = emit_program(module, to, loader.steps, loader.constants, facts, name_of)
    return Compilation(module, program, stages)


def import_model(source: str | os.PathLike[str] | Any,
                 capture: Literal["fused", "aten"] = "fused") -> tuple[Module, dict[str, Any]]:
    """Capture a causal language model without its weights.

    Parameters
    ----------
    source
        A Hugging Face folder (only ``config.json`` is read) or a transformers configuration.
    capture
        ``fused`` keeps attention, norms and rope whole; ``aten`` recognises nothing.

    Returns
    -------
    tuple
        The tir module with ``@prefill``, ``@decode`` and the functions that sample, and the facts for the runtime.
    """
    from irsql.frontend import capture_decoder, model_from_config
    from irsql.frontend.decoder import context_of
    from irsql.frontend.importer import import_captured

    model = model_from_config(source)
    captured = capture_decoder(model, capture)
    module = import_captured(captured)
    decode = module.functions["decode"]
    logits = cast("Any", decode.function_type.results[0])
    batch = logits.shape[0]
    vocab = int(logits.shape[1])
    dims = {"B": decode.dims["B"]} if "B" in decode.dims else {}
    for build in (build_sample, build_greedy, build_sample_filtered):
        module.add(build(vocab, dims, None if dims else batch))
    config = model.config
    meta: dict[str, Any] = {
        "architecture": type(model).__name__, "capture": capture, "vocab": vocab,
        "context": context_of(config), "tied": dict(captured.tied),
        "layers": int(config.num_hidden_layers),
        "shapes": {i.target: i.shape for i in captured.inputs if i.kind in ("parameter", "buffer")},
    }
    return module, meta


def compile_model(source: str | os.PathLike[str] | Any, target: str = DEFAULT_TARGET, *,
                  capture: Literal["fused", "aten"] = "fused", instruments: Sequence[Instrument] = (),
                  pipeline_text: str | None = None, keep_text: bool = False) -> Compilation:
    """A causal language model as a program; no weight is read.

    Parameters
    ----------
    source
        A Hugging Face folder or a transformers configuration.
    target
        Name of the engine.
    capture
        Recipe, see :func:`import_model`.
    instruments
        Watch the passes.
    pipeline_text
        Instead of the default pipeline.
    keep_text
        Keep the IR of every stage in the result.

    Raises
    ------
    irsql.frontend.importer.UnsupportedError
        If the graph has operators irsql does not know; names all of them.
    """
    module, meta = import_model(source, capture)
    return compile_module(module, target, meta=meta, instruments=instruments, pipeline_text=pipeline_text,
                          keep_text=keep_text)


def compile(module: Any, args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None, *,
            target: str = DEFAULT_TARGET, dynamic_shapes: Any = None, dynamic: Any = None, pipeline: str | None = None,
            instruments: Sequence[Instrument] = (), dump_dir: str | os.PathLike[str] | None = None) -> Compiled:
    """Compile a module to SQL and load its weights into an in-memory database.

    Parameters
    ----------
    module
        An ``nn.Module``, captured as in eval mode, or a function of tensors.
    args, kwargs
        Example arguments: ``(x,)`` for one tensor.
    target
        Name of the engine.
    dynamic_shapes
        As ``torch.export.export`` takes them.
    dynamic
        Short form: ``{"x": {0: "B"}}``.
    pipeline
        Passes instead of the default ones, as text; :func:`pipeline` of this module gives the default.
    instruments
        Watch the passes: :mod:`irsql.ir.instruments`. The IR is verified after each pass in any case.
    dump_dir
        Write the IR after every pass that changed it to this folder, for ``irsql-opt``.

    Returns
    -------
    irsql.compiled.Compiled
        A callable with ``.sql`` and ``.ir(stage)``.

    Raises
    ------
    irsql.ir.core.IRError
        If there is no such target, or no driver for it.
    irsql.frontend.captured.CaptureError
        If torch cannot export the module with these arguments.
    irsql.frontend.importer.UnsupportedError
        If the graph has operators irsql does not know; names all of them.
    """
    from irsql.frontend import capture
    from irsql.frontend.export import as_module
    from irsql.frontend.weights import ModuleWeights

    runnable(target)
    module = as_module(module)
    captured = capture(module, args, kwargs, dynamic_shapes, dynamic=dynamic)
    return compile_captured(captured, ModuleWeights(module), target=target, pipeline=pipeline, instruments=instruments,
                            dump_dir=dump_dir)


def compile_captured(captured: Captured, weights: ModuleWeights, *, target: str = DEFAULT_TARGET,
                     pipeline: str | None = None, instruments: Sequence[Instrument] = (),
                     dump_dir: str | os.PathLike[str] | None = None, relations: Relations | None = None,
                     identity: Callable[[str], str] | None = None) -> Compiled:
    """Compile a captured graph; the options are those of :func:`compile`.

    Parameters
    ----------
    captured, weights
        The graph, and the parameters of its module.
    relations
        Where the stored relations go, to be shared with others; `identity` tells which are equal. By default the
        result has a database of its own.
    identity
        See :func:`compile_module`.
    """
    from irsql.compiled import Compiled
    from irsql.frontend.importer import import_captured
    from irsql.ir.instruments.dump_dir import DumpDir
    from irsql.ir.instruments.verify_each import VerifyEach

    watching = [*([DumpDir(Path(dump_dir))] if dump_dir is not None else []), *instruments, VerifyEach()]
    compilation = compile_module(import_captured(captured), target, weights=_Arrays(weights), instruments=watching,
                                 pipeline_text=pipeline, keep_text=True, identity=identity)
    return Compiled(compilation, captured, weights, relations)


class _Arrays(Mapping[str, Any]):
    """Weights as a mapping that reads on demand."""

    def __init__(self, weights: Any) -> None:
        self._weights = weights

    def __getitem__(self, name: str) -> Any:
        return self._weights.read(name)

    def __iter__(self) -> Iterator[str]:
        return iter(self._weights)

    def __len__(self) -> int:
        return sum(1 for _ in self._weights)
