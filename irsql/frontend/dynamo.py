"""A graph of ``torch.compile`` as a module that :func:`irsql.frontend.export.capture` takes.

Dynamo hands out a graph whose inputs are everything: parameters, buffers, tensors, sizes of tensors, plain numbers. As
a module, parameters and buffers are its own again, under the names they have in the user's model; sizes are those of
its tensors; plain numbers are constants.
"""

from __future__ import annotations

import inspect
import keyword
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal, cast

import attrs
import torch
import torch.fx
from torch.fx.traceback import preserve_node_meta

from irsql.frontend.captured import Captured, CaptureError
from irsql.frontend.export import capture

_GRAPH = "_graph"
_MODULE = {*dir(torch.nn.Module()), _GRAPH, "_inputs", "_numbers"}
"""Names that a module has already."""
_PART = re.compile(r"\.?_(?:modules|parameters|buffers)\['([^']+)'\]|\.([A-Za-z_]\w*)")


@attrs.frozen
class Input:
    """One input of the graph.

    Attributes
    ----------
    kind
        ``parameter`` (or a buffer), ``tensor``, ``size`` (of an axis of a tensor) or ``number``.
    name
        Of a parameter its path in the user's model, of a tensor what the user's code calls it.
    tensor, axis
        Of a size: index of the tensor's input, and the axis.
    dynamic
        Axes of a tensor that may have another size in the next call.
    """

    kind: Literal["parameter", "tensor", "size", "number"]
    name: str = ""
    tensor: int = -1
    axis: int = -1
    dynamic: tuple[int, ...] = ()


@attrs.frozen
class DynamoGraph:
    """A graph and what its inputs are.

    Attributes
    ----------
    gm
        The graph.
    inputs
        In order.
    """

    gm: torch.fx.GraphModule
    inputs: tuple[Input, ...]

    @classmethod
    def of(cls, gm: torch.fx.GraphModule, examples: Sequence[Any]) -> DynamoGraph:
        """Describe a graph.

        Parameters
        ----------
        gm
            As a backend of ``torch.compile`` gets it.
        examples
            The inputs that come with it.

        Raises
        ------
        CaptureError
            If an input is none that a relation can hold.
        """
        for node in list(gm.graph.nodes):
            if node.target is torch._C._set_grad_enabled:  # nothing here has gradients, and export stumbles over it
                gm.graph.erase_node(node)
        nodes = [node for node in gm.graph.nodes if node.op == "placeholder"]
        sizes = _sizes(nodes)
        names: set[str] = set()
        inputs: list[Input] = []
        for node, example in zip(nodes, examples, strict=True):
            if getattr(node.meta.get("grapharg"), "pass_arg_as_tensor", False):
                inputs.append(Input("number"))  # a float that Dynamo leaves open: a tensor, of which it takes the item
                continue
            if not isinstance(example, torch.Tensor):
                symbol = str(example)
                found = sizes.get(symbol) if isinstance(example, torch.SymInt) else None
                inputs.append(Input("size", tensor=found[0], axis=found[1]) if found else Input("number"))
                continue
            if example.device.type != "cpu":
                raise CaptureError(f"the input {node.name} lies on {example.device}: the database works on the CPU")
            if getattr(example, "_dynamo_static_input_type", None) or isinstance(example, torch.nn.Parameter):
                inputs.append(Input("parameter", name=_name_of(node, names)))
                continue
            axes = tuple(i for i, size in enumerate(_shape(node)) if isinstance(size, torch.SymInt))
            inputs.append(Input("tensor", name=_label_of(node, names), dynamic=axes))
        return cls(gm, tuple(inputs))

    def parameters(self, given: Sequence[Any]) -> dict[str, torch.Tensor]:
        """Parameters and buffers by name, those the graph itself holds among them."""
        own = {f"{_GRAPH}.{name}": value for name, value in self.gm.state_dict(keep_vars=True).items()}
        return own | {i.name: v for i, v in zip(self.inputs, given, strict=True) if i.kind == "parameter"}

    def tensors(self, given: Sequence[Any]) -> dict[str, torch.Tensor]:
        """The tensors that change from call to call, by name."""
        return {i.name: v for i, v in zip(self.inputs, given, strict=True) if i.kind == "tensor"}

    def numbers(self, given: Sequence[Any]) -> tuple[Any, ...]:
        """The plain numbers, for which a capture holds alone."""
        return tuple(_plain(v) for i, v in zip(self.inputs, given, strict=True) if i.kind == "number")

    def capture(self, given: Sequence[Any]) -> tuple[torch.nn.Module, Captured]:
        """The graph as a module, and its capture.

        Parameters
        ----------
        given
            The inputs of a call; its plain numbers become constants.

        Raises
        ------
        CaptureError
            If torch cannot export the graph, or it changes one of its inputs.
        """
        module = _GraphModule(self, given)
        shapes = {i.name: dict.fromkeys(i.dynamic, torch.export.Dim.AUTO) for i in self.inputs if i.kind == "tensor"}
        examples = {name: tensor.detach() for name, tensor in self.tensors(given).items()}
        return module, capture(module, (), examples, shapes if any(shapes.values()) else None)


