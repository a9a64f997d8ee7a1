"""Inverting index maps, against enumeration of all loop points."""

from __future__ import annotations

import itertools
import operator
from collections.abc import Sequence

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from irsql.ir import affine as af
from irsql.ir.affine import AffineExpr, AffineMap
from irsql.ir.dims import Dim, evaluate, mul, symbol
from irsql.passes.conversion._solve import Solution, solve

S = symbol("S")
d = [af.dim(i) for i in range(6)]


def value(expr: AffineExpr, dims: Sequence[int], symbols: dict[str, int]) -> int:
    apply = {"+": operator.add, "*": operator.mul, "floordiv": operator.floordiv, "mod": operator.mod}
    return af.fold(expr, lambda i: dims[i], lambda s: symbols[s], lambda c: c, lambda op, a, b: apply[op](a, b))


def points(bounds: Sequence[Dim], symbols: dict[str, int]) -> list[tuple[int, ...]]:
    return list(itertools.product(*(range(evaluate(b, symbols)) for b in bounds)))


def kept(sol: Solution, key: Sequence[int], symbols: dict[str, int]) -> bool:
    """Whether a row passes the conditions."""
    kinds = {"eq": operator.eq, "lt": operator.lt, "ge": operator.ge}
    return all(kinds[k](value(e, key, symbols), evaluate(limit, symbols)) for k, e, limit in sol.conditions)


def joined(sol: Solution, extents: Sequence[Dim], bounds: Sequence[Dim], symbols: dict[str, int]) -> list[tuple[
        tuple[int, ...], tuple[int, ...]]]:
    """``(loop point, key)`` pairs that a join finds: rows that hold, matched with the dims they leave open."""
    out: list[tuple[tuple[int, ...], tuple[int, ...]]] = []
    for key in points(extents, symbols):
        if not kept(sol, key, symbols):
            continue
        known = {i: value(e, key, symbols) for i, e in sol.dims.items()}
        for point in points(bounds, symbols):
            if all(point[i] == v for i, v in known.items()) and all(
                    key[k] == value(e, point, symbols) for k, e in sol.residual.items()):
                out.append((point, key))
    return sorted(out)


def check(amap: AffineMap, extents: Sequence[Dim], bounds: Sequence[Dim],
          symbols: dict[str, int] | None = None) -> Solution:
    """The join on the solution finds, for every loop point, exactly the row it reads."""
    symbols = symbols or {}
    sol = solve(amap, extents, bounds)
    want = [(p, tuple(value(r, p, symbols) for r in amap.results)) for p in points(bounds, symbols)]
    assert all(0 <= x < evaluate(n, symbols) for _, key in want for x, n in zip(key, extents, strict=True))
    assert joined(sol, extents, bounds, symbols) == sorted(want)
    for key in points(extents, symbols):  # the rows that stay have loop dims inside the bounds
        if kept(sol, key, symbols) and not sol.residual:
            assert all(0 <= value(e, key, symbols) < evaluate(bounds[i], symbols) for i, e in sol.dims.items())
    return sol


INVERTIBLE = {
    "identity": (AffineMap(2, (d[0], d[1])), (4, 3), (4, 3)),
    "permuted": (AffineMap(2, (d[1], d[0])), (3, 4), (4, 3)),
    "split": (AffineMap(2, (af.add(af.mul(d[0], af.const(4)), d[1]),)), (12,), (3, 4)),
    "split of a slice": (AffineMap(2, (af.add(af.mul(d[0], af.const(4)), d[1]),)), (14,), (3, 3)),
    "split in three": (AffineMap(3, (af.add(af.mul(d[1], af.const(6)), af.add(af.mul(d[0], af.const(2)), d[2])),)),
                       (24,), (3, 4, 2)),
    "merged": (AffineMap(1, (af.floordiv(d[0], 4), af.mod(d[0], 4))), (3, 4), (12,)),
    "merged, the last one short": (AffineMap(1, (af.floordiv(d[0], 4), af.mod(d[0], 4))), (3, 4), (10,)),
    "merged from three": (AffineMap(1, (af.floordiv(d[0], 6), af.mod(af.floordiv(d[0], 2), 3), af.mod(d[0], 2))),
                          (2, 3, 2), (12,)),
    "slice": (AffineMap(1, (af.add(d[0], af.const(3)),)), (9,), (4,)),
    "strided slice": (AffineMap(1, (af.add(af.mul(d[0], af.const(2)), af.const(1)),)), (9,), (4,)),
    "reflection": (AffineMap(1, (af.add(af.mul(d[0], af.const(-1)), af.const(6)),)), (7,), (7,)),
    "reflected slice": (AffineMap(1, (af.add(af.mul(d[0], af.const(-1)), af.const(5)),)), (9,), (4,)),
    "rotation": (AffineMap(1, (af.mod(af.add(d[0], af.const(3)), 8),)), (8,), (8,)),
    "constant": (AffineMap(1, (af.const(2), d[0])), (4, 3), (3,)),
}


