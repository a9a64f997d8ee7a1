"""The reader of checkpoint folders: exact values, and one clear sentence for everything that is wrong."""

from __future__ import annotations

import contextlib
import json
import os
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import save_file

from irsql.frontend import checkpoint as module
from irsql.frontend.checkpoint import Checkpoint, CheckpointError

VALUES = torch.tensor([[0.0, -0.0, 1.0], [-1.5, 3.14159, 65504.0], [6e-8, 1e-3, -2.0], [0.1, 7.0, 1 / 3]])


def folder_of(path: Path, tensors: dict[str, torch.Tensor], file: str = "model.safetensors") -> Path:
    path.mkdir(exist_ok=True)
    (path / "config.json").write_text('{"model_type": "llama"}')
    save_file(tensors, path / file, metadata={"format": "pt"})
    return path


def raw_file(path: Path, header: Any, data: bytes, length: int | None = None) -> Path:
    """A folder whose safetensors file has exactly this header (JSON value or bytes) and data."""
    path.mkdir(exist_ok=True)
    (path / "config.json").write_text("{}")
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    size = len(text) if length is None else length
    (path / "model.safetensors").write_bytes(struct.pack("<Q", size) + text + data)
    return path


def entry(dtype: str = "F32", shape: Any = (2, 3), offsets: Any = (0, 24)) -> dict[str, Any]:
    return {"dtype": dtype, "shape": list(shape), "data_offsets": list(offsets)}


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
def test_reads_what_torch_wrote(tmp_path: Path, dtype: torch.dtype) -> None:
    stored = VALUES.to(dtype)
    checkpoint = Checkpoint.open(folder_of(tmp_path, {"w": stored, "b": stored[0].clone(), "s": stored[1, 1].clone()}))
    want = stored.float().numpy()
    got = checkpoint.read("w")
    assert got.dtype == np.float32
    np.testing.assert_array_equal(got.view(np.uint32), want.view(np.uint32))
    np.testing.assert_array_equal(checkpoint.read("w", 1, 3), want[1:3])
    assert checkpoint.read("w", 2, 2).shape == (0, 3)
    np.testing.assert_array_equal(checkpoint.read("b", 1), want[0][1:])
    assert checkpoint.read("s").shape == ()
    assert float(checkpoint.read("s")) == want[1, 1]
    assert checkpoint.shape("w") == (4, 3)
    assert set(checkpoint) == {"w", "b", "s"}


def test_special_values_survive(tmp_path: Path) -> None:
    bits = torch.arange(-(2**15), 2**15, dtype=torch.int32).to(torch.int16)
    for dtype in (torch.float16, torch.bfloat16):
        stored = bits.view(dtype)
        got = Checkpoint.open(folder_of(tmp_path / str(dtype), {"w": stored})).read("w")
        np.testing.assert_array_equal(got, stored.float().numpy())


def test_empty_tensor(tmp_path: Path) -> None:
    assert Checkpoint.open(folder_of(tmp_path, {"e": torch.zeros(0, 5)})).read("e").shape == (0, 5)


def test_shards(tmp_path: Path) -> None:
    names = ["model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"]
    folder_of(tmp_path, {"a": VALUES}, names[0])
    folder_of(tmp_path, {"b": VALUES * 2, "c": VALUES[0].clone()}, names[1])
    weight_map = {"a": names[0], "b": names[1], "c": names[1]}
    index = tmp_path / module.INDEX_NAME
    index.write_text(json.dumps({"metadata": {"total_size": 108}, "weight_map": weight_map}))
    (tmp_path / "generation_config.json").write_text('{"eos_token_id": [2, 3]}')
    (tmp_path / "tokenizer.json").write_text("{}")
    checkpoint = Checkpoint.open(tmp_path)
    np.testing.assert_array_equal(checkpoint.read("b"), (VALUES * 2).numpy())
    assert checkpoint.generation_config == {"eos_token_id": [2, 3]}
    assert checkpoint.tokenizer_path == tmp_path / "tokenizer.json"

    index.write_text(json.dumps({"weight_map": {**weight_map, "d": names[0]}}))
    with pytest.raises(CheckpointError, match="promises the tensor d"):
        Checkpoint.open(tmp_path)
    for hostile in ("../model.safetensors", "/etc/passwd", "", "..", "a\\b", 3):
        index.write_text(json.dumps({"weight_map": {"a": hostile}}))
        with pytest.raises(CheckpointError, match="not the name of a file"):
            Checkpoint.open(tmp_path)
    index.write_text(json.dumps({"weight_map": weight_map}))
    (tmp_path / names[1]).unlink()
    with pytest.raises(CheckpointError, match=r"the shard model-00002-of-00002\.safetensors .* is missing"):
        Checkpoint.open(tmp_path)
    index.write_text("{}")
    with pytest.raises(CheckpointError, match="has no weight_map"):
        Checkpoint.open(tmp_path)


