"""Sequences that share rows: each continues as if it were alone, and shared rows exist once."""

from __future__ import annotations

import itertools
import random
from pathlib import Path

import pytest

from irsql.runtime.errors import UserError
from irsql.runtime.sequence import TokenSequence
from irsql.runtime.session import Model
from irsql.runtime.settings import Settings
from tests.models.targets import ENGINES, state_of
from tests.runtime import toy


@pytest.fixture(scope="module", params=ENGINES)
def loaded(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return toy.database(tmp_path_factory.mktemp("model"), target=request.param)


def rows(model: Model) -> list[tuple[int, int]]:
    """Segment and position of every row of the state."""
    return model.db.rows('SELECT "b", "t" FROM "state"."state_kv" ORDER BY 1, 2')


def lineage(model: Model) -> list[tuple[int, ...]]:
    return model.db.rows('SELECT * FROM "state"."irsql_segment" ORDER BY 1, 2')


def started(model: Model, prompt: list[int], steps: int = 0) -> TokenSequence:
    sequence = model.sequence()
    sequence.prefill(prompt)
    for _ in range(steps):
        sequence.step()
    return sequence


PROMPT = [5, 9, 2, 30]


@pytest.mark.parametrize("at", [0, 1, 3, 4, 6, 7])
def test_a_fork_continues_like_an_uninterrupted_sequence(loaded: Path, at: int) -> None:
    """At every position: nothing, in the prompt, at its end, in what was generated, at a token that waits."""
    with Model.open(loaded) as model:
        parent = started(model, PROMPT, 3)
        child = parent.fork(at)
        assert (child.ids, child.prompt_length) == ([*PROMPT, *toy.expected(PROMPT, 3)][:at], min(at, len(PROMPT)))
        child.prefill([7, 11])
        assert [child.step() for _ in range(4)] == toy.expected([*child.ids[: at + 2]], 4)
        assert [parent.step() for _ in range(4)] == toy.expected(PROMPT, 7)[3:]
        assert model.step([parent, child]) == [toy.expected(PROMPT, 8)[-1], toy.expected(child.ids[: at + 2], 5)[-1]]


def test_shared_rows_exist_once(loaded: Path) -> None:
    with Model.open(loaded) as model:
        parent = started(model, PROMPT)
        before = len(rows(model))
        children = [parent.fork() for _ in range(3)]
        assert len(rows(model)) == before
        for n, child in enumerate(children):
            child.prefill([n])
        assert len(rows(model)) == before + 3
        children[0].delete()
        parent.delete()
        assert len(rows(model)) == before + 2
        assert [children[2].step() for _ in range(3)] == toy.expected([*PROMPT, 2], 3)
        for child in children[1:]:
            child.delete()
        assert rows(model) == []
        assert lineage(model) == []


def test_a_number_that_is_used_again_sees_nothing_of_the_old_sequence(loaded: Path) -> None:
    with Model.open(loaded) as model:
        first, second = started(model, PROMPT), started(model, [1])
        third = second.fork()
        second.delete()
        third.delete()
        again = model.sequence()
        assert again.number == 1
        again.prefill([8])
        assert [again.step(), first.step()] == [toy.expected([8], 1)[0], toy.expected(PROMPT, 1)[0]]


def test_settings_of_a_fork(loaded: Path) -> None:
    with Model.open(loaded) as model:
        parent = started(model, PROMPT)
        child = parent.fork(settings=Settings(temperature=1.0, seed=20))
        assert model.step([parent, child]) == [toy.expected(PROMPT, 1)[0], 20 + 7 * 4]
        assert parent.fork().settings == parent.settings
        with pytest.raises(UserError, match="the sequence has 5 tokens, it cannot be forked at 6"):
            parent.fork(6)


def test_forks_survive_the_process(loaded: Path, tmp_path: Path) -> None:
    db = state_of(loaded, tmp_path)
    with Model.open(loaded, state=db) as model:
        parent = started(model, PROMPT, 2)
        parent.fork(3).prefill([40])
    with Model.open(loaded, state=db) as model:
        parent, child = model.resume(0), model.resume(1)
        assert [child.step() for _ in range(3)] == toy.expected([*PROMPT[:3], 40], 3)
        assert [parent.step() for _ in range(3)] == toy.expected(PROMPT, 5)[2:]


def test_what_a_cut_frees_is_gone_before_its_number_is_given_again(loaded: Path) -> None:
    with Model.open(loaded) as model:
        parent = started(model, PROMPT)
        child = parent.fork(4)
        parent.truncate(0)
        assert len(rows(model)) == 4
        child.truncate(0)
        assert rows(model) == []
        parent.prefill([9, 8, 7, 6, 5])
        again = parent.fork(4)
        again.prefill([1])
        assert parent.step() == toy.expected([9, 8, 7, 6, 5], 1)[0]
        assert again.step() == toy.expected([9, 8, 7, 6, 1], 1)[0]


def test_a_cut_between_two_forks(loaded: Path) -> None:
    with Model.open(loaded) as model:
        parent = started(model, [*PROMPT, 6, 9, 2])
        first = parent.fork(2)
        parent.fork(5).delete()
        parent.truncate(2)
        parent.prefill([30, 31, 32, 33])
        other = parent.fork(6)
        assert other.step() == parent.step() == toy.expected([*PROMPT[:2], 30, 31, 32, 33], 1)[0]
        first.prefill([3])
        assert first.step() == toy.expected([*PROMPT[:2], 3], 1)[0]


@pytest.mark.parametrize("seed", range(6))
def test_random_histories(loaded: Path, seed: int) -> None:
    """Forks of forks, cuts into what others share, deletions: every sequence stays what its own tokens say."""
    rng = random.Random(seed)
    with Model.open(loaded) as model:
        alive = [started(model, [seed + 1, 4])]
        for _ in itertools.repeat(None, 25):
            sequence = rng.choice(alive)
            match rng.choice(["fork", "step", "step", "cut", "delete", "prefill"]):
                case "fork":
                    alive.append(sequence.fork(rng.randint(1, len(sequence.ids))))
                case "step":
                    told = list(sequence.ids)
                    assert sequence.step() == toy.expected(told, 1)[0]
                case "prefill":
                    sequence.prefill([rng.randrange(toy.VOCAB)])
                case "cut":
                    sequence.truncate(rng.randint(0, len(sequence.ids)))
                    if not sequence.ids:
                        sequence.prefill([rng.randrange(toy.VOCAB)])
                case "delete" if len(alive) > 1:
                    alive.remove(sequence)
                    sequence.delete()
            if max(len(s.ids) for s in alive) > toy.CONTEXT - 8:
                break
        for sequence in alive:
            told = list(sequence.ids)
            assert [sequence.step(), sequence.step()] == toy.expected(told, 2)
        for sequence in alive:
            sequence.delete()
        assert rows(model) == []
