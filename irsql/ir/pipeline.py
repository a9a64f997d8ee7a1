"""Pipelines: lists of passes as text, and the pass manager that runs them.

The text is ``canonicalize,fuse-elementwise{max-ops=8 kinds=add,"x y"},cse``::

    pipeline ::= [pass {"," pass}]
    pass     ::= NAME ["{" {option} "}"]
    option   ::= NAME "=" [value {"," value}] | NAME        # a name alone is NAME=true
    value    ::= WORD | STRING                              # STRING as in JSON

White space, line breaks and ``//`` comments may stand between tokens.
"""

from __future__ import annotations

import difflib
import json
import re
import time
from collections.abc import Sequence

import attrs

from irsql.ir import pass_registry
from irsql.ir.core import IRError, Module
from irsql.ir.diagnostics import Diagnostic, DiagnosticError, from_error
from irsql.ir.instruments.base import Instrument, PassRun, snapshot, stage_of
from irsql.ir.location import Location
from irsql.ir.passes import OptionError, Pass, PassContext

_TOKEN = re.compile(r'(?:\s+|//[^\n]*)*(?:(?P<string>"(?:[^"\\]|\\.)*")|(?P<word>[A-Za-z0-9_.+\-/:]+)|(?P<punct>[{},=])'
                    r"|(?P<end>\Z)|(?P<bad>.))", re.DOTALL)


class PipelineError(DiagnosticError):
    """A pipeline text is malformed; shows the text with a caret under the place."""

    def __init__(self, message: str, text: str, start: int, end: int, suggestion: str = "") -> None:
        line, begin = text.count("\n", 0, start), text.rfind("\n", 0, start) + 1
        source = text[begin:].partition("\n")[0]
        place = Location("pipeline", line + 1, start - begin + 1)
        super().__init__(Diagnostic(message, location=place, suggestion=suggestion, source=source, width=end - start))


@attrs.frozen
class _Token:
    kind: str
    text: str
    start: int
    end: int


def _tokens(text: str) -> list[_Token]:
    out: list[_Token] = []
    at = 0
    while True:
        match = _TOKEN.match(text, at)
        if match is None or match.lastgroup is None:
            raise AssertionError("the token pattern matches any text")
        kind = match.lastgroup
        start, at = match.span(kind)
        if kind == "bad":
            raise PipelineError(f"unexpected character {match[kind]!r}", text, start, at)
        out.append(_Token(match[kind] if kind == "punct" else kind, match[kind], start, at))
        if kind == "end":
            return out


class _Parser:
    def __init__(self, text: str) -> None:
        self.text, self.tokens, self.at = text, _tokens(text), 0

    @property
    def token(self) -> _Token:
        return self.tokens[self.at]

    def take(self, kind: str, what: str) -> _Token:
        token = self.token
        if token.kind != kind:
            found = "the end" if token.kind == "end" else repr(token.text)
            raise PipelineError(f"expected {what}, found {found}", self.text, token.start, token.end)
        self.at += 1
        return token

    def accept(self, kind: str) -> bool:
        if self.token.kind == kind:
            self.at += 1
            return True
        return False

    def pipeline(self) -> list[Pass]:
        passes: list[Pass] = []
        if self.token.kind == "end":
            return passes
        passes.append(self.one_pass())
        while not self.accept("end"):
            self.take(",", "',' or the end of the pipeline")
            passes.append(self.one_pass())
        return passes

    def one_pass(self) -> Pass:
        name = self.take("word", "the name of a pass")
        cls = self.lookup(name)
        options: dict[str, list[str]] = {}
        spans: dict[str, _Token] = {}
        if self.accept("{"):
            while not self.accept("}"):
                option = self.take("word", "the name of an option or '}'")
                if option.text in options:
                    raise PipelineError(f"option {option.text} is given twice", self.text, option.start, option.end)
                spans[option.text] = option
                options[option.text] = self.values()
        try:
            return cls.from_options(options)
        except OptionError as error:
            span = spans.get(error.option, name)
            hint = near(error.option, [o.name for o in cls.options()]) if error.option in options else ""
            raise PipelineError(str(error), self.text, span.start, span.end, hint) from None

    def values(self) -> list[str]:
        if not self.accept("="):
            return ["true"]
        if self.token.kind not in ("word", "string") or self.tokens[self.at + 1].kind == "=":
            return []  # "kinds=" is the empty list; the word after it starts the next option
        out = [self.value()]
        while self.accept(","):
            out.append(self.value())
        return out

    def value(self) -> str:
        token = self.token
        if token.kind != "string":
            return self.take("word", "a value").text
        self.at += 1
        try:
            value = json.loads(token.text, strict=False)
        except ValueError as error:
            raise PipelineError(f"malformed string: {error}", self.text, token.start, token.end) from None
        return str(value)

    def lookup(self, name: _Token) -> type[Pass]:
        known = pass_registry.names()
        if name.text not in known:
            hint = near(name.text, known) or "--list-passes shows every pass"
            raise PipelineError(f"no pass is called {name.text!r}", self.text, name.start, name.end, hint)
        try:
            return pass_registry.load(name.text)
        except pass_registry.PassRegistryError as error:
            raise PipelineError(str(error), self.text, name.start, name.end) from error


