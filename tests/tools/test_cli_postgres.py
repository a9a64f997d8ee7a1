"""The commands on PostgreSQL: a folder with a server in it, and a server that the user names."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from irsql.targets import postgres_server
from irsql.targets.postgres import Postgres
from irsql.tools import cli
from tests.models.llamas import llama_config, random_llama, save_llama
from tests.models.shells import Scripts

PROMPT = ("--prompt-ids", "5,9,2", "--max-new-tokens", "8")
SAMPLED = ("--temperature", "0.9", "--seed", "3", "--top-p", "0.9", "--repetition-penalty", "1.2")
ROOT = Path(__file__).parents[2]


def run(*words: str, code: int = 0) -> None:
    with pytest.raises(SystemExit) as end:
        cli.main(words)
    assert end.value.code == code


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    model = random_llama(llama_config(num_hidden_layers=1))
    return save_llama(model, tmp_path_factory.mktemp("llama") / "model")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a server with a database of its own for an ordinary role."""
    import psycopg

    running = postgres_server.using(tmp_path_factory.mktemp("server") / "s")
    with psycopg.connect(running.address, autocommit=True) as root:
        for statement in ("CREATE ROLE plain LOGIN", "CREATE DATABASE own OWNER plain"):
            root.execute(statement.encode())
    yield f"postgresql:///own?host={running.folder}&user=plain"
    postgres_server.release(running)


@pytest.fixture(scope="module")
def places(folder: Path, server: str) -> dict[str, str]:
    """Target and kind of place to a loaded model."""
    out = {"duckdb": str(folder.parent / "duckdb.db"), "pgvector": str(folder.parent / "x.pg"),
           "postgres": f"{server}#weights"}  # fmt: skip
    for target, place in out.items():
        run("load", str(folder), "-o", place, "--target", target)
    return out


@pytest.mark.parametrize("options", [(), SAMPLED], ids=["greedy", "sampled"])
def test_all_engines_generate_the_same(options: tuple[str, ...], places: dict[str, str],
                                       capsys: pytest.CaptureFixture[str]) -> None:  # fmt: skip
    shown = []
    for place in places.values():
        run("generate", place, *PROMPT, *options)
        shown.append(capsys.readouterr().out.split())
    assert shown[0] == shown[1] == shown[2]
    assert len(shown[0]) == 8


@pytest.mark.parametrize("target", ["postgres", "pgvector"])
@pytest.mark.parametrize("options", [(), SAMPLED], ids=["greedy", "sampled"])
def test_scripts(options: tuple[str, ...], target: str, places: dict[str, str], folder: Path, tmp_path: Path,
                 capsys: pytest.CaptureFixture[str]) -> None:  # fmt: skip
    """A whole model in psql, compiled from its folder or its database; each reads what the other loaded or left."""
    run("generate", places[target], *PROMPT, *options)
    want = capsys.readouterr().out
    source = (places[target],) if options else (str(folder), "--target", target)
    run("compile", *source, "-o", str(tmp_path / "s"), *PROMPT, *options)
    scripts = Scripts(tmp_path / "s", target)
    if options:
        run("load", str(folder), "-o", str(scripts.model), "--target", target)
    else:
        scripts.script("load.sql")
    assert scripts.script("run.sql") == f"0|{' '.join(want.split())}\n"
    capsys.readouterr()
    run("generate", str(scripts.model), *PROMPT, *options)
    assert capsys.readouterr().out == want
    run("generate", str(scripts.model), "--resume", "0", "--max-new-tokens", "2", "--json", "--db", str(scripts.state))
    assert len(json.loads(capsys.readouterr().out)["ids"]) == 2


