"""Index maps of views: broadcasting and reshapes as affine maps from result to operand coordinates."""

from __future__ import annotations

from collections.abc import Sequence

import attrs

from irsql.ir import affine, dims
from irsql.ir.affine import AffineExpr, AffineMap
from irsql.ir.dims import Dim, SymDim

Shape = tuple[Dim, ...]


def extent(dim: Dim) -> AffineExpr:
    """A dim as an affine expression of symbols."""
    if isinstance(dim, int):
        return affine.const(dim)
    total: AffineExpr = affine.const(0)
    for monomial, coefficient in dim.terms:
        if not monomial:
            term: AffineExpr = affine.const(coefficient)
        else:
            term = affine.SymExpr(monomial[0])
            for name in monomial[1:]:
                term = affine.mul(term, affine.SymExpr(name))
            term = affine.mul(term, affine.const(coefficient))
        total = term if total == affine.const(0) else affine.add(total, term)
    return total


def scale(expr: AffineExpr, factor: Dim) -> AffineExpr:
    """``expr * factor`` with the factor on the right."""
    if isinstance(factor, int):
        return affine.mul(expr, affine.const(factor))
    return expr if expr == affine.const(0) else affine.BinExpr("*", expr, extent(factor))


def broadcast(shape: Shape, result: Shape) -> AffineMap:
    """The map by which an operand of ``shape`` is read when it is broadcast to ``result`` (aligned at the right)."""
    lead = len(result) - len(shape)
    return AffineMap(
        len(result),
        tuple(
            affine.const(0) if size == 1 and result[lead + i] != 1 else affine.dim(lead + i)
            for i, size in enumerate(shape)
        ),
    )


@attrs.frozen
class Group:
    """Adjacent operand axes and adjacent result axes with the same number of elements, none of extent 1."""

    source: tuple[int, ...]
    result: tuple[int, ...]


def groups(source: Shape, result: Shape) -> list[Group]:
    """Split a reshape into independent ones that are as small as the extents allow to prove."""
    sources = [i for i, size in enumerate(source) if size != 1]
    results = [i for i, size in enumerate(result) if size != 1]
    out: list[Group] = []
    while sources or results:
        take, give = 1 if sources else 0, 1 if results else 0
        while True:
            have = dims.product(source[i] for i in sources[:take])
            want = dims.product(result[i] for i in results[:give])
            if have == want or (take == len(sources) and give == len(results)):
                break
            more_source = take < len(sources) and (give == len(results) or not _larger(have, want))
            take, give = (take + 1, give) if more_source else (take, give + 1)
        out.append(Group(tuple(sources[:take]), tuple(results[:give])))
        sources, results = sources[take:], results[give:]
    return out


def _larger(a: Dim, b: Dim) -> bool:
    """Whether ``a`` is the larger product as far as that can be seen from the polynomials."""
    if isinstance(a, int) and isinstance(b, int):
        return a > b
    if dims.exact_div(b, a) is not None:
        return False
    return dims.exact_div(a, b) is not None or isinstance(b, int)


def strides(shape: Shape, axes: Sequence[int]) -> list[Dim]:
    """Row-major strides of the chosen axes among themselves."""
    return [dims.product(shape[j] for j in axes[n + 1 :]) for n in range(len(axes))]


def flat_index(group: Group, result: Shape) -> AffineExpr:
    """The row-major index within a group, from the result's coordinates."""
    total: AffineExpr = affine.const(0)
    for axis, stride in zip(group.result, strides(result, group.result), strict=True):
        total = affine.add(total, scale(affine.dim(axis), stride))
    return total


def reshape(source: Shape, result: Shape) -> AffineMap | None:
    """The map of a reshape without static zeros, or None where it needs a division by a symbolic extent."""
    exprs: list[AffineExpr] = [affine.const(0)] * len(source)
    for group in groups(source, result):
        index = flat_index(group, result)
        for n, (axis, stride) in enumerate(zip(group.source, strides(source, group.source), strict=True)):
            size = source[axis]
            if isinstance(stride, SymDim) or (n and isinstance(size, SymDim)):
                return None
            digit = affine.floordiv(index, stride)
            exprs[axis] = affine.mod(digit, size) if n and isinstance(size, int) else digit
    return AffineMap(len(result), tuple(exprs))
