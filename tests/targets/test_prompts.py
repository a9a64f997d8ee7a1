"""Prompts as rows: what a script checks before anything is started."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import attrs
import pytest

from irsql.runtime.session import Model
from irsql.runtime.settings import Settings
from irsql.targets.base import shell
from irsql.targets.control import PROMPT, SETTING, STATE
from irsql.targets.errors import EngineError
from irsql.targets.prompts import Prompts
from tests.models.targets import ENGINES
from tests.runtime import toy


@pytest.fixture(params=ENGINES)
def model(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Model]:
    with Model.open(toy.database(tmp_path / "toy", target=request.param)) as opened:
        yield opened


def prompts_of(model: Model) -> Prompts:
    return Prompts(shell(model.program.target))


def start(model: Model, sampler: str) -> None:
    with model.db.transaction():
        for statement in prompts_of(model).start(toy.CONTEXT, sampler):
            model.db.execute(statement)


def run(model: Model, prompts: list[Any], sampler: str = "sample_filtered", **changes: Any) -> None:
    """Give prompts, change the one row of settings, and start."""
    db, c = model.db, model.db.control
    settings = {"max_new_tokens": 3, **attrs.asdict(Settings())} | changes
    for statement in prompts_of(model).defaults(settings, []):
        db.execute(statement)
    for row in prompts:
        db.execute(c.insert(PROMPT, ("seq", "pos", "id"), STATE), list(row))
    start(model, sampler)


GOOD = [(3, 0, 5), (3, 1, 9), (8, 0, 7)]


def test_prompts_become_sequences(model: Model) -> None:
    run(model, GOOD, temperature=0.5, seed=4)
    assert model.sequences() == [3, 8]
    three = model.look(3)
    assert (three.ids, three.prompt_length, three.max_length) == ([5, 9], 2, 5)
    assert three.settings == Settings(temperature=0.5, seed=4)
    assert model.db.rows(model.db.control.read(PROMPT, ("seq",), STATE)) == []


@pytest.mark.parametrize(("prompts", "changes", "problem"), [
    ([(0, 0, toy.VOCAB)], {}, "no token of the model"),
    ([(0, 1, 5)], {}, "positions are not 0, 1, 2"),
    ([(0, 0, 5), (0, 0, 6)], {}, "positions are not 0, 1, 2"),
    ([(0, 0, 5), (0, 2, 6)], {}, "positions are not 0, 1, 2"),
    ([(0, i, 5) for i in range(toy.CONTEXT)], {}, "no room for new tokens"),
    ([(-1, 0, 5)], {}, "number is negative or missing"),
    ([(None, 0, 5)], {}, "number is negative or missing"),
    ([(0, None, 5)], {}, "positions are not 0, 1, 2"),
    ([(0, 0, None)], {}, "no token of the model"),
    (GOOD, {"temperature": None}, "outside of its range"),
    (GOOD, {"temperature": -0.5}, "outside of its range"),
    (GOOD, {"temperature": float("nan")}, "outside of its range"),
    (GOOD, {"top_p": 1.5}, "outside of its range"),
    (GOOD, {"min_p": -1.0}, "outside of its range"),
    (GOOD, {"repetition_penalty": 0.0}, "outside of its range"),
    (GOOD, {"seed": 2**62}, "outside of its range"),
    (GOOD, {"max_new_tokens": 0}, "outside of its range"),
    (GOOD, {"top_k": -1}, "outside of its range"),
])  # fmt: skip
def test_bad_rows_start_nothing(model: Model, prompts: list[Any], changes: dict[str, Any],
                                problem: str) -> None:  # fmt: skip
    with pytest.raises(EngineError, match=problem):
        run(model, prompts, **changes)
    assert model.sequences() == []


@pytest.mark.parametrize("change", ["none", "two"])
def test_settings_are_one_row(model: Model, change: str) -> None:
    db, c = model.db, model.db.control
    row = {"max_new_tokens": 3, **attrs.asdict(Settings())}
    for _ in range(2 if change == "two" else 0):
        db.execute(c.insert(SETTING, tuple(row), STATE), list(row.values()))
    db.execute(c.insert(PROMPT, ("seq", "pos", "id"), STATE), [0, 0, 5])
    with pytest.raises(EngineError, match="must have exactly one row"):
        start(model, "greedy")


def test_a_taken_number(model: Model) -> None:
    model.sequence()
    with pytest.raises(EngineError, match="there already"):
        run(model, [(0, 0, 5)])


@pytest.mark.parametrize(("sampler", "changes", "fits"), [
    ("greedy", {"temperature": 0.5}, False), ("greedy", {"repetition_penalty": 1.5}, False), ("greedy", {}, True),
    ("sample", {"temperature": 0.5}, True), ("sample", {"temperature": 0.5, "top_k": 3}, False),
    ("sample", {"top_k": 3}, True), ("sample_filtered", {"temperature": 0.5, "top_k": 3}, True),
])  # fmt: skip
def test_settings_beyond_what_the_scripts_can(model: Model, sampler: str, changes: dict[str, Any], fits: bool) -> None:
    if fits:
        run(model, GOOD, sampler, **changes)
        assert model.sequences() == [3, 8]
        return
    with pytest.raises(EngineError, match="compile them with the options of irsql_setting"):
        run(model, GOOD, sampler, **changes)