@pytest.mark.parametrize("name", INVERTIBLE)
def test_views_are_inverted_whole(name: str) -> None:
    amap, extents, bounds = INVERTIBLE[name]
    sol = check(amap, extents, bounds)
    assert not sol.residual
    assert set(sol.dims) == set(range(amap.num_dims))


@pytest.mark.parametrize("size", [0, 1, 5])
def test_symbolic_extents(size: int) -> None:
    for amap, extents, bounds in (
            (AffineMap(2, (d[0], d[1])), (S, 3), (S, 3)),
            (AffineMap(2, (af.add(af.mul(d[0], af.const(4)), d[1]),)), (4 * size,), (size, 4)),
            (AffineMap(1, (af.floordiv(d[0], 4), af.mod(d[0], 4))), (S, 4), (mul(S, 4),))):
        sol = check(amap, extents, bounds, {"S": size})
        assert not sol.residual


RESIDUAL = {
    "diagonal": (AffineMap(1, (d[0], d[0])), (4, 4), (4,)),
    "grouped heads": (AffineMap(2, (af.floordiv(d[0], 3), d[1])), (2, 5), (6, 5)),
    "overlapping windows": (AffineMap(2, (af.add(d[0], d[1]),)), (7,), (5, 3)),
    "repetition": (AffineMap(1, (af.mod(d[0], 3),)), (3,), (7,)),
    "a digit without the rest": (AffineMap(2, (af.mod(d[0], 4), d[1])), (4, 2), (12, 2)),
}


@pytest.mark.parametrize("name", RESIDUAL)
def test_what_is_no_bijection_stays_a_condition(name: str) -> None:
    amap, extents, bounds = RESIDUAL[name]
    assert check(amap, extents, bounds).residual


def test_a_plain_map_needs_nothing() -> None:
    assert solve(AffineMap(2, (d[1], d[0])), (3, S), (S, 3)).trivial
    assert not solve(AffineMap(1, (d[0],)), (5,), (4,)).trivial
    assert solve(AffineMap(1, (d[0],)), (5,), (4,)).conditions == [("lt", d[0], 4)]


@st.composite
def maps(draw: st.DrawFn) -> tuple[AffineMap, tuple[int, ...], tuple[int, ...]]:
    """Any map of small loops into small relations: invertible or not."""
    bounds = tuple(draw(st.lists(st.integers(1, 5), min_size=1, max_size=3)))
    results: list[AffineExpr] = []
    for _ in range(draw(st.integers(1, 3))):
        expr: AffineExpr = af.const(draw(st.integers(0, 2)))
        for i in draw(st.lists(st.integers(0, len(bounds) - 1), max_size=3)):
            expr = af.add(expr, af.mul(d[i], af.const(draw(st.sampled_from([-1, 1, 1, 2, 3, 4, 6, 7])))))
        match draw(st.integers(0, 4)):
            case 0:
                expr = af.mod(expr, draw(st.integers(1, 5)))
            case 1:
                expr = af.floordiv(expr, draw(st.integers(1, 4)))
            case 2:
                expr = af.mod(af.floordiv(expr, draw(st.integers(1, 3))), draw(st.integers(1, 3)))
            case _:
                pass
        results.append(expr)
    reached = [[value(r, p, {}) for p in points(bounds, {})] for r in results]
    assume(all(min(values) >= 0 for values in reached))
    extents = tuple(max(values) + 1 + draw(st.integers(0, 2)) for values in reached)
    return AffineMap(len(bounds), tuple(results)), extents, bounds


@given(maps())
@example((AffineMap(2, (af.add(af.mul(d[0], af.const(3)), d[1]),)), (13,), (4, 4)))
@example((AffineMap(2, (af.add(af.mul(d[0], af.const(3)), af.mul(d[1], af.const(2))),)), (4,), (2, 1)))
@example((AffineMap(3, (af.add(af.mul(d[0], af.const(7)), af.add(af.mul(d[1], af.const(3)), d[2])),)), (13,),
          (2, 2, 3)))  # fmt: skip
@example((AffineMap(1, (af.floordiv(d[0], 2), af.mod(d[0], 2))), (5, 3), (5,)))
@example((AffineMap(1, (af.mod(af.add(d[0], af.const(2)), 5),)), (7,), (5,)))
def test_every_map_means_what_enumeration_says(case: tuple[AffineMap, tuple[int, ...], tuple[int, ...]]) -> None:
    check(*case)
