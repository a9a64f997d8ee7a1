"""Clean-up of a functionalised ATen graph: what carries no data goes away.

``torch.export`` followed by ``run_decompositions({})`` leaves copies, aliases, asserts, inactive dropout, memory
formats and devices in the graph. None of them has a meaning in a database.
"""

from __future__ import annotations

import types
from collections.abc import Callable
from typing import Any

import torch
import torch.fx

aten = torch.ops.aten

_COPIES: frozenset[Any] = frozenset(
    {
        aten.alias.default,
        aten.clone.default,
        aten.contiguous.default,
        aten.detach.default,
        aten.detach_.default,
        aten.lift_fresh.default,
        aten.lift_fresh_copy.default,
    }
)
_ASSERTS: frozenset[Any] = frozenset(
    {
        aten._assert_async.default,
        aten._assert_async.msg,
        aten._assert_scalar.default,
        aten._assert_tensor_metadata.default,
        aten.sym_constrain_range.default,
        aten.sym_constrain_range_for_size.default,
        torch._check,
    }
)
# No-ops exactly when shape and dtype of operand and result agree.
_SAME: frozenset[Any] = frozenset(
    {
        aten._to_copy.default,
        aten.expand.default,
        aten.reshape.default,
        aten.slice.Tensor,
        aten.to.device,
        aten.to.dtype,
        aten.to.dtype_layout,
        aten.to.other,
        aten.type_as.default,
    }
)
# Strides do not exist in a database, and once copies are gone `view` may be illegal where `reshape` is not.
_RETARGET: dict[Any, Callable[..., Any]] = {
    aten._unsafe_view.default: aten.reshape.default,
    aten.view.default: aten.reshape.default,
}
# Composite operators that the importer takes whole, or that are removed or renamed here.
_KEPT_WHOLE: frozenset[Any] = frozenset(
    {
        aten.contiguous.default,
        aten.dropout.default,
        aten.layer_norm.default,
        aten.linear.default,
        aten.matmul.default,
        aten.reshape.default,
        aten.softmax.int,
        aten.sym_size.int,
        aten.to.device,
        aten.to.dtype,
        aten.where.ScalarOther,
    }
)
_STORAGE_KWARGS = frozenset({"device", "layout", "memory_format", "non_blocking", "pin_memory"})


def clean(gm: torch.fx.GraphModule) -> torch.fx.GraphModule:
    """Remove, in place, the nodes and keywords that carry no data, then dead code.

    Placeholders stay, used or not; results are unchanged bit for bit.
    """
    for node in list(gm.graph.nodes):
        if node.op != "call_function":
            continue
        if node.target in _ASSERTS:
            gm.graph.erase_node(node)
            continue
        node.target = _RETARGET.get(node.target, node.target)
        if node.target is aten.to.dtype:
            node.target, node.args, node.kwargs = aten._to_copy.default, node.args[:1], {"dtype": node.args[1]}
        if _STORAGE_KWARGS & node.kwargs.keys():
            node.kwargs = {key: value for key, value in node.kwargs.items() if key not in _STORAGE_KWARGS}
        if node.target is aten.select.int:
            _index_by_tensor(node)
        if _is_noop(node):
            node.replace_all_uses_with(node.args[0])
            gm.graph.erase_node(node)
    gm.graph.eliminate_dead_code()
    gm.graph.lint()
    gm.recompile()
    return gm


def _index_by_tensor(node: torch.fx.Node) -> None:
    """``x[i]`` of a scalar tensor ``i`` is exported as a select at ``i.item()``: a number from data; it is a lookup."""
    x, dim, index = node.args
    if isinstance(index, torch.fx.Node) and index.target is aten.item.default:
        assert isinstance(x, torch.fx.Node) and isinstance(dim, int)
        before = dim % x.meta["val"].ndim
        node.target, node.args = aten.index.Tensor, (x, [*[None] * before, index.args[0]])


def is_functional(gm: torch.fx.GraphModule) -> bool:
    """Whether an exported graph needs no functionalising: it writes to nothing and every composite is kept whole.

    Functionalising takes longer than the export itself, and leaves such a graph as it is.
    """
    for node in gm.graph.nodes:
        if node.op != "call_function" or isinstance(node.target, types.BuiltinFunctionType):
            continue
        if not isinstance(node.target, torch._ops.OpOverload) or node.target._schema.is_mutable:
            return False
        composite = torch._C._dispatch_has_kernel_for_dispatch_key(node.target.name(), "CompositeImplicitAutograd")
        if composite and node.target not in _KEPT_WHOLE:
            return False
    return True


def _is_noop(node: torch.fx.Node) -> bool:
    if not node.args or not isinstance(node.args[0], torch.fx.Node):
        return False
    if node.target in _COPIES:
        return True
    if node.target is aten.dropout.default:
        return bool(node.args[1] == 0.0 or node.args[2] is False)
    return node.target in _SAME and _same_tensor(node, node.args[0]) and not _is_strided_slice(node)


def _is_strided_slice(node: torch.fx.Node) -> bool:
    """Whether a slice has a step: equal sizes then do not imply equal elements for every value of the symbols."""
    return node.target is aten.slice.Tensor and len(node.args) > 4 and bool(node.args[4] != 1)


def _same_tensor(node: torch.fx.Node, operand: torch.fx.Node) -> bool:
    """Whether both have one dtype and the same shape for all values of the symbols."""
    a, b = node.meta.get("val"), operand.meta.get("val")
    if not isinstance(a, torch.Tensor) or not isinstance(b, torch.Tensor):
        return False
    return bool(a.dtype == b.dtype) and [_expr(size) for size in a.shape] == [_expr(size) for size in b.shape]


def _expr(size: int | torch.SymInt) -> Any:
    return size.node.expr if isinstance(size, torch.SymInt) else size
