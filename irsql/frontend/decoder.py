"""Capture of decoders: the causal language models of ``transformers``, with their key/value state.

Two recipes give the same numbers. ``fused`` keeps attention, RMSNorm and RoPE as one node each and leaves the past
out of the graph: one graph ``(input_ids[B, S], position_ids[B, S], last[B])`` serves prefill and decode.
``aten`` is plain ATen with the past keys and values as inputs of dynamic length P and a batch of one: nothing is
recognised, which makes it the oracle of the fused recipe. Both return the logits ``[B, V]`` of one row a sequence,
the one that ``last`` points to, then the new keys and values of each layer.
"""

from __future__ import annotations

import copy
import json
import os
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import Any, Literal, cast

import attrs
import numpy as np
import torch
from torch import Tensor
from transformers.cache_utils import Cache, DynamicCache, DynamicLayer
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS, PreTrainedModel

from irsql.frontend import ops
from irsql.frontend.captured import MAX_EXTENT, Captured, CaptureError, StateSpec
from irsql.frontend.export import assemble, canonical_parameters, export_functional, symbol_names
from irsql.frontend.shapes import dtype_name
from irsql.frontend.weights import to_numpy

DEFAULT_CONTEXT = 131_072
"""Longest sequence where the configuration names none."""

MAX_COUNT = 1000
"""Most layers, and most experts of a layer: transformers makes an object of each before anything can be checked."""
MAX_AXIS, MAX_BUFFER = 2**24, 2**28
"""Largest extent of a tensor, and most elements of one that is computed while capturing."""
_COUNT = re.compile("(num|n)_.*(layers?|experts)")

_ATTENTION = "irsql"
_POSITIONS: ContextVar[Tensor | None] = ContextVar("irsql_positions", default=None)


class _NewRows(DynamicLayer):
    """A cache layer that hands the new rows straight back and remembers them: the past is the attention node's."""

    def __init__(self) -> None:
        super().__init__()
        self.is_initialized = True
        self.new: tuple[Tensor, Tensor] | None = None

    def update(self, key_states: Tensor, value_states: Tensor, *args: Any, **kwargs: Any) -> tuple[Tensor, Tensor]:
        self.new = (key_states, value_states)
        return key_states, value_states

    def get_seq_length(self) -> int:
        return 0

    def get_mask_sizes(self, query_length: int) -> tuple[int, int]:
        return query_length, 0


class _PastRows(_NewRows):
    """A cache layer that joins given past rows and the new ones for attention, and remembers only the new ones."""

    def __init__(self, keys: Tensor, values: Tensor) -> None:
        super().__init__()
        self.past = keys, values
        self.keys, self.values, self.dtype, self.device = keys, values, keys.dtype, keys.device

    def update(self, key_states: Tensor, value_states: Tensor, *args: Any, **kwargs: Any) -> tuple[Tensor, Tensor]:
        self.new = (key_states, value_states)
        keys, values = self.past
        return torch.cat([keys, key_states], dim=-2), torch.cat([values, value_states], dim=-2)

    def get_seq_length(self) -> int:
        return self.past[0].shape[-2]

    def get_mask_sizes(self, query_length: int) -> tuple[int, int]:
        return self.past[0].shape[-2] + query_length, 0


