"""Random small tir programs: every op of the closed list, with the index maps that views produce.

Inputs and weights are small whole numbers and results are clamped, so that every sum is exact in any order and two
executions must agree to the last bit.
"""

from __future__ import annotations

import math
from collections.abc import Callable

from hypothesis import strategies as st

from irsql.dialects.expr import Exprs, Index
from irsql.dialects.tir import ops as ti
from irsql.ir import affine as af
from irsql.ir.affine import AffineExpr, AffineMap
from irsql.ir.attributes import F32, I64, DenseElements, TensorType
from irsql.ir.core import ArgInfo, Value
from irsql.ir.dims import Dim, SymDim, mul, symbol
from irsql.ir.interp import Array
from tests.passes.stages import Program, text, whole

B = symbol("B")
VOCABULARY = 5
WEIGHTS: dict[str, Array] = {}
LIMIT = 200
"""Most elements of a tensor at batch 1, and of a loop nest."""


def shape_of(v: Value) -> tuple[Dim, ...]:
    """The shape of a tensor value."""
    return ti.tensor(v).shape


def size(shape: tuple[Dim, ...]) -> int:
    """Elements at batch 1."""
    return math.prod(d if isinstance(d, int) else int(sum(c for _, c in d.terms)) for d in shape)


class Grower:
    """Adds random ops to a program.

    Parameters
    ----------
    draw
        Hypothesis' draw.
    """

    def __init__(self, draw: st.DrawFn) -> None:
        self.draw = draw
        whole_input = ArgInfo(domain="range", low=-3, high=4)
        self.p = Program([("x", TensorType((B, 6), F32), whole_input), ("y", TensorType((B, 2, 4), F32), whole_input),
                          ("ids", TensorType((B,), I64), ArgInfo(domain="range", low=0, high=VOCABULARY))],
                         {"B": (0, 9)})
        x, y, ids = self.p.args
        self.floats: list[Value] = [x, y]
        self.ids: list[Value] = [ids]
        for name, shape in (("w", (VOCABULARY, 6)), ("u", (6, 4)), ("s", (3,))):
            WEIGHTS[name] = whole(name, *shape)
            self.floats.append(self.p.weight(name, *shape))

    def int(self, low: int, high: int) -> int:
        return self.draw(st.integers(low, high))

    def one(self, options: list[Value]) -> Value:
        return options[self.int(0, len(options) - 1)]

    def view_of(self, shape: tuple[Dim, ...]) -> tuple[tuple[Dim, ...], AffineMap] | None:
        """A random view of a tensor: new shape and index map; None where the drawn kind does not apply."""
        rank = len(shape)
        d: list[AffineExpr] = [af.dim(i) for i in range(rank)]
        kind = self.draw(st.sampled_from(["permute", "split", "merge", "slice", "flip", "roll", "broadcast", "select",
                                          "diagonal", "unfold", "tile", "repeat"]))
        static = [i for i, n in enumerate(shape) if isinstance(n, int)]
        axis = static[self.int(0, len(static) - 1)] if static else -1
        n = shape[axis] if static else 1
        assert isinstance(n, int)
        match kind:
            case "permute":
                order = self.draw(st.permutations(range(rank)))
                place = [order.index(i) for i in range(rank)]
                return tuple(shape[i] for i in order), AffineMap(rank, tuple(af.dim(place[i]) for i in range(rank)))
            case "broadcast":
                at, extent = self.int(0, rank), self.int(1, 3)
                return ((*shape[:at], extent, *shape[at:]),
                        AffineMap(rank + 1, tuple(af.dim(i if i < at else i + 1) for i in range(rank))))
            case "merge" if rank >= 2:
                at = self.int(0, rank - 2)
                inner = shape[at + 1]
                if not isinstance(inner, int):
                    return None
                outs = [af.dim(i if i <= at else i - 1) for i in range(rank)]
                outs[at], outs[at + 1] = af.floordiv(af.dim(at), inner), af.mod(af.dim(at), inner)
                if at == 0 and shape[0] == 1:
                    outs[0] = af.const(0)
                return (*shape[:at], mul(shape[at], inner), *shape[at + 2:]), AffineMap(rank - 1, tuple(outs))
            case "diagonal" if len(static) >= 2:
                i, j = static[0], static[-1]
                if i == j or shape[i] != shape[j]:
                    return None
                outs = [af.dim(k if k < j else k - 1) for k in range(rank)]
                outs[j] = af.dim(i)
                return (*shape[:j], *shape[j + 1:]), AffineMap(rank - 1, tuple(outs))
        if not static:
            return None
        out = list(d)
        new = list(shape)
        match kind:
            case "split":
                k = self.draw(st.sampled_from([k for k in range(1, n + 1) if n % k == 0]))
                shifted = [af.dim(i if i <= axis else i + 1) for i in range(rank)]
                shifted[axis] = af.add(af.mul(af.dim(axis), af.const(k)), af.dim(axis + 1))
                return (*shape[:axis], n // k, k, *shape[axis + 1:]), AffineMap(rank + 1, tuple(shifted))
            case "slice":
                start, step = self.int(0, n - 1), self.int(1, 3)
                new[axis] = -(-(n - start) // step)
                out[axis] = af.add(af.mul(d[axis], af.const(step)), af.const(start))
            case "flip":
                out[axis] = af.add(af.mul(d[axis], af.const(-1)), af.const(n - 1))
            case "roll":
                out[axis] = af.mod(af.add(d[axis], af.const(self.int(0, n))), n)
            case "select":
                rest = [af.dim(i if i < axis else i - 1) for i in range(rank)]
                rest[axis] = af.const(self.int(0, n - 1))
                return (*shape[:axis], *shape[axis + 1:]), AffineMap(rank - 1, tuple(rest))
            case "unfold":
                k = self.int(1, n)
                shifted = [af.dim(i if i <= axis else i + 1) for i in range(rank)]
                shifted[axis] = af.add(af.dim(axis), af.dim(axis + 1))
                return (*shape[:axis], n - k + 1, k, *shape[axis + 1:]), AffineMap(rank + 1, tuple(shifted))
            case "tile":
                new[axis] = n * self.int(1, 3)
                out[axis] = af.mod(d[axis], n)
            case "repeat":
                k = self.int(1, 3)
                new[axis] = n * k
                out[axis] = af.floordiv(d[axis], k)
            case _:
                return None
        return tuple(new), AffineMap(rank, tuple(out))

    def composed_view(self, shape: tuple[Dim, ...]) -> tuple[tuple[Dim, ...], AffineMap]:
        """One to three views, composed into one map."""
        amap = AffineMap.identity(len(shape))
        for _ in range(self.int(1, 3)):
            step = self.view_of(shape)
            if step is not None and size(step[0]) <= LIMIT and len(step[0]) <= 4:
                shape, amap = step[0], amap.compose(step[1])
        return shape, amap

    # -- ops ---------------------------------------------------------------------------------------
    def clamp(self, x: Value) -> Value:
        """Between -9 and 9."""
        return self.p.t.elementwise([x], lambda e: e.binary(
            "max", e.binary("min", e.args[0], e.const(9.0, F32)), e.const(-9.0, F32)))

    def view(self) -> None:
        x = self.one(self.floats)
        shape, amap = self.composed_view(shape_of(x))
        self.floats.append(self.p.t.view(x, shape, amap))

    def binary(self) -> None:
        x = self.one(self.floats)
        shape, amap = self.composed_view(shape_of(x))
        identity = AffineMap.identity(len(shape))
        others = [(v, identity) for v in self.floats if shape_of(v) == shape]
        if amap.num_dims == len(shape_of(x)) and shape == shape_of(x):
            others.append((x, identity))
        scalars = [(v, AffineMap(len(shape), ())) for v in self.floats if not shape_of(v)]
        other = (others + scalars)[self.int(0, len(others + scalars) - 1)] if others + scalars else (x, amap)
        kind = self.draw(st.sampled_from(["add", "mul", "max"]))
        with_index = self.draw(st.booleans()) and len(shape) > 0

        def body(e: Exprs) -> Value:
            out = e.binary(kind, e.args[0], e.args[1])
            if with_index:
                out = e.binary("add", out, e.cast(e.builder.insert(Index(dim=0, result_types=[I64])).result, F32))
            return out

        self.floats.append(self.clamp(self.p.t.map(shape, [(x, amap), other], body)))

    def contract(self) -> None:
        a, b = self.one(self.floats), self.one(self.floats)
        bounds: list[Dim] = []
        left: list[AffineExpr] = []
        for n in shape_of(a):
            left.append(af.dim(len(bounds)))
            bounds.append(n)
        right: list[AffineExpr] = []
        free = list(range(len(bounds)))
        for n in shape_of(b):
            equal = [i for i in free if bounds[i] == n]
            grouped = [i for i in free if isinstance(n, int) and isinstance(m := bounds[i], int) and m > n
                       and m % n == 0]
            sub = [i for i in free if isinstance(n, int) and isinstance(m := bounds[i], int) and m < n]
            choice = self.int(0, 5)
            if equal and choice < 4:
                i = equal[self.int(0, len(equal) - 1)]
                right.append(af.dim(i))
            elif grouped and choice < 5:
                i = grouped[0]
                bound = bounds[i]
                assert isinstance(bound, int)
                assert isinstance(n, int)
                right.append(af.floordiv(af.dim(i), bound // n))
            elif sub and choice < 5:
                i = sub[0]
                bound = bounds[i]
                assert isinstance(bound, int)
                assert isinstance(n, int)
                right.append(af.add(af.dim(i), af.const(self.int(0, n - bound))))
            else:
                right.append(af.dim(len(bounds)))
                bounds.append(n)
                continue
            free.remove(i)
        if size(tuple(bounds)) > LIMIT or sum(isinstance(n, SymDim) for n in bounds) > 2:
            return
        kept = [i for i in range(len(bounds)) if self.draw(st.booleans())]
        kept = list(self.draw(st.permutations(kept)))[:4]
        maps = (AffineMap(len(bounds), tuple(left)), AffineMap(len(bounds), tuple(right)),
                AffineMap.select(len(bounds), kept))
        out = TensorType(tuple(bounds[i] for i in kept), F32)
        made = self.p.add(ti.Contract(a, b, maps=maps, bounds=tuple(bounds), result_types=[out])).result
        self.floats.append(self.clamp(made))

    def reduce(self) -> None:
        x = self.one(self.floats)
        rank = len(shape_of(x))
        if not rank:
            return
        kind = self.draw(st.sampled_from(["sum", "max", "min", "argmax", "argmin", "sum"]))
        axes = sorted(self.draw(st.sets(st.integers(0, rank - 1), min_size=1, max_size=1 if kind[0] == "a" else rank)))
        if kind != "sum" and any(not isinstance(shape_of(x)[i], int) for i in axes):
            return
        out = self.p.t.reduce(kind, x, axes)
        if kind.startswith("arg"):
            out = self.p.t.elementwise([out], lambda e: e.cast(e.args[0], F32))
        self.floats.append(self.clamp(out))

    def any_or_all(self) -> None:
        x = self.one(self.floats)
        if not shape_of(x):
            return
        positive = self.p.t.elementwise([x], lambda e: e.compare("gt", e.args[0], e.const(0.0, F32)))
        kind = self.draw(st.sampled_from(["any", "all"]))
        out = self.p.t.reduce(kind, positive, [self.int(0, len(shape_of(x)) - 1)])
        self.floats.append(self.p.t.elementwise([out], lambda e: e.cast(e.args[0], F32)))

    def gather(self) -> None:
        data = self.one([v for v in self.floats if shape_of(v) and isinstance(n := shape_of(v)[0], int)
                         and n >= VOCABULARY])
        ids = self.one(self.ids)
        rest = shape_of(data)[1:]
        shape = (*shape_of(ids), *rest)
        k = len(shape_of(ids))
        data_map = AffineMap(len(shape), (af.const(0), *(af.dim(k + i) for i in range(len(rest)))))
        self.floats.append(self.p.add(ti.Gather(
            data, (ids,), axes=(0,), data_map=data_map, index_maps=(AffineMap.select(len(shape), range(k)),),
            result_types=[TensorType(shape, F32)])).result)

    def concat(self) -> None:
        a = self.one(self.floats)
        rank = len(shape_of(a))
        axes = [i for i in range(rank) if isinstance(shape_of(a)[i], int)]
        if not axes:
            return
        axis = axes[self.int(0, len(axes) - 1)]

        def others(s: tuple[Dim, ...]) -> tuple[Dim, ...]:
            return (*s[:axis], *s[axis + 1:])

        fits = [v for v in self.floats if len(shape_of(v)) == rank and others(shape_of(v)) == others(shape_of(a))
                and isinstance(shape_of(v)[axis], int)]
        b = self.one(fits)
        total = sum(n for v in (a, b) if isinstance(n := shape_of(v)[axis], int))
        shape = (*shape_of(a)[:axis], total, *shape_of(a)[axis + 1:])
        self.floats.append(self.p.add(ti.Concat((a, b), axis=axis, result_types=[TensorType(shape, F32)])).result)

    def scan(self) -> None:
        x = self.one(self.floats)
        if shape_of(x):
            self.floats.append(self.clamp(self.p.t.scan(x, self.int(0, len(shape_of(x)) - 1))))

    def topk(self) -> None:
        x = self.one(self.floats)
        if not shape_of(x) or not isinstance(n := shape_of(x)[-1], int):
            return
        k = self.int(1, n)
        shape = (*shape_of(x)[:-1], k)
        made = self.p.add(ti.TopK(x, k=k, largest=self.draw(st.booleans()),
                                  result_types=[TensorType(shape, F32), TensorType(shape, I64)]))
        self.floats += [made.results[0], self.p.t.elementwise([made.results[1]], lambda e: e.cast(e.args[0], F32))]

    def iota(self) -> None:
        n = self.int(1, 4)
        made = self.p.add(ti.Iota(start=self.int(-2, 2), step=self.int(1, 2), result_types=[TensorType((n,), F32)]))
        self.floats.append(made.result)

    def constant(self) -> None:
        shape = tuple(self.draw(st.lists(st.integers(1, 3), max_size=2)))
        array = whole(f"c{shape}", *shape)
        self.floats.append(self.p.add(ti.Constant(value=DenseElements(array, F32),
                                                  result_types=[TensorType(shape, F32)])).result)


@st.composite
def programs(draw: st.DrawFn, most: int = 5) -> str:
    """The text of a random program of up to ``most`` steps that returns its last tensors."""
    g = Grower(draw)
    steps: list[Callable[[], None]] = [g.contract, g.view, g.binary, g.contract, g.reduce, g.gather, g.concat, g.scan,
                                       g.topk, g.iota, g.constant, g.any_or_all]
    start = len(g.floats)
    for _ in range(draw(st.integers(1, most))):
        steps[draw(st.integers(0, len(steps) - 1))]()
    made = g.floats[start:] or g.floats[:1]
    return text(g.p.finish(*made[-3:]))


