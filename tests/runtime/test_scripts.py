"""Scripts in the engines' own shells: from ids to text, as the driver does it."""

from __future__ import annotations

import json
from pathlib import Path

import attrs
import pytest

from irsql.frontend.checkpoint import Checkpoint
from irsql.ir.target import Target
from irsql.runtime import scripts
from irsql.runtime.errors import UserError
from irsql.runtime.generate import generate
from irsql.runtime.session import Model
from irsql.runtime.settings import Settings
from irsql.targets import base
from irsql.targets.control import SEQUENCE, STATE, TOKEN
from irsql.targets.duckdb import SPEED, set_sql
from irsql.targets.duckdb_tables import DUCKDB
from irsql.targets.shell import WEIGHTS
from tests.models.shells import Scripts
from tests.models.targets import TARGETS
from tests.runtime import toy

IDS = "SELECT id FROM state.irsql_token ORDER BY pos"


def written(path: Path, out: Path, run: scripts.Run) -> Scripts:
    """The scripts of a loaded model, and its engine's shell in their folder."""
    return Scripts(out, write(path, out, run))


def write(path: Path, out: Path, run: scripts.Run) -> str:
    with Model.open(path) as model:
        scripts.write(model.program, out, attrs.evolve(run, has_text=model.has_tokenizer), scripts.from_database(model))
        return model.program.target


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("settings", [Settings(), Settings(temperature=1, seed=3)], ids=["greedy", "sampled"])
def test_they_give_what_the_driver_gives(target: str, settings: Settings, tmp_path: Path) -> None:
    path = toy.database(tmp_path / "toy", target=target)
    shell = written(path, tmp_path / "scripts", scripts.Run((1, 5), 7, settings))
    chosen = attrs.asdict(settings)
    with Model.open(path) as model:
        drawn = generate(model, prompt_ids=[1, 5], max_new_tokens=8, stop_ids=[], **chosen)
        ids = [1, 5, *(piece.id for piece in drawn)]
    want = ids[:-1]
    assert shell.script("load.sql") == ""
    shell.script("run.sql")
    assert shell.query(IDS) == [str(i) for i in want]
    assert shell.query(IDS, "decode.sql") == [str(i) for i in want]  # all have stopped
    with Model.open(shell.model, state=shell.state) as model:  # what the shell left is the driver's
        assert [piece.id for piece in generate(model, resume=0, max_new_tokens=1, stop_ids=[])] == ids[-1:]
    manifest = json.loads((shell.folder / "manifest.json").read_text())
    assert (manifest["target"], manifest["weights"]) == (target, True)
    assert manifest["functions"]["decode"]["statements"][0]["scope"] == "layers.0"
    assert all((shell.folder / table["file"]).is_file() for table in manifest["stored"])


@pytest.mark.parametrize("target", TARGETS)
def test_text(target: str, tmp_path: Path) -> None:
    """Characters of two tokens and words of several letters; special tokens have none."""
    shell = written(toy.database(tmp_path / "toy", target=target), tmp_path / "scripts", scripts.Run((1,)))
    shell.script("load.sql")
    c, words = shell.words.control, toy.tokenizer().encode("the é, the\n€").ids
    special = toy.tokenizer().token_to_id("<bos>")
    assert special is not None
    ids = [5, *words[:2], special, *words[2:]]
    rows = [c.insert_rows(SEQUENCE, ("seq", "prompt_length"), [(7, 1)], STATE),
            c.insert_rows(TOKEN, ("seq", "pos", "id"), [(7, pos, i) for pos, i in reversed([*enumerate(ids)])], STATE)]
    lines = [*shell.words.plain, shell.words.include("schema.sql"), *(f"{s};" for s in rows)]
    assert shell("\n".join([*lines, "SELECT seq, text FROM irsql_text;"])) == "7|the é, the\n€\n"


@pytest.mark.parametrize("target", ["duckdb", "postgres"])
def test_a_text_that_ends_within_a_character(target: str, tmp_path: Path) -> None:
    """Its bytes are shown escaped."""
    shell = written(toy.database(tmp_path / "toy", target=target), tmp_path / "scripts", scripts.Run((1,)))
    shell.script("load.sql")
    c, ids = shell.words.control, toy.tokenizer().encode('a"\\é\n€').ids[:-1]
    rows = [c.insert_rows(SEQUENCE, ("seq", "prompt_length"), [(7, 0)], STATE),
            c.insert_rows(TOKEN, ("seq", "pos", "id"), [(7, pos, i) for pos, i in enumerate(ids)], STATE)]  # fmt: skip
    lines = [*shell.words.plain, shell.words.include("schema.sql"), *(f"{s};" for s in rows)]
    want = r"7|a\x22\x5C\xC3\xA9\x0A\xE2\x82" + "\n"
    assert shell("\n".join([*lines, "SELECT seq, text FROM irsql_text;"])) == want


