"""Names that a model brings are never trusted: nothing breaks, nothing of them is executed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

import irsql
from irsql.runtime.generate import generate
from irsql.runtime.session import Model
from irsql.targets.base import driver
from irsql.targets.control import META, MODEL
from irsql.targets.errors import EngineError
from tests.models.targets import TARGETS
from tests.runtime import toy
from tests.targets.test_names import HOSTILE

NAMES = [n for n in HOSTILE if "." not in n and n != "\ud800"]  # torch refuses dots, and its graphs lone surrogates


class Named(nn.Module):
    """Parameters and modules of all these names."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = nn.ModuleList()
        for n, name in enumerate(NAMES):
            module = nn.Module()
            module.register_parameter(name, nn.Parameter(torch.full((3,), 1 + n / 100)))
            outer = nn.Module()
            outer.add_module(name, module)
            self.inner.append(outer)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        for outer, name in zip(self.inner, NAMES, strict=True):
            x = x * getattr(getattr(outer, name), name) + 1
        return x


@pytest.mark.parametrize("target", TARGETS)
def test_of_modules_and_parameters(target: str) -> None:
    module, x = Named(), torch.tensor([0.5, -1.0, 2.0])
    compiled = irsql.compile(module, (x,), target=target)
    torch.testing.assert_close(compiled(x), module(x).detach())
    assert "DROP TABLE" not in compiled.sql


def function(*arguments: str) -> nn.Module:
    """A module whose inputs have these names: their sum, each with a weight of its own."""
    scope: dict[str, Any] = {}
    terms = " + ".join(f"{n + 1} * {a}" for n, a in enumerate(arguments))
    exec(f"def forward(self, {', '.join(arguments)}): return {terms}", scope)
    return type("Inputs", (nn.Module,), {"forward": scope["forward"]})()


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("arguments", [
    ("x", "X"), ("a" * 70 + "b", "a" * 70 + "c"), ("é", "É", "ß", "ss"), ("select", "table", "order"),
], ids=["case", "length", "unicode", "keywords"])  # fmt: skip
def test_of_inputs(arguments: tuple[str, ...], target: str) -> None:
    module = function(*arguments)
    given = [torch.tensor([float(n), 1.0]) for n in range(len(arguments))]
    compiled = irsql.compile(module, tuple(given), target=target)
    torch.testing.assert_close(compiled(*given), module(*given))


class Outer(nn.Module):
    """Both sizes in one result."""

    def forward(self, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        return x.sum(0)[:, None] * y.sum(0)


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize(("one", "other"), [("D", "d"), ("d", "dim_d"), ("L" * 70, "L" * 71)])
def test_of_sizes(one: str, other: str, target: str) -> None:
    compiled = irsql.compile(Outer(), (torch.ones(2, 3), torch.ones(4, 5)), target=target,
                             dynamic={"x": {1: one}, "y": {1: other}})  # fmt: skip
    x, y = torch.randn(2, 6), torch.randn(4, 2)
    torch.testing.assert_close(compiled(x, y), Outer()(x, y))


FILES = ("it's; DROP TABLE x; --.db", 'q"uote.db', "a?mode=memory&x=#y.db", "100%41.db", "né.db", "ne\u0301.db",
         "😀 b.db", "new\nline.db", "x" * 200 + ".db", "-rf.db", "file:x.db")  # fmt: skip


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("name", FILES)
def test_of_files(name: str, target: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Databases are the files of these names and no others, also where the name is relative."""
    toy.database(tmp_path, target=target).rename(tmp_path / name)
    monkeypatch.chdir(tmp_path)
    schema = Path(name).is_dir()  # of PostgreSQL, whose states are schemas beside their models
    state = Path("s.db" if schema else f"s{name}") if name.startswith("x") else Path(f"state {name}")
    with Model.open(name, state=state) as model:
        pieces = generate(model, prompt_ids=[1, 5], max_new_tokens=3, stop_ids=[], keep=True)
        assert [p.id for p in pieces] == toy.expected([1, 5], 3)
    assert {p.name for p in tmp_path.iterdir()} == {"toy", name} | (set() if schema else {state.name})
    with Model.open(Path(name).absolute(), state=state if schema else state.absolute()) as model:
        assert model.sequences() == [0]


@pytest.mark.parametrize("target", TARGETS)
def test_a_name_with_nul_is_refused(target: str, tmp_path: Path) -> None:
    with driver(target)() as db, pytest.raises(EngineError, match=r"a\\x00b\.db' cannot be the name of a file"):
        db.attach(tmp_path / "a\0b.db", MODEL)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("target", TARGETS)
def test_rows_are_text(target: str, tmp_path: Path) -> None:
    """What a checkpoint says of itself comes back as it was."""
    with driver(target)() as db:
        db.attach(tmp_path / "m.db", MODEL)
        c = db.control
        db.execute(c.create_table(META, (("key", "text"), ("value", "text")), MODEL))
        texts = [t for t in HOSTILE if "\0" not in t and t != "\ud800"]
        for text in texts:
            db.execute(c.insert(META, ("key", "value"), MODEL), [text, text])
        assert [k for k, _ in db.rows(c.read(META, ("key", "value"), MODEL))] == texts
        db.execute(c.insert_rows(META, ("key", "value"), [(t, "literal") for t in texts], MODEL))
        assert [k for k, _ in db.rows(c.read(META, ("key", "value"), MODEL))] == texts * 2
