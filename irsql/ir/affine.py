"""Affine expressions and maps: the index arithmetic of views, contractions and tiles.

The text form is MLIR's (``affine_map<(d0, d1)[S] -> (d0 floordiv 4, d1 + S)>``). Symbols are named after the
dims of the enclosing function. ``floordiv`` and ``mod`` are floor division and non-negative remainder by a
positive constant. See MLIR, "Affine Expressions".
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar

import attrs


@attrs.frozen
class DimExpr:
    """The loop dimension at ``index``."""

    index: int

    def __str__(self) -> str:
        return f"d{self.index}"


@attrs.frozen
class SymExpr:
    """A named symbol (an extent known when the query runs)."""

    name: str

    def __str__(self) -> str:
        return self.name


@attrs.frozen
class ConstExpr:
    """An integer constant."""

    value: int

    def __str__(self) -> str:
        return str(self.value)


@attrs.frozen
class BinExpr:
    """``lhs op rhs`` with op one of ``+``, ``*``, ``floordiv``, ``mod``.

    ``*`` has a constant or symbolic right side; ``floordiv`` and ``mod`` a positive constant one.
    """

    op: str
    lhs: AffineExpr
    rhs: AffineExpr

    def __str__(self) -> str:
        def side(e: AffineExpr) -> str:
            return f"({e})" if isinstance(e, BinExpr) and (self.op != "+" or e.op == "+") else str(e)

        left = str(self.lhs) if self.op == "+" and isinstance(self.lhs, BinExpr) else side(self.lhs)
        return f"{left} {self.op} {side(self.rhs)}"


AffineExpr = DimExpr | SymExpr | ConstExpr | BinExpr
T = TypeVar("T")


def dim(index: int) -> AffineExpr:
    """The loop dimension ``d<index>``."""
    return DimExpr(index)


def const(value: int) -> AffineExpr:
    """An integer constant."""
    return ConstExpr(value)


def add(a: AffineExpr, b: AffineExpr) -> AffineExpr:
    """``a + b``, constants folded and moved right."""
    if isinstance(a, ConstExpr) and isinstance(b, ConstExpr):
        return ConstExpr(a.value + b.value)
    if isinstance(a, ConstExpr):
        a, b = b, a
    if isinstance(b, ConstExpr):
        if b.value == 0:
            return a
        if isinstance(a, BinExpr) and a.op == "+" and isinstance(a.rhs, ConstExpr):
            return add(a.lhs, ConstExpr(a.rhs.value + b.value))
    elif isinstance(a, BinExpr) and a.op == "+" and isinstance(a.rhs, ConstExpr):
        return add(add(a.lhs, b), a.rhs)
    return BinExpr("+", a, b)


def mul(a: AffineExpr, b: AffineExpr) -> AffineExpr:
    """``a * b``; the constant goes right and distributes over sums."""
    if isinstance(a, ConstExpr):
        a, b = b, a
    if isinstance(b, ConstExpr):
        if isinstance(a, ConstExpr):
            return ConstExpr(a.value * b.value)
        if b.value == 0:
            return ConstExpr(0)
        if b.value == 1:
            return a
        if isinstance(a, BinExpr) and a.op == "+":
            return add(mul(a.lhs, b), mul(a.rhs, b))
        if isinstance(a, BinExpr) and a.op == "*" and isinstance(a.rhs, ConstExpr):
            return mul(a.lhs, ConstExpr(a.rhs.value * b.value))
    return BinExpr("*", a, b)


def floordiv(a: AffineExpr, b: int) -> AffineExpr:
    """``a floordiv b`` for a positive constant ``b``."""
    if b < 1:
        raise ValueError(f"floordiv by {b}: the divisor must be positive")
    if b == 1:
        return a
    if isinstance(a, ConstExpr):
        return ConstExpr(a.value // b)
    return BinExpr("floordiv", a, ConstExpr(b))


def mod(a: AffineExpr, b: int) -> AffineExpr:
    """``a mod b`` (non-negative) for a positive constant ``b``."""
    if b < 1:
        raise ValueError(f"mod by {b}: the divisor must be positive")
    if b == 1:
        return ConstExpr(0)
    if isinstance(a, ConstExpr):
        return ConstExpr(a.value % b)
    return BinExpr("mod", a, ConstExpr(b))


def fold(expr: AffineExpr, on_dim: Callable[[int], T], on_sym: Callable[[str], T], on_const: Callable[[int], T],
         on_bin: Callable[[str, T, T], T]) -> T:
    """Evaluate an expression bottom-up in any algebra (numbers, NumPy arrays, IR values)."""
    match expr:
        case DimExpr(index):
            return on_dim(index)
        case SymExpr(name):
            return on_sym(name)
        case ConstExpr(value):
            return on_const(value)
        case BinExpr(op, lhs, rhs):
            return on_bin(op, fold(lhs, on_dim, on_sym, on_const, on_bin), fold(rhs, on_dim, on_sym, on_const, on_bin))


def substitute(expr: AffineExpr, dims: Sequence[AffineExpr]) -> AffineExpr:
    """``expr`` with each loop dimension ``d<i>`` replaced by ``dims[i]``, folded."""

    def on_bin(op: str, a: AffineExpr, b: AffineExpr) -> AffineExpr:
        if op == "+":
            return add(a, b)
        if op == "*":
            return mul(a, b)
        assert isinstance(b, ConstExpr)
        return floordiv(a, b.value) if op == "floordiv" else mod(a, b.value)

    return fold(expr, lambda i: dims[i], SymExpr, ConstExpr, on_bin)


def evaluate(expr: AffineExpr, dims: Sequence[int], symbols: Mapping[str, int]) -> int:
    """The integer value of ``expr`` at a loop point."""

    def on_bin(op: str, a: int, b: int) -> int:
        return a + b if op == "+" else a * b if op == "*" else a // b if op == "floordiv" else a % b

    return fold(expr, lambda i: dims[i], lambda s: symbols[s], lambda c: c, on_bin)


def used_dims(expr: AffineExpr) -> frozenset[int]:
    """Loop dimensions that occur in ``expr``."""
    none: frozenset[int] = frozenset()
    return fold(expr, lambda i: frozenset({i}), lambda _: none, lambda _: none, lambda _, a, b: a | b)


def used_symbols(expr: AffineExpr) -> frozenset[str]:
    """Symbols that occur in ``expr``."""
    none: frozenset[str] = frozenset()
    return fold(expr, lambda _: none, lambda s: frozenset({s}), lambda _: none, lambda _, a, b: a | b)


@attrs.frozen
class AffineMap:
    """``(d0, …, d<num_dims-1>)[symbols] -> (results…)``."""

    num_dims: int
    results: tuple[AffineExpr, ...]

    @classmethod
    def identity(cls, rank: int) -> AffineMap:
        """The map that returns its dimensions unchanged."""
        return cls(rank, tuple(DimExpr(i) for i in range(rank)))

    @classmethod
    def select(cls, num_dims: int, indices: Sequence[int]) -> AffineMap:
        """The map that returns the chosen dimensions, in that order."""
        return cls(num_dims, tuple(DimExpr(i) for i in indices))

    @property
    def symbols(self) -> tuple[str, ...]:
        """Names of the symbols used, sorted."""
        return tuple(sorted({s for r in self.results for s in used_symbols(r)}))

    def is_identity(self) -> bool:
        """True for ``(d0, d1, …) -> (d0, d1, …)``."""
        return len(self.results) == self.num_dims and all(r == DimExpr(i) for i, r in enumerate(self.results))

    def compose(self, inner: AffineMap) -> AffineMap:
        """The map ``x -> self(inner(x))``."""
        return AffineMap(inner.num_dims, tuple(substitute(r, inner.results) for r in self.results))

    def __str__(self) -> str:
        dims = ", ".join(f"d{i}" for i in range(self.num_dims))
        symbols = f"[{', '.join(self.symbols)}]" if self.symbols else ""
        return f"affine_map<({dims}){symbols} -> ({', '.join(map(str, self.results))})>"