def model_from_config(source: str | os.PathLike[str] | Any) -> PreTrainedModel:
    """The float32 model of a configuration, without memory for its weights: everything lies on ``meta``.

    A bfloat16 checkpoint is captured in float32 too: what the database computes in, and the graph is free of casts.

    Parameters
    ----------
    source
        A folder with a ``config.json``, or a ``transformers`` configuration.

    Raises
    ------
    CaptureError
        If there is no readable configuration or it names no causal language model that transformers has.
    """
    import transformers

    config = _read_config(Path(source)) if isinstance(source, (str, os.PathLike)) else source
    named = config.architectures or []
    if not isinstance(named, (list, tuple)) or not all(isinstance(name, str) for name in named):
        raise CaptureError(f"the architectures of the configuration are no list of names: {named!r}")
    names = list(named)
    cls = next((getattr(transformers, name) for name in names if hasattr(transformers, name)), None)
    if cls is None and not names:
        cls = cast("Any", transformers.AutoModelForCausalLM._model_mapping).get(type(config), None)
    if cls is None or not hasattr(cls, "prepare_inputs_for_generation"):
        raise CaptureError(f"the configuration names no causal language model of transformers: {names}")
    if getattr(config, "is_encoder_decoder", False):
        raise CaptureError(f"{cls.__name__} has an encoder: only models that continue a text can be captured")
    try:
        with torch.device("meta"):
            model = cls._from_config(config, attn_implementation="eager", dtype=torch.float32)
        model.eval().requires_grad_(False)
        if not _geometry(model):
            raise CaptureError(f"{cls.__name__} has no layers by its configuration")
        _check_sizes(model)
    except CaptureError:
        raise
    except Exception as error:
        # What a wrong number in a configuration leads to is any error of transformers or torch.
        reason = (str(error).splitlines() or [""])[0]
        raise CaptureError(f"transformers cannot make {cls.__name__} of its configuration: "
                           f"{type(error).__name__}: {reason}") from error  # fmt: skip
    return model


def _check_sizes(model: PreTrainedModel) -> None:
    """Whether what is tried on the CPU while capturing fits there: a norm's weight, a table of frequencies."""
    for name, tensor in (*model.named_parameters(), *model.named_buffers()):
        is_computed = not isinstance(tensor, torch.nn.Parameter)
        if max(tensor.shape, default=0) > MAX_AXIS or (is_computed and tensor.numel() > MAX_BUFFER):
            raise CaptureError(f"by its configuration {type(model).__name__} has the tensor {name} of the shape "
                               f"{list(tensor.shape)}, which is too large to be compiled")  # fmt: skip


def _read_config(folder: Path) -> Any:
    import transformers

    path = folder / "config.json"
    try:
        fields = json.loads(path.read_text("utf-8"))
        model_type = fields.get("model_type") if isinstance(fields, dict) else None
        if not isinstance(model_type, str):
            raise CaptureError(f"{path} names no model_type")
        for name, value in fields.items():
            if _COUNT.fullmatch(name) and isinstance(value, int) and value > MAX_COUNT:
                raise CaptureError(f"{path} asks for {name}: {value}, more than the {MAX_COUNT} that can be compiled")
        return transformers.AutoConfig.for_model(**fields)
    except CaptureError:
        raise
    except FileNotFoundError:
        raise CaptureError(f"{folder} holds no config.json") from None
    except Exception as error:
        # Configurations check their fields in many ways.
        reason = " ".join(str(error).split()) or type(error).__name__
        raise CaptureError(f"{path} cannot be read: {reason}") from error


def context_of(config: Any) -> int:
    """The longest sequence that a configuration names, 0 if it names none.

    Raises
    ------
    CaptureError
        If that is no number of tokens, or leaves no room for a prompt and a token after it.
    """
    context = getattr(config, "max_position_embeddings", None) or 0
    if not isinstance(context, int) or context < 0 or context == 1:
        raise CaptureError(f"the configuration says max_position_embeddings: {context!r}, which is no context: at "
                           "least 2 tokens must fit")  # fmt: skip
    return min(context, MAX_EXTENT)


