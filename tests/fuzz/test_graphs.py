"""1,000 random graphs of a base seed: eager PyTorch, the interpreters of every stage and every target agree.

``make test`` runs 50 others (tests/test_random_graphs.py).
"""

from __future__ import annotations

import pytest

from tests.fuzz.conftest import SEED
from tests.fuzz.running import check_seeds

COUNT, CHUNK = 1000, 50
FIRST = SEED * 1_000_000


@pytest.mark.parametrize("first", range(FIRST, FIRST + COUNT, CHUNK))
def test_graphs(first: int) -> None:
    check_seeds(range(first, first + CHUNK))
