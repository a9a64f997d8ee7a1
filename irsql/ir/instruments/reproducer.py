"""``--reproducer``: what is needed to see a failure again."""

from __future__ import annotations

import shlex
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TextIO

from irsql.ir.core import Module
from irsql.ir.dump import header_of, replace_module
from irsql.ir.instruments.base import Instrument, PassRun
from irsql.ir.pass_registry import plugin_flags
from irsql.ir.passes import Pass

HEADER = "reproduce: irsql-opt "
"""Starts the header line that holds the arguments; ``irsql-opt --run-reproducer`` reads it."""


class Reproducer(Instrument):
    """On failure writes the IR right before the failing pass, with that one pass as a ``//`` header, to a new folder.

    Parameters
    ----------
    directory
        Where the folder is made; the system's temporary folder if not given.
    flags
        Further flags the failure depends on (``--verify-semantics``).
    stream
        Where the command line is printed; standard error if not given.
    """

    def __init__(self, directory: Path | None = None, flags: tuple[str, ...] = (),
                 stream: TextIO | None = None) -> None:
        self.directory, self.flags, self.stream = directory, flags, stream
        self.written: Path | None = None
        self._before: Module | None = None

    def before_pass(self, run: PassRun) -> None:
        copy = run.module.clone()
        self._before = copy if isinstance(copy, Module) else None

    def pass_failed(self, run: PassRun, error: Exception) -> None:
        stream = self.stream or sys.stderr
        if self._before is None:
            return
        try:
            if self.directory is not None:
                self.directory.mkdir(parents=True, exist_ok=True)
            folder = Path(tempfile.mkdtemp(prefix=f"irsql-{run.pass_.name}-", dir=self.directory))
            path = folder / "reproducer.mlir"
            command = write_reproducer(path, self._before, run.pass_, self.flags, str(error))
            self.written = path
            stream.write(f"reproduce with: {command}\n")
        except Exception as problem:  # the failure itself is what the user must see
            stream.write(f"warning: no reproducer was written: {problem}\n")


def write_reproducer(path: Path, module: Module, pass_: Pass, flags: Sequence[str], message: str) -> str:
    """Write a module with one pass and what it does wrong as its header; give the command that shows it again.

    Parameters
    ----------
    path
        The file; what stood there before is replaced.
    module
        As it was before the pass.
    pass_
        The pass.
    flags
        Further flags the failure depends on.
    message
        For the reader.
    """
    args = [f"--pass-pipeline={pass_.spec}", *plugin_flags([pass_]), *flags]
    replace_module(path, module, header=[HEADER + shlex.join(args), message])
    return f"irsql-opt {shlex.quote(str(path))} {shlex.join(args)}"


def read_header(text: str) -> list[str] | None:
    """The arguments in the header of a reproducer or dump, if it has one."""
    for line in header_of(text):
        if line.startswith(HEADER):
            return shlex.split(line.removeprefix(HEADER))
    return None
