"""The importer: functionalised ATen graphs to tir, by a table of one function an operator."""

from __future__ import annotations

from irsql.frontend.importer.errors import Unsupported, UnsupportedError
from irsql.frontend.importer.graph import import_captured

__all__ = ["Unsupported", "UnsupportedError", "import_captured"]
