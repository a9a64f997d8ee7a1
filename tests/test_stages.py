"""Every pass of the default pipeline keeps the meaning, and every dump continues to the same SQL."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import attrs
import numpy as np
import pytest
import torch
from torch.utils import _pytree as pytree
from transformers import LlamaForCausalLM

from irsql.compile import compile_module, import_model, pipeline
from irsql.dialects import expr
from irsql.dialects.tir import ops as ti
from irsql.dialects.tir.build import Tensors
from irsql.ir import semantics
from irsql.ir.affine import AffineMap, dim, floordiv
from irsql.ir.attributes import I64, TensorType
from irsql.ir.core import Builder, Func, IRError, Module, Value
from irsql.ir.dims import SymDim, symbol
from irsql.ir.dump import header_of, read_module, write_module
from irsql.ir.instruments.reproducer import read_header
from irsql.ir.instruments.verify_each import VerifyEach
from irsql.ir.instruments.verify_semantics import VerifySemantics
from irsql.ir.interp import Array, Interpreter
from irsql.ir.passes import Pass, PassContext
from irsql.ir.pipeline import run_passes
from irsql.ir.printer import print_op
from irsql.ir.target import attach
from irsql.ir.verifier import verify
from irsql.targets.base import backend, emit_program
from irsql.targets.program import Program
from irsql.tools.irsql_opt import main
from tests.models.databases import eager_logits, logit_error
from tests.models.importing import compare
from tests.models.llamas import llama_config
from tests.models.staged import LLAMA, MODELS, Staged, staged
from tests.models.targets import TARGETS

TOLERANCE = 1e-4
TOKENS = (1, 5, 9, 21, 7, 3, 14)
LLAMAS = [name for name in MODELS if name.startswith("llama")]
PLAIN = [name for name in MODELS if not name.startswith("llama")]


@pytest.fixture(params=MODELS)
def model(request: pytest.FixtureRequest) -> Staged:
    return staged(request.param)


def modules(model: Staged) -> Iterator[tuple[str, Module]]:
    """The verified module after every pass, read from its dump."""
    for name, stage, file in model.dumps:
        module = read_module(file)
        verify(module)
        assert module.attrs_["stage"] == stage
        yield f"{name} ({stage})", module


# -- meaning -------------------------------------------------------------------------------------------
def test_all_stages_are_dumped(model: Staged) -> None:
    assert list(dict.fromkeys(stage for _, stage, _ in model.dumps)) == ["tir", "rel", "tiled", "sql"]


def test_every_pass_keeps_the_meaning(model: Staged) -> None:
    """Outputs and final states of all trials: empty, one and odd sizes; a prefill and three single steps."""
    wanted: list[list[semantics.Outcome]] = []
    for where, module in modules(model):
        got = [semantics.execute(module, trial, model.weights) for trial in semantics.trials(module, 3)]
        wanted = wanted or got
        assert len(got) == len(wanted) > 1
        for a, b in zip(got, wanted, strict=True):
            assert semantics.compare(a, b, TOLERANCE) == [], f"after {where}"


def bind(func: Func, dense: Sequence[Array], adapter: semantics.Adapter) -> dict[str, int]:
    """The symbols of a function, from the sizes of its arguments."""
    symbols: dict[str, int] = {}
    for arg, array in zip(func.block.args, dense, strict=True):
        type_: TensorType = adapter.dense_type(arg.type)
        symbols |= {str(d): n for d, n in zip(type_.shape, array.shape, strict=True) if isinstance(d, SymDim)}
    return symbols


def load(module: Module, model: Staged) -> dict[str, Any]:
    """The stored relations; none before ``split-load``."""
    stored: dict[str, Any] = {}
    if "load" in module.functions:
        Interpreter(module, model.weights, {}, stored).run("load", [])
    return stored


def forward(module: Module, model: Staged, args: Sequence[Array]) -> list[Any]:
    """The results of a plain module in the interpreter of its stage."""
    adapter, stored = semantics.adapter_for(module), load(module, model)
    func = module.functions["forward"]
    symbols = bind(func, args, adapter)
    values = adapter.encode_args(func, args, symbols)
    results = Interpreter(module, model.weights, symbols, stored).run("forward", values)
    return adapter.decode_results(func, results, symbols)


@pytest.mark.parametrize("name", PLAIN)
def test_every_pass_equals_eager(name: str) -> None:
    model = staged(name)
    generator = torch.Generator().manual_seed(1)
    args: tuple[torch.Tensor, ...] = (torch.randn(4, 16, generator=generator),)
    if name == "encoder":
        args = torch.randn(2, 4, 6, generator=generator), torch.arange(4) < torch.tensor([[4], [2]])
    elif name == "two outputs":
        args = torch.randint(0, 11, (4, 3), generator=generator), torch.randn(4, 8, generator=generator)
    with torch.no_grad():
        wanted = pytree.tree_leaves(model.source(*args))
    for _, module in modules(model):
        got = forward(module, model, [a.numpy() for a in args])
        for a, b in zip(got, wanted, strict=True):
            compare(a, b, TOLERANCE)


def logits_of_steps(module: Module, model: Staged) -> list[Array]:
    """Logits of a prefill of five tokens and of two decode steps in the interpreter of the module's stage."""
    adapter, stored = semantics.adapter_for(module), load(module, model)
    states: list[Any] = []
    out: list[Array] = []
    past = 0
    for name, count in (("prefill", 5), ("decode", 1), ("decode", 1)):
        func = module.functions[name]
        infos = semantics.argument_infos(func)
        inputs = [np.array([TOKENS[past : past + count]]), np.arange(past, past + count)[None], np.array([count - 1])]
        dense = [*inputs, *(None for info in infos if info.role == "state")]
        symbols = {n: {"B": 1, "S": count, "P": past, "T": past + count}[n] for n in func.dims}
        values = adapter.encode_args(func, dense, symbols)
        if states:
            values[len(inputs) :] = states
        results = Interpreter(module, model.weights, symbols, stored).run(name, values)
        states = list(results[1:])
        logits = adapter.decode_results(func, results, symbols)[0]
        assert isinstance(logits, np.ndarray)
        out.append(logits[0])
        past += count
    return out


