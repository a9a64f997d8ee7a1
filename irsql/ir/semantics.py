"""What a module means: run it on drawn inputs and compare with another version of it, of any stage.

The interpreter's values differ by stage (dense arrays in tir, columns in rel and sql). An :class:`Adapter` a stage
turns dense arrays into them and back; a dialect registers its own with :func:`register`.

A *trial* is one assignment of the symbols of ``func.dims`` and one seed. In a trial ``@load`` runs first and fills the
stored relations; then every other function runs in order. A function with state arguments starts from empty states (or
from those of the function before it); the last of them runs twice more, one position at a time, so that prefill and
decode see states of several lengths. The symbol ``P`` is the number of positions in the states before the call.

Equal means: integers exactly; floats within ``max|a-b| / max|b|`` ≤ 1e-4 along the last axis, or 1e-2 where lanes keep
half precision; NaN equals NaN and infinities themselves.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import attrs
import numpy as np

from irsql.ir import dims, registry
from irsql.ir.attributes import TensorType, Type
from irsql.ir.core import ArgInfo, Func, IRError, Module
from irsql.ir.interp import Array, Interpreter

TOLERANCE, HALF_TOLERANCE = 1e-4, 1e-2
POSITION_STEP = 3
"""How far the sequences of a drawn batch are apart."""
LOAD = "load"
PAST = "P"
STATE_KEYS = ("seq", "pos")
DIM_CHOICES = (5, 1, 3, 7)
"""Sizes tried for a symbol, after its lower bound, inside its range."""


class Adapter:
    """Dense arrays to the interpreter's values of a stage and back; the base class is the identity, for tensors.

    A state's dense form is a mapping of arrays, rows in the order of their keys, so that two layouts of one state
    compare equal: ``seq``, ``pos`` and ``data``, or instead of ``data`` the fields that later stages keep apart.
    """

    def dense_type(self, type_: Type) -> TensorType:
        """The tensor that a value of ``type_`` stands for (with symbolic dims); not asked for states."""
        if isinstance(type_, TensorType):
            return type_
        raise IRError(f"the stage has no adapter for values of type {type(type_).__name__}")

    def encode(self, type_: Type, dense: Array, symbols: Mapping[str, int]) -> Any:
        """The interpreter's value of ``type_`` for a dense array."""
        return dense

    def decode(self, type_: Type, value: Any, symbols: Mapping[str, int]) -> Array | Mapping[str, Array]:
        """The dense form of a value."""
        return np.asarray(value)

    def empty_state(self, type_: Type) -> Any:
        """The value of a state without rows."""
        raise IRError(f"the stage has no adapter for states of type {type(type_).__name__}")

    def tolerance(self, module: Module) -> float:
        """How far results of a module of the stage may be from those of a module that computes in 32 bits."""
        return TOLERANCE

    def encode_args(self, func: Func, dense: Sequence[Array | None], symbols: Mapping[str, int]) -> list[Any]:
        """Argument values of ``func``; None stands for an empty state."""
        return [self.empty_state(a.type) if d is None else self.encode(a.type, d, symbols)
                for a, d in zip(func.block.args, dense, strict=True)]

    def decode_results(self, func: Func, values: Sequence[Any],
                       symbols: Mapping[str, int]) -> list[Array | Mapping[str, Array]]:
        """Dense forms of the results of ``func``."""
        return [self.decode(t, v, symbols) for t, v in zip(func.function_type.results, values, strict=True)]


_adapters: dict[str, Adapter] = {}
_DIALECT = {"tir": "tir", "rel": "rel", "tiled": "rel", "sql": "sql"}


def register(stage: str, adapter: Adapter) -> None:
    """Set the adapter of a stage; called by the dialect modules."""
    _adapters[stage] = adapter


def adapter_for(module: Module) -> Adapter:
    """The adapter of the stage that the module says it is in (tensors where it does not say)."""
    stage = str(module.attrs_.get("stage", "tir"))
    registry.load_dialect(_DIALECT.get(stage, stage))
    return _adapters.get(stage) or _adapters.get(_DIALECT.get(stage, stage)) or Adapter()


# -- drawing -------------------------------------------------------------------------------------------
@attrs.frozen
class Trial:
    """One assignment of symbols and one seed."""

    symbols: dict[str, int]
    seed: int

    def __str__(self) -> str:
        return ", ".join(f"{k} = {v}" for k, v in self.symbols.items()) or "the static sizes"


