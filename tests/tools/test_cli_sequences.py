"""Batches, kept sequences and chats from the command line."""

from __future__ import annotations

import io
import json
import sys
from pathlib import Path

import pytest

from irsql.runtime.errors import UserError
from irsql.runtime.sequence import TokenSequence
from irsql.runtime.session import Model
from tests.models.targets import ENGINES, state_of
from tests.runtime import toy
from tests.runtime.test_chat import SHORT
from tests.tools.test_cli import run


@pytest.fixture(scope="module", params=ENGINES)
def loaded(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("model")
    (folder / "toy").mkdir()
    (folder / "toy" / "tokenizer_config.json").write_text(json.dumps({"chat_template": SHORT}))
    return toy.database(folder, target=request.param)


def ids_of(text: str) -> list[int]:
    return toy.tokenizer().encode(text).ids


def test_a_batch_from_a_file(loaded: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "prompts.txt"
    file.write_text("the\n\n  \nthé t\nh\n")
    code, out, err = run(capsys, "generate", loaded, "--batch", file, "--max-new-tokens", 3, "--stop-ids", "", "--json")
    rows = [json.loads(line) for line in out.splitlines()]
    assert (code, err) == (0, "")
    assert [row["prompt_ids"] for row in rows] == [ids_of(t) for t in ("the", "thé t", "h")]
    assert [row["ids"] for row in rows] == [toy.expected(row["prompt_ids"], 3) for row in rows]
    assert list(rows[0]) == ["prompt_ids", "ids", "text", "timings"]
    plain = run(capsys, "generate", loaded, "--batch", file, "--max-new-tokens", 3, "--stop-ids", "")[1]
    assert plain == "".join(f"{t}{row['text']}\n\n" for t, row in zip(("the", "thé t", "h"), rows, strict=True))


def test_a_batch_from_a_pipe_of_ids(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    path = toy.database(tmp_path, with_tokenizer=False)
    monkeypatch.setattr(sys, "stdin", io.StringIO("1,5\n7\n"))
    code, out, _ = run(capsys, "generate", path, "--batch", "-", "--max-new-tokens", 2, "--stop-ids", "")
    assert code == 0
    assert [[int(i) for i in line.split()] for line in out.splitlines()] == [toy.expected(p, 2) for p in ([1, 5], [7])]


@pytest.mark.parametrize("signalled", [True, False], ids=["Ctrl-C", "error"])
def test_a_batch_that_is_broken_off_has_shown_what_ended(
    loaded: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, signalled: bool
) -> None:
    """The first text ends in the second step, the third in the third one; the second would go on."""
    prompts, step, steps, early = ("a", "b", "c"), Model.step, 0, ""
    first, second, third = (toy.expected(ids_of(p), 4) for p in prompts)
    stops = first[1], third[2]
    assert not set(stops) & {*second, first[0], *third[:2]}

    def breaks(self: Model, sequences: list[TokenSequence]) -> list[int]:
        nonlocal steps, early
        steps += 1
        if steps == 3:
            early = capsys.readouterr().out
        if steps == 4:
            raise KeyboardInterrupt if signalled else UserError("no")
        return step(self, sequences)

    monkeypatch.setattr(Model, "step", breaks)
    file = tmp_path / "prompts.txt"
    file.write_text("\n".join(prompts))
    options = ("--max-new-tokens", 9, "--stop-ids", ",".join(map(str, stops)), "--json")
    code, late, err = run(capsys, "generate", loaded, "--batch", file, *options)
    assert code == (130 if signalled else 1)
    assert [json.loads(line)["ids"] for line in early.splitlines()] == [first[:2]]
    assert [json.loads(line)["ids"] for line in late.splitlines()] == [third[:3]]
    assert err == "irsql: 1 of 3 texts have not ended and are left out\n" + ("" if signalled else "irsql: no\n")


@pytest.mark.parametrize("piped", [False, True])
def test_only_newlines_end_a_prompt(
    loaded: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, piped: bool
) -> None:
    prompts = ["a\vb", "a\fb", "a\x85b", "a\u2028b", "a\rb"]
    content = "\r\n".join(prompts).encode()
    file = tmp_path / "prompts.txt"
    file.write_bytes(content)
    if piped:
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(content), "utf-8"))
    _, out, _ = run(capsys, "generate", loaded, "--batch", "-" if piped else file, "--max-new-tokens", 1, "--json")
    assert [json.loads(line)["prompt_ids"] for line in out.split("\n")[:-1]] == [ids_of(p) for p in prompts]


@pytest.mark.parametrize(
    ("content", "arguments", "sentence"),
    [
        (b"the\n", ["the"], "--batch takes its prompts from a file: leave out the prompt, --prompt-ids and --resume"),
        (b"\n \n", [], "the batch is empty: give at least one prompt"),
        (b"the\n\xff\n", [], "FILE is not UTF-8 text"),
        (None, [], "FILE cannot be read or written: No such file or directory"),
        (b"the\n" + b"h" * 70, [], "prompt 2: a prompt of 70 tokens does not fit the context of 64"),
    ],
)
def test_bad_batches(
    loaded: Path, tmp_path: Path, content: bytes | None, arguments: list[str], sentence: str,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    file = tmp_path / "prompts.txt"
    if content is not None:
        file.write_bytes(content)
    want = f"irsql: {sentence.replace('FILE', str(file))}\n"
    assert run(capsys, "generate", loaded, *arguments, "--batch", file) == (1, "", want)


def test_list_fork_and_delete(loaded: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    db = state_of(loaded, tmp_path)
    common = ("--db", db, "--max-new-tokens", 3, "--stop-ids", "", "--json")
    first = json.loads(run(capsys, "generate", loaded, "the", "--temperature", 0.5, "--seed", 3, *common)[1])
    assert run(capsys, "sequences", "fork", loaded, 0, "--db", db, "--at", 2) == (0, "1\n", "")
    code, out, _ = run(capsys, "sequences", "list", loaded, "--db", db)
    assert code == 0
    lines = [line.split() for line in out.splitlines()]
    assert lines[0] == ["number", "tokens", "prompt", "chooses", "text"]
    assert [line[:3] for line in lines[1:]] == [["0", "4", "1"], ["1", "2", "1"]]
    assert "temperature 0.5, seed 3" in out
    resumed = json.loads(run(capsys, "generate", loaded, "--resume", 1, "--temperature", 0, *common)[1])
    assert resumed["prompt_ids"] == [*ids_of("the"), first["ids"][0]]
    assert resumed["ids"] == toy.expected(resumed["prompt_ids"], 3)
    assert run(capsys, "sequences", "delete", loaded, 0, 7, "--db", db) == (1, "", "irsql: there is no sequence 7\n")
    assert run(capsys, "sequences", "delete", loaded, 0, "--db", db) == (0, "", "")
    assert len(run(capsys, "sequences", "list", loaded, "--db", db)[1].splitlines()) == 2
    none = state_of(loaded, tmp_path, "no")
    code, out, err = run(capsys, "sequences", "list", loaded, "--db", none)
    assert (code, out) == (1, "")
    assert err.startswith(f"irsql: there is no {none}")


def test_a_list_shows_texts_as_they_are(loaded: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    db = state_of(loaded, tmp_path)
    text = "a [/b] [red]:smile:\x1b[31m\x85\u2028\u202e\u200d"
    options = ("--max-new-tokens", 1, "--db", db)
    assert run(capsys, "generate", loaded, text, *options)[0] == 0
    code, out, _ = run(capsys, "sequences", "list", loaded, "--db", db)
    assert code == 0
    assert "a [/b] [red]:smile:\\x1b[31m\\x85\\u2028\\u202e\u200d" in out


def test_chat_from_a_pipe(
    loaded: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def chat(lines: str, *arguments: object) -> list[str]:
        monkeypatch.setattr(sys, "stdin", io.StringIO(lines))
        code, out, err = run(capsys, "chat", loaded, "--max-new-tokens", 2, *arguments)
        assert (code, err) == (0, "")
        return out.splitlines()

    db = state_of(loaded, tmp_path)
    answers = chat("a\nb\n/reset\na\n/exit\nnever\n", "--db", db)
    assert len(answers) == 3
    assert answers[2] == answers[0]
    assert chat("b\n", "--db", db, "--resume", 0) == [answers[1]]


def test_a_message_that_does_not_fit_does_not_end_the_chat(
    loaded: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def chat(lines: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "stdin", io.StringIO(lines))
        return run(capsys, "chat", loaded, "--max-new-tokens", 2)

    _, want, _ = chat("a\nb\n")
    code, out, err = chat(f"a\n{'a' * 70}\nb\n")
    assert (code, out) == (1, want)
    first, last = err.splitlines()
    assert first.startswith("irsql: a prompt of ")
    assert first.endswith("; the conversation goes on without this message, /reset forgets all of it")
    assert last == "irsql: 1 message got no answer"


def test_a_chat_without_messages_leaves_nothing(
    loaded: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def chat(lines: str, *arguments: object) -> None:
        monkeypatch.setattr(sys, "stdin", io.StringIO(lines))
        assert run(capsys, "chat", loaded, "--db", db, *arguments)[::2] == (0, "")

    db = state_of(loaded, tmp_path)
    options = ("--db", db, "--max-new-tokens", 2, "--stop-ids", "", "--json")
    story = json.loads(run(capsys, "generate", loaded, "the", *options)[1])
    chat("/exit\n")
    assert len(run(capsys, "sequences", "list", loaded, "--db", db)[1].splitlines()) == 2
    chat("a\n/reset\n", "--max-new-tokens", 1)  # a chat without a text is not what goes on
    more = json.loads(run(capsys, "generate", loaded, *options)[1])
    assert more["prompt_ids"] == story["prompt_ids"] + story["ids"]


def test_chat_of_a_model_without_template(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, _, err = run(capsys, "chat", toy.database(tmp_path))
    assert code == 1
    assert err.startswith("irsql: the model has no chat template")
