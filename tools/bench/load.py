"""Speed and memory of loading: a process of its own loads a compiled program, as ``irsql load`` does.

Run as ``python -m irsql.tools.bench.load FOLDER PROGRAM OUT``, it prints one JSON object; :func:`measure` runs it so.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Any

from irsql.tools.bench.process import call, peak_bytes


def run(folder: Path, program: Path, out: Path) -> dict[str, float]:
    """Load in this process, and give the seconds."""
    from irsql.frontend.checkpoint import Checkpoint
    from irsql.runtime.load import load
    from irsql.targets.program import Program

    compiled = Program.from_json(program.read_text(encoding="utf-8"))
    begin = time.perf_counter()
    load(compiled, Checkpoint.open(folder), out, force=True)
    return {"load_s": time.perf_counter() - begin, "peak_rss_bytes": peak_bytes()}


def measure(folder: Path, program: Path, out: Path) -> dict[str, Any]:
    """Load a checkpoint folder in a new process.

    Returns
    -------
    dict
        ``load_s``; ``source_bytes``, ``largest_bytes`` (of a tensor, as stored), ``database_bytes``,
        ``peak_rss_bytes`` of the process.

    Raises
    ------
    UserError
        If the process fails.
    """
    from irsql.frontend.checkpoint import Checkpoint

    tensors = Checkpoint.open(folder).tensors.values()
    found = call("irsql.tools.bench.load", folder, program, out)
    return found | {
        "source_bytes": sum(t.nbytes for t in tensors), "largest_bytes": max(t.nbytes for t in tensors),
        "database_bytes": out.stat().st_size}  # fmt: skip


if __name__ == "__main__":
    sys.stdout.write(json.dumps(run(Path(sys.argv[1]), Path(sys.argv[2]), Path(sys.argv[3]))))