def trials(module: Module, count: int = 4, seed: int = 0) -> list[Trial]:
    """Up to ``count`` different assignments within the ranges of all functions: lower bounds, 1, a few odd sizes.

    The first one has a small odd size everywhere, so that a plain difference shows at once.
    """
    ranges: dict[str, tuple[int, int]] = {}
    for func in module.functions.values():
        for name, (low, high) in symbol_ranges(func).items():
            old = ranges.get(name, (low, high))
            ranges[name] = (min(old[0], low), max(old[1], high))
    ranges.pop(PAST, None)
    choices = {n: [c for c in dict.fromkeys((DIM_CHOICES[0], low, *DIM_CHOICES[1:])) if low <= c <= high] or [low]
               for n, (low, high) in ranges.items()}
    out: list[Trial] = []
    for i in range(max([len(c) for c in choices.values()], default=1) + 1):
        # shift the symbols against each other, so that equal extents do not hide a mixed-up axis
        symbols = {n: c[(i + shift) % len(c)] for shift, (n, c) in enumerate(choices.items())}
        if all(symbols != t.symbols for t in out):
            out.append(Trial(symbols, seed + i))
    return out[:count]


def symbol_ranges(func: Func) -> dict[str, tuple[int, int]]:
    """The ranges in ``irsql.dims`` of a function."""
    out: dict[str, tuple[int, int]] = {}
    for name, bounds in func.dims.items():
        if not (isinstance(bounds, tuple) and len(bounds) == 2 and all(isinstance(b, int) for b in bounds)):
            raise IRError(f"the range of symbol {name} must be a pair of integers", func)
        out[name] = (int(str(bounds[0])), int(str(bounds[1])))
    return out


def draw_parameter(name: str, shape: Sequence[int], dtype: np.dtype[Any], seed: int = 0) -> Array:
    """A parameter that depends on its name, shape and the seed only.

    Matrices have variance 1 / fan-in, so that deep nets stay finite; vectors (scales, biases) lie around 1.
    """
    rng = np.random.default_rng([zlib.crc32(name.encode()), seed])
    if dtype.kind in "iub":
        return rng.integers(0, 2, tuple(shape)).astype(dtype)
    if len(shape) < 2:
        return (1 + 0.1 * rng.standard_normal(tuple(shape))).astype(dtype)
    fan_in = max(1, int(np.prod(shape[1:])))
    drawn: Array = rng.standard_normal(tuple(shape), np.float32) / np.sqrt(fan_in)
    return drawn.astype(dtype)


class Parameters(Mapping[str, Array]):
    """The checkpoint of a trial: given tensors, else drawn when they are first read (and kept).

    Parameters
    ----------
    types
        Dense type by name.
    given
        Tensors that are not drawn.
    seed
        Of the trial.
    """

    def __init__(self, types: Mapping[str, TensorType], given: Mapping[str, Array], seed: int) -> None:
        self.types, self.seed = types, seed
        self.tensors = dict(given)

    def __getitem__(self, name: str) -> Array:
        if name not in self.tensors:
            type_ = self.types[name]
            shape = [dims.evaluate(d, {}) for d in type_.shape]
            self.tensors[name] = draw_parameter(name, shape, type_.dtype.numpy, self.seed)
        return self.tensors[name]

    def __iter__(self) -> Iterator[str]:
        return iter({**self.types, **self.tensors})

    def __len__(self) -> int:
        return len({**self.types, **self.tensors})


def parameter_types(module: Module, adapter: Adapter) -> dict[str, TensorType]:
    """Name to dense type of every checkpoint tensor that an op of the module reads."""
    out: dict[str, TensorType] = {}
    for op in module.walk():
        name = op.attributes.get("parameter")
        if isinstance(name, str) and op.name.endswith(".parameter"):
            out[name] = adapter.dense_type(op.result.type)
    return out


def argument_infos(func: Func) -> list[ArgInfo]:
    """One :class:`ArgInfo` an argument, defaults where the function has none."""
    infos = [a for a in func.args if isinstance(a, ArgInfo)]
    count = len(func.block.args)
    if func.args and len(infos) != count:
        raise IRError(f"@{func.sym_name} has {count} arguments and {len(infos)} argument descriptions", func)
    return infos or [ArgInfo() for _ in range(count)]