def capture_decoder(model: PreTrainedModel, recipe: Literal["fused", "aten"] = "fused") -> Captured:
    """Capture a causal language model with its state.

    Parameters
    ----------
    model
        From :func:`model_from_config` or ``from_pretrained``, with eager attention.
    recipe
        ``fused`` or ``aten``, see the head of this module.

    Returns
    -------
    Captured
        User inputs ``input_ids``, ``position_ids``, ``last`` (row of each sequence whose logits are wanted), in the
        aten recipe followed by ``past_k_0``, ``past_v_0``, …; outputs logits, new keys and values of layer 0, ….
        Symbols are B and S, or S and P.

    Raises
    ------
    CaptureError
        If the model cannot be captured this way.
    """
    if recipe not in ("fused", "aten"):
        raise CaptureError(f"there is no capture recipe {recipe!r}: use 'fused' or 'aten'")
    if model.dtype != torch.float32:
        raise CaptureError(f"the model is in {dtype_name(model.dtype)}: capture it in float32")
    context = context_of(model.config) or DEFAULT_CONTEXT
    layers = int(model.config.num_hidden_layers)
    length = torch.export.Dim("S", min=1, max=context)
    rows = 1 if recipe == "aten" else 2
    ids = torch.zeros((rows, 3), dtype=torch.long, device=model.device)
    args: tuple[Any, ...] = (ids, ids.clone(), torch.zeros(rows, dtype=torch.long, device=model.device))
    shapes: tuple[Any, ...]
    with ExitStack() as stack:
        if recipe == "aten":
            past = torch.export.Dim("P", min=0, max=context)
            sizes = [(1, heads, 5, dim) for heads, *pair in _geometry(model) for dim in pair]
            args = (*args, [torch.zeros(size, dtype=model.dtype, device=model.device) for size in sizes])
            shapes = ({1: length}, {1: length}, {}, [{2: past}] * len(sizes))
        else:
            batch = torch.export.Dim("B", min=0, max=MAX_EXTENT)
            shapes = ({0: batch, 1: length}, {0: batch, 1: length}, {0: batch})
            stack.enter_context(_attention_whole(model))
            stack.enter_context(_norms_whole(model))
            stack.enter_context(_rope_whole(model))
        stack.enter_context(_forward_of_step(model, layers, recipe))
        program, functional = export_functional(model, args, {}, shapes)
        names = symbol_names(functional, shapes)
        tied = {**canonical_parameters(model), **getattr(model, "all_tied_weights_keys", {})}
        captured = assemble(model, program, functional, names, tied, _buffer_values(model))
    return attrs.evolve(_named(captured, layers, recipe), recipe=recipe)


def _named(captured: Captured, layers: int, recipe: str) -> Captured:
    """Give the past inputs their names and describe the state."""
    users = [spec for spec in captured.inputs if spec.kind == "user"]
    rename: dict[str, str] = {}
    for i, spec in enumerate(users[3:]):
        rename[spec.name] = f"past_{'kv'[i % 2]}_{i // 2}"
    for node in captured.gm.graph.nodes:
        if node.op == "placeholder" and node.name in rename:
            node.name = node.target = rename[node.name]
    captured.gm.recompile()
    inputs = tuple(
        attrs.evolve(spec, name=rename[spec.name], target=rename[spec.name]) if spec.name in rename else spec
        for spec in captured.inputs
    )
    state = []
    for layer in range(layers):
        at = 1 + 2 * layer
        keys, values = captured.outputs[at].shape, captured.outputs[at + 1].shape
        past_k, past_v = (f"past_k_{layer}", f"past_v_{layer}") if recipe == "aten" else (None, None)
        geometry = _static(keys[1]), _static(keys[3]), _static(values[3])
        state.append(StateSpec(layer, past_k, past_v, at, at + 1, *geometry))
    return attrs.evolve(captured, inputs=inputs, state=tuple(state))


def _static(dim: Any) -> int:
    if not isinstance(dim, int):
        raise CaptureError(f"the geometry of the keys and values depends on {dim}")
    return dim


def _geometry(model: PreTrainedModel) -> list[tuple[int, int, int]]:
    """Heads and dims of each layer's keys and values, found by a run on ``meta``: configurations do not tell."""
    bare = model if model.device.type == "meta" else model_from_config(model.config)
    cache = DynamicCache()
    with torch.no_grad():
        bare(input_ids=torch.zeros((1, 2), dtype=torch.long, device="meta"), cache=cache, use_cache=True)
    out = []
    for layer in cache.layers:
        keys, values = getattr(layer, "keys", None), getattr(layer, "values", None)
        if keys is None or values is None:
            raise CaptureError(f"a layer of {type(model).__name__} keeps no keys and values")
        out.append((keys.shape[1], keys.shape[3], values.shape[3]))
    return out


