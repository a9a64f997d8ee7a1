from __future__ import annotations

import signal
import sqlite3
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from irsql.targets.base import driver_of
from irsql.targets.control import MODEL, STATE
from irsql.targets.duckdb import DuckDB
from irsql.targets.errors import EngineError
from irsql.targets.program import Column, TableSpec
from irsql.targets.sqlite import SQLite
from irsql.targets.tables import from_arrow, to_arrow
from tests.processes import heed_interrupts

TYPES = {"i64": np.int64, "f32": np.float32, "f64": np.float64, "i1": np.bool_}
KEYED = TableSpec("t", "x", (Column("i", "i64"), Column("j", "i64")), (Column("v", "f32"),), (2, 3), (), "f32")


@pytest.mark.parametrize("catalog", [None, MODEL])
@pytest.mark.parametrize("dtype", sorted(TYPES))
@pytest.mark.parametrize("shape", [(), (3,), (0,), (2, 3), (0, 4)])
def test_scalar_rows_there_and_back(dtype: str, shape: tuple[int, ...], catalog: str | None) -> None:
    keys = tuple(Column(f"i{n}", "i64") for n in range(len(shape)))
    extents = tuple("BS"[n] for n in range(len(shape)))
    spec = TableSpec('a "strange" name', "x", keys, (Column("v", dtype),), extents, (), dtype)
    want: np.ndarray[Any, Any] = (np.arange(np.prod(shape, dtype=int)) % 3).reshape(shape).astype(TYPES[dtype])
    with SQLite() as db:
        db.attach(":memory:", MODEL)
        db.execute(db.control.create_spec(spec, catalog))
        db.insert(spec.name, to_arrow(spec, want), catalog)
        got = from_arrow(spec, db.read(spec, catalog), dict(zip("BS", shape, strict=False)))
    assert got.dtype == want.dtype
    np.testing.assert_array_equal(got, want)


def test_what_is_no_number() -> None:
    values = np.array([[np.nan, np.inf, -np.inf], [-0.0, 1e-45, 3.4e38]], np.float32)
    with SQLite() as db:
        db.execute(db.control.create_spec(KEYED))
        db.insert("t", to_arrow(KEYED, values))
        np.testing.assert_array_equal(from_arrow(KEYED, db.read(KEYED), {}), values)


def test_an_integer_that_became_a_double_is_no_result() -> None:
    spec = TableSpec("t", "x", (), (Column("v", "i64"),), (), (), "i64")
    with SQLite() as db:
        db.execute(db.control.create_spec(spec))
        db.execute('INSERT INTO "t" VALUES (9223372036854775807 + 1)')
        with pytest.raises(EngineError, match="v does not fit in 64 bits"):
            db.read(spec)


def test_a_cursor_shares_what_is_in_memory() -> None:
    with SQLite() as db:
        db.attach(":memory:", MODEL)
        db.execute(db.control.create_spec(KEYED, MODEL))
        with db.cursor() as other:
            other.insert("t", to_arrow(KEYED, np.ones((2, 3), np.float32)), MODEL)
        assert db.read(KEYED, MODEL).num_rows == 6
        assert db.tables(MODEL) == {"t"}


def test_a_view_of_a_state_can_be_read_under_another_name(tmp_path: Path) -> None:
    with SQLite() as db:
        db.attach(tmp_path / "state.db", STATE)
        assert not db.control.views_name_databases
        db.execute('CREATE TABLE "state"."t" ("a" INTEGER)')
        db.execute('CREATE VIEW "state"."v" AS SELECT "a" FROM "t"')
    with sqlite3.connect(tmp_path / "state.db") as con:
        assert con.execute("SELECT * FROM v").fetchall() == []


@pytest.mark.parametrize(("content", "problem"), [
    (b"nothing of the kind" * 400, "is not a SQLite database"),
    (b"SQLite format 3\0" + b"\xff" * 5000, "is not a SQLite database|is damaged"),
])  # fmt: skip
def test_other_files(content: bytes, problem: str, tmp_path: Path) -> None:
    path = tmp_path / "x.db"
    path.write_bytes(content)
    with SQLite() as db, pytest.raises(EngineError, match=problem):
        db.attach(path, MODEL, read_only=True)
    with SQLite() as db, pytest.raises(EngineError, match="there is no file"):
        db.attach(tmp_path / "none.db", MODEL, read_only=True)


