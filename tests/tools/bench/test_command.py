"""The benchmark counts right, compares only what is right, and runs from end to end on a tiny shape."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import attrs
import numpy as np
import pytest

from irsql.compile import pipeline
from irsql.ir.pipeline import parse_pipeline, print_pipeline
from irsql.runtime.errors import UserError
from irsql.targets.errors import EngineError
from irsql.targets.profile import Operator, Profile
from irsql.targets.program import Column, Function, Program, Statement, Stored, TableSpec
from irsql.tools import cli
from irsql.tools.bench import command, counting, load, process, variants
from irsql.tools.bench.contender import Contender, Measured, Prefix, Stopwatch, logit_error
from irsql.tools.bench.running import Result, cpu_ratio, ratio
from irsql.tools.bench.source import SHAPES, Source, shape_of
from irsql.tools.bench.synthetic import Shape
from irsql.tools.profile.recorder import Record, scanned_bytes

TINY = Shape(hidden=64, intermediate=96, layers=2, heads=4, kv_heads=2, head_dim=16, vocab=300, context=256)


def test_macs_of_the_weights_are_their_elements() -> None:
    for shape in (TINY, Shape()):
        matrices = {n: s for n, s in shape.tensors() if len(s) == 2}
        embedding = int(np.prod(matrices.pop("model.embed_tokens.weight")))
        assert counting.body_macs(shape) == sum(int(np.prod(s)) for s in matrices.values())
        assert counting.head_macs(shape) == embedding


@pytest.mark.parametrize(("first", "count"), [(0, 1), (0, 5), (7, 1), (7, 3)])
def test_macs_of_attention_are_counted_pair_by_pair(first: int, count: int) -> None:
    pairs = sum(1 for q in range(first, first + count) for k in range(q + 1) if k <= q)
    assert counting.attention_macs(TINY, first, count) == TINY.layers * TINY.heads * pairs * 2 * TINY.head_dim


def test_prefill_counts_the_head_once() -> None:
    body, head = counting.step_macs(TINY, 0, 5)
    assert body == 5 * counting.body_macs(TINY) + counting.attention_macs(TINY, 0, 5)
    assert head == counting.head_macs(TINY)


def test_the_shape_of_a_llama_is_read_from_its_configuration(tmp_path: Path) -> None:
    for shape in (*SHAPES.values(), TINY):
        (tmp_path / "config.json").write_text(json.dumps(shape.config("f32")))
        assert shape_of(Source("m", tmp_path)) == attrs.evolve(shape, rope_factor=32.0)
    (tmp_path / "config.json").write_text('{"model_type": "mamba"}')
    assert shape_of(Source("m", tmp_path)) is None


def test_a_ratio_is_taken_within_each_round() -> None:
    """Twice as slow in every round, while the machine itself slows down tenfold."""

    def result(*rounds: list[float]) -> Result:
        return Result("x", {8: [Stopwatch(seconds, [7.0] * 3) for seconds in rounds]})

    first = result([1.0, 1.1, 0.9], [10.0, 10.0, 10.0], [100.0, 90.0, 110.0])
    again = result([1.0, 1.0, 1.0], [10.0, 9.0, 11.0], [100.0, 100.0, 100.0])
    slow = result([2.0, 2.0, 2.0], [20.0, 20.0, 20.0], [200.0, 200.0, 200.0])
    assert ratio(slow, [first, again], 8) == 2.0
    assert slow.median(8) == 20.0
    assert slow.cpu(8) == 7.0
    assert cpu_ratio(slow, [first, again], 8) == 1.0


def test_logit_errors() -> None:
    want = np.array([1.0, -4.0, 2.0], np.float32)
    assert logit_error(want, want) == 0
    assert logit_error(want + np.array([0, 0, 1], np.float32), want) == 0.25
    assert logit_error(np.array([1.0, np.nan, 2.0], np.float32), want) == float("inf")
    assert logit_error(want[:2], want) == float("inf")


def test_scanned_bytes_are_rows_of_known_tables() -> None:
    spec = TableSpec("w", "w", (Column("i", "i64"),), (Column("v", "f32[4]"),), (10,), (), "f32")
    state = TableSpec("s", "s", (Column("p", "i64"),), (Column("v", "f32"),), ("T",), (), "f32")
    statement = Statement("SELECT", "step", "t", "m", ("w", "seen_s"))
    function = Function("decode", (), (state,), (), (), (statement,), (), {})
    program = Program("x", "1", {"decode": function}, (Stored(spec, ()),), "dims", "", {})
    scans = (Operator("SCAN", table="w", scanned=7), Operator("SCAN", table="w", columns=("v",), scanned=2),
             Operator("SCAN", table="other", scanned=99))  # fmt: skip
    told = Profile(1.0, None, scans)
    assert scanned_bytes(program, [Record("m", "decode", statement, "", told)], {"T": 5}) == (7 * 24 + 2 * 16, True)
    silent = Record("m", "decode", statement, "", Profile(1.0))
    assert scanned_bytes(program, [silent], {"T": 5}) == (10 * 24 + 5 * 12, False)


def bench(*args: object) -> int:
    with pytest.raises(SystemExit) as stop:
        cli.main(["bench", *map(str, args)])
    return stop.value.code if isinstance(stop.value.code, int) else 0


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("transformers")
    return tmp_path_factory.mktemp("bench")


@pytest.fixture
def in_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """What runs in a process of its own is run in this one: there are a dozen of them."""

    def measure(database: Path, program: Path, prompt: Any, threads: int | None) -> dict[str, Any]:
        return process.run(database, program, prompt, threads, time.time())

    monkeypatch.setattr(process, "measure", measure)
    monkeypatch.setattr(load, "call", lambda _, *arguments: load.run(*arguments))


FEW = ("--without", "merge-contractions", "--without", "inline-ctes", "--without", "materialise", "--without", "dce")
SCALAR = "select-layout{form=scalar}"
SMALL = ("--layers", "1", "--contexts", "6,300", "--prompt", "4", "--repeat", "1", "--steps", "2")


@pytest.mark.usefixtures("in_process")
@pytest.mark.parametrize("target", ["duckdb", "sqlite"])
def test_an_ablation(work: Path, target: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Every variant has its row or its reason; what runs gives the results of eager PyTorch after a given prefix."""
    assert bench("tiny", *SMALL, "--work-dir", work, "--target", target, *FEW, "--with", SCALAR, "--json") == 0
    result: dict[str, Any] = json.loads(capsys.readouterr().out)
    full = result["full"]
    assert full["statements"] > 5
    assert all(error < 1e-5 for error in full["errors"].values())
    assert set(full["seconds"]) == {"6", "300"}
    assert len(full["seconds"]["6"]["rounds"][0]) == len(full["cpu_seconds"]["6"]["rounds"][0]) == 2
    assert full["processes"][0]["ttft_s"] > 0
    assert full["scanned_bytes"]["300"]["counted"] == (target == "duckdb")
    assert full["scanned_bytes"]["300"]["bytes"] > full["scanned_bytes"]["6"]["bytes"] > 4 * 64 * 512
    assert result["variants"][0]["pipeline"] == print_pipeline(parse_pipeline(pipeline(target=target)))
    assert set(full["rates"]) == {"prefill", "decode at 6", "decode at 300"}
    assert result["load"]["source_bytes"] > 0
    by_name = {v["name"]: v for v in result["variants"]}
    assert list(by_name) == ["full pipeline", SCALAR, *(f"without {name}" for name in FEW[1::2])]
    measured = {r["name"] for r in result["compared"]}
    for name, variant in by_name.items():
        assert (name in measured) + bool(variant["reason"]) + bool(variant["same_as"]) == (name != "full pipeline")
    assert "without merge-contractions" in measured
    assert by_name["without materialise"]["reason"] == "result 0 of prefill is no table: materialise makes it one"
    assert not any(r["wrong"] for r in result["compared"])


