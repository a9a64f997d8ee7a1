"""The published SQL forms of a Llama's decode step, written anew from their description (arXiv 2502.02818).

Every tensor is rows of chunks of 64 elements. A product joins the chunks of an activation with those of a weight, sums
inner products by group, and collects the scalars into chunks again; a norm, SiLU and sums work on chunks; scores,
softmax and P·V on rows of scalars. :class:`Plain` makes a table of every operator. :class:`Merged` has three
optimisations more: operators read once are CTEs of what reads them; Q, K and V are one table with a flag and so are
gate and up; and these two are pivoted, 16 chunks side by side in columns, so that their products read a sixteenth of
the rows: 4 such rows an output where the activation has 4,096 elements. Nothing is published about how the file is
stored: both have the engine's defaults (compressed, row groups of 122,880).
"""

from __future__ import annotations

from collections.abc import Iterator

import attrs
import numpy as np
import pyarrow as pa

from irsql.tools.bench.peers.sql_form import Array, SqlForm, tiles, total

CHUNK = 64
"""Elements of a chunk."""
PIVOT = 16
"""Chunks side by side in a pivoted row."""


@attrs.frozen
class Node:
    """An operator: a name, a query, the operators that it reads, and whether its result must be a table."""

    name: str
    query: str
    reads: tuple[str, ...] = ()
    kept: bool = False


