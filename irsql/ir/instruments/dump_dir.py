"""``--dump-dir``: a folder with the module after every pass that changed it."""

from __future__ import annotations

import json
import os
import re
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TextIO

import attrs

from irsql.ir.core import Module
from irsql.ir.diagnostics import Diagnostic, DiagnosticError
from irsql.ir.dump import write_module
from irsql.ir.instruments.base import Instrument, PassRun, Snapshot, snapshot, stage_of
from irsql.ir.instruments.reproducer import HEADER
from irsql.ir.pass_registry import plugin_flags
from irsql.ir.passes import Pass, Remark

MANIFEST, LAST_PASS = "manifest.json", "last-pass.json"


class DumpDir(Instrument):
    """Numbered stage folders with numbered dumps, each of which is input for ``irsql-opt`` with that folder alone.

    ``01_rel/007_push-filters.mlir`` is the module after the seventh pass; its first line has the rest of the pipeline,
    which ``irsql-opt --run-reproducer`` runs. ``manifest.json`` has a row for every pass, with or without a file:
    ``n``, ``stage``, ``pass`` (spec), ``changed``, ``ms``, ``ops_before``, ``ops_after``, ``file``, ``hash``,
    ``remarks`` (the fields of :class:`~irsql.ir.passes.Remark`), and ``error`` for the one that failed.
    ``last-pass.json`` is written before each pass, so that even a killed process leaves the name of the pass it was in.

    Parameters
    ----------
    directory
        Made if needed. An earlier dump in it is removed, unless files lie there that no dump wrote.
    stream
        For warnings; standard error if not given. A dump that fails never stops a compilation.

    Raises
    ------
    DiagnosticError
        If the folder holds foreign files.
    """

    needs_text = True

    def __init__(self, directory: Path, stream: TextIO | None = None) -> None:
        self.directory, self.stream = directory, stream
        self.rows: list[dict[str, Any]] = []
        self._files: set[str] = set()
        self._stages = -1
        self._stage: str | None = None
        self._current: str | None = None
        """Hash of the module in the last dump."""
        self._warned = False
        clean(directory)
        directory.mkdir(parents=True, exist_ok=True)

    # -- instrument --------------------------------------------------------------------------------
    def before_pipeline(self, module: Module, passes: Sequence[Pass]) -> None:
        state = snapshot(module)
        if state.hash != self._current:  # the input of the first pipeline, or somebody changed it in between
            row = self._row("input", stage_of(module), state, state)
            self._write(row, module, state, passes)

    def before_pass(self, run: PassRun) -> None:
        last = {"n": len(self.rows), "pass": run.pass_.spec, "stage": run.stage_before}
        self._try(lambda: self._json(LAST_PASS, last))

    def after_pass(self, run: PassRun) -> None:
        if run.before is None or run.after is None:
            return
        row = self._row(run.pass_.spec, run.stage_after, run.before, run.after, run.changed, run.seconds,
                        run.ctx.remarks)
        if run.changed:
            self._write(row, run.module, run.after, run.remaining)
        else:
            self._try(self._write_manifest)

    def pass_failed(self, run: PassRun, error: Exception) -> None:
        if run.before is not None:
            row = self._row(run.pass_.spec, run.stage_before, run.before, run.before, seconds=run.seconds,
                            remarks=run.ctx.remarks)
            row["error"] = str(error.args[0]) if error.args else type(error).__name__
            self._try(self._write_manifest)

    # -- files -------------------------------------------------------------------------------------
    def _row(self, spec: str, stage: str | None, before: Snapshot, after: Snapshot, changed: bool | None = False,
             seconds: float = 0.0, remarks: Sequence[Remark] = ()) -> dict[str, Any]:
        row: dict[str, Any] = {"n": len(self.rows), "stage": stage, "pass": spec, "changed": bool(changed),
                               "ms": round(1000 * seconds, 3), "ops_before": before.ops, "ops_after": after.ops,
                               "file": None, "hash": after.hash, "remarks": [attrs.asdict(r) for r in remarks]}
        self.rows.append(row)
        return row

    def _write(self, row: dict[str, Any], module: Module, state: Snapshot, rest: Sequence[Pass]) -> None:
        def write() -> None:
            stage = str(row["stage"] or "module")
            if stage != self._stage:
                self._stages, self._stage = self._stages + 1, stage
            name = re.sub(r"[^A-Za-z0-9_.-]", "_", str(row["pass"]).partition("{")[0])
            path = self.directory / f"{self._stages:02d}_{stage}" / f"{row['n']:03d}_{name}.mlir"
            path.parent.mkdir(exist_ok=True)
            before = set(_files(self.directory))
            try:
                args = [f"--pass-pipeline={','.join(p.spec for p in rest)}", *plugin_flags(rest)]
                write_module(path, module, header=[HEADER + shlex.join(args)] if rest else [])
                row["file"] = path.relative_to(self.directory).as_posix()
                self._current = state.hash
            finally:
                self._files |= {row["file"] or ""} - {""} | set(_files(self.directory)) - before
                self._write_manifest()

        self._try(write)

    def _write_manifest(self) -> None:
        self._json(MANIFEST, {"irsql_dump": 1, "passes": self.rows, "files": sorted(self._files)})

    def _json(self, name: str, content: object) -> None:
        partial = self.directory / f".{name}.partial"
        text = json.dumps(content, indent=1, ensure_ascii=False) + "\n"
        partial.write_text(text, encoding="utf-8", errors="backslashreplace")  # a lone surrogate, as JSON writes it
        os.replace(partial, self.directory / name)

    def _try(self, action: Any) -> None:
        try:
            action()
        except Exception as error:
            if not self._warned:
                (self.stream or sys.stderr).write(f"warning: the dump in {self.directory} is incomplete: {error}\n")
            self._warned = True


def _files(directory: Path) -> list[str]:
    """Files below a folder that a dump may have written, without the two JSON files."""
    own = (MANIFEST, LAST_PASS, f".{MANIFEST}.partial", f".{LAST_PASS}.partial")
    found = (p.relative_to(directory).as_posix() for p in directory.rglob("*") if not p.is_dir())
    return [name for name in found if name not in own]


def clean(directory: Path) -> None:
    """Remove an earlier dump.

    Raises
    ------
    DiagnosticError
        If there is anything that its manifest does not list; nothing is removed then.
    """
    if not directory.exists():
        return
    manifest = directory / MANIFEST
    known: set[str] = set()
    try:
        content: Any = json.loads(manifest.read_text(encoding="utf-8")) if manifest.exists() else {}
        known = set(content["files"]) if content.get("irsql_dump") == 1 else set()
    except (OSError, ValueError, KeyError, AttributeError, TypeError):
        known = set()  # a broken manifest knows no files
    foreign = sorted(set(_files(directory)) - known) if directory.is_dir() else [directory.name]
    if foreign or (manifest.exists() and not known):
        names = ", ".join(foreign[:3] or [MANIFEST]) + (", …" if len(foreign) > 3 else "")
        raise DiagnosticError(Diagnostic(f"{directory} holds files that no dump of irsql wrote: {names}",
                                         suggestion="choose another folder for --dump-dir, or empty this one"))
    for name in known:
        (directory / name).unlink(missing_ok=True)
    for name in (MANIFEST, LAST_PASS):
        (directory / name).unlink(missing_ok=True)
    for folder in sorted((p for p in directory.rglob("*") if p.is_dir()), reverse=True):
        if not any(folder.iterdir()):
            folder.rmdir()
