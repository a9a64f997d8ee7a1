"""The shells of the engines, for tests of scripts."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

import pytest


def shell(name: str, package: str) -> str:
    """Where the shell of an engine is.

    A test that needs one is skipped where it is missing; under CI, which installs everything, it fails.
    """
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
    found = shutil.which(name, path=path)
    if found is not None:
        return found
    reason = f"needs the shell {name}: pip install {package}"
    if os.environ.get("CI"):
        pytest.fail(reason)
    pytest.skip(reason)