def near(name: str, known: Sequence[str]) -> str:
    """``did you mean a, b?`` for the names close to ``name``; "" when there is none."""
    matches = difflib.get_close_matches(name.replace("_", "-"), known, n=3, cutoff=0.6)
    return f"did you mean {', '.join(matches)}?" if matches and name not in matches else ""


def parse_pipeline(text: str) -> list[Pass]:
    """The passes that a pipeline text names.

    Raises
    ------
    PipelineError
        With a caret, and near misses for unknown names.
    """
    return _Parser(text).pipeline()


def print_pipeline(passes: Sequence[Pass]) -> str:
    """The text that :func:`parse_pipeline` reads back as equal passes."""
    return ",".join(p.spec for p in passes)


class PassFailure(DiagnosticError):
    """A pass, or a check after it, failed; ``__cause__`` is what it raised.

    Attributes
    ----------
    spec
        The pass as pipeline text.
    crash
        True when the pass raised something else than an :class:`IRError`: a bug of the pass, not of its input.
    """

    def __init__(self, pass_: Pass, error: Exception) -> None:
        self.spec, self.crash = pass_.spec, not isinstance(error, IRError)
        first, *rest = from_error(error).diagnostics
        verb = "crashed" if self.crash else "failed"
        super().__init__([attrs.evolve(first, message=f"pass {self.spec} {verb}: {first.message}"), *rest])


@attrs.define
class PassManager:
    """Runs passes in order, watched by instruments.

    Attributes
    ----------
    passes
        The passes.
    instruments
        A stack: the first one is outermost.
    """

    passes: Sequence[Pass]
    instruments: Sequence[Instrument] = ()

    @classmethod
    def from_text(cls, pipeline: str, instruments: Sequence[Instrument] = ()) -> PassManager:
        """A pass manager for a pipeline text."""
        return cls(parse_pipeline(pipeline), instruments)

    def run(self, module: Module) -> list[PassRun]:
        """Run all passes on ``module`` in place and give what each of them did.

        Raises
        ------
        PassFailure
            At the first pass that fails, crashes, or does not accept the module's stage.
        """
        with_text = any(i.needs_text for i in self.instruments)
        runs: list[PassRun] = []
        for instrument in self.instruments:
            instrument.before_pipeline(module, self.passes)
        text = snapshot(module) if with_text and self.passes else None
        for at, pass_ in enumerate(self.passes):
            run = PassRun(pass_, module, PassContext.of(pass_, module), tuple(self.passes[at + 1:]), stage_of(module),
                          stage_of(module), before=text)
            self._run_one(run, with_text)
            runs.append(run)
            text = run.after
        for instrument in reversed(self.instruments):
            instrument.after_pipeline(module)
        return runs

    def _run_one(self, run: PassRun, with_text: bool) -> None:
        try:
            for instrument in self.instruments:
                instrument.before_pass(run)
            self._check_stage(run)
            start = time.perf_counter()
            run.pass_.run(run.module, run.ctx)
            run.seconds = time.perf_counter() - start
            if run.pass_.changes_stage():
                run.module.attrs_ = {**run.module.attrs_, "stage": run.pass_.stage_out}
            run.stage_after = stage_of(run.module)
            if with_text:
                run.after = snapshot(run.module)
            for instrument in reversed(self.instruments):
                instrument.after_pass(run)
        except Exception as error:
            failure = PassFailure(run.pass_, error)
            for instrument in reversed(self.instruments):
                instrument.pass_failed(run, failure)
            raise failure from error

    @staticmethod
    def _check_stage(run: PassRun) -> None:
        if not run.pass_.accepts(run.stage_before):
            raise IRError(f"it takes a module of stage {run.pass_.stage_in}, this one is of stage {run.stage_before}",
                          run.module)


def run_passes(module: Module, *passes: Pass | str, instruments: Sequence[Instrument] = ()) -> list[PassRun]:
    """Run passes, given as objects or as pipeline text, on a module in place."""
    flat: list[Pass] = []
    for item in passes:
        flat += parse_pipeline(item) if isinstance(item, str) else [item]
    return PassManager(flat, instruments).run(module)
