"""Pages of the documentation read off the entry points: the Python API, the command line, the operators taken in."""

from __future__ import annotations

import importlib
import inspect
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

API = {
    "Compiling a module": ("irsql.compile:compile", "irsql.compiled:Compiled", "irsql.frontend:capture"),
    "Language models": (
        "irsql.api:load", "irsql.api:Model", "irsql.runtime.settings:Settings", "irsql.runtime.generate:Generation",
        "irsql.runtime.generate:Piece", "irsql.runtime.sequence:TokenSequence",
    ),
}  # fmt: skip
"""Sections of the Python page: what each shows, as ``module:name``."""


def python_page(markdown: Callable[[str | None], str]) -> str:
    """Functions and classes that users call, with what their docstrings say.

    Parameters
    ----------
    markdown
        Turns a docstring into Markdown.
    """
    parts = ["# Python", "Read off the code. `irsql.compile`, `irsql.capture` and `irsql.load` are the entry points; "
             "the rest is what they give."]  # fmt: skip
    for title, names in API.items():
        parts.append(f"## {title}")
        for name in names:
            module, _, attribute = name.partition(":")
            found = getattr(importlib.import_module(module), attribute)
            public = "irsql" if module in ("irsql.compile", "irsql.frontend", "irsql.api") else module
            parts += [f"### {public}.{attribute}", _signature(attribute, found), markdown(found.__doc__)]
            if inspect.isclass(found):
                for method, function in _methods(found):
                    parts += [f"#### {attribute}.{method}", _signature(method, function), markdown(function.__doc__)]
    return "\n\n".join(p for p in parts if p) + "\n"


def _methods(cls: type) -> list[tuple[str, Any]]:
    """The documented public methods, inherited ones of irsql too, in order of definition."""
    found: dict[str, Any] = {}
    for owner in reversed(cls.__mro__):
        if owner.__module__.startswith("irsql."):
            for name, value in vars(owner).items():
                function = value.fget if isinstance(value, property) else getattr(value, "__func__", value)
                public = not name.startswith("_") or name == "__call__"
                if public and inspect.isfunction(function) and function.__doc__:
                    found[name] = value if isinstance(value, property) else function
    return list(found.items())


def _signature(name: str, value: Any) -> str:
    if isinstance(value, property):
        return f"`{name}`: {value.fget.__annotations__.get('return', '')}" if value.fget else ""
    parameters = [p for p in inspect.signature(value).parameters.values() if p.name not in ("self", "cls")]
    shown: list[str] = []
    for p in parameters:
        if p.kind is p.KEYWORD_ONLY and not any(x == "*" or x.startswith("*") for x in shown):
            shown.append("*")
        prefix = "*" if p.kind is p.VAR_POSITIONAL else "**" if p.kind is p.VAR_KEYWORD else ""
        default = "" if p.default is p.empty else f"={_default(p.default)}"
        shown.append(f"{prefix}{p.name}{default}")
    return f"```python\n{name}({', '.join(shown)})\n```"


def _default(value: Any) -> str:
    return repr(value) if isinstance(value, (bool, int, float, str, tuple, type(None))) else "…"


def command_page() -> str:
    """What ``--help`` of every command prints."""
    from typer.main import get_command

    from irsql.tools import cli, irsql_opt, irsql_reduce

    parts = ["# Command line", "What `--help` prints. Results go to standard output, everything else to standard "
             "error; errors give exit code 1, usage errors 2."]  # fmt: skip
    group: Any = get_command(cli.app)
    with _narrow():
        parts.append("## irsql")
        for name, command in sorted(group.commands.items()):
            parts += [f"### irsql {name}", _options(name, command)]
        for parser in (irsql_opt.build_parser(), irsql_reduce.build_parser()):
            parts += [f"## {parser.prog}", f"```text\n{parser.format_help().rstrip()}\n```"]
    return "\n\n".join(parts) + "\n"


def _options(name: str, command: Any) -> str:
    """A command's help as Markdown: its text, and a table of its arguments and options."""
    text = inspect.cleandoc(command.help or "").partition("Examples\n")[0].partition("Example:\n")[0].rstrip()
    rows = []
    for p in command.params:
        if p.name == "help":
            continue
        flag = f"`{p.metavar or p.name.upper()}`" if not p.opts[0].startswith("-") else ", ".join(
            f"`{o}`" for o in (*p.opts, *p.secondary_opts))  # fmt: skip
        rows.append(f"| {flag} | {(getattr(p, 'help', '') or '').replace('|', chr(92) + '|')} |")
    return "\n".join([text, "", "| | |", "|---|---|", *rows])


@contextmanager
def _narrow() -> Iterator[None]:
    """Let argparse wrap at the same width everywhere, not at the terminal's."""
    before = os.environ.get("COLUMNS")
    os.environ["COLUMNS"] = "100"
    try:
        yield
    finally:
        if before is None:
            del os.environ["COLUMNS"]
        else:
            os.environ["COLUMNS"] = before


def operator_page() -> str:
    """The operators that the importer takes, read off its table."""
    from irsql.frontend.importer import graph  # noqa: F401 - fills the table
    from irsql.frontend.importer.registry import HANDLERS

    overloads: dict[str, list[str]] = {}
    for target in HANDLERS:
        base, _, overload = str(target).rpartition(".")
        overloads.setdefault(base or str(target), []).append(overload)
    rows = [f"| `{base}` | {', '.join(f'`{o}`' for o in sorted(names))} |" for base, names in sorted(overloads.items())]
    text = ("What a captured graph may call, read off the importer's table. Other operators are first rewritten by "
            "torch's own decompositions (`torch.export.default_decompositions()`); those that end in something unknown "
            "are reported together, each with its first source line.")  # fmt: skip
    head = ["# Operators", "", text, "", "| operator | overloads |", "|---|---|"]
    return "\n".join([*head, *rows]) + "\n"
