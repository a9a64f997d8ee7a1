"""Dead code and common subexpressions: what goes, and what must stay."""

from __future__ import annotations

import numpy as np
import pytest

from irsql.ir.attributes import F32, F64, AttrValue, DenseElements, Type
from irsql.ir.cleanup import cse, erase_dead
from irsql.ir.core import Block, Func, Op, Region, Value
from irsql.ir.verifier import verify
from tests.ir.toy import Add, Effect, Holder, Many, Source, Yield


def function(*types: Type) -> Func:
    return Func.build("f", [(f"x{i}", t) for i, t in enumerate(types or (F32, F32))])


def names(block: Block) -> list[str]:
    return [op.name for op in block.ops]


def test_dead_chains_go_at_once() -> None:
    f = function()
    x, y = f.block.args
    first = f.block.append(Add(x, y, result_types=[F32]))
    f.block.append(Add(first.result, y, result_types=[F32]))
    kept = f.block.append(Add(x, x, result_types=[F32]))
    f.ret(kept.result)
    assert erase_dead(f.block) == 2
    assert f.block.ops[0] is kept
    verify(f)


def test_effects_and_what_they_use_stay() -> None:
    f = function()
    source = f.block.append(Source(result_types=[F32]))
    f.block.append(Effect(source.result))
    f.ret()
    assert erase_dead(f.block) == 0


def test_dead_ops_in_regions() -> None:
    f = function()
    outer = f.block.append(Source(result_types=[F32]))
    body = Block()
    body.append(Add(outer.result, outer.result, result_types=[F32]))
    body.append(Yield(()))
    many = f.block.append(Many(f.block.args[0], (), Region(body), Region(), result_types=[F32]))
    f.ret(many.result)
    assert erase_dead(f.block) == 2  # the add, then the source only it used
    assert names(f.block) == ["toy.many", "func.return"]


def merged(f: Func, *ops: Op) -> bool:
    """Whether two ops are merged."""
    for op in ops:
        f.block.append(op)
    f.ret(*(op.results[0] for op in ops))
    count = len(f.block.ops)
    cse(f.block)
    verify(f)
    return len(f.block.ops) < count


def with_region(x: Value, inside: Value, hint: str, tag: int = 0) -> Many:
    """An op whose region uses a value from outside."""
    body = Block([F32], [hint])
    total = body.append(Add(body.args[0], inside, result_types=[F32]))
    nested = Block()
    nested.append(Yield((inside, total.result)))
    body.append(Many(total.result, (), Region(nested), Region(), count=tag))
    body.append(Yield((total.result,)))
    return Many(x, (), Region(body), Region(), result_types=[F32])


def test_equal_ops_merge() -> None:
    f = function()
    x, y = f.block.args
    assert merged(f, Add(x, y, result_types=[F32]), Add(x, y, result_types=[F32]))
    assert f.block.terminator.operands[0] is f.block.terminator.operands[1]


def test_names_and_hints_do_not_matter() -> None:
    f = function()
    x, y = f.block.args
    assert merged(f, with_region(x, y, "a"), with_region(x, y, "b"))


@pytest.mark.parametrize("case", range(6))
def test_different_ops_stay(case: int) -> None:
    f = function()
    x, y = f.block.args
    x.name = y.name = "same"  # hints must not stand for values
    pairs: list[tuple[Op, Op]] = [
        (Add(x, y, result_types=[F32]), Add(y, x, result_types=[F32])),
        (Source(1, result_types=[F32]), Source(2, result_types=[F32])),
        (Source(result_types=[F32]), Source(result_types=[F64])),
        (with_region(x, x, "a"), with_region(x, y, "a")),
        (with_region(x, y, "a", 1), with_region(x, y, "a", 2)),
        (Many(x, (y,), Region(), Region(), result_types=[F32]), Many(x, (x,), Region(), Region(), result_types=[F32])),
    ]
    assert not merged(f, *pairs[case])


@pytest.mark.parametrize(("a", "b", "equal"), [
    (1, True, False), (1, 1.0, False), (0.0, -0.0, False), ("1", 1, False), ((1, 2), (1, 2), True),
    ({"a": 1}, {"a": 1}, True), (float("nan"), float("nan"), True), (2**63, -(2**63), False),
    (DenseElements(np.arange(100.0), F64), DenseElements(np.arange(100.0), F64), True),
    (DenseElements(np.arange(100.0), F64), DenseElements(np.arange(100.0) + 1e-12, F64), False)])
def test_attributes_compare_exactly(a: AttrValue, b: AttrValue, equal: bool) -> None:
    f = function()
    one, two = Holder(a, result_types=[F32]), Holder(b, result_types=[F32])
    assert merged(f, one, two) is equal


def test_impure_ops_stay() -> None:
    f = function()
    x, y = f.block.args

    def effectful() -> Many:
        body = Block()
        body.append(Effect(y))
        return Many(x, (), Region(body), Region(), result_types=[F32])

    assert not merged(f, effectful(), effectful())


def test_regions_keep_to_themselves() -> None:
    f = function()
    x, y = f.block.args
    body = Block()
    inner = [body.append(Add(x, y, result_types=[F32])) for _ in range(2)]
    body.append(Yield(tuple(op.result for op in inner)))
    outer = f.block.append(Add(x, y, result_types=[F32]))
    many = f.block.append(Many(outer.result, (), Region(body), Region(), result_types=[F32]))
    f.ret(many.result)
    assert cse(f.block) == 1
    assert names(body) == ["toy.add", "toy.yield"]


def test_chains_merge_in_one_pass() -> None:
    f = function()
    x, y = f.block.args
    ends: list[Value] = []
    for _ in range(3):
        a = f.block.append(Add(x, y, result_types=[F32]))
        ends.append(f.block.append(Add(a.result, y, result_types=[F32])).result)
    f.ret(*ends)
    assert cse(f.block) == 4
    assert len(f.block.ops) == 3
