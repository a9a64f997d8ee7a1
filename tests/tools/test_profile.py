"""``irsql profile``: every statement of a step, with the engine's operators, at the module that it computes."""

from __future__ import annotations

import base64
import contextlib
import gzip
import io
import json
import re
from pathlib import Path
from typing import Any

import pytest

from irsql.runtime.errors import UserError
from irsql.runtime.session import Model
from irsql.targets.duckdb import DuckDB
from irsql.targets.duckdb_profile import read
from irsql.targets.sqlite import SQLite
from irsql.tools import cli
from irsql.tools.bench import synthetic
from irsql.tools.bench.synthetic import Shape
from irsql.tools.profile.command import profile
from irsql.tools.profile.layouts import entries
from irsql.tools.profile.recorder import CONTROL, SAMPLING
from irsql.tools.profile.summary import Line, Part, groups
from irsql.tools.view import flame
from tests.tools import chromium

SHAPE = Shape(hidden=64, intermediate=96, layers=3, heads=4, kv_heads=2, head_dim=16, vocab=300, context=256)


def run(*args: object) -> int:
    with pytest.raises(SystemExit) as stop:
        cli.main([str(a) for a in args])
    return stop.value.code if isinstance(stop.value.code, int) else 0


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("transformers")
    path: Path = tmp_path_factory.mktemp("model") / "tiny"
    synthetic.write(path, SHAPE)
    return path


@pytest.fixture(scope="module", params=["duckdb", "sqlite"])
def loaded(request: pytest.FixtureRequest, folder: Path) -> Path:
    path = folder.with_name(f"{request.param}.db")
    assert run("load", folder, "-o", path, "--target", request.param) == 0
    return path


# -- what engines say ----------------------------------------------------------------------------------
def test_duckdb_tells_time_rows_and_scanned_rows() -> None:
    with DuckDB() as db:
        db.execute("CREATE TABLE w AS SELECT range AS i, range % 7 AS k FROM range(5000)")
        found = db.profile("CREATE TEMP TABLE t AS SELECT k, sum(i) AS s FROM w WHERE i >= 100 GROUP BY k")
        scan = next(o for o in found.walk() if o.scanned is not None)
        assert (scan.table, sorted(scan.columns), scan.scanned, scan.rows) == ("w", ["i", "k"], 5000, 4900)
        one = db.profile("CREATE TEMP TABLE u AS SELECT max(k) AS k FROM w")
        assert next(o.columns for o in one.walk() if o.table == "w") == ("k",)
        assert sum(o.seconds or 0.0 for o in found.walk()) > 0
        assert found.planning is not None
        assert 0 < found.planning < found.seconds
        assert db.rows("SELECT count(*) FROM t") == [(7,)]  # it did run
        assert db.rows("SELECT current_setting('enable_profiling')") == [(None,)]  # and profiling is off again


def test_sqlite_tells_its_plan() -> None:
    with SQLite() as db:
        db.execute("CREATE TABLE w (i, k)")
        db.execute("CREATE TEMP TABLE t (i, j)")
        db.execute("INSERT INTO w VALUES (1, 2), (2, 1)")
        found = db.profile("INSERT INTO t SELECT a.i, b.i FROM w AS a JOIN w AS b ON a.k = b.i")
        assert [(o.name, o.detail.split()[0], o.seconds) for o in found.walk()] == [
            ("SCAN", "a", None), ("SEARCH", "b", None)]  # fmt: skip
        assert db.rows("SELECT * FROM t ORDER BY i") == [(1, 2), (2, 1)]
        assert found.planning is None


def test_a_statement_that_is_not_profiled_has_no_operators() -> None:
    assert read('{"result": "error"}', 0.5).operators == ()


# -- joined to the model -------------------------------------------------------------------------------
def test_every_statement_is_there_at_its_module(loaded: Path) -> None:
    with Model.open(loaded) as model:
        found = profile(model, function="decode", context=5, steps=2)
        want = [(i, s.scope, s.sql) for i, s in enumerate(model.program.functions["decode"].statements, 1)]
        target = model.program.target
        assert model.sequences() == []
    lines = [line for line in found.lines if line.function == "decode"]
    assert [(line.number, line.scope, line.sql.removesuffix(";")) for line in lines] == want
    assert {line.scope for line in found.lines if line.function != "decode"} == {CONTROL, SAMPLING}
    assert all(line.seconds > 0 for line in found.lines)
    assert sum(line.seconds for line in found.lines) <= found.profiled + found.client + 1e-9
    head = lines[-1]
    assert head.scope == "lm_head"
    assert head.bytes > 300 * 64 * 4
    assert head.counted == (target == "duckdb")
    assert all(line.parts for line in lines)
    assert all((part.seconds is not None) == (target == "duckdb") for line in lines for part in line.parts)


