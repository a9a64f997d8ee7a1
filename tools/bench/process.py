"""Start-up, time to first token and peak memory: a process of its own, as a user's would be, which never sees torch.

Run as ``python -m irsql.tools.bench.process DATABASE PROGRAM PROMPT THREADS BEGIN``, it prints one JSON object;
:func:`measure` runs it so.
"""

from __future__ import annotations

import json
import re
import resource
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from irsql.runtime.errors import UserError


def peak_bytes() -> int:
    """Most memory that this process has had.

    Linux counts what the process was forked from into ``ru_maxrss``; ``VmHWM`` begins anew with the program.
    """
    status = Path("/proc/self/status")
    if status.is_file():
        found = re.search(r"^VmHWM:\s*(\d+) kB", status.read_text(encoding="utf-8"), re.MULTILINE)
        if found:
            return int(found[1]) * 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def call(module: str, *arguments: object) -> dict[str, Any]:
    """The JSON object that a module prints, run as a process of its own.

    Raises
    ------
    UserError
        If the process fails.
    """
    command = [sys.executable, "-m", module, *map(str, arguments)]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode:
        raise UserError(f"{module} failed with exit code {done.returncode}")
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def run(database: Path, program: Path, prompt: Sequence[int], threads: int | None, begin: float) -> dict[str, float]:
    """Draw a first token from a prompt of one token, then from the whole prompt, and decode one more.

    Parameters
    ----------
    database, program
        The stored relations, and a file with what to run on them.
    prompt
        Token ids.
    threads
        Of the engine.
    begin
        When the process was asked for, in seconds since the epoch.
    """
    from irsql.runtime.session import Model
    from irsql.targets.program import Program

    text = program.read_text(encoding="utf-8")
    with Model.open(database, threads=threads, program=Program.from_json(text)) as model:
        first = model.sequence()
        first.prefill(prompt[:1])
        first.step()
        startup = time.time() - begin
        first.delete()
        sequence = model.sequence()
        start = time.perf_counter()
        sequence.prefill(prompt)
        sequence.step()
        ttft = time.perf_counter() - start
        sequence.step()
    return {"startup_s": startup, "ttft_s": ttft, "peak_rss_bytes": peak_bytes()}


def measure(database: Path, program: Path, prompt: Sequence[int], threads: int | None) -> dict[str, Any]:
    """Run a new process and give ``startup_s``, ``ttft_s`` and ``peak_rss_bytes``.

    Raises
    ------
    UserError
        If the process fails.
    """
    text = ",".join(map(str, prompt))
    return call("irsql.tools.bench.process", database, program, text, threads or "", time.time())


if __name__ == "__main__":
    _, db, text, ids, count, asked = sys.argv
    result = run(Path(db), Path(text), [int(i) for i in ids.split(",")], int(count) if count else None, float(asked))
    sys.stdout.write(json.dumps(result))
