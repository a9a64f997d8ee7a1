"""Damaged files and texts: the commands refuse them with one sentence, or work, and leave nothing half-written."""

from __future__ import annotations

import json
import random
from collections.abc import Callable

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.fuzz.databases import change, damaged_databases, facts_of, set_fact
from tests.fuzz.files import (
    commands,
    damage_bytes,
    damage_json,
    damaged,
    dumps,
    read_tensors,
    reads,
    refused,
    rewrite_json,
    write_tensors,
)
from tests.fuzz.texts import PASSES, damage_text, diagnosed
from tests.fuzz.texts import dumps as ir_dumps

RANDOM = st.randoms(use_true_random=False)


def examples(count: int) -> settings:
    return settings(max_examples=count, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])


@examples(300)
@given(RANDOM)
def test_weights(rng: random.Random) -> None:
    with damaged() as folder:
        path = folder / "model.safetensors"
        if rng.random() < 0.6:
            header, data = read_tensors(path)
            write_tensors(path, damage_json(rng, header), data)
        else:
            path.write_bytes(damage_bytes(rng, path.read_bytes()))
        refused(*rng.choice(commands(folder)), keeps=folder.parent / "out")


@pytest.mark.parametrize("name", ["tokenizer.json", "generation_config.json", "tokenizer_config.json"])
@examples(150)
@given(RANDOM)
def test_small_files(name: str, rng: random.Random) -> None:
    with damaged() as folder:
        path = folder / name
        if rng.random() < 0.8:
            rewrite_json(path, lambda value: damage_json(rng, value))
        else:
            path.write_bytes(damage_bytes(rng, path.read_bytes()))
        refused(*rng.choice(commands(folder)), keeps=folder.parent / "out")


@examples(100)
@given(RANDOM)
def test_configuration(rng: random.Random) -> None:
    with damaged() as folder:
        path = folder / "config.json"
        if rng.random() < 0.8:
            rewrite_json(path, lambda value: damage_json(rng, value))
        else:
            path.write_bytes(damage_bytes(rng, path.read_bytes()))
        refused(*reads(folder), keeps=folder.parent / "out")


@examples(100)
@given(RANDOM)
def test_shards(rng: random.Random) -> None:
    with damaged() as folder:
        (folder / "model.safetensors").rename(folder / "a.safetensors")
        names = read_tensors(folder / "a.safetensors")[0]
        index = {"metadata": {"total_size": 1}, "weight_map": dict.fromkeys(names.keys() - {"__metadata__"},
                                                                            "a.safetensors")}
        (folder / "model.safetensors.index.json").write_text(dumps(damage_json(rng, index)), "utf-8")
        refused(*rng.choice(commands(folder)), keeps=folder.parent / "out")


COMMANDS: tuple[Callable[..., tuple[object, ...]], ...] = (
    lambda f: ("generate", f / "model.db", "a", "--max-new-tokens", 2, "--db", f / "state.db"),
    lambda f: ("compile", f / "model.db", "-o", f / "scripts"),
    lambda f: ("sequences", "list", f / "model.db", "--db", f / "state.db"),
)


@examples(200)
@given(RANDOM)
def test_databases(rng: random.Random) -> None:
    with damaged_databases() as folder:
        path = folder / rng.choice(["model.db", "state.db"])
        path.write_bytes(damage_bytes(rng, path.read_bytes()))
        refused(*rng.choice(COMMANDS)(folder), keeps=folder)


@examples(60)
@given(RANDOM)
def test_the_program_of_a_database(rng: random.Random) -> None:
    with damaged_databases() as folder:
        facts = facts_of(folder / "model.db")
        program = damage_json(rng, json.loads(facts["program"]))
        if dumps(program) != dumps(json.loads(facts["program"])):
            set_fact(folder / "model.db", "program", dumps(program))
            assert refused(*rng.choice(COMMANDS)(folder), keeps=folder)


@examples(60)
@given(RANDOM)
def test_tables_of_a_database(rng: random.Random) -> None:
    with damaged_databases() as folder:
        path = folder / rng.choice(["model.db", "state.db"])
        table = rng.choice(change(path, "SELECT table_name FROM duckdb_tables() ORDER BY 1"))[0]
        change(path, rng.choice([f'DELETE FROM "{table}"', f'CREATE OR REPLACE TABLE "{table}" (a VARCHAR)',
                                 f'DROP TABLE "{table}"']))  # fmt: skip
        for command in COMMANDS:
            refused(*command(folder), keeps=folder)


@examples(600)
@given(RANDOM)
def test_ir_texts(rng: random.Random) -> None:
    name = rng.choice(sorted(ir_dumps()))
    path = ir_dumps()[name]
    options = ("-p", PASSES[name.split()[-1]]) if rng.random() < 0.5 else ()
    diagnosed(damage_text(rng, path.read_text("utf-8")), path, *options)
