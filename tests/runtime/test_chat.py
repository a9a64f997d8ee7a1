"""Conversations: every answer is what the model says to the whole rendered conversation, but only new rows are run."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from irsql.runtime.chat import Chat
from irsql.runtime.errors import UserError
from irsql.runtime.session import Model
from tests.runtime import toy

SHORT = (
    "{% for m in messages %}<bos>{{ m.role[0] }}{{ m.content }}<eos>{% endfor %}"
    "{% if add_generation_prompt %}<bos>a{% endif %}"
)
"""The toy's context has 64 tokens."""


@pytest.fixture(scope="module")
def loaded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("model")
    (folder / "toy").mkdir()
    (folder / "toy" / "tokenizer_config.json").write_text(json.dumps({"chat_template": SHORT}))
    return toy.database(folder)


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
    db = tmp_path / "chat.db"
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
