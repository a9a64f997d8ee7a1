"""One HTML page from a dump: blocks of compressed JSON that the page's script unpacks when it shows them."""

from __future__ import annotations

import base64
import gzip
import hashlib
import json
from collections.abc import Iterator, Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any

import attrs
import jinja2

from irsql.ir.core import IRError
from irsql.ir.files import write_text
from irsql.ir.location import Location
from irsql.ir.passes import Remark
from irsql.ir.printer import location_text
from irsql.ir.target import target_of
from irsql.targets.base import emit_sql
from irsql.tools.view import difference, flame, stages, statements, text
from irsql.tools.view.dump import Dump, PassRow, open_dump

SCRIPTS = ("blocks.js", "list.js", "columns.js", "passes.js", "details.js", "search.js", "flame.js", "main.js")
"""In order: each uses those before it."""


def write(folder: Path, output: Path, profile: Path | None = None) -> list[str]:
    """Write the page of a dump, and of a profile of what it became; give what is worth telling about the dump.

    Raises
    ------
    UserError
        If the folder is no dump, or a broken one, or the profile is of something else.
    """
    dump = open_dump(folder)
    page, notes = render(dump, None if profile is None else flame.read(profile))
    write_text(output, page)
    return notes


def render(dump: Dump, profile: dict[str, Any] | None = None) -> tuple[str, list[str]]:
    """The page, and sentences about what it cannot show."""
    maker = _Maker(dump, profile)
    blocks = list(maker.blocks())
    assets = files("irsql") / "data" / "view"
    script = "\n".join((assets / name).read_text(encoding="utf-8") for name in SCRIPTS)
    script = f'"use strict";\n(() => {{\n{script}}})();\n'
    style = (assets / "style.css").read_text(encoding="utf-8")
    environment = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined, keep_trailing_newline=True)
    template = environment.from_string((assets / "page.html.jinja").read_text(encoding="utf-8"))
    # The policy lets the page run its own script and nothing else, and reach no network at all.
    policy = f"default-src 'none'; script-src '{_digest(script)}'; style-src '{_digest(style)}'"
    return template.render(title=dump.folder.resolve().name, policy=policy, script=script, style=style,
                           blocks=blocks), maker.notes  # fmt: skip


