from __future__ import annotations

import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import psycopg
import pyarrow as pa
import pytest

from irsql.targets import postgres_server
from irsql.targets.base import driver_of
from irsql.targets.control import MODEL, STATE
from irsql.targets.driver import quoted
from irsql.targets.errors import EngineError
from irsql.targets.postgres import PgVector, Postgres
from irsql.targets.postgres_server import USERS, in_use, using
from irsql.targets.program import Column, Part, TableSpec
from irsql.targets.tables import from_arrow, to_arrow
from tests.processes import heed_interrupts

TYPES = {"i64": np.int64, "f32": np.float32, "f64": np.float64, "i1": np.bool_}
KEYED = TableSpec("t", "x", (Column("i", "i64"), Column("j", "i64")), (Column("v", "f32"),), (2, 3), (), "f32")
LANES = TableSpec("t", "x", (Column("i", "i64"),), (Column("v", "f32[4]"),), (3, 4),
                  (Part(0, "row", 3, 1, "i"), Part(1, "lane", 4, 1, "l")), "f32")  # fmt: skip


@pytest.mark.parametrize("catalog", [None, MODEL])
@pytest.mark.parametrize("dtype", sorted(TYPES))
@pytest.mark.parametrize("shape", [(), (3,), (0,), (2, 3), (0, 4)])
def test_scalar_rows_there_and_back(dtype: str, shape: tuple[int, ...], catalog: str | None) -> None:
    keys = tuple(Column(f"i{n}", "i64") for n in range(len(shape)))
    extents = tuple("BS"[n] for n in range(len(shape)))
    spec = TableSpec('a "strange" name', "x", keys, (Column("v", dtype),), extents, (), dtype)
    want: np.ndarray[Any, Any] = (np.arange(np.prod(shape, dtype=int)) % 3).reshape(shape).astype(TYPES[dtype])
    with Postgres() as db:
        db.attach(":memory:", MODEL)
        db.execute(db.control.create_spec(spec, catalog))
        with db.transaction():
            db.insert(spec.name, to_arrow(spec, want), catalog)
            got = from_arrow(spec, db.read(spec, catalog), dict(zip("BS", shape, strict=False)))
    assert got.dtype == want.dtype
    np.testing.assert_array_equal(got, want)


@pytest.mark.parametrize("catalog", [None, MODEL])
def test_what_is_no_number(catalog: str | None) -> None:
    values = np.array([[np.nan, np.inf, -np.inf], [-0.0, 1e-45, 3.4e38]], np.float32)
    with Postgres() as db:
        db.attach(":memory:", MODEL)
        db.execute(db.control.create_spec(KEYED, catalog))
        with db.transaction():
            db.insert("t", to_arrow(KEYED, values), catalog)
            np.testing.assert_array_equal(from_arrow(KEYED, db.read(KEYED, catalog), {}), values)


def test_lanes_are_vectors() -> None:
    values = np.arange(12, dtype=np.float32).reshape(3, 4)
    with PgVector() as db:
        db.attach(":memory:", MODEL)
        db.execute(db.control.create_spec(LANES, MODEL))
        db.insert("t", to_arrow(LANES, values), MODEL)
        assert db.rows('SELECT "v"::text FROM "model"."t" WHERE "i" = 1') == [("[4,5,6,7]",)]
        np.testing.assert_array_equal(from_arrow(LANES, db.read(LANES, MODEL), {}), values)


def test_a_null_is_no_number() -> None:
    with Postgres() as db, db.transaction():
        db.execute(db.control.create_spec(KEYED))
        db.execute('INSERT INTO "t" VALUES (0, 0, 1), (0, 1, NULL)')
        with pytest.raises(EngineError, match="have NULLs where a tensor has numbers"):
            db.read(KEYED)


def test_a_step_table_is_emptied_with_its_transaction() -> None:
    with Postgres() as db:
        db.execute(db.control.create_spec(KEYED))
        with db.transaction():
            db.insert("t", to_arrow(KEYED, np.ones((2, 3), np.float32)))
            assert db.read(KEYED).num_rows == 6
        assert db.read(KEYED).num_rows == 0