def draw_argument(info: ArgInfo, type_: TensorType, symbols: Mapping[str, int], rng: np.random.Generator,
                  past: int = 0) -> Array:
    """A dense argument from its value domain; ``past`` shifts positions."""
    shape = tuple(dims.evaluate(d, symbols) for d in type_.shape)
    dtype = type_.dtype.numpy
    match info.domain:
        case "interval":
            # every third number is whole, so that 0, which often means "off", is among them
            drawn = rng.uniform(info.low, max(info.high, info.low + 1), shape)
            return np.where(rng.integers(0, 3, shape) == 0, np.floor(drawn), drawn).astype(dtype)
        case "range":
            return rng.integers(info.low, max(info.high, info.low + 1), shape).astype(dtype)
        case "positions":
            # the sequences of a batch are at different places, so that no row's positions pass for another's
            row = np.arange(shape[-1] if shape else 1) + info.low + past
            start = POSITION_STEP * np.arange(math.prod(shape[:-1])).reshape(*shape[:-1], 1) if len(shape) > 1 else 0
            return np.broadcast_to(row + start if shape else row[0], shape).astype(dtype)
        case "last":
            return rng.integers(0, symbols[info.of], shape).astype(dtype)
        case "mask":
            return rng.integers(0, 2, shape).astype(dtype)
        case "normal":
            if type_.dtype.is_float:
                return rng.standard_normal(shape).astype(dtype)
            return rng.integers(0, 2, shape).astype(dtype)
        case _:
            raise IRError(f"unknown value domain {info.domain!r}")


# -- running -------------------------------------------------------------------------------------------
@attrs.frozen
class Outcome:
    """Dense results of one call.

    Attributes
    ----------
    call
        ``@decode, call 2``.
    names
        Names of the results.
    results
        Dense forms; a state is a mapping of arrays.
    """

    call: str
    names: tuple[str, ...]
    results: list[Array | Mapping[str, Array]]


def execute(module: Module, trial: Trial, given: Mapping[str, Array] | None = None) -> list[Outcome]:
    """Run every function of the module once or more, as the module docstring says, and give all results."""
    adapter = adapter_for(module)
    parameters = Parameters(parameter_types(module, adapter), given or {}, trial.seed)
    stored: dict[str, Any] = {}
    states: dict[str, Any] = {}
    out: list[Outcome] = []
    funcs = module.functions
    if LOAD in funcs:
        Interpreter(module, parameters, {}, stored).run(LOAD, [])
    else:
        stored.update(_draw_stored(module, adapter, trial.seed))
    past = 0
    for func, call in _calls(funcs):
        symbols = _bind(func, adapter, trial, past, call)
        infos = argument_infos(func)
        rng = np.random.default_rng([zlib.crc32(func.sym_name.encode()), call, trial.seed])
        dense = [None if info.role == "state"
                 else draw_argument(info, adapter.dense_type(arg.type), symbols, rng, past if _stateful(func) else 0)
                 for info, arg in zip(infos, func.block.args, strict=True)]
        values = adapter.encode_args(func, dense, symbols)
        names = _state_names(func)
        for i, name in names.items():
            values[i] = states.get(name, values[i])
        interp = Interpreter(module, parameters, symbols, stored)
        results = interp.run(func.sym_name, values)
        states.update(zip(names.values(), results[len(results) - len(names):], strict=True))
        if names:
            past += _new_positions(infos, dense)
        label = f"@{func.sym_name}" + (f", call {call + 1}" if call else "")
        outputs = [str(o) for o in func.outputs] or [f"result {i}" for i in range(len(results))]
        decoded = adapter.decode_results(func, results, symbols)
        flat = [pair for name, value in zip(outputs, decoded, strict=True) for pair in _flatten(name, value)]
        out.append(Outcome(label, tuple(n for n, _ in flat), [v for _, v in flat]))
    return out


def _flatten(name: str, value: Array | Mapping[str, Array]) -> list[tuple[str, Array | Mapping[str, Array]]]:
    """A result as one item a table: a tir state holds keys and values, which are two relations from rel on."""
    if not isinstance(value, Mapping) or "data" in value:
        return [(name, value)]
    keys = {k: value[k] for k in STATE_KEYS}
    return [(f"{name}.{k}", {**keys, "data": v}) for k, v in value.items() if k not in STATE_KEYS]


def _stateful(func: Func) -> bool:
    return any(i.role == "state" for i in argument_infos(func))


def _calls(funcs: Mapping[str, Func]) -> list[tuple[Func, int]]:
    """Functions in order with the number of the call; the last stateful one is called three times."""
    out = [(f, 0) for name, f in funcs.items() if name != LOAD]
    stateful = [f for f, _ in out if _stateful(f)]
    return out + [(stateful[-1], n) for n in (1, 2)] if stateful else out


def _state_names(func: Func) -> dict[int, str]:
    """Index of each state argument and its name; the last results are their new versions, in the same order."""
    return {i: f"state {n}" for n, i in enumerate(i for i, a in enumerate(argument_infos(func)) if a.role == "state")}


