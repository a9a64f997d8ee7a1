"""What a capture hands to the importer: a cleaned fx graph and everything needed to read it.

Nothing here imports torch at run time.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

import attrs

from irsql.ir.dims import Dim

if TYPE_CHECKING:
    import numpy as np
    import torch.fx
    from torch.utils._pytree import TreeSpec

InputKind = Literal["user", "parameter", "buffer", "constant"]
OutputKind = Literal["tensor", "symint", "constant"]
Recipe = Literal["plain", "aten", "fused"]

MAX_EXTENT = 2**31 - 1
"""Upper bound of a symbolic dim to which the user gave none."""


class CaptureError(Exception):
    """A module cannot be captured; the message is one clear sentence."""


@attrs.frozen
class InputSpec:
    """One placeholder of the captured graph.

    Attributes
    ----------
    name
        Name of the placeholder node.
    kind
        ``user`` (given at every call), ``parameter``, ``buffer`` (both named as in ``state_dict``) or ``constant``
        (a tensor literal of the forward, lifted by the export).
    target
        Dotted name in the module for parameters and buffers, the export's own name for constants, the
        placeholder's name for user inputs. Tied parameters have their canonical name.
    shape
        One int or symbolic :data:`~irsql.ir.dims.Dim` an axis.
    dtype
        ``float32``, ``int64``, ``bool``, … (torch's name without the prefix).
    position
        For user inputs the index among the flattened ``(args, kwargs)``, else -1.
    """

    name: str
    kind: InputKind
    target: str
    shape: tuple[Dim, ...]
    dtype: str
    position: int = -1


@attrs.frozen
class OutputSpec:
    """One flattened result of the captured module.

    Attributes
    ----------
    name
        Name of the fx node returned; for constants the text of the value.
    kind
        ``tensor``, ``symint`` (a size returned as a Python int) or ``constant`` (None, a number, a string).
    shape, dtype
        As in :class:`InputSpec`; a symint is ``()`` and ``int64``, a constant ``()`` and ``""``.
    value
        The value of a constant.
    """

    name: str
    kind: OutputKind
    shape: tuple[Dim, ...]
    dtype: str
    value: Any = None


@attrs.frozen
class StateSpec:
    """The key/value state of one decoder layer.

    Attributes
    ----------
    layer
        Layer index; in the fused recipe the ``layer`` operand of that layer's ``irsql::attention`` node.
    past_k, past_v
        Graph inputs ``[1, kv_heads, P, dim]`` of the aten recipe; None in the fused one, where the attention node
        stands for append and read.
    new_k, new_v
        Positions among the outputs of the new rows ``[B, kv_heads, S, dim]``.
    kv_heads, k_dim, v_dim
        Geometry of one row of the state.
    """

    layer: int
    past_k: str | None
    past_v: str | None
    new_k: int
    new_v: int
    kv_heads: int
    k_dim: int
    v_dim: int


@attrs.frozen
class Captured:
    """A module as a clean, functional graph of ATen (and ``irsql::``) calls.

    Attributes
    ----------
    gm
        The graph: placeholders, ``call_function`` nodes, one output. Every tensor node has ``meta["val"]``.
    inputs
        The placeholders in graph order.
    outputs
        The flattened results in order.
    symbols
        Name to inclusive range of each symbolic dim.
    state
        One entry a layer for decoders, empty otherwise.
    tied
        Parameter alias to the one canonical name that the graph uses.
    buffers
        Values of what no checkpoint holds: non-persistent buffers and constants, by target name.
    recipe
        ``plain`` for :func:`~irsql.frontend.export.capture`, ``aten`` or ``fused`` for decoders.
    symbol_names
        The export's own symbol to the name in `symbols`; :func:`~irsql.frontend.shapes.node_shape` needs it.
    in_spec, out_spec
        Pytree structure of ``(args, kwargs)`` and of the result.
    fixed
        Arguments that are no tensors, by their index among the flattened ``(args, kwargs)``: the graph holds for
        these values alone.
    parameters
        Names of the forward's positional parameters, so that a call may give them by name.
    """

    gm: torch.fx.GraphModule
    inputs: tuple[InputSpec, ...]
    outputs: tuple[OutputSpec, ...]
    symbols: dict[str, tuple[int, int]]
    state: tuple[StateSpec, ...] = ()
    tied: dict[str, str] = attrs.Factory(dict)
    buffers: dict[str, np.ndarray] = attrs.Factory(dict)
    recipe: Recipe = "plain"
    symbol_names: dict[str, str] = attrs.Factory(dict)
    in_spec: TreeSpec | None = None
    out_spec: TreeSpec | None = None
    fixed: dict[int, Any] = attrs.Factory(dict)
    parameters: tuple[str, ...] = ()

    def of_kind(self, kind: InputKind) -> tuple[InputSpec, ...]:
        """The inputs of one kind, in graph order."""
        return tuple(spec for spec in self.inputs if spec.kind == kind)

    def user_tensors(self, args: Sequence[Any], kwargs: Mapping[str, Any] | None = None) -> list[Any]:
        """The tensors of one call in the order of the graph's user inputs.

        Raises
        ------
        CaptureError
            If the arguments have another structure than those of the capture, or one that is no tensor another value.
        """
        from torch.utils._pytree import tree_flatten

        given = self._as_captured(args, kwargs or {})
        leaves, spec = tree_flatten(given)
        if self.in_spec is not None and spec != self.in_spec:
            try:
                leaves = self.in_spec.flatten_up_to(given)  # dicts in another order are the same
            except ValueError:
                raise CaptureError(f"the arguments have the structure {spec}, the module was captured with "
                                   f"{self.in_spec}") from None
        for position, value in self.fixed.items():
            given = leaves[position]
            if type(given) is not type(value) or given != value:
                raise CaptureError(f"argument {position} is {given!r}, the module was captured with {value!r}: only "
                                   "tensors may change from call to call")
        return [leaves[s.position] for s in self.inputs if s.kind == "user"]

    def _as_captured(self, args: Sequence[Any], kwargs: Mapping[str, Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """The arguments by position and by name as the capture had them."""
        if self.in_spec is None:
            return tuple(args), dict(kwargs)
        count, keywords = self.in_spec.child(0).num_children, list(self.in_spec.child(1).context)
        given = dict(zip(self.parameters, args, strict=False))
        rest, twice = args[len(given):], given.keys() & kwargs.keys()
        given |= kwargs
        first = self.parameters[:count]
        missing = [name for name in (*first, *keywords) if name not in given]
        if twice or missing or len(given) + len(rest) != count + len(keywords):
            named = (*first, *keywords)
            wanted = ", ".join(named) if len(named) == count + len(keywords) else f"{count} by position"
            problem = (f"{', '.join(sorted(twice))} is given twice" if twice else
                       f"{', '.join(missing)} is missing" if missing else f"{len(args) + len(kwargs)} are given")
            raise CaptureError(f"the module was captured with the arguments {wanted}: {problem}")
        return (*(given[name] for name in first), *rest), {name: given[name] for name in keywords}