@contextmanager
def _forward_of_step(model: PreTrainedModel, layers: int, recipe: str) -> Iterator[None]:
    """Swap the model's forward for one step over the state.

    The model itself is exported, not a wrapper around it, so that parameters keep the checkpoint's names. Rows are
    gathered in front of the head, so that the logits of one row a sequence are computed, not of all.
    """
    original = model.forward
    head = model.get_output_embeddings()
    if head is None:
        raise CaptureError(f"{type(model).__name__} has no output head")
    last_rows: list[Tensor] = []

    def gather(_: torch.nn.Module, inputs: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        hidden, last = inputs[0], last_rows[-1]
        if recipe == "aten":
            return (hidden.squeeze(0).index_select(0, last),)
        return (hidden[torch.arange(hidden.shape[0], device=hidden.device), last],)

    def step(input_ids: Tensor, position_ids: Tensor, last: Tensor, past: Sequence[Tensor] = ()) -> list[Tensor]:
        rows: list[_NewRows]
        if recipe == "aten":
            rows = [_PastRows(k, v) for k, v in zip(past[::2], past[1::2], strict=True)]
        else:
            rows = [_NewRows() for _ in range(layers)]
        last_rows.append(last)
        token = _POSITIONS.set(position_ids)
        try:
            out = original(
                input_ids=input_ids, position_ids=position_ids, cache=Cache(layers=[*rows]), use_cache=True
            )
        finally:
            _POSITIONS.reset(token)
            last_rows.pop()
        flat = [out.logits]
        for layer in rows:
            if layer.new is None:
                raise CaptureError(f"a layer of {type(model).__name__} keeps no keys and values")
            flat += layer.new
        return flat

    hook = head.register_forward_pre_hook(gather)
    model.forward = step
    try:
        yield
    finally:
        del model.forward
        hook.remove()


def _attention(
    module: torch.nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    scaling: float | None = None,
    dropout: float = 0.0,
    is_causal: bool | None = None,
    **kwargs: Any,
) -> tuple[Tensor, None]:
    """The attention function that transformers calls while the fused recipe is traced."""
    if kwargs.get("s_aux") is not None or attention_mask is not None:
        what = "attention mask" if attention_mask is not None else "attention sinks"
        raise CaptureError(f"the fused attention has no {what}: capture this model with --capture aten")
    causal = getattr(module, "is_causal", True) if is_causal is None else is_causal
    scale = query.shape[-1] ** -0.5 if scaling is None else scaling
    layer = int(getattr(module, "layer_idx", -1))
    window, cap = kwargs.get("sliding_window"), kwargs.get("softcap")
    out = torch.ops.irsql.attention(
        query, key, value, _POSITIONS.get(), layer, float(scale), bool(causal), int(window or 0), float(cap or 0.0)
    )
    return out, None


@contextmanager
def _attention_whole(model: PreTrainedModel) -> Iterator[None]:
    """Route attention through ``irsql::attention``.

    No mask function is registered under the same name, so transformers builds no mask at all: which rows a query
    sees is the node's meaning.
    """
    ALL_ATTENTION_FUNCTIONS.register(_ATTENTION, _attention)
    found: list[Any] = [getattr(module, "config", None) for module in model.modules()]
    configs = {id(config): config for config in found if hasattr(config, "_attn_implementation_internal")}
    before = [(config, config._attn_implementation_internal) for config in configs.values()]
    for config, _ in before:
        config._attn_implementation_internal = _ATTENTION
    try:
        yield
    finally:
        for config, value in before:
            config._attn_implementation_internal = value


@contextmanager
def _norms_whole(model: PreTrainedModel) -> Iterator[None]:
    """Route each RMSNorm through ``irsql::rms_norm``: every module that behaves like one, whatever its class."""
    replaced: list[torch.nn.Module] = []
    verdicts: dict[tuple[type, float, tuple[int, ...]], bool] = {}
    for module in model.modules():
        weight = getattr(module, "weight", None)
        eps = getattr(module, "variance_epsilon", getattr(module, "eps", None))
        if not type(module).__name__.endswith("RMSNorm") or weight is None or not isinstance(eps, float):
            continue
        key = (type(module), eps, tuple(weight.shape))
        if key not in verdicts:
            verdicts[key] = _is_rms_norm(module, eps)
        if verdicts[key]:
            module.forward = _rms_norm_forward(module, eps)
            replaced.append(module)
    try:
        yield
    finally:
        for module in replaced:
            del module.forward


def _rms_norm_forward(module: torch.nn.Module, eps: float) -> Any:
    return lambda x: torch.ops.irsql.rms_norm(x, module.weight, eps)


def _is_rms_norm(module: torch.nn.Module, eps: float) -> bool:
    """Whether a module computes what ``irsql::rms_norm`` does, tried on random numbers (some add 1 to the weight)."""
    generator = torch.Generator().manual_seed(0)
    trial: Any = copy.deepcopy(module).to_empty(device="cpu").float()
    with torch.no_grad():
        trial.weight.copy_(torch.randn(trial.weight.shape, generator=generator))
        x = torch.randn((2, 3, *trial.weight.shape), generator=generator)
        try:
            return torch.allclose(trial(x), ops.rms_norm(x, trial.weight, eps), rtol=1e-5, atol=1e-6)
        except (RuntimeError, TypeError):
            return False


@contextmanager
def _rope_whole(model: PreTrainedModel) -> Iterator[None]:
    """Route ``apply_rotary_pos_emb`` of the model's file through ``irsql::rope`` where it is the half-rotated form."""
    source = vars(sys.modules[type(model).__module__])
    original = source.get("apply_rotary_pos_emb")
    if original is None or not _is_half_rotation(original):
        yield
        return

    def apply(q: Tensor, k: Tensor, cos: Tensor, sin: Tensor) -> tuple[Tensor, Tensor]:
        return torch.ops.irsql.rope(q, cos, sin), torch.ops.irsql.rope(k, cos, sin)

    source["apply_rotary_pos_emb"] = apply
    try:
        yield
    finally:
        source["apply_rotary_pos_emb"] = original


def _is_half_rotation(function: Any) -> bool:
    """Whether a function computes ``irsql::rope`` on both operands, tried on random numbers.

    Where the tables are narrower than a head (a partial rotation) ``irsql::rope`` refuses, and so must the function;
    some rotate the first columns only, by the width of the tables.
    """
    return _rotates_halves(function, 8) and not _accepts(function, 4)


def _accepts(function: Any, width: int) -> bool:
    """Whether a function takes tables narrower than a head."""
    x, table = torch.ones((2, 1, 5, 8)), torch.ones((2, 5, width))
    try:
        function(x, x, table, table)
    except (RuntimeError, TypeError, ValueError):
        return False
    return True


def _rotates_halves(function: Any, width: int) -> bool:
    generator = torch.Generator().manual_seed(0)
    q, k = torch.randn((2, 3, 5, width), generator=generator), torch.randn((2, 1, 5, width), generator=generator)
    cos, sin = torch.randn((2, 5, width), generator=generator), torch.randn((2, 5, width), generator=generator)
    try:
        got: Any = function(q, k, cos, sin)
        return all(
            torch.allclose(a, ops.rope(b, cos, sin), rtol=1e-5, atol=1e-6) for a, b in zip(got, (q, k), strict=True)
        )
    except (RuntimeError, TypeError, ValueError):
        return False


def _buffer_values(model: PreTrainedModel) -> Mapping[str, np.ndarray]:
    """Values of the non-persistent buffers, recomputed where they lie on ``meta`` (RoPE's frequencies).

    transformers recomputes them in ``_init_weights``; a module is copied to the CPU for that alone.
    """
    persistent = set(model.state_dict())
    buffers = {name: value for name, value in model.named_buffers() if name not in persistent}
    out = {name: to_numpy(value) for name, value in buffers.items() if not value.is_meta}
    for path in sorted({name.rpartition(".")[0] for name, value in buffers.items() if value.is_meta}):
        module = copy.deepcopy(model.get_submodule(path)).to_empty(device="cpu")
        with torch.no_grad():
            model._init_weights(module)
        for name, value in module.named_buffers(path, recurse=False):
            if name in buffers:
                out[name] = to_numpy(value)
    return out
