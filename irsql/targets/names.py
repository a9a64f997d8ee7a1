"""The one name mangler: model names become table and column names that every engine keeps apart.

DuckDB and SQLite fold the case of quoted identifiers, PostgreSQL cuts names at 63 bytes; so a name is a lower-case slug
of at most 40 bytes, with a short hash of the original behind it where the slug lost something or collides.
"""

from __future__ import annotations

import hashlib
import re

import attrs

SLUG_BYTES = 40
_LOST = re.compile(r"[^a-z0-9_.]")
_PLAIN_SYMBOL = re.compile(rf"(?!DIM_)[A-Z][A-Z0-9_]{{0,{SLUG_BYTES - 1}}}")


@attrs.define
class Names:
    """Hands out names within one namespace and remembers what they stand for.

    Attributes
    ----------
    table
        Mangled name to original.
    """

    table: dict[str, str] = attrs.field(factory=dict)
    given: dict[str, str] = attrs.field(factory=dict)
    """Original to a name that :meth:`mangle` must give it."""

    def mangle(self, name: str) -> str:
        """The identifier of ``name``: the same for the same name, different for different ones."""
        if name in self.given:
            return self.given[name]
        slug = _LOST.sub("_", name)[:SLUG_BYTES].replace(".", "_") or "x"
        if slug[0].isdigit():
            slug = f"t{slug}"[:SLUG_BYTES]
        if slug == name.replace(".", "_") and self.table.get(slug, name) == name:
            self.table[slug] = name
            return slug
        digest = hashlib.sha256(name.encode("utf-8", "surrogatepass")).hexdigest()
        for length in range(8, 64, 4):
            candidate = f"{slug}_{digest[:length]}"
            if self.table.get(candidate, name) == name:
                self.table[candidate] = name
                return candidate
        raise ValueError(f"no free name for {name!r}")


def view_of(state: str) -> str:
    """The view through which functions read the state table of this name."""
    return f"seen_{state}"


def symbol_column(symbol: str) -> str:
    """The column of a symbol in the table of the symbols: as it is, where it is short and in upper case.

    Others get names that differ from these, and from each other, whatever an engine does to cases and lengths.
    """
    return symbol if _PLAIN_SYMBOL.fullmatch(symbol) else Names().mangle(f"dim.{symbol}")