def test_a_state_that_has_grown_is_analysed() -> None:
    """Else what reads it keeps the plan that was made when it was empty: all its rows for each token."""
    with Postgres() as db:
        db.attach(":memory:", MODEL)
        db.attach(":memory:", STATE)
        db.execute(db.control.create_spec(KEYED, STATE))
        rows = "SELECT reltuples FROM pg_class WHERE oid = 'pg_temp.t'::regclass"
        fill = 'INSERT INTO "state"."t" ("i", "j", "v") SELECT {0}, n, 1 FROM generate_series(1, 300) AS n'
        seen = []
        for i in range(4):
            with db.transaction():
                db.execute(db.prepare(fill.format(i)))
            seen += db.rows(rows)
        assert seen == [(-1,), (600,), (600,), (1200,)]


def test_rows_of_deleted_sequences_make_room() -> None:
    """The server cleans up after everybody, but not in temporary tables."""
    with Postgres() as db:
        db.attach(":memory:", MODEL)
        db.attach(":memory:", STATE)
        db.execute(db.control.create_spec(KEYED, STATE))
        fill = db.prepare('INSERT INTO "state"."t" ("i", "j", "v") SELECT 0, n, 1 FROM generate_series(1, 1000) AS n')
        sizes = []
        for _ in range(8):
            with db.transaction():
                db.execute(fill)
            with db.transaction():
                db.execute(db.control.delete("t", STATE, ("i",)), [0])
            sizes += db.rows("SELECT pg_total_relation_size('pg_temp.t')")
        assert sizes[-1] == sizes[1]
        assert db.rows("SELECT count(*) FROM pg_temp.t") == [(0,)]


def test_a_cursor_shares_what_is_in_memory_but_the_state() -> None:
    with Postgres() as db:
        db.attach(":memory:", MODEL)
        db.attach(":memory:", STATE)
        db.execute(db.control.create_spec(KEYED, MODEL))
        db.execute(db.control.create_spec(KEYED, STATE))
        with db.cursor() as other:
            other.insert("t", to_arrow(KEYED, np.ones((2, 3), np.float32)), MODEL)
            assert other.tables(STATE) == set()
        assert db.read(KEYED, MODEL).num_rows == 6
        assert db.tables(MODEL) == db.tables(STATE) == {"t"}


def test_what_was_in_memory_goes() -> None:
    with Postgres() as watching:
        count = "SELECT COUNT(*) FROM pg_namespace WHERE nspname LIKE 'irsql\\_%'"
        before = watching.rows(count)
        with Postgres() as db:
            db.attach(":memory:", MODEL)
            assert watching.rows(count) != before
        assert watching.rows(count) == before


def test_strings_are_not_taken_for_schemas() -> None:
    with Postgres() as db:
        db.attach(":memory:", MODEL)
        assert db.rows("""SELECT '"model".', 'it''s "state".'""") == [('"model".', 'it\'s "state".')]
        assert db.rows('SELECT "model" FROM (SELECT 1 AS "model") AS "q"') == [(1,)]


@pytest.mark.parametrize("name", ["", "a/b", "pg_x", "x" * 64])
def test_a_state_is_a_schema(name: str) -> None:
    with Postgres() as db:
        db.attach(":memory:", MODEL)
        with pytest.raises(EngineError, match="is a schema beside it: give a name"):
            db.attach(name, STATE)


def test_hostile_names_of_states() -> None:
    with Postgres() as db:
        db.attach(":memory:", MODEL)
        for name in ('"; DROP SCHEMA public; --', "model", "Übergrößenträger", "State", "state"):
            db.attach(name, STATE)
            db.execute(db.control.create_spec(KEYED, STATE))
            assert db.tables(STATE) == {"t"}
            db.execute(db.control.drop_table("t", STATE))
            assert db.rows("SELECT COUNT(*) FROM pg_namespace WHERE nspname = %s", [name]) == [(1,)]
            db.execute(f"DROP SCHEMA {quoted(name)}")


def test_an_address_that_answers_nothing() -> None:
    with Postgres() as db, pytest.raises(EngineError, match="no connection to postgresql://me@") as error:
        db.attach("postgresql://me:secret@127.0.0.1:1/x", MODEL, read_only=True)
    assert "secret" not in str(error.value)


