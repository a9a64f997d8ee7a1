"""Capture of any ``torch.nn.Module`` as a clean, functional graph of ATen calls.

The way there is ``torch.export`` (non-strict, without gradients), where needed ``run_decompositions({})``, which
functionalises but keeps ``linear``, ``matmul``, ``softmax``, ``layer_norm``, ``gelu`` and ``embedding`` whole, and
:func:`~irsql.frontend.clean.clean`.
"""

from __future__ import annotations

import inspect
import io
import logging
import re
import sys
import traceback
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, redirect_stderr
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.fx
from torch.export.graph_signature import ConstantArgument, InputKind, SymIntArgument, TensorArgument
from torch.export.graph_signature import OutputKind as TorchOutputKind
from torch.utils._pytree import tree_flatten, tree_leaves, tree_unflatten

from irsql.frontend import captured as seam
from irsql.frontend.captured import MAX_EXTENT, Captured, CaptureError, InputSpec, OutputSpec
from irsql.frontend.clean import clean, is_functional
from irsql.frontend.importer.decompositions import decompose_unknown
from irsql.frontend.shapes import dim_of, dtype_name
from irsql.frontend.small_sizes import checked
from irsql.frontend.weights import to_numpy

DynamicDim = str | tuple[str, int, int]
"""A symbolic dim in short form: its name, or name, minimum and maximum."""

_KINDS: dict[InputKind, seam.InputKind] = {
    InputKind.USER_INPUT: "user",
    InputKind.PARAMETER: "parameter",
    InputKind.BUFFER: "buffer",
    InputKind.CONSTANT_TENSOR: "constant",
}


def capture(
    module: torch.nn.Module | Callable[..., Any],
    args: Sequence[Any],
    kwargs: Mapping[str, Any] | None = None,
    dynamic_shapes: Any = None,
    *,
    dynamic: Mapping[str, Mapping[int, DynamicDim]] | None = None,
) -> Captured:
    """Capture a module's forward, in inference mode, as a graph with symbolic dims where asked for.

    Parameters
    ----------
    module
        The module; parameters may be on ``meta``. A module in training mode is captured as after ``eval()`` and
        left as it was. A function of tensors is a module without parameters.
    args, kwargs
        Example inputs, a tuple and a dict. A dynamic dim must have an example size of at least 2, for torch
        specialises on 0 and 1; whether the graph holds for 0 and 1 too is tried, and if not, its range says so.
    dynamic_shapes
        What ``torch.export.export`` takes; no dim is dynamic unless named here or in `dynamic`.
    dynamic
        Short form: ``{"x": {0: "B"}, "ids": {0: "B", 1: ("S", 1, 4096)}}``, keyed by the forward's parameter
        names. Equal names are equal sizes. Without a range a dim runs from 0.

    Raises
    ------
    CaptureError
        If torch cannot export the module with these inputs, or its forward writes to buffers or inputs.
    """
    module = as_module(module)
    if not isinstance(args, (tuple, list)):
        raise CaptureError(f"args are the example inputs as a tuple, (x,) for one: given is a {type(args).__name__}")
    if dynamic is not None:
        if dynamic_shapes is not None:
            raise CaptureError("give either dynamic_shapes or dynamic, not both")
        dynamic_shapes = expand_dynamic(module, args, kwargs or {}, dynamic)
    examples, named = _apart((tuple(args), dict(kwargs or {})))
    program, functional = export_functional(module, examples, named, dynamic_shapes)
    captured = assemble(module, program, functional, symbol_names(functional, dynamic_shapes))
    with inference_mode_of(module):
        return checked(module, captured, examples, named)


def _apart(tree: tuple[tuple[Any, ...], dict[str, Any]]) -> Any:
    """Example inputs without a tensor that occurs twice: torch.export would take the two for one input."""
    leaves, spec = tree_flatten(tree)
    seen: set[int] = set()
    for i, leaf in enumerate(leaves):
        if isinstance(leaf, torch.Tensor):
            leaves[i] = leaf.clone() if id(leaf) in seen else leaf
            seen.add(id(leaf))
    return tree_unflatten(leaves, spec)


