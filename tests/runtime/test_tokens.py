from __future__ import annotations

import json
from pathlib import Path

import pytest
from tokenizers import Tokenizer, decoders, models

from irsql.runtime.errors import UserError
from irsql.runtime.generate import generate
from irsql.runtime.session import Model
from irsql.runtime.tokens import TextCodec, TextStream, check_ids, vocabulary
from tests.runtime import toy

SENTENCES = ["the théatre", "naïve ☕ 日本語 🙂🙃", "\n\ttabs\x00", "é", " the the"]
DEMO = Path(__file__).parents[2] / "irsql" / "data" / "demo" / "tokenizer.json"


@pytest.mark.parametrize("text", SENTENCES)
@pytest.mark.parametrize("which", ["toy", "demo"])
def test_bytes_are_what_the_tokenizer_decodes(text: str, which: str) -> None:
    spec = toy.tokenizer().to_str() if which == "toy" else DEMO.read_text("utf-8")
    reference = Tokenizer.from_str(spec)
    ids = TextCodec(spec).encode(text)
    tokens = vocabulary(spec, reference.get_vocab_size())
    assert b"".join(tokens[i].bytes for i in ids if not tokens[i].special).decode() == text
    stream = TextStream(tokens)
    pieces = [stream.push(i) for i in ids]
    assert "".join(pieces) + stream.finish() == reference.decode(ids) == text
    assert not any("\ufffd" in piece for piece in pieces)


def test_open_character_at_the_end() -> None:
    spec = toy.tokenizer().to_str()
    ids = TextCodec(spec).encode("a🙂")
    stream = TextStream(vocabulary(spec, 300))
    assert [stream.push(i) for i in ids[:-1]] == ["a", "", "", ""]
    assert stream.finish() == "\ufffd"


def test_sentencepiece_with_byte_fallback() -> None:
    vocab = {"<unk>": 0, "<0xE2>": 1, "<0x98>": 2, "<0x95>": 3, "▁the": 4, "a": 5}
    tokenizer = Tokenizer(models.BPE(vocab, [], unk_token="<unk>", byte_fallback=True))
    tokenizer.decoder = decoders.Sequence([decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()])
    tokens = vocabulary(tokenizer.to_str(), 7)
    ids = [5, 4, 1, 2, 3, 4]
    assert b"".join(tokens[i].bytes for i in ids).decode() == tokenizer.decode(ids) == "a the☕ the"
    assert tokens[6].bytes == b""


def test_special_tokens_are_no_text() -> None:
    tokens = vocabulary(toy.tokenizer().to_str(), 300)
    bos = toy.tokenizer().encode("<bos>").ids[0]
    assert (tokens[bos].bytes, tokens[bos].special) == (b"<bos>", True)
    assert TextStream(tokens).push(bos) == ""


def test_prompts_that_cannot_be_encoded() -> None:
    codec = TextCodec(toy.tokenizer().to_str())
    for text, sentence in (("", "the prompt is empty"), ("a\ud800", "not valid Unicode")):
        with pytest.raises(UserError, match=sentence):
            codec.encode(text)
    small = Tokenizer(models.BPE({"a": 0, "b": 1}, []))
    with pytest.raises(UserError, match="the model's tokenizer has no token for 'c'"):
        TextCodec(small.to_str()).encode("abc")
    with pytest.raises(UserError, match=r"tokenizer\.json of the model cannot be read"):
        TextCodec(json.dumps({"model": {}}))


def test_check_ids() -> None:
    assert check_ids([0, 9], 10) == [0, 9]
    with pytest.raises(UserError, match="there is no token 10"):
        check_ids([0, 10], 10)


def test_streamed_pieces_are_whole_characters(tmp_path: Path) -> None:
    """The toy model walks through the whole vocabulary, so most of its characters are broken."""
    with Model.open(toy.database(tmp_path)) as model:
        running = generate(model, "the 🙂", max_new_tokens=40, stop_ids=[])
        text = "".join(piece.text for piece in running)
        assert text == running.text == model.decode(running.ids)
        assert text.encode().decode() == text


def test_model_without_tokenizer(tmp_path: Path) -> None:
    with Model.open(toy.database(tmp_path, with_tokenizer=False)) as model:
        assert not model.has_tokenizer
        running = generate(model, prompt_ids=[3], max_new_tokens=3, stop_ids=[])
        assert [(p.id, p.text) for p in running] == [(i, "") for i in toy.expected([3], 3)]
        with pytest.raises(UserError, match="the model has no tokenizer: give the prompt as token ids"):
            generate(model, "hello")