def test_a_folder_is_a_server(tmp_path: Path) -> None:
    folder = tmp_path / "x.pg"
    with Postgres() as db:
        db.attach(folder, MODEL)
        db.execute(db.control.create_spec(KEYED, MODEL))
        db.insert("t", to_arrow(KEYED, np.ones((2, 3), np.float32)), MODEL)
        with Postgres() as other, pytest.raises(EngineError, match="model is in use by another process"):
            other.attach(folder, MODEL)
        assert in_use(folder)
    assert driver_of(folder) is Postgres
    postgres_server.wait_until_stopped(folder)
    assert not in_use(folder)
    with Postgres() as db:
        db.attach(folder, MODEL, read_only=True)
        assert db.read(KEYED, MODEL).num_rows == 6
    Postgres.remove(str(folder))
    assert not folder.exists()


def test_no_server_in_a_folder(tmp_path: Path) -> None:
    with Postgres() as db, pytest.raises(EngineError, match="with a PostgreSQL server in it"):
        db.attach(tmp_path, MODEL, read_only=True)
    with Postgres() as db, pytest.raises(EngineError, match="no PostgreSQL server can live in"):
        db.attach(tmp_path / "no" / "folder", MODEL)


HOLD = """
import sys
from irsql.targets.control import MODEL
from irsql.targets.postgres import Postgres
with Postgres() as db:
    db.attach(sys.argv[1], MODEL, read_only=True)
    print("ready", flush=True)
    db.rows("SELECT pg_sleep(60)")
"""


def test_a_killed_user_disturbs_nobody(tmp_path: Path) -> None:
    """The server goes on for those who are left, and ends when nobody is."""
    folder = tmp_path / "x.pg"
    with Postgres() as db:
        db.attach(folder, MODEL)
    command = [sys.executable, "-c", HOLD, str(folder)]
    with (subprocess.Popen(command, stdout=subprocess.PIPE) as one,
          subprocess.Popen(command, stdout=subprocess.PIPE) as two):  # fmt: skip
        for process in (one, two):
            assert process.stdout is not None
            assert process.stdout.readline() == b"ready\n"
        one.kill()
        one.wait()
        with Postgres() as db:
            db.attach(folder, MODEL, read_only=True)
            assert db.rows("SELECT 1") == [(1,)]
        two.kill()
    postgres_server.wait_until_stopped(folder)
    assert not in_use(folder)


def test_users_hold_a_lock(tmp_path: Path) -> None:
    server = using(tmp_path / "x.pg")
    assert using(tmp_path / "x.pg") is server
    postgres_server.release(server)
    assert in_use(tmp_path / "x.pg")
    assert (tmp_path / "x.pg" / USERS).exists()
    postgres_server.release(server)
    postgres_server.remove(tmp_path / "x.pg")


def test_an_ordinary_role(tmp_path: Path) -> None:
    """It needs no more than a database in which it may create schemas."""
    folder = tmp_path / "x.pg"
    server = using(folder)
    try:
        with psycopg.connect(server.address, autocommit=True) as root:
            root.execute("CREATE ROLE plain LOGIN")
            root.execute("CREATE DATABASE own")
            root.execute("GRANT CREATE ON DATABASE own TO plain")
            root.execute("CREATE DATABASE closed")
        host = server.address.split("'")[1]
        address = f"postgresql:///{{}}?host={host}&user=plain#weights"
        with Postgres() as db:
            db.attach(address.format("own"), MODEL)
            db.execute(db.control.create_spec(KEYED, MODEL))
            db.insert("t", to_arrow(KEYED, np.ones((2, 3), np.float32)), MODEL)
            db.attach("talk", STATE)
            db.execute(db.control.create_spec(KEYED, STATE))
            with pytest.raises(EngineError, match="the schema weights is the model"):
                db.attach("weights", STATE)
        assert Postgres.exists(address.format("own"))
        assert Postgres.has_state(address.format("own"), "talk")
        assert not Postgres.has_state(address.format("own"), "other")
        Postgres.publish(address.format("own"), address.format("own").replace("weights", "final"))
        assert not Postgres.exists(address.format("own"))
        Postgres.remove(address.format("own").replace("weights", "final"))
        with Postgres() as db, pytest.raises(EngineError, match="permission denied"):
            db.attach(address.format("closed"), MODEL)
        with PgVector() as db, pytest.raises(EngineError, match="has no pgvector, and this role cannot create it"):
            db.attach(address.format("closed"), MODEL)
    finally:
        postgres_server.release(server)
        postgres_server.remove(folder)


