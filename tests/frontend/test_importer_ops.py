"""Every element-wise operator of the importer against eager PyTorch: capture, import, verify, interpret."""

from __future__ import annotations

import pytest

from tests.models.elementwise_cases import GROUPS
from tests.models.importing import check


@pytest.mark.parametrize("name", [f"{group}:{name}" for group, cases in GROUPS.items() for name in cases])
def test_operator(name: str) -> None:
    group, _, case = name.partition(":")
    function, args = GROUPS[group][case]
    check(function, *args)
