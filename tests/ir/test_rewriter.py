"""The drivers apply patterns, count, and refuse patterns that lie or never end."""

from __future__ import annotations

import pytest

from irsql.ir.attributes import F32
from irsql.ir.core import Func, IRError, Module, Op
from irsql.ir.diagnostics import DiagnosticError
from irsql.ir.location import Location
from irsql.ir.rewriter import Pattern, PatternStats, Rewriter, apply_patterns, greedy, walk
from irsql.ir.verifier import verify
from tests.ir.toy import Add, Effect, Source


def chain(tags: list[int]) -> tuple[Module, Func]:
    """``@main`` that adds up sources with the given tags."""
    f = Func.build("main", [("x", F32)])
    total: Op | None = None
    for tag in tags:
        source = f.block.append(Source(tag, result_types=[F32], loc=Location("a.py", tag, 1)))
        total = source if total is None else f.block.append(Add(total.result, source.result, result_types=[F32]))
    assert total is not None
    f.ret(total.result)
    module = Module.empty()
    module.add(f)
    return module, f


def tags(f: Func) -> list[int]:
    return [op.tag for op in f.block.ops if isinstance(op, Source)]


class Increment(Pattern):
    """Replaces a source below 5 by one that is one more."""

    root = Source

    def rewrite(self, op: Op, rewriter: Rewriter) -> bool:
        assert isinstance(op, Source)
        if op.tag >= 5:
            return False
        rewriter.replace(op, Source(op.tag + 1, result_types=[F32]))
        return True


class FoldAdd(Pattern):
    """``source a + source b`` is ``source a + b``."""

    root = Add

    def rewrite(self, op: Op, rewriter: Rewriter) -> bool:
        assert isinstance(op, Add)
        left, right = op.lhs.owner, op.rhs.owner
        if not (isinstance(left, Source) and isinstance(right, Source)):
            return False
        rewriter.replace(op, Source(left.tag + right.tag, result_types=[F32]))
        for source in dict.fromkeys((left, right)):
            if not source.results[0].uses:
                rewriter.erase(source)
        return True


class Flip(Pattern):
    """Swaps the operands of an add."""

    root = Add

    def rewrite(self, op: Op, rewriter: Rewriter) -> bool:
        left, right = op.operands
        op.set_operands([right, left])
        rewriter.modified(op)
        return True


class FlipBack(Flip):
    """The same, to alternate with."""


def test_walk_visits_once() -> None:
    module, f = chain([0, 1, 9])
    counts: dict[str, PatternStats] = {}
    assert walk([Increment()], module, counts=counts)
    assert tags(f) == [1, 2, 9]
    assert (counts["Increment"].tries, counts["Increment"].hits) == (3, 2)
    assert counts["Increment"].ms > 0
    verify(module)


def test_walk_may_revisit() -> None:
    module, f = chain([0, 1, 9])
    assert walk([Increment()], module, revisit=True)
    assert tags(f) == [5, 5, 9]


def test_greedy_reaches_the_fixpoint() -> None:
    module, f = chain([1, 2, 3, 4])
    counts: dict[str, PatternStats] = {}
    assert greedy([FoldAdd()], module, counts=counts)
    assert tags(f) == [10]
    assert counts["FoldAdd"].hits == 3
    verify(module)


def test_greedy_comes_back_to_what_an_erased_op_used() -> None:
    class EraseUnused(Pattern):
        root = (Source, Add)

        def rewrite(self, op: Op, rewriter: Rewriter) -> bool:
            if op.result.uses:
                return False
            rewriter.erase(op)
            return True

    for apply, left in ((walk, 4), (greedy, 0)):  # definitions come first: one walk erases the last op only
        module, f = chain([1, 2, 3])
        f.block.terminator.erase()
        f.ret()
        assert apply([EraseUnused()], module)
        assert len(f.block.ops) - 1 == left
        verify(module)


@pytest.mark.parametrize("driver", ["walk", "greedy"])
def test_nothing_to_do(driver: str) -> None:
    module, _ = chain([9, 9])
    assert not apply_patterns([Increment()], module, driver="walk" if driver == "walk" else "greedy")


