"""Bisection of pipelines over small passes that are right or wrong on purpose."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import attrs
import pytest

from irsql.dialects.tir import ops
from irsql.ir.bisect import Bisection, Finding
from irsql.ir.core import IRError, Module, Op
from irsql.ir.instruments.verify_semantics import VerifySemantics
from irsql.ir.passes import Pass, PassContext
from irsql.ir.pipeline import run_passes
from irsql.ir.rewriter import Pattern, RewriteLimit, Rewriter, greedy, walk
from tests.ir.samples import Fails, Invalid, Nothing, Rename, Wrong, softmax


class Counted(VerifySemantics):
    """Counts the modules it executes."""

    def __init__(self) -> None:
        super().__init__()
        self.executed = 0

    def check(self, module: Module) -> None:
        self.executed += 1
        super().check(module)


@attrs.frozen
class Twice(Pass):
    """Softmax again: wrong, until ``test-once`` undoes it."""

    name = "test-twice"
    summary = "apply softmax to softmax"
    stage_in = stage_out = "tir"

    def run(self, module: Module, ctx: PassContext) -> None:
        back = module.functions["forward"].block.terminator
        value = back.operands[0]
        again = ops.Softmax(value, axis=1, result_types=[value.type])
        module.functions["forward"].block.insert(len(module.functions["forward"].block.ops) - 1, again)
        back.set_operands([again.result])


@attrs.frozen
class Once(Pass):
    """Undoes ``test-twice``."""

    name = "test-once"
    summary = "drop the second softmax"
    stage_in = stage_out = "tir"

    def run(self, module: Module, ctx: PassContext) -> None:
        back = module.functions["forward"].block.terminator
        again = back.operands[0].owner
        assert isinstance(again, ops.Softmax)
        back.set_operands([again.x])
        again.erase()


class AddSoftmax(Pattern):
    """Renames a contraction, which is right, and repeats a softmax, which is not; each op once."""

    root = (ops.Contract, ops.Softmax)

    def rewrite(self, op: Op, rewriter: Rewriter) -> bool:
        if op.results[0].name == "seen":
            return False
        op.results[0].name = "seen"
        rewriter.modified(op)
        if isinstance(op, ops.Softmax):
            users = op.result.users()
            again = rewriter.insert_after(op, ops.Softmax(op.result, axis=1, result_types=[op.result.type]), "seen")
            for user in users:
                user.set_operands([again.result])
        return True


@attrs.frozen
class Partly(Pass):
    """Two rewrites: the first, of the contraction, changes a name; the second, of the softmax, the result."""

    name = "test-partly"
    summary = "one rewrite of two is wrong"
    stage_in = stage_out = "tir"
    also: bool = False

    def run(self, module: Module, ctx: PassContext) -> None:
        ctx.apply([AddSoftmax()], module, driver="greedy")
        if self.also:
            Twice().run(module, ctx)


def bisect(*passes: Pass, check: VerifySemantics | None = None, **more: Any) -> Finding | None:
    return Bisection(check or VerifySemantics(), **more).run(softmax(), passes)


def found(*passes: Pass, **more: Any) -> Finding:
    finding = bisect(*passes, **more)
    assert finding is not None
    return finding


def names(n: int) -> list[Pass]:
    return [Rename(f"v{i}") for i in range(n)]


def test_no_pass_is_wrong() -> None:
    assert bisect(Nothing(), Rename("a"), Nothing()) is None
    assert bisect() is None


@pytest.mark.parametrize("at", [0, 1, 6, 15])
def test_the_wrong_pass_is_found_by_few_executions(at: int) -> None:
    passes = [*names(at), Wrong(), *names(15 - at)]
    check = Counted()
    finding = found(*passes, check=check)
    assert (finding.number, finding.pass_, finding.failed, finding.repaired) == (at + 1, Wrong(), False, False)
    assert "@forward, result 0: error" in str(finding.problem)
    assert check.executed <= 8  # of 16; 3 of them inside of the pass
    with pytest.raises(IRError, match="changes what the module computes"):
        run_passes(finding.before, Wrong(), instruments=[VerifySemantics()])


def test_what_a_pass_leaves_as_it_is_is_not_executed() -> None:
    check = Counted()
    assert bisect(*[Nothing()] * 9, check=check) is None
    assert check.executed == 0


def test_a_pass_that_is_repaired_later_is_found() -> None:
    finding = found(Rename("a"), Twice(), Once(), Rename("b"))
    assert (finding.number, finding.repaired) == (2, True)


def test_the_found_pass_stands_between_a_right_and_a_wrong_module() -> None:
    finding = found(Twice(), Once(), Rename("a"), Rename("b"), Wrong(), Rename("c"))
    assert isinstance(finding.pass_, Twice | Wrong)
    with pytest.raises(IRError, match="changes what the module computes"):
        run_passes(finding.before, finding.pass_, instruments=[VerifySemantics()])


@pytest.mark.parametrize(("wrong", "words"), [(Fails(), "softmax is not wanted"), (Fails(crash=True), "crashed"),
                                              (Invalid(), "before")])
def test_a_pass_that_fails_or_leaves_invalid_ir_is_wrong(wrong: Pass, words: str) -> None:
    check = Counted()
    finding = found(*names(5), wrong, Rename("b"), check=check)
    assert (finding.number, finding.failed, finding.rewrite) == (6, True, None)
    assert words in str(finding.problem)
    assert check.executed == 1
    assert found(Wrong(), wrong).pass_ == Wrong()  # the results are wrong before it fails


def test_invalid_ir_is_tolerated_on_demand() -> None:
    finding = found(Invalid(), verify_each=False)
    assert not finding.failed
    assert "cannot be executed" in str(finding.problem)


def test_the_wrong_rewrite_is_named() -> None:
    finding = found(Rename("a"), Partly())
    assert finding.rewrite is not None
    assert (finding.rewrite.number, finding.rewrite.total, finding.rewrite.pattern) == (2, 2, "AddSoftmax")
    assert finding.rewrite.op.startswith('%a = "tir.softmax"')
    assert str(finding.rewrite.location) == "net.act, softmax, net.py:7"


class Misplace(Pattern):
    """Gives an op a name; puts a softmax in front of what it reads."""

    root = (ops.Contract, ops.Softmax)

    def rewrite(self, op: Op, rewriter: Rewriter) -> bool:
        if op.results[0].name == "seen":
            return False
        op.results[0].name = "seen"
        if isinstance(op, ops.Softmax):
            block = op.parent
            assert block is not None
            op.detach()
            block.insert(0, op)
        rewriter.modified(op)
        return True


@attrs.frozen
class Misplaces(Pass):
    """The second of two rewrites leaves IR that does not verify."""

    name = "test-misplaces"
    summary = "break the order of ops by a pattern"

    def run(self, module: Module, ctx: PassContext) -> None:
        ctx.apply([Misplace()], module)


def test_the_rewrite_that_leaves_invalid_ir_is_named() -> None:
    finding = found(Misplaces())
    assert finding.failed
    assert "is used before" in str(finding.problem)
    assert finding.rewrite is not None
    assert (finding.rewrite.number, finding.rewrite.total, finding.rewrite.pattern) == (2, 2, "Misplace")


@pytest.mark.parametrize(("pass_", "words"), [
    (Partly(also=True), "not come from its patterns alone"),
    (Twice(), "no rewrites by patterns"),
])
def test_where_no_single_rewrite_is_to_blame_it_is_said(pass_: Pass, words: str) -> None:
    finding = found(pass_)
    assert finding.rewrite is None
    assert words in finding.why_no_rewrite


def test_an_input_that_cannot_be_executed_is_an_error() -> None:
    module = softmax()
    module.functions["forward"].block.ops[1].set_operand(1, module.functions["forward"].block.args[0])
    with pytest.raises(IRError, match="cannot execute the input"):
        Bisection(VerifySemantics()).run(module, [Nothing()])


def test_progress_is_told() -> None:
    steps: list[int] = []
    found(Wrong(), progress=lambda: steps.append(1))
    assert len(steps) >= 2


@pytest.mark.parametrize("driver", [walk, greedy])
def test_drivers_stop_at_the_limit(driver: Any) -> None:
    def rewritten(most: int | None, patterns: Sequence[Pattern]) -> tuple[int, list[str]]:
        module, limit = softmax(), RewriteLimit(most)
        driver(patterns, module, limit=limit)
        driver(patterns, module, limit=limit)  # several drivers share one
        return limit.count, [op.results[0].name for op in module.walk() if isinstance(op, ops.Contract | ops.Softmax)]

    assert rewritten(0, [AddSoftmax()]) == (0, ["y", "z"])
    assert rewritten(1, [AddSoftmax()]) == (1, ["seen", "z"])
    assert rewritten(None, [AddSoftmax()]) == (2, ["seen", "seen", "seen"])