def as_module(module: torch.nn.Module | Callable[..., Any]) -> torch.nn.Module:
    """A module as it is; a function of tensors as the forward of one.

    Raises
    ------
    CaptureError
        If it is neither.
    """
    if isinstance(module, torch.nn.Module):
        return module
    if not callable(module) or isinstance(module, type):
        raise CaptureError(f"a torch.nn.Module or a function of tensors is captured, not {module!r}")
    out = torch.nn.Module()
    out.forward = module
    return out


def expand_dynamic(
    module: torch.nn.Module,
    args: Sequence[Any],
    kwargs: Mapping[str, Any],
    dynamic: Mapping[str, Mapping[int, DynamicDim]],
) -> dict[str, Any]:
    """The short form of dynamic dims as ``torch.export`` wants it: every argument named, equal names one ``Dim``.

    Raises
    ------
    CaptureError
        If a name, an axis, a range or an example size does not fit.
    """
    try:
        bound = inspect.signature(module.forward).bind(*args, **kwargs).arguments
    except TypeError as error:
        raise CaptureError(f"the example inputs do not fit the module's forward: {error}") from error
    unknown = sorted(set(dynamic) - set(bound))
    if unknown:
        raise CaptureError(f"dynamic names the input {unknown[0]!r}, but the example inputs are {', '.join(bound)}")
    dims: dict[str, tuple[Any, tuple[str, int, int]]] = {}
    shapes: dict[str, Any] = dict.fromkeys(bound)
    for name, axes in dynamic.items():
        value = bound[name]
        if not isinstance(axes, Mapping):
            raise CaptureError(f"dynamic maps the axes of {name!r} to names, as in {{0: 'B'}}: given is {axes!r}")
        if not isinstance(value, torch.Tensor):
            raise CaptureError(f"the input {name!r} is no tensor: use dynamic_shapes for nested inputs")
        shapes[name] = {_axis(name, value, axis): _dim(dims, spec) for axis, spec in axes.items()}
    return shapes


def _axis(name: str, value: torch.Tensor, axis: int) -> int:
    if not -value.dim() <= axis < value.dim():
        raise CaptureError(f"the input {name!r} has {value.dim()} axes, dynamic names axis {axis}")
    if value.shape[axis] < 2:
        raise CaptureError(
            f"axis {axis} of the input {name!r} is dynamic, so its example size must be at least 2, not "
            f"{value.shape[axis]}: torch.export treats 0 and 1 as constants"
        )
    return axis % value.dim()


def _dim(dims: dict[str, tuple[Any, tuple[str, int, int]]], spec: DynamicDim) -> Any:
    full = (spec, 0, MAX_EXTENT) if isinstance(spec, str) else spec
    name, low, high = full
    if not 0 <= low <= high:
        raise CaptureError(f"the range {low} … {high} of the dim {name} is empty or negative")
    if name in dims and dims[name][1] != full:
        raise CaptureError(f"the dim {name} is given two ranges")
    return dims.setdefault(name, (torch.export.Dim(name, min=low, max=high), full))[0]


@contextmanager
def inference_mode_of(module: torch.nn.Module) -> Iterator[None]:
    """Within this context the module and all its children are in eval mode; their own modes come back after it."""
    training = [child for child in module.modules() if child.training]
    module.eval()
    try:
        yield
    finally:
        for child in training:
            child.training = True


