"""The values an argument of a function takes, read off its uses: what tests of the meaning draw."""

from __future__ import annotations

import torch
import torch.fx

from irsql.dialects.tir import ops as tir
from irsql.frontend.importer.context import Context
from irsql.ir.attributes import I1
from irsql.ir.core import ArgInfo, Value

aten = torch.ops.aten
_FREE_INTEGERS = 16
"""Exclusive bound of an integer argument about which nothing is known."""
_COMPARISONS = frozenset({aten.eq, aten.ne, aten.gt, aten.ge, aten.lt, aten.le})


def argument_info(ctx: Context, value: Value, node: torch.fx.Node) -> ArgInfo:
    """Integers that select rows lie among them, flags are 0 or 1, floats are drawn from N(0, 1)."""
    dtype = tir.tensor(value).dtype
    if dtype.is_float:
        return ArgInfo()
    rows = ctx.indexed.get(value)
    if rows is not None:
        return ArgInfo(domain="range", high=max(ctx.bounds(rows)[0], 1))
    if dtype == I1 or _is_flag(node):
        return ArgInfo(domain="mask")
    return ArgInfo(domain="range", high=_FREE_INTEGERS)


def _is_flag(node: torch.fx.Node) -> bool:
    """Whether an integer is only ever asked whether it is zero, as attention masks are."""
    return bool(node.users) and all(_asks_for_zero(user) for user in node.users)


def _asks_for_zero(user: torch.fx.Node) -> bool:
    val = user.meta.get("val")
    if not isinstance(val, torch.Tensor):
        return True  # asks for the shape
    if isinstance(user.target, torch._ops.OpOverload) and user.target.overloadpacket in _COMPARISONS:
        return user.args[1] in (0, 1)
    return val.dtype == torch.bool
