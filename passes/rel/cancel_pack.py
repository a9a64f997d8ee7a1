"""``cancel-pack``: pack of an unpack in the same layout is the identity; equal packs are one."""

from __future__ import annotations

import attrs

from irsql.dialects.rel import ops as ro
from irsql.dialects.rel.types import rel
from irsql.ir.core import Module
from irsql.ir.passes import Pass, PassContext


@attrs.frozen
class CancelPack(Pass):
    """Remove pack∘unpack and unpack∘pack pairs.

    Notes
    -----
    ``Pack(Unpack(R)) = R`` and ``Unpack(Pack(R)) = R`` in one layout. Pack and unpack are nest and unnest: ``ν`` of an
    axis into the values of a row, and ``μ`` back.

    References
    ----------
    Nest and unnest: Jaeschke and Schek, "Remarks on the algebra of non first normal form relations", PODS 1982; MLIR,
    the folding of ``linalg.pack`` and ``linalg.unpack``.
    """

    name = "cancel-pack"
    summary = "remove pack of unpack, and the reverse, where the layouts agree"
    stage_in = stage_out = "tiled"

    def run(self, module: Module, ctx: PassContext) -> None:
        for func in module.functions.values():
            for op in list(func.block.ops):
                if isinstance(op, ro.Pack | ro.Unpack):
                    inner = op.x.owner
                    opposite = ro.Unpack if isinstance(op, ro.Pack) else ro.Pack
                    if isinstance(inner, opposite) and rel(inner.x) == rel(op.result):
                        ctx.remark("passed", op, "a pack and an unpack cancel")
                        op.replace_with(inner.x)
                    elif isinstance(inner, opposite):
                        ctx.remark("missed", op, "a relation is taken apart and packed again", "the layouts differ")
            for op in reversed(list(func.block.ops)):
                if isinstance(op, ro.Pack | ro.Unpack) and not op.result.uses:
                    op.erase()