def export_functional(
    module: torch.nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any], dynamic_shapes: Any
) -> tuple[torch.export.ExportedProgram, torch.export.ExportedProgram]:
    """Export a module, functionalise it and decompose what the importer does not know.

    The first program has the right ranges, the second the right graph.

    Raises
    ------
    CaptureError
        If torch refuses.
    """
    # Under no_grad: inner @torch.no_grad functions would otherwise become higher-order nodes.
    with inference_mode_of(module), torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        said = io.StringIO()
        try:
            with redirect_stderr(said), _silent_warnings():  # torch prints whole graphs before it raises
                program = torch.export.export(module, args, kwargs, dynamic_shapes=dynamic_shapes, strict=False)
                functional = program if is_functional(program.graph_module) else program.run_decompositions({})
                exported = program, decompose_unknown(functional)
        except Exception as error:
            raise CaptureError(f"torch.export cannot capture {type(module).__name__}: {_reason(error)}") from error
        sys.stderr.write(said.getvalue())
        return exported


@contextmanager
def _silent_warnings() -> Iterator[None]:
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        yield
    finally:
        logging.disable(before)


def _reason(error: Exception) -> str:
    """What is wrong and where, in one line; torch.export raises two dozen unrelated classes."""
    text = str(error).strip()
    places = re.findall(r'File "([^"]+)", line (\d+), in \w+\n\s+(.+)', text)
    if "data-dependent" in text and places:
        file, line, code = places[-1]
        return f"{file}:{line} branches on values ({code.strip()}): torch.where chooses between them"
    lines = text.splitlines() or [type(error).__name__]
    first = re.sub(r" For more information.*", "", lines[0])
    details = [line.strip().removeprefix("- ") for line in lines[1:] if line.startswith("  - ")]
    frames = [f for f in traceback.extract_tb(error.__traceback__) if _is_users(f.filename)]
    where = f" (at {frames[-1].filename}:{frames[-1].lineno})" if frames and not details else ""
    return " ".join([first, *details]) + where


def _is_users(filename: str) -> bool:
    path = Path(filename)
    own = Path(__file__).resolve().parents[1]
    library = Path(torch.__file__).parent
    return path.is_file() and not path.resolve().is_relative_to(own) and not path.is_relative_to(library)


def symbol_names(program: torch.export.ExportedProgram, dynamic_shapes: Any) -> dict[str, str]:
    """Torch's symbols to the names of the ``Dim`` objects that the user gave; unnamed symbols keep their own."""
    names: dict[str, str] = {}
    if dynamic_shapes is None:
        return names
    placeholders = {node.name: node for node in program.graph.nodes if node.op == "placeholder"}
    users = [spec.arg for spec in program.graph_signature.input_specs if spec.kind is InputKind.USER_INPUT]
    tensors = [placeholders[arg.name].meta["val"] if isinstance(arg, TensorArgument) else None for arg in users]
    axes = list(_axes_by_leaf(program, dynamic_shapes))
    for value, named in zip(tensors, axes, strict=True):
        if value is None:
            continue
        for axis, dim in named.items():
            label = getattr(dim, "__name__", None)
            size = value.shape[axis]
            if label is not None and isinstance(size, torch.SymInt) and size.node.expr.is_Symbol:
                names[str(size.node.expr)] = label
    return names


def _axes_by_leaf(program: torch.export.ExportedProgram, dynamic_shapes: Any) -> Iterator[dict[int, Any]]:
    """The dynamic axes of every flattened input, in order; ``{}`` for inputs without any."""
    args, kwargs = program.example_inputs or ((), {})
    named = dict(kwargs)
    if isinstance(dynamic_shapes, Mapping):
        by_name = dynamic_shapes
        signature = program.module_call_graph[0].signature
        order = (signature.forward_arg_names if signature else None) or list(by_name)
        pairs = [(value, by_name.get(name)) for name, value in zip(order, [*args, *named.values()], strict=False)]
    else:
        pairs = list(zip([*args, *named.values()], dynamic_shapes, strict=False))
    for value, shapes in pairs:
        yield from _leaf_axes(value, shapes)