def _digest(content: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()


def _pack(content: Any) -> str:
    raw = json.dumps(content, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace")
    return base64.b64encode(gzip.compress(raw, mtime=0)).decode()


@attrs.define
class _Maker:
    dump: Dump
    profile: dict[str, Any] | None = None
    notes: list[str] = attrs.field(factory=list)
    _titles: list[dict[str, Any]] = attrs.field(factory=list)
    _columns: list[dict[str, stages.Column]] = attrs.field(factory=list)
    _target: str = ""

    def blocks(self) -> Iterator[tuple[str, str]]:
        """Names and contents of the blocks, ``head`` first."""
        changes = dict(self._changes())
        self._read_stages()
        self.notes += [row.error for row in self.dump.rows if row.error]
        if self.dump.unfinished:
            self.notes.append(f"the compilation ended in {self.dump.unfinished}: the dump has what came before")
        names = list(dict.fromkeys(name for column in self._columns for name in column))
        functions = {name: self._function(name) for name in names}
        head = {
            "title": self.dump.folder.resolve().name, "target": self._target, "notes": self.notes,
            "columns": self._titles, "unfinished": self.dump.unfinished,
            "profiled": self.profile is not None,
            "functions": [{"name": name, "rows": [len(c[name].rows) if name in c else 0 for c in self._columns]}
                          for name in names],
            "passes": [self._pass(row, changes.get(row.n, {})) for row in self.dump.rows],
        }  # fmt: skip
        yield "head", _pack(head)
        if self.profile is not None:
            yield "profile", _pack(self.profile | {"boxes": flame.boxes(self.profile)})
        for i, (rows, texts) in enumerate(functions.values()):
            yield f"function-{i}", _pack(rows)
            for j, column in enumerate(texts):
                if self._titles[j]["kind"] == "ir":  # SQL is in the block of the function: it is searched
                    yield f"text-{i}-{j}", _pack(column)
        for n, change in changes.items():
            for i, hunks in enumerate(change.values()):
                yield f"change-{n}-{i}", _pack(difference.as_json(hunks))

    def _read_stages(self) -> None:
        last = {row.stage: row for row in self.dump.rows if row.file}
        for stage, row in last.items():
            module = self.dump.module(row)
            self._columns.append(stages.columns(module, _first_line(self.dump.folder / str(row.file))))
            self._titles.append({"name": stage, "file": row.file, "after": row.spec, "kind": "ir"})
            if stage == "sql":
                target = target_of(module)
                self._target = f"{target.name} {target.version}" if target else ""
                if self.profile is not None:
                    flame.check(self.profile, emit_sql(module))
                try:
                    self._columns.append(statements.columns(module))
                except IRError as error:
                    self.notes.append(f"no SQL is shown: {error.args[0]}")
                else:
                    self._titles.append({"name": "SQL", "file": "", "after": "", "kind": "sql"})

    def _changes(self) -> Iterator[tuple[int, dict[str, list[difference.Hunk]]]]:
        """By pass and function what a pass changed."""
        before: dict[str, list[list[str]]] | None = None
        fold = text.Folder()
        for row in self.dump.rows:
            if row.file is None:
                continue
            after = text.functions([fold(line) for line in self.dump.text(row)])
            if before is not None:
                found = {name: difference.compare(before.get(name, []), after.get(name, []))
                         for name in dict.fromkeys([*before, *after])}  # fmt: skip
                yield row.n, {name: hunks for name, hunks in found.items() if hunks}
            before = after

    @staticmethod
    def _pass(row: PassRow, change: dict[str, list[difference.Hunk]]) -> dict[str, Any]:
        return {
            "n": row.n, "spec": row.spec, "stage": row.stage, "changed": row.changed, "ms": row.ms,
            "before": row.before, "after": row.after, "file": row.file, "error": row.error,
            "lines": [[name, *difference.count(hunks)] for name, hunks in change.items()],
            "remarks": [{"kind": r.kind, "message": r.message, "reason": r.reason, "suggestion": r.suggestion,
                         "op": r.op, "loc": text.readable(location_text(r.loc)) if r.loc.known else ""}
                        for r in row.remarks],
        }  # fmt: skip

    def _function(self, name: str) -> tuple[dict[str, Any], list[list[str]]]:
        columns = [c.get(name) or stages.Column([]) for c in self._columns]
        numbers, relations = stages.relate(columns)
        places: dict[Location, int] = {}
        paths: dict[str, int] = {}
        remarks = self._remarks(columns)
        out = []
        for i, column in enumerate(columns):
            rows = []
            for j, row in enumerate(column.rows):
                layer, rest = row.path
                loc = places.setdefault(row.loc, len(places)) if row.loc.known else -1
                rows.append([row.name, row.result, row.detail, row.line, row.part, loc,
                             paths.setdefault(layer, len(paths)), paths.setdefault(rest, len(paths)), numbers[i][j],
                             remarks.get((i, j), [])])  # fmt: skip
            out.append(rows)
        shown = [[loc.scope, loc.node, f"{loc.file}:{loc.line}" if loc.file else ""] for loc in places]
        texts = [[row.text for row in c.rows] for c in columns]
        sql = [texts[i] for i, title in enumerate(self._titles) if title["kind"] == "sql"]
        return {"columns": out, "places": shown, "paths": list(paths), "relations": relations,
                "sql": sql[0] if sql else []}, texts  # fmt: skip

    def _remarks(self, columns: Sequence[stages.Column]) -> dict[tuple[int, int], list[list[int]]]:
        """The remarks of each row as ``[pass, number]``.

        A remark knows its op's name and location: it belongs to the rows that have both; where no stage and function
        has such a row any more, to those of the pass's stage that have the location.
        """
        alive = {(row.name, row.loc) for c in self._columns for column in c.values() for row in column.rows}
        by_op: dict[tuple[str, Location], list[tuple[int, int]]] = {}
        by_loc: dict[tuple[int, Location], list[tuple[int, int]]] = {}
        for i, column in enumerate(columns):
            for j, row in enumerate(column.rows):
                by_op.setdefault((row.name, row.loc), []).append((i, j))
                by_loc.setdefault((i, row.loc), []).append((i, j))
        order = [title["name"] for title in self._titles]
        out: dict[tuple[int, int], list[list[int]]] = {}
        for row_ in self.dump.rows:
            seen: set[Remark] = set()
            for k, remark in enumerate(row_.remarks):
                if not remark.loc.known or remark in seen:
                    continue
                seen.add(remark)
                stage = order.index(row_.stage) if row_.stage in order else -1
                key = remark.op, remark.loc
                for place in by_op.get(key, []) if key in alive else by_loc.get((stage, remark.loc), []):
                    out.setdefault(place, []).append([row_.n, k])
        return out


def _first_line(path: Path) -> int:
    """The line that the module's text starts on."""
    with path.open(encoding="utf-8") as lines:
        return next((i for i, line in enumerate(lines, 1) if not line.startswith("//")), 1)
