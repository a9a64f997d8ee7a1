"""Reading NumPy arrays through affine maps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from irsql.ir import affine
from irsql.ir.affine import AffineExpr, AffineMap, BinExpr, ConstExpr, DimExpr, SymExpr
from irsql.ir.core import IRError
from irsql.ir.interp import Array


def index_grid(dim: int, extents: Sequence[int]) -> Array:
    """Coordinates along ``dim`` as an array of the loop's rank that broadcasts over the other dims."""
    shape = [1] * len(extents)
    shape[dim] = extents[dim]
    return np.arange(extents[dim], dtype=np.int64).reshape(shape)


def evaluate_grid(expr: AffineExpr, extents: Sequence[int], symbols: Mapping[str, int]) -> Array:
    """``expr`` at every loop point, of the loop's rank with size 1 along the dims it does not use."""

    def on_bin(op: str, a: Array, b: Array) -> Array:
        return a + b if op == "+" else a * b if op == "*" else a // b if op == "floordiv" else a % b

    def scalar(value: int) -> Array:
        return np.full((1,) * len(extents), value, dtype=np.int64)

    return affine.fold(expr, lambda i: index_grid(i, extents), lambda s: scalar(symbols[s]), scalar, on_bin)


def read(array: Array, amap: AffineMap, extents: Sequence[int], symbols: Mapping[str, int]) -> Array:
    """``out[i…] = array[amap(i…)]``, of the loop's rank with size 1 along dims that the map does not use.

    A view where every result of the map is ``a·d + c`` of a dim of its own, a copy otherwise.

    Raises
    ------
    IRError
        If the map leaves the array.
    """
    used = frozenset[int]().union(*(affine.used_dims(r) for r in amap.results))
    if 0 in extents:  # an empty loop reads nothing, also where the map has a constant for its empty dim
        return np.zeros([n if i in used else 1 for i, n in enumerate(extents)], dtype=array.dtype)
    strided = [_linear(r, symbols) for r in amap.results]
    dims = [d for s in strided if s is not None and (d := s[0]) is not None]
    if None in strided or len(set(dims)) != len(dims):
        grids = tuple(evaluate_grid(r, extents, symbols) for r in amap.results)
        for axis, grid in enumerate(grids):
            _check(int(grid.min()), int(grid.max()), array.shape[axis], amap)
        return array[grids] if grids else array.reshape((1,) * len(extents))
    index: list[int | slice] = []
    for axis, part in enumerate(strided):
        assert part is not None
        d, step, start = part
        last = start if d is None else start + step * (extents[d] - 1)
        _check(min(start, last), max(start, last), array.shape[axis], amap)
        stop = last + step
        index.append(start if d is None else slice(start, stop if stop >= 0 else None, step))
    view = np.asarray(array[tuple(index)])
    view = view.transpose(np.argsort(dims)) if dims else view
    order = sorted(dims)
    return view.reshape([view.shape[order.index(d)] if d in order else 1 for d in range(len(extents))])


def _check(low: int, high: int, size: int, amap: AffineMap) -> None:
    if low < 0 or high >= size:
        raise IRError(f"{amap} reads coordinates {low} to {high} of an axis of {size}")


def _linear(expr: AffineExpr, symbols: Mapping[str, int]) -> tuple[int | None, int, int] | None:
    """``(dim, step, start)`` where ``expr`` is ``step · dim + start`` (dim None: a constant), else None."""
    match expr:
        case DimExpr(index):
            return index, 1, 0
        case ConstExpr(value):
            return None, 0, value
        case SymExpr(name):
            return None, 0, symbols[name]
        case BinExpr(op, lhs, rhs):
            a, b = _linear(lhs, symbols), _linear(rhs, symbols)
            if a is None or b is None or (a[0] is not None and b[0] is not None):
                return None
            if op == "+":
                return (a[0] if a[0] is not None else b[0]), a[1] + b[1], a[2] + b[2]
            if op == "*" and b[0] is None:
                step = a[1] * b[2]
                return (None, 0, a[2] * b[2]) if step == 0 else (a[0], step, a[2] * b[2])
            if a[0] is None and b[0] is None:
                return None, 0, a[2] // b[2] if op == "floordiv" else a[2] % b[2]
            return None
