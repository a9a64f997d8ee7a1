"""Dialects are found by name, once, and a clash names both sides."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.metadata import EntryPoint, EntryPoints

import pytest

from irsql.ir import registry
from irsql.ir.core import IRError
from irsql.ir.diagnostics import DiagnosticError
from irsql.ir.parser import parse_module


@pytest.fixture(autouse=True)
def fresh() -> Iterator[None]:
    registry.dialects.cache_clear()
    registry.load_dialect.cache_clear()
    yield
    registry.dialects.cache_clear()
    registry.load_dialect.cache_clear()


def entries(monkeypatch: pytest.MonkeyPatch, *pairs: tuple[str, str]) -> None:
    found = EntryPoints(EntryPoint(name, value, "irsql.dialects") for name, value in pairs)
    monkeypatch.setattr(registry, "entry_points", lambda group: found.select(group=group))


def test_the_dialects_of_the_project_load() -> None:
    assert all(registry.load_dialect(name) for name in registry.DIALECTS)
    assert not registry.load_dialect("nope")


def test_an_entry_point_is_a_dialect(monkeypatch: pytest.MonkeyPatch) -> None:
    entries(monkeypatch, ("mine", "tests.ir.toy:Add"))
    assert registry.dialects()["mine"] == "tests.ir.toy:Add"
    assert registry.load_dialect("mine")


def test_the_same_entry_twice_is_no_clash(monkeypatch: pytest.MonkeyPatch) -> None:
    entries(monkeypatch, ("mine", "tests.ir.toy"), ("mine", "tests.ir.toy"))
    assert registry.load_dialect("mine")


@pytest.mark.parametrize("pairs", [[("tir", "other.tir")], [("mine", "a.b"), ("mine", "c.d")]])
def test_a_clash_names_both(monkeypatch: pytest.MonkeyPatch, pairs: list[tuple[str, str]]) -> None:
    entries(monkeypatch, *pairs)
    with pytest.raises(IRError, match=r"declared twice: by (irsql\.dialects\.tir and by other\.tir|a\.b and by c\.d)"):
        registry.dialects()


def test_a_module_that_cannot_be_imported(monkeypatch: pytest.MonkeyPatch) -> None:
    entries(monkeypatch, ("mine", "no.such.module"))
    with pytest.raises(DiagnosticError, match=r"1:1: error: dialect 'mine' is declared by no\.such\.module"):
        parse_module('"mine.x"() : () -> ()')