def _leaf_axes(value: Any, shapes: Any) -> Iterator[dict[int, Any]]:
    if isinstance(value, (list, tuple)):
        children = shapes if isinstance(shapes, (list, tuple)) else [None] * len(value)
        for child, shape in zip(value, children, strict=True):
            yield from _leaf_axes(child, shape)
    elif isinstance(value, Mapping):
        for key, child in value.items():
            yield from _leaf_axes(child, shapes.get(key) if isinstance(shapes, Mapping) else None)
    elif isinstance(shapes, Mapping):
        yield dict(shapes)
    elif isinstance(shapes, (list, tuple)):
        yield dict(enumerate(shapes))
    else:
        # One axis map for an argument that is a pytree torch knows and we do not: no names, but right counts.
        for _ in tree_leaves(value):
            yield {}


def canonical_parameters(module: torch.nn.Module) -> dict[str, str]:
    """Alias to canonical name of each parameter that is shared; canonical is the first in the module's order."""
    first: dict[int, str] = {}
    tied: dict[str, str] = {}
    for name, parameter in module.named_parameters(remove_duplicate=False):
        owner = first.setdefault(id(parameter), name)
        if owner != name:
            tied[name] = owner
    return tied


def assemble(
    module: torch.nn.Module,
    program: torch.export.ExportedProgram,
    functional: torch.export.ExportedProgram,
    names: Mapping[str, str],
    tied: Mapping[str, str] | None = None,
    buffer_values: Mapping[str, np.ndarray] | None = None,
) -> Captured:
    """Clean the functional program's graph and describe it.

    Parameters
    ----------
    module
        The module exported.
    program, functional
        The results of :func:`export_functional`.
    names
        Torch's symbols to names.
    tied
        Alias to canonical parameter name; by default those that share storage in the module.
    buffer_values
        Values of non-persistent buffers where the module's own are on ``meta``.

    Raises
    ------
    CaptureError
        If the forward mutates state, takes a symbolic number, or a value is missing.
    """
    tied = dict(canonical_parameters(module) if tied is None else tied)
    signature = functional.graph_signature
    gm = functional.graph_module
    for out in signature.output_specs:
        if out.kind not in (TorchOutputKind.USER_OUTPUT, TorchOutputKind.USER_INPUT_MUTATION):
            raise CaptureError(f"the forward writes to {out.target}: a captured module must not change its buffers")
        if out.kind is TorchOutputKind.USER_INPUT_MUTATION:
            raise CaptureError(f"the forward writes to its input {out.target} in place")
    clean(gm)
    fixed = _fixed(functional)
    inputs = _inputs(gm, functional, names, tied)
    used_tied = {alias: owner for alias, owner in tied.items() if any(spec.target == owner for spec in inputs)}
    spec = functional.call_spec
    captured = Captured(
        gm=gm,
        inputs=inputs,
        outputs=_outputs(gm, functional, names),
        symbols=_ranges(program, inputs, names),
        tied=used_tied,
        buffers=_values(module, functional, inputs, buffer_values or {}),
        symbol_names=dict(names),
        in_spec=spec.in_spec,
        out_spec=spec.out_spec,
        fixed=fixed,
        parameters=_positional(module),
    )
    return captured


def _positional(module: torch.nn.Module) -> tuple[str, ...]:
    """The names of the forward's parameters that a call may give by position."""
    kinds = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    return tuple(p.name for p in inspect.signature(module.forward).parameters.values() if p.kind in kinds)


def _fixed(program: torch.export.ExportedProgram) -> dict[int, Any]:
    """Python values among the arguments, by position; the export has put them into the graph."""
    given = [s.arg for s in program.graph_signature.input_specs if s.kind is InputKind.USER_INPUT]
    return {i: arg.value for i, arg in enumerate(given) if isinstance(arg, ConstantArgument)}


