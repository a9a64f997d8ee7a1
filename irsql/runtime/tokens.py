"""Text and tokens: encoding prompts, the bytes of every token, and streaming text that never shows half a character.

The text of a token is its bytes in the vocabulary table, so Python and SQL give the same text. For byte-level and
byte-fallback vocabularies the concatenated bytes are exactly what the tokenizer decodes to, except that nothing is
stripped at the beginning: generated text continues a prompt.
"""

from __future__ import annotations

import codecs
import json
import operator
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import attrs
from tokenizers import Tokenizer

from irsql.runtime.errors import UserError

_BYTE_TOKEN = re.compile(r"<0x([0-9A-Fa-f]{2})>")


@attrs.frozen
class Token:
    """Bytes of a token; a special one marks structure and is no text."""

    bytes: bytes
    special: bool = False


class TextCodec:
    """Encodes prompts with a stored ``tokenizer.json``.

    Parameters
    ----------
    text
        Content of the file.

    Attributes
    ----------
    special
        The texts of the tokens that are no part of the trained vocabulary.

    Raises
    ------
    UserError
        If the tokenizers library cannot read it.
    """

    def __init__(self, text: str) -> None:
        try:
            self._tokenizer: Tokenizer = Tokenizer.from_str(text)
        except Exception as error:  # The library raises bare Exception.
            raise UserError(f"the tokenizer.json of the model cannot be read: {_first_line(error)}") from error
        self._tokenizer.no_truncation()
        self._tokenizer.no_padding()
        self.special: tuple[str, ...] = tuple(t.content for t in self._tokenizer.get_added_tokens_decoder().values())

    def encode(self, prompt: str) -> list[int]:
        """The ids of a prompt, with the special tokens the tokenizer puts around it.

        Raises
        ------
        UserError
            If the prompt is empty, is no valid Unicode, or has a character without a token.
        """
        if not prompt:
            raise UserError("the prompt is empty: give at least one character, or token ids")
        _check_unicode(prompt)
        encoding = self._tokenizer.encode(prompt)
        if not encoding.ids:
            raise UserError("the prompt has no tokens: give text the model's tokenizer knows, or token ids")
        missing = _uncovered(prompt, encoding.offsets)
        if missing is not None and self._tokenizer.normalizer is None:
            raise UserError(f"the model's tokenizer has no token for {missing!r}")
        return list(encoding.ids)

    def encode_part(self, text: str, literal: bool) -> list[int]:
        """The ids of a part of a prompt, with nothing around it.

        Parameters
        ----------
        text
            May be empty.
        literal
            Take the text of a special token for text.

        Raises
        ------
        UserError
            If it is no valid Unicode.
        """
        _check_unicode(text)
        self._tokenizer.encode_special_tokens = literal
        try:
            return list(self._tokenizer.encode(text, add_special_tokens=False).ids) if text else []
        finally:
            self._tokenizer.encode_special_tokens = False


def _check_unicode(prompt: str) -> None:
    try:
        prompt.encode("utf-8")
    except UnicodeEncodeError:
        raise UserError("the prompt is not valid Unicode text") from None


def _uncovered(prompt: str, offsets: Iterable[tuple[int, int]]) -> str | None:
    """The first visible character that no token covers: vocabularies without an unknown token drop it silently."""
    covered = [False] * len(prompt)
    for start, stop in offsets:
        covered[start:stop] = [True] * (stop - start)
    return next((c for c, seen in zip(prompt, covered, strict=True) if not seen and not c.isspace()), None)


def check_ids(ids: Sequence[int], vocabulary: int) -> list[int]:
    """Ids that a model of so many tokens can take.

    Raises
    ------
    UserError
        If there are none, or one is no integer or outside of the vocabulary.
    """
    if len(ids) == 0:
        raise UserError("the prompt is empty: give at least one token")
    try:
        out = [operator.index(i) for i in ids]
    except TypeError:
        raise UserError(f"token ids are integers, not {list(ids)}") from None
    bad = next((i for i in out if not 0 <= i < vocabulary), None)
    if bad is not None:
        raise UserError(f"there is no token {bad}: the model's vocabulary has the ids 0 to {vocabulary - 1}")
    return out


