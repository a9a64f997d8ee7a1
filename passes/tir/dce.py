"""``dce``: pure ops without users go."""

from __future__ import annotations

import attrs

from irsql.ir import cleanup
from irsql.ir.core import Module
from irsql.ir.passes import Pass, PassContext


@attrs.frozen
class DeadCode(Pass):
    """Erases pure ops none of whose results is used, transitively, on any stage.

    Notes
    -----
    ``let a = f(x) in e`` is ``e`` where ``e`` does not use ``a`` and ``f`` is pure: no append to a state and no store.

    References
    ----------
    MLIR, the erasure of trivially dead operations (``isOpTriviallyDead``).
    """

    name = "dce"
    summary = "erase pure operations that nothing uses"

    def run(self, module: Module, ctx: PassContext) -> None:
        for func in module.functions.values():
            before = sum(1 for _ in func.body.walk())
            erased = cleanup.erase_dead(func.block)
            ctx.statistic("erased", erased)
            if erased:
                ctx.remark("passed", func, f"@{func.sym_name}: {erased} of {before} operations were used by nothing")