def _inputs(
    gm: torch.fx.GraphModule,
    program: torch.export.ExportedProgram,
    names: Mapping[str, str],
    tied: Mapping[str, str],
) -> tuple[InputSpec, ...]:
    """Describe the placeholders; merge tied parameters and drop unused ones and Python constants."""
    placeholders = {node.name: node for node in gm.graph.nodes if node.op == "placeholder"}
    owners: dict[str, torch.fx.Node] = {}
    specs: dict[str, InputSpec] = {}
    position = -1
    for spec in program.graph_signature.input_specs:
        node = placeholders[spec.arg.name]
        position += spec.kind is InputKind.USER_INPUT
        if spec.kind not in _KINDS or isinstance(spec.arg, SymIntArgument):
            raise CaptureError(f"the input {spec.arg.name} is of a kind that has no relation: {spec.kind.name.lower()}")
        if isinstance(spec.arg, ConstantArgument):
            gm.graph.erase_node(node)
            continue
        kind = _KINDS[spec.kind]
        target = node.name if kind == "user" else str(spec.target)
        if kind == "parameter":
            target = tied.get(target, target)
            owner = owners.setdefault(target, node)
            if owner is not node:
                node.replace_all_uses_with(owner)
                gm.graph.erase_node(node)
                continue
        value = node.meta["val"]
        shape = tuple(dim_of(size, names) for size in value.shape)
        specs[node.name] = InputSpec(
            node.name, kind, target, shape, dtype_name(value.dtype), position if kind == "user" else -1
        )
    for name, described in list(specs.items()):
        if described.kind != "user" and not placeholders[name].users:
            gm.graph.erase_node(placeholders[name])
            del specs[name]
    gm.graph.lint()
    gm.recompile()
    return tuple(specs.values())


def _outputs(
    gm: torch.fx.GraphModule, program: torch.export.ExportedProgram, names: Mapping[str, str]
) -> tuple[OutputSpec, ...]:
    returned = gm.graph.output_node().args[0]
    assert isinstance(returned, (tuple, list))
    out: list[OutputSpec] = []
    for value in returned:
        if not isinstance(value, torch.fx.Node):
            out.append(OutputSpec(repr(value), "constant", (), "", value))
            continue
        meta = value.meta["val"]
        if isinstance(meta, torch.Tensor):
            shape = tuple(dim_of(size, names) for size in meta.shape)
            out.append(OutputSpec(value.name, "tensor", shape, dtype_name(meta.dtype)))
        else:
            out.append(OutputSpec(value.name, "symint", (), "int64"))
    return tuple(out)


def _ranges(
    program: torch.export.ExportedProgram, inputs: Sequence[InputSpec], names: Mapping[str, str]
) -> dict[str, tuple[int, int]]:
    """The ranges of the symbols in the inputs, cut at :data:`~irsql.frontend.captured.MAX_EXTENT`."""
    used = {symbol for spec in inputs for dim in spec.shape if not isinstance(dim, int) for symbol in dim.symbols()}
    ranges: dict[str, tuple[int, int]] = {}
    for symbol, bounds in program.range_constraints.items():
        name = names.get(str(symbol), str(symbol))
        if name in used:
            ranges[name] = (max(int(bounds.lower), 0), int(min(bounds.upper, MAX_EXTENT)))
    return ranges


def _values(
    module: torch.nn.Module,
    program: torch.export.ExportedProgram,
    inputs: Sequence[InputSpec],
    given: Mapping[str, np.ndarray],
) -> dict[str, np.ndarray]:
    """Values of the non-persistent buffers and constants that the graph uses."""
    persistent = set(module.state_dict())
    out: dict[str, np.ndarray] = {}
    for spec in inputs:
        if spec.kind == "constant" or (spec.kind == "buffer" and spec.target not in persistent):
            out[spec.target] = given[spec.target] if spec.target in given else _numpy(spec, program.constants)
    return out


def _numpy(spec: InputSpec, constants: Mapping[str, Any]) -> np.ndarray:
    value = constants.get(spec.target)
    if not isinstance(value, torch.Tensor) or value.is_meta:
        raise CaptureError(f"the {spec.kind} {spec.target} is in no checkpoint and has no value")
    return to_numpy(value)