def test_the_new_op_gets_location_and_name() -> None:
    module, f = chain([1])
    f.block.ops[0].results[0].name = "one"
    walk([Increment()], module)
    assert f.block.ops[0].loc == Location("a.py", 1, 1)
    assert f.block.ops[0].results[0].name == "one"


def test_patterns_that_alternate_are_named() -> None:
    module, _ = chain([1, 2])
    with pytest.raises(DiagnosticError, match=r"after 100 rewrites: the last 64 were Flip \(32\), FlipBack \(32\)"):
        greedy([Flip(), FlipBack()], module, max_rewrites=100)


def test_the_default_cap_ends_too() -> None:
    module, _ = chain([1, 2])
    with pytest.raises(DiagnosticError, match="undo one another"):
        greedy([Flip()], module)


def test_true_without_a_change_is_an_error() -> None:
    class Liar(Pattern):
        def rewrite(self, op: Op, rewriter: Rewriter) -> bool:
            return True

    module, _ = chain([1])
    with pytest.raises(DiagnosticError, match=r"pattern Liar claims to have rewritten builtin.module"):
        walk([Liar()], module)


def test_false_with_a_change_is_an_error() -> None:
    class Modest(Pattern):
        root = Add

        def rewrite(self, op: Op, rewriter: Rewriter) -> bool:
            rewriter.replace_uses(op.operands[0], op.operands[1])
            return False

    module, _ = chain([1, 2])
    with pytest.raises(DiagnosticError, match=r"pattern Modest changed the IR around toy.add but returned False"):
        walk([Modest()], module)


def test_an_exception_names_the_pattern() -> None:
    class Broken(Pattern):
        root = Add

        def rewrite(self, op: Op, rewriter: Rewriter) -> bool:
            raise KeyError("k")

    module, _ = chain([1, 2])
    with pytest.raises(KeyError) as info:
        walk([Broken()], module)
    assert info.value.__notes__ == ["while pattern Broken rewrote toy.add"]


def test_erased_ops_are_not_visited() -> None:
    seen: list[int] = []

    class EraseOthers(Pattern):
        root = Source

        def rewrite(self, op: Op, rewriter: Rewriter) -> bool:
            assert isinstance(op, Source)
            assert op.parent is not None
            seen.append(op.tag)
            others = [o for o in op.parent.ops if isinstance(o, Source) and o is not op]
            for other in others:
                rewriter.replace(other, op.result)
            return bool(others)

    module, f = chain([1, 2, 3])
    walk([EraseOthers()], module)
    assert seen == [1]
    assert tags(f) == [1]
    verify(module)


def test_roots_may_be_several_or_all() -> None:
    seen: list[str] = []

    class See(Pattern):
        root = (Source, Add)

        def rewrite(self, op: Op, rewriter: Rewriter) -> bool:
            seen.append(op.name)
            return False

    class All(Pattern):
        def rewrite(self, op: Op, rewriter: Rewriter) -> bool:
            seen.append(op.name)
            return False

    module, _ = chain([1, 2])
    walk([See()], module)
    assert seen == ["toy.source", "toy.source", "toy.add"]
    seen.clear()
    walk([All()], module)
    assert seen == ["builtin.module", "func.func", "toy.source", "toy.source", "toy.add", "func.return"]


def test_replace_by_several_values_and_insert_after() -> None:
    module, f = chain([1, 2])
    first = f.block.ops[0]
    rewriter = Rewriter()
    pair = rewriter.insert_after(first, Source(7, result_types=[F32]), name="seven")
    rewriter.replace(first, pair.result)
    assert tags(f) == [7, 2]
    assert pair.result.name == "seven"
    assert rewriter.changes == 2
    verify(module)


def test_erase_refuses_an_op_in_use() -> None:
    _, f = chain([1, 2])
    rewriter = Rewriter()
    with pytest.raises(IRError, match=r"still used by toy\.add"):
        rewriter.erase(f.block.ops[0])
    assert rewriter.changes == 0
    with pytest.raises(IRError, match="sits in no block"):
        rewriter.insert_before(Source(), Effect(f.block.args[0]))
