"""Each reduction alone, on all of its targets or on one."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from irsql.dialects import expr
from irsql.dialects.expr import Exprs
from irsql.dialects.rel import ops as ro
from irsql.dialects.rel.types import Key, RelType, Val, rel
from irsql.dialects.tir import ops
from irsql.dialects.tir.build import Tensors
from irsql.ir import semantics
from irsql.ir.affine import AffineMap, add, const, dim, mul
from irsql.ir.attributes import F32, I64, DenseElements, TensorType
from irsql.ir.core import ArgInfo, Builder, Func, Module, Op
from irsql.ir.dims import symbol
from irsql.ir.location import Location
from irsql.ir.printer import print_op
from irsql.ir.verifier import verify
from irsql.tools.reduce.base import Reduction
from irsql.tools.reduce.details import (
    DropAttributes,
    DropLocations,
    DropNames,
    Fold,
    SimplerConstants,
    SimplerNumbers,
)
from irsql.tools.reduce.reducer import REDUCTIONS, Choice
from irsql.tools.reduce.sizes import NarrowSymbols, ShrinkSizes, ShrinkTogether, StaticSymbols
from irsql.tools.reduce.structure import (
    Bypass,
    DropArguments,
    DropFunctions,
    DropInputs,
    DropOps,
    DropResults,
    Reuse,
)
from tests.ir.test_semantics import with_state
from tests.passes.tir.common import module_of
from tests.passes.tir.test_shrink import heads


def apply(module: Module, reduction: Reduction, *chosen: int) -> int:
    """Reduce some targets (all where none is named), verify, check that it comes to an end; how many there were."""
    choice = Choice(range(10**6) if not chosen else range(chosen[0], chosen[-1] + 1))
    reduction.apply(module, choice)
    verify(module)
    return choice.count


def names(module: Module, function: str = "forward") -> list[str]:
    return [op.name for op in module.functions[function].block.ops]


def chain() -> Module:
    """relu, a product with a parameter, a sum: three ops and a leaf, one result."""
    def build(t: Tensors, x: Any) -> Any:
        relu = t.elementwise([x], lambda e: e.binary("max", e.args[0], e.const(0.0, F32)))
        weight = t.builder.insert(ops.Parameter(parameter="w", result_types=[TensorType((4, 6), F32)])).result
        scaled = t.elementwise([relu, weight], lambda e: e.binary("mul", e.args[0], e.args[1]))
        return t.reduce("sum", scaled, (1,))

    return module_of([TensorType((4, 6), F32)], build)


def runs(module: Module) -> list[semantics.Outcome]:
    return semantics.execute(module, semantics.trials(module)[0])


def test_functions() -> None:
    module = chain()
    module.add(Func.build("other", [])).ret()
    assert apply(module, DropFunctions(), 1) == 2
    assert list(module.functions) == ["forward"]


def test_what_uses_a_removed_op_gets_an_argument_and_what_it_used_is_returned() -> None:
    module = chain()
    assert apply(module, DropOps(), 1) == 4  # the last first: sum, product, parameter, relu
    func = module.functions["forward"]
    assert names(module) == ["tir.map", "tir.parameter", "tir.reduce", "func.return"]
    assert len(func.block.args) == 2
    assert {v.owner.name for v in func.block.terminator.operands if isinstance(v.owner, Op)} == {
        "tir.map", "tir.parameter", "tir.reduce"}
    assert len(runs(module)[0].results) == 3


def test_a_new_integer_argument_is_an_index_everywhere() -> None:
    module = module_of([TensorType((3,), F32)], lambda t, x: t.reduce("argmax", x, (0,)))
    func = module.functions["forward"]
    argmax = func.block.ops[0]
    user = func.block.insert(1, ops.Iota(result_types=[TensorType((2,), I64)]))
    func.block.terminator.set_operands([user.result, argmax.results[0]])
    apply(module, DropOps())
    assert [a.domain for a in func.args if isinstance(a, ArgInfo)] == ["normal", "range", "range"]
    assert names(module) == ["func.return"]


def test_operations_by_an_operand_of_their_type() -> None:
    module = chain()
    assert apply(module, Bypass()) == 4  # two maps and the ops of their bodies; the sum has another type
    assert names(module) == ["tir.reduce", "func.return"]


def test_operations_by_earlier_values() -> None:
    module = chain()
    assert apply(module, Reuse(), 1) == 3
    assert names(module) == ["tir.map", "tir.map", "tir.reduce", "func.return"]


def test_results_take_what_only_they_needed_with_them() -> None:
    module = chain()
    func = module.functions["forward"]
    func.outputs = ("relu", "sum")
    func.block.terminator.set_operands([func.block.ops[0].results[0], *func.block.terminator.operands])
    func.update_type()
    assert apply(module, DropResults(), 1) == 2
    assert names(module) == ["tir.map", "func.return"]
    assert list(func.outputs) == ["relu"]


def test_a_state_goes_with_its_new_version() -> None:
    module = with_state()
    func = module.functions["step"]
    assert [a.role for a in func.args if isinstance(a, ArgInfo)] == ["input", "input", "state"]
    assert apply(module, DropResults()) == 2
    assert [a.role for a in func.args if isinstance(a, ArgInfo)] == ["input", "input"]
    assert apply(module, DropArguments()) == 2
    assert not func.args
    assert len(runs(module)) == 1


def test_unused_inputs_of_maps() -> None:
    module = chain()
    product = module.functions["forward"].block.ops[2]
    assert isinstance(product, ops.Map)
    product.body.block.ops[0].set_operand(1, product.body.block.args[0])
    assert apply(module, DropInputs()) == 1
    assert names(module) == ["tir.map", "tir.map", "tir.reduce", "func.return"]


def test_sizes_change_everywhere_at_once() -> None:
    module = chain()
    assert apply(module, ShrinkSizes(2)) == 2
    (result,) = module.functions["forward"].function_type.results
    assert result == TensorType((2,), F32)
    assert len(runs(module)[0].results) == 1
    half = chain()
    assert apply(half, ShrinkSizes(None), 0) == 2  # 6 only
    assert half.functions["forward"].function_type.inputs == (TensorType((4, 3), F32),)


def test_sizes_that_others_determine_follow() -> None:
    def build(t: Tensors, x: Any) -> Any:
        flat = t.view(x, (4, 6), AffineMap(2, (add(mul(dim(0), const(6)), dim(1)),)))
        both = t.builder.insert(ops.Concat((flat, flat), axis=1, result_types=[TensorType((4, 12), F32)])).result
        return both

    module = module_of([TensorType((24,), F32)], build)
    apply(module, ShrinkSizes(2), 2, 2)  # of 24, 12, 6, 4: the 6
    (x,) = module.functions["forward"].function_type.inputs
    assert x == TensorType((8,), F32)
    assert module.functions["forward"].function_type.results == (TensorType((4, 4), F32),)
    assert len(runs(module)[0].results) == 1


def test_all_sizes_shrink_together() -> None:
    module = heads()
    apply(module, ShrinkTogether())
    assert len(print_op(module)) < len(print_op(heads()))
    types = semantics.parameter_types(module, semantics.Adapter())
    assert max(n for t in types.values() for n in t.shape if isinstance(n, int)) <= 64
    assert semantics.execute(module, semantics.Trial({"S": 3}, 0))


def test_constants_are_cut_to_their_new_size() -> None:
    array = np.arange(24, dtype=np.float32).reshape(4, 6)
    module = module_of([], lambda t: t.constant(array, F32))
    apply(module, ShrinkSizes(3))
    constant = module.functions["forward"].block.ops[0]
    assert isinstance(constant, ops.Constant)
    assert constant.value.array.tolist() == array[:3, :3].tolist()


def related() -> Module:
    """A filter of a relation by a constant that is the extent of its key."""
    type_ = RelType((Key("i", 128),), (Val("v", F32),))
    func = Func.build("forward", [("x", type_)])
    e, body = Exprs.body()
    e.end(e.compare("lt", e.col("i", I64), e.const(128, I64)))
    kept = func.block.append(ro.Filter(func.block.args[0], body, result_types=[type_]))
    func.ret(kept.result)
    module = Module.empty(stage="rel")
    module.add(func)
    return module


def test_sizes_of_relations() -> None:
    module = related()
    assert apply(module, ShrinkSizes(2)) == 1
    filtered = module.functions["forward"].block.ops[0]
    assert rel(filtered.results[0]).keys == (Key("i", 2),)
    assert [op.value for op in filtered.walk() if isinstance(op, expr.Constant)] == [2]
    assert apply(module, ShrinkTogether()) == 0


def test_symbols_become_numbers() -> None:
    s = symbol("S")
    func = Func.build("forward", [("x", TensorType((s,), F32)), ("at", TensorType((), I64))], dims={"S": (1, 4096)},
                      args=[ArgInfo(), ArgInfo(domain="last", of="S")])
    shift = AffineMap(1, (add(dim(0), const(0)),))
    func.ret(Tensors(Builder(func.block)).view(func.block.args[0], (s,), shift), func.block.args[1])
    module = Module.empty(stage="tir")
    module.add(func)
    narrow = module.clone()
    assert isinstance(narrow, Module)
    assert apply(narrow, NarrowSymbols()) == 1
    assert narrow.functions["forward"].dims == {"S": (1, 8)}
    assert apply(module, StaticSymbols(2)) == 1
    assert func.function_type.inputs[0] == TensorType((2,), F32)
    assert func.dims == {}
    assert func.args == (ArgInfo(), ArgInfo(domain="range", high=2))
    assert len(runs(module)) == 1


def test_unused_symbols_go() -> None:
    module = chain()
    module.functions["forward"].dims = {"S": (1, 2)}
    assert apply(module, NarrowSymbols()) == 1
    assert module.functions["forward"].dims == {}


def test_expressions_become_constants() -> None:
    module = chain()
    assert apply(module, Fold()) == 2
    kinds = [op.name for op in module.functions["forward"].walk() if op.name.startswith("expr.")]
    assert kinds == ["expr.constant", "expr.yield"] * 2


@pytest.mark.parametrize(("to", "want"), [(0, 0.0), (1, 1.0), (None, 3.0)])
def test_numbers(to: int | None, want: float) -> None:
    module = module_of([TensorType((2,), F32)], lambda t, x: t.elementwise(
        [x], lambda e: e.binary("mul", e.args[0], e.const(2.75, F32))))
    assert apply(module, SimplerNumbers(to)) == 1
    assert [op.value for op in module.walk() if isinstance(op, expr.Constant)] == [want]
    assert apply(module, SimplerNumbers(to)) == 0


@pytest.mark.parametrize(("to", "want"), [(0, 0), (1, 1), (None, 5)])
def test_constants(to: int | None, want: int) -> None:
    module = module_of([], lambda t: t.constant(np.array([5, 6, 7]), I64))
    assert apply(module, SimplerConstants(to)) == 1
    constant = next(op for op in module.walk() if isinstance(op, ops.Constant))
    assert constant.value == DenseElements(np.full(3, want), I64)
    assert apply(module, SimplerConstants(to)) == 0


def test_attributes_locations_and_names() -> None:
    module = chain()
    module.attrs_ = {"stage": "tir", "target": 1}
    func = module.functions["forward"]
    func.outputs = ("sum",)
    func.block.ops[0].loc = Location("a.py", 1)
    assert apply(module, DropLocations()) == 1
    assert not any(op.loc.known for op in module.walk())
    assert apply(module, DropAttributes()) == 3  # target, names of results, descriptions of arguments
    assert module.attrs_ == {"stage": "tir"}
    assert [*func.outputs, *func.args] == []
    assert apply(module, DropNames()) == 1
    assert "%x0" not in print_op(module)


@pytest.mark.parametrize("make", [chain, heads, related, with_state])
def test_repeating_a_reduction_comes_to_an_end(make: Any) -> None:
    for reduction in REDUCTIONS:
        module = make()
        seen = set()
        for _ in range(20):
            reduction.apply(module, Choice(range(10**6)))
            if (text := print_op(module)) in seen:
                break
            seen.add(text)
        else:
            pytest.fail(f"{reduction.name} goes on and on")
