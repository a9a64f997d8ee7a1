"""What the documentation takes from the code is what the code says now."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from irsql.ir import pass_registry
from irsql.ir.core import OPS
from irsql.tools.docs import dataflow, generate, picture

ROOT = Path(__file__).parents[2]


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
    own = [n for n in pass_registry.names() if pass_registry.load(n).__module__.startswith("irsql.")]
    assert len(own) > 10
    for name in own:
        page = pages[f"passes/{name}.md"]
        assert re.search(r"Source: `(passes/.*\.py)`", page)
        for option in pass_registry.load(name).options():
            assert f"| `{option.name}` |" in page


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


def test_the_first_look_is_what_the_compiler_makes() -> None:
    pytest.importorskip("torch")
    from irsql.tools.docs import first_look

    look = first_look.first_look()
    for name in first_look.PAGES:
        text = (ROOT / name).read_text(encoding="utf-8")
        assert text == first_look.updated(text, look), f"{name} is old: run python -m irsql.tools.docs.first_look"
