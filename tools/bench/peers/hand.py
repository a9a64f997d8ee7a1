"""The best DuckDB SQL that we can write by hand for a Llama's decode step.

What it rests on was measured: short lists, few of them a row, an axis that is longer in several rows; these are joined
by a difference that is zero, since a hash table would copy the lists of the activation; more rows keep all cores busy.
Gate and up stand side by side, norms are folded into the weights behind them and their scale applied after the product,
the residual is one more branch of the sum, all products behind attention are one statement, grouped query heads are
columns, values are packed along the positions so that P·V is a list product too.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pyarrow as pa

from irsql.tools.bench.peers.sql_form import ROWS, Array, SqlForm, lists, total, wide

LANE, COLUMNS = 64, 8
"""Elements of a list, and lists of a row: longer ones do not fit the caches of a core."""
TILE = 32
"""Positions of a packed tile of values."""


class Hand(SqlForm):
    """See the text of the module."""

    name, key = "SQL by hand", "hand-rows"

    # -- stored ----------------------------------------------------------------------------------------
    def stored(self) -> Iterator[tuple[str, Iterator[pa.Table]]]:
        """The matrices of each layer, the head, and the embedding, whose rows are lists."""
        final, lane = self.read("model.norm.weight"), _divisor(self.shape.hidden, LANE)
        yield "head", (wide(w * final, lane, {"i": np.arange(b, b + len(w))}) for b, w in self.blocks(self.head_name))
        yield "embed", (pa.table({"i": np.arange(b, b + len(w)), "v": lists(w)})
                        for b, w in self.blocks("model.embed_tokens.weight"))  # fmt: skip
        for i in range(self.shape.layers):
            qkv = np.concatenate([self.layer(i, f"self_attn.{n}_proj") for n in "qkv"])
            qkv[:self.shape.heads * self.shape.head_dim] *= np.float32(self.shape.head_dim**-0.5)
            yield f"qkv_{i}", _rows({"c": qkv * self.norm(i, "input")})
            yield f"o_{i}", _rows({"c": self.layer(i, "self_attn.o_proj")})
            yield f"gate_up_{i}", _rows({letter: self.layer(i, f"mlp.{name}_proj") * self.norm(i, "post_attention")
                                         for letter, name in (("g", "gate"), ("u", "up"))})  # fmt: skip
            yield f"down_{i}", _rows({"c": self.layer(i, "mlp.down_proj")})

    # -- states ----------------------------------------------------------------------------------------
    def state_schema(self) -> list[str]:
        """Keys a row a position; values in full tiles, and the open one element by element."""
        out = []
        for i in range(self.shape.layers):
            out += [f"CREATE TABLE state.k_{i} (pos BIGINT, kh BIGINT, k FLOAT[])",
                    f"CREATE TABLE state.v_{i} (tile BIGINT, kh BIGINT, j BIGINT, v FLOAT[])",
                    f"CREATE TABLE state.tail_{i} (pos BIGINT, kh BIGINT, j BIGINT, v FLOAT)"]  # fmt: skip
        return out

    def state_rows(self, layer: int, keys: Array, values: Array, begin: int) -> Iterator[tuple[str, pa.Table]]:
        """Rows of a layer."""
        count, heads, width = keys.shape
        pos, kh = (x.ravel() for x in np.mgrid[:count, :heads])
        yield f"k_{layer}", pa.table({"pos": pos, "kh": kh, "k": lists(keys.reshape(-1, width))})
        full = count // TILE
        tiles = values[:full * TILE].reshape(full, TILE, heads, width).transpose(0, 2, 3, 1)
        tile, kh, j = (x.ravel() for x in np.mgrid[:full, :heads, :width])
        if full:
            yield f"v_{layer}", pa.table({"tile": tile, "kh": kh, "j": j, "v": lists(tiles.reshape(-1, TILE))})
        pos, kh, j = (x.ravel() for x in np.mgrid[full * TILE:count, :heads, :width])
        yield f"tail_{layer}", pa.table({"pos": pos, "kh": kh, "j": j, "v": values[full * TILE:].ravel()})

    def between(self, position: int) -> list[str]:
        """Pack the open tile when it is full."""
        if (position + 1) % TILE:
            return []
        out = []
        for i in range(self.shape.layers):
            out += [f"INSERT INTO state.v_{i} SELECT min(pos) // {TILE}, kh, j, list(v ORDER BY pos) "
                    f"FROM state.tail_{i} GROUP BY kh, j", f"DELETE FROM state.tail_{i}"]  # fmt: skip
        return out

    # -- the step --------------------------------------------------------------------------------------
    def step(self) -> list[str]:
        """Six statements a layer."""
        s = self.shape
        out = ["CREATE OR REPLACE TEMP TABLE h AS SELECT generate_subscripts(e.v, 1) - 1 AS i, unnest(e.v) AS v "
               "FROM model.embed e WHERE e.i = (SELECT id FROM state.token)"]  # fmt: skip
        for i in range(s.layers):
            out += [*self._attention(i), self._behind(i)]
        lane = _divisor(s.hidden, LANE)
        packed = _packed("h", lane, s.hidden // lane)
        ctes = f"x AS MATERIALIZED ({packed}), n AS ({self._scale('h')})"
        out.append(f"CREATE OR REPLACE TEMP TABLE logits AS WITH {ctes} SELECT w.i, "
                   f"{_dots('w.c', 'x.c', s.hidden // lane)} * n.s AS v FROM model.head w, x, n")  # fmt: skip
        return out

    def _scale(self, source: str) -> str:
        """One row with the scale of a norm."""
        return f"SELECT CAST(1 / sqrt(sum(v * v) / {self.shape.hidden} + {self.eps!r}) AS FLOAT) AS s FROM {source}"

    def _behind(self, i: int) -> str:
        """What follows attention: the output projection, gate and up, down."""
        s = self.shape
        gate = _product(f"gate_up_{i}", "x2", s.hidden, COLUMNS // 2, ("g", "u"))
        parts = {
            "x1": _packed("att", *_cut(s.heads * s.head_dim)),
            "h2": _sum(_product(f"o_{i}", "x1", s.heads * s.head_dim), "h"),
            "x2": _packed("h2", *_cut(s.hidden, COLUMNS // 2)),
            "n": self._scale("h2"),
            "y": f"SELECT y.i, CAST(g * n.s AS FLOAT) AS g, CAST(u * n.s AS FLOAT) AS u FROM "
                 f"(SELECT i, sum(g) AS g, sum(u) AS u FROM ({gate}) GROUP BY i) y, n",
            "act": "SELECT i, CAST(g / (1 + exp(-g)) * u AS FLOAT) AS v FROM y",
            "x3": _packed("act", *_cut(s.intermediate)),
        }  # fmt: skip
        ctes = ", ".join(f"{name} AS MATERIALIZED ({text})" for name, text in parts.items())
        last = _sum(_product(f"down_{i}", "x3", s.intermediate), "h2")
        return f"CREATE OR REPLACE TEMP TABLE h AS WITH {ctes} {last}"

    def _attention(self, i: int) -> list[str]:
        s = self.shape
        d, group, keys = s.head_dim, s.heads // s.kv_heads, s.kv_heads
        first_value = (s.heads + keys) * d
        each = range(group)
        query = ", ".join(f"any_value(v) FILTER (WHERE head % {group} = {g}) AS q{g}" for g in each)
        score = ", ".join(f"list_inner_product(k.k, q.q{g}) AS s{g}" for g in each)
        most = ", ".join(f"max(s{g}) AS m{g}" for g in each)
        power = ", ".join(f"CAST(exp(s{g} - m{g}) AS FLOAT) AS p{g}" for g in each)
        sums = ", ".join(f"sum(p{g}) AS z{g}" for g in each)
        packs = ", ".join(f"list(p{g} ORDER BY pos) AS p{g}" for g in each)
        tiles = ", ".join(f"CAST(list_inner_product(v.v, p.p{g}) AS DOUBLE) AS o{g}" for g in each)
        tail = ", ".join(f"CAST(v.v * p.p{g} AS DOUBLE) AS o{g}" for g in each)
        shares = ", ".join(f"sum(o{g}) AS o{g}" for g in each)
        values = ", ".join(f"CAST(o{g} / z{g} AS FLOAT)" for g in each)
        attention = (
            f"CREATE OR REPLACE TEMP TABLE att AS WITH "
            f"q AS (SELECT head // {group} AS kh, {query} FROM qk WHERE head < {s.heads} GROUP BY head // {group}), "
            f"s AS MATERIALIZED (SELECT k.kh, k.pos, {score} FROM state.k_{i} k JOIN q ON q.kh = k.kh), "
            f"m AS (SELECT kh, {most} FROM s GROUP BY kh), "
            f"p AS MATERIALIZED (SELECT s.kh, s.pos, {power} FROM s JOIN m ON m.kh = s.kh), "
            f"z AS (SELECT kh, {sums} FROM p GROUP BY kh), "
            f"t AS (SELECT kh, pos // {TILE} AS tile, {packs} FROM p GROUP BY kh, pos // {TILE}), "
            f"o AS (SELECT kh, j, {shares} FROM ("
            f"SELECT v.kh, v.j, {tiles} FROM state.v_{i} v JOIN t p ON p.kh = v.kh AND p.tile = v.tile UNION ALL "
            f"SELECT v.kh, v.j, {tail} FROM state.tail_{i} v JOIN p ON p.kh = v.kh AND p.pos = v.pos) GROUP BY kh, j) "
            f"SELECT (o.kh * {group} + unnest(range({group}))) * {d} + o.j AS i, unnest([{values}]) AS v "
            f"FROM o JOIN z ON z.kh = o.kh")  # fmt: skip
        packed = _packed("h", *_cut(s.hidden))
        return [
            f"CREATE OR REPLACE TEMP TABLE qkv AS WITH x AS MATERIALIZED ({packed}), n AS ({self._scale('h')}) "
            f"SELECT y.i, CAST(y.v * n.s AS FLOAT) AS v FROM ({_sum(_product(f'qkv_{i}', 'x', s.hidden))}) y, n",
            f"CREATE OR REPLACE TEMP TABLE qk AS {self.rotated('qkv', f'WHERE a.i < {first_value}')}",
            f"INSERT INTO state.k_{i} SELECT (SELECT pos FROM state.step), head - {s.heads}, v FROM qk "
            f"WHERE head >= {s.heads}",
            f"INSERT INTO state.tail_{i} SELECT (SELECT pos FROM state.step), (i - {first_value}) // {d}, i % {d}, v "
            f"FROM qkv WHERE i >= {first_value}",
            attention,
        ]


def _divisor(number: int, most: int) -> int:
    return next(n for n in range(min(number, most), 0, -1) if number % n == 0)


def _cut(width: int, most: int = COLUMNS) -> tuple[int, int]:
    """Elements of a list and lists of a row, for an axis."""
    lane = _divisor(width, LANE)
    return lane, _divisor(width // lane, most)


def _rows(matrices: dict[str, Array]) -> Iterator[pa.Table]:
    """Matrices side by side: ``k`` is the number of the row that a part of the contracted axis stands in."""
    rows, width = next(iter(matrices.values())).shape
    lane, columns = _cut(width, COLUMNS // len(matrices))
    for begin in range(0, rows, ROWS):
        i = np.arange(begin, min(begin + ROWS, rows))
        for k in range(width // (lane * columns)):
            part = np.s_[begin:begin + ROWS, k * lane * columns:(k + 1) * lane * columns]
            out = pa.table({"k": np.full(len(i), k), "i": i})
            for prefix, matrix in matrices.items():
                table = wide(matrix[part], lane, {}, prefix)
                for name in table.column_names:
                    out = out.append_column(name, table[name])
            yield out


def _packed(source: str, lane: int, columns: int) -> str:
    """An activation as rows of lists, like those of a matrix."""
    width = lane * columns
    lanes = (f"SELECT i // {width} AS k, i % {width} // {lane} AS c, list(v ORDER BY i) AS l FROM {source} "
             f"GROUP BY i // {width}, i % {width} // {lane}")  # fmt: skip
    every = ", ".join(f"ll[{n + 1}] AS c{n}" for n in range(columns))
    return f"SELECT k, {every} FROM (SELECT k, list(l ORDER BY c) AS ll FROM ({lanes}) GROUP BY k)"


def _product(matrix: str, source: str, width: int, most: int = COLUMNS, prefixes: tuple[str, ...] = ("c",)) -> str:
    """Sums of the parts of a matrix times an activation: ``i`` and ``v``, or a column a matrix."""
    _, columns = _cut(width, most)
    dots = ", ".join(f"{_dots(f'w.{p}', 'x.c', columns)} AS {'v' if p == 'c' else p}" for p in prefixes)
    return f"SELECT w.i, {dots} FROM model.{matrix} w, {source} x WHERE x.k - w.k = 0"


def _sum(product: str, residual: str = "") -> str:
    """A product's parts together; what is added is one more branch."""
    both = f"{product} UNION ALL SELECT i, v FROM {residual}" if residual else product
    return f"SELECT i, CAST(sum(v) AS FLOAT) AS v FROM ({both}) GROUP BY i"


def _dots(left: str, right: str, columns: int) -> str:
    return total([f"list_inner_product({left}{n}, {right}{n})" for n in range(columns)])
