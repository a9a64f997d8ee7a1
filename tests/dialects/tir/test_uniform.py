from __future__ import annotations

import hashlib

import numpy as np

from irsql.dialects.tir.interp import NumPyAlgebra
from irsql.dialects.tir.uniform import LIMB, PRIME, ROUND_CONSTANTS, draw_integer

ALG = NumPyAlgebra()
KNOWN = [63675675, 40384339, 29115353, 11863761, 35727866]


def draws(seed, sequence, position):
    arrays = np.broadcast_arrays(*(np.asarray(x, dtype=np.int64) for x in (seed, sequence, position)))
    return (draw_integer(ALG, *arrays) + 0.5) / PRIME


def test_the_prime_and_the_constants_are_what_they_claim():
    def is_prime(n):
        return all(n % d for d in range(2, int(n**0.5) + 1))

    assert is_prime(PRIME)
    assert PRIME % 3 == 2
    assert not any(is_prime(n) and n % 3 == 2 for n in range(PRIME + 1, 2**26))
    assert all(c == int.from_bytes(hashlib.sha256(f"irsql uniform {i}".encode()).digest()[:8], "big") % PRIME
               for i, c in enumerate(ROUND_CONSTANTS))


def test_the_draw_equals_python_integers_and_every_product_fits_a_double():
    def by_hand(seed, sequence, position):
        s, q = [seed // LIMB**i % LIMB for i in range(3)], [sequence // LIMB**i % LIMB for i in range(2)]
        x = position % PRIME
        for i, c in enumerate(ROUND_CONSTANTS):
            t = (x + [s[0], q[0], s[1], s[2], q[1]][i % 5] + c) % PRIME
            assert t * t < 2**53
            assert t * t % PRIME * t < 2**53
            x = t * t % PRIME * t % PRIME
        return x

    rng = np.random.default_rng(1)
    for _ in range(100):
        args = [int(rng.integers(0, 2**63 - 1)), int(rng.integers(0, 2**40)), int(rng.integers(0, 2**25))]
        assert int(draw_integer(ALG, *np.array(args, dtype=np.int64))) == by_hand(*args)


def test_every_bit_of_seed_and_sequence_counts():
    """Digits stay below the prime, else seeds that differ by it would draw the same."""
    base = draws(0, 0, np.arange(100))
    for seed, sequence in [(PRIME, 0), (LIMB, 0), (0, PRIME), *((2**b, 0) for b in range(62)),
                           *((0, 2**b) for b in range(50))]:
        assert (draws(seed, sequence, np.arange(100)) != base).mean() > 0.9


def test_known_answers_never_change():
    got = [int(draw_integer(ALG, *np.array(args, dtype=np.int64))) for args in
           [(0, 0, 0), (0, 0, 1), (1, 0, 0), (0, 1, 0), (2**63 - 1, 12345, 678)]]
    assert got == KNOWN


def chi_square(u, bins=100):
    counts = np.histogram(u, bins=bins, range=(0, 1))[0]
    return ((counts - len(u) / bins) ** 2 / (len(u) / bins)).sum()


def test_draws_are_uniform_and_uncorrelated_along_every_counter():
    n = 10_000
    bound = 99 + 4 * np.sqrt(2 * 99)  # four standard deviations of chi-square with 99 degrees of freedom
    for u in (draws(0, 0, np.arange(n)), draws(0, np.arange(n), 0), draws(np.arange(n), 0, 0),
              draws(np.arange(n) * LIMB, 0, 5), draws(1234567890123, 17, np.arange(n))):
        assert u.min() > 0
        assert u.max() < 1
        assert chi_square(u) < bound
        for lag in (1, 2, 7):
            assert abs(np.corrcoef(u[:-lag], u[lag:])[0, 1]) < 4 / np.sqrt(n)
        pairs = np.histogram2d(u[:-1], u[1:], bins=10, range=[[0, 1], [0, 1]])[0]
        assert ((pairs - (n - 1) / 100) ** 2 / ((n - 1) / 100)).sum() < bound


def test_neighbouring_seeds_and_sequences_give_unrelated_streams():
    n = 10_000
    base = draws(3, 3, np.arange(n))
    for other in (draws(4, 3, np.arange(n)), draws(3, 4, np.arange(n)), draws(2, 3, np.arange(n) + 1)):
        assert abs(np.corrcoef(base, other)[0, 1]) < 4 / np.sqrt(n)
