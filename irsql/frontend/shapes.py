"""From torch's symbolic sizes (sympy) to the dims of the IR."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import sympy
import torch
import torch.fx

from irsql.frontend.captured import Captured, CaptureError
from irsql.ir import dims
from irsql.ir.dims import Dim


def dim_of(size: Any, names: Mapping[str, str]) -> Dim:
    """An ``int`` or ``torch.SymInt`` as a dim of the IR.

    Parameters
    ----------
    size
        What ``tensor.shape`` holds, or a sympy expression.
    names
        Torch's symbol (``s70``) to the name in the IR (``S``).

    Raises
    ------
    CaptureError
        If the size is no polynomial of the symbols.
    """
    if isinstance(size, torch.SymInt):
        return _dim_of_expr(size.node.expr, names)
    if isinstance(size, sympy.Expr):
        return _dim_of_expr(size, names)
    return int(size)


def _dim_of_expr(expr: Any, names: Mapping[str, str]) -> Dim:
    if expr.is_Integer:
        return int(expr)
    if expr.is_Symbol:
        return dims.symbol(names.get(str(expr), str(expr)))
    if expr.is_Add:
        total: Dim = 0
        for arg in expr.args:
            total = dims.add(total, _dim_of_expr(arg, names))
        return total
    if expr.is_Mul:
        return dims.product(_dim_of_expr(arg, names) for arg in expr.args)
    if expr.is_Pow and expr.exp.is_Integer and expr.exp > 0:
        return dims.product([_dim_of_expr(expr.base, names)] * int(expr.exp))
    raise CaptureError(f"the size {expr} is not a polynomial of the symbolic dims, which is all the IR can express")


def dtype_name(dtype: torch.dtype) -> str:
    """Torch's name of a dtype without the ``torch.`` prefix."""
    return str(dtype).removeprefix("torch.")


def node_shape(captured: Captured, node: torch.fx.Node) -> tuple[Dim, ...]:
    """The shape of a tensor node of a captured graph.

    Raises
    ------
    CaptureError
        If the node yields no single tensor.
    """
    val = node.meta.get("val")
    if not isinstance(val, torch.Tensor):
        raise CaptureError(f"node {node.name} ({node.target}) yields {type(val).__name__}, not one tensor")
    return tuple(dim_of(size, captured.symbol_names) for size in val.shape)


def node_size(captured: Captured, node: torch.fx.Node) -> Dim:
    """The dim that a scalar size node (``sym_size.int``, ``operator.add`` on sizes) stands for."""
    return dim_of(node.meta["val"], captured.symbol_names)
