"""Tokens of the text form, and errors that point at them."""

from __future__ import annotations

import re
from typing import NoReturn

import attrs

from irsql.ir.diagnostics import Diagnostic, DiagnosticError
from irsql.ir.location import Location

MAX_DEPTH = 120
"""Deepest nesting of regions, attributes and expressions that is read; Python's own stack ends soon after."""

MAX_ERRORS = 50
"""Reading stops after this many errors."""

_TOKEN = re.compile(r'''(?:\s++|//[^\n]*+)*+(?:
  (?P<ssa>%(?:\d+|[A-Za-z_$.\-][A-Za-z0-9_$.\-]*)(?:\#\d+)?)
| (?P<string>"(?:[^"\\\n]|\\[^\n])*")
| (?P<float>-?\d+\.\d*(?:[eE][-+]?\d+)?)
| (?P<int>-?(?:0x[0-9A-Fa-f]+|\d+))
| (?P<ident>[A-Za-z_][A-Za-z0-9_$.]*)
| (?P<punct>->|\{-\#|[(){}\[\]<>:=,+*?\-])
| (?P<attr>\#[A-Za-z_][A-Za-z0-9_$.]*)
| (?P<type>![A-Za-z_][A-Za-z0-9_$.]*)
| (?P<block>\^[A-Za-z0-9_$.\-]+)
| (?P<eof>\Z)
| (?P<bad>.)
)''', re.VERBOSE | re.ASCII | re.DOTALL)

_BRACKET = re.compile(r'"(?:[^"\\\n]|\\[^\n])*"|->|[<>()\[\]{}]')
_STRING_ESCAPE = re.compile(rb"\\([0-9A-Fa-f]{2}|.)", re.DOTALL)
_NAMED_ESCAPES = {b"n": b"\n", b"t": b"\t", b"\\": b"\\", b'"': b'"'}


@attrs.define
class Token:
    """A token: its kind (a group of the token pattern), its text and where it stands."""

    kind: str
    text: str
    start: int
    end: int


class Lexer:
    """A cursor over a text; reports errors with ``file:line:col``, the source line and a caret.

    Parameters
    ----------
    text
        What to read.
    filename
        Named in errors.
    """

    def __init__(self, text: str, filename: str) -> None:
        self.text, self.filename = text, filename
        self.pos = 0
        self.depth = 0
        self.errors: list[Diagnostic] = []
        self._peeked: Token | None = None

    # -- tokens ------------------------------------------------------------------------------------
    def peek(self) -> Token:
        """The next token, not consumed."""
        if self._peeked is None:
            match = _TOKEN.match(self.text, self.pos)
            assert match is not None  # the pattern ends in "anything"
            kind = str(match.lastgroup)
            self._peeked = Token(kind, match[kind], match.start(kind), match.end(kind))
        return self._peeked

    def next(self) -> Token:
        """Consume and return the next token."""
        token = self._peeked or self.peek()
        self.seek(token.end)
        return token

    def seek(self, pos: int) -> None:
        """Continue reading at a position."""
        self.pos, self._peeked = pos, None

    def accept(self, text: str) -> bool:
        """Consume the next token if it is this punctuation or word."""
        token = self.peek()
        if token.text == text and token.kind in ("punct", "ident"):
            self.seek(token.end)
            return True
        return False

    def expect(self, text: str, context: str) -> None:
        """Consume this punctuation or word, or fail."""
        if not self.accept(text):
            self.fail(f"expected '{text}' {context}, found {self.describe()}")

    def expect_kind(self, kind: str, what: str) -> Token:
        """Consume a token of a kind, or fail."""
        if self.peek().kind != kind:
            self.fail(f"expected {what}, found {self.describe()}")
        return self.next()

    def describe(self) -> str:
        """The next token, for a message."""
        token = self.peek()
        if token.kind == "eof":
            return "the end of the text"
        if token.kind == "bad" and token.text == '"':
            return "a string that is not closed on its line"
        return repr(token.text if len(token.text) <= 40 else token.text[:40] + "…")

    def balanced_end(self, start: int) -> int:
        """Where the ``<…>`` that opens at or after ``start`` closes; ``start`` if none opens there."""
        depth = 0
        for match in _BRACKET.finditer(self.text, start):
            if depth == 0 and (match[0] != "<" or self.text[start:match.start()].strip()):
                return start
            if match[0] in "<([{":
                depth += 1
            elif match[0] in ">)]}":
                depth -= 1
                if depth == 0:
                    return match.end()
        return start

    def unquote(self, token: Token) -> str:
        """The value of a string token."""
        body = token.text[1:-1]
        if "\\" not in body:
            return body

        def unescape(match: re.Match[bytes]) -> bytes:
            code = match[1]
            if len(code) == 2:
                return bytes([int(code, 16)])
            if code not in _NAMED_ESCAPES:
                self.fail(f"unknown escape '\\{code.decode(errors='replace')}' in a string", token)
            return _NAMED_ESCAPES[code]

        raw = _STRING_ESCAPE.sub(unescape, body.encode("utf-8", "surrogatepass"))
        try:
            return raw.decode("utf-8", "surrogatepass")
        except UnicodeDecodeError:
            self.fail("the escapes of this string are not UTF-8", token)

    def integer(self, token: Token) -> int:
        """The value of an int token."""
        try:
            return int(token.text, 16 if "x" in token.text else 10)
        except ValueError:
            self.fail("this integer is too long", token)

    # -- nesting and errors ------------------------------------------------------------------------
    def enter(self) -> None:
        """Go one level deeper; to be paired with :meth:`leave`."""
        self.depth += 1
        if self.depth > MAX_DEPTH:
            self.fail(f"nested more than {MAX_DEPTH} levels deep")

    def leave(self) -> None:
        """Come back from :meth:`enter`."""
        self.depth -= 1

    def locate(self, pos: int) -> Location:
        """The place of a position in the text."""
        return Location(self.filename, self.text.count("\n", 0, pos) + 1, pos - self.text.rfind("\n", 0, pos))

    def report(self, message: str, at: Token | None = None, suggestion: str = "") -> None:
        """Record an error and go on reading, so that several are shown at once."""
        token = at or self.peek()
        begin = self.text.rfind("\n", 0, token.start) + 1
        end = self.text.find("\n", token.start)
        source = self.text[begin:end if end >= 0 else len(self.text)]
        self.errors.append(Diagnostic(message, location=self.locate(token.start), suggestion=suggestion,
                                      source=source, width=max(1, len(token.text))))
        if len(self.errors) >= MAX_ERRORS:
            raise DiagnosticError(self.errors)

    def fail(self, message: str, at: Token | None = None, suggestion: str = "") -> NoReturn:
        """Record an error and stop."""
        self.report(message, at, suggestion)
        raise DiagnosticError(self.errors)
