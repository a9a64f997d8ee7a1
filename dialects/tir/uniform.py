"""The counter-based uniform draw of ``tir.uniform``, written once for every algebra.

``u = f(seed, sequence, position)`` is the MiMC block cipher (Albrecht et al. 2016, "MiMC: Efficient Encryption and
Cryptographic Hashing with Minimal Multiplicative Complexity") over a prime field: ten rounds
``x ← (x + k + c)³ mod p`` on the position, under a key of the seed and the sequence. ``p ≡ 2 (mod 3)`` makes cubing a
permutation, and ``p < 2**26`` keeps every product below 2**53, so that even an engine whose numbers are doubles
computes the same integers.
"""

from __future__ import annotations

from typing import Protocol, TypeVar

PRIME = 67108859
"""The largest prime below 2**26 that is 2 modulo 3."""

ROUND_CONSTANTS = (51451632, 39380409, 49095386, 63493074, 52153134, 33618080, 32755626, 4018343, 6001046, 29270474)
"""Constant of each round: the first 8 bytes (big-endian) of SHA-256 of ``irsql uniform <round>``, modulo the prime."""

LIMB = 2**25
"""Base of the digits of seed and sequence: below the prime, so that different digits are different keys."""
KEY_LIMBS = (("seed", 0), ("sequence", 0), ("seed", 1), ("seed", 2), ("sequence", 1))
"""Which digit is the key of round i, i modulo 5: each enters twice and the low ones early."""

T = TypeVar("T")


class Algebra(Protocol[T]):
    """What the draw needs of the values it computes with: NumPy arrays or expressions of the IR."""

    def const(self, value: int) -> T:
        """An integer."""
        ...

    def binary(self, kind: str, a: T, b: T) -> T:
        """``kind(a, b)`` with kind one of add, mul, mod, floordiv."""
        ...


def limb(alg: Algebra[T], x: T, index: int) -> T:
    """Digit ``index`` of ``x`` to the base :data:`LIMB`."""
    shifted = alg.binary("floordiv", x, alg.const(LIMB**index)) if index else x
    return alg.binary("mod", shifted, alg.const(LIMB))


def mimc_round(alg: Algebra[T], x: T, key: T, constant: int) -> T:
    """``(x + key + constant)³ mod p``."""
    p = alg.const(PRIME)
    t = alg.binary("mod", alg.binary("add", alg.binary("add", x, key), alg.const(constant)), p)
    square = alg.binary("mod", alg.binary("mul", t, t), p)
    return alg.binary("mod", alg.binary("mul", square, t), p)


def draw_integer(alg: Algebra[T], seed: T, sequence: T, position: T) -> T:
    """The integer in ``[0, p)`` of which ``(x + 0.5) / p`` is the draw."""
    x = alg.binary("mod", position, alg.const(PRIME))
    for i, constant in enumerate(ROUND_CONSTANTS):
        source, index = KEY_LIMBS[i % len(KEY_LIMBS)]
        x = mimc_round(alg, x, limb(alg, seed if source == "seed" else sequence, index), constant)
    return x
