"""Names that no engine can take for one another."""

from __future__ import annotations

import re
import unicodedata
from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from irsql.targets.names import Names, symbol_column, view_of

LONG = "model.layers.0." + "x" * 200
HOSTILE = (
    'q"uo\'te', '"; DROP TABLE "model"."irsql_meta"; --', "nul\0", "\0", "é", unicodedata.normalize("NFD", "é"),
    "Weight", "weight", "WEIGHT", LONG + "a", LONG + "b", "x" * 63 + "a", "x" * 63 + "b", "ü" * 100, "select", "a b",
    "a.b", "a_b", "-- c", "/* c */", "%s", "?", ":x", "\n", "😀", "\ud800", "0", "irsql_meta", "t0", "\u017f", "K", "k",
    "\u212a",
)  # fmt: skip
"""Quotes, statements, NUL, the forms of Unicode, lone surrogates, pairs of equal case or of equal first 63 bytes."""
LIMIT = 63
"""Bytes of a name that PostgreSQL keeps."""


def as_kept(name: str) -> bytes:
    """What is left of a name where engines fold cases and cut."""
    return name.casefold().encode("utf-8")[:LIMIT]


def check(names: list[str]) -> None:
    for name in names:
        assert re.fullmatch(r"[a-z_][a-z0-9_]*", name), name
        assert len(view_of(name)) <= LIMIT
    assert len({as_kept(n) for n in names}) == len(names)


def test_hostile_names() -> None:
    names = Names()
    check([names.mangle(n) for n in HOSTILE])
    assert names.mangle(HOSTILE[0]) == names.mangle(HOSTILE[0])
    assert set(names.table.values()) == set(HOSTILE)


@given(st.sets(st.text(st.characters(exclude_categories=()), min_size=0, max_size=80), min_size=2, max_size=12))
def test_any_names(texts: set[str]) -> None:
    names = Names()
    check([names.mangle(t) for t in sorted(texts)])
    again = Names()
    for text in sorted(texts):
        assert again.mangle(text) == names.mangle(text)


def test_case_alone_keeps_them_apart() -> None:
    for a, b in combinations(["weight", "Weight", "WEIGHT", "wEIGHT"], 2):
        names = Names()
        check([names.mangle(a), names.mangle(b)])


@pytest.mark.parametrize("symbols", [("S", "s"), ("B", "DIM_S", "s"), ("DIM_D", "d", "dim_d"),
                                     ("Long" * 20, "Long" * 20 + "a"), ("é", "É", "S")])  # fmt: skip
def test_symbols(symbols: tuple[str, ...]) -> None:
    columns = [symbol_column(s) for s in symbols]
    assert len({as_kept(c) for c in columns}) == len(columns)
    assert all(len(c.encode()) <= LIMIT for c in columns)
    assert symbol_column("S") == "S"
