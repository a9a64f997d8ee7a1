"""Sequences of a real model: batches, resumed and forked ones are what uninterrupted single runs are."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from irsql.api import Model
from tests.models.databases import database
from tests.models.llamas import llama_config, random_llama
from tests.models.targets import TARGETS, state_of

PROMPTS = [[1, 5, 9], [7], [3, 3, 3, 3, 3, 3, 3], [50, 60], [99, 2, 4, 8, 16], [11, 12, 13, 14], [42] * 9, [5, 1], [77],
           [30, 20, 10, 1, 2, 3]]  # fmt: skip
STEPS = 6
SETTINGS: dict[str, dict[str, Any]] = {
    "greedy": {},
    "sampled": {"temperature": 0.9, "seed": 3},
    "filtered": {"temperature": 1.2, "top_k": 30, "top_p": 0.9, "min_p": 0.01, "repetition_penalty": 1.3, "seed": 5},
}


@pytest.fixture(scope="module", params=TARGETS)
def path(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Path:
    return database(random_llama(llama_config(num_hidden_layers=1)), tmp_path_factory.mktemp("llama"),
                    target=request.param)


@pytest.fixture(scope="module")
def model(path: Path) -> Iterator[Model]:
    with Model.open(path) as opened:
        yield opened


@pytest.mark.parametrize("name", SETTINGS)
def test_ten_sequences_of_a_batch_equal_ten_single_runs(model: Model, name: str) -> None:
    alone = []
    for prompt in PROMPTS:
        running = model.generate(prompt_ids=prompt, max_new_tokens=STEPS, stop_ids=[], **SETTINGS[name])
        alone.append([piece.id for piece in running])
    batch = model.generate_batch(PROMPTS, max_new_tokens=STEPS, stop_ids=[], **SETTINGS[name])
    list(batch)
    assert [r.ids for r in batch.results] == alone
    assert len({tuple(ids) for ids in alone}) == len(PROMPTS)


def test_neighbours_with_other_settings_change_nothing(model: Model) -> None:
    alone = {}
    for name, settings in SETTINGS.items():
        running = model.generate(prompt_ids=PROMPTS[0], max_new_tokens=STEPS, stop_ids=[], **settings)
        alone[name] = [piece.id for piece in running]
    together = [model.sequence(**settings) for settings in SETTINGS.values()]
    model.feed([(sequence, PROMPTS[0]) for sequence in together])
    drawn = [model.step(together) for _ in range(STEPS)]
    assert dict(zip(SETTINGS, map(list, zip(*drawn, strict=True)), strict=True)) == alone
    for sequence in together:
        sequence.delete()


def test_nothing_grows_with_the_tokens(model: Model) -> None:
    """PostgreSQL's catalogue, whose rows say what tables there are and where they begin."""
    if "postgresql" not in model.db.schemes:
        pytest.skip("the engine has no catalogue that a step could write")
    query = ("SELECT relname, pg_relation_size(oid) FROM pg_class WHERE relname IN "
             "('pg_class', 'pg_attribute', 'pg_type', 'pg_depend', 'pg_statistic') ORDER BY relname")  # fmt: skip
    step_tables = "SELECT SUM(pg_relation_size(oid)) FROM pg_class WHERE relname LIKE 'decode%'"
    sequence = model.sequence()
    sequence.prefill(PROMPTS[0])
    for _ in range(4):
        sequence.step()
    before = [model.db.rows(q) for q in (query, step_tables)]
    for _ in range(60):
        sequence.step()
    assert [model.db.rows(q) for q in (query, step_tables)] == before
    sequence.delete()


@pytest.mark.parametrize("name", SETTINGS)
def test_resumed_and_forked_equal_uninterrupted(path: Path, tmp_path: Path, name: str) -> None:
    def go_on(model: Model, number: int | None, steps: int) -> list[int]:
        given = {} if number is not None else SETTINGS[name]
        prompt = PROMPTS[4] if number is None else None
        options: dict[str, Any] = {"max_new_tokens": steps, "stop_ids": [], "keep": True, **given}
        running = model.generate(prompt_ids=prompt, resume=number, **options)
        return [piece.id for piece in running]

    with Model.open(path) as model:
        want = go_on(model, None, 8)
    db = state_of(path, tmp_path)
    got: list[int] = []
    for steps in (3, 1, 4):
        with Model.open(path, state=db) as model:
            got += go_on(model, 0 if got else None, steps)
    assert got == want
    with Model.open(path, state=db) as model:
        whole = model.resume(0)
        for at in (2, len(PROMPTS[4]), len(PROMPTS[4]) + 3):
            child = whole.fork(at)
            if at < len(PROMPTS[4]):
                child.prefill(PROMPTS[4][at:])
            missing = len(whole.ids) - len(child.ids)
            assert [child.step() for _ in range(missing)] == whole.ids[-missing:]
