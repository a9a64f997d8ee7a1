"""The benchmarks count right, refuse work that was not done, and run from end to end on a tiny shape."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from irsql.targets.program import Function, Statement
from irsql.tools.bench import counting, report, synthetic
from irsql.tools.bench.__main__ import main
from irsql.tools.bench.synthetic import Shape

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


def test_statements_by_layer() -> None:
    layers = ["model.layers.0.mlp", "model.layers.0", "model.layers.11.mlp.down_proj"]
    scopes = ["model.embed_tokens", *layers, "lm_head", ""]
    function = Function("decode", (), (), (), (), tuple(Statement("", "step", "t", s) for s in scopes), (), {})
    assert counting.statements_per_layer(function) == {0: 2, 11: 1}
    assert counting.part_of("model.layers.11.mlp.down_proj") == "model.layers.N.mlp.down_proj"


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    pytest.importorskip("torch")
    pytest.importorskip("transformers")
    folder = tmp_path_factory.mktemp("bench")
    arguments = ["--shape", "tiny", "--layers", "2", "--workdir", str(folder), "--prefill", "6", "--contexts", "12,20",
                 "--tokens", "3", "--threads", "1", "--only", "load,decode"]
    assert main(arguments) == 0
    return folder, json.loads((folder / "bench.json").read_text())


def test_the_whole_run(run: tuple[Path, dict[str, Any]]) -> None:
    _, result = run
    assert set(result["steps"]) == {"prefill 6", "decode at 12", "decode at 20"}
    for step in result["steps"].values():
        assert 0 < step["head_seconds"] < sum(step["parts"].values())
        assert step["rate"] > 0
        assert "lm_head" in step["parts"]
        assert "(no module)" not in step["parts"]
    assert len(result["ids"]) == 6
    assert 0 < result["statements_per_layer"] <= 10
    load = result["load"]
    assert load["peak_rss_bytes"] > load["largest_bytes"] > 0
    assert load["source_bytes"] > load["largest_bytes"]
    table = report.rows(result)
    assert [row[0].strip() for row in table][-4:] == ["prefill 6", "decode at 12", "decode at 20",
                                                      "statements a layer, decode"]


def test_the_measured_contexts_are_the_ones_asked_for(run: tuple[Path, dict[str, Any]]) -> None:
    """The mean position of the three tokens after a context of 12 (two of them for warming up) sees 13 rows."""
    from irsql.tools.bench.__main__ import SHAPES

    shape = Shape(**run[1]["shape"])
    assert shape.hidden == SHAPES["tiny"].hidden
    for context in (12, 20):
        step = run[1]["steps"][f"decode at {context}"]
        expected = counting.body_macs(shape) + counting.attention_macs(shape, context, 1)
        assert step["body_macs"] == expected


def test_ids_equal_those_of_transformers(run: tuple[Path, dict[str, Any]]) -> None:
    """What was measured is the model's own greedy continuation: nothing was left out."""
    torch = pytest.importorskip("torch")
    transformers = pytest.importorskip("transformers")
    from irsql.tools.bench.decode import prompt

    folder, result = run
    model = transformers.LlamaForCausalLM.from_pretrained(folder / "tiny-2-bf16", dtype=torch.float32).eval()
    ids = prompt(Shape(**result["shape"]), 21)[:10]
    out: list[int] = []
    with torch.no_grad():
        for _ in range(5):
            logits = model(torch.tensor([ids])).logits[0, -1]
            ids.append(int(logits.argmax()))
            out.append(ids[-1])
    assert result["ids"][:3] == out[2:]


def test_work_that_was_not_done_is_an_error(run: tuple[Path, dict[str, Any]], monkeypatch: pytest.MonkeyPatch) -> None:
    from irsql.runtime.sequence import TokenSequence
    from irsql.tools.bench import decode

    folder, result = run
    shape, database = Shape(**result["shape"]), folder / "tiny-2-bf16.db"
    monkeypatch.setattr(TokenSequence, "logits", lambda self: np.zeros(shape.vocab, np.float32))
    with pytest.raises(decode.WorkError, match="all the same"):
        decode.measure(database, shape, prefill=3, contexts=[6], tokens=1, threads=1)


def test_the_checkpoint_is_reused(run: tuple[Path, dict[str, Any]]) -> None:
    folder, result = run
    assert not synthetic.write(folder / "tiny-2-bf16", Shape(**result["shape"]))


def test_an_unknown_part_is_a_usage_error(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        main(["--only", "speed"])
    assert stop.value.code == 2
    assert "speed is none of" in capsys.readouterr().err


def test_compile_needs_no_weights_and_is_shown() -> None:
    pytest.importorskip("transformers")
    from irsql.tools.bench import compilation

    measured = compilation.measure(num_hidden_layers=1)
    assert measured["statements"] > 5
    assert measured["peak_rss_bytes"] > 1 << 20
    first, memory = report.rows({"compile": measured})
    assert first[0] == "compile Llama-3-8B"
    assert memory[2].endswith(" MB")
