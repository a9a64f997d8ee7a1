"""Modules on disk: the text, and beside it the big constants.

``x.mlir`` comes with ``x.resources.npz`` where the module has constants of more than 16 elements. Lines of ``//`` at
the top are a header that reading skips; :func:`header_of` gives it back.
"""

from __future__ import annotations

import os
import tempfile
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from irsql.ir.core import Module
from irsql.ir.diagnostics import Diagnostic, DiagnosticError
from irsql.ir.files import is_special, replace, write_text
from irsql.ir.location import Location
from irsql.ir.parser import parse_module
from irsql.ir.printer import print_op


def resources_path(path: Path) -> Path:
    """Where the big constants of the dump at ``path`` are."""
    return path.with_name(path.stem + ".resources.npz")


def write_module(path: Path | str, module: Module, header: Sequence[str] = ()) -> None:
    """Write a module: its text, and its big constants beside it.

    Parameters
    ----------
    path
        The text file; its folder must exist.
    module
        May be ill-formed.
    header
        Lines for the top, without ``//``.
    """
    path = Path(path)
    resources: dict[str, npt.NDArray[Any]] = {}
    text = print_op(module, resources=resources)
    beside = resources_path(path)
    if resources:
        with beside.open("wb") as file:
            np.savez(file, **resources)  # type: ignore[arg-type]  # none is called allow_pickle
    else:
        beside.unlink(missing_ok=True)
    lines = [*_header(header), text]
    path.write_text("\n".join(lines), encoding="utf-8", errors="backslashreplace", newline="\n")


def _header(lines: Sequence[str]) -> list[str]:
    return [f"// {part}".rstrip() for line in lines for part in (line.splitlines() or [""])]


def replace_module(path: Path, module: Module, header: Sequence[str] = ()) -> None:
    """As :func:`write_module`, but what stood at ``path`` before stays whole until all is written; links are followed.

    Raises
    ------
    OSError
        With the name of the file.
    """
    path = Path(os.path.realpath(path))
    if is_special(path):  # a device or a pipe: no place for constants beside it
        write_text(path, "\n".join([*_header(header), print_op(module, resources={})]))
        return
    try:
        with tempfile.TemporaryDirectory(prefix=".irsql-", dir=path.parent) as folder:
            written = Path(folder) / path.name
            write_module(written, module, header)
            beside = resources_path(written)
            if beside.exists():  # the constants first, then the text
                replace(beside, resources_path(path))
                replace(written, path)
            else:
                replace(written, path)
                resources_path(path).unlink(missing_ok=True)
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(path)) from error


def read_module(path: Path | str) -> Module:
    """Read what :func:`write_module` wrote, or a text of one's own.

    Raises
    ------
    DiagnosticError
        If a file cannot be read or the text is no module.
    """
    path = Path(path)
    try:
        text = path.read_bytes().decode("utf-8")
    except UnicodeDecodeError as error:
        raise _unreadable(path, f"the file is not UTF-8 (byte {error.start})") from error
    except OSError as error:
        raise _unreadable(path, f"the file cannot be read: {error.strerror}") from error
    return parse_module(text, filename=str(path), resources=_read_resources(resources_path(path)))


def _read_resources(path: Path) -> dict[str, npt.NDArray[Any]]:
    try:
        with np.load(path, allow_pickle=False) as archive:
            return {name: archive[name] for name in archive.files}
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, EOFError, KeyError, zipfile.BadZipFile) as error:
        raise _unreadable(path, f"the constants cannot be read: {error}") from error


def _unreadable(path: Path, message: str) -> DiagnosticError:
    return DiagnosticError(Diagnostic(f"{path}: {message}", location=Location(node="")))


def header_of(text: str) -> list[str]:
    """The header of a dump: the ``//`` lines at its top, without the slashes."""
    lines: list[str] = []
    for line in text.split("\n"):
        if not line.startswith("//"):
            break
        lines.append(line[2:].strip())
    return lines
