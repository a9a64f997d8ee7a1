"""The pipelines that are compared: the whole one, without a pass, or with other options of one."""

from __future__ import annotations

import textwrap
import time
from collections.abc import Callable, Sequence
from typing import Any

import attrs

from irsql.compile import compile_module
from irsql.ir.bisect import clone
from irsql.ir.core import IRError, Module
from irsql.ir.diagnostics import from_error
from irsql.ir.passes import Pass
from irsql.ir.pipeline import parse_pipeline, print_pipeline
from irsql.runtime.errors import UserError
from irsql.targets.program import Program

FULL = "full pipeline"
LAYOUT = "select-layout"
SCALAR = "select-layout{form=scalar}"
_REASON = 160
"""Characters of a reason that are kept."""


@attrs.frozen
class Variant:
    """A pipeline and what it makes of a model.

    Attributes
    ----------
    name
        What is different about it.
    pipeline
        Its text.
    program
        What it compiles to; None where it does not.
    reason
        Why not.
    same_as
        Name of an earlier variant with the same program.
    seconds
        Of compiling.
    """

    name: str
    pipeline: str
    program: Program | None
    reason: str = ""
    same_as: str = ""
    seconds: float = 0.0


def pipelines(passes: Sequence[Pass], options: Sequence[str] = ()) -> dict[str, str]:
    """The texts of all variants by name: the whole pipeline, with options, and each pass left out everywhere it runs.

    Raises
    ------
    UserError
        If options are none of one pass of the pipeline.
    """
    out = {FULL: print_pipeline(passes)}
    for text in options:
        try:
            found = parse_pipeline(text)
        except IRError as error:
            raise UserError(f"{text!r} is no pass with options: {from_error(error).diagnostics[0].message}") from error
        if len(found) != 1 or all(p.name != found[0].name for p in passes):
            raise UserError(f"{text!r} is no pass of the pipeline with options")
        out[text] = print_pipeline([found[0] if p.name == found[0].name else p for p in passes])
    for name in dict.fromkeys(p.name for p in passes):
        out[f"without {name}"] = print_pipeline([p for p in passes if p.name != name])
    return out


def compile_variants(module: Module, meta: dict[str, Any], target: str, text: str, without: Sequence[str] | None,
                     options: Sequence[str] = (), progress: Callable[[str], object] = lambda _: None) -> list[Variant]:
    """Compile the whole pipeline and variants of it.

    Whether a pass can be left out is found by leaving it out: a program that does not compile says why.

    Parameters
    ----------
    module
        At the tir stage; it stays as it is.
    meta
        Facts for the runtime.
    target
        Name of the engine.
    text
        The whole pipeline.
    without
        The passes to leave out in turn; None for every one, and scalar rows.
    options
        Passes with options of their own, one a variant: ``select-layout{form=scalar}``.
    progress
        Takes the name of what is compiled next.

    Raises
    ------
    UserError
        If the pipeline has no such pass, or options are none of one pass.
    IRError
        If the whole pipeline does not compile.
    """
    out: list[Variant] = []
    passes = parse_pipeline(text)
    if without is None and any(p.name == LAYOUT for p in passes):
        options = tuple(dict.fromkeys((SCALAR, *options)))
    texts = pipelines(passes, options)
    if without is not None:
        wanted = [f"without {name}" for name in without]
        if unknown := [name for name in wanted if name not in texts]:
            there = ", ".join(name.removeprefix("without ") for name in texts if name.startswith("without "))
            raise UserError(f"the pipeline has no pass {unknown[0].removeprefix('without ')!r}; it has {there}")
        texts = {name: texts[name] for name in (FULL, *options, *wanted)}
    for name, pipeline in texts.items():
        progress(name)
        begin = time.perf_counter()
        try:
            program = compile_module(clone(module), target, meta=meta, pipeline_text=pipeline).program
        except Exception as error:
            # A pass that meets what another would have taken away may crash: that too is an answer.
            if name == FULL:
                raise
            out.append(Variant(name, pipeline, None, _reason(error)))
            continue
        same = next((v.name for v in out if v.program is not None and _equal(v.program, program)), "")
        out.append(Variant(name, pipeline, program, same_as=same, seconds=time.perf_counter() - begin))
    return out


def _equal(a: Program, b: Program) -> bool:
    return a.text_hash == b.text_hash and a.functions == b.functions


def _reason(error: Exception) -> str:
    if isinstance(error, IRError):
        return textwrap.shorten(from_error(error).diagnostics[0].message, _REASON, placeholder=" …")
    return f"{type(error).__name__}: {error}"
