"""The targets that tests run on, and what is known not to work on them."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Literal

import attrs
import pytest

TARGETS = ("duckdb", "sqlite", "postgres", "pgvector")
ENGINES = ("duckdb", "sqlite", "postgres")
"""One target an engine, for tests in which vectors take no part: pgvector differs from postgres by them alone."""


@attrs.frozen
class Expected:
    """A case that fails on a target.

    Attributes
    ----------
    kind
        ``notimpl``: irsql does not do it yet; ``notyet``: the engine does not yet; ``never``: the engine cannot.
    reason
        One sentence.
    raises
        What is raised.
    """

    kind: Literal["notimpl", "notyet", "never"]
    reason: str
    raises: type[BaseException]


FAILURES: dict[tuple[str, str], Expected] = {}
"""(target, case) to what is expected; the only place where a case may fail on one target."""


def state_of(model: Path, folder: Path, name: str = "state") -> str | Path:
    """Where a test with a folder of its own keeps a state: in a file, or in a schema beside a model in PostgreSQL."""
    return f"{folder.name}_{name}" if model.is_dir() else folder / f"{name}.db"


def on_targets(cases: Iterable[str], targets: Iterable[str] = TARGETS) -> pytest.MarkDecorator:
    """Run a test with ``(name, target)`` for every case on every target; DuckDB's ids are the names alone."""
    params = []
    for target in targets:
        for name in cases:
            known = FAILURES.get((target, name))
            marks = [pytest.mark.xfail(strict=True, reason=f"{known.kind}: {known.reason}", raises=known.raises)
                     ] if known else []  # fmt: skip
            ident = name if target == "duckdb" else f"{target}-{name}"
            params.append(pytest.param(name, target, id=ident, marks=marks))
    return pytest.mark.parametrize(("name", "target"), params)
