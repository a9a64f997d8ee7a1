"""Batches: every prompt gets what it gets alone, whatever runs beside it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from irsql.runtime.batch import generate_batch
from irsql.runtime.errors import UserError
from irsql.runtime.generate import generate
from irsql.runtime.session import Model
from irsql.runtime.settings import Settings
from irsql.targets.base import driver_of
from tests.models.targets import ENGINES, state_of
from tests.runtime import toy

PROMPTS = [[5], [7, 8, 9], [1, 2], [30, 31, 32, 33, 34, 35, 36], [4, 4], [99], [7, 8, 9, 10], [2], [250, 1], [3, 3, 3]]


@pytest.fixture(scope="module", params=ENGINES)
def loaded(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return toy.database(tmp_path_factory.mktemp("model"), target=request.param)


@pytest.mark.parametrize("at_once", [1, 3, 64])
@pytest.mark.parametrize("chunk", [2, 128])
@pytest.mark.parametrize("settings", [{}, {"temperature": 0.5, "seed": 17}], ids=["greedy", "sampled"])
def test_ten_prompts_equal_ten_single_runs(
    loaded: Path, at_once: int, chunk: int, settings: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("irsql.runtime.session.PREFILL_CHUNK", chunk)
    with Model.open(loaded) as model:
        alone = []
        for prompt in PROMPTS:
            running = generate(model, prompt_ids=prompt, max_new_tokens=9, stop_ids=[24, 66], **settings)
            alone.append(([p.id for p in running], running.text))
        batch = generate_batch(model, PROMPTS, max_new_tokens=9, stop_ids=[24, 66], at_once=at_once, **settings)
        pieces = list(batch)
        assert [(r.ids, r.text) for r in batch.results] == alone
        assert len({len(ids) for ids, _ in alone}) > 1  # some stop early
        assert [r.prompt_ids for r in batch.results] == PROMPTS
        for number, (ids, text) in enumerate(alone):
            mine = [piece for n, piece in pieces if n == number]
            assert ([p.id for p in mine], "".join(p.text for p in mine)) == (ids, text)
        assert batch.timings["prefill_tokens"] == sum(map(len, PROMPTS))
        assert batch.timings["decode_tokens"] == sum(len(ids) for ids, _ in alone)
        assert all(r.ended for r in batch.results)
        assert model.sequences() == []


def test_copies_of_a_prompt_draw_other_tokens(loaded: Path) -> None:
    with Model.open(loaded) as model:
        batch = generate_batch(model, [[4, 4], [5], [4, 4]], max_new_tokens=3, temperature=1.0, seed=10, stop_ids=[])
        list(batch)
        first, other, second = (r.ids for r in batch.results)
        assert first == [10 + 7 * p for p in (2, 3, 4)]
        assert other == [10 + 7 * p for p in (1, 2, 3)]
        assert second == [i + 1 for i in first]  # the second stream


def test_kept_sequences_go_on(loaded: Path, tmp_path: Path) -> None:
    db = state_of(loaded, tmp_path)
    with Model.open(loaded, state=db) as model:
        batch = generate_batch(model, PROMPTS[:3], max_new_tokens=2, keep=True, stop_ids=[])
        list(batch)
        assert [r.sequence for r in batch.results] == [0, 1, 2]
    with Model.open(loaded, state=db) as model:
        for n, prompt in enumerate(PROMPTS[:3]):
            more = generate(model, resume=n, max_new_tokens=3, stop_ids=[])
            assert [p.id for p in more] == toy.expected(prompt, 5)[2:]


def test_what_is_left_of_a_closed_batch(loaded: Path) -> None:
    with Model.open(loaded) as model:
        batch = generate_batch(model, PROMPTS, max_new_tokens=5, stop_ids=[], at_once=4)
        for _ in range(6):
            next(iter(batch))
        batch.close()
        assert model.sequences() == []
        assert model.db.rows('SELECT * FROM "state"."state_kv"') == []


@pytest.mark.parametrize(
    ("prompts", "message"),
    [
        ([], "the batch is empty"),
        ([[1], []], "prompt 2: the prompt is empty"),
        ([[1], [2, 300]], "prompt 2: there is no token 300"),
        ([[1] * 65], "prompt 1: a prompt of 65 tokens does not fit the context of 64"),
        (["the", "\ud800"], "prompt 2: the prompt is not valid Unicode"),
    ],
)
def test_bad_prompts_are_named_and_nothing_is_left(loaded: Path, prompts: list[Any], message: str) -> None:
    with Model.open(loaded) as model:
        with pytest.raises(UserError, match=message):
            generate_batch(model, prompts)
        assert model.sequences() == []


def test_texts(loaded: Path) -> None:
    with Model.open(loaded) as model:
        batch = generate_batch(model, ["the", "th"], max_new_tokens=2, stop_ids=[])
        list(batch)
        assert [r.prompt_ids for r in batch.results] == [model.encode("the"), model.encode("th")]


def test_sequences_begin_when_they_are_run(loaded: Path, tmp_path: Path) -> None:
    with Model.open(loaded, state=state_of(loaded, tmp_path)) as model:
        batch = generate_batch(model, PROMPTS, max_new_tokens=3, keep=True, stop_ids=[], at_once=4)
        assert model.sequences() == []
        for _ in range(2):
            next(iter(batch))
        batch.close()
        assert model.sequences() == [0, 1, 2, 3]
        assert [r.sequence for r in batch.results] == [0, 1, 2, 3, *[None] * 6]


def test_many_sequences_are_made_and_removed_by_as_many_statements_as_one(
    loaded: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    count, driver = 0, driver_of(loaded)

    def counted(name: str) -> Callable[..., Any]:
        run = getattr(driver, name)

        def counting(*args: Any) -> Any:
            nonlocal count
            count += 1
            return run(*args)

        return counting

    for name in ("execute", "rows", "insert"):
        monkeypatch.setattr(driver, name, counted(name))
    with Model.open(loaded) as model:
        counts: list[tuple[int, int]] = []
        for many in (1, 50):
            count = 0
            sequences = model.add_all([(Settings(), None)] * many)
            made, count = count, 0
            assert model.resume(many - 1) is sequences[-1]
            assert [s.number for s in sequences] == model.sequences() == list(range(many))
            count = 0
            model.delete(sequences)
            counts.append((made, count))
            assert model.sequences() == []
        assert counts[0] == counts[1]


def test_removing_many_leaves_what_others_share(loaded: Path) -> None:
    with Model.open(loaded) as model:
        first, alone = model.sequence(), model.sequence()
        first.prefill([1, 2, 3])
        alone.prefill([4, 5])
        second = first.fork(2)
        model.delete([first, alone])
        want = toy.expected([1, 2], 2)
        assert [second.step() for _ in want] == want
        model.delete([second])
        for table in ("state_kv", "irsql_token", "irsql_segment", "irsql_sequence"):
            assert model.db.rows(f'SELECT * FROM "state".{table}') == []
