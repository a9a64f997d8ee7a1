"""``torch.compile(model, backend="irsql")``: what Dynamo captures runs as SQL in an in-memory database.

Parameters and buffers become stored tables once, shared by all graphs of the process: a recompilation, for a new shape
or after a graph break, finds them there. At each call a checksum tells whether somebody has changed them since; the
graph is then compiled anew with the values of now.
"""

from __future__ import annotations

import itertools
import threading
import warnings
import zlib
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any, cast

import attrs
import torch
import torch.fx
from torch._dynamo.convert_frame import compile_lock
from torch._guards import tracing
from torch.utils.weak import WeakIdKeyDictionary

from irsql.compile import compile_captured
from irsql.compiled import Compiled
from irsql.frontend.dynamo import DynamoGraph
from irsql.frontend.dynamo_outputs import Outputs, key_of
from irsql.frontend.weights import ModuleWeights
from irsql.relations import Relations
from irsql.targets.base import DEFAULT_TARGET

OPTIONS = ("target", "pipeline", "dump_dir")
MAX_VARIANTS = 8
"""Compilations a graph that are kept: for other plain numbers, or sizes that the graph does not leave open."""


class GraphBreakWarning(UserWarning):
    """A model is cut into several graphs, and Python runs between them."""


def backend(
    gm: torch.fx.GraphModule, example_inputs: Sequence[Any], *, options: Mapping[str, Any] | None = None,
    mode: str | None = None,
) -> Callable[..., Any]:  # fmt: skip
    """Compile a graph; ``torch.compile`` calls this.

    Parameters
    ----------
    gm, example_inputs
        The graph, and inputs for it.
    options
        ``torch.compile(..., options={...})``: ``target``, ``pipeline`` and ``dump_dir`` as for :func:`irsql.compile`;
        each graph gets a folder of its own in ``dump_dir``.
    mode
        Torch's modes tune its own code generator; only ``default`` is taken.

    Returns
    -------
    Callable
        Takes inputs as the graph does and gives its outputs. Gradients cannot be taken through them: ``backward`` is
        an error.

    Raises
    ------
    irsql.frontend.captured.CaptureError
        If torch cannot export the graph, or it changes buffers or inputs in place.
    irsql.frontend.importer.UnsupportedError
        If the graph has operators irsql does not know; names all of them.
    ValueError
        If there is no such option or mode.
    """
    if mode not in (None, "default"):
        raise ValueError(f"irsql has no mode {mode!r}: torch's modes tune its own code generator")
    unknown = sorted(set(options or {}) - set(OPTIONS))
    if unknown:
        raise ValueError(f"irsql has no option {unknown[0]!r} for torch.compile; there are {', '.join(OPTIONS)}")
    _warn_of_break(gm)
    run = _Graph(DynamoGraph.of(gm, example_inputs), Outputs.of(gm), dict(options or {}))
    with tracing(None):  # the export below is a trace of its own: it must not add to Dynamo's guards
        run.prepare(example_inputs)
    return run


def _warn_of_break(gm: torch.fx.GraphModule) -> None:
    reason = getattr(gm, "compile_subgraph_reason", None)
    if reason is None or not getattr(reason, "graph_break", False):
        return
    why = (str(getattr(reason, "reason", "")).strip().splitlines() or ["no reason given"])[0]
    text = f"graph break: {why}; what comes before and after is compiled apart, and Python runs between"
    frames = list(getattr(reason, "user_stack", None) or ())
    if frames:  # the warning stands at the user's line, and is shown once for it
        warnings.warn_explicit(text, GraphBreakWarning, frames[-1].filename, frames[-1].lineno or 0, registry=_SHOWN)
    else:
        warnings.warn(text, GraphBreakWarning, stacklevel=2)


_SHOWN: dict[Any, Any] = {}


def relations(target: str = DEFAULT_TARGET) -> Relations:
    """The stored relations of this process for a target."""
    return _relations(target)


