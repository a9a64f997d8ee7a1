"""Views, reductions, contractions, norms and lookups of the importer against eager PyTorch."""

from __future__ import annotations

import pytest

from tests.models.importing import check
from tests.models.tensor_cases import GROUPS


@pytest.mark.parametrize("name", [f"{group}:{name}" for group, cases in GROUPS.items() for name in cases])
def test_operator(name: str) -> None:
    group, _, case = name.partition(":")
    function, args = GROUPS[group][case]
    check(function, *args, tolerance=5e-6)
