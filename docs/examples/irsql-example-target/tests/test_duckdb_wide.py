"""Both targets give the same numbers and the same text; no vector is left in the SQL of this one."""

import json
from pathlib import Path

import pytest
import torch

import irsql
from irsql.tools import cli


@pytest.mark.parametrize("length", [8, 700])
def test_a_module(length: int) -> None:
    """A product is a sum over columns, of several rows where one would have too many."""
    torch.manual_seed(0)
    module, x = torch.nn.Linear(length, 3).eval(), torch.randn(5, length)
    usual, wide = (irsql.compile(module, (x,), target=name) for name in ("duckdb", "duckdb-wide"))
    assert "LIST_INNER_PRODUCT" in usual.sql
    assert "LIST" not in wide.sql
    assert '"v_7"' in wide.sql
    assert '"v_699"' not in wide.sql
    torch.testing.assert_close(wide(x), module(x).detach(), rtol=1e-4, atol=1e-5)


def run(*words: str) -> None:
    """``irsql`` in this process."""
    with pytest.raises(SystemExit) as end:
        cli.main(words)
    assert end.value.code == 0


def test_a_language_model(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """The same tokens through ``irsql generate``; a loaded database says what it was compiled for."""
    transformers = pytest.importorskip("transformers")
    torch.manual_seed(0)
    config = transformers.LlamaConfig(
        vocab_size=96, hidden_size=32, intermediate_size=48, num_hidden_layers=1, num_attention_heads=4,
        num_key_value_heads=2, max_position_embeddings=64)  # fmt: skip
    transformers.LlamaForCausalLM(config).save_pretrained(tmp_path / "llama")
    out = []
    for name in ("duckdb", "duckdb-wide"):
        file = str(tmp_path / f"{name}.db")
        run("load", str(tmp_path / "llama"), "-o", file, "--target", name)
        run("generate", file, "--prompt-ids", "5,9,2", "--max-new-tokens", "12", "--target", name)
        out.append(capsys.readouterr().out.split())
    assert out[0] == out[1]
    assert len(out[0]) == 12
    run("compile", file, "-o", str(tmp_path / "scripts"), "--no-weights")
    assert json.loads((tmp_path / "scripts" / "manifest.json").read_text())["target"] == "duckdb-wide"
    with pytest.raises(SystemExit):
        cli.main(["generate", file, "--prompt-ids", "5", "--target", "duckdb"])
    assert "duckdb-wide.db was compiled for the target 'duckdb-wide'" in capsys.readouterr().err
