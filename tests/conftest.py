"""Settings of the whole suite."""

from __future__ import annotations

import os

import pytest
from hypothesis import settings

# The suite draws the same examples every time, so that a change is what makes it fail; `make fuzz` draws new ones.
settings.register_profile("suite", deadline=None, derandomize=True)
settings.register_profile("fuzz", deadline=None)
os.environ["IRSQL_COSTS"] = ""  # the layouts of tests are those of the costs that come with irsql
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "suite"))


def pytest_addoption(parser: pytest.Parser) -> None:
    """Options of the suite."""
    parser.addoption("--update-golden", action="store_true", help="write down the SQL that tests/targets/golden holds")
