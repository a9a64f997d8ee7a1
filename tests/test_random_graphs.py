"""The first seeds of the graphs that ``make fuzz`` tries by the hundred."""

from __future__ import annotations

import pytest

from tests.fuzz.running import check_seed


@pytest.mark.parametrize("seed", range(15))
def test_graph(seed: int) -> None:
    check_seed(seed)
