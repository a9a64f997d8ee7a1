"""Hypothesis strategies of attribute values, types and locations."""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import strategies as st

from irsql.ir import affine, dims
from irsql.ir.attributes import DenseElements, FunctionType, ScalarType, TensorType, Type
from irsql.ir.location import Location
from tests.ir.toy import Box, Empty, Pair

names = st.from_regex(r"[A-Za-z_][A-Za-z_0-9]{0,5}", fullmatch=True).filter(
    lambda s: s not in ("floordiv", "mod", "ceildiv"))
texts = st.text(st.characters(exclude_categories=()), max_size=12)  # surrogates and control characters included


@st.composite
def dim(draw: st.DrawFn) -> dims.Dim:
    """A polynomial of up to three terms."""
    total: dims.Dim = 0
    for _ in range(draw(st.integers(1, 3))):
        term: dims.Dim = draw(st.integers(-(2**40), 2**40))
        for name in draw(st.lists(names, max_size=2)):
            term = dims.mul(term, dims.symbol(name))
        total = dims.add(total, term)
    return total


@st.composite
def affine_map(draw: st.DrawFn) -> affine.AffineMap:
    """A map as the functions of :mod:`irsql.ir.affine` build it."""
    rank = draw(st.integers(0, 3))
    leaves: st.SearchStrategy[affine.AffineExpr] = st.builds(affine.const, st.integers(-100, 100)) | st.builds(
        affine.SymExpr, names)
    if rank:
        leaves |= st.builds(affine.dim, st.integers(0, rank - 1))

    def grow(inner: st.SearchStrategy[affine.AffineExpr]) -> st.SearchStrategy[affine.AffineExpr]:
        scale = st.builds(affine.const, st.integers(-9, 9)) | st.builds(affine.SymExpr, names)
        return (st.builds(affine.add, inner, inner) | st.builds(affine.mul, inner, scale)
                | st.builds(affine.floordiv, inner, st.integers(1, 9))
                | st.builds(affine.mod, inner, st.integers(1, 9)))

    results = draw(st.lists(st.recursive(leaves, grow, max_leaves=6), max_size=3))
    return affine.AffineMap(rank, tuple(results))


scalars = st.sampled_from([ScalarType(n) for n in ("f64", "f32", "f16", "bf16", "i64", "i32", "i16", "i8", "i1",
                                                   "index")])
extents = st.integers(0, 2**40) | dim().filter(lambda d: not isinstance(d, int) or d >= 0)
tensors = st.builds(TensorType, st.lists(extents, max_size=3).map(tuple), scalars)
types: st.SearchStrategy[Type] = st.recursive(
    scalars | tensors,
    lambda inner: (st.builds(FunctionType, st.lists(inner, max_size=3).map(tuple),
                             st.lists(inner, max_size=3).map(tuple))
                   | st.builds(Box, st.lists(texts, max_size=3).map(tuple), inner, dim())),
    max_leaves=5)


@st.composite
def dense(draw: st.DrawFn) -> DenseElements:
    """A constant of any element type, any bits, up to 27 elements."""
    dtype = draw(scalars)
    shape = tuple(draw(st.lists(st.integers(0, 3), max_size=3)))
    raw = draw(st.binary(min_size=8 * int(np.prod(shape)), max_size=8 * int(np.prod(shape))))
    if dtype.name == "i1":
        array = np.frombuffer(raw, np.int64).reshape(shape) % 2 == 1
    else:
        array = np.frombuffer(raw, dtype.numpy)[: int(np.prod(shape))].reshape(shape)
    return DenseElements(array, dtype)


values: st.SearchStrategy[Any] = st.recursive(
    st.booleans() | st.integers() | st.floats(allow_nan=False) | texts | st.none() | dim() | affine_map() | types
    | dense() | st.just(Empty()),
    lambda inner: (st.lists(inner, max_size=3).map(tuple) | st.dictionaries(texts.filter(bool), inner, max_size=3)
                   | st.builds(Pair, inner, inner)),
    max_leaves=6)

locations = st.builds(Location, texts, st.integers(0, 10**6), st.integers(0, 10**4), texts, texts)
