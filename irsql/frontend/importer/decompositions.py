"""Operators without an importer are rewritten by torch's own decompositions, as far as that helps."""

from __future__ import annotations

from typing import Any

import torch
import torch.fx
from torch.export import ExportedProgram

from irsql.frontend.importer import graph as _graph  # noqa: F401 - fills the table of importers
from irsql.frontend.importer.registry import HANDLERS


def decompose_unknown(program: ExportedProgram) -> ExportedProgram:
    """``program`` with every operator that has no importer replaced by ones that have.

    An operator whose decomposition ends in something unknown stays whole, so that the report of what is unsupported
    names what the user wrote. The table is ``torch.export.default_decompositions()``.
    """
    if not _unknown(program):
        return program
    table = torch.export.default_decompositions()
    known = {target for target in table if target in HANDLERS}
    if not any(node.target in table for node in _unknown(program)):
        return program
    expanded = _run(program, known)
    origins = {source.target for node in _unknown(expanded) for source in node.meta.get("from_node") or []}
    if not origins:
        return expanded
    return _run(program, known | {target for target in table if str(target) in origins})


def _run(program: ExportedProgram, whole: set[Any]) -> ExportedProgram:
    table = torch.export.default_decompositions()
    for target in whole:
        table.pop(target)
    return program.run_decompositions(table)


def _unknown(program: ExportedProgram) -> list[torch.fx.Node]:
    """The calls of tensor operators that have no importer; what nobody uses is an assert or dead."""
    return [
        node
        for node in program.graph.nodes
        if isinstance(node.target, torch._ops.OpOverload) and node.target not in HANDLERS and node.users
        and isinstance(node.meta.get("val"), (torch.Tensor, tuple, list))
    ]
