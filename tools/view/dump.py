"""A folder that ``--dump-dir`` wrote: its manifest, checked, and its texts."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import attrs

from irsql.ir.core import Module
from irsql.ir.diagnostics import DiagnosticError
from irsql.ir.dump import read_module
from irsql.ir.instruments.dump_dir import LAST_PASS, MANIFEST
from irsql.ir.location import Location
from irsql.ir.passes import Remark
from irsql.runtime.errors import UserError


@attrs.frozen
class PassRow:
    """One row of the manifest; ``file`` is None where the pass changed nothing."""

    n: int
    spec: str
    stage: str
    changed: bool
    ms: float
    before: int
    after: int
    file: str | None
    hash: str
    error: str
    remarks: tuple[Remark, ...]


@attrs.frozen
class Dump:
    """A dump on disk.

    Attributes
    ----------
    folder
        Where it is.
    rows
        The passes in order; the first is the input.
    unfinished
        The pass in which the compilation was killed; empty if it was not.
    """

    folder: Path
    rows: tuple[PassRow, ...]
    unfinished: str

    def text(self, row: PassRow) -> list[str]:
        """The lines of a dump, without its header.

        Raises
        ------
        UserError
            If the file is missing or not what the pass wrote.
        """
        path = self._path(row)
        try:
            text = path.read_bytes().decode("utf-8")
        except FileNotFoundError:
            raise UserError(f"the dump in {self.folder} is incomplete: {row.file} is missing") from None
        except UnicodeDecodeError:
            raise UserError(f"{path} is not a dump: it is not UTF-8") from None
        lines = text.split("\n")
        while lines and lines[0].startswith("//"):
            del lines[0]
        if hashlib.blake2b("\n".join(lines).encode(), digest_size=8).hexdigest() != row.hash:
            raise UserError(f"{path} is not what {MANIFEST} says: it was changed or cut off after it was dumped")
        return lines

    def module(self, row: PassRow) -> Module:
        """The module of a dump.

        Raises
        ------
        UserError
            If it cannot be read as IR.
        """
        try:
            return read_module(self._path(row))
        except DiagnosticError as error:
            raise UserError(f"{self._path(row)} cannot be read as IR: {error.diagnostics[0].message}") from error

    def _path(self, row: PassRow) -> Path:
        assert row.file is not None
        return self.folder / row.file


def open_dump(folder: Path) -> Dump:
    """The dump in a folder.

    Raises
    ------
    UserError
        If there is none, or its manifest is broken.
    """
    path = folder / MANIFEST
    if not folder.is_dir():
        raise UserError(f"there is no folder {folder}: give one that --dump-dir wrote")
    try:
        content: Any = json.loads(path.read_text(encoding="utf-8"))
        ours = content.get("irsql_dump") == 1
        rows = tuple(_row(i, r) for i, r in enumerate(content["passes"])) if ours else ()
    except FileNotFoundError:
        raise UserError(f"{folder} is no dump: it has no {MANIFEST} as --dump-dir writes one") from None
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise UserError(f"{path} is broken: {type(error).__name__} {error}") from error
    if not ours:
        raise UserError(f"{folder} is no dump: its {MANIFEST} was not written by --dump-dir")
    if not any(r.file for r in rows):
        raise UserError(f"the dump in {folder} is incomplete: its {MANIFEST} lists no file")
    return Dump(folder, rows, _unfinished(folder, rows))


def _row(n: int, row: dict[str, Any]) -> PassRow:
    file = row["file"]
    if file is not None and (Path(file).is_absolute() or ".." in Path(file).parts):
        raise ValueError(f"names {file!r}, which lies elsewhere")
    if row["n"] != n:
        raise ValueError(f"has row {row['n']!r} in place of row {n}")
    remarks = tuple(Remark(**{**r, "loc": Location(**r["loc"])}) for r in row.get("remarks", ()))
    return PassRow(n, str(row["pass"]), str(row["stage"] or "module"), bool(row["changed"]), float(row["ms"]),
                   int(row["ops_before"]), int(row["ops_after"]), file, str(row["hash"]), str(row.get("error", "")),
                   remarks)


def _unfinished(folder: Path, rows: tuple[PassRow, ...]) -> str:
    """The pass that began and has no row: the process ended in it."""
    try:
        last = json.loads((folder / LAST_PASS).read_text(encoding="utf-8"))
        return str(last["pass"]) if last["n"] >= len(rows) else ""
    except (OSError, ValueError, KeyError, TypeError):
        return ""
