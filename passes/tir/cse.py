"""``cse``: equal pure ops become one."""

from __future__ import annotations

import attrs

from irsql.ir import cleanup
from irsql.ir.core import Module
from irsql.ir.passes import Pass, PassContext


@attrs.frozen
class CommonSubexpressions(Pass):
    """Merges pure ops of equal operands, attributes, regions and types, function by function, on any stage.

    Notes
    -----
    ``let a = f(x), b = f(x) in g(a, b)`` is ``let a = f(x) in g(a, a)`` for a pure ``f``. On relations: equal
    subqueries are one, as are equal scans, packs and joins.

    References
    ----------
    J. Cocke, "Global common subexpression elimination", SIGPLAN Notices 5(7), 1970; MLIR, ``-cse``.
    """

    name = "cse"
    summary = "merge equal pure operations"

    def run(self, module: Module, ctx: PassContext) -> None:
        for func in module.functions.values():
            before = sum(1 for _ in func.body.walk())
            merged = cleanup.cse(func.block)
            ctx.statistic("merged", merged)
            if merged:
                ctx.remark("passed", func, f"@{func.sym_name}: {merged} of {before} operations equal earlier ones")
