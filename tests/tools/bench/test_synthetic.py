"""The synthetic checkpoints of the benchmarks are real ones: our reader and transformers open them."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest

from irsql.frontend.checkpoint import Checkpoint
from irsql.tools.bench import synthetic
from irsql.tools.bench.synthetic import Shape

TINY = Shape(hidden=64, intermediate=96, layers=2, heads=4, kv_heads=2, head_dim=16, vocab=300, context=256)


@pytest.mark.parametrize("dtype", ["bf16", "f16", "f32"])
def test_transformers_loads_every_tensor_as_written(tmp_path: Path, dtype: synthetic.DType) -> None:
    torch = pytest.importorskip("torch")
    transformers = pytest.importorskip("transformers")
    synthetic.write(tmp_path / "m", TINY, dtype=dtype)
    model, info = transformers.LlamaForCausalLM.from_pretrained(
        tmp_path / "m", dtype=torch.float32, output_loading_info=True)
    assert not info["missing_keys"]
    assert not info["unexpected_keys"]
    assert not info["mismatched_keys"]
    assert model.config.rope_parameters["rope_type"] == "llama3"
    assert model.lm_head.weight.data_ptr() == model.model.embed_tokens.weight.data_ptr()
    checkpoint = Checkpoint.open(tmp_path / "m")
    state = model.state_dict()
    for name, shape in TINY.tensors():
        ours = checkpoint.read(name)
        assert ours.shape == shape
        np.testing.assert_array_equal(ours, state[name].numpy(), err_msg=name)
    logits = model(torch.tensor([[1, 5, 9]])).logits
    assert torch.isfinite(logits).all()
    assert logits.std() > 0.01


def test_bf16_rounds_as_torch_does(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    for dtype in ("bf16", "f32"):
        synthetic.write(tmp_path / dtype, TINY, dtype=dtype)
    name = "model.embed_tokens.weight"
    exact = Checkpoint.open(tmp_path / "f32").read(name)
    rounded = Checkpoint.open(tmp_path / "bf16").read(name)
    np.testing.assert_array_equal(rounded, torch.from_numpy(exact).to(torch.bfloat16).float().numpy())
    assert (rounded != exact).any()
    assert math.isclose(float(exact.std()), synthetic.STD, rel_tol=0.05)


def test_shards_hold_the_same_tensors_as_one_file(tmp_path: Path) -> None:
    untied = Shape(hidden=64, intermediate=96, layers=2, heads=4, kv_heads=2, head_dim=16, vocab=300, tied=False)
    synthetic.write(tmp_path / "one", untied, seed=3)
    synthetic.write(tmp_path / "many", untied, seed=3, shard_size=40_000)
    assert len(list((tmp_path / "many").glob("*.safetensors"))) > 2
    one, many = Checkpoint.open(tmp_path / "one"), Checkpoint.open(tmp_path / "many")
    assert set(one) == set(many) == {name for name, _ in untied.tensors()}
    for name in one:
        np.testing.assert_array_equal(one.read(name), many.read(name), err_msg=name)


def test_a_folder_is_reused_only_for_the_same_recipe(tmp_path: Path) -> None:
    assert synthetic.write(tmp_path / "m", TINY)
    assert not synthetic.write(tmp_path / "m", TINY)
    with pytest.raises(FileExistsError, match="holds something else"):
        synthetic.write(tmp_path / "m", TINY, seed=1)


def test_blocks_do_not_change_the_values(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synthetic.write(tmp_path / "a", TINY)
    monkeypatch.setattr(synthetic, "BLOCK", 1000)
    synthetic.write(tmp_path / "b", TINY)
    assert (tmp_path / "a" / "model.safetensors").read_bytes() == (tmp_path / "b" / "model.safetensors").read_bytes()
