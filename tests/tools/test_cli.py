from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

import irsql
from irsql.tools import cli
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
    generation = {"do_sample": True, "temperature": 0.6, "top_p": 0.9, "eos_token_id": [21, 299]}
    path = toy.database(tmp_path, generation=generation)
    code, out, err = run(capsys, "generate", path, "--prompt-ids", "3", "--max-new-tokens", 9, "--json")
    assert (code, json.loads(out)["ids"]) == (0, [7, 14, 21])
    assert err == "irsql: generation_config.json also asks for top_p=0.9: not applied\n"
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
        (["MODEL", "hello", "--target", "oracle"], "the target 'oracle' is not available: choose duckdb"),
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


def test_scripts_run_in_the_engines_shell(loaded: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shell = shutil.which("duckdb", path=os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")]))
    if shell is None:
        pytest.skip("needs the DuckDB shell: pip install duckdb-cli")
    out = tmp_path / "scripts"
    assert run(capsys, "compile", loaded, "-o", out, "--prompt", "the", "--max-new-tokens", 7) == (0, "", "")
    want = json.loads(run(capsys, "generate", loaded, "the", "--max-new-tokens", 7, "--json")[1])

    def script(text: str) -> str:
        done = subprocess.run([shell], input=text, cwd=out, capture_output=True, text=True, check=False)
        assert (done.returncode, done.stderr) == (0, "")
        return done.stdout

    script((out / "load.sql").read_text())
    script((out / "run.sql").read_text())
    query = "SELECT id FROM state.irsql_token ORDER BY pos"
    ids = [int(i) for i in script(f".mode list\n.headers off\n.read schema.sql\n{query};").split()]
    assert ids == want["prompt_ids"] + want["ids"]
    stopped = script(f".mode list\n.headers off\n.read schema.sql\n.read decode.sql\n{query};").split()
    assert [int(i) for i in stopped] == ids
    manifest = json.loads((out / "manifest.json").read_text())
    assert manifest["weights"]
    assert manifest["functions"]["decode"]["statements"][0]["scope"] == "layers.0"


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

    def heed_interrupts() -> None:  # a test runner in the background of a shell ignores them, and so would its children
        signal.signal(signal.SIGINT, signal.SIG_DFL)

    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, preexec_fn=heed_interrupts
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.read(1)
        process.send_signal(signal.SIGINT)
        assert (process.wait(), process.stderr.read()) == (130, b"")