def test_a_file_knows_its_engine(tmp_path: Path) -> None:
    for engine in (DuckDB, SQLite):
        path = tmp_path / f"{engine.name}?#%.db"
        with engine() as db:
            db.attach(path, MODEL)
            db.execute(db.control.create_spec(KEYED, MODEL))
            db.detach(MODEL)
        assert driver_of(path) is engine
        with driver_of(path)() as db:
            db.attach(path, MODEL, read_only=True)
            assert db.tables(MODEL) == {"t"}


def test_what_is_loaded_is_held_alone(tmp_path: Path) -> None:
    with SQLite.for_loading(tmp_path / "x") as db:
        db.attach(tmp_path / "x", MODEL)
        with db.loading(MODEL):
            db.execute(db.control.create_spec(KEYED, MODEL))
            with SQLite() as other, pytest.raises(EngineError, match="in use by another process"):
                other.attach(tmp_path / "x", MODEL)


def test_a_second_writer_waits(tmp_path: Path) -> None:
    with SQLite() as db, SQLite() as other:
        for one in (db, other):
            one.attach(tmp_path / "state.db", STATE)
        db.execute('CREATE TABLE "state"."t" ("a" INTEGER)')
        begun, done = threading.Event(), []

        def write() -> None:
            begun.set()
            with other.transaction():
                done.append(other.rows('SELECT COUNT(*) FROM "state"."t"')[0][0])

        with db.transaction():
            db.execute('INSERT INTO "state"."t" VALUES (1)')
            thread = threading.Thread(target=write)
            thread.start()
            begun.wait()
            thread.join(0.2)
            assert not done
        thread.join(10)
        assert done == [1]


def test_a_transaction_is_all_or_nothing() -> None:
    with SQLite() as db:
        db.execute(db.control.create_spec(KEYED))

        def write() -> None:
            with db.transaction():
                db.insert("t", to_arrow(KEYED, np.ones((2, 3), np.float32)))
                db.execute("SELECT * FROM nowhere")

        with pytest.raises(EngineError, match="no such table"):
            write()
        assert db.read(KEYED).num_rows == 0


ENDLESS = """
from irsql.targets.sqlite import SQLite
with SQLite() as db:
    print("running", flush=True)
    try:
        db.rows("WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n) SELECT MAX(i) FROM n")
    except KeyboardInterrupt:
        print("interrupted", db.rows("SELECT 1"))
"""


def test_ctrl_c_within_a_statement() -> None:
    with subprocess.Popen([sys.executable, "-c", ENDLESS], stdout=subprocess.PIPE, text=True,
                          preexec_fn=heed_interrupts) as process:  # fmt: skip
        assert process.stdout is not None
        assert process.stdout.readline() == "running\n"
        threading.Event().wait(0.5)
        process.send_signal(signal.SIGINT)
        assert process.communicate(timeout=30)[0] == "interrupted [(1,)]\n"


@pytest.mark.parametrize(("options", "problem"), [
    ({"threads": 2}, "one thread, not on 2"), ({"memory_limit": "much"}, "such as 4GB, not 'much'"),
    ({"temp_directory": "/tmp"}, "takes no folder"),
])  # fmt: skip
def test_options_it_does_not_have(options: dict[str, Any], problem: str) -> None:
    with pytest.raises(EngineError, match=problem):
        SQLite(**options)


def test_a_memory_limit_is_the_cache_of_a_database() -> None:
    with SQLite(memory_limit="1.5 GB") as db:
        db.attach(":memory:", MODEL)
        assert db.rows("PRAGMA model.cache_size") == [(-int(1.5 * 2**20),)]


def test_bytes_and_text() -> None:
    with SQLite() as db:
        db.execute(db.control.create_table("t", [("a", "bytes"), ("b", "text"), ("c", "i1")]))
        db.insert("t", pa.table({"a": pa.array([b"\x00\xff"], pa.binary()), "b": ["é\0'"], "c": [True]}))
        assert db.rows('SELECT * FROM "t"') == [(b"\x00\xff", "é\0'", 1)]
