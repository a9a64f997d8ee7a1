from __future__ import annotations

import signal
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from irsql.targets.driver import literal, quoted
from irsql.targets.duckdb import DuckDB, attach_sql
from irsql.targets.errors import EngineError
from irsql.targets.program import Column, Part, TableSpec
from irsql.targets.tables import from_arrow, split_type, to_arrow

TYPES = {"i64": np.int64, "f32": np.float32, "f64": np.float64, "i1": np.bool_}


@pytest.mark.parametrize("dtype", sorted(TYPES))
@pytest.mark.parametrize("shape", [(), (3,), (0,), (2, 3), (0, 4)])
def test_scalar_rows_there_and_back(dtype: str, shape: tuple[int, ...]) -> None:
    keys = tuple(Column(f"i{n}", "i64") for n in range(len(shape)))
    spec = TableSpec(
        'a "strange" name', "x", keys, (Column("v", dtype),), tuple("BS"[n] for n in range(len(shape))), (), dtype
    )
    want: np.ndarray[Any, Any] = (np.arange(np.prod(shape, dtype=int)) % 3).reshape(shape).astype(TYPES[dtype])
    with DuckDB(threads=1) as db:
        db.execute(db.control.create_spec(spec))
        db.insert(spec.name, to_arrow(spec, want))
        found = from_arrow(
            spec,
            db.arrow(db.control.read(spec.name, [c.name for c in spec.columns])),
            dict(zip("BS", shape, strict=False)),
        )
    assert found.dtype == want.dtype
    np.testing.assert_array_equal(found, want)


LAYOUTS = [
    ((3, 10), (Part(0, "row", 3, 1, "i0"), Part(1, "lane", 10, 1, "")), 1),
    ((3, 10), (Part(0, "row", 3, 1, "i0"), Part(1, "column", 3, 4, ""), Part(1, "lane", 4, 1, "")), 3),
    ((3, 10), (Part(0, "row", 3, 1, "i0"), Part(1, "column", 10, 1, "")), 10),
    (
        (3, 10),
        (
            Part(0, "row", 3, 1, "i0"),
            Part(1, "row", 2, 6, "i1"),
            Part(1, "column", 2, 3, ""),
            Part(1, "lane", 3, 1, ""),
        ),
        2,
    ),
    ((7, 3), (Part(1, "row", 3, 1, "i1"), Part(0, "row", 2, 4, "i0"), Part(0, "lane", 4, 1, "")), 1),
    ((10,), (Part(0, "lane", 12, 1, ""),), 1),
]


@pytest.mark.parametrize(("shape", "parts", "columns"), LAYOUTS)
def test_layouts_there_and_back(shape: tuple[int, ...], parts: tuple[Part, ...], columns: int) -> None:
    lane = next((p.extent for p in parts if p.place == "lane"), None)
    kind = f"f32[{lane}]" if lane else "f32"
    values = tuple(Column(f"v_{c}" if columns > 1 else "v", kind) for c in range(columns))
    keys = tuple(Column(p.name, "i64") for p in parts if p.place == "row")
    spec = TableSpec("t", "t", keys, values, shape, parts, "f32")
    want = np.arange(1, np.prod(shape) + 1, dtype=np.float32).reshape(shape)
    with DuckDB(threads=1) as db:
        db.execute(db.control.create_spec(spec))
        db.insert("t", to_arrow(spec, want))
        table = db.arrow(db.control.read("t", [c.name for c in spec.columns]))
    np.testing.assert_array_equal(from_arrow(spec, table, {}), want)
    # Every other element is padding, and padding is zero.
    total = sum(np.concatenate([[0.0], *map(np.ravel, table.column(v.name).to_pylist())]).sum() for v in values)
    assert total == want.sum()
    lanes = next((p.axis for p in parts if p.place == "lane"), None)
    chunk = next((p.name for p in parts if p.place == "row" and p.axis == lanes), None)
    numbers = [] if chunk is None else table.column(chunk).to_pylist()
    assert numbers == sorted(numbers)  # rows that meet the same row of an activation stand together
    shuffled = table.take(pa.array(np.random.default_rng(0).permutation(table.num_rows)))
    np.testing.assert_array_equal(from_arrow(spec, shuffled, {}), want)


@pytest.mark.parametrize(
    ("rows", "sentence"),
    [([(0, 1.0)], "1 rows where"), ([(0, 1.0), (0, 2.0)], "occurs twice"), ([(0, 1.0), (2, 2.0)], "outside of"),
     ([(0, 1.0), (1, None)], "NULLs")],
)  # fmt: skip
def test_tables_that_are_no_tensor(rows: list[tuple[int, float | None]], sentence: str) -> None:
    spec = TableSpec("t", "t", (Column("i0", "i64"),), (Column("v", "f32"),), (2,), (), "f32")
    keys, values = zip(*rows, strict=True)
    table = pa.table({"i0": pa.array(keys), "v": pa.array(values, pa.float32())})
    with pytest.raises(ValueError, match=sentence):
        from_arrow(spec, table, {})


def test_unknown_types_are_refused() -> None:
    assert split_type("f32[8]") == ("f32", 8)
    for bad in ("f8", "f32[", "f32[n]", "f32[8]x"):
        with pytest.raises(ValueError, match="unknown column type"):
            split_type(bad)


