"""What the documentation takes from the code is what the code says now."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from irsql.ir import pass_registry
from irsql.ir.core import OPS
from irsql.ir.passes import option_docs
from irsql.tools import irsql_opt, irsql_reduce
from irsql.tools.docs import dataflow, generate, picture
from irsql.tools.irsql_opt import list_passes

ROOT = Path(__file__).parents[2]
OWN = [n for n in pass_registry.names() if pass_registry.load(n).__module__.startswith("irsql.passes.")]


def test_the_committed_picture_is_what_its_script_draws() -> None:
    assert (ROOT / "docs/img/stages.svg").read_text(encoding="utf-8") == picture.draw()


@pytest.mark.parametrize("name", dataflow.PICTURES)
def test_the_committed_pictures_of_functions(name: str) -> None:
    assert (ROOT / name).read_text(encoding="utf-8") == dataflow.PICTURES[name](), (
        f"{name} is old: run python -m irsql.tools.docs.dataflow")


def test_the_picture_names_passes_that_exist() -> None:
    named = {name for stage in picture.STAGES for name in stage.passes}
    assert named
    assert named <= set(pass_registry.names())


def test_every_operation_and_pass_has_its_place() -> None:
    pages = generate.pages()
    for dialect in generate.DIALECTS:
        page = pages[f"dialects/{dialect}.md"]
        for name, op in OPS.items():
            if name.startswith(dialect + "."):
                assert f"### {name}\n" in page
                assert op.__doc__
    assert len(OWN) > 10
    for name in OWN:
        page = pages[f"passes/{name}.md"]
        assert re.search(r"Source: `(passes/.*\.py)`", page)
        for option in pass_registry.load(name).options():
            assert f"| `{option.name}` |" in page


def test_every_pass_and_every_option_is_documented(capsys: pytest.CaptureFixture[str]) -> None:
    list_passes()
    listed = dict(re.findall(r"^(\S+)  \(.*\n((?:    .*\n)*)", capsys.readouterr().out, re.MULTILINE))
    pages = generate.pages()
    for name in pass_registry.names():
        cls = pass_registry.load(name)
        if not cls.__module__.startswith("irsql."):
            continue  # of a test
        docs = option_docs(cls)
        assert cls.__dict__.get("__doc__"), f"{name} has no docstring"
        assert listed[name].startswith(f"    {cls.summary}\n")
        for option in cls.options():
            text = docs.get(option.name)
            assert text, f"option {option.name} of {name} has no string under its field"
            assert text in listed[name]
            assert generate.markdown(text).replace("|", "\\|") in pages[f"passes/{name}.md"]


@pytest.mark.parametrize("name", OWN)
def test_every_pass_names_its_identity_and_its_source(name: str) -> None:
    """The sections Notes and References of its docstring, with a formula in the first."""
    page = generate.pass_page(pass_registry.load(name))
    found = re.search(r"^## Identity\n\n(.+?)\n\n## References\n\n(.+?)(?=\n\n## |\Z)", page, re.MULTILINE | re.DOTALL)
    assert found is not None, f"{name}: its docstring needs the sections Notes and References"
    assert re.search(r"`[^`]+`", found[1]), f"{name}: Notes of its docstring has no formula"
    assert len(found[2].strip()) > 10


def test_every_command_and_its_flags_have_their_place() -> None:
    page = generate.pages()["reference/command_line.md"]
    for parser in (irsql_opt.build_parser(), irsql_reduce.build_parser()):
        assert f"## {parser.prog}\n" in page
        flags = {flag for action in parser._actions for flag in action.option_strings}
        assert len(flags) > 5
        assert all(flag in page for flag in flags)


def test_generated_pages_hold_no_markup_of_docstrings() -> None:
    for path, text in generate.pages().items():
        assert "``" not in text.replace("```", ""), path
        assert not re.search(r":(class|func|meth|data|mod):`", text), path


def test_markdown_of_a_numpy_docstring() -> None:
    doc = """Does :func:`~a.b.thing` with ``x | y``.

    Attributes
    ----------
    one, two
        What they are.
    """
    assert generate.markdown(doc) == "Does `thing` with `x | y`.\n\n**Attributes**\n\n- `one, two`:\n  What they are."
    doc = """Does it.

    Notes
    -----
    ``f(x) = x``
    """
    assert generate.markdown(doc) == "Does it.\n\n**Notes**\n\n`f(x) = x`"


def test_the_first_look_is_what_the_compiler_makes() -> None:
    pytest.importorskip("torch")
    from irsql.tools.docs import first_look

    look = first_look.first_look()
    for name in first_look.PAGES:
        text = (ROOT / name).read_text(encoding="utf-8")
        assert text == first_look.updated(text, look), f"{name} is old: run python -m irsql.tools.docs.first_look"
