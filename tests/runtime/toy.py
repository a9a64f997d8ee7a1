"""A language model small enough to know by heart, as a hand-written program.

The next token after ``ids`` is ``(3 · Σ ids + Σ w) mod V`` with a weight ``w`` of one's own choice, so a wrong state, a
wrong weight or a lost token each give other text. At a temperature the token is ``seed + 7 · position + stream mod V``.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import save_file
from tokenizers import Tokenizer, decoders, models, pre_tokenizers

from irsql.frontend.checkpoint import Checkpoint
from irsql.runtime.load import load
from irsql.targets.base import backend
from irsql.targets.control import empties
from irsql.targets.program import Column, Function, LoadStep, Part, Program, Statement, Stored, TableSpec

VOCAB = 300
CONTEXT = 64
I64 = "i64"


def spec(
    name: str,
    source: str,
    keys: Sequence[str],
    extents: Sequence[int | str],
    dtype: str = "f32",
    values: Sequence[Column] | None = None,
    parts: Sequence[Part] = (),
) -> TableSpec:
    return TableSpec(
        name,
        source,
        tuple(Column(k, I64) for k in keys),
        tuple(values or (Column("v", dtype),)),
        tuple(extents),
        tuple(parts),
        dtype,
    )


def _fill(target: str, table: str, query: str) -> str:
    """What fills a step table, as the target's own programs do."""
    if empties(backend(target).target):
        return f'INSERT INTO "{table}" {query}'
    return f'CREATE OR REPLACE TEMP TABLE "{table}" AS {query}'


_SUMS = {"list": 'list_sum("v")', "vector": """inner_product("v", '[1,1,1,1]')"""}
"""The sum of a lane, by what carries it."""


def _has_lanes(target: str) -> bool:
    return "list" in backend(target).target.layout.carriers


def _function(name: str, target: str) -> Function:
    ids = spec(f"{name}_in_ids", "ids", ("b", "s"), ("B", "S"), I64)
    positions = spec(f"{name}_in_positions", "positions", ("b", "s"), ("B", "S"), I64)
    last = spec(f"{name}_in_last", "last", ("b",), ("B",), I64)
    state = spec("state_kv", "kv", ("b", "t"), ("B", "T"), I64)
    logits = spec(f"{name}_logits", "logits", ("b", "i1"), ("B", VOCAB))
    columns = '"v_0" + "v_1" + "v_2" + "v_3"'
    total = _SUMS[backend(target).target.layout.carriers[0]] if _has_lanes(target) else columns
    append = f"""INSERT INTO "state"."state_kv" ("b", "t", "v") SELECT i."b", p."v", i."v"
                 FROM "{name}_in_ids" AS i JOIN "{name}_in_positions" AS p ON i."b" = p."b" AND i."s" = p."s" """
    head = f"""SELECT l."b" AS "b", w."id" AS "i1", CAST(-abs(w."id" - x."n") AS FLOAT) AS "v"
               FROM "{name}_in_last" AS l JOIN (SELECT k."b", (3 * CAST(sum(k."v") AS BIGINT) + (SELECT
               CAST(sum({total}) AS BIGINT) FROM "model"."stored_w")) % {VOCAB} AS "n"
               FROM "state"."seen_state_kv" AS k
               GROUP BY k."b") AS x ON x."b" = l."b" CROSS JOIN "model"."irsql_vocabulary" AS w"""
    statements = (
        Statement(append, "append", "state_kv", "layers.0"),
        Statement(_fill(target, logits.name, head), "step", logits.name, "head"),
    )
    made = (logits,) if empties(backend(target).target) else ()
    return Function(name, (ids, positions, last), (state,), made, (logits,), statements, (), {"S": (1, CONTEXT)})


