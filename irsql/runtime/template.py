"""A model's own chat template: Jinja, rendered as transformers renders it, and the ids of what it gives.

What a user writes is never read as a control token: where a message contains the text of a special token, that text is
encoded as text. Templates come with checkpoints, so they run in Jinja's sandbox.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

import attrs

from irsql.runtime.tokens import TextCodec

Message = Mapping[str, str]
"""``role`` (``system``, ``user``, ``assistant``) and ``content``."""

_OPEN, _CLOSE = "\ue000", "\ue001"
"""Private-use marks around what is to be encoded as text."""


@attrs.frozen
class ChatTemplate:
    """The template of a model and the special tokens that it may name.

    Attributes
    ----------
    source
        Jinja text.
    special
        ``bos_token``, ``eos_token``, … to their text.
    """

    source: str
    special: Mapping[str, str]

    @classmethod
    def of_configs(cls, config: Mapping[str, Any], separate: str | None) -> ChatTemplate | None:
        """The template in a ``tokenizer_config.json`` or in a file of its own, None without one.

        Of several templates the one called ``default`` is taken.
        """
        source = separate if separate is not None else config.get("chat_template")
        if isinstance(source, list):
            named = {t.get("name"): t.get("template") for t in source if isinstance(t, dict)}
            source = named.get("default")
        if not isinstance(source, str):
            return None
        special: dict[str, str] = {}
        for name, value in config.items():
            text = value.get("content") if isinstance(value, dict) else value
            if name.endswith("_token") and isinstance(text, str):
                special[name] = text
        return cls(source, special)

    def to_json(self) -> str:
        """The template as text."""
        return json.dumps({"source": self.source, "special": dict(self.special)}, ensure_ascii=False)

    @classmethod
    def from_json(cls, text: str) -> ChatTemplate:
        """The template that :meth:`to_json` wrote."""
        fields = json.loads(text)
        return cls(fields["source"], fields["special"])

    def render(self, messages: Sequence[Message], add_generation_prompt: bool = True) -> str:
        """The conversation as one text.

        Parameters
        ----------
        messages
            In order.
        add_generation_prompt
            End with what opens the assistant's answer.

        Raises
        ------
        UserError
            If the template refuses the messages, or is no Jinja.
        """
        from irsql.runtime.jinja import render  # only a chat needs it

        return render(self.source, {
            "messages": [dict(m) for m in messages], "tools": None, "documents": None,
            "add_generation_prompt": add_generation_prompt, **self.special,
        })  # fmt: skip

    def encode(self, codec: TextCodec, messages: Sequence[Message], add_generation_prompt: bool = True) -> list[int]:
        """The ids of a conversation; see the head of this module for special tokens in messages."""
        special = sorted(set(codec.special), key=len, reverse=True)
        control = re.compile("|".join(map(re.escape, special)) or r"(?!)")
        marked = [{key: _marked(value, control) for key, value in message.items()} for message in messages]
        ids: list[int] = []
        for n, piece in enumerate(re.split(f"[{_OPEN}{_CLOSE}]", self.render(marked, add_generation_prompt))):
            ids += codec.encode_part(piece, literal=n % 2 == 1)
        return ids


def _marked(text: str, control: re.Pattern[str]) -> str:
    return control.sub(lambda m: f"{_OPEN}{m[0]}{_CLOSE}", re.sub(f"[{_OPEN}{_CLOSE}]", "", text))
