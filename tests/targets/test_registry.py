"""Targets are found by name: the project's, and those of other packages by entry point."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.metadata import EntryPoint, EntryPoints

import attrs
import pytest

from irsql.ir import registry
from irsql.ir.core import IRError
from irsql.ir.target import Target
from irsql.targets.base import BACKENDS, Backend, backend, backends, runnable
from irsql.targets.duckdb_tables import DUCKDB

MINE = Backend(Target(name="mine", dialect="duckdb"), DUCKDB.emitter, DUCKDB.driver)
FOREIGN = attrs.evolve(MINE, target=Target(name="foreign", dialect="snowflake"), driver="")


@pytest.fixture(autouse=True)
def fresh() -> Iterator[None]:
    backends.cache_clear()
    yield
    backends.cache_clear()


def entries(monkeypatch: pytest.MonkeyPatch, *pairs: tuple[str, str]) -> None:
    found = EntryPoints(EntryPoint(name, value, "irsql.targets") for name, value in pairs)
    monkeypatch.setattr(registry, "entry_points", lambda group: found.select(group=group))


def test_the_targets_of_the_project_load() -> None:
    assert [backend(name).target.name for name in BACKENDS] == list(BACKENDS)


def test_an_entry_point_is_a_target(monkeypatch: pytest.MonkeyPatch) -> None:
    entries(monkeypatch, ("mine", f"{__name__}:MINE"))
    assert list(backends()) == [*BACKENDS, "mine"]
    assert runnable("mine").target.name == "mine"


def test_what_has_no_driver_is_not_run(monkeypatch: pytest.MonkeyPatch) -> None:
    entries(monkeypatch, ("foreign", f"{__name__}:FOREIGN"))
    assert backend("foreign").target.dialect == "snowflake"
    with pytest.raises(IRError, match=r"'foreign' can be compiled for \(irsql-opt --emit-sql\) and not run"):
        runnable("foreign")


@pytest.mark.parametrize(("name", "place", "message"), [
    ("other", f"{__name__}:MINE", "which is no Backend of that name"),
    ("mine", "attrs:define", "which is no Backend of that name"),
    ("mine", "no.such:THING", "which cannot be imported: No module named 'no'"),
    ("mine", f"{__name__}:NOTHING", "which cannot be imported"),
    ("duckdb", "a:b", r"declared twice: by irsql\.targets\.duckdb_tables:DUCKDB and by a:b"),
])  # fmt: skip
def test_a_package_that_does_not_hold_what_it_says(
    monkeypatch: pytest.MonkeyPatch, name: str, place: str, message: str
) -> None:
    entries(monkeypatch, (name, place))
    with pytest.raises(IRError, match=message):
        backend(name)


def test_an_unknown_name() -> None:
    with pytest.raises(IRError, match="unknown target 'oracle'; there are duckdb"):
        backend("oracle")
