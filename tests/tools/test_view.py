from __future__ import annotations

import base64
import gzip
import hashlib
import html
import itertools
import json
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import attrs
import pytest
import torch
from sqlglot import parse_one
from torch import nn

import irsql
from irsql.ir.dump import read_module
from irsql.ir.location import Location
from irsql.targets.base import emit_sql
from irsql.tools import cli
from irsql.tools.view import stages, statements, text
from tests.tools import chromium

HOSTILE = """<script>window.pwned=1</script><img src=x onerror="window.pwned=1">'&amp;"""
NAME, RESULT, DETAIL, LINE, PART, PLACE, LAYER, MODULE, RELATION, REMARKS = range(10)


class Block(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.up, self.gate, self.down = nn.Linear(8, 16), nn.Linear(8, 16), nn.Linear(16, 8)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + self.down(torch.relu(self.up(x)) * torch.softmax(self.gate(x), -1))


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.ModuleList([Block(), Block()])
        self.add_module(HOSTILE.replace(".", "_"), nn.Linear(8, 4))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        for layer in self.layers:
            x = layer(x)
        return self.get_submodule(HOSTILE.replace(".", "_"))(x)


@pytest.fixture(scope="module")
def dump(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("view") / "dump"
    irsql.compile(Net(), (torch.zeros(3, 8),), dump_dir=folder)
    return folder


@pytest.fixture(scope="module")
def page(dump: Path) -> Path:
    path = dump.with_name("page.html")
    with pytest.raises(SystemExit) as stop:
        cli.main(["view", str(dump), "-o", str(path)])
    assert not stop.value.code
    return path


@pytest.fixture
def copy(dump: Path, tmp_path: Path) -> Path:
    return shutil.copytree(dump, tmp_path / "copy")


def blocks(page: Path) -> dict[str, Any]:
    found = re.findall(r'<script type="text/plain" id="block-([^"]*)">([^<]*)</script>', page.read_text())
    return {name: json.loads(gzip.decompress(base64.b64decode(content))) for name, content in found}


def manifest(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / "manifest.json").read_text())
    return found


def last_dumps(folder: Path) -> dict[str, Path]:
    return {row["stage"]: folder / row["file"] for row in manifest(folder)["passes"] if row["file"]}


def failure(capsys: pytest.CaptureFixture[str], folder: Path, *more: str) -> str:
    """What the command says on standard error; it must fail with one sentence."""
    with pytest.raises(SystemExit) as stop:
        cli.main(["view", str(folder), *more])
    out = capsys.readouterr()
    assert (stop.value.code, out.out, out.err.count("\n")) == (1, "", 1)
    return out.err


# -- content -------------------------------------------------------------------------------------------
def test_the_page_has_every_pass_with_its_numbers(dump: Path, page: Path) -> None:
    passes = blocks(page)["head"]["passes"]
    rows = manifest(dump)["passes"]
    assert [(p["spec"], p["ms"], p["before"], p["after"], p["changed"]) for p in passes] == [
        (r["pass"], r["ms"], r["ops_before"], r["ops_after"], r["changed"]) for r in rows
    ]
    assert [[x["message"] for x in p["remarks"]] for p in passes] == [
        [x["message"] for x in r["remarks"]] for r in rows
    ]
    assert sum(len(r["remarks"]) for r in rows) > 0


def test_the_columns_have_every_op_with_its_text(dump: Path, page: Path) -> None:
    data = blocks(page)
    assert [c["name"] for c in data["head"]["columns"]] == ["tir", "rel", "tiled", "sql", "SQL"]
    assert [f["name"] for f in data["head"]["functions"]] == ["load", "forward"]
    for i, function in enumerate(("load", "forward")):
        for j, path in enumerate(last_dumps(dump).values()):
            ops = read_module(path).functions[function].block.ops
            rows = data[f"function-{i}"]["columns"][j]
            assert [r[NAME] for r in rows] == [op.name for op in ops]
            lines = path.read_text().split("\n")
            for row, shown in zip(rows, data[f"text-{i}-{j}"], strict=True):
                assert lines[row[LINE] - 1].strip().startswith(f'{row[RESULT]} = "{row[NAME]}"'.removeprefix(" = "))
                assert shown.split("\n")[0] == text.Folder()(lines[row[LINE] - 1].strip())


def test_the_pieces_of_sql_are_the_emitted_statements(dump: Path, page: Path) -> None:
    emitted = emit_sql(read_module(last_dumps(dump)["sql"]))["forward"]
    function = blocks(page)["function-1"]
    statements: list[str] = []
    parts: dict[int, list[tuple[str, str]]] = {}
    for row, sql in zip(function["columns"][4], function["sql"], strict=True):
        parts.setdefault(row[LINE], []).append((row[PART], sql))
    for pieces in parts.values():
        ctes = ",\n".join(sql for part, sql in pieces if part == "cte")
        query = "".join(sql for part, sql in pieces if part == "query")
        statements.append(f"{pieces[0][1]}\n{'WITH ' + ctes if ctes else ''}\n{query}")
    assert [parse_one(s, dialect="duckdb") for s in statements] == [parse_one(s, dialect="duckdb") for s in emitted]
    assert len(function["columns"][4]) > 3 * len(emitted) / 2


def test_each_common_table_expression_is_at_the_op_it_was_made_from(dump: Path) -> None:
    module = read_module(last_dumps(dump)["sql"])
    rows = statements.columns(module)["forward"].rows
    ops = {op.results[0].name.replace(".", "_"): op for op in module.functions["forward"].block.ops if op.results}
    named = [row for row in rows if row.part == "cte" and not row.result.startswith("c_")]
    assert {"linear_1", "linear_4", "x_packed"} <= {row.result.rpartition("_")[0] for row in named}
    for row in named:  # the emitter names it after its value, and numbers it
        op = ops[row.result.rpartition("_")[0]]
        assert (row.loc, row.locs[0]) == (op.loc, op.loc)
    for row in (r for r in named if r.result.startswith("linear")):
        assert [loc.node.startswith("p_layers_") for loc in row.locs] == [False, True]  # and the bias that it reads
    softmax = [row for row in rows if row.part == "cte" and row.loc.node == "softmax"]
    assert [row.result for row in softmax] == ["c_3", "c_4", "c_5"]


def test_the_page_stands_alone(page: Path) -> None:
    shell = re.sub(r'<script type="text/plain".*?</script>', "", page.read_text())
    assert not re.search(r"https?:|//[a-z]|src=|href=|url\(|@import|fetch\(|XMLHttpRequest", shell)
    assert "default-src 'none'" in html.unescape(shell)
    assert not list(page.parent.glob("*.partial"))


def test_viewing_needs_no_torch(dump: Path, tmp_path: Path) -> None:
    code = ("import sys; from irsql.tools import cli\ntry: cli.main(sys.argv[1:])\n"
            "finally: print('torch' in sys.modules)")  # fmt: skip
    command = [sys.executable, "-c", code, "view", str(dump), "-o", str(tmp_path / "p.html")]
    ran = subprocess.run(command, capture_output=True, text=True, check=True)
    assert ran.stdout.split() == [str(tmp_path / "p.html"), "False"]


# -- lineage -------------------------------------------------------------------------------------------
def test_relatives_are_the_ops_whose_locations_say_so(dump: Path, page: Path) -> None:
    data = blocks(page)["function-1"]
    ops = [read_module(path).functions["forward"].block.ops for path in last_dumps(dump).values()]
    locations = [[{o.loc for o in op.walk() if o.loc.known} for op in column] for column in ops]
    lit = 0
    for i, column in enumerate(locations):
        for k, own in enumerate(column):
            direct, inferred = data["relations"][data["columns"][i][k][RELATION]]
            for j, other in enumerate(locations):
                assert direct[j] == [m for m, theirs in enumerate(other) if own & theirs]
                assert not set(direct[j]) & set(inferred[j])
                lit += len(direct[j]) if i != j else 0
    assert lit > 100


def test_every_op_with_a_location_reaches_a_statement_of_its_own_layer(page: Path) -> None:
    data = blocks(page)["function-1"]
    columns, paths = data["columns"], data["paths"]
    for row in columns[0]:
        direct, inferred = data["relations"][row[RELATION]]
        if row[PLACE] >= 0:
            found = [columns[4][i] for i in direct[4] + inferred[4]]
            assert "statement" in {r[PART] for r in found}, row
            if direct[4] and row[NAME] == "tir.contract":
                assert paths[row[LAYER]] in {paths[r[LAYER]] for r in found}


def test_a_location_that_a_stage_lost_is_followed_to_the_readers() -> None:
    a, b, c, other = (Location(scope="m", node=x) for x in ("a", "b", "c", "other"))

    def row(*locs: Location) -> stages.Row:
        return stages.Row("x", "", "", locs[0], locs, "", 1)

    first = stages.Column([row(a), row(b), row(c), row(other)], {a: [b], b: [c]})
    numbers, relations = stages.relate([first, stages.Column([row(c), row(other)]), stages.Column([row(other, c)])])
    assert relations[numbers[0][0]] == ([[0], [], []], [[], [0], [0]])  # a, read by b, read by c, which is still there
    assert relations[numbers[0][2]] == ([[2], [0], [0]], [[], [], []])
    assert relations[numbers[1][0]] == ([[2], [0], [0]], [[0, 1], [], []])
    assert relations[numbers[1][1]] == ([[3], [1], [0]], [[], [], []])


def test_remarks_are_at_the_ops_they_are_about(dump: Path, page: Path) -> None:
    data = blocks(page)
    rows = manifest(dump)["passes"]
    modules = [read_module(path) for path in last_dumps(dump).values()]
    alive = {(op.name, op.loc) for module in modules for f in module.functions.values() for op in f.block.ops}
    shown = 0
    for i, name in enumerate(("load", "forward")):
        for j, module in enumerate(modules):
            for row, op in zip(data[f"function-{i}"]["columns"][j], module.functions[name].block.ops, strict=True):
                for n, k in row[REMARKS]:
                    remark = rows[n]["remarks"][k]
                    assert remark["loc"] == attrs.asdict(op.loc)
                    assert remark["op"] == op.name or (remark["op"], op.loc) not in alive
                    shown += 1
    assert shown > 0


# -- differences ---------------------------------------------------------------------------------------
def test_a_change_of_the_modules_attributes_is_nobodys_function(page: Path) -> None:
    data = blocks(page)
    n, lines = next((p["n"], p["lines"]) for p in data["head"]["passes"] if p["spec"] == "convert-tir-to-rel")
    assert [name for name, _, _ in lines] == ["", "load", "forward"]
    ((place, (old, new)),) = data[f"change-{n}-0"]
    assert place == ""
    assert ('stage = "tir"' in old, 'stage = "rel"' in new) == (True, True)
    assert not any("irsql.attrs" in line for _, hunk in data[f"change-{n}-2"] for line in hunk)


def test_the_changes_of_a_pass_lead_from_one_dump_to_the_next(dump: Path, page: Path) -> None:
    data = blocks(page)
    files = [r for r in manifest(dump)["passes"] if r["file"]]
    for before, after in itertools.pairwise(files):
        names = [name for name, _, _ in data["head"]["passes"][after["n"]]["lines"]]
        change = {name: data[f"change-{after['n']}-{i}"] for i, name in enumerate(names)}
        texts = [text.functions((dump / r["file"]).read_text().split("\n")) for r in (before, after)]
        assert set(change) <= {*texts[0], *texts[1]}
        for mark, units_of in zip("-+", texts, strict=True):
            for name, hunks in change.items():
                lines = {text.Folder()(line) for unit in units_of.get(name, ()) for line in unit}
                plain = {re.sub(r" loc\(.*\)$", "", line) for line in lines}
                shown = {line[1:] for _, hunk in hunks for line in hunk if line[0] == mark}
                assert shown <= lines | plain
        assert any(change.values())


# -- errors --------------------------------------------------------------------------------------------
def test_a_folder_that_is_no_dump(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "there is no folder" in failure(capsys, tmp_path / "none")
    assert "is no dump: it has no manifest.json" in failure(capsys, tmp_path)
    path = tmp_path / "manifest.json"
    for content, sentence in (("{", "is broken"), ('{"name": 1}', "was not written by --dump-dir"), ("[]", "is broken"),
                              ('{"irsql_dump": 1, "passes": []}', "lists no file"),
                              ('{"irsql_dump": 1, "passes": [{"n": 0}]}', "is broken")):  # fmt: skip
        path.write_text(content)
        assert sentence in failure(capsys, tmp_path, "-o", str(tmp_path / "p.html"))
    assert sorted(p.name for p in tmp_path.iterdir()) == ["manifest.json"]


def test_an_incomplete_or_changed_dump(copy: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = [r for r in manifest(copy)["passes"] if r["file"]]
    path = copy / rows[2]["file"]
    whole = path.read_bytes()
    path.write_bytes(whole[:len(whole) // 2])
    assert "was changed or cut off after it was dumped" in failure(capsys, copy)
    path.unlink()
    assert f"is incomplete: {rows[2]['file']} is missing" in failure(capsys, copy)
    path.write_bytes(b"\xff\xfe")
    assert "it is not UTF-8" in failure(capsys, copy)
    path.write_bytes(whole)
    content = manifest(copy)
    content["passes"][0]["file"] = "../../elsewhere.mlir"
    (copy / "manifest.json").write_text(json.dumps(content))
    assert "lies elsewhere" in failure(capsys, copy)


def test_a_dump_that_is_no_ir(copy: Path, capsys: pytest.CaptureFixture[str]) -> None:
    content = manifest(copy)
    row = content["passes"][-1]
    (copy / row["file"]).write_text("nonsense\n")
    row["hash"] = hashlib.blake2b(b"nonsense\n", digest_size=8).hexdigest()
    (copy / "manifest.json").write_text(json.dumps(content))
    assert "cannot be read as IR" in failure(capsys, copy)
    assert not copy.with_name("copy.html").exists()


def test_a_page_that_cannot_be_written(copy: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "cannot be read or written" in failure(capsys, copy, "-o", str(copy.parent / "none" / "p.html"))
    (copy.parent / "folder").mkdir()
    failure(capsys, copy, "-o", str(copy.parent / "folder"))
    assert sorted(p.name for p in copy.parent.iterdir()) == ["copy", "folder"]


def test_a_compilation_that_was_killed(copy: Path, capsys: pytest.CaptureFixture[str]) -> None:
    content = manifest(copy)
    content["passes"] = [r for r in content["passes"] if r["stage"] in ("tir", "rel")]
    (copy / "manifest.json").write_text(json.dumps(content))
    content["passes"][-1]["error"] = "pass cse failed: no <b>reason"
    (copy / "manifest.json").write_text(json.dumps(content))
    last = {"n": len(content["passes"]), "pass": "apply-layout", "stage": "rel"}
    (copy / "last-pass.json").write_text(json.dumps(last))
    with pytest.raises(SystemExit):
        cli.main(["view", str(copy)])
    out = capsys.readouterr()
    assert out.out == f"{copy.with_name('copy.html').resolve()}\n"
    assert "the compilation ended in apply-layout" in out.err
    head = blocks(copy.with_name("copy.html"))["head"]
    assert [c["name"] for c in head["columns"]] == ["tir", "rel"]
    assert head["unfinished"] == "apply-layout"
    assert head["notes"][0] == head["passes"][-1]["error"] == "pass cse failed: no <b>reason"


def test_a_module_without_a_target_is_shown_without_sql(copy: Path, capsys: pytest.CaptureFixture[str]) -> None:
    content = manifest(copy)
    row = content["passes"][-1]
    lines = [x for x in (copy / row["file"]).read_text().split("\n") if not x.startswith("//")]
    lines = [re.sub(r"^}\) \{irsql\.attrs = .*\} : ", '}) {irsql.attrs = {stage = "sql"}} : ', x) for x in lines]
    (copy / row["file"]).write_text("\n".join(lines))
    row["hash"] = hashlib.blake2b("\n".join(lines).encode(), digest_size=8).hexdigest()
    (copy / "manifest.json").write_text(json.dumps(content))
    with pytest.raises(SystemExit):
        cli.main(["view", str(copy)])
    assert "no SQL is shown: SQL is written for a target" in capsys.readouterr().err
    assert [c["name"] for c in blocks(copy.with_name("copy.html"))["head"]["columns"]] == ["tir", "rel", "tiled", "sql"]


# -- hostile names -------------------------------------------------------------------------------------
def test_names_are_never_markup(dump: Path, page: Path, copy: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source = page.read_text()
    assert "pwned" not in source
    paths = blocks(page)["function-1"]["paths"]
    assert any("<script>window" in path for path in paths)
    evil = copy.with_name("a<b>&'\"c")
    copy.rename(evil)
    with pytest.raises(SystemExit):
        cli.main(["view", str(evil), "-o", str(evil.parent / "p.html")])
    capsys.readouterr()
    assert "<title>a&lt;b&gt;&amp;&#39;&#34;c – irsql view</title>" in (evil.parent / "p.html").read_text()


# -- in a browser --------------------------------------------------------------------------------------
@pytest.fixture(scope="module")
def shown(page: Path) -> Iterator[chromium.Browser]:
    program = chromium.found()
    if program is None:
        pytest.skip("there is no Chromium on this machine")
    with chromium.browser(program) as browser:
        yield browser
        assert browser.errors == []


def visible(browser: chromium.Browser, column: int, kind: str) -> list[str]:
    found = browser.js(f"[...document.querySelectorAll('.column:nth-child({column + 1}) .row.{kind}')]"
                       ".map((row) => row.title)")  # fmt: skip
    return sorted(found)


def title(row: list[Any]) -> str:
    return " ".join(x for x in (row[NAME], row[RESULT], row[DETAIL]) if x)


def test_hovering_lights_up_what_is_related_and_clicking_keeps_it(shown: chromium.Browser, page: Path) -> None:
    data = blocks(page)["function-1"]
    shown.open(page, 1440, 6000)  # high enough for all rows
    columns = data["columns"]
    number = next(i for i, row in enumerate(columns[0]) if row[NAME] == "tir.contract")
    direct, inferred = data["relations"][columns[0][number][RELATION]]
    selector = f".column:nth-child(1) .row[title^='{columns[0][number][NAME]} {columns[0][number][RESULT]} ']"

    def check() -> None:
        for j, column in enumerate(columns):
            assert visible(shown, j, "direct") == sorted(title(column[i]) for i in direct[j])
            assert visible(shown, j, "inferred") == sorted(title(column[i]) for i in inferred[j])

    shown.hover(selector)
    shown.wait("document.querySelector('.row.direct')")
    check()
    assert shown.js("document.querySelector('.column:nth-child(5) .row.statement.direct') !== null")
    shown.click(selector)
    shown.wait("document.querySelector('#details pre').textContent.includes('tir.contract')")
    shown.hover("header h1")
    check()
    assert "layers.0" in shown.js("document.querySelector('#details .origin').textContent")
    shown.click("#details .links p:last-child .link")
    shown.wait("document.querySelector('#details pre').textContent.includes('SELECT')")
    shown.key("Escape")
    assert shown.js("document.querySelectorAll('.row.direct').length") == 0
    assert shown.js("document.querySelector('#details').hidden")


def test_searching_by_keyboard_leads_to_the_statement(shown: chromium.Browser, page: Path) -> None:
    function = blocks(page)["function-1"]
    shown.open(page)
    shown.key("/")
    shown.type("group by")
    hits = sum("group by" in sql.lower() or "group by" in row[DETAIL]
               for row, sql in zip(function["columns"][4], function["sql"], strict=True))  # fmt: skip
    assert hits > 0
    shown.wait(f"document.querySelector('#search output').textContent === '{hits}'")
    shown.key("Enter")
    shown.wait("document.querySelector('.column:nth-child(5) .row.cursor.hit.direct')")
    assert shown.js("document.querySelector('#search output').textContent") == f"1/{hits}"
    shown.key("Escape")
    shown.wait("!document.querySelector('.hit')")


def test_moving_by_keyboard_lights_up_and_keeps(shown: chromium.Browser, page: Path) -> None:
    shown.open(page)
    for _ in range(3):
        shown.key("ArrowDown")
    shown.wait("document.querySelector('.column:nth-child(1) .row.cursor')")
    assert shown.js("document.querySelector('.column:nth-child(2) .row.direct') !== null")
    shown.key("Enter")
    shown.wait("document.querySelector('#details pre').textContent.includes('tir.')")
    shown.key("f")
    shown.wait("document.querySelector('#functions [aria-selected=true]').textContent === 'load'")
    assert shown.js("document.querySelector('#details').hidden")


def test_a_pass_shows_its_change_and_its_remarks(shown: chromium.Browser, page: Path) -> None:
    head = blocks(page)["head"]
    shown.open(page)
    n = next(p["n"] for p in head["passes"] if p["remarks"] and "forward" in [x[0] for x in p["lines"]])
    shown.click(f".pass[data-n='{n}']")
    shown.wait("document.querySelector('#change .line.added')")
    assert head["passes"][n]["remarks"][0]["message"] in shown.js("document.querySelector('.remarks').textContent")
    assert shown.js("document.querySelector('#stages').hidden")
    shown.key("]")
    shown.wait(f"document.querySelector('.pass[aria-current=true]').dataset.n === '{n + 1}'")
    shown.key("Escape")
    assert shown.js("document.querySelector('#change').hidden && !document.querySelector('#stages').hidden")


def test_hostile_names_are_shown_as_they_are(shown: chromium.Browser, page: Path) -> None:
    shown.open(page)
    shown.key("/")
    shown.type("<script>window")
    shown.key("Enter")
    shown.wait("document.querySelector('.cursor')")
    assert "<script>window" in shown.js("document.querySelector('#columns').textContent")
    shown.js("document.querySelector('.cursor').click()")
    shown.wait("document.querySelector('#details pre').textContent")
    assert shown.js("window.pwned === undefined && !document.querySelector('img')")


@pytest.mark.parametrize("width", [390, 1440])
def test_the_page_fits_its_window(shown: chromium.Browser, page: Path, width: int) -> None:
    shown.open(page, width, 844, dark=True)
    assert shown.js("document.documentElement.scrollWidth") == width
    widths = shown.js("[...document.querySelectorAll('.column')].map((c) => c.clientWidth)")
    assert len(widths) == 5
    assert min(widths) >= (width if width < 760 else 200) - 2
    background = shown.js("getComputedStyle(document.body).backgroundColor")
    assert max(map(int, re.findall(r"\d+", background))) < 64


def test_folding_a_layer_folds_it_in_every_stage(shown: chromium.Browser, page: Path) -> None:
    shown.open(page, 1440, 6000)
    before = shown.js("document.querySelectorAll('.row').length")
    shown.click(".column:nth-child(2) .layer")
    heads = "document.querySelectorAll('.layer .fold')"
    assert shown.js(f"[...{heads}].filter((f) => f.textContent === '▸').length") == 5
    assert shown.js("document.querySelectorAll('.row').length") < before
    shown.key("z")
    assert shown.js("document.querySelectorAll('.row').length") == before
