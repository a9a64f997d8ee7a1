"""The commands on a SQLite database: what they do on DuckDB, or one sentence."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from irsql.tools import cli
from tests.models.llamas import llama_config, random_llama, save_llama
from tests.models.shells import Scripts

PROMPT = ("--prompt-ids", "5,9,2", "--max-new-tokens", "8")


def run(*words: str, code: int = 0) -> None:
    with pytest.raises(SystemExit) as end:
        cli.main(words)
    assert end.value.code == code


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    model = random_llama(llama_config(num_hidden_layers=1))
    return save_llama(model, tmp_path_factory.mktemp("llama") / "model")


@pytest.fixture(scope="module")
def databases(folder: Path) -> dict[str, Path]:
    out = {name: folder.parent / f"{name}.db" for name in ("duckdb", "sqlite")}
    for name, path in out.items():
        run("load", str(folder), "-o", str(path), "--target", name)
    return out


def test_both_engines_generate_the_same(databases: dict[str, Path], capsys: pytest.CaptureFixture[str],
                                        tmp_path: Path) -> None:
    assert databases["sqlite"].read_bytes().startswith(b"SQLite format 3\0")
    for options in ((), ("--temperature", "0.9", "--seed", "3", "--top-p", "0.9", "--repetition-penalty", "1.2")):
        shown = []
        for name, path in databases.items():
            run("generate", str(path), *PROMPT, *options, "--db", str(tmp_path / f"{name}{len(options)}"))
            shown.append(capsys.readouterr().out.split())
        assert shown[0] == shown[1]
        assert len(shown[0]) == 8


@pytest.mark.parametrize("options", [(), ("--temperature", "0.9", "--seed", "3", "--top-p", "0.9")],
                         ids=["greedy", "sampled"])  # fmt: skip
def test_scripts(options: tuple[str, ...], databases: dict[str, Path], folder: Path, tmp_path: Path,
                 capsys: pytest.CaptureFixture[str]) -> None:  # fmt: skip
    """A whole model in SQLite's own shell, compiled from its folder or its database."""
    run("generate", str(databases["sqlite"]), *PROMPT, *options)
    want = capsys.readouterr().out
    source = (str(databases["sqlite"]),) if options else (str(folder), "--target", "sqlite")
    run("compile", *source, "-o", str(tmp_path / "s"), *PROMPT, *options)
    scripts = Scripts(tmp_path / "s", "sqlite")
    scripts.script("load.sql")
    assert scripts.script("run.sql") == f"0|{' '.join(want.split())}\n"


def test_what_it_has_become(databases: dict[str, Path], capsys: pytest.CaptureFixture[str]) -> None:
    run("explain", str(databases["sqlite"]), "--sql")
    shown = capsys.readouterr().out
    assert "INSERT INTO" in shown
    assert "CREATE" not in shown


@pytest.mark.parametrize(("words", "problem"), [
    (("compile", "{sqlite}", "-o", "{out}", "--target", "duckdb"), "was compiled for the target 'sqlite'"),
    (("generate", "{sqlite}", *PROMPT, "--target", "duckdb"), "was compiled for the target 'sqlite'"),
    (("generate", "{sqlite}", *PROMPT, "--threads", "2"), "SQLite runs on one thread, not on 2"),
    (("generate", "{sqlite}", *PROMPT, "--db", "{duckdb}"), "is not a SQLite database"),
    (("generate", "{duckdb}", *PROMPT, "--db", "{sqlite}"), "cannot be opened|is not a DuckDB database"),
    (("load", "{folder}", "-o", "{sqlite}", "--target", "sqlite"), "exists already: give --force"),
])  # fmt: skip
def test_one_sentence(words: tuple[str, ...], problem: str, databases: dict[str, Path], folder: Path, tmp_path: Path,
                      capsys: pytest.CaptureFixture[str]) -> None:  # fmt: skip
    places = {"folder": str(folder), "out": str(tmp_path / "out"), **{k: str(v) for k, v in databases.items()}}
    run(*(word.format(**places) for word in words), code=1)
    error = capsys.readouterr().err
    assert "Traceback" not in error
    assert any(part in error for part in problem.split("|")), error
    assert not (tmp_path / "out").exists()


LOAD = """
import os, signal, sys
from irsql.targets.sqlite import SQLite
from irsql.tools import cli

name = sys.argv.pop(1)
owner = {"insert": SQLite, "detach": SQLite, "publish": SQLite}[name]
setattr(owner, name, lambda *_: os.kill(os.getpid(), signal.SIGKILL))
cli.main(sys.argv[1:])
"""


@pytest.mark.parametrize("moment", ["insert", "publish"])
def test_killed_while_loading(moment: str, folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "x.db"
    words = ["load", str(folder), "-o", str(path), "--target", "sqlite"]
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    done = subprocess.run([sys.executable, "-c", LOAD, moment, *words], check=False, env=environment)
    assert done.returncode == -signal.SIGKILL
    assert [p.name for p in tmp_path.iterdir()] == ["x.db.partial"]
    run(*words)
    assert "was interrupted; starting again" in capsys.readouterr().err
    assert [p.name for p in tmp_path.iterdir()] == ["x.db"]
    run("generate", str(path), *PROMPT, "--json")
    assert len(json.loads(capsys.readouterr().out)["ids"]) == 8