@pytest.mark.parametrize("catalog", ["model", "state"])
def test_a_schema_of_something_else_is_left_alone(catalog: str, tmp_path: Path) -> None:
    shell = written(toy.database(tmp_path / "toy", target="postgres"), tmp_path / "scripts", scripts.Run((1,)))
    mine = f"CREATE SCHEMA {catalog}; CREATE TABLE {catalog}.mine AS SELECT 1 AS x;"
    if catalog == "state":
        shell.script("load.sql")
    shell(mine)
    shell.script("load.sql" if catalog == "model" else "run.sql", f"the schema {catalog} holds something else")
    assert shell(f"\\pset tuples_only on\nSELECT x FROM {catalog}.mine;").split() == ["1"]


@pytest.mark.parametrize("target", TARGETS)
def test_ids_without_a_tokenizer(target: str, tmp_path: Path) -> None:
    path = toy.database(tmp_path / "toy", target=target, with_tokenizer=False)
    shell = written(path, tmp_path / "scripts", scripts.Run((1, 5), 5))
    shell.script("load.sql")
    assert shell.script("run.sql") == "0|" + " ".join(map(str, toy.expected([1, 5], 5))) + "\n"


@pytest.mark.parametrize("target", TARGETS)
def test_another_model_is_noticed(target: str, tmp_path: Path) -> None:
    """Compiling into the same folder again never runs old weights, nor goes on from a state of theirs."""
    first, second = (toy.database(tmp_path / str(rows), rows, target) for rows in (6, 7))
    run = scripts.Run((1, 5), 3)
    shell = written(first, tmp_path / "scripts", run)
    shell.script("run.sql", shell.words.model_place)  # not loaded yet
    shell.script("load.sql")
    shell.script("run.sql")
    write(second, shell.folder, run)
    shell.script("run.sql", f"{shell.words.model_place} does not hold the model of these scripts, or not all of it: "
                            "run load.sql again")  # fmt: skip
    stored = shell.folder / WEIGHTS / shell.words.weights_file("stored_w")
    stored.rename(shell.folder / "w")
    shell.script("load.sql", "No files found" if target == "duckdb" else stored.name)
    shell.script("run.sql", "run load.sql again")
    (shell.folder / "w").rename(stored)
    shell.script("load.sql")
    shell.script("run.sql", f"{shell.words.state_place} holds sequences of another model: move it away")
    shell.forget()
    shell.script("run.sql")
    assert [int(i) for i in shell.query(f"{IDS} LIMIT 9")][2:] == toy.expected([1, 5], 3, 7)


@pytest.mark.parametrize("target", TARGETS)
def test_a_prompt_that_cannot_be(target: str, tmp_path: Path) -> None:
    """The sentence ends the script, and the state is as before."""
    path = toy.database(tmp_path / "toy", target=target)
    shell = written(path, tmp_path / "scripts", scripts.Run((1, toy.VOCAB), 3))
    shell.script("load.sql")
    shell.script("run.sql", "irsql_prompt has an id that is no token of the model")
    assert shell.query(IDS) == []


@pytest.mark.parametrize("target", TARGETS)
def test_from_a_checkpoint(target: str, tmp_path: Path) -> None:
    """The same tables as from a loaded database."""
    path = toy.database(tmp_path / "toy", target=target)
    program = toy.program(target=target)
    checkpoint = Checkpoint.open(tmp_path / "toy" / "toy")
    scripts.write(program, tmp_path / "a", scripts.Run((1, 5), 3), scripts.from_checkpoint(program, checkpoint))
    shell = Scripts(tmp_path / "a", target)
    shell.script("load.sql")
    with Model.open(path) as loaded, Model.open(shell.model) as scripted:
        for (spec, a), (_, b) in zip(scripts.from_database(loaded).tables, scripts.from_database(scripted).tables,
                                     strict=True):  # fmt: skip
            assert [t.to_pylist() for t in a] == [t.to_pylist() for t in b], spec.name


def test_scripts_of_duckdb_have_the_settings_of_its_driver(tmp_path: Path) -> None:
    written(toy.database(tmp_path / "toy"), tmp_path / "scripts", scripts.Run((1, 5), 3))
    text = "".join(path.read_text("utf-8") for path in (tmp_path / "scripts").glob("*.sql"))
    for option, value in SPEED:
        assert set_sql(option, value) in text


def test_a_target_without_a_shell(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(base, "backend", lambda name: attrs.evolve(DUCKDB, target=Target(name=name), shell=""))
    with pytest.raises(UserError, match="irsql writes no scripts for the target 'mine': it names no shell: use irsql"):
        scripts.check_target("mine")