def _bind(func: Func, adapter: Adapter, trial: Trial, past: int, call: int) -> dict[str, int]:
    """The trial's symbols inside the function's ranges; a step after the first call has one position a sequence."""
    step: set[str] = set()
    if call:
        for info, arg in zip(argument_infos(func), func.block.args, strict=True):
            shape = adapter.dense_type(arg.type).shape if info.domain == "positions" else ()
            if shape and not isinstance(shape[-1], int):
                step |= shape[-1].symbols()
    out: dict[str, int] = {}
    for name, (low, high) in symbol_ranges(func).items():
        wanted = past if name == PAST else 1 if name in step else trial.symbols.get(name, low)
        out[name] = min(max(wanted, low), high)
    return out


def _new_positions(infos: Sequence[ArgInfo], dense: Sequence[Array | None]) -> int:
    """How many positions a sequence a call adds to the states."""
    for info, value in zip(infos, dense, strict=True):
        if info.domain == "positions" and value is not None and value.ndim:
            return int(value.shape[-1])
    return 0


def _draw_stored(module: Module, adapter: Adapter, seed: int) -> dict[str, Any]:
    """Stored relations of a module without ``@load``, drawn like parameters."""
    out: dict[str, Any] = {}
    for op in module.walk():
        name = op.attributes.get("store", op.attributes.get("table"))
        if isinstance(name, str) and not op.operands and len(op.results) == 1 and name not in out:
            dense = adapter.dense_type(op.result.type)
            shape = [dims.evaluate(d, {}) for d in dense.shape]
            out[name] = adapter.encode(op.result.type, draw_parameter(name, shape, dense.dtype.numpy, seed), {})
    return out


# -- comparing -----------------------------------------------------------------------------------------
def difference(got: Array, want: Array, tolerance: float = TOLERANCE) -> str | None:
    """How ``got`` differs from ``want``; None where they are equal in the sense of the module docstring."""
    got, want = np.asarray(got), np.asarray(want)
    if got.shape != want.shape:
        return f"shape {got.shape} instead of {want.shape}"
    if got.size == 0:
        return None
    if want.dtype.kind in "iub":
        wrong = np.argwhere(np.asarray(got != want))
        if not len(wrong):
            return None
        at = tuple(int(i) for i in wrong[0])
        return f"{len(wrong)} of {got.size} integers differ, first at {list(at)}: {got[at]} instead of {want[at]}"
    a, b = got.astype(np.float64), want.astype(np.float64)
    special = ~np.isfinite(b) | ~np.isfinite(a)
    same = (a == b) | (np.isnan(a) & np.isnan(b))
    bad = np.argwhere(special & ~same)
    if len(bad):
        at = tuple(int(i) for i in bad[0])
        return f"{a[at]} instead of {b[at]} at {list(at)}"
    a, b = np.where(special, 0.0, a), np.where(special, 0.0, b)
    if a.ndim == 0:
        a, b = a[None], b[None]
    error = np.abs(a - b).max(axis=-1)
    scale = np.abs(b).max(axis=-1)
    relative = np.where(error == 0, 0.0, error / np.maximum(scale, np.finfo(np.float32).tiny))
    worst = float(relative.max())
    if worst <= tolerance:
        return None
    row = [int(i) for i in np.unravel_index(int(relative.argmax()), relative.shape)]
    first = np.argwhere(np.abs(a - b) > tolerance * np.maximum(scale, np.finfo(np.float32).tiny)[..., None])[0]
    at = tuple(int(i) for i in first)
    return (f"error {worst:.3g} in row {row} (at most {tolerance:g} is allowed), first at {list(at)}: "
            f"{a[at]:.6g} instead of {b[at]:.6g}")


def compare(got: Sequence[Outcome], want: Sequence[Outcome], tolerance: float = TOLERANCE) -> list[str]:
    """Every difference between two executions, one sentence each."""
    if [o.call for o in got] != [o.call for o in want]:
        return [f"runs {', '.join(o.call for o in got)} instead of {', '.join(o.call for o in want)}"]
    problems: list[str] = []
    for a, b in zip(got, want, strict=True):
        if len(a.results) != len(b.results):
            problems.append(f"{a.call} gives {len(a.results)} results instead of {len(b.results)}")
            continue
        for name, x, y in zip(b.names, a.results, b.results, strict=True):
            problems += [f"{a.call}, {name}: {text}" for text in _value_differences(x, y, tolerance)]
    return problems


def _value_differences(x: Array | Mapping[str, Array], y: Array | Mapping[str, Array], tolerance: float) -> list[str]:
    if isinstance(x, Mapping) or isinstance(y, Mapping):
        if not (isinstance(x, Mapping) and isinstance(y, Mapping)) or x.keys() != y.keys():
            return ["a state of another form"]
        found = ((key, difference(x[key], y[key], tolerance)) for key in y)
        return [f"{key} of the state: {text}" for key, text in found if text]
    text = difference(x, y, tolerance)
    return [text] if text else []
