"""Takes a module through every stage and compares each one with the first; shared by the tests of passes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

import numpy as np

import irsql.dialects.rel.interp
import irsql.dialects.sql.interp
import irsql.dialects.tir.interp  # noqa: F401 - the interpreters register themselves
from irsql.dialects.expr import UNARY
from irsql.dialects.tir import ops as ti
from irsql.dialects.tir.build import Tensors
from irsql.ir import semantics
from irsql.ir.attributes import F32, ScalarType, TensorType, Type
from irsql.ir.core import ArgInfo, Builder, Func, Module, Op, OpT, Value
from irsql.ir.interp import Array
from irsql.ir.parser import parse_module
from irsql.ir.passes import Pass, PassContext
from irsql.ir.printer import print_op
from irsql.ir.target import LANE_OPS, Capability, LayoutDefaults, Target, attach
from irsql.ir.verifier import verify
from irsql.passes.conversion.convert_rel_to_sql import ConvertRelToSql
from irsql.passes.conversion.convert_tir_to_rel import ConvertTirToRel
from irsql.passes.rel.apply_layout import ApplyLayout
from irsql.passes.rel.cancel_pack import CancelPack
from irsql.passes.rel.select_layout import SelectLayout
from irsql.passes.rel.sink_unpack import SinkUnpack
from irsql.passes.rel.tile_storage import TileStorage
from irsql.passes.sql.inline_ctes import InlineCtes
from irsql.passes.sql.materialise import Materialise

LANES = Target("lanes", "1", "duckdb", capabilities=tuple(Capability(op, "list") for op in LANE_OPS),
               functions={name: name.upper() for name in (*UNARY, "pow")},
               layout=LayoutDefaults(("list",)))
"""An engine that can do everything, on lists."""
Form = Literal["", "scalar", "wide"]
"""What :class:`SelectLayout` may be told to choose."""


def pipeline(lane: int = 4, form: Form = "") -> list[Pass]:
    """The conversions from tir to sql with every pass on the way."""
    return [ConvertTirToRel(), SelectLayout(lane=lane, form=form), ApplyLayout(), TileStorage(), SinkUnpack(),
            CancelPack(), ConvertRelToSql(), InlineCtes(), Materialise()]


class Program:
    """Builds a module with ``@load`` and ``@forward`` tersely.

    Parameters
    ----------
    inputs
        Arguments of ``@forward``: name, type and value domain.
    dims
        Ranges of the symbols.
    """

    def __init__(self, inputs: Sequence[tuple[str, Type, ArgInfo]],
                 dims: Mapping[str, tuple[int, int]] | None = None) -> None:
        self.module = Module.empty(stage="tir")
        self.load = Func.build("load", [])
        self.func = Func.build("forward", [(n, t) for n, t, _ in inputs], dims=dict(dims or {}),
                               args=[i for _, _, i in inputs])
        self.args: list[Value] = list(self.func.block.args)
        self.t = Tensors(Builder(self.func.block))

    def weight(self, name: str, *shape: int, dtype: ScalarType = F32) -> Value:
        """A tensor of the checkpoint that ``@load`` stores."""
        type_ = TensorType(shape, dtype)
        loaded = Builder(self.load.block).insert(ti.Parameter(parameter=name, result_types=[type_])).result
        Builder(self.load.block).insert(ti.Store(loaded, store=name))
        return self.add(ti.Stored(store=name, result_types=[type_])).result

    def add(self, op: OpT) -> OpT:
        """Insert an op at the end."""
        return self.t.builder.insert(op)

    def finish(self, *results: Value, target: Target = LANES) -> Module:
        """The verified module, with a target."""
        self.load.ret()
        self.func.ret(*results)
        self.func.outputs = tuple(f"out{i}" for i in range(len(results)))
        if self.load.block.ops[:-1]:
            self.module.add(self.load)
        self.module.add(self.func)
        attach(self.module, target)
        verify(self.module)
        return self.module


def run(module: Module, *passes: Pass) -> PassContext:
    """Run passes and verify after each; the context of the last one."""
    ctx: PassContext | None = None
    for p in passes:
        ctx = PassContext.of(p, module)
        p.run(module, ctx)
        verify(module)
    assert ctx is not None
    return ctx


def text(module: Module) -> str:
    """The text of a module, locations included."""
    return print_op(module, resources={})


def copy(module: Module) -> Module:
    """The module read back from its text, which must print the same again."""
    resources: dict[str, Array] = {}
    before = print_op(module, resources=resources)
    again = parse_module(before, resources=resources)
    verify(again)
    assert print_op(again, resources={}) == before
    return again


def outcomes(module: Module, count: int = 4, given: Mapping[str, Array] | None = None) -> list[list[semantics.Outcome]]:
    """What the module computes in each of its trials."""
    return [semantics.execute(module, trial, given) for trial in semantics.trials(module, count)]


def same(got: Sequence[Sequence[semantics.Outcome]], want: Sequence[Sequence[semantics.Outcome]], tolerance: float,
         what: str) -> None:
    """Fail with every difference between two runs."""
    problems = [p for a, b in zip(got, want, strict=True) for p in semantics.compare(a, b, tolerance)]
    assert not problems, f"after {what}: " + "; ".join(problems)


def check_stages(module: Module, passes: Sequence[Pass], *, tolerance: float = 1e-5, count: int = 4,
                 given: Mapping[str, Array] | None = None) -> Module:
    """Run ``passes``, comparing with the start after each one; continue from a re-read dump as well; the result.

    The module itself is not changed.
    """
    want = outcomes(module, count, given)
    straight, reread = copy(module), copy(module)
    for p in passes:
        run(straight, p)
        run(reread, p)
        assert text(reread) == text(straight), f"{p} does something else on a module that was read from its text"
        same(outcomes(straight, count, given), want, tolerance, str(p))
        reread = copy(straight)
    return straight


def ops_of(module: Module, cls: type[OpT], function: str = "forward") -> list[OpT]:
    """The ops of one class in a function."""
    return [op for op in module.functions[function].block.ops if isinstance(op, cls)]


def names(module: Module, function: str = "forward") -> list[str]:
    """Op names of a function in order."""
    return [op.name for op in module.functions[function].block.ops]


def whole(name: str, *shape: int, low: int = -3, high: int = 4) -> Array:
    """A seeded tensor of small integers in float32: sums of them are exact in any order."""
    seed = int.from_bytes(name.encode(), "little") % 2**32
    return np.random.default_rng(seed).integers(low, high, shape).astype(np.float32)


def expressions(op: Op, cls: type[OpT]) -> list[OpT]:
    """The ops of one class nested in ``op``."""
    return [inner for inner in op.walk() if isinstance(inner, cls)]
