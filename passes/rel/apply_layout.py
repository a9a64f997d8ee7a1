"""``apply-layout``: rewrite tiled contractions; packs and unpacks stand where layouts meet.

``dot``: both operands are packed along the contracted axis, the product becomes a balanced sum of ``expr.dot`` over the
columns, and the aggregate remains only over other reduced keys. With several segments each sums its share of the
columns in a branch of a union, so that a short weight relation is scanned by several threads. ``chunks``: the axis
stands in several rows of columns, because a row may not have as many columns, or because few short lanes multiply
faster; the rows are joined, multiplied and summed. In both, rows of the weight may stand side by side as one, which
then has a sum for each of them (columns of the result). ``wsum``: one operand is packed with its free axis in columns
(and rows, for segments), each column is summed by itself, and the result is unpacked.
"""

from __future__ import annotations

from collections import Counter

import attrs

from irsql.dialects import expr as ex
from irsql.dialects.rel import ops as ro
from irsql.dialects.rel.types import Key, RelType, Val, rel, tiled
from irsql.ir.attributes import I64, ScalarType
from irsql.ir.core import Block, Builder, Module, Value
from irsql.ir.passes import Pass, PassContext
from irsql.passes.rel._contraction import Contraction, Free, Shared, axis_of, beside_axis, free_axis, match, origin


@attrs.frozen
class ApplyLayout(Pass):
    """Carry out the decisions of ``select-layout``.

    Notes
    -----
    With ``X' = Pack_k(X)``, one row for all of ``k`` or for a chunk ``c`` of it:

    * dot: ``γ_{m,n; Σ x·w}(X ⋈_k W) = π_{m,n, Σ_i ⟨x_i, w_i⟩}(X' × W')``: the aggregate and a join key disappear;
    * chunks: ``γ_{m,n; Σ x·w}(X ⋈_k W) = γ_{m,n; Σ p}(π_{m,n,c, ⟨x, w⟩ → p}(X' ⋈_c W'))``: it has two phases;
    * wsum: ``γ_{m,n; Σ p·v}(P ⋈_k V) = Unpack_n(γ_{m; Σ p·v_1, …, Σ p·v_N}(P ⋈_k Pack_n(V)))``.

    Segments are ``γ(R_1 ∪ R_2) = γ(γ(R_1) ∪ γ(R_2))``, aggregation in two phases.

    References
    ----------
    TranSQL+ (arXiv 2502.02818): chunks of rows, and ROW2COL, where chunks become columns and the join a projection.
    Vectors as values of a relation: Luo et al., "Scalable linear algebra on a relational database system", ICDE 2017.
    Aggregates that may be computed in parts: Yan and Larson, "Eager aggregation and lazy aggregation", VLDB 1995.
    """

    name = "apply-layout"
    summary = "rewrite tiled contractions into packed operands and lane products"
    stage_in = "rel"
    stage_out = "tiled"

    def run(self, module: Module, ctx: PassContext) -> None:
        for func in module.functions.values():
            applied = Counter[str]()
            for op in list(func.block.ops):
                if isinstance(op, ro.Aggregate) and op.tile is not None:
                    found = match(op)
                    if found is None:
                        ctx.remark("missed", op, "the tiled aggregate is no contraction any more")
                        continue
                    applied[op.tile.form] += 1
                    if op.tile.form in ("dot", "chunks"):
                        axis = axis_of(found)
                        assert axis is not None
                        beside = beside_axis(found) if op.tile.beside > 1 else None
                        _dot(found, axis, op.tile, beside)
                    elif op.tile.form == "wsum":
                        _weighted_sum(found, free_axis(found, op.tile.columns * op.tile.segments), op.tile)
            if applied:
                ctx.remark("passed", func, f"@{func.sym_name}: contractions rewritten: "
                           + ", ".join(f"{n} {form}" for form, n in sorted(applied.items())))
        module.attrs_ = {**module.attrs_, "stage": "tiled"}


def _axis(value: Value, key: str) -> int:
    return [k.name for k in rel(value).keys].index(key)


def balanced_sum(e: ex.Exprs, terms: list[Value]) -> Value:
    """The sum of all terms as a tree of logarithmic depth."""
    while len(terms) > 1:
        pairs = [e.binary("add", a, b) for a, b in zip(terms[::2], terms[1::2], strict=False)]
        terms = pairs + ([terms[-1]] if len(terms) % 2 else [])
    return terms[0]


