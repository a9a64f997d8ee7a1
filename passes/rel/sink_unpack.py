"""``sink-unpack``: look up first, unpack after.

A lookup ``project(join(ids, unpack(table)))`` that only carries the tiled axis and the value through reads whole tiles
of the few joined rows and unpacks those, instead of unpacking the whole table. So a tied embedding and head are stored
once, in the head's layout.

A filter that fixes the index on an axis in columns takes that column, and unpacks nothing: with columns for the values
of an attribute, a selection on it is a projection (Cunningham, Galindo-Legaria and Graefe 2004, "PIVOT and UNPIVOT").
"""

from __future__ import annotations

import attrs

from irsql.dialects import expr as ex
from irsql.dialects.rel import ops as ro
from irsql.dialects.rel.types import Key, Layout, Part, RelType, Val, rel
from irsql.ir.attributes import I64
from irsql.ir.cleanup import erase_dead
from irsql.ir.core import Builder, Module, Value
from irsql.ir.passes import Pass, PassContext
from irsql.passes.rel._contraction import fixed_index, origin
from irsql.passes.rel._lookup import carried


@attrs.frozen
class SinkUnpack(Pass):
    """Move an unpack below the join and the projection that carry its tiles through; read a column for its index.

    Notes
    -----
    ``I ⋈_θ Unpack(T) = Unpack(I ⋈_θ T)`` where ``θ`` does not read the unpacked axis: unnest commutes with a join on
    other keys. The condition of a lookup is pushed down to the stored tiles (predicate push-down). Of an axis that
    stands in columns, ``σ_{axis = n}(Unpack(T)) = π_{n, v_n}(T)``.

    References
    ----------
    Garcia-Molina, Ullman and Widom, *Database Systems: The Complete Book*, section 16.2 (pushing selections); late
    materialisation: Abadi et al., "Materialization strategies in a column-oriented DBMS", ICDE 2007.
    """

    name = "sink-unpack"
    summary = "unpack after a lookup instead of before it"
    stage_in = stage_out = "tiled"

    def run(self, module: Module, ctx: PassContext) -> None:
        for func in module.functions.values():
            for op in list(func.block.ops):
                if isinstance(op, ro.Project) and isinstance(op.x.owner, ro.Join) and _sink(op, op.x.owner):
                    ctx.remark("passed", op, "an unpack moved below a lookup")
                elif isinstance(op, ro.Filter) and isinstance(op.x.owner, ro.Unpack) and _take(op, op.x.owner):
                    ctx.remark("passed", op, "one column of a row is read instead of an unpack and a filter")
            for op in reversed(list(func.block.ops)):
                if op.pure and op.results and not any(r.uses for r in op.results):
                    op.erase()
            for op in func.block.ops:
                if isinstance(op, ro.Unpack) and isinstance(op.x.owner, ro.Stored):
                    ctx.remark("missed", op, f"all of {op.x.owner.store} is unpacked",
                               "a reader computes with the tiled axis, or the axis is cut into rows")


def _take(op: ro.Filter, unpack: ro.Unpack) -> bool:
    """Read the column of the index that a filter demands of an axis that is in columns as a whole."""
    source, out = rel(unpack.x), rel(op.result)
    lay = source.layout
    if lay is None or lay.lane is not None or len(lay.columns) != 1:
        return False
    (column,) = lay.columns
    name = lay.names[column.axis]
    fixed = fixed_index(op, name)
    if fixed is None or [p for p in lay.parts if p.axis == column.axis] != [column] or not (
            0 <= fixed[0] < int(str(lay.extents[column.axis]))):
        return False
    index, condition = fixed
    b = Builder.before_op(op)
    e, body = ex.Exprs.body()
    e.end(*(e.const(index, I64) if k.name == name else e.col(k.name, I64) for k in out.keys),
          *(e.col(f"{v.name}_{index}", v.type) for v in out.values))
    taken = b.insert(ro.Project(unpack.x, body=body, result_types=[out])).result
    end = op.body.block.terminator
    end.set_operands([c for c in end.operands if c is not condition])
    erase_dead(op.body.block)
    if end.operands:
        op.set_operand(0, taken)
    else:
        op.replace_with(taken)
    return True


def _sink(project: ro.Project, join: ro.Join) -> bool:
    unpacks = [(i, v.owner) for i, v in enumerate(join.inputs) if isinstance(v.owner, ro.Unpack)]
    if len(unpacks) != 1:
        return False
    number, unpack = unpacks[0]
    assert isinstance(unpack, ro.Unpack)
    lay = rel(unpack.x).layout
    assert lay is not None and lay.tiled_axis is not None
    if any(p.axis == lay.tiled_axis and p.place == "row" for p in lay.parts):
        return False
    position = carried(project, join, number, lay.names[lay.tiled_axis])
    if position is None:
        return False
    _rebuild(project, join, number, unpack, position)
    return True


def _rebuild(project: ro.Project, join: ro.Join, number: int, unpack: ro.Unpack, position: int) -> None:
    source, out, old = rel(unpack.x), rel(project.result), rel(join.result)
    lay = source.layout
    assert lay is not None
    b = Builder.before_op(project)
    inputs = [unpack.x if i == number else v for i, v in enumerate(join.inputs)]
    key_name = {origin(join, c): c for c in old.columns}
    keys = [Key(key_name[i, k.name], k.extent) for i, v in enumerate(inputs) for k in rel(v).keys]
    values: list[Val] = []
    tiles: list[str] = []
    for i, v in enumerate(inputs):
        for w in rel(v).values:
            name = f"t_{w.name}" if i == number else key_name[i, w.name]
            tiles += [name] if i == number else []
            values.append(Val(name, w.type))
    mapping: dict[Value, Value] = {}
    e, on = ex.Exprs.body()
    for inner in join.on.block.ops:
        e.builder.insert(inner.clone(mapping))
    t = RelType(tuple(keys), tuple(values), old.partial)
    joined = b.insert(ro.Join(tuple(inputs), on=on, result_types=[t])).result
    rows = [k for n, k in enumerate(out.keys) if n != position]
    parts = [Part(n, "row", k.extent, 1, k.name) for n, k in enumerate(out.keys) if n != position]
    parts += [Part(position, p.place, p.extent, p.stride) for p in lay.parts if p.place != "row"]
    layout = Layout(tuple(k.extent for k in out.keys), tuple(k.name for k in out.keys), tuple(parts), lay.carrier)
    base = out.values[0].name
    named = [Val(f"{base}_{n}" if lay.column else base, w.type) for n, w in enumerate(source.values)]
    wide = RelType(tuple(rows), tuple(named), out.partial, layout)
    e, body = ex.Exprs.body()
    env: dict[Value, Value] = {}
    yields = project.body.block.terminator.operands
    skip = {yields[position], yields[-1]}
    for inner in project.body.block.ops:
        if not inner.is_terminator and not skip & set(inner.results):
            e.builder.insert(inner.clone(env))
    cols = [env[v] for n, v in enumerate(yields[:-1]) if n != position]
    e.end(*cols, *(e.col(name, t.column_type(name)) for name in tiles))
    packed = b.insert(ro.Project(joined, body=body, result_types=[wide])).result
    project.replace_with(b.insert(ro.Unpack(packed, result_types=[out])).result)
    join.erase()
