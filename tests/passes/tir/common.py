"""What the tests of tir passes share: building a module, running passes on it, comparing its meaning."""

from __future__ import annotations

from collections import Counter

from irsql.dialects.tir.build import Tensors
from irsql.ir import semantics
from irsql.ir.attributes import F32, TensorType
from irsql.ir.core import ArgInfo, Builder, Func, Module
from irsql.ir.parser import parse_module
from irsql.ir.pipeline import run_passes
from irsql.ir.printer import print_op
from irsql.ir.verifier import verify


def tensor(*shape, dtype=F32):
    return TensorType(shape, dtype)


def function(module, name, inputs, build, dims=None, infos=None):
    """Add a function whose body ``build(tensors, *arguments)`` makes and whose results it returns."""
    func = module.add(Func.build(name, [(f"x{i}", t) for i, t in enumerate(inputs)], dims=dims or {},
                                 args=infos or [ArgInfo() for _ in inputs]))
    out = build(Tensors(Builder(func.block)), *func.block.args)
    func.ret(*(out if isinstance(out, tuple) else (out,)))
    return func


def module_of(inputs, build, dims=None, infos=None):
    """A module with one function ``@forward``."""
    module = Module.empty(stage="tir")
    function(module, "forward", inputs, build, dims, infos)
    return module


def counts(func):
    """Op name to number, regions not included."""
    return Counter(op.name for op in func.block.ops)


def run(module, *passes, exact=False):
    """Run the passes and check that the module still verifies, reads back from text and means the same.

    Returns the remarks.
    """
    verify(module)
    assert not semantics.compare(outcomes(reread(module)), outcomes(module), 0.0)
    before = outcomes(module)
    done = run_passes(module, *passes)
    verify(module)
    assert semantics.compare(outcomes(module), before, 0.0 if exact else 1e-6) == []
    assert semantics.compare(outcomes(reread(module)), before, 0.0 if exact else 1e-6) == []
    return [remark for pass_run in done for remark in pass_run.ctx.remarks]


def outcomes(module):
    return [o for trial in semantics.trials(module) for o in semantics.execute(module, trial)]


def reread(module):
    resources: dict = {}
    return parse_module(print_op(module, resources=resources), resources=resources)