def _packed_join(b: Builder, c: Contraction, packed: list[Value], drop: Shared | None) -> tuple[Value, list[list[str]]]:
    """Join of the packed operands without the condition on the dropped key, and the value columns of each input."""
    names: dict[tuple[int, str], str] = {}
    old = rel(c.join.result)
    for column in old.columns[:len(old.keys)]:
        names[origin(c.join, column)] = column
    keys: list[Key] = []
    values: list[Val] = []
    per_input: list[list[str]] = []
    for i, v in enumerate(packed):
        keys += [Key(names[i, k.name], k.extent) for k in rel(v).keys]
        mine = [Val(f"v{i}_{n}", w.type) for n, w in enumerate(rel(v).values)]
        per_input.append([w.name for w in mine])
        values += mine
    env: dict[Value, Value] = {}
    e, on = ex.Exprs.body()
    for inner in c.join.on.block.ops:
        if not inner.is_terminator:
            e.builder.insert(inner.clone(env))
    e.end(*(env[v] for v in c.join.on.block.terminator.operands if drop is None or v is not drop.condition))
    _erase_dead(on.block)
    t = RelType(tuple(keys), tuple(values), old.partial)
    joined = b.insert(ro.Join(tuple(packed), on=on, result_types=[t])).result
    return joined, per_input


def _erase_dead(block: Block) -> None:
    for op in reversed(list(block.ops)):
        if op.pure and not any(r.uses for r in op.results):
            op.erase()


def _clone_keys(e: ex.Exprs, c: Contraction, skip: frozenset[str]) -> dict[str, Value]:
    """Key expressions of the old projection, but for the skipped ones."""
    project = c.project
    env: dict[Value, Value] = {}
    for inner in project.body.block.ops:
        if not inner.is_terminator:
            e.builder.insert(inner.clone(env))
    yields = project.body.block.terminator.operands
    return {k.name: env[v] for k, v in zip(rel(project.result).keys, yields, strict=False) if k.name not in skip}


def _dot(c: Contraction, axis: Shared, tile: ro.Tile, beside: Free | None) -> None:
    out = rel(c.aggregate.result)
    b = Builder.before_op(c.aggregate)
    chunks = tile.form == "chunks"
    packed: list[Value] = []
    for n, (v, key) in enumerate(zip(c.join.inputs, (axis.lhs_key, axis.rhs_key), strict=True)):
        side = _axis(v, beside.key) if beside is not None and beside.input == n else None
        t = tiled(rel(v), _axis(v, key), tile.lane, tile.columns, tile.segments if chunks else 1, tile.carrier, side)
        packed.append(b.insert(ro.Pack(v, result_types=[t]), f"{v.name}.packed" if v.name else "packed").result)
    whole = out
    if beside is not None:  # a sum a column
        out = tiled(out, [k.name for k in out.keys].index(beside.project_key), 0, tile.beside)
    rest = [k for k in rel(c.project.result).keys
            if k.name != axis.project_key and (beside is None or k.name != beside.project_key)]
    if chunks:
        keys = tuple(Key(k.name, tile.segments) if k.name == axis.project_key else k
                     for k in rel(c.project.result).keys if k in rest or k.name == axis.project_key)
        terms = _branch(b, c, None, packed, RelType(keys, out.values, out.partial), tile, beside)
    elif tile.segments > 1:
        loops = RelType((*rest, Key("part", tile.segments)), out.values, out.partial)
        parts = tuple(_branch(b, c, axis, packed, loops, tile, beside, n) for n in range(tile.segments))
        terms = b.insert(ro.Union(parts, result_types=[loops])).result
    elif {k.name for k in rest} != {k.name for k in out.keys}:
        terms = _branch(b, c, axis, packed, RelType(tuple(rest), out.values, out.partial), tile, beside)
    else:  # the contracted axis was all there was to sum
        _replace(c, _unpacked(b, c, _branch(b, c, axis, packed, out, tile, beside), whole))
        return
    e, body = ex.Exprs.body()
    e.end(*(e.col(v.name, v.type) for v in out.values))
    sums = b.insert(ro.Aggregate(terms, body=body, kinds=("sum",) * len(out.values), result_types=[out])).result
    _replace(c, _unpacked(b, c, sums, whole))


