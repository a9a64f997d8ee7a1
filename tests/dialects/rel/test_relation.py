"""Relations as columns: conversions and kernels against brute force."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from irsql.dialects.expr import LaneType
from irsql.dialects.rel.interp import aggregate, window
from irsql.dialects.rel.relation import Relation, equi_join, from_dense, group, pack, product, to_dense, unpack
from irsql.dialects.rel.types import Key, Layout, Part, RelType, Val, base_name, logical, rel, tiled
from irsql.ir.attributes import F32, I64, TensorType
from irsql.ir.core import Block, IRError
from irsql.ir.dims import symbol


def scalar(*shape: int) -> RelType:
    return RelType(tuple(Key(f"i{n}", e) for n, e in enumerate(shape)), (Val("v", F32),))


@st.composite
def cuts(draw: st.DrawFn) -> tuple[tuple[int, ...], RelType]:
    """A shape and a layout of it, with padding where the cut does not divide."""
    shape = tuple(draw(st.lists(st.integers(0, 4), max_size=2)))
    axis = draw(st.integers(0, len(shape)))
    extent = draw(st.integers(1, 9))
    shape = (*shape[:axis], extent, *shape[axis:])
    lane = draw(st.integers(0, 5))
    columns = draw(st.integers(1, 4))
    segments = -(-extent // (columns * max(lane, 1)))
    return shape, tiled(scalar(*shape), axis, lane, columns, segments)


@given(cuts())
@example(((1,), tiled(scalar(1), 0, 3, 1)))
@example(((0, 5), tiled(scalar(0, 5), 1, 2, 3)))
@example(((2, 7), tiled(scalar(2, 7), 1, 2, 2, 2)))
def test_every_layout_holds_the_tensor_and_zeros(case: tuple[tuple[int, ...], RelType]) -> None:
    shape, t = case
    dense = np.arange(1, np.prod(shape) + 1, dtype=np.float32).reshape(shape)
    held = from_dense(dense, t, {})
    assert set(held.columns) == set(t.columns)
    assert all(len(c) == held.rows for c in held.columns.values())
    np.testing.assert_array_equal(to_dense(held, t, {}), dense)
    total = sum(float(held.columns[v.name].sum()) for v in t.values)
    assert total == dense.sum(), "padding is zero"
    assert logical(t) == scalar(*shape)
    again = pack(unpack(held, t, scalar(*shape)), scalar(*shape), t, {})
    for name in t.columns:
        np.testing.assert_array_equal(again.columns[name], held.columns[name])


def test_rows_in_any_order_and_wrong_rows() -> None:
    t = scalar(2, 3)
    dense = np.arange(6, dtype=np.float32).reshape(2, 3)
    shuffled = from_dense(dense, t, {}).take(np.array([3, 1, 5, 0, 2, 4]))
    np.testing.assert_array_equal(to_dense(shuffled, t, {}), dense)
    with pytest.raises(IRError, match="5 rows for the shape"):
        to_dense(shuffled.take(np.arange(5)), t, {})
    with pytest.raises(IRError, match="occurs twice"):
        to_dense(shuffled.take(np.array([0, 1, 2, 3, 4, 4])), t, {})
    with pytest.raises(IRError, match="outside"):
        to_dense(shuffled, scalar(3, 2), {})
    with pytest.raises(IRError, match="rank 1"):
        from_dense(np.zeros(3, np.float32), t, {})


def test_rank_zero_and_symbols() -> None:
    assert to_dense(from_dense(np.array(3.0, np.float32), scalar(), {}), scalar(), {}).item() == 3.0
    t = RelType((Key("b", symbol("B")), Key("d", 3)), (Val("v", F32),))
    for n in (0, 1, 4):
        dense = np.ones((n, 3), np.float32)
        assert to_dense(from_dense(dense, tiled(t, 1, 2, 2), {"B": n}), tiled(t, 1, 2, 2), {"B": n}).shape == (n, 3)


small = st.lists(st.tuples(st.integers(0, 2), st.integers(0, 2)), max_size=8)


def columns(rows: list[tuple[int, int]]) -> list[np.ndarray]:
    return [np.array([r[i] for r in rows], dtype=np.int64) for i in (0, 1)]


@given(small, small)
@example([], [(0, 0)])
@example([(1, 1)], [])
def test_equi_join(left: list[tuple[int, int]], right: list[tuple[int, int]]) -> None:
    li, ri = equi_join(columns(left), columns(right), len(left), len(right))
    want = [(i, j) for i, j in itertools.product(range(len(left)), range(len(right))) if left[i] == right[j]]
    assert sorted(zip(li.tolist(), ri.tolist(), strict=True)) == want
    a, b = product(Relation({}, len(left)), Relation({}, len(right)))
    assert len(set(zip(a.tolist(), b.tolist(), strict=True))) == len(left) * len(right)


@given(small)
def test_groups_and_aggregates(rows: list[tuple[int, int]]) -> None:
    keys = columns(rows)
    first, numbers = group(keys, len(rows))
    assert [rows[i] for i in first] == sorted(set(rows))
    assert [sorted(set(rows)).index(r) for r in rows] == numbers.tolist()
    values = np.array([(3 * i) % 5 - 2 for i in range(len(rows))], dtype=np.float32)
    index = np.arange(len(rows))[::-1].copy()
    for kind in ("sum", "max", "min", "count", "argmax", "argmin"):
        got = aggregate(kind, [values, index], numbers, len(first))
        for g, key in enumerate(sorted(set(rows))):
            mine = [i for i, r in enumerate(rows) if r == key]
            xs = [float(values[i]) for i in mine]
            best = max(xs) if kind == "argmax" else min(xs)
            lowest = min(int(index[i]) for i in mine if values[i] == best)
            want = {"sum": sum(xs), "max": max(xs), "min": min(xs), "count": len(xs)}.get(kind, lowest)
            assert got[g] == want
    one = group([], len(rows))
    assert len(one[0]) == min(len(rows), 1)


@given(small, st.booleans())
def test_windows(rows: list[tuple[int, int]], descending: bool) -> None:
    partition, order = columns(rows)
    values = np.array([i % 3 + 0.5 for i in range(len(rows))], dtype=np.float32)
    tie = np.arange(len(rows))
    rank = window("row_number", [], [partition], [order, tie], [descending, False], len(rows))
    running = window("sum", [values], [partition], [order, tie], [descending, False], len(rows))
    for i, (p, o) in enumerate(rows):
        sign = -1 if descending else 1
        before = [j for j, (q, r) in enumerate(rows) if q == p and (sign * r, j) <= (sign * o, i)]
        assert rank[i] == len(before)
        assert running[i] == sum(values[j] for j in before)


def test_nan_is_the_largest_and_stays_in_its_partition() -> None:
    x = np.array([1.0, np.nan, 2.0, 3.0], np.float32)
    one = np.zeros(4, np.int64)
    assert window("row_number", [], [one], [x], [True], 4).tolist() == [4, 1, 3, 2]
    assert window("row_number", [], [one], [x], [False], 4).tolist() == [1, 4, 2, 3]
    parts = np.array([0, 0, 1, 1])
    got = window("sum", [x], [parts], [np.arange(4)], [False], 4)
    np.testing.assert_array_equal(got, [1.0, np.nan, 2.0, 5.0])
    numbers = np.array([0, 0, 1, 1])
    np.testing.assert_array_equal(aggregate("max", [x], numbers, 2), [np.nan, 3.0])
    assert aggregate("argmax", [x, np.arange(4)], numbers, 2).tolist() == [1, 3]


def test_types() -> None:
    t = tiled(scalar(3, 10), 1, 4, 2, 2)
    assert [k.name for k in t.keys] == ["i0", "i1"]
    assert t.keys[1].extent == 2
    assert t.columns == ("i0", "i1", "v_0", "v_1")
    assert t.column_type("v_1") == LaneType(F32, 4)
    assert t.column_type("i0") == I64
    assert t.layout is not None
    assert base_name("v_1", t.layout) == "v"
    assert t.layout.tiled_axis == 1
    assert [tiled(scalar(3, 10), 1, lane, cols).layout.form for lane, cols in ((5, 2), (10, 1), (0, 10))] == [  # type: ignore[union-attr]
        "pivoted", "array", "wide"]
    with pytest.raises(KeyError):
        t.column_type("w")
    with pytest.raises(ValueError, match="distinct"):
        RelType((Key("v", 1),), (Val("v", F32),)).verify()
    both = Layout((2, 2), ("a", "b"), (Part(0, "column", 2), Part(1, "lane", 2)))
    both.verify()
    with pytest.raises(IRError, match="the axes a and b stand in the columns of a row"):
        _ = both.tiled_axis
    with pytest.raises(ValueError, match="at most one column part an axis"):
        Layout((4,), ("a",), (Part(0, "column", 2), Part(0, "column", 2, 2))).verify()
    with pytest.raises(ValueError, match="at most one"):
        Layout((4,), ("a",), (Part(0, "lane", 2), Part(0, "lane", 2, 2))).verify()
    with pytest.raises(ValueError, match="names every axis"):
        Layout((4,), (), ()).verify()
    with pytest.raises(ValueError, match="row, column, lane"):
        Layout((4,), ("a",), (Part(0, "page", 4),)).verify()
    with pytest.raises(IRError, match="symbolic"):
        tiled(RelType((Key("b", symbol("B")),), (Val("v", F32),)), 0, 2, 1)
    with pytest.raises(IRError, match="tiled already"):
        tiled(tiled(scalar(4, 4), 1, 2, 2), 0, 2, 1)
    with pytest.raises(IRError, match="expected a relation"):
        rel(Block([TensorType((2,), F32)]).args[0])
