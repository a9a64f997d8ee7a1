"""Helpers of the tir passes: views, composition of maps through each other, cost of a body."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from irsql.dialects import expr
from irsql.dialects.expr import Exprs
from irsql.dialects.tir import ops
from irsql.ir import affine, dims
from irsql.ir.affine import AffineExpr, AffineMap
from irsql.ir.affine_simplify import Bounds, Simplifier
from irsql.ir.attributes import I64, ScalarType, TensorType
from irsql.ir.core import Block, Func, IRError, Op, OpResult, Value
from irsql.ir.dims import Dim

Input = tuple[Value, AffineMap]


def producer(value: Value) -> Op | None:
    """The op that defines ``value``, None for a block argument."""
    return value.op if isinstance(value, OpResult) else None


def is_view(op: Op | None) -> bool:
    """Whether ``op`` is a map that moves elements and computes nothing."""
    if not isinstance(op, ops.Map) or len(op.inputs) != 1:
        return False
    block = op.body.block
    return len(block.ops) == 1 and block.terminator.operands == (block.args[0],)


def view_of(value: Value) -> Input | None:
    """Source and map of a value that is a view."""
    op = producer(value)
    return (op.inputs[0], op.maps[0]) if isinstance(op, ops.Map) and is_view(op) else None


def enclosing_func(op: Op) -> Func:
    """The function an op stands in.

    Raises
    ------
    IRError
        If it stands in none.
    """
    at: Op | None = op
    while at is not None and not isinstance(at, Func):
        at = at.parent_op
    if at is None:
        raise IRError("the op stands in no function", op)
    return at


def symbol_ranges(func: Func) -> dict[str, tuple[int, int]]:
    """The ranges of the function's symbols."""
    out: dict[str, tuple[int, int]] = {}
    for name, bounds in func.dims.items():
        match bounds:
            case (int() as low, int() as high):
                out[name] = low, high
            case _:
                raise IRError(f"the range of symbol {name} must be a pair of integers", func)
    return out


def simplifier(func: Func, shape: Sequence[Dim]) -> Simplifier:
    """A simplifier of maps over a loop of this shape."""
    ranges = symbol_ranges(func)
    loops: list[Bounds] = [(0, max(0, dims.bounds(d, ranges)[1] - 1)) for d in shape]
    symbols: Mapping[str, Bounds] = {name: (float(low), float(high)) for name, (low, high) in ranges.items()}
    return Simplifier(loops, symbols)


def splice(body: Block, args: Sequence[Value], e: Exprs, coordinates: Sequence[AffineExpr]) -> Value:
    """Copy a one-value body to the end of ``e``'s block: its arguments become ``args``, its loop ``coordinates``."""
    mapping: dict[Value, Value] = dict(zip(body.args, args, strict=True))
    for op in body.ops:
        if op.is_terminator:
            return mapping[op.operands[0]]
        if isinstance(op, expr.Index):
            mapping[op.result] = coordinate(coordinates[op.dim], e)
        else:
            e.builder.insert(op.clone(mapping))
    raise IRError("the body has no expr.yield", body.parent_op)


def coordinate(at: AffineExpr, e: Exprs) -> Value:
    """An affine expression of the loop dims as ops of a body."""
    kinds = {"+": "add", "*": "mul", "floordiv": "floordiv", "mod": "mod"}

    def symbol(name: str) -> Value:
        return e.builder.insert(expr.Symbol(value=dims.symbol(name), result_types=[I64])).result

    return affine.fold(at, lambda i: e.builder.insert(expr.Index(dim=i, result_types=[I64])).result, symbol,
                       lambda c: e.const(c, I64), lambda op, a, b: e.binary(kinds[op], a, b))


def rebuild(op: ops.Map, replaced: Mapping[int, ops.Map]) -> ops.Map:
    """``op`` with the producers of some inputs computed inside its body; equal inputs become one.

    Parameters
    ----------
    op
        The consumer; stays as it is.
    replaced
        Number of an input to the map that produces it; inputs that are not named stay inputs.
    """
    inputs: dict[Input, None] = {}
    for i, (value, amap) in enumerate(zip(op.inputs, op.maps, strict=True)):
        inner = replaced.get(i)
        if inner is None:
            inputs[value, amap] = None
        else:
            inputs |= {(v, m.compose(amap)): None for v, m in zip(inner.inputs, inner.maps, strict=True)}
    keys = list(inputs)
    e, region = Exprs.body(tuple(_element(v) for v, _ in keys))
    args = dict(zip(keys, e.args, strict=True))
    rank = ops.tensor(op.result).rank
    operands: list[Value] = []
    for i, (value, amap) in enumerate(zip(op.inputs, op.maps, strict=True)):
        inner = replaced.get(i)
        if inner is None:
            operands.append(args[value, amap])
            continue
        own = [args[v, m.compose(amap)] for v, m in zip(inner.inputs, inner.maps, strict=True)]
        operands.append(splice(inner.body.block, own, e, amap.results))
    e.end(splice(op.body.block, operands, e, AffineMap.identity(rank).results))
    new = ops.Map(tuple(v for v, _ in keys), body=region, maps=tuple(m for _, m in keys),
                  result_types=[op.result.type], loc=op.loc)
    new.result.name = op.result.name
    return new


def _element(value: Value) -> ScalarType:
    return ops.tensor(value).dtype


def tree_size(body: Block, args: Sequence[int] | None = None) -> int:
    """Number of operations of the body's value written as a tree, as SQL text writes it.

    Shared values count each time they are used, so that a chain of squares counts 2ⁿ; ``args`` are the sizes that the
    arguments stand for (by default 0).
    """
    sizes: dict[Value, int] = dict(zip(body.args, args or [0] * len(body.args), strict=True))
    for op in body.ops:
        if op.is_terminator:
            return sum(sizes[v] for v in op.operands)
        sizes[op.result] = sum(sizes[v] for v in op.operands) + bool(op.operands)
    raise IRError("the body has no expr.yield", body.parent_op)


def is_cheap(op: ops.Map) -> bool:
    """Whether computing the map's body again wherever it is used costs next to nothing."""
    body = op.body.block
    kinds = {inner.kind for inner in body.ops if isinstance(inner, expr.Unary | expr.Binary)}
    return not kinds & expr.EXPENSIVE and tree_size(body) <= 3


def is_static(op: Op) -> bool:
    """Whether the op refers to no symbol: in its result types, its maps, its bounds or its body."""
    for result in op.results:
        if not isinstance(result.type, TensorType) or not all(isinstance(d, int) for d in result.type.shape):
            return False
    maps: tuple[AffineMap, ...] = ()
    match op:
        case ops.Map():
            maps = op.maps
        case ops.Contract():
            maps = op.maps
            if not all(isinstance(b, int) for b in op.bounds):
                return False
        case ops.Gather():
            maps = (op.data_map, *op.index_maps)
        case _:
            pass
    return not any(m.symbols for m in maps) and not any(isinstance(inner, expr.Symbol) for inner in op.walk())


def known_ops(block: Block, *, stored: bool) -> set[Op]:
    """The ops of a block that depend on nothing but the checkpoint and constants, so that ``@load`` can run them.

    Parameters
    ----------
    block
        The block of a function.
    stored
        Whether to count what ``@load`` has stored, too.
    """
    known: set[Op] = set()
    for op in block.ops:
        if not op.pure or op.is_terminator or len(op.results) != 1 or isinstance(op, ops.Uniform) or not is_static(op):
            continue
        if isinstance(op, ops.Stored) and not stored:
            continue
        if all(producer(v) in known for v in op.operands):
            known.add(op)
    return known
