from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path

import attrs
import pytest

import irsql
from irsql import api
from irsql.ir.target import Costs, Target
from irsql.targets import base, calibration, postgres_server
from irsql.targets.duckdb_tables import DUCKDB
from irsql.targets.program import Program
from irsql.tools import cli
from tests.processes import heed_interrupts
from tests.runtime import toy


@pytest.fixture(scope="module")
def loaded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return toy.database(tmp_path_factory.mktemp("model"))


@pytest.fixture(autouse=True)
def _cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IRSQL_CACHE", str(tmp_path / "cache"))


def run(capsys: pytest.CaptureFixture[str], *args: object) -> tuple[int, str, str]:
    """Exit code, standard output and standard error of a command."""
    with pytest.raises(SystemExit) as stop:
        cli.main([str(a) for a in args])
    out = capsys.readouterr()
    code = stop.value.code
    return (code if isinstance(code, int) else 0), out.out, out.err


def test_version_and_help(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(capsys, "--version") == (0, f"irsql {irsql.__version__}\n", "")
    for command in ("generate", "load", "compile", "demo"):
        code, out, _ = run(capsys, command, "--help")
        assert code == 0
        assert "Usage: irsql " + command in " ".join(out.split())
    code, out, _ = run(capsys, "--help")
    assert code == 0
    assert "--dump-dir" in out


def test_json_is_one_object_and_nothing_else(loaded: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = run(
        capsys, "generate", loaded, "--prompt-ids", "1,5,9", "--max-new-tokens", 4, "--stop-ids", "", "--json"
    )
    found = json.loads(out)
    assert (code, err, out.count("\n")) == (0, "", 1)
    assert list(found) == ["prompt_ids", "ids", "text", "timings"]
    assert (found["prompt_ids"], found["ids"]) == ([1, 5, 9], toy.expected([1, 5, 9], 4))
    assert set(found["timings"]) == {
        "prefill_tokens",
        "prefill_seconds",
        "decode_tokens",
        "decode_seconds",
        "tokens_per_second",
    }


def test_text(loaded: Path, capsys: pytest.CaptureFixture[str]) -> None:
    want = json.loads(run(capsys, "generate", loaded, "the é", "--max-new-tokens", 6, "--json")[1])
    assert want["prompt_ids"] == toy.tokenizer().encode("the é").ids
    assert want["ids"] == toy.expected(want["prompt_ids"], 6)
    assert run(capsys, "generate", loaded, "the é", "--max-new-tokens", 6) == (0, want["text"] + "\n", "")


def test_ids_without_tokenizer(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = toy.database(tmp_path, with_tokenizer=False)
    code, out, _ = run(capsys, "generate", path, "--prompt-ids", "3", "--max-new-tokens", 2, "--stop-ids", "")
    assert (code, out.split()) == (0, [str(i) for i in toy.expected([3], 2)])
    code, out, _ = run(capsys, "generate", path, "--prompt-ids", "3", "--max-new-tokens", 2, "--json")
    assert json.loads(out)["text"] is None


def test_defaults_of_the_checkpoint(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """do_sample turns sampling on; what is not applied is said."""
    generation = {"do_sample": True, "temperature": 0.6, "top_p": 0.9, "typical_p": 0.5, "eos_token_id": [21, 299]}
    path = toy.database(tmp_path, generation=generation)
    code, out, err = run(capsys, "generate", path, "--prompt-ids", "3", "--max-new-tokens", 9, "--json")
    assert (code, json.loads(out)["ids"]) == (0, [7, 14, 21])
    assert err == "irsql: generation_config.json also asks for typical_p=0.5: not applied\n"
    code, out, _ = run(
        capsys, "generate", path, "--prompt-ids", "3", "--max-new-tokens", 3, "--temperature", "0", "--json"
    )
    assert json.loads(out)["ids"] == toy.expected([3], 3)


def test_state_file_continues(loaded: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    db = tmp_path / "chat.db"
    common = ["--max-new-tokens", 3, "--stop-ids", "", "--json", "--db", db]
    first = json.loads(run(capsys, "generate", loaded, "--prompt-ids", "4", *common)[1])
    second = json.loads(run(capsys, "generate", loaded, *common)[1])
    assert first["ids"] + second["ids"] == toy.expected([4], 6)
    assert second["prompt_ids"] == [4, *first["ids"]]


@pytest.mark.parametrize(
    ("args", "sentence"),
    [
        (["MODEL"], "there is no prompt: give a text or --prompt-ids, or --db with a sequence to continue"),
        (["MODEL", ""], "the prompt is empty: give at least one character, or token ids"),
        (["MODEL", "--prompt-ids", ""], "the prompt is empty: give at least one token"),
        (["MODEL", "--prompt-ids", "1,x"], "token ids are integers with commas between them, not '1,x'"),
        (["MODEL", "--prompt-ids", "1,999"], "there is no token 999: the model's vocabulary has the ids 0 to 299"),
        (["MODEL", "hello", "--target", "oracle"],
         "unknown target 'oracle'; there are duckdb, sqlite, postgres, pgvector, pgvector-half"),
        (["nowhere.db", "hello"], "there is no nowhere.db: give a model folder or a loaded database"),
    ],
)
def test_errors_are_one_sentence(
    loaded: Path, args: list[str], sentence: str, capsys: pytest.CaptureFixture[str]
) -> None:
    given = [str(loaded) if a == "MODEL" else a for a in args]
    assert run(capsys, "generate", *given, "--json") == (1, "", f"irsql: {sentence}\n")
    code, _, err = run(capsys, "--traceback", "generate", *given)
    assert code == 1
    assert "Traceback" in err
    assert err.endswith(f"irsql: {sentence}\n")


def test_folders_that_are_no_model(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    sentence = f"irsql: {empty} holds no config.json, so it is not a Hugging Face model folder\n"
    assert run(capsys, "load", empty, "-o", tmp_path / "x.db") == (1, "", sentence)
    assert run(capsys, "generate", empty, "hello") == (1, "", sentence)
    there = tmp_path / "there.db"
    there.write_text("mine")
    sentence = f"irsql: {there} exists already: give --force to replace it\n"
    assert run(capsys, "load", empty, "-o", there) == (1, "", sentence)
    assert there.read_text() == "mine"


def test_a_folder_is_compiled_once(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, compiled = toy.folder(tmp_path / "toy"), []

    def compile_folder(*_: object, **__: object) -> Program:
        compiled.append(1)
        return toy.program()

    monkeypatch.setattr("irsql.api.compile_folder", compile_folder)

    def generate(*options: str) -> list[Path]:
        assert run(capsys, "generate", folder, "--prompt-ids", "1,5", "--max-new-tokens", 1, *options)[0] == 0
        return list((tmp_path / "cache").iterdir())

    (first,) = generate()
    assert generate() == [first]
    assert len(compiled) == 1
    generate("--timing")  # asks to see the passes
    assert len(compiled) == 2
    (folder / "config.json").write_text('{"eos_token_id": 298}')
    (second,) = generate()  # what the old content gave is gone
    assert second != first
    assert len(compiled) == 3
    monkeypatch.setenv(calibration.FOLDER, str(tmp_path))
    calibration.write(Costs(machine="here"), tmp_path / "duckdb.json")
    (fourth,) = generate()  # the layouts that these costs choose
    assert fourth != second
    second = fourth
    monkeypatch.setattr(base, "backend", lambda name: attrs.evolve(DUCKDB, target=Target(name=name)))
    third = api.cached(folder, progress=False, target="duckdb-wide")  # one database a target
    assert second.is_file()
    assert third.is_file()
    assert third != second


def test_interrupt_and_closed_pipe(loaded: Path) -> None:
    command = [
        sys.executable,
        "-m",
        "irsql.tools.cli",
        "generate",
        str(loaded),
        "the",
        "--max-new-tokens",
        "60",
        "--stop-ids",
        "",
    ]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.read(1)
        process.stdout.close()
        assert (process.wait(), process.stderr.read()) == (1, b"")

    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, preexec_fn=heed_interrupts
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.read(1)
        process.send_signal(signal.SIGINT)
        assert (process.wait(), process.stderr.read()) == (130, b"")


WITHOUT_PSYCOPG = """
import sys
sys.modules["psycopg"] = None
from irsql.tools.cli import main
main()
"""


def test_without_a_client_of_postgresql_other_engines_run(tmp_path: Path) -> None:
    """The client comes with an extra: a folder is a checkpoint, or is said to need it, all the same."""
    folder = tmp_path / "x.pg"
    (folder / postgres_server.DATA).mkdir(parents=True)
    (folder / postgres_server.DATA / "PG_VERSION").write_text("18\n")
    needs = "irsql: PostgreSQL is spoken to with psycopg, which is not installed: pip install 'irsql[postgres]'\n"
    for words, err in (
        (["load", cli.DEMO, "-o", tmp_path / "demo.db"], None),
        (["generate", folder, "x"], needs),
        (["generate", "postgresql://localhost/x", "x"], needs),
    ):
        done = subprocess.run([sys.executable, "-c", WITHOUT_PSYCOPG, *map(str, words)], capture_output=True, text=True,
                              check=False)  # fmt: skip
        assert done.returncode == (err is not None), done.stderr
        assert err is None or done.stderr.endswith(err)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["demo.db", "x.pg"]