def test_the_layout_report(loaded: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with Model.open(loaded) as model:
        found = profile(model, function="decode", context=5, steps=2)
        rows = entries(model.program, found)
        stored = {s.table.source for s in model.program.stored if len(s.table.extents) == 2}
        read = [name for row in rows for name in row.storages]
        assert stored <= {name for name in read if name in stored}, "each weight is multiplied by one statement"
        assert len([name for name in read if name in stored]) == len(stored)
        assert all(row.predicted > 0 and row.measured > 0 for row in rows)
        model.program.meta["predictions"] = []
        with pytest.raises(UserError, match="carries no predictions"):
            entries(model.program, found)
    assert run("profile", loaded, "--context", 5, "--layout-report") == 0
    said = capsys.readouterr().out
    assert "Kendall" in said
    assert "model.layers.N.self_attn.q_proj" in said


def test_a_prefill(loaded: Path) -> None:
    with Model.open(loaded) as model:
        found = profile(model, function="prefill", context=9, steps=1)
    assert {line.function for line in found.lines} == {"prefill", ""}


def test_groups() -> None:
    def line(scope: str, seconds: float, part: float) -> Line:
        return Line("decode", 1, scope, "x", "", seconds, 0.25, (Part("SCAN", "w", part, 3, 7),), 0, True)

    lines = [line("m.layers.0.up", 1.0, 0.5), line("m.layers.0.norm", 2.0, 1.5), line("m.layers.1.up", 4.0, 2.5)]
    assert [(g.name, g.seconds) for g in groups(lines, "layer")] == [("m.layers.0", 3.0), ("m.layers.1", 4.0)]
    assert [(g.name, g.seconds) for g in groups(lines, "module")] == [("m.layers.*.up", 5.0), ("m.layers.*.norm", 2.0)]
    assert len(groups(lines, "statement")) == 3
    group = groups(lines, "layer")[0]
    assert (group.planning, group.scanned, group.operators) == (0.5, 14, [("SCAN", 2.0)])


def test_the_table(loaded: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("profile", loaded, "--context", 4, "--steps", 1) == 0
    out = capsys.readouterr().out
    assert out.startswith("decode at 4 tokens on ")
    for name in ("model.layers.*.self_attn.q_proj", "model.layers.*", "lm_head", CONTROL, SAMPLING, "(client)"):
        assert re.search(rf"^{re.escape(name)} .*\d ms +\d+\.\d%", out, re.MULTILINE)
    shares = [float(share) for share in re.findall(r"(\d+\.\d)%", out)]
    assert sum(shares) == pytest.approx(100, abs=1.5)
    assert run("profile", loaded, "--context", 4, "--steps", 1, "--by", "statement", "--layer", "model.layers.2") == 0
    out = capsys.readouterr().out
    assert "layers.2.self_attn.q_proj" in out
    assert "lm_head" not in out


@pytest.mark.parametrize(("arguments", "message"), [
    (("--context", 600), "--context is between 1 and 248 here, not 600"),
    (("--function", "prefill", "--context", 129), "--context is between 1 and 128 here, not 129"),
    (("--function", "sample"), "a step is decode or prefill, not 'sample'"),
    (("--context", 4, "--layer", "model.layers.9"), "no layer is called 'model.layers.9'; there are "),
])  # fmt: skip
def test_misuse_is_one_sentence(loaded: Path, arguments: tuple[object, ...], message: str,
                                capsys: pytest.CaptureFixture[str]) -> None:
    assert run("profile", loaded, "--steps", 3, *arguments) == 1
    assert message in capsys.readouterr().err


# -- flames --------------------------------------------------------------------------------------------
PROFILE: dict[str, Any] = {
    "irsql_profile": 1, "engine": "E", "function": "decode", "context": 3, "seconds": 9.0, "profiled_seconds": 10.0,
    "statements": [
        {"function": "decode", "number": 1, "scope": "m.layers.0.up", "node": "m.layers.0.up.linear", "sql": "SELECT 1",
         "seconds": 4.0, "planning": 1.0, "parts": [
             {"name": "JOIN", "detail": "a = b", "seconds": 4.0, "rows": 5, "scanned": None},
             {"name": "SCAN", "detail": "w", "seconds": 2.0, "rows": None, "scanned": 9}]},
        {"function": "", "number": 0, "scope": CONTROL, "node": "", "sql": "COMMIT", "seconds": 1.0, "planning": None,
         "parts": []},
        {"function": "decode", "number": 2, "scope": "m.layers.0", "node": "m.layers.0.add", "sql": "SELECT 2",
         "seconds": 2.0, "planning": None, "parts": []},
    ],
}  # fmt: skip


def test_boxes_lie_within_the_boxes_of_their_modules() -> None:
    boxes = flame.boxes(PROFILE)
    assert [(b[0], b[1], b[2], b[3], b[4]) for b in boxes] == [
        (0, 0.0, 10.0, "module", "decode"),
        (1, 0.0, 6.0, "module", "m"),
        (2, 0.0, 6.0, "module", "layers.0"),
        (3, 0.0, 2.0, "statement", "add"),
        (3, 2.0, 4.0, "module", "up"),
        (4, 2.0, 4.0, "statement", "linear"),
        (5, 2.0, 1.0, "planning", "planning"),
        (5, 3.0, 2.0, "operator", "JOIN"),
        (5, 5.0, 1.0, "operator", "SCAN"),
        (1, 6.0, 1.0, "module", CONTROL),
        (2, 6.0, 1.0, "statement", "COMMIT"),
        (1, 7.0, 3.0, "client", "(client)"),
    ]
    assert boxes[7][5] == "5 rows; 4000.00 ms of all threads; a = b"


def test_a_profile_of_another_program_is_refused(tmp_path: Path) -> None:
    flame.check(PROFILE, {"decode": ["SELECT 1", "SELECT 2"]})
    for texts in (["SELECT 1"], ["SELECT 1", "SELECT 3"]):
        with pytest.raises(UserError, match="statement 2 of decode is not the same"):
            flame.check(PROFILE, {"decode": texts})
    path = tmp_path / "p.json"
    for content in ("{", "[]", '{"irsql_profile": 2}'):
        path.write_text(content)
        with pytest.raises(UserError, match="is no profile"):
            flame.read(path)


@pytest.fixture(scope="module")
def page(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("flame")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("IRSQL_CACHE", str(place / "cache"))
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed):
            assert run("profile", folder, "--context", 3, "--steps", 1, "--dump-dir", place / "dump", "--json") == 0
    (place / "profile.json").write_text(printed.getvalue())
    assert run("view", place / "dump", "--profile", place / "profile.json") == 0
    return place / "dump.html"


def test_the_page_has_the_profile(page: Path) -> None:
    (content,) = re.findall(r'id="block-profile">([^<]*)</script>', page.read_text())
    found = json.loads(gzip.decompress(base64.b64decode(content)))
    statements = [b for b in found["boxes"] if b[3] == "statement"]
    assert len(statements) == len(found["statements"])
    assert max(b[1] + b[2] for b in found["boxes"]) == pytest.approx(found["boxes"][0][2])


def test_flames_in_a_browser(page: Path) -> None:
    program = chromium.found()
    if program is None:
        pytest.skip("there is no Chromium here")
    with chromium.browser(program) as browser:
        browser.open(page)
        browser.click("#show-flame")
        browser.wait("document.querySelectorAll('.box').length > 20")
        assert browser.js("document.getElementById('stages').hidden")
        ends = "[...document.querySelectorAll('.box')].map(b => b.getBoundingClientRect().right)"
        right = browser.js(f"Math.max(...{ends})")
        assert right <= browser.js("document.querySelector('.boxes').getBoundingClientRect().right") + 3
        browser.js("[...document.querySelectorAll('.box')].find(b => b.textContent === 'layers.1').click()")
        assert browser.js("[...document.querySelectorAll('.around')].map(b => b.textContent)") == ["decode", "model"]
        browser.js("[...document.querySelectorAll('.of-statement')].find(b => b.title.includes('decode ')).click()")
        browser.wait("document.querySelector('#details pre').textContent.includes('layers_1')")
        browser.key("Escape")
        browser.key("t")
        browser.wait("!document.getElementById('stages').hidden")
        assert browser.errors == []
