"""Pages of the documentation that are read off the code: a page a dialect and a pass, their indexes, the reference.

``mkdocs build`` gets them through :mod:`irsql.tools.docs.hooks` and writes no file into the repository. To look at them
without mkdocs: ``python -m irsql.tools.docs.generate FOLDER``; with names of dialects and passes after it, of any
package, their pages alone.
"""

from __future__ import annotations

import inspect
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import attrs

from irsql.ir import pass_registry, registry
from irsql.ir.attributes import REGISTRY, Attribute
from irsql.ir.core import OPS, IRError, Op
from irsql.ir.passes import Pass, option_docs
from irsql.ir.typecheck import fields_of
from irsql.tools.docs import reference

DIALECTS = ("tir", "rel", "expr", "sql")
_ROLE = re.compile(r":(?:class|func|meth|mod|data|attr):`~?(?:[\w.]*\.)?([\w ]+)`")
_CODE = re.compile(r"``([^`]+)``")
_SECTION = re.compile(r"^(\w[\w ,]*)\n-{3,}$", re.MULTILINE)
_TEXT_SECTIONS = ("**Notes**", "**References**")
"""Sections of running text; the others list names."""


def pages() -> dict[str, str]:
    """Path below ``docs/`` to Markdown text of every generated page."""
    out = {"dialects/index.md": _dialect_index(), "passes/index.md": _pass_index()}
    out["reference/python.md"] = reference.python_page(markdown)
    out["reference/command_line.md"] = reference.command_page()
    out["reference/operators.md"] = reference.operator_page()
    out |= {f"dialects/{name}.md": dialect_page(name) for name in DIALECTS}
    for name in pass_registry.names():
        cls = pass_registry.load(name)
        if cls.__module__.startswith("irsql."):
            out[f"passes/{name}.md"] = pass_page(cls)
    return out


def markdown(docstring: str | None) -> str:
    """A NumPy-style docstring as Markdown: double backticks, roles, literal blocks and section titles."""
    text = inspect.cleandoc(docstring or "")
    text = _CODE.sub(r"`\1`", _ROLE.sub(r"`\1`", text))
    text = _SECTION.sub(r"**\1**\n", text)
    lines: list[str] = []
    in_section = False
    for line in text.splitlines():
        if re.fullmatch(r"\*\*[\w ,]+\*\*", line):
            in_section = line not in _TEXT_SECTIONS
        if in_section and line and not line.startswith((" ", "**")):
            line = f"- `{line}`:"
        lines.append(re.sub(r"::$", ":", line) if not in_section else line.replace("    ", "  ", 1))
    return "\n".join(lines).strip()


def summary(docstring: str | None) -> str:
    """The first paragraph of a docstring on one line."""
    return " ".join(markdown(docstring).split("\n\n")[0].split())


def operations(dialect: str) -> list[type[Op]]:
    """The op classes of a dialect in order of declaration."""
    registry.load_dialect(dialect)
    return [cls for name, cls in OPS.items() if name.startswith(dialect + ".")]


def _attributes(dialect: str) -> list[type[Attribute]]:
    return [cls for key, cls in REGISTRY.items() if key[1:].startswith(dialect + ".")]


def dialect_page(dialect: str) -> str:
    """The page of a dialect: what it is, its types and attributes, its operations."""
    ops = operations(dialect)
    module = sys.modules[registry.dialects()[dialect].partition(":")[0]]
    declared = sys.modules[ops[0].__module__]
    text = markdown(declared.__doc__ or module.__doc__).removeprefix(f"`{dialect}`: ")
    parts = [f"# {dialect}", text[:1].upper() + text[1:]]
    types = _attributes(dialect)
    if types:
        parts.append("## Types and attributes")
        for cls in types:
            sigil = "!" if next(k for k, v in REGISTRY.items() if v is cls).startswith("!") else "#"
            fields = ", ".join(fields_of(cls))
            parts += [f"### `{sigil}{cls.mnemonic}<{fields}>`", markdown(cls.__doc__)]
    parts.append("## Operations")
    for op in ops:
        parts += [f"### {op.name}", _signature(op), _with_kinds(markdown(op.__doc__), declared)]
        table = _attribute_table(op)
        if table:
            parts.append(table)
    return "\n\n".join(p for p in parts if p) + "\n"


def _with_kinds(text: str, declared: ModuleType) -> str:
    """The text with "see `UNARY`" replaced by what the constant of the dialect's module lists."""
    return re.sub(r"; see `([A-Z]+)`", lambda m: ": " + ", ".join(f"`{k}`" for k in getattr(declared, m[1])), text)