def read_tokenizer(path: Path) -> str:
    """The content of a ``tokenizer.json``.

    Raises
    ------
    UserError
        If it is no text.
    """
    try:
        return path.read_text("utf-8")
    except UnicodeDecodeError as error:
        raise UserError(f"{path} is not valid UTF-8: {error.reason} at byte {error.start}") from None


def vocabulary(tokenizer_json: str | None, size: int) -> list[Token]:
    """The bytes of the ids ``0 … size-1``; ids without a token, and all without a tokenizer, have none.

    Raises
    ------
    UserError
        If the text is no tokenizer.
    """
    tokens = [Token(b"")] * size
    if tokenizer_json is None:
        return tokens
    TextCodec(tokenizer_json)
    spec = json.loads(tokenizer_json)
    decode = _decoder(spec)
    vocab = spec["model"]["vocab"]
    pairs = vocab.items() if isinstance(vocab, dict) else ((entry[0], i) for i, entry in enumerate(vocab))
    for text, i in pairs:
        if 0 <= i < size:
            tokens[i] = Token(decode(text))
    for added in spec.get("added_tokens") or ():
        if 0 <= added["id"] < size:
            tokens[added["id"]] = Token(added["content"].encode(), bool(added.get("special")))
    return tokens


def _decoder(spec: dict[str, Any]) -> Any:
    """From the text of a token to its bytes, by the steps of the tokenizer's decoder."""
    outer = spec.get("decoder") or {}
    steps = outer.get("decoders", [outer]) if outer.get("type") == "Sequence" else [outer]
    kinds = {step.get("type") for step in steps}
    if "ByteLevel" in kinds:
        table = _byte_level()

        def byte_level(text: str) -> bytes:
            return b"".join(bytes([table[c]]) if c in table else c.encode() for c in text)

        return byte_level

    def stepwise(text: str) -> bytes:
        match = _BYTE_TOKEN.fullmatch(text)
        if match and "ByteFallback" in kinds:
            return bytes([int(match[1], 16)])
        for step in steps:
            kind = step.get("type")
            if kind == "Replace" and "String" in step["pattern"]:
                text = text.replace(step["pattern"]["String"], step["content"])
            elif kind == "Metaspace":
                text = text.replace(step["replacement"], " ")
            elif kind == "WordPiece":
                prefix = step["prefix"]
                text = text.removeprefix(prefix) if text.startswith(prefix) else f" {text}"
            elif kind == "BPEDecoder":
                text = text.replace(step["suffix"], " ")
        return text.encode()

    return stepwise


def _byte_level() -> dict[str, int]:
    """GPT-2's printable stand-ins for bytes (Radford et al. 2019, ``bytes_to_unicode``), inverted."""
    printable = [*range(ord("!"), ord("~") + 1), *range(ord("¡"), ord("¬") + 1), *range(ord("®"), ord("ÿ") + 1)]
    others = [b for b in range(256) if b not in printable]
    return {**{chr(b): b for b in printable}, **{chr(256 + n): b for n, b in enumerate(others)}}


class TextStream:
    """Turns tokens into text, whole characters at a time.

    Parameters
    ----------
    tokens
        The vocabulary.
    """

    def __init__(self, tokens: Sequence[Token]) -> None:
        self._tokens = tokens
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")

    def push(self, token: int) -> str:
        """The characters that a token completes; none while one is open."""
        found = self._tokens[token]
        return "" if found.special else self._decoder.decode(found.bytes)

    def finish(self) -> str:
        """What is left at the end: a replacement character for each broken one."""
        return self._decoder.decode(b"", final=True)


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]
