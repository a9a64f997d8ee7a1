"""Hostile files for the commands: a small whole model, ways to damage it, and what a command may do about it."""

from __future__ import annotations

import contextlib
import functools
import importlib
import io
import json
import math
import random
import shutil
import struct
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from irsql.tools import cli
from tests.models.llamas import llama_config, random_llama, save_llama
from tests.runtime import toy

compiling: Any = importlib.import_module("irsql.compile")  # irsql.compile is a function too

VALUES: tuple[Any, ...] = (
    None, True, False, 0, 1, 2, 3, 7, -1, -7, 2**31, 2**63, 2**70, 0.5, -0.5, 1e308, math.nan, math.inf, "", "3",
    "x" * 300, 'é\0"', "\ud800", "../x", [], [1], [[]], [None, "a"], {}, {"a": 1}, {"": []},
    json.loads("[" * 300 + "]" * 300),
)  # fmt: skip
"""What a number, a name or a list is replaced by."""


@functools.cache
def whole_model() -> Path:
    """The folder of a Llama with one layer and a tokenizer; made once, never changed."""
    folder = Path(tempfile.mkdtemp(prefix="irsql-fuzz-"))
    config = llama_config(vocab_size=300, hidden_size=8, intermediate_size=8, num_hidden_layers=1,
                          num_attention_heads=2, num_key_value_heads=1, max_position_embeddings=32)
    save_llama(random_llama(config), folder)
    toy.tokenizer().save(str(folder / "tokenizer.json"))
    (folder / "generation_config.json").write_text('{"eos_token_id": 2, "do_sample": true, "temperature": 0.5}')
    (folder / "tokenizer_config.json").write_text('{"chat_template": "{{ messages }}", "bos_token": "a"}')
    return folder


@contextlib.contextmanager
def damaged() -> Iterator[Path]:
    """A copy of the whole model in a folder of its own, with a cache beside it."""
    with tempfile.TemporaryDirectory() as scratch, pytest.MonkeyPatch.context() as patch:
        patch.setenv("IRSQL_CACHE", str(Path(scratch) / "cache"))
        patch.setattr(compiling, "compile_model", _compile_once)
        yield Path(shutil.copytree(whole_model(), Path(scratch) / "model"))


_COMPILED: dict[bytes, Any] = {}
_COMPILE = compiling.compile_model


def _compile_once(folder: Path, *target: str, **options: Any) -> Any:
    """Compiling reads nothing but the configuration, so one that was seen before is not compiled again."""
    key = (folder / "config.json").read_bytes()
    if key not in _COMPILED:
        _COMPILED[key] = _COMPILE(folder, *target, **options)
    return _COMPILED[key]


def run(*args: object) -> tuple[int, str]:
    """Exit code and standard error of a command; an exception that would show a traceback comes through."""
    err = io.StringIO()
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(err):
        try:
            cli.main([str(a) for a in args])
        except SystemExit as stop:
            return (stop.code if isinstance(stop.code, int) else 0), err.getvalue()
    return 0, err.getvalue()


def refused(*args: object, keeps: Path, usable: bool = True) -> str:
    """Run a command that may refuse: with one sentence, exit code 1, and without leaving a file in ``keeps``.

    Returns
    -------
    str
        The sentence; empty where the command did its work.

    Raises
    ------
    AssertionError
        If it did something else, or did its work where the input is not ``usable``.
    """
    before = _listing(keeps)
    code, err = run(*args)
    if code == 0:
        assert usable, "a damaged input was taken"
        assert not [p for p in _listing(keeps) if ".partial" in p or ".tmp" in p]
        return ""
    assert code == 1, err
    lines = err.splitlines()
    sentences = [line for line in lines if line.startswith("irsql: ") and "into the cache" not in line]
    assert len(sentences) == 1, err
    assert "Traceback" not in err
    left = {name for name in _listing(keeps) - before if not name.endswith(".wal")}  # the log of a kept state
    assert not left, left
    return "\n".join(lines[lines.index(sentences[0]):]).removeprefix("irsql: ")


def _listing(folder: Path) -> set[str]:
    return {str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file()}


def reads(folder: Path) -> Sequence[object]:
    """The command that reads all files of a model folder in the least time."""
    return commands(folder)[0]


def commands(folder: Path) -> list[Sequence[object]]:
    """The commands that read a model folder."""
    out = folder.parent / "out"
    out.mkdir(exist_ok=True)
    return [("load", folder, "-o", out / "model.db", "--no-progress"),
            ("generate", folder, "a", "--max-new-tokens", 2),
            ("compile", folder, "-o", out / "scripts", "--prompt", "a")]  # fmt: skip


# -- damage --------------------------------------------------------------------------------------------
def damage_json(rng: random.Random, value: Any) -> Any:
    """A JSON value with one place changed: another value, a key or an item less, one twice, one more level."""
    if isinstance(value, dict) and value and rng.random() < 0.9:
        key = rng.choice(list(value))
        match rng.randrange(8):
            case 0:
                return {k: v for k, v in value.items() if k != key}
            case 1:
                return {**value, rng.choice(["", "é\0", "x" * 200, key.upper()]): value[key]}
            case 2:
                return {**value, key: rng.choice(VALUES)}
        return {**value, key: damage_json(rng, value[key])}
    if isinstance(value, list) and value and rng.random() < 0.9:
        at = rng.randrange(len(value))
        match rng.randrange(5):
            case 0:
                return value[:at] + value[at + 1:]
            case 1:
                return [*value, value[at]]
        return [*value[:at], damage_json(rng, value[at]), *value[at + 1:]]
    return [value] if rng.random() < 0.1 else rng.choice(VALUES)


def damage_bytes(rng: random.Random, data: bytes) -> bytes:
    """Bytes cut short, changed, removed, doubled or made up."""
    at = rng.randrange(len(data) + 1)
    end = min(len(data), at + rng.choice([1, 1, 2, 8, 100, 5000]))
    match rng.randrange(5):
        case 0:
            return data[:at]
        case 1:
            return data[:at] + rng.choice([b"\0", b"\xff", b"7", b'"']) * (end - at) + data[end:]
        case 2:
            return data[:at] + data[end:]
        case 3:
            return data[:end] + data[at:]
    return data[:at] + rng.choice([b"\0", b"\xff", b'"', b"{", b"[" * 3000, b"1e999", b"NaN", b"\xf0\x9f"]) + data[end:]


def dumps(value: Any) -> str:
    """JSON text; lone surrogates become escapes."""
    return json.dumps(value)


def rewrite_json(path: Path, change: Callable[[Any], Any]) -> None:
    """Change the content of a JSON file."""
    path.write_text(dumps(change(json.loads(path.read_text("utf-8")))), "utf-8")


def read_tensors(path: Path) -> tuple[dict[str, Any], bytes]:
    """Header and data of a safetensors file."""
    raw = path.read_bytes()
    length = struct.unpack("<Q", raw[:8])[0]
    return json.loads(raw[8:8 + length]), raw[8 + length:]


def write_tensors(path: Path, header: Any, data: bytes) -> None:
    """A safetensors file, whatever its header says."""
    text = header if isinstance(header, bytes) else dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + data)