@pytest.mark.parametrize("name", LLAMAS)
def test_every_pass_equals_transformers(name: str) -> None:
    model = staged(name)
    assert isinstance(model.source, LlamaForCausalLM)
    wanted = eager_logits(model.source, TOKENS)[4:]
    for where, module in modules(model):
        got = logits_of_steps(module, model)
        errors = [logit_error(a, b) for a, b in zip(got, wanted, strict=True)]
        assert max(errors) <= TOLERANCE, f"after {where}: {errors}"


# -- continuing ----------------------------------------------------------------------------------------
def remaining(file: Path) -> str:
    """The passes that follow a dump, by its header."""
    header = read_header(file.read_text("utf-8"))
    return header[0].removeprefix("--pass-pipeline=") if header else ""


def body(file: Path) -> str:
    """The text of a dump without its header."""
    text = file.read_text("utf-8")
    return "\n".join(text.split("\n")[len(header_of(text)) :])


def emitted(module: Module, model: Staged) -> Program:
    """The program of a module of the last stage; what ``@load`` does is known from the compilation."""
    done = model.program
    steps = {s.table.source: s.steps for s in done.stored}
    return emit_program(module, backend("duckdb"), steps, done.constants, dict(done.meta))


def test_every_dump_leads_to_the_next_one(model: Staged) -> None:
    """Read back and taken through the passes up to the next dump, each gives that dump, letter by letter."""
    for (name, _, file), (_, _, following) in zip(model.dumps, model.dumps[1:], strict=False):
        rest = remaining(following)
        passes = remaining(file).removesuffix(rest).strip(",") if rest else remaining(file)
        module = read_module(file)
        run_passes(module, passes)
        assert print_op(module, resources={}) == body(following), f"{passes} after {name}"
    last = read_module(model.dumps[-1][2])
    run_passes(last, remaining(model.dumps[-1][2]))
    assert emitted(last, model) == model.program


def test_the_first_dump_of_every_stage_gives_the_same_sql(model: Staged) -> None:
    first = {stage: file for _, stage, file in reversed(model.dumps)}
    again = compile_module(read_module(first["tir"]), weights=model.weights, meta=model.program.meta,
                           pipeline_text=remaining(first["tir"]))  # fmt: skip
    assert again.program == model.program
    for stage in ("rel", "tiled", "sql"):
        module = read_module(first[stage])
        run_passes(module, remaining(first[stage]))
        assert emitted(module, model) == model.program, stage


def test_irsql_opt_continues_a_dump(tmp_path: Path) -> None:
    model = staged("encoder")
    for stage, file in {stage: file for _, stage, file in reversed(model.dumps)}.items():
        out = tmp_path / stage / "out.mlir"
        out.parent.mkdir()
        assert main([str(file), "--run-reproducer", "-o", str(out)]) == 0
        assert body(out) == body(model.dumps[-1][2])
        assert emitted(read_module(out), model) == model.program


