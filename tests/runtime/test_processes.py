"""Several processes on one file: each gets what it gets alone."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from irsql.runtime.session import Model
from irsql.targets.base import driver_of
from irsql.targets.errors import EngineError
from tests.models.targets import ENGINES, state_of
from tests.runtime import toy

GENERATE = """
import sys
from irsql.runtime.generate import generate
from irsql.runtime.session import Model
model, state, prompt, count = sys.argv[1:]
with Model.open(model, state=state) as opened:
    print("open", flush=True)
    sys.stdin.readline()
    ids = [int(i) for i in prompt.split(",")]
    for piece in generate(opened, prompt_ids=ids, max_new_tokens=int(count), stop_ids=[], keep=True):
        print(piece.id, flush=True)
"""


@pytest.fixture(scope="module", params=ENGINES)
def loaded(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return toy.database(tmp_path_factory.mktemp("model"), target=request.param)


@contextmanager
def generating(model: Path, state: Path | str, prompt: str, count: int) -> Iterator[subprocess.Popen[str]]:
    """A process that has both files open, and generates once it is sent a line."""
    command = [sys.executable, "-c", GENERATE, str(model), str(state), prompt, str(count)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "open\n"
            yield process
        finally:
            process.kill()


def test_one_model(loaded: Path, tmp_path: Path) -> None:
    with ExitStack() as stack:
        states = [state_of(loaded, tmp_path, f"{n}") for n in range(2)]
        running = [stack.enter_context(generating(loaded, s, f"{n},5", 20)) for n, s in enumerate(states)]
        for process in running:
            assert process.stdin is not None
            process.stdin.write("\n")
            process.stdin.flush()
        found = [[int(i) for i in process.communicate(timeout=120)[0].split()] for process in running]
    assert found == [toy.expected([n, 5], 20) for n in range(2)]


def test_two_writers_of_one_state(loaded: Path, tmp_path: Path) -> None:
    """They wait for each other's steps, or the second is refused with a sentence."""
    state = state_of(loaded, tmp_path)
    with ExitStack() as stack:
        first = stack.enter_context(generating(loaded, state, "1,5", 20))
        if not driver_of(loaded).shares_state:
            with pytest.raises(EngineError) as refused:
                Model.open(loaded, state=state)
            problem = f"{state} is in use by another process: wait for it to end, or give another file"
            assert str(refused.value) == problem
            assert first.communicate("\n", timeout=120)[0].split() == [str(i) for i in toy.expected([1, 5], 20)]
            return
        second = stack.enter_context(generating(loaded, state, "2,5", 20))
        for process in (first, second):
            assert process.stdin is not None
            process.stdin.write("\n")
            process.stdin.flush()
        found = [[int(i) for i in process.communicate(timeout=120)[0].split()] for process in (first, second)]
    assert found == [toy.expected([n, 5], 20) for n in (1, 2)]
    with Model.open(loaded, state=state) as model:
        kept = sorted(model.look(number).ids for number in model.sequences())
    assert kept == [[n, 5, *ids] for n, ids in zip((1, 2), found, strict=True)]


def test_one_is_killed(loaded: Path, tmp_path: Path) -> None:
    """The other goes on: on the same state where two may write it, else on its own."""
    names = ["state"] * 2 if driver_of(loaded).shares_state else ["a", "b"]
    states = [state_of(loaded, tmp_path, name) for name in names]
    with generating(loaded, states[0], "1,5", 50) as killed, generating(loaded, states[1], "2,5", 30) as other:
        for process in (killed, other):
            assert process.stdin is not None
            process.stdin.write("\n")
            process.stdin.flush()
        assert killed.stdout is not None
        seen = [int(killed.stdout.readline()) for _ in range(3)]
        killed.kill()
        found = [int(i) for i in other.communicate(timeout=120)[0].split()]
    assert found == toy.expected([2, 5], 30)
    with Model.open(loaded, state=states[0]) as model:
        kept = next(ids for ids in (model.resume(n).ids for n in model.sequences()) if ids[0] == 1)
    assert kept[2:5] == seen == toy.expected([1, 5], 3)
    assert kept == [1, 5, *toy.expected([1, 5], 50)][:len(kept)]