@pytest.mark.parametrize("read_only", [True, False])
def test_a_file_cut_short_is_no_database_though_what_is_read_first_is_there(tmp_path: Path, read_only: bool) -> None:
    path = tmp_path / "x.db"
    with DuckDB() as db:
        db.attach(path, "x")
        db.execute('CREATE TABLE "x"."t" AS SELECT range AS "a" FROM range(200000)')
        db.detach("x")
        data = path.read_bytes()
        path.write_bytes(data[:-70_000])
        with pytest.raises(EngineError, match="damaged or cut short"):
            db.attach(path, "x", read_only=read_only)
        path.write_bytes(data)
        db.attach(path, "x", read_only=read_only)
        assert db.rows('SELECT count(DISTINCT "a") FROM "x"."t"') == [(200_000,)]
        db.detach("x")


def test_a_file_that_has_shrunk_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "x.db"
    with DuckDB() as db:
        db.attach(path, "x")
        db.execute('CREATE TABLE "x"."t" AS SELECT random() AS "a" FROM range(900000)')
        db.execute("CHECKPOINT x")
        db.execute('DROP TABLE "x"."t"')
        db.execute("CHECKPOINT x")
        db.execute('CREATE TABLE "x"."u" AS SELECT 1 AS "a"')
        db.detach("x")
        for _ in range(3):
            db.attach(path, "x")
            assert db.rows('SELECT "a" FROM "x"."u"') == [(1,)]
            db.detach("x")


def test_settings_that_make_steps_faster() -> None:
    with DuckDB() as db:
        found = dict(db.rows("SELECT name, value FROM duckdb_settings()"))
    assert found["allocator_background_threads"] == "true"
    assert found["disabled_optimizers"] == "compressed_materialization"


def test_quoting(tmp_path: Path) -> None:
    assert quoted('a"b') == '"a""b"'
    assert literal("a'b") == "'a''b'"
    path = tmp_path / "it's; DROP TABLE x.db"
    with DuckDB() as db:
        db.attach(path, 'my "db"')
        db.execute(db.control.create_table("t", [("a", "i64")], 'my "db"'))
        assert db.tables('my "db"') == {"t"}
        db.detach('my "db"')
    assert path.is_file()
    assert "READ_ONLY" in attach_sql("x", "y", read_only=True)


def test_transaction_is_all_or_nothing() -> None:
    with DuckDB() as db:
        db.attach(":memory:", "state")
        db.execute(db.control.create_table("t", [("a", "i64")], "state"))
        insert, read = db.control.insert("t", ["a"], "state"), db.control.read("t", ["a"], "state")
        with db.transaction():
            db.execute(insert, [1])

        def interrupted(error: type[BaseException] | None, *values: object) -> None:
            with db.transaction():
                for value in values:
                    db.execute(insert, [value])
                if error:
                    raise error

        with pytest.raises(KeyboardInterrupt):
            interrupted(KeyboardInterrupt, 2)
        with pytest.raises(EngineError, match=r"DuckDB: Conversion Error"):
            interrupted(None, 3, "x")
        assert db.rows(read) == [(1,)]


@pytest.mark.parametrize("at", ["BEGIN TRANSACTION", "COMMIT"])
def test_an_interrupt_at_the_edge_of_a_transaction_leaves_none_open(at: str, monkeypatch: pytest.MonkeyPatch) -> None:
    execute = DuckDB.execute

    def interrupted(db: DuckDB, statement: str, parameters: Sequence[object] | None = None) -> None:
        execute(db, statement, parameters)
        if statement == at:
            raise KeyboardInterrupt

    with DuckDB() as db:
        db.execute("CREATE TABLE t (x BIGINT)")
        with monkeypatch.context() as patch:
            patch.setattr(DuckDB, "execute", interrupted)
            with pytest.raises(KeyboardInterrupt), db.transaction():
                db.execute("INSERT INTO t VALUES (1)")
        with db.transaction():
            db.execute("INSERT INTO t VALUES (2)")
        assert db.rows("SELECT x FROM t ORDER BY x") == ([(2,)] if at != "COMMIT" else [(1,), (2,)])


def test_options_reach_the_engine(tmp_path: Path) -> None:
    with DuckDB(threads=1, memory_limit="100MB", temp_directory=tmp_path / "t'mp") as db:
        found = dict(
            db.rows(
                "SELECT name, value FROM duckdb_settings() WHERE name IN ('threads', 'memory_limit', 'temp_directory')"
            )
        )
    assert (found["threads"], found["memory_limit"], found["temp_directory"]) == (
        "1",
        "95.3 MiB",
        str(tmp_path / "t'mp"),
    )
    with pytest.raises(EngineError, match="DuckDB: "):
        DuckDB(memory_limit="plenty")


@pytest.mark.parametrize("by", ["signal", "engine"])
def test_an_interrupt_within_a_statement_is_one(by: str) -> None:
    """The client reports a signal as one of two exceptions, by what the engine is doing when it is seen."""

    def work(db: DuckDB) -> None:
        with db.transaction():
            db.execute("DELETE FROM t")
            db.rows("SELECT sum(a.range * b.range) FROM range(10000000) AS a, range(1000000) AS b")

    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with DuckDB(threads=1) as db:
            db.execute("CREATE TABLE t AS SELECT 1 AS x")
            stop = (lambda: signal.raise_signal(signal.SIGINT)) if by == "signal" else db._connection.interrupt
            timer = threading.Timer(0.3, stop)
            timer.start()
            with pytest.raises(KeyboardInterrupt):
                work(db)
            timer.join()
            assert db.rows("SELECT x FROM t") == [(1,)]
    finally:
        signal.signal(signal.SIGINT, before)
