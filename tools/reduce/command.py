"""The test of a reduction that is a command: a candidate is kept as long as the command still fails on it."""

from __future__ import annotations

import contextlib
import os
import shlex
import signal
import subprocess
import threading
from pathlib import Path

import attrs

PLACE = "{}"
CANNOT_RUN = (126, 127)
"""Exit codes of the shell for a command that is not there or no program."""


@attrs.frozen
class Outcome:
    """What a run of the command gave.

    Attributes
    ----------
    code
        Exit code (negative: the signal that ended it); None where it took too long.
    output
        Standard output and error.
    """

    code: int | None
    output: str


@attrs.define(eq=False)
class Command:
    """A shell command with the candidate's path in the place of ``{}``, or at its end.

    Attributes
    ----------
    text
        The command.
    expect
        Text that the output of a failure must contain.
    timeout
        Seconds after which a run is ended; it does not count as a failure.
    """

    text: str
    expect: str = ""
    timeout: float = 60.0

    _running: set[int] = attrs.field(factory=set[int], init=False)
    _lock: threading.Lock = attrs.field(factory=threading.Lock, init=False)
    _stopped: bool = attrs.field(default=False, init=False)

    def __call__(self, path: Path) -> bool:
        """Whether the command fails on a file as it should."""
        return self.fails(self.run(path))

    def fails(self, outcome: Outcome) -> bool:
        """Whether a run failed, with the wanted output."""
        return outcome.code not in (None, 0, *CANNOT_RUN) and self.expect in outcome.output

    def line(self, path: Path) -> str:
        """The command for a file."""
        quoted = shlex.quote(str(path))
        return self.text.replace(PLACE, quoted) if PLACE in self.text else f"{self.text} {quoted}"

    def run(self, path: Path) -> Outcome:
        """Run the command on a file."""
        with self._lock:
            if self._stopped:
                return Outcome(None, "")
            process = subprocess.Popen(
                self.line(path), shell=True, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT, text=True, encoding="utf-8", errors="replace", start_new_session=True,
            )  # fmt: skip
            self._running.add(process.pid)
        try:
            output, _ = process.communicate(timeout=self.timeout)
            return Outcome(process.returncode, output)
        except BaseException as error:  # Ctrl-C too: nothing is left running
            _end(process.pid)
            process.communicate()
            if isinstance(error, subprocess.TimeoutExpired):
                return Outcome(None, "")
            raise
        finally:
            with self._lock:
                self._running.discard(process.pid)

    def stop(self) -> None:
        """End all runs, and let none begin."""
        with self._lock:
            self._stopped = True
            for pid in self._running:
                _end(pid)


def _end(pid: int) -> None:
    """End a command and what it started."""
    with contextlib.suppress(ProcessLookupError, PermissionError):  # all of it is gone
        os.killpg(pid, signal.SIGKILL)
