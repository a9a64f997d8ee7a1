"""The peers of the benchmark compute the same model: their logits and tokens are eager PyTorch's."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from irsql.tools.bench import synthetic
from irsql.tools.bench.contender import Prefix, logit_error
from irsql.tools.bench.eager import Eager
from irsql.tools.bench.peers import llama_cpp_peer
from irsql.tools.bench.peers.chunked import Merged, Plain
from irsql.tools.bench.peers.gguf_file import interleaved
from irsql.tools.bench.peers.hand import TILE, Hand
from irsql.tools.bench.peers.sql_form import SqlForm, total
from irsql.tools.bench.synthetic import Shape

SHAPES = {
    "tied": Shape(hidden=64, intermediate=176, layers=2, heads=4, kv_heads=2, head_dim=16, vocab=300, context=256),
    "odd": Shape(hidden=96, intermediate=224, layers=1, heads=6, kv_heads=1, head_dim=16, vocab=77, context=256,
                 tied=False, rope_factor=0),
    "long": Shape(hidden=1536, intermediate=2048, layers=1, heads=2, kv_heads=2, head_dim=128, vocab=64, context=256),
}  # fmt: skip
CONTEXTS = (1, TILE - 2, 2 * TILE, 70)
STEPS = 4
"""The second context crosses the end of a tile of values."""


@pytest.fixture(scope="module", params=sorted(SHAPES))
def model(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Shape, Prefix]:
    pytest.importorskip("transformers")
    shape = SHAPES[request.param]
    folder = tmp_path_factory.mktemp("peers") / request.param
    synthetic.write(folder, shape, dtype="f32", seed=3)
    return folder, shape, Eager(folder, 1).prefix(CONTEXTS, shape.vocab, lambda _: None)


@pytest.mark.parametrize("form", [Hand, Plain, Merged])
def test_a_form_computes_the_model(model: tuple[Path, Shape, Prefix], form: type[SqlForm], tmp_path: Path) -> None:
    folder, shape, prefix = model
    want = Eager(folder, 1).visit(prefix, CONTEXTS, STEPS)
    peer = form(folder, shape, tmp_path, 1, CONTEXTS[-1] + STEPS + 2)
    found = peer.visit(prefix, CONTEXTS, STEPS)
    for context in CONTEXTS:
        assert logit_error(found[context].logits, prefix.logits[context]) < 1e-5
        assert list(found[context].ids) == list(want[context].ids)
        assert len(found[context].steps.seconds) == STEPS


def test_statements_a_layer() -> None:
    """The optimisations are there: an operator a statement, seven merged ones, six by hand."""

    def count(form: type[SqlForm], layers: int) -> int:
        peer = object.__new__(form)
        peer.shape, peer.eps = Shape(layers=layers), 1e-5
        return len(peer.step())

    assert [count(form, 3) - count(form, 2) for form in (Plain, Merged, Hand)] == [29, 7, 6]


def test_long_sums_are_balanced() -> None:
    assert total(["a"]) == "a"
    assert total(list("abcd")) == "((a + b) + (c + d))"


def test_rows_of_a_head_are_interleaved() -> None:
    rows = np.arange(8, dtype=np.float32)[:, None]
    assert interleaved(rows, 2).ravel().tolist() == [0, 2, 1, 3, 4, 6, 5, 7]


def test_without_llama_cpp_there_is_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert llama_cpp_peer.absent() == ("not run, for llama_cpp and gguf are not installed: pip install 'irsql[peers]'")


def test_llama_cpp_computes_the_model(model: tuple[Path, Shape, Prefix], tmp_path: Path) -> None:
    pytest.importorskip("llama_cpp", reason="llama-cpp-python is built from source: pip install 'irsql[peers]'")
    pytest.importorskip("gguf")
    folder, _, prefix = model
    found = llama_cpp_peer.LlamaCpp(folder, tmp_path, 1, 256).visit(prefix, CONTEXTS, STEPS)
    for context in CONTEXTS:
        assert logit_error(found[context].logits, prefix.logits[context]) < 1e-5
