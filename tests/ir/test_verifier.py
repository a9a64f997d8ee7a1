"""Each kind of corruption is found, and several at once."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from irsql.ir import affine, dims
from irsql.ir.attributes import F32, I64, DenseElements, FunctionType, ScalarType, TensorType
from irsql.ir.core import Block, Func, IRError, Module, Op, Region, Return
from irsql.ir.diagnostics import DiagnosticError
from irsql.ir.verifier import MAX_PROBLEMS, verify
from tests.ir.toy import Add, Effect, Holder, Many, Pair, Source, T, Yield, big, small


def messages(op: Op) -> list[str]:
    """What the verifier says."""
    with pytest.raises(DiagnosticError) as info:
        verify(op)
    assert "error: " in str(info.value)  # rendering works on broken IR
    return [f"{d.message} {d.suggestion}" for d in info.value.diagnostics]


def test_right_ir() -> None:
    verify(big())
    module, f = small()
    verify(f)
    verify(f.block.ops[1])
    verify(module.clone())


def add_op(f: Func) -> Add:
    op = f.block.ops[1]
    assert isinstance(op, Add)
    return op


def order(f: Func) -> None:
    f.block.ops[0], f.block.ops[1] = f.block.ops[1], f.block.ops[0]


def detached_definition(f: Func) -> None:
    add_op(f).set_operand(1, Source(result_types=[T]).result)


def inner_value(f: Func) -> None:
    inner = Block([T])
    f.block.insert(0, Many(f.block.args[0], (), Region(inner), Region()))
    add_op_ = next(op for op in f.block.ops if isinstance(op, Add))
    add_op_.set_operand(1, inner.args[0])


def lost_use(f: Func) -> None:
    add_op(f)._operands[1] = f.block.args[0]


def dangling_use(f: Func) -> None:
    Effect(f.block.args[0])


def wrong_parent(f: Func) -> None:
    f.block.ops[0].parent = Block()


def wrong_region_parent(f: Func) -> None:
    f.body.parent = None


def wrong_block_parent(f: Func) -> None:
    f.block.parent = None


def wrong_result(f: Func) -> None:
    f.block.ops[0].results[0].index = 3


def wrong_argument(f: Func) -> None:
    f.block.args[0].index = 3


def missing_region(f: Func) -> None:
    many = f.block.insert(0, Many(f.block.args[0], (), Region(), Region()))
    many.__dict__["body"] = None


def open_block(f: Func) -> None:
    f.block.insert(0, Many(f.block.args[0], (), Region(Block(), Block()), Region()))


def twice(f: Func) -> None:
    f.block.ops.insert(0, f.block.ops[0])


def too_few_operands(f: Func) -> None:
    op = add_op(f)
    op.set_operands(op.operands[:1])


def too_many_operands(f: Func) -> None:
    op = add_op(f)
    op.set_operands([*op.operands, op.operands[0]])


def null_operand(f: Func) -> None:
    add_op(f)._operands[1] = None  # type: ignore[call-overload]


def early_terminator(f: Func) -> None:
    f.block.insert(0, Yield(()))


def no_terminator(f: Func) -> None:
    f.block.ops[-1].erase()


def other_terminator(f: Func) -> None:
    f.block.ops[-1].erase()
    f.block.append(Yield(()))


def empty_body(f: Func) -> None:
    f.body.blocks.clear()


def argument_types(f: Func) -> None:
    f.function_type = FunctionType((F32,), f.function_type.results)


def result_types(f: Func) -> None:
    f.function_type = FunctionType(f.function_type.inputs, ())


def arg_infos(f: Func) -> None:
    f.args = (1, 2, 3)


def output_names(f: Func) -> None:
    f.outputs = ("a", "b")


def undeclared_symbol(f: Func) -> None:
    f.dims = {}


def undeclared_symbol_in_map(f: Func) -> None:
    f.block.insert(0, Holder(affine.AffineMap(0, (affine.SymExpr("Q"),))))


def undeclared_symbol_in_dim(f: Func) -> None:
    f.block.insert(0, Holder(Pair((dims.symbol("Q"),))))


def wrong_range(f: Func) -> None:
    f.dims = {"S": (3, 1)}


def range_is_no_pair(f: Func) -> None:
    f.dims = {"S": "x"}


def dims_is_no_mapping(f: Func) -> None:
    f.dims = 3  # type: ignore[assignment]


def field_type(f: Func) -> None:
    source = f.block.ops[0]
    assert isinstance(source, Source)
    source.tag = True


def no_attribute_value(f: Func) -> None:
    f.block.insert(0, Holder({"a": (np.int64(3),)}))  # type: ignore[dict-item]


def no_key(f: Func) -> None:
    f.block.insert(0, Holder({1: 2}))  # type: ignore[dict-item]


def attribute_hook(f: Func) -> None:
    f.block.insert(0, Holder((Pair("bad"),)))


def op_hook(f: Func) -> None:
    other = f.block.insert(0, Source(result_types=[I64]))
    add_op_ = next(op for op in f.block.ops if isinstance(op, Add))
    add_op_.set_operand(1, other.result)


def no_type(f: Func) -> None:
    f.block.insert(0, Source(result_types=[None]))  # type: ignore[list-item]


def scalar_name(f: Func) -> None:
    f.block.insert(0, Source(result_types=[ScalarType("f33")]))


def negative_extent(f: Func) -> None:
    f.block.insert(0, Source(result_types=[TensorType((-1,), F32)]))


def array_type(f: Func) -> None:
    f.block.insert(0, Holder(DenseElements(np.zeros(3), F32)))


@pytest.mark.parametrize(("corrupt", "expected"), [
    (order, "is used before toy.source defines it"),
    (detached_definition, "which stands in no block"),
    (inner_value, "a region that does not enclose its use"),
    (lost_use, "does not know of this use"),
    (dangling_use, "listed as operand 0 of toy.effect, which is not in the IR"),
    (wrong_parent, "does not know the block it stands in"),
    (wrong_region_parent, "does not know its op"),
    (wrong_block_parent, "does not know its region"),
    (wrong_result, "result 0 of toy.source does not know its place"),
    (wrong_argument, "argument 0 of a block of func.func does not know its place"),
    (missing_region, "region 'body' of toy.many is missing"),
    (open_block, "a block of region 'body' of toy.many does not end in a terminator"),
    (twice, "stands in two places"),
    (too_few_operands, "takes 2 operands, found 1"),
    (too_many_operands, "takes 2 operands, found 3"),
    (null_operand, "operand 1 of toy.add is no value"),
    (early_terminator, "toy.yield ends a block but toy.source follows it"),
    (no_terminator, "does not end in func.return"),
    (other_terminator, "does not end in func.return"),
    (empty_body, "needs a body with one block"),
    (argument_types, "the arguments of @main do not have the types"),
    (result_types, "the results of @main do not have the types"),
    (arg_infos, "irsql.args of @main has 3 entries for 1"),
    (output_names, "irsql.results of @main has 2 entries for 1"),
    (undeclared_symbol, "uses S, which the function does not declare"),
    (undeclared_symbol_in_map, "uses Q, which the function does not declare"),
    (undeclared_symbol_in_dim, "uses Q, which the function does not declare"),
    (wrong_range, "0 <= min <= max, found (3, 1)"),
    (range_is_no_pair, "0 <= min <= max, found 'x'"),
    (dims_is_no_mapping, "attribute 'irsql.dims' of func.func cannot be 3"),
    (field_type, "attribute 'tag' of toy.source cannot be True"),
    (no_attribute_value, "is no attribute value"),
    (no_key, "the key 1 is no text"),
    (attribute_hook, "the first is bad"),
    (op_hook, "toy.add of different types"),
    (no_type, "result 0 of toy.source has no type"),
    (scalar_name, "'f33' is no scalar type"),
    (negative_extent, "the extent -1 is negative"),
    (array_type, "an array of float64 cannot hold f32"),
])
def test_corruption(corrupt: Callable[[Func], None], expected: str) -> None:
    module, f = small()
    corrupt(f)
    assert any(expected in m for m in messages(module))


def test_a_function_sees_nothing_from_outside() -> None:
    module, f = small()
    outside = Source(result_types=[T])
    module.body.block.insert(0, outside)
    add_op(f).set_operand(0, outside.result)
    assert any("region that does not enclose" in m or "before" in m for m in messages(module))


def test_two_functions_of_one_name() -> None:
    module, f = small()
    module.add(f.clone())  # type: ignore[arg-type]
    assert any("two functions are named @main" in m for m in messages(module))


def test_all_problems_at_once() -> None:
    module, f = small()
    scalar_name(f)
    attribute_hook(f)
    output_names(f)
    assert len(messages(module)) == 3


def test_problems_end() -> None:
    block = Block()
    for _ in range(1000):
        block.append(Source(result_types=[ScalarType("f33")]))
    assert len(messages(Module(Region(block)))) == MAX_PROBLEMS


def test_a_hook_that_crashes_is_a_problem() -> None:
    class Crashing(Source):
        def verify(self) -> None:
            raise ZeroDivisionError("oops")

    assert any("failed with ZeroDivisionError: oops" in m for m in messages(Crashing()))


def test_hooks_see_only_ops_that_are_right_so_far() -> None:
    module, f = small()
    too_few_operands(f)  # Add.verify would fail with an IndexError on this
    assert not any("IndexError" in m for m in messages(module))


def test_the_excerpt() -> None:
    module, f = small()
    op_hook(f)
    with pytest.raises(DiagnosticError) as info:
        verify(module)
    lines = str(info.value).splitlines()
    assert lines[0] == "m.py:3:4: error: toy.add of different types"
    assert lines[1] == "  from layers.0, add"
    at = next(i for i, line in enumerate(lines) if "^" in line)
    assert '"toy.add"' in lines[at - 1]
    assert lines[at].count("^") == len('%2 = "toy.add"')
    assert any('"func.func"' in line for line in lines)
    assert isinstance(info.value, IRError)
    assert info.value.op is add_op_of(f)


def add_op_of(f: Func) -> Op:
    return next(op for op in f.block.ops if isinstance(op, Add))


def test_return_only_counts_at_the_end() -> None:
    module, f = small()
    f.block.insert(0, Return(()))
    assert any("func.return ends a block" in m for m in messages(module))