def _sample(target: str) -> Function:
    """Does what each of the program's three functions does, filters left out."""
    inputs = [spec("sample_in_logits", "logits", ("b", "i1"), ("B", VOCAB))]
    inputs += [spec(f"sample_in_{s}", s, ("b",), ("B",), "f64" if s == "temperature" else I64)
               for s in ("temperature", "seed", "sequence", "position")]  # fmt: skip
    draw = f"""SELECT g."b" AS "b", CAST(CASE WHEN t."v" = 0
               THEN g."v" ELSE (s."v" + 7 * p."v" + q."v") % {VOCAB} END AS BIGINT) AS "v"
               FROM (SELECT a."b" AS "b", min(a."i1") AS "v" FROM "sample_in_logits" AS a JOIN (SELECT "b", max("v")
               AS "v" FROM "sample_in_logits" GROUP BY "b") AS m ON a."b" = m."b" AND a."v" = m."v" GROUP BY a."b")
               AS g JOIN "sample_in_temperature" AS t ON t."b" = g."b"
               JOIN "sample_in_seed" AS s ON s."b" = g."b" JOIN "sample_in_position" AS p ON p."b" = g."b"
               JOIN "sample_in_sequence" AS q ON q."b" = g."b" """
    out = spec("sample_ids", "ids", ("b",), ("B",), I64)
    made = (out,) if empties(backend(target).target) else ()
    statement = Statement(_fill(target, out.name, draw), "output", out.name, "")
    return Function("sample", tuple(inputs), (), made, (out,), (statement,), (), {})


def program(rows: int = 6, text_hash: str = "toy", target: str = "duckdb") -> Program:
    """The program; its one weight has ``rows`` rows of 4, in a lane or, where there are none, in columns."""
    lanes = _has_lanes(target)
    parts = (Part(0, "row", rows, 1, "i0"), Part(1, "lane" if lanes else "column", 4, 1, ""))
    values = (Column("v", "f32[4]"),) if lanes else tuple(Column(f"v_{n}", "f32") for n in range(4))
    table = spec("stored_w", "w", ("i0",), (rows, 4), values=values, parts=parts)
    samplers = dict.fromkeys(("greedy", "sample", "sample_filtered"), _sample(target))
    functions = {"prefill": _function("prefill", target), "decode": _function("decode", target), **samplers}
    meta = {"vocab": VOCAB, "context": CONTEXT, "shapes": {"w": [rows, 4]}, "capture": "fused"}
    stored = (Stored(table, (LoadStep("parameter", "w"),)),)
    return Program(target, backend(target).target.version, functions, stored, "dims", text_hash, meta)


def weight(rows: int = 6) -> np.ndarray[Any, Any]:
    return np.tile(np.array([0.5, 1.5, 0.75, 1.25], np.float32), (rows, 1))


def tokenizer() -> Tokenizer:
    """Every byte is a token, ``é`` and two words of three letters too, and two special ones."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocab = {c: i for i, c in enumerate(alphabet)}
    merges: list[tuple[str, str]] = []
    for a, b in (("Ã", "©"), ("t", "h"), ("th", "e"), ("Ġ", "the")):
        vocab[a + b] = len(vocab)
        merges.append((a, b))
    out = Tokenizer(models.BPE(vocab, merges))
    out.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    out.decoder = decoders.ByteLevel()
    out.add_special_tokens(["<bos>", "<eos>"])
    return out


def folder(path: Path, rows: int = 6, with_tokenizer: bool = True, generation: dict[str, Any] | None = None) -> Path:
    """A model folder in Hugging Face's layout."""
    path.mkdir(parents=True, exist_ok=True)
    save_file({"w": weight(rows)}, path / "model.safetensors")
    (path / "config.json").write_text(json.dumps({"eos_token_id": 299}))
    (path / "generation_config.json").write_text(json.dumps(generation or {}))
    if with_tokenizer:
        tokenizer().save(str(path / "tokenizer.json"))
    return path


def database(path: Path, rows: int = 6, target: str = "duckdb", **options: Any) -> Path:
    """A loaded toy model at ``path / "toy.db"``."""
    source = folder(path / "toy", rows, **options)
    return Path(load(program(rows, target=target), Checkpoint.open(source), path / "toy.db", progress=False))


def expected(prompt: Sequence[int], count: int, rows: int = 6) -> list[int]:
    """The greedy continuation."""
    ids = list(prompt)
    for _ in range(count):
        ids.append((3 * sum(ids) + 4 * rows) % VOCAB)
    return ids[len(prompt) :]