def test_writers_of_one_state_take_turns(tmp_path: Path) -> None:
    with Postgres() as db:
        db.attach(":memory:", MODEL)
        db.attach("shared", STATE)
        db.execute(db.control.create_spec(KEYED, STATE))
        other, done = db.cursor(), []

        def write() -> None:
            with other.transaction():
                done.append(other.read(KEYED, STATE).num_rows)

        with db.transaction():
            db.insert("t", to_arrow(KEYED, np.ones((2, 3), np.float32)), STATE)
            thread = threading.Thread(target=write)
            thread.start()
            thread.join(0.3)
            assert not done
        thread.join(10)
        assert done == [6]
        other.close()
        db.execute('DROP SCHEMA "shared" CASCADE')


def test_a_state_that_several_create(tmp_path: Path) -> None:
    """Processes that begin together with a state that is not there: all find it, whoever made it."""
    together = threading.Barrier(4)
    problems: list[BaseException] = []

    def begin() -> None:
        try:
            for n in range(8):
                with Postgres() as db:
                    db.attach(tmp_path / "x.pg", MODEL, read_only=True)
                    together.wait(60)
                    db.attach(f"state {n}", STATE)
        except BaseException as error:
            problems.append(error)
            together.abort()

    with Postgres() as db:
        db.attach(tmp_path / "x.pg", MODEL)
        threads = [threading.Thread(target=begin) for _ in range(together.parties)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert not problems


def test_a_transaction_is_all_or_nothing() -> None:
    with Postgres() as db:
        db.attach(":memory:", MODEL)
        db.execute(db.control.create_spec(KEYED, MODEL))

        def write() -> None:
            with db.transaction():
                db.insert("t", to_arrow(KEYED, np.ones((2, 3), np.float32)), MODEL)
                db.execute("SELECT * FROM nowhere")

        with pytest.raises(EngineError, match='relation "nowhere" does not exist'):
            write()
        assert db.read(KEYED, MODEL).num_rows == 0


SLEEP = """
from irsql.targets.postgres import Postgres
with Postgres() as db:
    db.rows("SELECT 1")
    print("running", flush=True)
    try:
        db.rows("SELECT pg_sleep(60)")
    except KeyboardInterrupt:
        print("interrupted", db.rows("SELECT 1"))
"""


def test_ctrl_c_within_a_statement() -> None:
    with subprocess.Popen([sys.executable, "-c", SLEEP], stdout=subprocess.PIPE, text=True,
                          preexec_fn=heed_interrupts) as process:  # fmt: skip
        assert process.stdout is not None
        assert process.stdout.readline() == "running\n"
        threading.Event().wait(0.5)
        process.send_signal(signal.SIGINT)
        assert process.communicate(timeout=30)[0] == "interrupted [(1,)]\n"


TEMPORARY = """
import os, signal
from irsql.targets.postgres import Postgres
db = Postgres()
db.rows("SELECT 1")
print(db._server.folder, flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_a_temporary_server_goes_with_its_process() -> None:
    done = subprocess.run([sys.executable, "-c", TEMPORARY], capture_output=True, text=True, check=False)
    assert done.returncode == -signal.SIGKILL
    folder = Path(done.stdout.strip())
    until = time.monotonic() + 30
    while folder.exists():
        assert time.monotonic() < until
        time.sleep(0.05)


@pytest.mark.parametrize(("options", "problem"), [
    ({"memory_limit": "much"}, "such as 4GB, not 'much'"), ({"temp_directory": "/tmp"}, "takes no folder"),
])  # fmt: skip
def test_options_it_does_not_have(options: dict[str, Any], problem: str) -> None:
    with pytest.raises(EngineError, match=problem):
        Postgres(**options)


def test_options_it_has() -> None:
    with Postgres(threads=3, memory_limit="1GB") as db:
        assert db.rows("SHOW max_parallel_workers_per_gather") == [("2",)]
        assert db.rows("SHOW work_mem") == [("128MB",)]


def test_bytes_and_text() -> None:
    with Postgres() as db:
        db.attach(":memory:", MODEL)
        db.execute(db.control.create_table("t", [("a", "bytes"), ("b", "text"), ("c", "i1"), ("d", "i64")], MODEL))
        rows = pa.table({"a": pa.array([b"\x00\xff"], pa.binary()), "b": ["é'"], "c": [True], "d": [-5]})
        db.insert("t", rows, MODEL)
        assert db.rows('SELECT * FROM "model"."t"') == [(b"\x00\xff", "é'", True, -5)]