def test_a_tensor_stored_twice(tmp_path: Path) -> None:
    folder_of(tmp_path, {"a": VALUES}, "x.safetensors")
    folder_of(tmp_path, {"a": VALUES, "b": VALUES[0].clone()}, "y.safetensors")
    (tmp_path / module.INDEX_NAME).write_text('{"weight_map": {"a": "x.safetensors", "b": "y.safetensors"}}')
    with pytest.raises(CheckpointError, match="the tensor a is stored twice"):
        Checkpoint.open(tmp_path)


def test_missing_pieces(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="is not a folder"):
        Checkpoint.open(tmp_path / "none")
    with pytest.raises(CheckpointError, match=r"holds no config\.json"):
        Checkpoint.open(tmp_path)
    (tmp_path / "config.json").write_text("{}")
    (tmp_path / "pytorch_model.bin").write_bytes(b"")
    with pytest.raises(CheckpointError, match=r"pytorch_model\.bin must be converted"):
        Checkpoint.open(tmp_path)
    (tmp_path / "config.json").write_text("[]")
    with pytest.raises(CheckpointError, match="must hold a JSON object"):
        Checkpoint.open(tmp_path)
    (tmp_path / "config.json").write_text("[" * 100_000)
    with pytest.raises(CheckpointError, match="not valid JSON"):
        Checkpoint.open(tmp_path)


@pytest.mark.parametrize("keep", [0, 5, 8, 40, -1])
def test_truncated(tmp_path: Path, keep: int) -> None:
    file = folder_of(tmp_path, {"w": VALUES}) / "model.safetensors"
    file.write_bytes(file.read_bytes()[:keep])
    with pytest.raises(CheckpointError, match=r"not a valid safetensors file.*(only|cut short)"):
        Checkpoint.open(tmp_path)


def test_truncated_after_opening(tmp_path: Path) -> None:
    checkpoint = Checkpoint.open(folder_of(tmp_path, {"w": VALUES}))
    file = tmp_path / "model.safetensors"
    os.truncate(file, file.stat().st_size - 4)
    np.testing.assert_array_equal(checkpoint.read("w", 0, 3), VALUES[:3].numpy())
    with pytest.raises(CheckpointError, match="cut short while it was in use"):
        checkpoint.read("w")
    file.unlink()
    with pytest.raises(CheckpointError, match="cannot be read"):
        checkpoint.read("w")


@pytest.mark.parametrize(
    ("header", "match"),
    [
        (b"{", "not valid JSON"),
        (b"\xff\xfe", "not valid JSON"),
        (b"[" * 50_000, "not valid JSON"),
        (b"[]", "not a JSON object"),
        (b'{"w": {}, "w": {}}', "a key twice"),
        ({"w": 3}, "incomplete"),
        ({"w": {"dtype": "F32", "shape": [2, 3]}}, "incomplete"),
        ({"w": entry(dtype="F99")}, "unknown type"),
        ({"w": {**entry(), "dtype": ["F32"]}}, "unknown type"),
        ({"w": entry(shape=(-2, -3))}, "no valid shape"),
        ({"w": entry(shape=(2.0, 3))}, "no valid shape"),
        ({"w": entry(shape=(True, 6))}, "no valid shape"),
        ({"w": entry(shape=(2**64, 1))}, "no valid shape"),
        ({"w": {**entry(), "shape": "23"}}, "no valid shape"),
        ({"w": entry(offsets=(24, 0))}, "no valid data_offsets"),
        ({"w": entry(offsets=(0, 24, 48))}, "no valid data_offsets"),
        ({"w": entry(offsets=(-24, 0))}, "no valid data_offsets"),
        ({"w": entry(offsets=(0, 20))}, "has 20 bytes, which does not fit"),
        ({"w": entry(shape=(2**62, 2**62))}, "does not fit"),
        ({"v": entry(), "w": entry(offsets=(12, 36))}, "overlap others"),
        ({"v": entry(), "w": entry()}, "overlap others"),
        ({"w": entry(offsets=(4, 28))}, "follow a gap"),
        ({"v": entry(), "w": entry(offsets=(24, 48))}, "promises .* cut short"),
        ({"w": entry(shape=(2, 2), offsets=(0, 16))}, "8 bytes at its end"),
        ({}, "24 bytes at its end"),
    ],
)
def test_hostile_headers(tmp_path: Path, header: Any, match: str) -> None:
    with pytest.raises(CheckpointError, match=match) as caught:
        Checkpoint.open(raw_file(tmp_path, header, bytes(24)))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(("length", "match"), [(2**63, "claims"), (10**8 + 1, "claims"), (10**6, "cut short")])
