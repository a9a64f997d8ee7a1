"""``cse``: equal pure ops become one."""

from __future__ import annotations

import attrs

from irsql.ir import cleanup
from irsql.ir.core import Module
from irsql.ir.passes import Pass, PassContext


@attrs.frozen
class CommonSubexpressions(Pass):
    """Merges pure ops of equal operands, attributes, regions and types, function by function, on any stage."""

    name = "cse"
    summary = "merge equal pure operations"

    def run(self, module: Module, ctx: PassContext) -> None:
        for func in module.functions.values():
            ctx.statistic("merged", cleanup.cse(func.block))
