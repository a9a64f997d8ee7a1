"""Real MLIR and xdsl read and verify the dumps of every pass on the models of the suite."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.models.staged import MODELS, staged


@pytest.mark.parametrize("name", MODELS)
def test_mlir_accepts_every_dump(mlir: Callable[[str], None], name: str) -> None:
    for _, _, file in staged(name).dumps:
        mlir(file.read_text("utf-8"))


@pytest.mark.parametrize("name", MODELS)
def test_xdsl_accepts_every_dump(xdsl: Callable[[str], str], name: str) -> None:
    for _, _, file in staged(name).dumps:
        text = file.read_text("utf-8")
        assert xdsl(text).count('"func.func"') == text.count('"func.func"') > 0