class Plain(SqlForm):
    """Chunk rows of 64, join and group by, an operator a statement."""

    name, key = "SQL, chunk rows (c1)", "c1-plain"
    hints = False

    @property
    def chunk(self) -> int:
        """Elements of a chunk: less than 64 where an axis is no multiple of it."""
        s = self.shape
        return int(np.gcd.reduce([CHUNK, s.hidden, s.intermediate, s.heads * s.head_dim]))

    # -- stored ----------------------------------------------------------------------------------------
    def stored(self) -> Iterator[tuple[str, Iterator[pa.Table]]]:
        """The matrices of each layer, its norms, the head, and the embedding where it is another."""
        yield "norm", iter([self._chunks(self.read("model.norm.weight")[None], 0).drop_columns(["i"])])
        yield "head", (self._chunks(w, b) for b, w in self.blocks(self.head_name))
        if not self.shape.tied:
            yield "embed", (self._chunks(w, b) for b, w in self.blocks("model.embed_tokens.weight"))
        for i in range(self.shape.layers):
            for name in ("input", "post_attention"):
                yield f"{name}_{i}", iter([self._chunks(self.norm(i, name)[None], 0).drop_columns(["i"])])
            yield f"o_{i}", iter([self._chunks(self.layer(i, "self_attn.o_proj"), 0)])
            yield f"down_{i}", iter([self._chunks(self.layer(i, "mlp.down_proj"), 0)])
            yield from self._fused(i)

    def _fused(self, i: int) -> Iterator[tuple[str, Iterator[pa.Table]]]:
        for name in ("self_attn.q", "self_attn.k", "self_attn.v", "mlp.gate", "mlp.up"):
            yield f"{name.rpartition('.')[2]}_{i}", iter([self._chunks(self.layer(i, f"{name}_proj"), 0)])

    def _chunks(self, matrix: Array, begin: int) -> pa.Table:
        rows, width = matrix.shape
        i, c = (x.ravel() for x in np.mgrid[begin:begin + rows, :width // self.chunk])
        return pa.table({"i": i, "c": c, "v": tiles(matrix.reshape(-1, self.chunk))})

    # -- states ----------------------------------------------------------------------------------------
    def state_schema(self) -> list[str]:
        """Keys in an array a head; values element by element."""
        out = []
        for i in range(self.shape.layers):
            out += [f"CREATE TABLE state.k_{i} (pos BIGINT, kh BIGINT, k FLOAT[{self.shape.head_dim}])",
                    f"CREATE TABLE state.v_{i} (pos BIGINT, kh BIGINT, j BIGINT, v FLOAT)"]  # fmt: skip
        return out

    def state_rows(self, layer: int, keys: Array, values: Array, begin: int) -> Iterator[tuple[str, pa.Table]]:
        """Rows of a layer."""
        count, heads, width = keys.shape
        pos, kh = (x.ravel() for x in np.mgrid[begin:begin + count, :heads])
        yield f"k_{layer}", pa.table({"pos": pos, "kh": kh, "k": tiles(keys.reshape(-1, width))})
        pos, kh, j = (x.ravel() for x in np.mgrid[begin:begin + count, :heads, :width])
        yield f"v_{layer}", pa.table({"pos": pos, "kh": kh, "j": j, "v": values.ravel()})

    # -- the step --------------------------------------------------------------------------------------
    def step(self) -> list[str]:
        """A table an operator, and two appends a layer."""
        out = []
        for node in self._nodes():
            insert = node.query.startswith("INSERT")
            out.append(node.query.format(**{"with": ""}) if insert else _create(node.name, node.query))
        return out

    def _nodes(self) -> Iterator[Node]:
        embed = "head" if self.shape.tied else "embed"
        yield Node("h", f"SELECT c, v FROM model.{embed} WHERE i = (SELECT id FROM state.token)", kept=True)
        for i in range(self.shape.layers):
            yield from self._qkv(i)
            yield from self._attention(i)
            yield from self._collected("o_out", f"model.o_{i}", "att_c", kept=False)
            yield Node("h2", self._added("h", "o_out_c"), ("h", "o_out_c"), kept=True)
            yield from self._gate_up(i)
            yield from self._collected("down_out", f"model.down_{i}", "act", kept=False)
            yield Node("h", self._added("h2", "down_out_c"), ("h2", "down_out_c"), kept=True)
        yield from self._normed("x", "h", "model.norm")
        yield Node("logits", _product("model.head", "x"), ("x",), kept=True)

    def _normed(self, name: str, source: str, weights: str) -> Iterator[Node]:
        scale = f"1 / sqrt(sum(array_inner_product(v, v)) / {self.shape.hidden} + {self.eps!r})"
        yield Node(f"{name}_s", f"SELECT CAST({scale} AS FLOAT) AS s FROM {source}", (source,))
        product = self._mapped("h.v", "g.v", "p[1] * p[2] * n.s")
        yield Node(name, f"SELECT h.c, {product} AS v FROM {source} h JOIN {weights} g ON g.c = h.c "
                         f"CROSS JOIN {name}_s n",
                   (source, f"{name}_s"))  # fmt: skip

    def _collected(self, name: str, weights: str, source: str, kept: bool) -> Iterator[Node]:
        yield Node(name, _product(weights, source), (source,), kept)
        yield Node(f"{name}_c", self._chunked(name), (name,))

    def _chunked(self, name: str) -> str:
        """A query: scalars collected into chunks."""
        return (f"SELECT i // {self.chunk} AS c, CAST(list(v ORDER BY i) AS FLOAT[{self.chunk}]) AS v FROM {name} "
                f"GROUP BY i // {self.chunk}")  # fmt: skip

    def _mapped(self, left: str, right: str, value: str) -> str:
        """An expression: a function of the elements ``p[1]`` and ``p[2]`` of two chunks."""
        return f"CAST(list_transform(list_zip({left}, {right}), lambda p: {value}) AS FLOAT[{self.chunk}])"

    def _added(self, left: str, right: str) -> str:
        return (f"SELECT a.c, {self._mapped('a.v', 'b.v', 'p[1] + p[2]')} AS v FROM {left} a "
                f"JOIN {right} b ON b.c = a.c")  # fmt: skip

    def _qkv(self, i: int) -> Iterator[Node]:
        yield from self._normed("x", "h", f"model.input_{i}")
        for name in ("q", "k", "v"):
            yield Node(name, _product(f"model.{name}_{i}", "x"), ("x",), kept=True)

    def _gate_up(self, i: int) -> Iterator[Node]:
        yield from self._normed("y", "h2", f"model.post_attention_{i}")
        for name in ("gate", "up"):
            yield from self._collected(name, f"model.{name}_{i}", "y", kept=False)
        gated = self._mapped("g.v", "u.v", "p[1] / (1 + exp(-p[1])) * p[2]")
        yield Node("act", f"SELECT g.c, {gated} AS v FROM gate_c g JOIN up_c u ON u.c = g.c", ("gate_c", "up_c"),
                   kept=True)  # fmt: skip

    def _attention(self, i: int) -> Iterator[Node]:
        s = self.shape
        d, group = s.head_dim, s.heads // s.kv_heads
        for name in ("q", "k"):
            yield Node(f"{name}_rot", f"SELECT head, CAST(v AS FLOAT[{d}]) AS v FROM ({self.rotated(name)})", (name,))
        yield Node("k_append", f"INSERT INTO state.k_{i} {{with}}SELECT (SELECT pos FROM state.step), head, v "
                               "FROM k_rot", ("k_rot",), kept=True)  # fmt: skip
        yield Node("v_append", f"INSERT INTO state.v_{i} {{with}}SELECT (SELECT pos FROM state.step), i // {d}, "
                               f"i % {d}, v FROM v", ("v",), kept=True)  # fmt: skip
        scale = d**-0.5
        yield Node("score", f"SELECT q.head, k.pos, array_inner_product(q.v, k.k) * CAST({scale!r} AS FLOAT) AS v "
                            f"FROM q_rot q JOIN state.k_{i} k ON k.kh = q.head // {group}", ("q_rot",))  # fmt: skip
        yield Node("most", "SELECT head, max(v) AS v FROM score GROUP BY head", ("score",))
        yield Node("power", "SELECT s.head, s.pos, exp(s.v - m.v) AS v FROM score s JOIN most m ON m.head = s.head",
                   ("score", "most"))  # fmt: skip
        yield Node("whole", "SELECT head, sum(v) AS v FROM power GROUP BY head", ("power",))
        yield Node("share", "SELECT p.head, p.pos, CAST(p.v / w.v AS FLOAT) AS v FROM power p JOIN whole w "
                            "ON w.head = p.head", ("power", "whole"))  # fmt: skip
        yield Node("att", f"SELECT p.head * {d} + c.j AS i, CAST(sum(p.v * c.v) AS FLOAT) AS v FROM share p JOIN "
                          f"state.v_{i} c ON c.kh = p.head // {group} AND c.pos = p.pos GROUP BY p.head, c.j",
                   ("share",))  # fmt: skip
        yield Node("att_c", self._chunked("att"), ("att",), kept=True)


class Merged(Plain):
    """The same with CTE merging, table fusion, and pivoted Q|K|V and gate|up."""

    name, key = "SQL, chunk rows merged and pivoted (c2)", "c2-plain"

    def _fused(self, i: int) -> Iterator[tuple[str, Iterator[pa.Table]]]:
        for table, names in ((f"qkv_{i}", ("self_attn.q", "self_attn.k", "self_attn.v")),
                             (f"gate_up_{i}", ("mlp.gate", "mlp.up"))):  # fmt: skip
            yield table, (self._pivoted(self.layer(i, f"{n}_proj"), flag) for flag, n in enumerate(names))

    @property
    def columns(self) -> int:
        """Chunks side by side."""
        return int(np.gcd(PIVOT, self.shape.hidden // self.chunk))

    def _pivoted(self, matrix: Array, flag: int) -> pa.Table:
        rows, width = matrix.shape
        size = self.columns * self.chunk
        i, part = (x.ravel() for x in np.mgrid[:rows, :width // size])
        chunks = matrix.reshape(-1, self.columns, self.chunk)
        return pa.table({"flag": np.full(len(i), flag), "i": i, "part": part,
                         **{f"c{n}": tiles(chunks[:, n]) for n in range(self.columns)}})  # fmt: skip

    def step(self) -> list[str]:
        """An operator that is read once, or not kept, is a CTE of the statement that reads it."""
        out, known = [], {}
        for node in self._nodes():
            if not node.kept:
                known[node.name] = node
                continue
            known.pop(node.name, None)
            needed = list(_needed(node, known))
            ctes = ", ".join(f"{n.name} AS MATERIALIZED ({n.query})" if n.name in ("score", "power")
                             else f"{n.name} AS ({n.query})" for n in needed)  # fmt: skip
            text = f"WITH {ctes} " if ctes else ""
            if node.query.startswith("INSERT"):
                out.append(node.query.format(**{"with": text}))
            else:
                out.append(_create(node.name, text + node.query))
        return out

    def _qkv(self, i: int) -> Iterator[Node]:
        yield from self._normed("x", "h", f"model.input_{i}")
        yield Node("x_p", self._side_by_side("x"), ("x",))
        yield Node("qkv", self._joined(f"model.qkv_{i}", "x_p"), ("x_p",), kept=True)
        for flag, name in enumerate(("q", "k", "v")):
            yield Node(name, f"SELECT i, v FROM qkv WHERE flag = {flag}", ("qkv",))

    def _gate_up(self, i: int) -> Iterator[Node]:
        yield from self._normed("y", "h2", f"model.post_attention_{i}")
        yield Node("y_p", self._side_by_side("y"), ("y",))
        yield Node("gate_up", self._joined(f"model.gate_up_{i}", "y_p"), ("y_p",))
        yield Node("mixed", "SELECT i, CAST(g / (1 + exp(-g)) * u AS FLOAT) AS v FROM (SELECT i, any_value(v) FILTER "
                            "(WHERE flag = 0) AS g, any_value(v) FILTER (WHERE flag = 1) AS u FROM gate_up GROUP BY i)",
                   ("gate_up",))  # fmt: skip
        yield Node("act", self._chunked("mixed"), ("mixed",), kept=True)

    def _side_by_side(self, name: str) -> str:
        columns = ", ".join(f"any_value(v) FILTER (WHERE c % {self.columns} = {n}) AS c{n}"
                            for n in range(self.columns))  # fmt: skip
        return f"SELECT c // {self.columns} AS part, {columns} FROM {name} GROUP BY c // {self.columns}"

    def _joined(self, weights: str, source: str) -> str:
        dots = total([f"array_inner_product(x.c{n}, w.c{n})" for n in range(self.columns)])
        return (f"SELECT w.flag, w.i, CAST(sum({dots}) AS FLOAT) AS v FROM {source} x JOIN {weights} w "
                "ON w.part = x.part GROUP BY w.flag, w.i")  # fmt: skip


def _create(name: str, query: str) -> str:
    return f"CREATE OR REPLACE TEMP TABLE {name} AS {query}"


def _product(weights: str, source: str) -> str:
    return (f"SELECT w.i, CAST(sum(array_inner_product(x.v, w.v)) AS FLOAT) AS v FROM {source} x JOIN {weights} w "
            "ON w.c = x.c GROUP BY w.i")  # fmt: skip




def _needed(node: Node, known: dict[str, Node]) -> Iterator[Node]:
    """The CTEs below an operator, each once, those that are read first."""
    seen: dict[str, Node] = {}

    def visit(names: tuple[str, ...]) -> None:
        for name in names:
            if name in known and name not in seen:
                visit(known[name].reads)
                seen[name] = known[name]

    visit(node.reads)
    yield from seen.values()
