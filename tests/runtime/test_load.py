from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pytest

from irsql.frontend.checkpoint import Checkpoint, CheckpointError
from irsql.runtime import assemble
from irsql.runtime.errors import UserError
from irsql.runtime.generate import generate
from irsql.runtime.load import load
from irsql.runtime.session import Model
from irsql.targets.program import Column, ConstantData, LoadStep, Part, Program, Stored, TableSpec
from irsql.targets.tables import from_arrow
from tests.runtime import toy


class Arrays:
    def __init__(self, arrays: Mapping[str, np.ndarray[Any, Any]]) -> None:
        self.arrays = arrays

    def shape(self, name: str) -> tuple[int, ...]:
        return self.arrays[name].shape

    def read(self, name: str, row_start: int = 0, row_stop: int | None = None) -> np.ndarray[Any, Any]:
        array = self.arrays[name]
        return array[row_start:row_stop] if array.ndim else array


A = np.arange(12, dtype=np.float32).reshape(4, 3)
B = -np.arange(15, dtype=np.float32).reshape(5, 3)
SCALAR = np.array(2.5, np.float32)
ROW, COLUMN = np.arange(3, dtype=np.float32) - 7, np.arange(4, dtype=np.float32) + 0.5


@pytest.mark.parametrize(
    ("steps", "want"),
    [
        ([LoadStep("parameter", "a")], A),
        ([LoadStep("parameter", "s")], SCALAR),
        ([LoadStep("constant", "c")], B),
        (
            [LoadStep("parameter", "a"), LoadStep("constant", "c"), LoadStep("concat", ints=(0, 2))],
            np.concatenate([A, B]),
        ),
        (
            [LoadStep("parameter", "a"), LoadStep("parameter", "a"), LoadStep("concat", ints=(1, 2))],
            np.concatenate([A, A], 1),
        ),
        ([LoadStep("parameter", "a"), LoadStep("permute", ints=(1, 0))], A.T),
        ([LoadStep("parameter", "a"), LoadStep("parameter", "a"), LoadStep("multiply", ints=(0, 1))], A * A),
        ([LoadStep("parameter", "a"), LoadStep("parameter", "s"), LoadStep("add")], A + SCALAR),
        (
            [LoadStep("parameter", "a"), LoadStep("parameter", "r"), LoadStep("multiply", ints=(0,))],
            A * COLUMN[:, None],
        ),
        ([LoadStep("parameter", "a"), LoadStep("parameter", "c"), LoadStep("multiply", ints=(1,))], A * ROW),
        (
            [LoadStep("parameter", "a"), LoadStep("parameter", "a"), LoadStep("permute", ints=(1, 0)),
             LoadStep("multiply", ints=(1, 0))],
            A * A,
        ),
        ([LoadStep("parameter", "a"), LoadStep("permute", ints=(0, 1))], A),
    ],
)
def test_steps(steps: list[LoadStep], want: np.ndarray[Any, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(assemble, "SLICE_BYTES", 24)
    keys = tuple(Column(f"i{n}", "i64") for n in range(want.ndim))
    spec = TableSpec("t", "t", keys, (Column("v", "f32"),), want.shape, (), "f32")
    stored = Stored(spec, tuple(steps))
    program = Program("duckdb", "2.0", {}, (stored,), "dims", "", {}, {"c": ConstantData.of(B)})
    slices = list(assemble.tables(program, stored, Arrays({"a": A, "s": SCALAR, "r": COLUMN, "c": ROW}), {}))
    step = max(6 // max(int(np.prod(want.shape[1:])), 1), 1)
    assert len(slices) == (-(-want.shape[0] // step) if want.ndim else 1)
    rows = [row for piece in slices for row in piece.to_pylist()]
    np.testing.assert_array_equal(from_arrow(spec, pa_table(rows), {}), want)
    assert rows == sorted(rows, key=lambda r: [r[k.name] for k in keys])


def pa_table(rows: list[dict[str, Any]]) -> Any:
    import pyarrow as pa

    return pa.Table.from_pylist(rows)


def test_slices_respect_tiles(monkeypatch: pytest.MonkeyPatch) -> None:
    """An axis that is tiled itself is cut between tiles, and the last tile is padded."""
    monkeypatch.setattr(assemble, "SLICE_BYTES", 1)
    parts = (
        Part(0, "row", 3, 4, "i0"),
        Part(1, "row", 3, 1, "i1"),
        Part(0, "column", 2, 2, ""),
        Part(0, "lane", 2, 1, ""),
    )
    values = (Column("v_0", "f32[2]"), Column("v_1", "f32[2]"))
    spec = TableSpec("t", "t", (Column("i1", "i64"), Column("i0", "i64")), values, (9, 3), parts, "f32")
    want = np.arange(27, dtype=np.float32).reshape(9, 3)
    stored = Stored(spec, (LoadStep("parameter", "w"),))
    program = Program("duckdb", "2.0", {}, (stored,), "dims", "", {})
    slices = list(assemble.tables(program, stored, Arrays({"w": want}), {}))
    assert [piece.num_rows for piece in slices] == [3, 3, 3]
    rows = [row for piece in slices for row in piece.to_pylist()]
    assert rows[-1] == {"i1": 2, "i0": 2, "v_0": [26.0, 0.0], "v_1": [0.0, 0.0]}
    np.testing.assert_array_equal(from_arrow(spec, pa_table(rows), {}), want)


def test_wrong_shape_is_named() -> None:
    program = toy.program(rows=6)
    with pytest.raises(UserError, match=r"gives w the shape \[5, 4\], the program needs \[6, 4\]"):
        list(assemble.tables(program, program.stored[0], Arrays({"w": toy.weight(5)}), {}))


def test_database_holds_weights_uncompressed_and_in_small_row_groups(tmp_path: Path) -> None:
    path = toy.database(tmp_path, rows=5000)
    with duckdb.connect() as con:
        con.execute(f"ATTACH '{path}' AS model (READ_ONLY)")
        storage = "FROM pragma_storage_info('model.stored_w') WHERE column_name = 'v'"
        lanes = con.execute(f"SELECT DISTINCT compression {storage} AND segment_type = 'FLOAT'").fetchall()
        assert lanes == [("Uncompressed",)]
        assert con.execute(f"SELECT count(DISTINCT row_group_id) {storage}").fetchall() == [(3,)]
        assert con.execute("SELECT count(*), sum(list_sum(v)) FROM model.stored_w").fetchall() == [(5000, 20000.0)]


def test_existing_file_is_kept(tmp_path: Path) -> None:
    path = toy.database(tmp_path)
    before = path.read_bytes()
    with pytest.raises(UserError, match="exists already: give --force to replace it"):
        toy.database(tmp_path)
    assert path.read_bytes() == before
    load(toy.program(), Checkpoint.open(tmp_path / "toy"), path, force=True, progress=False)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["toy", "toy.db"]


def test_failure_leaves_nothing(tmp_path: Path) -> None:
    source = Checkpoint.open(toy.folder(tmp_path / "toy", rows=5))
    with pytest.raises(CheckpointError, match=r"the tensor w has the shape \[5, 4\], the model needs \[6, 4\]"):
        load(toy.program(6), source, tmp_path / "toy.db", progress=False)
    with pytest.raises(UserError, match="there is no folder"):
        load(toy.program(5), source, tmp_path / "none" / "toy.db", progress=False)
    (tmp_path / "toy" / "model.safetensors").unlink()
    with pytest.raises(CheckpointError, match="cannot be read"):
        load(toy.program(5), source, tmp_path / "toy.db", progress=False)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["toy"]


def test_full_disk_is_noticed_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = Checkpoint.open(toy.folder(tmp_path / "toy"))
    monkeypatch.setattr("shutil.disk_usage", lambda _: type("Usage", (), {"free": 1000})())
    with pytest.raises(UserError, match=r"has 0\.0 GB left"):
        load(toy.program(), source, tmp_path / "toy.db", progress=False)


def test_second_loader_is_refused(tmp_path: Path) -> None:
    source = Checkpoint.open(toy.folder(tmp_path / "toy"))
    partial = tmp_path / "toy.db.partial"
    code = f"import duckdb, sys\ncon = duckdb.connect({str(partial)!r})\nprint('open', flush=True)\nsys.stdin.read()"
    with subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as other:
        assert other.stdout is not None
        other.stdout.readline()
        with pytest.raises(UserError, match="another process is writing"):
            load(toy.program(), source, tmp_path / "toy.db", progress=False)
        assert partial.exists()
        other.communicate("")


LOAD = """
import os, signal, sys
from irsql.frontend.checkpoint import Checkpoint
from irsql.runtime import assemble, load
from irsql.targets.duckdb import DuckDB
from tests.runtime import toy

source, path, name, nth = sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4])
owner = {"insert": DuckDB, "detach": DuckDB, "publish": DuckDB, "replace": os, "remove": DuckDB}[name]
original, calls = getattr(owner, name), 0

def deadly(*args, **kwargs):
    global calls
    calls += 1
    if calls == nth:
        os.kill(os.getpid(), signal.SIGKILL)
    return original(*args, **kwargs)

setattr(owner, name, deadly)
assemble.SLICE_BYTES = 1 << 16
load.load(toy.program(50_000), Checkpoint.open(source), path, progress=False)
"""


@pytest.mark.parametrize(
    "moment",
    [("insert", 1), ("insert", 6), ("insert", 13), ("detach", 1), ("publish", 1), ("replace", 1), ("remove", 2)],
    ids="{0[0]} {0[1]}".format,
)
def test_killed_while_loading(moment: tuple[str, int], tmp_path: Path) -> None:
    """Under the final name there is never anything but a whole model, and the next load cleans up."""
    rows = 50_000
    source, path = toy.folder(tmp_path / "toy", rows), tmp_path / "toy.db"
    command = [sys.executable, "-c", LOAD, str(source), str(path), moment[0], str(moment[1])]
    assert subprocess.run(command, check=False).returncode == -signal.SIGKILL
    whole = moment[0] == "remove"  # the first removal makes room, the second is after the file got its name
    assert path.exists() == whole
    said: list[str] = []
    left = (tmp_path / "toy.db.partial").exists()
    assert left == (not whole)
    if not whole:
        load(toy.program(rows), Checkpoint.open(source), path, progress=False, note=said.append)
    assert said == (["irsql: an earlier load into toy.db was interrupted; starting again"] if left else [])
    with Model.open(path) as model:
        assert [p.id for p in generate(model, prompt_ids=[5], max_new_tokens=3, stop_ids=[])] == toy.expected(
            [5], 3, rows
        )
    assert sorted(p.name for p in tmp_path.iterdir()) == ["toy", "toy.db"]
