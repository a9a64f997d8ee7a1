"""Damaged model folders and databases: one sentence, exit code 1, and nothing left behind; `make fuzz` tries more."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.fuzz.databases import change, damaged_databases, facts_of, set_fact
from tests.fuzz.files import commands, damaged, read_tensors, reads, refused, rewrite_json, write_tensors
from tests.fuzz.texts import damage_text, diagnosed, dumps

NORM = "model.norm.weight"


def refuses(folder: Path, *, everywhere: bool = False) -> str:
    """What the commands say about a folder."""
    said = [refused(*c, keeps=folder.parent / "out", usable=False)
            for c in (commands(folder) if everywhere else [reads(folder)])]  # fmt: skip
    return said[0]


# -- weights -------------------------------------------------------------------------------------------
@pytest.mark.parametrize("keep", [0, 7, 8, 9, 100, -1, -33])
def test_weights_cut_short(keep: int) -> None:
    with damaged() as folder:
        path = folder / "model.safetensors"
        path.write_bytes(path.read_bytes()[:keep])
        assert "is not a valid safetensors file" in refuses(folder, everywhere=True)


HEADERS: dict[str, Callable[[dict[str, Any]], Any]] = {
    "a tensor is missing": lambda h: {k: v for k, v in h.items() if k != NORM},
    "another name": lambda h: {"é\0\"'" * 50 if k == NORM else k: v for k, v in h.items()},
    "another shape": lambda h: {**h, NORM: {**h[NORM], "shape": [2, 4]}},
    "another type": lambda h: {**h, NORM: {**h[NORM], "dtype": "I32"}},
    "an unknown type": lambda h: {**h, NORM: {**h[NORM], "dtype": "F31"}},
    "a type of a list": lambda h: {**h, NORM: {**h[NORM], "dtype": [1]}},
    "negative offsets": lambda h: {**h, NORM: {**h[NORM], "data_offsets": [-32, 0]}},
    "offsets out of the file": lambda h: {**h, NORM: {**h[NORM], "data_offsets": [2**40, 2**40 + 32]}},
    "offsets the wrong way": lambda h: {**h, NORM: {**h[NORM], "data_offsets": h[NORM]["data_offsets"][::-1]}},
    "overlapping": lambda h: {**h, "x": h[NORM]},
    "a huge shape": lambda h: {**h, NORM: {**h[NORM], "shape": [2**62, 2**62]}},
    "no object": lambda h: [h],
    "no JSON": lambda h: b"\xff\xfe{",
    "deep": lambda h: b"[" * 100_000,
    "a key twice": lambda h: b'{"a": 1, "a": 1}',
}


@pytest.mark.parametrize("name", HEADERS)
def test_headers_of_weights(name: str) -> None:
    with damaged() as folder:
        header, data = read_tensors(folder / "model.safetensors")
        write_tensors(folder / "model.safetensors", HEADERS[name](header), data)
        assert refuses(folder)


def test_tensors_that_no_model_needs_do_no_harm() -> None:
    with damaged() as folder:
        header, data = read_tensors(folder / "model.safetensors")
        more = {"é\0\"'" * 50: {"dtype": "I64", "shape": [1], "data_offsets": [len(data), len(data) + 8]}}
        write_tensors(folder / "model.safetensors", {**header, **more}, data + bytes(8))
        assert refused(*reads(folder), keeps=folder.parent / "out") == ""


@pytest.mark.parametrize("file", ["../model.safetensors", "/etc/passwd", "", 3, "none.safetensors", "config.json",
                                  "model.safetensors.index.json"])  # fmt: skip
def test_an_index_that_points_elsewhere(file: object) -> None:
    with damaged() as folder:
        index = {"weight_map": {NORM: file}}
        (folder / "model.safetensors.index.json").write_text(json.dumps(index))
        assert refuses(folder)


def test_a_link_to_itself() -> None:
    with damaged() as folder:
        (folder / "model.safetensors").unlink()
        (folder / "model.safetensors").symlink_to("model.safetensors")
        assert refuses(folder)


# -- configurations ------------------------------------------------------------------------------------
@pytest.mark.parametrize(("key", "value", "said"), [
    ("architectures", [[]], "architectures of the configuration are no list of names"),
    ("architectures", 3, "architectures"), ("architectures", ["Nothing"], "names no causal language model"),
    ("model_type", None, "names no model_type"), ("model_type", "nothing", "cannot be read"),
    ("hidden_size", "8", "cannot be read"), ("hidden_size", -8, ""), ("hidden_size", 0, ""), ("hidden_size", 2**31, ""),
    ("num_attention_heads", 3, ""), ("num_attention_heads", 0, ""), ("num_key_value_heads", 0, ""),
    ("num_hidden_layers", 2**31, "more than the 1000 that can be compiled"), ("num_hidden_layers", 0, "no layers"),
    ("head_dim", 2**31, "too large to be compiled"), ("vocab_size", 2**40, "too large to be compiled"),
    ("max_position_embeddings", 1, "at least 2 tokens must fit"), ("max_position_embeddings", -5, ""),
    ("hidden_act", "nothing", ""), ("rope_parameters", {"rope_type": "nothing"}, ""),
])  # fmt: skip
def test_configurations(key: str, value: object, said: str) -> None:
    with damaged() as folder:
        rewrite_json(folder / "config.json", lambda config: {**config, key: value})
        assert said in refuses(folder)


@pytest.mark.parametrize("text", [b"", b"{", b"\xff\xfe", b"[]", b"null", b"{" * 5000, b'{"a": "\\ud800"}'])
@pytest.mark.parametrize("name", ["config.json", "generation_config.json", "tokenizer_config.json", "tokenizer.json"])
def test_broken_json(name: str, text: bytes) -> None:
    with damaged() as folder:
        (folder / name).write_bytes(text)
        assert refuses(folder, everywhere=True)


@pytest.mark.parametrize("content", [
    {"eos_token_id": 2**70}, {"eos_token_id": True}, {"eos_token_id": -1}, {"top_k": float("nan")},
    {"top_k": float("inf")}, {"temperature": 10**400}, {"do_sample": True, "temperature": -1},
])  # fmt: skip
def test_generation_settings(content: dict[str, Any]) -> None:
    with damaged() as folder:
        (folder / "generation_config.json").write_text(json.dumps(content))
        assert refused(*commands(folder)[1], keeps=folder.parent / "out", usable=False)
        assert refused(*commands(folder)[2], keeps=folder.parent / "out", usable=False)


def test_scripts_are_written_whole_or_not_at_all() -> None:
    """Without a prompt the tokenizer is read last; scripts were there by then."""
    with damaged() as folder:
        (folder / "tokenizer.json").write_text("{}")
        out = folder.parent / "out"
        assert refused("compile", folder, "-o", out / "scripts", keeps=out, usable=False)
        assert not (out / "scripts").exists()


# -- databases -----------------------------------------------------------------------------------------
GENERATE = ("a", "--max-new-tokens", 2)


def refuses_databases(folder: Path) -> str:
    """What generating says about a model and a state."""
    return refused("generate", folder / "model.db", *GENERATE, "--db", folder / "state.db", keeps=folder, usable=False)


@pytest.mark.parametrize(("name", "content"), [
    ("model.db", b""), ("model.db", b"x" * 5000), ("state.db", b"x" * 5000), ("state.db", b"\0" * 20_000),
])  # fmt: skip
def test_no_database(name: str, content: bytes) -> None:
    with damaged_databases() as folder:
        (folder / name).write_bytes(content)
        assert refuses_databases(folder)


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
@pytest.mark.parametrize("name", ["model.db", "state.db"])
def test_databases_cut_short(name: str, share: float) -> None:
    with damaged_databases() as folder:
        data = (folder / name).read_bytes()
        (folder / name).write_bytes(data[:int(len(data) * share)])
        assert refuses_databases(folder)


@pytest.mark.parametrize("value", ["", "{", "[]", "null", "3", None])
@pytest.mark.parametrize("key", ["format", "program", "config", "generation_config", "tokenizer", "digest"])
def test_facts_of_a_model(key: str, value: str | None) -> None:
    with damaged_databases() as folder:
        set_fact(folder / "model.db", key, value)
        assert refuses_databases(folder)


def test_a_program_that_is_not_whole() -> None:
    with damaged_databases() as folder:
        program = json.loads(facts_of(folder / "model.db")["program"])
        del program["functions"]
        set_fact(folder / "model.db", "program", json.dumps(program))
        assert "a compiled program that is not whole" in refuses_databases(folder)


@pytest.mark.parametrize(("name", "statement"), [
    ("model.db", "DELETE FROM irsql_vocabulary"), ("model.db", "DROP TABLE irsql_vocabulary"),
    ("model.db", "DELETE FROM stored_w"), ("model.db", "DROP TABLE stored_w"),
    ("model.db", "DROP TABLE irsql_meta"), ("model.db", "INSERT INTO irsql_meta VALUES (NULL, NULL)"),
    ("state.db", "DROP TABLE irsql_sequence"),
    ("state.db", "DELETE FROM irsql_sequence"), ("state.db", "CREATE OR REPLACE TABLE irsql_token (a INT)"),
    ("state.db", "DROP TABLE irsql_meta"), ("state.db", "UPDATE irsql_meta SET value = '0' WHERE key = 'format'"),
])  # fmt: skip
def test_tables_of_databases(name: str, statement: str) -> None:
    with damaged_databases() as folder:
        change(folder / name, statement)
        assert refuses_databases(folder)
        refused("sequences", "list", folder / "model.db", "--db", folder / "state.db", keeps=folder)


# -- IR ------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("seed", range(20))
def test_damaged_dumps(seed: int) -> None:
    rng = random.Random(seed)
    path = dumps()[rng.choice([name for name in sorted(dumps()) if name.startswith("mlp")])]
    diagnosed(damage_text(rng, path.read_text("utf-8")), path)