# -- the instruments -----------------------------------------------------------------------------------
def test_verify_semantics_passes_the_default_pipeline(model: Staged) -> None:
    watch = VerifySemantics(count=2)
    module = read_module(model.dumps[0][2])
    program = compile_module(module, weights=model.weights, meta=model.program.meta, instruments=[watch]).program
    assert watch.checked == len(model.dumps) - 1
    assert program == model.program


@pytest.mark.parametrize("target", [t for t in TARGETS if t != "duckdb"])
@pytest.mark.parametrize("name", [*PLAIN, "llama tied"])
def test_verify_semantics_passes_the_pipelines_of_other_targets(name: str, target: str) -> None:
    """Layouts, legalisation and merging differ by target; the embedding of this Llama is its head, too."""
    if name == "llama tied":
        module, _ = import_model(llama_config(**{**LLAMA, "num_hidden_layers": 1, "tie_word_embeddings": True}))
    else:
        module = read_module(staged(name).dumps[0][2])
    attach(module, backend(target).target)
    watch = VerifySemantics(count=1)
    done = run_passes(module, pipeline(target=target), instruments=[watch])
    assert module.attrs_["stage"] == "sql"
    assert watch.checked == sum(bool(run.changed) for run in done) > 5


def test_shrink_makes_a_model_small_enough_to_execute(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = llama_config(intermediate_size=1376, vocab_size=50_000)
    module, _ = import_model(config)
    attach(module, backend("duckdb").target)
    path = tmp_path / "model.mlir"
    write_module(path, module)
    flags = [str(path), "--verify-semantics", "-p", pipeline(), "-o", str(tmp_path / "out.mlir")]
    assert main(flags) == 1
    assert "add --shrink" in capsys.readouterr().err
    assert main([*flags, "--shrink"]) == 0
    assert read_module(tmp_path / "out.mlir").attrs_["stage"] == "sql"


# -- what --verify-semantics notices -------------------------------------------------------------------
def _of_first_sequence(module: Module) -> None:
    """Every sequence of a batch at the positions of the first."""
    for name in ("prefill", "decode"):
        func = module.functions[name]
        positions = next(a for a in func.block.args if a.name == "positions")
        uses = list(positions.uses)
        t = Tensors(Builder(func.block, func.block.ops[0]))
        first = t.view(positions, ti.tensor(positions).shape, AffineMap(2, (floordiv(dim(0), 1000), dim(1))))
        for user, index in uses:
            user.set_operand(index, first)


def _last_row(module: Module) -> None:
    """The logits of the last row, whichever is asked for."""
    func = module.functions["prefill"]
    last = next(a for a in func.block.args if a.name == "last")
    uses = list(last.uses)
    t = Tensors(Builder(func.block, func.block.ops[0]))

    def final(e: expr.Exprs) -> Value:
        length = e.builder.insert(expr.Symbol(value=symbol("S"), result_types=[I64])).result
        return e.binary("sub", length, e.const(1, I64))

    end = t.map(ti.tensor(last).shape, [], final)
    for user, index in uses:
        user.set_operand(index, end)


def _whole_temperatures(module: Module) -> None:
    func = module.functions["sample"]
    heat = next(a for a in func.block.args if a.name == "temperature")
    uses = list(heat.uses)
    t = Tensors(Builder(func.block, func.block.ops[0]))
    floor = t.elementwise([heat], lambda e: e.unary("floor", e.args[0]))
    for user, index in uses:
        user.set_operand(index, floor)


def _other_scale(module: Module) -> None:
    for op in module.walk():
        if isinstance(op, ti.Attention):
            op.scale *= 1.001


def _older_state(module: Module) -> None:
    """Attention that does not see the rows of its own call."""
    for op in module.walk():
        if isinstance(op, ti.Attention) and isinstance(op.state.owner, ti.StateAppend):
            op.set_operand(1, op.state.owner.state)


@pytest.mark.parametrize(
    "wrong", [_of_first_sequence, _last_row, _whole_temperatures, _other_scale, _older_state], ids=lambda f: f.__name__
)
def test_verify_semantics_notices(wrong: Callable[[Module], None]) -> None:
    @attrs.frozen
    class Wrong(Pass):
        name = "wrong"
        summary = "does one thing wrong"
        stage_in = stage_out = "tir"

        def run(self, module: Module, ctx: PassContext) -> None:
            wrong(module)

    model = staged("llama fused")
    module = read_module(model.dumps[0][2])
    with pytest.raises(IRError, match="pass wrong failed: it changes what the module computes"):
        run_passes(module, Wrong(), instruments=[VerifySemantics(model.weights), VerifyEach()])