@cache
def _relations(target: str) -> Relations:
    return Relations(target)


@attrs.frozen
class _Variant:
    """One compilation: for these plain numbers, and for parameters that have these checksums."""

    compiled: Compiled
    numbers: tuple[str, ...]
    checksums: dict[str, str]


class _Graph:
    """A graph with its compilations."""

    def __init__(self, graph: DynamoGraph, outputs: Outputs, options: dict[str, Any]) -> None:
        self._graph, self._outputs, self._options = graph, outputs, options
        self._variants: list[_Variant] = []
        self._lock = threading.Lock()

    def prepare(self, given: Sequence[Any]) -> Compiled:
        """The compilation for these inputs, made if there is none."""
        graph = self._graph
        parameters = graph.parameters(given)
        checksums = {name: _checksum(value) for name, value in parameters.items()}
        numbers, tensors = key_of(graph.numbers(given)), graph.tensors(given)
        with self._lock:
            self._variants = [v for v in self._variants if v.checksums == checksums][-MAX_VARIANTS:]
            for variant in self._variants:
                if variant.numbers == numbers and variant.compiled.accepts(tensors.values()):
                    return variant.compiled
            with compile_lock:  # torch's export is not made for several threads
                module, captured = graph.capture(given)
            options = dict(self._options)
            if "dump_dir" in options:
                options["dump_dir"] = Path(options["dump_dir"]) / f"graph{next(_COUNT)}"
                options["dump_dir"].parent.mkdir(parents=True, exist_ok=True)
            compiled = compile_captured(
                captured, ModuleWeights(module), relations=relations(options.get("target", DEFAULT_TARGET)),
                identity=lambda name: f"{_token(parameters[name])} {checksums[name]}", **options)  # fmt: skip
            self._variants.append(_Variant(compiled, numbers, checksums))
            return compiled

    def __call__(self, *given: Any) -> Any:
        """Run the graph."""
        compiled, tensors, outputs = self.prepare(given), self._graph.tensors(given), self._outputs
        differentiable = [v for v in given if isinstance(v, torch.Tensor) and v.requires_grad]

        def run() -> list[Any]:
            return outputs.arranged(compiled(**tensors), given)

        if differentiable and outputs.requires_grad and torch.is_grad_enabled():
            results = cast("Any", _NoGradient).apply(run, outputs, *differentiable)
        else:
            results = run()
        return outputs.replayed(results, given)


class _NoGradient(torch.autograd.Function):
    """Results that say that they have no gradients, when somebody asks for them."""

    @staticmethod
    def forward(ctx: Any, run: Callable[[], list[Any]], outputs: Outputs, *differentiable: torch.Tensor) -> Any:
        results = run()
        found = [r for r in results if isinstance(r, torch.Tensor)]
        flows = outputs.differentiable(results)
        ctx.mark_non_differentiable(*(r for r, f in zip(found, flows, strict=True) if not f))
        return tuple(results)

    @staticmethod
    def backward(ctx: Any, *gradients: Any) -> Any:
        raise RuntimeError("a model that is compiled to SQL has no gradients: train with another backend, and compile "
                           "with backend='irsql' what is to run in the database")  # fmt: skip


_COUNT = itertools.count()
_TOKENS: Any = WeakIdKeyDictionary()
_NEXT_TOKEN = itertools.count()


def _token(tensor: torch.Tensor) -> int:
    """A number of this tensor object, never given to another one."""
    return int(_TOKENS.setdefault(tensor, next(_NEXT_TOKEN)))


def _checksum(tensor: torch.Tensor) -> str:
    """Changes when the values do; versions of tensors do not, where they are written through ``.data``."""
    data = tensor.detach().contiguous().reshape(-1).view(torch.uint8).numpy().data
    return f"{tensor.dtype} {tuple(tensor.shape)} {zlib.crc32(data):08x}"