def test_hostile_header_length(tmp_path: Path, length: int, match: str) -> None:
    with pytest.raises(CheckpointError, match=match):
        Checkpoint.open(raw_file(tmp_path, b"{}", b"", length))


@given(at=st.integers(0, 200), byte=st.integers(0, 255))
@settings(max_examples=150)
def test_any_changed_byte_is_read_or_refused(tmp_path_factory: pytest.TempPathFactory, at: int, byte: int) -> None:
    folder = folder_of(tmp_path_factory.mktemp("fuzz"), {"w": VALUES, "b": VALUES[0].clone()})
    file = folder / "model.safetensors"
    data = bytearray(file.read_bytes())
    data[at % len(data)] = byte
    file.write_bytes(data)
    with contextlib.suppress(CheckpointError):
        checkpoint = Checkpoint.open(folder)
        for name in checkpoint:
            assert checkpoint.read(name).shape == checkpoint.shape(name)


def test_reading_what_is_not_there(tmp_path: Path) -> None:
    checkpoint = Checkpoint.open(folder_of(tmp_path, {"w": VALUES, "ids": torch.arange(3)}))
    with pytest.raises(CheckpointError, match="has no tensor v"):
        checkpoint.read("v")
    with pytest.raises(CheckpointError, match="the type I64"):
        checkpoint.read("ids")
    for start, stop in [(-1, 2), (3, 2), (0, 5), (5, None)]:
        with pytest.raises(CheckpointError, match="outside of the 4 rows"):
            checkpoint.read("w", start, stop)


def test_resolve(tmp_path: Path) -> None:
    small = VALUES[0].clone()
    stored = {"model.a": VALUES, "b": small, "lm_head.weight": VALUES * 2, "model.n": torch.arange(3)}
    checkpoint = Checkpoint.open(folder_of(tmp_path, stored))
    wanted = {"model.a": (4, 3), "model.b": (3,), "model.embed_tokens.weight": (4, 3)}
    tied = {"lm_head.weight": "model.embed_tokens.weight"}
    assert checkpoint.resolve(wanted, tied) == {
        "model.a": "model.a",
        "model.b": "b",
        "model.embed_tokens.weight": "lm_head.weight",
    }
    assert checkpoint.resolve({"a": (4, 3)}) == {"a": "model.a"}
    with pytest.raises(CheckpointError, match=r"lacks the tensor model\.embed_tokens\.weight$"):
        checkpoint.resolve(wanted)
    with pytest.raises(CheckpointError, match="lacks the tensor x and 1 more"):
        checkpoint.resolve({"x": (1,), "y": (1,)})
    with pytest.raises(CheckpointError, match=r"has the shape \[4, 3\], the model needs \[3, 4\]"):
        checkpoint.resolve({"model.a": (3, 4)})
    with pytest.raises(CheckpointError, match="the type I64"):
        checkpoint.resolve({"model.n": (3,)})


def test_fingerprint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    big = torch.arange(50_000, dtype=torch.float32)
    one, two = folder_of(tmp_path / "one", {"w": big}), folder_of(tmp_path / "two", {"w": big})
    first = Checkpoint.open(one).fingerprint()
    assert len(first) == 64
    assert first == Checkpoint.open(two).fingerprint(), "the folder's name must not count"
    changed = big.clone()
    changed[23_456] += 1
    folder_of(two, {"w": changed})
    assert Checkpoint.open(two).fingerprint() != first
    assert Checkpoint.open(folder_of(two, {"v": big})).fingerprint() != first, "names of tensors count"
    assert Checkpoint.open(folder_of(two, {"w": big.reshape(2, -1)})).fingerprint() != first, "shapes count"

    monkeypatch.setattr(module, "FULL_HASH_BYTES", 1000)
    sampled = Checkpoint.open(one).fingerprint()
    assert sampled == Checkpoint.open(one).fingerprint()
    assert Checkpoint.open(folder_of(two, {"w": big * 1.001})).fingerprint() != sampled
    for end in (0, -1):
        changed = big.clone()
        changed[end] += 1
        assert Checkpoint.open(folder_of(two, {"w": changed})).fingerprint() != sampled
