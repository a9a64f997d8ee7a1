"""The process that keeps an embedded PostgreSQL server running for as long as somebody uses it.

A script of the standard library alone, started by :mod:`irsql.targets.postgres_server`. It starts the server, says so
on its standard output, and waits for the users' lock: each user holds it shared, and the system takes it away from one
that is killed. When nobody has it, the server is shut down.

Arguments: what to do with the server's folder in the end (``keep`` or ``remove``), the lock file, the data directory,
the log, and the server's command line.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

if sys.platform != "win32":
    import fcntl

START_SECONDS = 60


def ready(data: Path) -> bool:
    """Whether the server says that it takes connections, in the last line of its ``postmaster.pid``."""
    try:
        lines = (data / "postmaster.pid").read_text().splitlines()
    except OSError:
        return False
    return len(lines) > 7 and lines[7].strip() == "ready"


def main(end: str, lock: str, data: str, log: str, command: list[str]) -> int:
    """Start the server and wait until nobody uses it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with open(log, "ab") as stream:
        server = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=stream, stderr=stream)
    until = time.monotonic() + START_SECONDS
    while not ready(Path(data)):
        if server.poll() is not None or time.monotonic() > until:
            server.kill()
            return 1
        time.sleep(0.01)
    os.write(1, b"ready\n")
    for stream_ in (0, 1, 2):  # nobody waits for a pipe of this process
        os.dup2(os.open(os.devnull, os.O_RDWR), stream_)
    with open(lock, "ab") as users:
        fcntl.flock(users, fcntl.LOCK_EX)
        server.send_signal(signal.SIGINT)
        code = server.wait()
    if end == "remove":
        shutil.rmtree(Path(data).parent, ignore_errors=True)
    return code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2], sys.argv[3], sys.argv[4], sys.argv[5:]))
