"""Delta debugging in process: what is left is small, still does what is looked for, and does not depend on the jobs."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from irsql.dialects.tir import ops
from irsql.ir import semantics
from irsql.ir.affine import AffineMap, dim
from irsql.ir.attributes import F32, TensorType
from irsql.ir.core import ArgInfo, IRError, Module
from irsql.ir.dims import symbol
from irsql.ir.dump import read_module, resources_path
from irsql.ir.instruments.verify_semantics import VerifySemantics
from irsql.ir.pipeline import PassFailure, run_passes
from irsql.ir.printer import print_op
from irsql.ir.verifier import verify
from irsql.tools.reduce.base import Chosen, Reduction
from irsql.tools.reduce.reducer import Reducer
from tests.ir.samples import Wrong, softmax
from tests.ir.test_instruments import with_constant
from tests.passes.stages import Program, copy, pipeline
from tests.passes.tir.common import module_of
from tests.passes.tir.test_shrink import heads


def reduced(module: Module, test: Callable[[Path], bool], jobs: int = 1, **more: object) -> tuple[Module, Reducer]:
    reducer = Reducer(test, jobs=jobs, **more)  # type: ignore[arg-type]
    reducer.begin(module)
    reducer.run()
    verify(reducer.best.module)
    return reducer.best.module, reducer


def holds(*words: str) -> Callable[[Path], bool]:
    return lambda path: all(word in path.read_text() for word in words)


def changes_results(path: Path) -> bool:
    """Whether ``test-wrong`` changes the results."""
    try:
        run_passes(read_module(path), Wrong(), instruments=[VerifySemantics()])
    except PassFailure as failure:
        return "changes what the module computes" in str(failure)
    except IRError:
        return False
    return False


@functools.cache
def llama() -> Module:
    """Two layers of a Llama with every composite operation expanded but softmax and attention."""
    pytest.importorskip("torch")
    from irsql.compile import import_model
    from tests.models.llamas import llama_config
    from tests.models.staged import LLAMA

    module, _ = import_model(llama_config(**LLAMA), "aten")
    return module


def test_a_two_layer_llama_becomes_a_handful_of_operations() -> None:
    module = llama()
    before = sum(1 for _ in module.walk())
    small, reducer = reduced(module, changes_results)
    kept = [op.name for func in small.functions.values() for op in func.block.ops]
    assert before > 300
    assert kept == ["tir.softmax", "func.return"]
    assert reducer.best.ops == 2
    assert reducer.best.size < 500
    assert reducer.tests < 150
    with pytest.raises(PassFailure, match="changes what the module computes"):
        run_passes(small, Wrong(), instruments=[VerifySemantics()])


def test_several_operations_that_belong_together_stay_together() -> None:
    small, _ = reduced(heads(), holds("tir.gather", "floordiv"))
    names = [op.name for func in small.functions.values() for op in func.block.ops]
    assert names.count("tir.gather") == 1
    assert len(names) == 3


@pytest.mark.parametrize("jobs", [2, 5])
def test_the_result_does_not_depend_on_the_number_of_jobs(jobs: int) -> None:
    test = holds("tir.contract", "tir.concat")
    assert print_op(reduced(heads(), test, jobs)[0]) == print_op(reduced(heads(), test)[0])


def test_constants_shrink_and_lie_beside_the_candidates() -> None:
    seen = []

    def test(path: Path) -> bool:
        seen.append(resources_path(path).exists())
        return any(isinstance(op, ops.Constant) for op in read_module(path).walk())

    small, reducer = reduced(with_constant(), test)
    assert seen[0]
    assert not seen[-1]  # it fits into the text
    (constant,) = (op for op in small.walk() if isinstance(op, ops.Constant))
    assert constant.value.array.size == 1
    assert constant.value.array.item() == 0
    assert reducer.tests == len(seen)


def test_no_candidate_is_tested_twice_and_all_verify() -> None:
    seen: list[str] = []

    def test(path: Path) -> bool:
        verify(read_module(path))
        seen.append(path.read_text())
        return "tir.softmax" in seen[-1]

    reduced(heads_with_softmax(), test)
    assert len(set(seen)) == len(seen) > 10


def heads_with_softmax() -> Module:
    module = heads()
    func = module.functions["forward"]
    value = func.block.terminator.operands[0]
    made = func.block.insert(len(func.block.ops) - 1, ops.Softmax(value, axis=2, result_types=[value.type]))
    func.block.terminator.set_operand(0, made.result)
    return module


def test_tests_are_counted_and_limited() -> None:
    told: list[int] = []
    _, reducer = reduced(heads(), holds("tir.gather"), max_tests=4, progress=lambda r: told.append(r.tests))
    assert reducer.tests == 4
    assert max(told) == 4
    assert "tir.gather" in reducer.best.text


def test_files_have_the_name_and_the_header_of_the_input() -> None:
    seen: set[tuple[str, str]] = set()

    def test(path: Path) -> bool:
        seen.add((path.name, path.read_text().partition("\n")[0]))
        return True

    reduced(softmax(), test, name="my file.mlir", header=["reproduce: irsql-opt -p cse"])
    assert seen == {("my file.mlir", "// reproduce: irsql-opt -p cse")}


def test_a_test_that_does_not_hold_at_first_is_an_error() -> None:
    with pytest.raises(IRError, match="does not hold"):
        reduced(softmax(), lambda path: False)


class Breaks(Reduction):
    """Leaves invalid IR, or raises."""

    name = "breaks"

    def __init__(self, error: Exception | None = None) -> None:
        self.error = error

    def apply(self, module: Module, chosen: Chosen) -> None:
        block = module.functions["forward"].block
        if chosen() and self.error is not None:
            raise self.error
        block.ops.reverse()


@pytest.mark.parametrize("error", [None, IRError("no"), ValueError("negative")])
def test_candidates_that_are_not_valid_are_not_tested(error: Exception | None) -> None:
    tested: list[Path] = []

    def test(path: Path) -> bool:
        tested.append(path)
        return True

    reductions: Sequence[Reduction] = [Breaks(error)]
    small, reducer = reduced(softmax(), test, reductions=reductions)
    assert len(tested) == 1
    assert print_op(small) == print_op(softmax())
    assert reducer.failures == ({"breaks": error} if isinstance(error, ValueError) else {})


def test_an_interrupted_reduction_keeps_the_best() -> None:
    calls = []

    def test(path: Path) -> bool:
        calls.append(path)
        if len(calls) == 8:
            raise KeyboardInterrupt
        return "tir.gather" in path.read_text()

    reducer = Reducer(test)
    first = reducer.begin(heads())
    with pytest.raises(KeyboardInterrupt):
        reducer.run()
    assert reducer.best.ops < first.ops
    assert "tir.gather" in reducer.best.text


def test_a_module_without_operations_is_small_already() -> None:
    small, reducer = reduced(module_of([], lambda t: ()), lambda path: True)
    assert reducer.best.ops == 1
    assert list(small.functions) == ["forward"]


@functools.cache
def lowered() -> dict[str, Module]:
    """relu(x @ w) in every stage."""
    p = Program([("x", TensorType((symbol("B"), 8), F32), ArgInfo())], {"B": (0, 9)})
    d0, d1, d2 = dim(0), dim(1), dim(2)
    y = p.add(ops.Contract(p.args[0], p.weight("w", 6, 8), bounds=(symbol("B"), 6, 8),
                           maps=(AffineMap(3, (d0, d2)), AffineMap(3, (d1, d2)), AffineMap(3, (d0, d1))),
                           result_types=[TensorType((symbol("B"), 6), F32)])).result
    module = p.finish(p.t.elementwise([y], lambda e: e.binary("max", e.args[0], e.const(0.5, F32))))
    out = {"tir": copy(module)}
    for pass_ in pipeline():
        run_passes(module, pass_)
        out[str(module.attrs_["stage"])] = copy(module)
    return out


@pytest.mark.parametrize("stage", ["tir", "rel", "tiled", "sql"])
def test_every_stage_shrinks(stage: str) -> None:
    small, reducer = reduced(lowered()[stage], holds('kind = "max"'))
    assert reducer.best.ops < 13  # of up to 46; a select has three regions
    assert sum(len(func.block.ops) for func in small.functions.values()) == 2
    assert small.attrs_ == {"stage": stage}
    assert small.functions["forward"].dims == {}
    assert semantics.execute(small, semantics.trials(small)[0])
