"""Speed and memory of loading: a process of its own compiles and loads, as ``irsql load`` does.

Run as ``python -m irsql.tools.bench.load FOLDER OUT``, it prints one JSON object; :func:`measure` runs it so and adds
what the operating system says of the process.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

RSS_UNIT = 1 if sys.platform == "darwin" else 1024
"""Bytes a unit of ``ru_maxrss``."""


def run(folder: Path, out: Path) -> dict[str, float]:
    """Compile and load in this process, and give the seconds of each."""
    from irsql.compile import compile_model
    from irsql.frontend.checkpoint import Checkpoint
    from irsql.runtime.load import load

    begin = time.perf_counter()
    program = compile_model(folder).program
    compiled = time.perf_counter()
    load(program, Checkpoint.open(folder), out, force=True)
    return {"compile_s": compiled - begin, "load_s": time.perf_counter() - compiled}


def measure(folder: Path, out: Path) -> dict[str, Any]:
    """Load a checkpoint folder in a new process.

    Returns
    -------
    dict
        ``compile_s``, ``load_s``; ``source_bytes``, ``largest_bytes`` (of a tensor, as stored), ``database_bytes``,
        ``peak_rss_bytes`` of the process, torch and transformers included.

    Raises
    ------
    RuntimeError
        If the process fails.
    """
    from irsql.frontend.checkpoint import Checkpoint

    tensors = Checkpoint.open(folder).tensors.values()
    command = [sys.executable, "-m", "irsql.tools.bench.load", str(folder), str(out)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        printed = process.stdout.read()
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise RuntimeError(f"loading {folder} failed with exit code {process.returncode}")
    return json.loads(printed) | {
        "source_bytes": sum(t.nbytes for t in tensors), "largest_bytes": max(t.nbytes for t in tensors),
        "database_bytes": out.stat().st_size, "peak_rss_bytes": usage.ru_maxrss * RSS_UNIT}


if __name__ == "__main__":
    sys.stdout.write(json.dumps(run(Path(sys.argv[1]), Path(sys.argv[2]))))
