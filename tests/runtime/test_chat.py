"""Conversations: every answer is what the model says to the whole rendered conversation, but only new rows are run."""

from __future__ import annotations

import itertools
import json
import subprocess
import sys
from pathlib import Path

import pytest

from irsql.runtime.chat import Chat
from irsql.runtime.errors import UserError
from irsql.runtime.session import Model
from irsql.runtime.tokens import TextStream
from irsql.targets.control import META
from tests.models.targets import ENGINES, state_of
from tests.runtime import toy
from tests.runtime.test_session import Interrupting

SHORT = (
    "{% for m in messages %}<bos>{{ m.role[0] }}{{ m.content }}<eos>{% endfor %}"
    "{% if add_generation_prompt %}<bos>a{% endif %}"
)
"""The toy's context has 64 tokens."""


@pytest.fixture(scope="module", params=ENGINES)
def loaded(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("model")
    (folder / "toy").mkdir()
    (folder / "toy" / "tokenizer_config.json").write_text(json.dumps({"chat_template": SHORT}))
    return toy.database(folder, target=request.param)


def answer(chat: Chat, text: str, count: int = 3) -> list[int]:
    return [piece.id for piece in chat.say(text, max_new_tokens=count)]


def expected(chat: Chat, text: str, count: int = 3) -> list[int]:
    """What the model says to the conversation as it is now and one more message, up to the first stop token."""
    messages = [*chat.messages, {"role": "user", "content": text}]
    ids = toy.expected(chat.template.encode(chat.model.codec, messages), count)
    return ids[: ids.index(299) + 1] if 299 in ids else ids


def test_turns(loaded: Path) -> None:
    with Model.open(loaded) as model:
        chat = Chat(model, system="s")
        for text in ("a", "the", "b"):
            want = expected(chat, text)
            assert answer(chat, text) == want
        assert [m["role"] for m in chat.messages] == ["system", *["user", "assistant"] * 3]
        assert [m["content"] for m in chat.messages[1::2]] == ["a", "the", "b"]


def test_only_what_is_new_is_run(loaded: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ran: list[int] = []
    advance = Model._advance

    def counted(self: Model, sequences: list[object], run: bool, draw: bool, upto: object = None) -> object:
        before = sum(s.length for s in sequences)  # type: ignore[attr-defined]
        out = advance(self, sequences, run, draw, upto)  # type: ignore[arg-type]
        ran.append(sum(s.length for s in sequences) - before)  # type: ignore[attr-defined]
        return out

    with Model.open(loaded) as model:
        chat = Chat(model)
        answer(chat, "a")
        first = len(chat.sequence.ids)
        monkeypatch.setattr(Model, "_advance", counted)
        answer(chat, "b")
        # the rendered answer ends in other tokens than the generated one, so a few of its last are run again
        assert sum(ran) < len(chat.sequence.ids) - first + 6 < len(chat.sequence.ids)


def test_a_chat_goes_on_after_the_process(loaded: Path, tmp_path: Path) -> None:
    db = state_of(loaded, tmp_path)
    with Model.open(loaded, state=db) as model:
        chat = Chat(model, system="s", temperature=0.0)
        answer(chat, "a")
        model.sequence().prefill([1])
    with Model.open(loaded, state=db) as model:
        chat = Chat(model, resume=0)
        assert [m["role"] for m in chat.messages] == ["system", "user", "assistant"]
        want = expected(chat, "c")
        assert answer(chat, "c") == want
        with pytest.raises(UserError, match="sequence 1 is no chat"):
            Chat(model, resume=1)
        chat.sequence.delete()
        with pytest.raises(UserError, match="there is no sequence 0"):
            Chat(model, resume=0)


def test_a_broken_off_answer_stays_as_far_as_it_came(loaded: Path) -> None:
    with Model.open(loaded) as model:
        chat = Chat(model)
        pieces = chat.say("a", max_new_tokens=9)
        next(pieces)
        pieces.close()  # type: ignore[attr-defined]
        assert len(chat.messages) == 2
        want = expected(chat, "b")
        assert answer(chat, "b") == want


def test_reset(loaded: Path) -> None:
    with Model.open(loaded) as model:
        chat = Chat(model, system="s")
        want = answer(chat, "a")
        chat.reset()
        assert chat.messages == [{"role": "system", "content": "s"}]
        assert answer(chat, "a") == want


def test_models_that_cannot_chat(tmp_path: Path, loaded: Path) -> None:
    with Model.open(toy.database(tmp_path / "a")) as model, pytest.raises(UserError, match="has no chat template"):
        Chat(model)
    with (
        Model.open(toy.database(tmp_path / "b", with_tokenizer=False)) as model,
        pytest.raises(UserError, match="has no tokenizer"),
    ):
        Chat(model)
    with Model.open(loaded) as model, pytest.raises(UserError, match="does not fit the context of 64"):
        Chat(model).say("a" * 70)


def test_a_chat_without_messages_has_no_sequence(loaded: Path) -> None:
    with Model.open(loaded) as model:
        chat = Chat(model, system="s")
        chat.reset()
        assert model.sequences() == []
        with pytest.raises(UserError, match="no sequence before its first message"):
            chat.sequence  # noqa: B018
        with pytest.raises(UserError, match="does not fit"):
            chat.say("a" * 70)
        assert model.sequences() == []
        answer(chat, "a")
        assert model.sequences() == [0]


@pytest.mark.parametrize("turn", [1, 2])
def test_wherever_a_message_is_interrupted_the_chat_goes_on(
    loaded: Path, turn: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    for n in itertools.count(1):
        with Model.open(loaded) as model:
            chat = Chat(model, system="s")
            if turn == 2:
                answer(chat, "a", 2)
            before = chat.messages
            with monkeypatch.context() as patch:
                interrupting = Interrupting(patch, type(model.db), n, (model.db.control.commit, META))
                try:
                    answer(chat, "b", 2)
                except KeyboardInterrupt:
                    pass
            assert chat.messages[: len(before)] == before
            assert [m["content"] for m in chat.messages[len(before) :: 2]] in ([], ["b"])
            want = expected(chat, "c", 2)
            assert answer(chat, "c", 2) == want
            assert model.sequences() == [0]
            assert Chat(model, resume=0).messages == chat.messages
            if interrupting.left > 0:
                return


DIES = """
import os, sys
from irsql.runtime.chat import Chat
from irsql.runtime.session import Model
for _ in Chat(Model.open(sys.argv[1], state=sys.argv[2]), system="s").say("a", 9):
    os.kill(os.getpid(), 9)
"""


def test_killed_within_its_first_answer_a_chat_goes_on(loaded: Path, tmp_path: Path) -> None:
    db = state_of(loaded, tmp_path)
    assert subprocess.run([sys.executable, "-c", DIES, str(loaded), str(db)], check=False).returncode == -9
    with Model.open(loaded, state=db) as model:
        chat = Chat(model, resume=0)
        assert [m["role"] for m in chat.messages] == ["system", "user", "assistant"]
        ids = chat.template.encode(model.codec, chat.messages[:2])
        assert chat.messages[2]["content"] == TextStream(model.tokens).push(*toy.expected(ids, 1))
        want = expected(chat, "c")
        assert answer(chat, "c") == want


def test_the_fork_of_a_chat_is_a_chat(loaded: Path) -> None:
    with Model.open(loaded) as model:
        chat = Chat(model, system="s")
        answer(chat, "a")
        first = len(chat.sequence.ids)
        answer(chat, "b")
        whole = Chat(model, resume=chat.sequence.fork().number)
        assert whole.messages == chat.messages
        early = Chat(model, resume=chat.sequence.fork(first).number)
        assert early.messages == chat.messages[:3]
        asked = chat._messages[-2].end
        within = Chat(model, resume=chat.sequence.fork(asked + 1).number)
        assert within.messages[:-1] == chat.messages[:-1]
        assert within.messages[-1]["content"] == TextStream(model.tokens).push(chat.sequence.ids[asked])
        for fork in (whole, early, within):
            want = expected(fork, "c")
            assert answer(fork, "c") == want
        assert chat.messages[-2]["content"] == "b"
        with pytest.raises(UserError, match="is no chat"):
            Chat(model, resume=model.sequence().fork().number)


def test_an_answer_that_fails_leaves_the_conversation_as_it_was(
    loaded: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Model.open(loaded) as model:
        chat = Chat(model)
        answer(chat, "a")
        before = chat.messages
        with monkeypatch.context() as patch:
            patch.setattr(Model, "step", lambda *_: (_ for _ in ()).throw(UserError("no")))
            with pytest.raises(UserError, match="no"):
                answer(chat, "b")
        assert chat.messages == before == Chat(model, resume=0).messages
        want = expected(chat, "c")
        assert answer(chat, "c") == want