def _signature(op: type[Op]) -> str:
    operands = [f"%{name}" for name in op.info.operands]
    if op.info.variadic:
        operands.append(f"%{op.info.variadic}…")
    regions = "".join(f" {{{name}}}" for name in op.info.regions)
    traits = [word for word, has in (("pure", op.pure), ("terminator", op.is_terminator)) if has]
    return f"`{op.name}({', '.join(operands)}){regions}`" + (f" *({', '.join(traits)})*" if traits else "")


def _attribute_table(op: type[Op]) -> str:
    fields = fields_of(op)
    rows: list[str] = []
    for field, key in op.info.attributes.items():
        default: Any = fields[field].default
        shown = "required" if default is attrs.NOTHING else "empty" if hasattr(default, "factory") else f"`{default!r}`"
        rows.append(f"| `{key}` | `{_cell(str(fields[field].type))}` | {shown} |")
    return "\n".join(["| attribute | type | default |", "|---|---|---|", *rows]) if rows else ""


def pass_page(cls: type[Pass]) -> str:
    """The page of a pass: summary, stages, what its class and its file say, the identity it uses, sources, options."""
    text, notes, identity = markdown(cls.__doc__).partition("**Notes**")
    identity = identity.replace("**References**", "## References").strip()
    parts = [f"# {cls.name}", f"{_sentence(cls.summary)}", f"Stage: {_stages(cls)}. Source: `{_source(cls)}`.",
             text.strip(), _beyond_summary(cls), "## Identity" if notes else "", identity]
    if cls.options():
        docs = option_docs(cls)
        rows = [" | ".join(["", f"`{o.name}`", f"`{_cell(o.type_text)}`", _cell(o.default_text),
                            _cell(markdown(docs.get(o.name, ""))), ""]).strip() for o in cls.options()]
        parts += ["## Options", "\n".join(["| option | type | default | |", "|---|---|---|---|", *rows])]
    return "\n\n".join(p for p in parts if p) + "\n"


def _beyond_summary(cls: type[Pass]) -> str:
    """What the file of a pass says after its first paragraph, if the file is that of the pass and of nothing else."""
    module = sys.modules[cls.__module__]
    if cls.__module__.rpartition(".")[2] != cls.name.replace("-", "_"):
        return ""
    return markdown(module.__doc__).partition("\n\n")[2]


def _cell(text: str) -> str:
    return text.replace("|", r"\|")


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:].rstrip(".") + "."


def _stages(cls: type[Pass]) -> str:
    return "any" if cls.stage_in == "any" else cls.stage_in if not cls.changes_stage() else (
        f"{cls.stage_in} to {cls.stage_out}")


def _source(cls: type[Pass]) -> str:
    return cls.__module__.removeprefix("irsql.").replace(".", "/") + ".py"


def _dialect_index() -> str:
    rows = [f"| [{d}]({d}.md) | {summary(sys.modules[operations(d)[0].__module__].__doc__).removeprefix(f'`{d}`: ')} |"
            for d in DIALECTS]
    head = ["# Dialects", "", "Read off the declarations of the operations.", "", "| dialect | |", "|---|---|"]
    return "\n".join([*head, *rows]) + "\n"


def _pass_index() -> str:
    rows: list[str] = []
    for name in pass_registry.names():
        cls = pass_registry.load(name)
        if cls.__module__.startswith("irsql."):
            rows.append(f"| [{name}]({name}.md) | {_stages(cls)} | {cls.summary} |")
    return "\n".join(["# Passes", "", "Read off the passes; `irsql-opt --list-passes` prints the same.", "",
                      "| pass | stage | |", "|---|---|---|", *rows]) + "\n"


def named(names: Sequence[str]) -> dict[str, str]:
    """The pages of these dialects and passes, wherever they come from.

    Raises
    ------
    IRError
        If a name is neither.
    """
    out: dict[str, str] = {}
    for name in names:
        if name in registry.dialects():
            out[f"dialects/{name}.md"] = dialect_page(name)
        elif name in pass_registry.names():
            out[f"passes/{name}.md"] = pass_page(pass_registry.load(name))
        else:
            raise IRError(f"no dialect and no pass is called {name!r}")
    return out


def main(argv: list[str] | None = None) -> None:
    """Write all pages, or those of the names given, below a folder."""
    folder, *names = sys.argv[1:] if argv is None else argv
    for path, text in (named(names) if names else pages()).items():
        (Path(folder) / path).parent.mkdir(parents=True, exist_ok=True)
        (Path(folder) / path).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
