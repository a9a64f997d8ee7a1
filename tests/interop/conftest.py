"""The tools this group needs: real MLIR (inside jaxlib) and xdsl; absent, the tests are skipped by name."""

from __future__ import annotations

import importlib
import importlib.util
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest


def require(module: str) -> None:
    """Skip where a tool is not installed; fail instead where the environment promises it (``CI_INTEROP=1``)."""
    if importlib.util.find_spec(module) is None:
        reason = f"{module} is not installed (pip install 'irsql[interop]')"
        if os.environ.get("CI_INTEROP") == "1":
            pytest.fail(reason)
        pytest.skip(reason)


@pytest.fixture(scope="session")
def mlir() -> Callable[[str], None]:
    """Parses and verifies a text with MLIR."""
    require("jaxlib")
    ir: Any = importlib.import_module("jaxlib.mlir.ir")

    def check(text: str) -> None:
        with ir.Context() as context:
            context.allow_unregistered_dialects = True
            module = ir.Module.parse(text)
            assert module.operation.verify()

    return check


@pytest.fixture
def xdsl(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Callable[[str], str]:
    """Parses and verifies a text with ``xdsl-opt`` and gives what it prints."""
    require("xdsl")
    main: Any = importlib.import_module("xdsl.xdsl_opt_main")

    def check(text: str) -> str:
        path = tmp_path / "input.mlir"
        path.write_text(text, encoding="utf-8")
        capsys.readouterr()
        main.xDSLOptMain(args=[str(path), "--allow-unregistered-dialect", "--print-op-generic"]).run()
        return capsys.readouterr().out

    return check
