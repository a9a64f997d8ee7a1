"""``shrink``: a small twin of a module, for checks that interpret every element.

What passes do to a 4096-wide layer they do to a 64-wide one, but only the latter can be executed row by row. The pass
replaces every static extent (and every constant of an index map) ``n`` by ``n / s(n)``, equal numbers alike, with
``s`` chosen so that all index maps still cover exactly the axes they covered: a reshape ``(h, d) -> 128 h + d`` of 32 x
128 becomes ``8 h + d`` of 8 x 8 for scales 16 on 128 and 4 on 32. Numbers that no index arithmetic ties to others
(a vocabulary) become small distinct primes. The best assignment is accepted when the twin verifies and runs.

The twin is a program of the same structure, not the same program: constants in scalar expressions (1 / sqrt(d)) keep
their values, and cost-based decisions may differ on it. Constant tensors and their axes keep their sizes.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

import attrs

from irsql.dialects.tir import ops
from irsql.ir import affine, dims, semantics
from irsql.ir.affine import AffineExpr, AffineMap, BinExpr, ConstExpr, DimExpr
from irsql.ir.attributes import TensorType, Type
from irsql.ir.core import ArgInfo, Func, IRError, Module, Op, Value
from irsql.ir.dims import Dim, SymDim
from irsql.ir.passes import Pass, PassContext
from irsql.ir.verifier import verify

Scale = dict[int, int]
"""Each number that changes and its new value."""

SAMPLE = 7
"""Value that symbols have while index maps are compared."""
FIXED_BELOW = 5
PRIMES = (11, 13, 17, 19, 23, 29, 31, 37, 41, 43, 47)
FACTORS = ((2, 2), (4, 2), (2, 4), (4, 4), (8, 2), (8, 4), (4, 8), (8, 8), (16, 4), (16, 8), (32, 8), (16, 32),
           (32, 32))
"""Pairs of scales that may be combined, from mild to strong: one for what is inside a head, one for their number."""
MAX_NODES = 20_000
EXECUTABLE = 20_000_000
"""Twins of more parameter elements are not tried: drawing them alone would take gigabytes."""


@attrs.frozen
class Access:
    """An axis of ``extent`` read (or written) at ``expr`` over loops of ``loops``."""

    expr: AffineExpr
    loops: tuple[int, ...]
    extent: int

    @property
    def numbers(self) -> frozenset[int]:
        """What the access depends on."""
        used = {self.loops[i] for i in affine.used_dims(self.expr)}
        return frozenset({self.extent, *used, *_constants(self.expr)})

    @property
    def plain(self) -> bool:
        """A loop over exactly this axis: right for any extent."""
        return isinstance(self.expr, DimExpr) and self.loops[self.expr.index] == self.extent

    def edges(self, scale: Mapping[int, int]) -> tuple[bool, bool] | None:
        """Whether the first and the last element are reached; None where the axis is left."""
        low, high = _interval(self.expr, [scale.get(n, n) for n in self.loops], scale)
        extent = scale.get(self.extent, self.extent)
        return None if low < 0 or high >= extent else (low == 0, high == extent - 1)


@attrs.frozen
class Shrink(Pass):
    """Replace a module by a twin with small axes.

    The twin has at most ``max_elements`` parameter elements where the structure allows it, else as few as were found.

    Notes
    -----
    Not an identity but a relation between two programs: with ``n' = n / s(n)`` for every extent, an index map that
    covers an axis, ``{m(i) : i < n} = [0, e)`` from its first to its last element, covers the smaller one.

    References
    ----------
    The small scope hypothesis: most errors show on small instances (D. Jackson, *Software Abstractions*, 2006).
    """

    name = "shrink"
    summary = "replace big axes by small ones, for checks that execute the module"
    stage_in = stage_out = "tir"
    changes_signatures = True

    max_elements: int = 200_000
    """Parameter elements that the twin should not exceed."""

    def run(self, module: Module, ctx: PassContext) -> None:
        before = elements(module, {})
        if before <= self.max_elements:
            ctx.remark("missed", None, "the module is small already", f"{before:,} parameter elements")
            return
        found = accesses(module)
        best: Scale | None = None
        for scale in candidates(module, found):
            count = elements(module, scale)
            if count > EXECUTABLE or (best is not None and count >= elements(module, best)):
                continue
            if _runs(module, scale):
                best = scale
                if count <= self.max_elements:
                    break
        if best is None:
            raise IRError("no smaller twin of this module was found; start from a smaller configuration of the model")
        resize(module, best)
        text = ", ".join(f"{old} -> {new}" for old, new in sorted(best.items()) if old != new)
        ctx.remark("passed", None, f"{before:,} parameter elements became {elements(module, {}):,}", text)
        ctx.statistic("extents changed", sum(old != new for old, new in best.items()))


def elements(module: Module, scale: Mapping[int, int]) -> int:
    """Elements of all parameters under a scale."""
    types = semantics.parameter_types(module, semantics.Adapter()).values()
    return sum(math.prod(scale.get(n, n) for n in t.shape if isinstance(n, int)) for t in types)


# -- what must stay consistent -------------------------------------------------------------------------
def _constants(expr: AffineExpr) -> set[int]:
    none: set[int] = set()
    return affine.fold(expr, lambda _: none, lambda _: none, lambda c: {abs(c)}, lambda _, a, b: a | b)


def _interval(expr: AffineExpr, loops: list[int], scale: Mapping[int, int]) -> tuple[int, int]:
    """Least and greatest value over a non-empty box."""

    def constant(c: int) -> tuple[int, int]:
        new = scale.get(abs(c), abs(c)) * (1 if c >= 0 else -1)
        return new, new

    def binary(op: str, a: tuple[int, int], b: tuple[int, int]) -> tuple[int, int]:
        if op == "+":
            return a[0] + b[0], a[1] + b[1]
        if op == "*":
            ends = [x * y for x in a for y in b]
            return min(ends), max(ends)
        if op == "floordiv":
            return a[0] // b[0], a[1] // b[0]
        return (a[0] % b[0], a[1] % b[0]) if a[0] // b[0] == a[1] // b[0] else (0, b[0] - 1)

    return affine.fold(expr, lambda i: (0, max(loops[i] - 1, 0)), lambda _: (SAMPLE, SAMPLE), constant, binary)


def _size(dim: Dim) -> int:
    return dim if isinstance(dim, int) else dims.evaluate(dim, dict.fromkeys(dim.symbols(), SAMPLE))


def _shape(value: Value) -> tuple[int, ...]:
    return tuple(_size(d) for d in ops.tensor(value).shape)


def accesses(module: Module) -> set[Access]:
    """The accesses of all ops that are not plain; a scale is consistent where it keeps the edges of each."""
    return {access for op in module.walk() for access in _accesses(op)}


def _accesses(op: Op) -> Iterator[Access]:
    """The accesses of an op that are not plain."""
    pairs: list[tuple[Value, AffineMap]] = []
    loops: tuple[int, ...] = ()
    match op:
        case ops.Map():
            pairs, loops = list(zip(op.inputs, op.maps, strict=True)), _shape(op.result)
        case ops.Gather():
            pairs, loops = list(zip(op.indices, op.index_maps, strict=True)), _shape(op.result)
            data = enumerate(zip(op.data_map.results, _shape(op.data), strict=True))
            yield from (a for i, (e, n) in data if i not in op.axes and not (a := Access(e, loops, n)).plain)
        case ops.Contract():
            pairs = list(zip((op.lhs, op.rhs, op.result), op.maps, strict=True))
            loops = tuple(_size(b) for b in op.bounds)
        case ops.Rope():  # two halves of equal length
            whole = _shape(op.x)[-1]
            yield Access(affine.add(affine.mul(DimExpr(0), ConstExpr(2)), ConstExpr(1)), (whole // 2,), whole)
        case ops.Attention():  # query heads are grouped onto key-value heads
            heads = _shape(op.q)[1]
            group = getattr(op.state.type, "heads", heads)
            if group and heads % group == 0:
                yield Access(affine.floordiv(DimExpr(0), heads // group), (heads,), group)
        case _:
            return
    for value, amap in pairs:
        for expr, extent in zip(amap.results, _shape(value), strict=True):
            access = Access(expr, loops, extent)
            if not access.plain:
                yield access


def _numbers(value: object) -> Iterator[int]:
    """Integers in a type that are extents or coefficients of extents."""
    match value:
        case bool():
            return
        case int():
            yield value
        case SymDim():
            yield from (abs(c) for mono, c in value.terms if mono)
        case TensorType():
            for d in value.shape:
                yield from _numbers(d)
        case Type():
            yield from (getattr(value, name) for name in _int_fields(value))
        case _:
            return


def _fixed(module: Module) -> set[int]:
    """Numbers that must not change: axes of constants, pieces of unequal concatenations, axes of a partial sort."""
    out: set[int] = set()
    for op in module.walk():
        if isinstance(op, ops.Constant):
            out.update(_numbers(op.result.type))
        if isinstance(op, ops.Concat):
            sizes = {_shape(v)[op.axis] for v in op.inputs}
            total = _shape(op.result)[op.axis]
            out.update(() if sizes == {total // len(op.inputs)} else {total, *sizes})
        if isinstance(op, ops.TopK) and op.k != _shape(op.x)[-1]:  # k of a full sort follows its axis
            out.update((op.k, _shape(op.x)[-1]))
    return out


def _defined(op: Op) -> list[Value]:
    """The results of an op and the arguments of its blocks."""
    return [*op.results, *(arg for region in op.regions for block in region.blocks for arg in block.args)]


# -- search --------------------------------------------------------------------------------------------
def candidates(module: Module, found: set[Access]) -> Iterator[Scale]:
    """Consistent scales, from mild to strong; ``found`` are the accesses of the module."""
    extents = {n for op in module.walk() for value in _defined(op) for n in _numbers(value.type)}
    fixed = _fixed(module)
    tied = {n for a in found for n in a.numbers}
    free = sorted(n for n in extents - tied - fixed if n > PRIMES[0])
    start: Scale = {n: p for n, p in zip(free, PRIMES, strict=False) if p < n}
    for op in module.walk():
        if isinstance(op, ops.Concat):
            tied.update(_shape(v)[op.axis] for v in (*op.inputs, op.result))
    order = sorted((n for n in tied if n >= FIXED_BELOW and n not in fixed), reverse=True)
    if start:
        yield start
    for pair in FACTORS:
        assigned = _assign(order, found, pair)
        if assigned:
            yield {**start, **assigned}


def _assign(order: list[int], found: set[Access], pair: tuple[int, int]) -> Scale | None:
    """The first consistent assignment that depth-first search finds, trying strong scales first."""
    position = {n: i for i, n in enumerate(order)}
    due: list[list[tuple[Access, tuple[bool, bool] | None]]] = [[] for _ in order]
    for access in found:
        at = max((position[n] for n in access.numbers if n in position), default=None)
        if at is not None:
            due[at].append((access, access.edges({})))
    choices = {1, *pair, pair[0] * pair[1]}
    scale: Scale = {}
    nodes = 0

    def search(i: int) -> bool:
        nonlocal nodes
        if i == len(order):
            return any(n != scale[n] for n in order)
        n = order[i]
        values = {n // s for s in choices if n % s == 0}
        values |= {PRIMES[-1]} if n - 1 in position and n > PRIMES[-1] else set()  # an axis and all but its last
        values |= {scale[n + 1] - 1} if n + 1 in scale else set()
        for value in sorted(values):
            nodes += 1
            if nodes > MAX_NODES:
                break
            scale[n] = value
            if all(a.edges(scale) == want for a, want in due[i]) and search(i + 1):
                return True
        scale.pop(n, None)
        return False

    return dict(scale) if order and search(0) else None


def _runs(module: Module, scale: Scale) -> bool:
    """Whether the twin verifies and can be executed."""
    twin = module.clone()
    assert isinstance(twin, Module)
    try:
        resize(twin, scale)
        verify(twin)
        semantics.execute(twin, semantics.trials(twin, count=1)[0])
    except Exception:  # whatever an interpreter raises on sizes that do not fit together: this is no twin
        return False
    return True


# -- rewriting -----------------------------------------------------------------------------------------
def resize(module: Module, scale: Scale) -> None:
    """Replace numbers in the types, index maps, loop bounds and value domains of a tir module."""
    for op in module.walk():
        for value in _defined(op):
            value.type = _new(value.type, scale)
        for field in op.info.attributes:
            value_of = getattr(op, field)
            if field == "k" and isinstance(op, ops.TopK):
                op.k = scale.get(op.k, op.k)
            elif field == "bounds":
                setattr(op, field, tuple(_new_dim(d, scale) for d in value_of))
            elif isinstance(value_of, AffineMap):
                setattr(op, field, _new_map(value_of, scale))
            elif field in ("maps", "index_maps"):
                setattr(op, field, tuple(_new_map(v, scale) for v in value_of))
        if isinstance(op, Func):
            op.args = tuple(ArgInfo(a.role, a.domain, a.low, scale.get(a.high, a.high), a.of)
                            if isinstance(a, ArgInfo) else a for a in op.args)
    for func in module.functions.values():
        func.update_type()


def _new(type_: Any, scale: Scale) -> Any:
    if isinstance(type_, TensorType):
        return TensorType(tuple(_new_dim(d, scale) for d in type_.shape), type_.dtype)
    values = {name: getattr(type_, name) for name in _int_fields(type_)}
    return attrs.evolve(type_, **{name: scale.get(v, v) for name, v in values.items()}) if values else type_


def _int_fields(type_: object) -> list[str]:
    """Names of the integer fields of a type (the head count and lengths of a state)."""
    cls: type[Any] = type(type_)
    fields: tuple[Any, ...] = attrs.fields(cls) if attrs.has(cls) else ()
    return [f.name for f in fields if type(getattr(type_, f.name)) is int]


def _new_dim(dim: Any, scale: Scale) -> Any:
    if not isinstance(dim, SymDim):
        return scale.get(dim, dim)
    return SymDim(tuple((mono, scale.get(c, c) if mono else c) for mono, c in dim.terms))


def _new_map(amap: Any, scale: Scale) -> AffineMap:
    def constant(c: int) -> AffineExpr:
        return ConstExpr(scale.get(abs(c), abs(c)) * (1 if c >= 0 else -1))

    return AffineMap(amap.num_dims, tuple(
        affine.fold(r, DimExpr, affine.SymExpr, constant, BinExpr) for r in amap.results))