class _GraphModule(torch.nn.Module):
    """Runs the graph on tensors alone."""

    def __init__(self, graph: DynamoGraph, given: Sequence[Any]) -> None:
        super().__init__()
        self._inputs, self._numbers = graph.inputs, graph.numbers(given)
        self.add_module(_GRAPH, graph.gm)
        for described, value in zip(graph.inputs, given, strict=True):
            if described.kind == "parameter":
                _place(self, described.name, value)

        names = [described.name for described in graph.inputs if described.kind == "tensor"]
        kind = inspect.Parameter.POSITIONAL_OR_KEYWORD
        self.forward = self._named(inspect.Signature([inspect.Parameter(name, kind) for name in names]))

    def _named(self, signature: inspect.Signature) -> Callable[..., Any]:
        """The forward with a name for each tensor: export and the tables are called after them."""

        def forward(*args: Any, **kwargs: Any) -> Any:
            return self._run(signature.bind(*args, **kwargs).arguments)

        forward.__signature__ = signature  # type: ignore[attr-defined]
        return forward

    def _run(self, tensors: Mapping[str, torch.Tensor]) -> Any:
        numbers = iter(self._numbers)
        values: list[Any] = []
        for described in self._inputs:
            match described.kind:
                case "parameter":
                    values.append(_attribute(self, described.name))
                case "tensor":
                    values.append(tensors[described.name])
                case "number":
                    values.append(next(numbers))
                case "size":
                    values.append(None)  # of a tensor that may come later
        for at, described in enumerate(self._inputs):
            if described.kind == "size":
                values[at] = values[described.tensor].shape[described.axis]
        with preserve_node_meta():  # module paths and source lines go over to the graph that export makes
            return _WithNumbers(cast("torch.fx.GraphModule", self.get_submodule(_GRAPH))).run(*values)


class _WithNumbers(torch.fx.Interpreter):
    """Runs a graph that takes the item of a tensor where it is given a number."""

    def call_method(self, target: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        if target == "item" and not isinstance(args[0], torch.Tensor):
            return args[0]
        return super().call_method(target, args, kwargs)


def _attribute(module: Any, path: str) -> Any:
    for part in path.split("."):
        module = getattr(module, part)
    return module


def _place(module: torch.nn.Module, path: str, value: torch.Tensor) -> None:
    *parents, last = path.split(".")
    for parent in parents:
        if parent not in module._modules:
            module.add_module(parent, torch.nn.Module())
        module = module.get_submodule(parent)
    if isinstance(value, torch.nn.Parameter):
        module.register_parameter(last, value)
    else:
        module.register_buffer(last, value.detach())


def _shape(node: torch.fx.Node) -> tuple[Any, ...]:
    value = node.meta.get("example_value")
    return tuple(value.shape) if isinstance(value, torch.Tensor) else ()


def _sizes(nodes: Sequence[torch.fx.Node]) -> dict[str, tuple[int, int]]:
    """Symbol to an input and an axis that has it as its size."""
    found: dict[str, tuple[int, int]] = {}
    for at, node in enumerate(nodes):
        for axis, size in enumerate(_shape(node)):
            if isinstance(size, torch.SymInt):
                found.setdefault(str(size), (at, axis))
    return found


def _label_of(node: torch.fx.Node, taken: set[str]) -> str:
    """An identifier that looks like the expression by which Dynamo reads a tensor: ``L['mask'][0]`` is ``mask_0``."""
    words = re.findall(r"\w+", _source_of(node))[1:]
    name = "_".join(words)
    if not name.isidentifier() or keyword.iskeyword(name) or name in taken:
        name = node.name
    taken.add(name)
    return name


def _source_of(node: torch.fx.Node) -> str:
    return str(getattr(getattr(node.meta.get("grapharg"), "source", None), "name", "") or "")


def _name_of(node: torch.fx.Node, taken: set[str]) -> str:
    """The path of a parameter in the user's model, from the expression by which Dynamo reads it.

    Where modules and parameters of that path cannot be made, or are there already (two models in one graph), it is the
    node's own name.
    """
    parts = [a or b for a, b in _PART.findall(_source_of(node))]
    name = ".".join(parts)
    inside = (other for other in taken if other.startswith(f"{name}.") or name.startswith(f"{other}."))
    if not parts or name in taken or any(inside) or any(p in _MODULE or not p.strip() or "." in p for p in parts):
        name = node.name
    taken.add(name)
    return name


def _plain(value: Any) -> Any:
    if isinstance(value, (torch.SymInt, torch.SymFloat)):
        return value.node.hint
    return value.item() if isinstance(value, torch.Tensor) else value
