"""Symbolic extents: polynomials with integer coefficients over named symbols.

A dim is a plain ``int`` where it is static and a :class:`SymDim` where it depends on a symbol of the
enclosing function (``B``, ``S``, ``S + P``). Arithmetic goes through the module functions, which return an
``int`` again as soon as nothing symbolic is left, so that ``64`` and ``SymDim(64)`` never both exist.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

import attrs

Monomial = tuple[str, ...]  # sorted symbol names, repeated for powers; () is the constant term


@attrs.frozen
class SymDim:
    """A polynomial over symbols, in canonical form (sorted monomials, no zero coefficient).

    Attributes
    ----------
    terms
        Pairs ``(monomial, coefficient)`` sorted by monomial; never a constant alone.
    """

    terms: tuple[tuple[Monomial, int], ...]

    def __str__(self) -> str:
        parts: list[str] = []
        for mono, coef in sorted(self.terms, key=lambda t: (not t[0], t[0])):
            factors = [*mono] if abs(coef) == 1 and mono else [*mono, str(abs(coef))]
            text = " * ".join(factors)
            parts.append(("-" if coef < 0 else "") + text if not parts else (" - " if coef < 0 else " + ") + text)
        return "".join(parts)

    def symbols(self) -> frozenset[str]:
        """Names of the symbols that occur."""
        return frozenset(name for mono, _ in self.terms for name in mono)


Dim = int | SymDim


def _terms(dim: Dim) -> dict[Monomial, int]:
    return {(): dim} if isinstance(dim, int) else dict(dim.terms)


def _make(terms: Mapping[Monomial, int]) -> Dim:
    kept = {m: c for m, c in terms.items() if c != 0}
    if all(m == () for m in kept):
        return kept.get((), 0)
    return SymDim(tuple(sorted(kept.items())))


def symbol(name: str) -> SymDim:
    """The dim that is the symbol ``name`` itself."""
    return SymDim((((name,), 1),))


def add(a: Dim, b: Dim) -> Dim:
    """``a + b``."""
    out = _terms(a)
    for mono, coef in _terms(b).items():
        out[mono] = out.get(mono, 0) + coef
    return _make(out)


def mul(a: Dim, b: Dim) -> Dim:
    """``a * b``."""
    out: dict[Monomial, int] = {}
    for ma, ca in _terms(a).items():
        for mb, cb in _terms(b).items():
            mono = tuple(sorted(ma + mb))
            out[mono] = out.get(mono, 0) + ca * cb
    return _make(out)


def sub(a: Dim, b: Dim) -> Dim:
    """``a - b``."""
    return add(a, mul(b, -1))


def product(dims: Iterable[Dim]) -> Dim:
    """The product of all dims; 1 for none."""
    out: Dim = 1
    for dim in dims:
        out = mul(out, dim)
    return out


def exact_div(a: Dim, b: Dim) -> Dim | None:
    """``a / b`` where the quotient is a dim for every value of the symbols, else None.

    ``b`` may be an int or a single monomial; dividing by a sum is only recognised when ``a == b``.
    """
    if a == b:
        return 1
    divisor = _terms(b)
    if len(divisor) != 1:
        return None
    ((mono_b, coef_b),) = divisor.items()
    if coef_b == 0:
        return None
    out: dict[Monomial, int] = {}
    for mono, coef in _terms(a).items():
        rest = list(mono)
        for name in mono_b:
            if name not in rest:
                return None
            rest.remove(name)
        if coef % coef_b:
            return None
        out[tuple(rest)] = coef // coef_b
    return _make(out)


def evaluate(dim: Dim, symbols: Mapping[str, int]) -> int:
    """The number a dim stands for under an assignment of its symbols.

    Raises
    ------
    KeyError
        If a symbol has no value.
    """
    if isinstance(dim, int):
        return dim
    total = 0
    for mono, coef in dim.terms:
        for name in mono:
            coef *= symbols[name]
        total += coef
    return total


def bounds(dim: Dim, ranges: Mapping[str, tuple[int, int]]) -> tuple[int, int]:
    """Lower and upper bound of a dim when each symbol lies in its (non-negative) range.

    Unknown symbols lie in [0, 2**31].
    """
    if isinstance(dim, int):
        return dim, dim
    low = high = 0
    for mono, coef in dim.terms:
        lo = hi = 1
        for name in mono:
            r = ranges.get(name, (0, 2**31))
            lo, hi = lo * r[0], hi * r[1]
        low += coef * (lo if coef > 0 else hi)
        high += coef * (hi if coef > 0 else lo)
    return low, high


_TOKEN = re.compile(r"\s*(?:(\d+)|([A-Za-z_][A-Za-z_0-9]*)|(.))")


def parse(text: str) -> Dim:
    """Read the text form that ``str`` writes: sums of products of integers and symbols.

    Raises
    ------
    ValueError
        If the text is not such a sum.
    """
    total: Dim = 0
    sign, factor, want_operand = 1, None, True
    for number, name, other in _TOKEN.findall(text.rstrip()):
        if number or name:
            if not want_operand:
                raise ValueError(f"malformed dim {text!r}")
            value: Dim = int(number) if number else symbol(name)
            factor = value if factor is None else mul(factor, value)
            want_operand = False
        elif other == "*" and not want_operand:
            want_operand = True
        elif other in "+-" and factor is not None and not want_operand:
            total = add(total, mul(sign, factor))
            sign, factor, want_operand = (1 if other == "+" else -1), None, True
        elif other == "-" and factor is None and want_operand:
            sign = -sign
        else:
            raise ValueError(f"malformed dim {text!r}")
    if factor is None or want_operand:
        raise ValueError(f"malformed dim {text!r}")
    return add(total, mul(sign, factor))
