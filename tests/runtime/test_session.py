from __future__ import annotations

import itertools
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import attrs
import numpy as np
import pytest

from irsql.runtime.errors import UserError
from irsql.runtime.generate import Generation, generate
from irsql.runtime.sequence import TokenSequence
from irsql.runtime.session import PREFILL_CHUNK, Model
from irsql.targets.base import driver_of
from irsql.targets.control import MODEL, STATE
from irsql.targets.driver import Driver
from irsql.targets.errors import EngineError
from irsql.targets.program import FORMAT
from tests.models.targets import ENGINES, state_of
from tests.runtime import toy


@pytest.fixture(scope="module", params=["duckdb", "sqlite"])
def in_file(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model that is a file; folders and schemas of PostgreSQL: tests/targets/test_postgres_driver.py."""
    return toy.database(tmp_path_factory.mktemp("file"), target=request.param)


@pytest.fixture(scope="module", params=ENGINES)
def loaded(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return toy.database(tmp_path_factory.mktemp("model"), target=request.param)


def change(place: str | Path, model: Path, sql: str) -> list[tuple[Any, ...]]:
    """Run a statement on a state, in a file or in a schema beside its model."""
    with driver_of(model)() as db:
        if model.is_dir():
            db.attach(model, MODEL, read_only=True)
        db.attach(place, STATE)
        if sql.startswith("SELECT"):
            return db.rows(sql)
        db.execute(sql)
        return []


def ids_of(running: Generation) -> list[int]:
    return [piece.id for piece in running]


def test_greedy_continuation(loaded: Path) -> None:
    with Model.open(loaded) as model:
        running = generate(model, prompt_ids=[5, 9, 2], max_new_tokens=20, stop_ids=[])
        assert ids_of(running) == toy.expected([5, 9, 2], 20)
        assert (running.prompt_ids, running.timings["decode_tokens"]) == ([5, 9, 2], 20)
        assert model.sequences() == []


def test_stop_id_ends_and_is_the_last_token(loaded: Path) -> None:
    want = toy.expected([1, 2], 30)
    with Model.open(loaded) as model:
        assert (
            ids_of(generate(model, prompt_ids=[1, 2], max_new_tokens=30, stop_ids=[want[7]]))
            == want[: want.index(want[7]) + 1]
        )


def test_full_context_stops_cleanly(loaded: Path) -> None:
    prompt = list(range(toy.CONTEXT - 3))
    with Model.open(loaded) as model:
        assert ids_of(generate(model, prompt_ids=prompt, max_new_tokens=50, stop_ids=[])) == toy.expected(prompt, 3)


def test_sampling_depends_on_seed_and_stream_alone(loaded: Path) -> None:
    with Model.open(loaded) as model:
        for seed in (0, 2**62 - 1):
            found = ids_of(
                generate(model, prompt_ids=[4, 4], max_new_tokens=5, temperature=0.5, seed=seed, stop_ids=[])
            )
            assert found == [(seed + 7 * position) % toy.VOCAB for position in range(2, 7)]


def test_batch_equals_each_alone(loaded: Path) -> None:
    prompts = [[5], [7, 8, 9], [1, 2]]
    with Model.open(loaded) as model:
        batch = [model.sequence() for _ in prompts]
        for sequence, prompt in zip(batch, prompts, strict=True):
            sequence.prefill(prompt)
        for _ in range(6):
            model.step(batch)
        assert [s.ids[len(p) :] for s, p in zip(batch, prompts, strict=True)] == [toy.expected(p, 6) for p in prompts]
        model.step(batch[:1])
        model.step(batch[1:])
        assert [len(s.ids) - len(p) for s, p in zip(batch, prompts, strict=True)] == [7, 7, 7]
        assert batch[2].ids[2:] == toy.expected(prompts[2], 7)


def test_logits_after_other_sequences_ran(loaded: Path) -> None:
    with Model.open(loaded) as model:
        first, second = model.sequence(), model.sequence()
        first.prefill([3, 4])
        before = first.logits()
        second.prefill([9])
        second.step()
        after = first.logits()
        assert before.shape == (toy.VOCAB,)
        np.testing.assert_array_equal(before, after)
        assert int(before.argmax()) == toy.expected([3, 4], 1)[0]


def test_forced_token_enters_the_state(loaded: Path) -> None:
    with Model.open(loaded) as model:
        sequence = model.sequence()
        sequence.prefill([3])
        assert sequence.step(token=77) == 77
        assert sequence.step() == toy.expected([3, 77], 1)[0]


def test_long_prompt_runs_in_chunks(loaded: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("irsql.runtime.session.PREFILL_CHUNK", 3)
    assert PREFILL_CHUNK > 3
    with Model.open(loaded) as model:
        prompt = [11, 12, 13, 14, 15, 16, 17]
        assert ids_of(generate(model, prompt_ids=prompt, max_new_tokens=4, stop_ids=[])) == toy.expected(prompt, 4)


def test_a_prompt_that_is_interrupted_is_whole(
    loaded: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its tokens are written before the first of them runs, so that whoever resumes it runs the rest."""
    monkeypatch.setattr("irsql.runtime.session.PREFILL_CHUNK", 3)
    db, prompt = state_of(loaded, tmp_path), [11, 12, 13, 14, 15, 16, 17, 18]
    advance, steps = Model._advance, 0

    def dies(self: Model, *args: Any, **kwargs: Any) -> Any:
        nonlocal steps
        steps += 1
        if steps == 3:
            raise KeyboardInterrupt
        return advance(self, *args, **kwargs)

    with monkeypatch.context() as patch, Model.open(loaded, state=db) as model:
        patch.setattr(Model, "_advance", dies)
        with pytest.raises(KeyboardInterrupt):
            model.sequence().prefill(prompt)
    with Model.open(loaded, state=db) as model:
        sequence = model.resume(0)
        assert (sequence.ids, sequence.length, sequence.prompt_length) == (prompt, 6, 8)
        assert ids_of(generate(model, resume=0, max_new_tokens=4, stop_ids=[])) == toy.expected(prompt, 4)


def test_resume_after_reopening(loaded: Path, tmp_path: Path) -> None:
    db = state_of(loaded, tmp_path)
    with Model.open(loaded, state=db) as model:
        assert ids_of(generate(model, prompt_ids=[5, 6], max_new_tokens=4, stop_ids=[], keep=True)) == toy.expected(
            [5, 6], 4
        )
    with Model.open(loaded, state=db) as model:
        (number,) = model.sequences()
        assert ids_of(generate(model, resume=number, max_new_tokens=5, stop_ids=[])) == toy.expected([5, 6], 9)[4:]
        more = [5, 6, *toy.expected([5, 6], 9), 33]
        assert ids_of(generate(model, prompt_ids=[33], resume=number, max_new_tokens=2, stop_ids=[])) == toy.expected(
            more, 2
        )


def test_a_resumed_sequence_keeps_its_settings(loaded: Path, tmp_path: Path) -> None:
    db = state_of(loaded, tmp_path)
    settings: dict[str, Any] = {"temperature": 0.5, "top_k": 7, "top_p": 0.75, "min_p": 0.125}
    settings |= {"repetition_penalty": 1.5, "seed": 40}
    with Model.open(loaded, state=db) as model:
        list(generate(model, prompt_ids=[5, 6], max_new_tokens=2, stop_ids=[], keep=True, **settings))
    with Model.open(loaded, state=db) as model:
        assert ids_of(generate(model, resume=0, max_new_tokens=2, stop_ids=[])) == [40 + 7 * 4, 40 + 7 * 5]
        assert attrs.asdict(model.resume(0).settings) == {**settings, "stream": 0}
        assert ids_of(generate(model, resume=0, max_new_tokens=1, stop_ids=[], seed=1)) == [1 + 7 * 6]
        assert attrs.asdict(model.resume(0).settings) == {**settings, "stream": 0, "seed": 1}


def test_state_of_another_version(loaded: Path, tmp_path: Path) -> None:
    db = state_of(loaded, tmp_path)
    Model.open(loaded, state=db).close()
    change(db, loaded, "UPDATE \"state\".irsql_meta SET value = '1' WHERE key = 'format'")
    with pytest.raises(UserError, match="was written by another version of irsql: give another file"):
        Model.open(loaded, state=db)


def test_rows_of_an_unfinished_step_are_dropped(loaded: Path, tmp_path: Path) -> None:
    db = state_of(loaded, tmp_path)
    with Model.open(loaded, state=db) as model:
        generate(model, prompt_ids=[5], max_new_tokens=1, stop_ids=[], keep=True).__iter__().__next__()
    change(db, loaded, "INSERT INTO \"state\".state_kv VALUES (0, 1, 55), (0, 7, 99)")
    with Model.open(loaded, state=db) as model:
        assert ids_of(generate(model, resume=0, max_new_tokens=3, stop_ids=[])) == toy.expected([5], 4)[1:]


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({"prompt_ids": []}, "the prompt is empty: give at least one token"),
        ({"prompt": ""}, "the prompt is empty: give at least one character, or token ids"),
        ({"prompt_ids": [1, 300]}, "there is no token 300: the model's vocabulary has the ids 0 to 299"),
        ({"prompt_ids": [-1]}, "there is no token -1: the model's vocabulary has the ids 0 to 299"),
        ({"prompt_ids": [1] * 65}, "a prompt of 65 tokens does not fit the context of 64"),
        ({"prompt_ids": [1] * 64}, "a prompt of 64 tokens leaves no room for new ones in the context of 64"),
        ({"prompt_ids": [1], "prompt": "a"}, "give the prompt as text or as token ids, not both"),
        ({"prompt_ids": [1], "temperature": -1.0}, "the temperature must be 0 or more, not -1.0"),
        ({"prompt_ids": [1], "temperature": float("nan")}, "the temperature must be 0 or more, not nan"),
        ({"prompt_ids": [1], "seed": -1}, "the seed must be an integer between 0 and 4611686018427387903, not -1"),
        (
            {"prompt_ids": [1], "seed": 1.5},
            "the seed must be an integer between 0 and 4611686018427387903, not 1.5",
        ),
        ({"prompt_ids": [1.5]}, "token ids are integers, not [1.5]"),
        ({"prompt_ids": [1], "stop_ids": [2**70]}, f"there is no token {2**70} to stop at"),
        ({"prompt_ids": [1], "max_new_tokens": 0}, "the number of new tokens must be at least 1, not 0"),
        ({"resume": 8}, "there is no sequence 8"),
    ],
)
def test_what_cannot_be_generated(loaded: Path, arguments: dict[str, Any], sentence: str) -> None:
    with Model.open(loaded) as model:
        with pytest.raises(UserError) as caught:
            generate(model, **arguments)
        assert str(caught.value) == sentence
        assert model.sequences() == []
        assert ids_of(generate(model, prompt_ids=[5], max_new_tokens=2, stop_ids=[])) == toy.expected([5], 2)


