"""The best DuckDB SQL that we can write by hand for a Llama's decode step.

What it rests on was measured: list products of up to 512 elements, the activation as the one row of a cross join,
contracted axes cut into tables joined by UNION ALL where an output has too few rows for all cores, gate and up side by
side, norms folded into the weights behind them and their scale applied after the product, the residual as one more
branch of the sum, grouped query heads as columns, values packed along the positions so that P·V is a list product too.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pyarrow as pa

from irsql.tools.bench.peers.sql_form import Array, SqlForm, lists, total, wide

LONGEST = 512
"""Elements of a list: longer ones plan no cheaper and run no faster."""
GROUPS = 8192
"""Rows that a product should scan, all branches together: a few row groups for each core."""
TILE = 32
"""Positions of a packed tile of values."""


class Hand(SqlForm):
    """See the text of the module."""

    name, key = "SQL by hand", "hand"

    # -- stored ----------------------------------------------------------------------------------------
    def stored(self) -> Iterator[tuple[str, Iterator[pa.Table]]]:
        """The matrices of each layer, the head, and the embedding, whose rows are lists."""
        final = self.read("model.norm.weight")
        length = self._length(self.shape.hidden)
        yield "head", (wide(w * final, length, {"i": np.arange(b, b + len(w))}) for b, w in self.blocks(self.head_name))
        yield "embed", (pa.table({"i": np.arange(b, b + len(w)), "v": lists(w)})
                        for b, w in self.blocks("model.embed_tokens.weight"))  # fmt: skip
        for i in range(self.shape.layers):
            qkv = np.concatenate([self.layer(i, f"self_attn.{n}_proj") for n in "qkv"])
            qkv[:self.shape.heads * self.shape.head_dim] *= np.float32(self.shape.head_dim**-0.5)
            yield from self._segments(f"qkv_{i}", qkv * self.norm(i, "input"))
            yield from self._segments(f"o_{i}", self.layer(i, "self_attn.o_proj"))
            gate, up = (self.layer(i, f"mlp.{n}_proj") * self.norm(i, "post_attention") for n in ("gate", "up"))
            both = wide(gate, length, {"i": np.arange(len(gate))}, "g")
            for n, column in enumerate(wide(up, length, {}, "u").columns):
                both = both.append_column(f"u{n}", column)
            yield f"gate_up_{i}", iter([both])
            yield from self._segments(f"down_{i}", self.layer(i, "mlp.down_proj"))

    def _length(self, width: int) -> int:
        """The longest list that divides an axis."""
        return next(n for n in range(min(LONGEST, width), 0, -1) if width % n == 0)

    def _cut(self, rows: int, width: int) -> int:
        """How many tables the contracted axis of a product is cut into."""
        most = width // self._length(width)
        return next(n for n in range(min(most, max(1, -(-GROUPS // rows))), 0, -1) if most % n == 0)

    def _segments(self, name: str, matrix: Array) -> Iterator[tuple[str, Iterator[pa.Table]]]:
        rows, width = matrix.shape
        count = self._cut(rows, width)
        for n, part in enumerate(np.split(matrix, count, axis=1)):
            yield f"{name}_{n}", iter([wide(part, self._length(width), {"i": np.arange(rows)})])

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
        """Eight statements a layer."""
        s = self.shape
        out = ["CREATE OR REPLACE TEMP TABLE h AS SELECT generate_subscripts(e.v, 1) - 1 AS i, unnest(e.v) AS v "
               "FROM model.embed e WHERE e.i = (SELECT id FROM state.token)"]  # fmt: skip
        for i in range(s.layers):
            out += self._attention(i)
            out.append(self._product("h2", f"o_{i}", "att", s.hidden, s.heads * s.head_dim, residual="h"))
            out.append(self._gate_up(i))
            out.append(self._product("h", f"down_{i}", "act", s.hidden, s.intermediate, residual="h2"))
        columns = s.hidden // self._length(s.hidden)
        packed = self._packed("h", s.hidden, True)
        out.append(f"CREATE OR REPLACE TEMP TABLE logits AS WITH x AS MATERIALIZED ({packed}) "
                   f"SELECT w.i, {_dots('w.c', 'x.c', range(columns))} * x.s AS v FROM model.head w, x")  # fmt: skip
        return out

    def _packed(self, source: str, width: int, scaled: bool) -> str:
        """One row with an activation in list columns, and the scale of its norm."""
        length = self._length(width)
        columns = [f"list(v ORDER BY i) FILTER (WHERE i >= {b} AND i < {b + length}) AS c{n}"
                   for n, b in enumerate(range(0, width, length))]  # fmt: skip
        if scaled:
            columns.append(f"CAST(1 / sqrt(sum(v * v) / {width} + {self.eps!r}) AS FLOAT) AS s")
        return f"SELECT {', '.join(columns)} FROM {source}"

    def _product(self, name: str, matrix: str, source: str, rows: int, width: int, residual: str = "",
                 scaled: bool = False) -> str:  # fmt: skip
        """A matrix times an activation, cut along the contracted axis; what is added is one more branch."""
        count, columns = self._cut(rows, width), width // self._length(width)
        each = columns // count
        scale = " * x.s" if scaled else ""
        branches = []
        for n in range(count):
            dots = total([f"list_inner_product(w.c{c}, x.c{n * each + c})" for c in range(each)])
            branches.append(f"SELECT w.i, {dots}{scale} AS v FROM model.{matrix}_{n} w, x")
        if residual:
            branches.append(f"SELECT i, v FROM {residual}")
        packed = f"WITH x AS MATERIALIZED ({self._packed(source, width, scaled)})"
        union = " UNION ALL ".join(branches)
        query = union if len(branches) == 1 else f"SELECT i, CAST(sum(v) AS FLOAT) AS v FROM ({union}) GROUP BY i"
        return f"CREATE OR REPLACE TEMP TABLE {name} AS {packed} {query}"

    def _gate_up(self, i: int) -> str:
        columns = range(self.shape.hidden // self._length(self.shape.hidden))
        packed = self._packed("h2", self.shape.hidden, True)
        gate, up = _dots("w.g", "x.c", columns), _dots("w.u", "x.c", columns)
        return (f"CREATE OR REPLACE TEMP TABLE act AS WITH x AS MATERIALIZED ({packed}), "
                f"y AS (SELECT w.i, {gate} * x.s AS g, {up} * x.s AS u FROM model.gate_up_{i} w, x) "
                "SELECT i, CAST(g / (1 + exp(-g)) * u AS FLOAT) AS v FROM y")  # fmt: skip

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
        return [
            self._product("qkv", f"qkv_{i}", "h", (s.heads + 2 * keys) * d, s.hidden, scaled=True),
            f"CREATE OR REPLACE TEMP TABLE qk AS {self.rotated('qkv', f'WHERE a.i < {first_value}')}",
            f"INSERT INTO state.k_{i} SELECT (SELECT pos FROM state.step), head - {s.heads}, v FROM qk "
            f"WHERE head >= {s.heads}",
            f"INSERT INTO state.tail_{i} SELECT (SELECT pos FROM state.step), (i - {first_value}) // {d}, i % {d}, v "
            f"FROM qkv WHERE i >= {first_value}",
            attention,
        ]


def _dots(left: str, right: str, columns: range) -> str:
    return total([f"list_inner_product({left}{n}, {right}{n})" for n in columns])
