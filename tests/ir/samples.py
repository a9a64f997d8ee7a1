"""A small module and passes that do one thing each, right or wrong, for the tests of the pass infrastructure."""

from __future__ import annotations

import attrs

from irsql.dialects.tir import ops
from irsql.ir import pass_registry
from irsql.ir.core import IRError, Module, Op
from irsql.ir.parser import parse_module
from irsql.ir.passes import Pass, PassContext
from irsql.ir.rewriter import Pattern, Rewriter

SOFTMAX = '''"builtin.module"() ({
  "func.func"() <{sym_name = "forward", function_type = (tensor<?x4xf32, #irsql.dims<["B", 4]>>) -> tensor<?x4xf32, #irsql.dims<["B", 4]>>}> ({
  ^bb0(%x: tensor<?x4xf32, #irsql.dims<["B", 4]>>):
    %w = "tir.parameter"() <{parameter = "w"}> : () -> tensor<4x4xf32>
    %y = "tir.contract"(%x, %w) <{maps = [affine_map<(d0, d1, d2) -> (d0, d2)>, affine_map<(d0, d1, d2) -> (d1, d2)>, affine_map<(d0, d1, d2) -> (d0, d1)>], bounds = [#irsql.dim<"B">, 4, 4]}> : (tensor<?x4xf32, #irsql.dims<["B", 4]>>, tensor<4x4xf32>) -> tensor<?x4xf32, #irsql.dims<["B", 4]>>
    %z = "tir.softmax"(%y) <{axis = 1}> : (tensor<?x4xf32, #irsql.dims<["B", 4]>>) -> tensor<?x4xf32, #irsql.dims<["B", 4]>> loc("net.act#softmax"("net.py":7:5))
    "func.return"(%z) : (tensor<?x4xf32, #irsql.dims<["B", 4]>>) -> ()
  }) {irsql.dims = {B = [0, 16]}} : () -> ()
}) {irsql.attrs = {stage = "tir"}} : () -> ()
'''  # noqa: E501


def softmax() -> Module:
    """``softmax(x @ w.T)`` with a symbolic batch."""
    return parse_module(SOFTMAX)


@pass_registry.register
@attrs.frozen
class Nothing(Pass):
    """Does nothing, says so."""

    name = "test-nothing"
    summary = "change nothing"

    def run(self, module: Module, ctx: PassContext) -> None:
        ctx.statistic("looked", 2)
        softmaxes = [op for op in module.walk() if isinstance(op, ops.Softmax)]
        for op in softmaxes:
            ctx.remark("missed", op, "softmax was kept", "1 > 0", "ask for less")


class DropSoftmax(Pattern):
    root = ops.Softmax

    def rewrite(self, op: Op, rewriter: Rewriter) -> bool:
        rewriter.replace(op, op.operands[0])
        return True


@pass_registry.register
@attrs.frozen
class Wrong(Pass):
    """Valid IR, same types, another meaning."""

    name = "test-wrong"
    summary = "remove every softmax"
    stage_in = stage_out = "tir"

    def run(self, module: Module, ctx: PassContext) -> None:
        ctx.apply([DropSoftmax()], module)
        ctx.remark("passed", None, "softmax removed")


@pass_registry.register
@attrs.frozen
class Rename(Pass):
    """Changes the text and not the meaning: names every result."""

    name = "test-rename"
    summary = "rename all results"
    stage_in = stage_out = "tir"
    prefix: str = "v"
    only: tuple[str, ...] = ()

    def run(self, module: Module, ctx: PassContext) -> None:
        for op in module.walk():
            for result in op.results:
                if not self.only or op.name in self.only:
                    result.name = self.prefix


@pass_registry.register
@attrs.frozen
class Retype(Pass):
    """Returns the argument in place of the result: valid, with another type when the sizes differ."""

    name = "test-retype"
    summary = "return a parameter"
    stage_in = stage_out = "tir"

    def run(self, module: Module, ctx: PassContext) -> None:
        func = module.functions["forward"]
        weight = next(op for op in module.walk() if isinstance(op, ops.Parameter))
        func.block.terminator.set_operands([weight.result])
        func.update_type()


@pass_registry.register
@attrs.frozen
class Invalid(Pass):
    """Leaves a use before its definition."""

    name = "test-invalid"
    summary = "break the order of ops"

    def run(self, module: Module, ctx: PassContext) -> None:
        block = module.functions["forward"].block
        block.ops[0], block.ops[1] = block.ops[1], block.ops[0]


@pass_registry.register
@attrs.frozen
class Fails(Pass):
    """Fails in the way it is told to."""

    name = "test-fails"
    summary = "raise an error"
    crash: bool = False

    def run(self, module: Module, ctx: PassContext) -> None:
        if self.crash:
            raise KeyError("lost")
        raise IRError("softmax is not wanted", next(op for op in module.walk() if isinstance(op, ops.Softmax)))