def _unpacked(b: Builder, c: Contraction, x: Value, scalar: RelType) -> Value:
    x.name = x.name or c.aggregate.result.name
    return x if rel(x) == scalar else b.insert(ro.Unpack(x, result_types=[scalar])).result


def _branch(b: Builder, c: Contraction, axis: Shared | None, packed: list[Value], result: RelType, tile: ro.Tile,
            beside: Free | None, part: int | None = None) -> Value:
    """The sums of the inner products over the columns or one share of them, keyed as ``result`` says.

    The axis is not joined on where it stands in columns alone.
    """
    if part is not None:
        share = slice(part * tile.columns // tile.segments, (part + 1) * tile.columns // tile.segments)
        packed = [_columns(b, v, share, tile.columns) for v in packed]
    joined, factors = _packed_join(b, c, packed, axis)
    t = rel(joined)
    e, body = ex.Exprs.body()
    dropped = {axis.project_key} if axis else set[str]()
    keys = _clone_keys(e, c, frozenset(dropped | {beside.project_key} if beside else dropped))
    if part is not None:
        keys["part"] = e.const(part, I64)
    sums: list[Value] = []
    for n, value in enumerate(result.values):
        terms: list[Value] = []
        sides = [_share(names, n, tile.beside) if beside and beside.input == i else names
                 for i, names in enumerate(factors)]
        for first, second in zip(*sides, strict=True):
            x, y = e.col(first, t.column_type(first)), e.col(second, t.column_type(second))
            terms.append(e.binary("mul", x, y) if not tile.lane else
                         e.builder.insert(ex.Dot(x, y, result_types=[value.type])).result)
        sums.append(balanced_sum(e, terms))
    e.end(*(keys[k.name] for k in result.keys), *sums)
    _erase_dead(body.block)
    return b.insert(ro.Project(joined, body=body, result_types=[result])).result


def _share(names: list[str], number: int, shares: int) -> list[str]:
    """One of equal parts of a row's columns."""
    width = len(names) // shares
    return names[number * width:(number + 1) * width]


def _columns(b: Builder, x: Value, share: slice, width: int) -> Value:
    """Some of each ``width`` value columns of a packed relation; what is left has no layout of its own."""
    t = rel(x)
    kept = [v for n in range(0, len(t.values), width) for v in t.values[n:n + width][share]]
    out = RelType(t.keys, tuple(kept), t.partial)
    e, body = ex.Exprs.body()
    e.end(*(e.col(n, out.column_type(n)) for n in out.columns))
    return b.insert(ro.Project(x, body=body, result_types=[out])).result


def _weighted_sum(c: Contraction, free: Free, tile: ro.Tile) -> None:
    agg = c.aggregate
    b = Builder.before_op(agg)
    packed = list(c.join.inputs)
    v = packed[free.input]
    cut = tiled(rel(v), _axis(v, free.key), 0, tile.columns, tile.segments)
    packed[free.input] = b.insert(ro.Pack(v, result_types=[cut])).result
    joined, per_input = _packed_join(b, c, packed, None)
    t, out = rel(joined), rel(agg.result)
    f = out.values[0].type
    assert isinstance(f, ScalarType)
    whole = frozenset({free.project_key}) if tile.segments == 1 else frozenset[str]()
    rest = [Key(k.name, tile.segments) if k.name == free.project_key else k for k in rel(c.project.result).keys
            if k.name not in whole]
    e, body = ex.Exprs.body()
    keys = _clone_keys(e, c, whole)
    scalar = e.col(per_input[1 - free.input][0], f)
    terms = [e.binary("mul", scalar, e.col(x, t.column_type(x))) for x in per_input[free.input]]
    e.end(*(keys[k.name] for k in rest), *terms)
    _erase_dead(body.block)
    wide = tiled(out, [k.name for k in out.keys].index(free.project_key), 0, tile.columns, tile.segments)
    loops = RelType(tuple(rest), wide.values, out.partial)
    products = b.insert(ro.Project(joined, body=body, result_types=[loops])).result
    e, body = ex.Exprs.body()
    e.end(*(e.col(w.name, f) for w in wide.values))
    sums = b.insert(ro.Aggregate(products, body=body, kinds=("sum",) * tile.columns, result_types=[wide])).result
    _replace(c, b.insert(ro.Unpack(sums, result_types=[out])).result)


def _replace(c: Contraction, value: Value) -> None:
    c.aggregate.replace_with(value)
    c.project.erase()
    c.join.erase()