def test_an_ablation_leaves_out_every_pass_and_forces_scalar_rows() -> None:
    passes = parse_pipeline(pipeline())
    texts = variants.pipelines(passes, [SCALAR])
    assert list(texts)[:2] == ["full pipeline", SCALAR]
    assert set(list(texts)[2:]) == {f"without {p.name}" for p in passes}
    for name, text in texts.items():
        rest = [p.name for p in passes if name != f"without {p.name}"]
        assert [p.name for p in parse_pipeline(text)] == rest
    assert SCALAR in texts[SCALAR]


def test_the_table_and_the_databases_that_are_there(work: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert bench("tiny", *SMALL, "--work-dir", work) == 0
    before = {p: p.stat().st_mtime_ns for p in work.glob("*.db")}
    assert before
    capsys.readouterr()
    assert bench("tiny", *SMALL, "--work-dir", work) == 0
    out = capsys.readouterr().out
    assert out.startswith("tiny-1 on DuckDB")
    assert "token at 300" in out
    assert "Context 300 takes" in out
    assert {p: before.get(p) for p in work.glob("*.db")} == {p: p.stat().st_mtime_ns for p in work.glob("*.db")}


@pytest.mark.usefixtures("in_process")
def test_what_is_wrong_is_not_compared(work: Path, monkeypatch: pytest.MonkeyPatch,
                                       capsys: pytest.CaptureFixture[str]) -> None:
    """A pipeline that gives other logits has a sentence instead of a ratio, and the command fails."""
    from irsql.tools.bench import engine

    real = engine.Engine.visit

    def visit(self: Any, prefix: Prefix, contexts: Any, steps: int) -> dict[int, Measured]:
        found = real(self, prefix, contexts, steps)
        if self.name == "without merge-contractions":
            return {c: attrs.evolve(m, logits=m.logits * np.float32(1.001)) for c, m in found.items()}
        if self.name == "without inline-ctes":
            return {c: attrs.evolve(m, ids=[*m.ids[:-1], m.ids[-1] + 1]) for c, m in found.items()}
        if self.name == "without canonicalise":
            raise EngineError("out of memory")
        return found

    monkeypatch.setattr(engine.Engine, "visit", visit)
    assert bench("tiny", *SMALL, "--work-dir", work, *FEW, "--without", "canonicalise") == 1
    out = capsys.readouterr().out
    assert "WRONG: without merge-contractions: its logits at context 6 are off by 1.0e-03, more than 1e-04" in out
    assert "WRONG: without canonicalise: it fails: out of memory" in out
    assert "WRONG: without inline-ctes: its token 2 after context 6 is not that of the whole pipeline" in out


@pytest.mark.usefixtures("in_process")
def test_peers_are_rows_of_the_same_run(work: Path, monkeypatch: pytest.MonkeyPatch,
                                        capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(command, "absent_reason", lambda: "not run, for a test")
    arguments = ("--layers", "1", "--contexts", "6", "--prompt", "4", "--repeat", "1", "--steps", "1")
    assert bench("tiny", *arguments, "--work-dir", work, "--peers", "--json") == 0
    result = json.loads(capsys.readouterr().out)
    assert [r["name"] for r in result["compared"]] == [
        "PyTorch, eager", "SQL by hand", "SQL, chunk rows merged and pivoted (c2)", "SQL, chunk rows (c1)"]
    assert all(not r["wrong"] and r["ratio"]["6"] > 0 and r["errors"]["6"] < 1e-5 for r in result["compared"])
    assert result["absent"] == {"llama.cpp, F32": "not run, for a test"}


@pytest.mark.parametrize(("arguments", "message"), [
    (("nothing",), "there is no model folder nothing; give one, demo, or one of llama-3.2-1b"),
    (("demo", "--layers", "2"), "--layers cuts a synthetic shape"),
    (("tiny", "--contexts", "9000"), "no context is left: give --contexts up to"),
    (("tiny", "--contexts", "6", "--prompt", "7"), "--prompt is between 1 and the longest context, 6, not 7"),
    (("tiny", "--target", "sqlite", "--threads", "2"), "SQLite runs on one thread, not on 2"),
    (("tiny", "--without", "magic"), "the pipeline has no pass 'magic'; it has canonicalise, cse, decompose"),
    (("tiny", "--with", "select-layout{form=oval}"), "is no pass with options"),
    (("tiny", "--with", "shrink"), "'shrink' is no pass of the pipeline with options"),
    (("tiny", "--with", "cse,dce"), "'cse,dce' is no pass of the pipeline with options"),
    (("tiny", "--target", "oracle"), "unknown target 'oracle'"),
])  # fmt: skip
def test_misuse_is_one_sentence(work: Path, arguments: tuple[str, ...], message: str,
                                capsys: pytest.CaptureFixture[str]) -> None:
    assert bench(*arguments, "--work-dir", work) == 1
    assert message in capsys.readouterr().err


def test_eager_goes_on_from_a_prefix_as_it_computed_it(work: Path) -> None:
    from irsql.tools.bench.eager import Eager
    from irsql.tools.bench.source import source

    found = source("tiny", 1, work, lambda _: None)
    eager: Contender = Eager(found.folder, 1)
    assert isinstance(eager, Eager)
    prefix = eager.prefix([5, 150], 512, lambda _: None)
    measured = eager.visit(prefix, [5, 150], 2)
    for context in (5, 150):
        assert logit_error(measured[context].logits, prefix.logits[context]) < 1e-6
        assert len(measured[context].ids) == 3


def test_a_process_that_fails_is_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"irsql\.tools\.bench\.process failed with exit code 1"):
        process.measure(tmp_path / "none.db", tmp_path / "none.json", [1], None)


def test_compile_needs_no_weights() -> None:
    pytest.importorskip("transformers")
    from irsql.tools.bench import compilation

    measured = compilation.measure(num_hidden_layers=1)
    assert measured["statements"] > 5
    assert measured["peak_rss_bytes"] > 1 << 20