def test_full_sequence_refuses_a_step(loaded: Path) -> None:
    with Model.open(loaded) as model:
        sequence = model.sequence()
        sequence.prefill([1] * toy.CONTEXT)
        with pytest.raises(UserError, match="the context of 64 tokens is full"):
            sequence.step()


def test_a_step_takes_each_sequence_once(loaded: Path) -> None:
    with Model.open(loaded) as model:
        sequence = model.sequence()
        sequence.prefill([5, 9])
        with pytest.raises(UserError, match="only once"):
            model.step([sequence, sequence])
        with pytest.raises(UserError, match="no sequence"):
            model.step([])
        assert [sequence.step() for _ in range(2)] == toy.expected([5, 9], 2)


def test_prompts_of_numpy_integers(loaded: Path) -> None:
    with Model.open(loaded) as model:
        running = generate(model, prompt_ids=np.array([5, 9, 2]), max_new_tokens=3, stop_ids=np.array([], np.int64))
        assert ids_of(running) == toy.expected([5, 9, 2], 3)


def test_files_that_are_no_model(in_file: Path, tmp_path: Path) -> None:
    text = tmp_path / "text.db"
    text.write_text("hello " * 1000)
    short = tmp_path / "short.db"
    short.write_bytes(in_file.read_bytes()[: in_file.stat().st_size // 2])
    foreign = tmp_path / "foreign.db"
    change(foreign, in_file, "CREATE TABLE state.t (a INTEGER)")
    old = tmp_path / "old.db"
    shutil.copy(in_file, old)
    change(old, in_file, "UPDATE state.irsql_meta SET value = "
           f"replace(value, '\"format\": {FORMAT}', '\"format\": 99') WHERE key = 'program'")  # fmt: skip
    sentences = {
        tmp_path / "no.db": f"there is no file {tmp_path / 'no.db'}",
        text: f"{text} is not a DuckDB database",
        short: f"{short} is damaged or cut short: ",  # load the model, or make the file again
        foreign: f"{foreign} is a database, but not one that irsql loaded a model into",
        old: f"{old} holds a compiled program of format 99; this irsql reads format {FORMAT}: load the model again",
    }
    for path, sentence in sentences.items():
        with pytest.raises((UserError, EngineError)) as caught:
            Model.open(path)
        assert str(caught.value).startswith(sentence)


def test_state_of_something_else(in_file: Path, tmp_path: Path) -> None:
    foreign = tmp_path / "foreign.db"
    engine = driver_of(in_file)
    change(foreign, in_file, "CREATE TABLE state.t AS SELECT 42 AS a")
    with pytest.raises(UserError, match="is a database of something else"):
        Model.open(in_file, state=foreign)
    assert change(foreign, in_file, "SELECT a FROM state.t") == [(42,)]
    other = toy.database(tmp_path, rows=7, target=engine.name)
    mine = tmp_path / "mine.db"
    Model.open(in_file, state=mine).close()
    with pytest.raises(UserError, match="holds sequences of another model"):
        Model.open(other, state=mine)
    with pytest.raises(UserError, match="is the model: give another file for the state"):
        Model.open(in_file, state=in_file)
    with pytest.raises(UserError, match="was loaded for another program"):
        Model.open(in_file, program=toy.program(text_hash="other", target=engine.name))


def test_many_readers(loaded: Path) -> None:
    """Of one process; tests/runtime/test_processes.py has several."""
    with Model.open(loaded) as model, Model.open(loaded) as twice:
        for one in (model, twice):
            assert ids_of(generate(one, prompt_ids=[5], max_new_tokens=2, stop_ids=[])) == toy.expected([5], 2)


GENERATE_FOREVER = """
import sys
from irsql.runtime.generate import generate
from irsql.runtime.session import Model
with Model.open(sys.argv[1], state=sys.argv[2]) as model:
    numbers = model.sequences()
    resume = numbers[-1] if numbers else None
    prompt = [5, 6] if resume is None else None
    running = generate(model, prompt_ids=prompt, resume=resume, max_new_tokens=50, stop_ids=[], keep=True)
    for piece in running:
        print(piece.id, flush=True)
"""


def test_killed_while_generating(loaded: Path, tmp_path: Path) -> None:
    """After each kill the state holds every token that was shown, and goes on as if nothing had happened."""
    db = state_of(loaded, tmp_path)
    want = toy.expected([5, 6], toy.CONTEXT - 2)
    seen = 0
    for kill_after in (1, 3, 2, 7):
        command = [sys.executable, "-c", GENERATE_FOREVER, str(loaded), str(db)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            for _ in range(kill_after):
                assert process.stdout.readline().strip() == str(want[seen])
                seen += 1
            process.kill()
        with Model.open(loaded, state=db) as model:
            ids = model.resume(0).ids
        assert ids == [5, 6, *want][: len(ids)]
        assert len(ids) - 2 >= seen
        seen = len(ids) - 2


def test_a_sequence_keeps_to_its_max_length(loaded: Path) -> None:
    with Model.open(loaded) as model:
        sequence = model.sequence(max_length=4)
        sequence.prefill([1, 2, 3])
        sequence.step()
        with pytest.raises(UserError, match="may have 4 tokens"):
            sequence.step()
        with pytest.raises(UserError, match="may have 4 tokens"):
            sequence.prefill([1])
        assert len(sequence.ids) == 4


class Interrupting:
    """Raises Ctrl-C right after the n-th statement, of those with one of these words."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, driver: type[Driver], n: int,
                 words: Sequence[str] = ("",)) -> None:  # fmt: skip
        self.left, run = n, driver.execute

        def execute(db: Driver, statement: Any, parameters: Any = None) -> None:
            run(db, statement, parameters)
            counts = any(word in (statement if isinstance(statement, str) else "") for word in words)
            self.left -= counts
            if counts and self.left == 0:
                raise KeyboardInterrupt

        monkeypatch.setattr(driver, "execute", execute)


OPERATIONS: dict[str, Callable[[TokenSequence], Any]] = {
    "step": lambda s: s.step(),
    "forced": lambda s: s.step(7),
    "prefill": lambda s: s.prefill([7, 8, 9]),
    "feed": lambda s: s.model.feed([(s, [7, 8])]),
    "truncate": lambda s: s.truncate(2),
    "configure": lambda s: s.configure(max_length=30),
    "fork": lambda s: s.fork(2),
}


@pytest.mark.parametrize("operation", OPERATIONS)
def test_wherever_it_is_interrupted_a_sequence_is_what_the_database_holds(
    loaded: Path, operation: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for n in itertools.count(1):
        with Model.open(loaded) as model:
            model.set_stops([])
            sequence, other = model.sequence(), model.sequence()
            for s in (sequence, other):
                s.prefill([1, 2, 3])
            model.step([other])
            model.step([sequence, other])
            with monkeypatch.context() as patch:
                interrupting = Interrupting(patch, type(model.db), n)
                try:
                    OPERATIONS[operation](sequence)
                except KeyboardInterrupt:
                    pass
            held = model.db.rows('SELECT id FROM "state".irsql_token WHERE seq = 0 ORDER BY pos')
            facts = model.db.rows('SELECT length, prompt_length, max_length FROM "state".irsql_sequence WHERE seq = 0')
            assert sequence.ids == [i for (i,) in held]
            assert (sequence.length, sequence.prompt_length, sequence.max_length) == facts[0]
            for s in (sequence, other):
                before = list(s.ids)
                assert [model.step([s])[0] for _ in range(2)] == toy.expected(before, 2)
            if interrupting.left > 0:
                assert n > 1
                return


def test_an_interrupted_deletion_is_done_or_not(loaded: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for n in itertools.count(1):
        with Model.open(loaded) as model:
            sequence = model.sequence()
            sequence.prefill([1, 2, 3])
            with monkeypatch.context() as patch:
                interrupting = Interrupting(patch, type(model.db), n)
                try:
                    sequence.delete()
                except KeyboardInterrupt:
                    pass
            if model.sequences():
                assert sequence.step() == toy.expected([1, 2, 3], 1)[0]
            else:
                with pytest.raises(UserError, match=r"there is no sequence 0|sequence 0 has been deleted"):
                    sequence.step()
            if interrupting.left > 0:
                return


def test_one_object_a_sequence(loaded: Path) -> None:
    with Model.open(loaded) as model:
        first = model.sequence()
        first.prefill([5, 9])
        second = model.resume(0)
        want = toy.expected([5, 9], 4)
        assert [first.step(), second.step(), first.step(), second.step()] == want
        assert second.ids == [5, 9, *want]
        first.delete()
        again = model.sequence()
        assert again.number == second.number
        with pytest.raises(UserError, match="sequence 0 has been deleted"):
            second.prefill([1])
        second.delete()  # not the new one
        assert model.sequences() == [0]
