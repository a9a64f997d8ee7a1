"""``irsql explain``: what it says of rows, bytes and reads is so."""

from __future__ import annotations

import json
from pathlib import Path

import attrs
import pyarrow as pa
import pytest
from sqlglot import exp, parse_one

from irsql.runtime.session import Model
from irsql.targets import explain
from irsql.targets.control import MODEL
from irsql.targets.program import Column, Part, Program, TableSpec
from irsql.targets.tables import to_arrow
from irsql.tools import cli, explain_command
from tests.docs.pages import ROOT

DEMO = ROOT / "irsql" / "data" / "demo"


def run(*args: object) -> int:
    with pytest.raises(SystemExit) as stop:
        cli.main([str(a) for a in args])
    return stop.value.code if isinstance(stop.value.code, int) else 0


@pytest.fixture(scope="module")
def loaded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("explain") / "demo.db"
    assert run("load", DEMO, "-o", path) == 0
    return path


@pytest.fixture(scope="module")
def program(loaded: Path) -> Program:
    with Model.open(loaded) as model:
        return model.program


def test_stored_tables_have_the_rows_it_says(loaded: Path) -> None:
    with Model.open(loaded) as model:
        for stored in model.program.stored:
            read = model.db.read(stored.table, MODEL)
            found = explain.size(stored.table)
            assert (found.rows, found.symbols) == (read.num_rows, ())
            chunks = [chunk for c in read.columns for chunk in c.chunks]
            flat = [c.flatten() if pa.types.is_nested(c.type) else c for c in chunks]
            assert found.bytes == sum(len(c) * c.type.bit_width // 8 for c in flat)


def test_the_size_of_padded_and_symbolic_layouts() -> None:
    import numpy as np

    parts = (Part(0, "row", 5, 1, "i0"), Part(1, "row", 3, 4, "i1"), Part(1, "lane", 4, 1, ""))
    keys = (Column("i0", "i64"), Column("i1", "i64"))
    spec = TableSpec("t", "t", keys, (Column("v", "f32[4]"),), (5, 10), parts, "f32")
    assert explain.size(spec) == explain.Size(15, (), 16 + 16)
    assert to_arrow(spec, np.zeros((5, 10), dtype=np.float32)).num_rows == 15
    rows = TableSpec("t", "t", keys, (Column("v", "f32"),), ("S", 7), (), "f32")
    assert explain.size(rows) == explain.Size(7, ("S",), 20)
    assert explain.text_of(explain.size(rows)) == "S·7"


@pytest.mark.parametrize("name", ["prefill", "decode", "sample_filtered"])
def test_reads_are_the_tables_in_the_statements(program: Program, name: str) -> None:
    for statement in program.functions[name].statements:
        tree = parse_one(statement.sql, dialect="duckdb")
        schema = tree.find(exp.Schema)
        written = schema.this if schema else tree.this
        ctes = {c.alias for c in tree.find_all(exp.CTE)}
        seen = {t.name for t in tree.find_all(exp.Table) if t is not written and t.name not in ctes}
        assert set(statement.reads) == seen - {"dims"}


def test_pretty_sql_means_the_same(program: Program) -> None:
    for statement in program.functions["decode"].statements:
        assert parse_one(explain.pretty(statement.sql, "duckdb"), dialect="duckdb") == parse_one(
            statement.sql, dialect="duckdb")  # fmt: skip


def test_every_statement_is_in_one_layer(program: Program) -> None:
    function = program.functions["decode"]
    layers = explain.explain(program, function)
    assert [s.number for layer in layers for s in layer.steps] == list(range(1, len(function.statements) + 1))
    assert [layer.path for layer in layers if "layers" in layer.path] == [f"model.layers.{i}" for i in range(4)]
    # what a statement reads has been made before it
    assert all(number < s.number for layer in layers for s in layer.steps for _, number in s.made)


def test_overview_and_layer(loaded: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("explain", loaded) == 0
    overview = capsys.readouterr().out
    assert "LlamaForCausalLM, 4 layers, context 512, compiled for duckdb" in overview
    assert "model.layers.0 … 2, each" in overview
    assert run("explain", loaded, "--layer", "model.layers.1", "--sql") == 0
    layer = capsys.readouterr().out
    assert "kv.1.k" in layer
    assert "kv.0.k" not in layer
    assert "mlp.down_proj.weight" in layer
    assert 'CREATE OR REPLACE TEMPORARY TABLE "decode_model_layers_1_add_3" AS' in layer


def test_a_module_within_a_layer(loaded: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("explain", loaded, "--layer", "model.layers.1.self_attn") == 0
    shown = capsys.readouterr().out
    assert "q_proj.weight" in shown
    assert "mlp" not in shown


def test_json(loaded: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("explain", loaded, "--function", "prefill", "--json") == 0
    found = json.loads(capsys.readouterr().out)
    assert found["function"] == "prefill"
    assert sum(t["rows"] for t in found["stored"]) > 1000
    assert all(s["sql"] for layer in found["layers"] for s in layer["statements"])


@pytest.mark.parametrize(("options", "problem"), [
    (["--layer", "model.layers.9"], "no layer is called 'model.layers.9'; there are model.embed_tokens"),
    (["--layer", "model.layers.1.mlp"],
     "no statement is of 'model.layers.1.mlp' alone: --layer model.layers.1 shows those of its layer"),
    (["--function", "train"], "the model has no function 'train'; there are prefill, decode"),
])  # fmt: skip
def test_what_is_not_there(loaded: Path, options: list[str], problem: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("explain", loaded, *options) == 1
    assert problem in capsys.readouterr().err


def test_a_folder_needs_no_weights(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "config.json").write_text((DEMO / "config.json").read_text())
    assert run("explain", folder) == 0
    assert "18 stored tables" in capsys.readouterr().out
    assert run("explain", folder, "--target", "pgvector") == 0
    assert "compiled for pgvector" in capsys.readouterr().out
    assert run("explain", folder, "--target", "oracle") == 1
    assert "unknown target" in capsys.readouterr().err
    assert run("explain", tmp_path / "none") == 1
    assert "there is no" in capsys.readouterr().err


def test_names_are_no_markup(program: Program, capsys: pytest.CaptureFixture[str]) -> None:
    name, odd = "model.layers.0", "model.[/b][red]:smile:\x1b"
    decode = program.functions["decode"]
    statements = tuple(attrs.evolve(s, scope=s.scope.replace(name, odd)) for s in decode.statements)
    changed = attrs.evolve(program, functions={"decode": attrs.evolve(decode, statements=statements)})
    explain_command.show(changed, "decode", None, with_sql=False)
    explain_command.show(changed, "decode", odd, with_sql=True)
    out = capsys.readouterr().out
    assert out.count("model.[/b][red]:smile:\\x1b") >= 3
    assert "\x1b" not in out
