"""The base seed of ``make fuzz SEED=7``."""

from __future__ import annotations

import os

SEED = int(os.environ.get("IRSQL_FUZZ_SEED", "1"))


def pytest_report_header() -> str:
    """One line above the results."""
    return f"base seed: {SEED} (make fuzz SEED={SEED} runs the same again)"