def test_batch(places: dict[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Several prompts in one query a step get what each gets alone."""
    prompts, options = tmp_path / "prompts.txt", ("--max-new-tokens", "6", "--json", *SAMPLED)
    prompts.write_text("5,9,2\n7\n3,3,8,1,100\n")
    run("generate", places["pgvector"], "--batch", str(prompts), *options)
    together = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    for got, ids in zip(together, ("5,9,2", "7", "3,3,8,1,100"), strict=True):
        run("generate", places["pgvector"], "--prompt-ids", ids, *options)
        alone = json.loads(capsys.readouterr().out)
        assert (got["prompt_ids"], got["ids"]) == (alone["prompt_ids"], alone["ids"])


@pytest.mark.parametrize("target", ["postgres", "pgvector"])
def test_sequences(target: str, places: dict[str, str], capsys: pytest.CaptureFixture[str]) -> None:
    place = places[target]
    run("generate", place, "--prompt-ids", "5,9,2", "--max-new-tokens", "8", "--json")
    want = json.loads(capsys.readouterr().out)["ids"]
    run("generate", place, "--prompt-ids", "5,9,2", "--max-new-tokens", "3", "--json", "--db", "talks")
    got = json.loads(capsys.readouterr().out)["ids"]
    run("generate", place, "--max-new-tokens", "5", "--json", "--db", "talks", "--resume", "0")
    assert got + json.loads(capsys.readouterr().out)["ids"] == want
    run("sequences", "fork", place, "0", "--at", "5", "--db", "talks")
    run("generate", place, "--max-new-tokens", "6", "--json", "--db", "talks", "--resume", "1")
    capsys.readouterr()
    run("sequences", "list", place, "--db", "talks")
    assert "11" in capsys.readouterr().out
    run("sequences", "delete", place, "0", "--db", "talks")
    run("sequences", "list", place, "--db", "nothing", code=1)
    assert "there is no nothing" in capsys.readouterr().err


def test_what_it_has_become(places: dict[str, str], capsys: pytest.CaptureFixture[str]) -> None:
    for target in ("postgres", "pgvector"):
        run("explain", places[target], "--sql")
        shown = capsys.readouterr().out
        assert "INSERT INTO" in shown
        assert ("INNER_PRODUCT" in shown) == (target == "pgvector")


@pytest.mark.parametrize(("words", "problem"), [
    (("generate", "{pgvector}", *PROMPT, "--target", "duckdb"), "was compiled for the target 'pgvector'"),
    (("generate", "{pgvector}", *PROMPT, "--db", "model"), "is the model: give another name"),
    (("generate", "{pgvector}", *PROMPT, "--db", "{duckdb}"), "is a schema beside it: give a name"),
    (("generate", "{postgres}x", *PROMPT), "there is no loaded model in postgresql://"),
    (("generate", "mysql://host/x", *PROMPT), "no target has servers with addresses that begin with mysql://"),
    (("generate", "postgresql://me:secret@127.0.0.1:1/x", *PROMPT), "no connection to postgresql://me@127.0.0.1:1/x"),
    (("load", "{folder}", "-o", "{pgvector}", "--target", "pgvector"), "exists already: give --force"),
    (("load", "{folder}", "-o", "{postgres}", "--target", "postgres"), "exists already: give --force"),
    (("load", "{folder}", "-o", "{postgres}", "--target", "sqlite"), "SQLite takes a file, not an address"),
    (("load", "{folder}", "-o", "{folder}", "--target", "postgres"), "is a folder: give the name of a file"),
])  # fmt: skip
def test_one_sentence(words: tuple[str, ...], problem: str, places: dict[str, str], folder: Path,
                      capsys: pytest.CaptureFixture[str]) -> None:  # fmt: skip
    run(*(word.format(folder=folder, **places) for word in words), code=1)
    error = capsys.readouterr().err
    assert "Traceback" not in error
    assert "secret" not in error
    assert problem in error


LOAD = """
import os, signal, sys
from irsql.targets.postgres import Postgres
from irsql.tools import cli

name = sys.argv.pop(1)
setattr(Postgres, name, lambda *_: os.kill(os.getpid(), signal.SIGKILL))
cli.main(sys.argv[1:])
"""


@pytest.mark.parametrize("kind", ["folder", "server"])
@pytest.mark.parametrize("moment", ["insert", "publish"])
def test_killed_while_loading(moment: str, kind: str, folder: Path, server: str, tmp_path: Path,
                              capsys: pytest.CaptureFixture[str]) -> None:  # fmt: skip
    place = str(tmp_path / "x.pg") if kind == "folder" else f"{server}#killed-{moment}"
    words = ["load", str(folder), "-o", place, "--target", "pgvector" if kind == "folder" else "postgres"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run([sys.executable, "-c", LOAD, moment, *words], check=False, env=environment)
    assert done.returncode == -signal.SIGKILL
    assert not Postgres.exists(place)
    assert Postgres.exists(Postgres.partial(place))
    run(*words)
    assert "was interrupted; starting again" in capsys.readouterr().err
    assert not Postgres.exists(Postgres.partial(place))
    run("generate", place, *PROMPT, "--json")
    assert len(json.loads(capsys.readouterr().out)["ids"]) == 8
    run(*words, "--force")
    run("generate", place, *PROMPT, "--json")
    assert len(json.loads(capsys.readouterr().out)["ids"]) == 8


@pytest.mark.parametrize("target", ["postgres", "pgvector"])
def test_two_processes_in_one_database(target: str, places: dict[str, str], capsys: pytest.CaptureFixture[str]) -> None:
    """In one state and in two, beside one that is killed."""
    prompts = ("5,9,2", "7,1", "4,4,4,8")
    wanted = []
    for prompt in prompts:
        run("generate", places[target], "--prompt-ids", prompt, "--max-new-tokens", "24", "--json", *SAMPLED)
        wanted.append(json.loads(capsys.readouterr().out)["ids"])
    for states in (("both", "both", "both"), ("one", "two", "three")):
        processes = [subprocess.Popen(
            [sys.executable, "-m", "irsql.tools.cli", "generate", places[target], "--prompt-ids", prompt, "--json",
             "--max-new-tokens", "24" if n < 2 else "200", "--db", state, *SAMPLED], stdout=subprocess.PIPE, cwd=ROOT)
            for n, (prompt, state) in enumerate(zip(prompts, states, strict=True))]  # fmt: skip
        got = [json.loads(process.communicate(timeout=120)[0])["ids"] for process in processes[:2]]
        processes[2].kill()
        processes[2].communicate()
        assert got == wanted[:2]
