"""Writing files: whole or not at all, and never in the place of what is no file."""

from __future__ import annotations

import os
import shutil
from pathlib import Path


def is_special(path: Path) -> bool:
    """Whether something is at a path that is not to be replaced: a device, a pipe, a folder."""
    return path.exists() and not path.is_file()


def replace(written: Path, path: Path) -> None:
    """Give a finished file its name; links are followed, and an existing file's mode stays."""
    target = Path(os.path.realpath(path))
    if target.exists():
        shutil.copymode(target, written)
    os.replace(written, target)


def write_text(path: Path, text: str) -> None:
    """Write a text file: what stood there before stays until all is written. A device or a pipe is written to.

    Raises
    ------
    OSError
        With the name of the file.
    """
    target = Path(os.path.realpath(path))
    if is_special(target):
        with target.open("w", encoding="utf-8") as stream:
            stream.write(text)
        return
    partial = target.with_name(f".{target.name}.{os.getpid()}.partial")
    try:
        partial.write_text(text, encoding="utf-8")
        replace(partial, target)
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(path)) from error
    finally:
        partial.unlink(missing_ok=True)
