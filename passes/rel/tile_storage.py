"""``tile-storage``: pivoting moves into ``@load``; stored relations and states take the layout their readers want.

A stored relation has one layout, the one that most of its readers want; other readers unpack it. Where all look
up rows (an embedding), a row is one vector: scalar rows would carry their keys, five times the bytes of the numbers.
``@load`` packs once, and so does the append of a state.
"""

from __future__ import annotations

from collections import Counter

import attrs

from irsql.dialects.rel import ops as ro
from irsql.dialects.rel.types import RelType, rel, tiled
from irsql.ir.core import Builder, Func, Module, Return, Value
from irsql.ir.passes import Pass, PassContext
from irsql.passes.rel._lookup import carried
from irsql.passes.rel._storage import storage


@attrs.frozen
class TileStorage(Pass):
    """Give stored relations and states the layout of their packs.

    Notes
    -----
    ``Pack(read(store(R))) = read(store(Pack(R)))``, and ``Pack(S ∪ rows) = Pack(S) ∪ Pack(rows)`` for an append to a
    state whose tiles lie within rows: pivoting is moved into ``@load`` and into the append.

    References
    ----------
    ROW2COL of TranSQL+ (arXiv 2502.02818), which pivots in the query; weights transformed ahead of time: Liu et al.,
    "Optimizing CNN model inference on CPUs", USENIX ATC 2019.
    """

    name = "tile-storage"
    summary = "store weights and states in the layout their readers want"
    stage_in = stage_out = "tiled"
    changes_signatures = True  # a state is stored in tiles, so the functions that take it take tiles

    def run(self, module: Module, ctx: PassContext) -> None:
        wanted: dict[str, Counter[RelType]] = {}
        for func in module.functions.values():
            for op in func.block.ops:
                if isinstance(op, ro.Pack):
                    name = storage(op.x)
                    if name is not None:
                        wanted.setdefault(name, Counter())[rel(op.result)] += 1
        chosen = {name: count.most_common(1)[0][0] for name, count in wanted.items()}
        carriers = ctx.target.layout.carriers if ctx.target else ()
        if carriers:
            chosen = _looked_up(module, carriers[0]) | chosen
        for func in module.functions.values():
            if func.sym_name == "load":
                for op in list(func.block.ops):
                    if isinstance(op, ro.Store) and op.store in chosen and rel(op.x).layout is None:
                        t = chosen[op.store]
                        op.set_operand(0, Builder.before_op(op).insert(ro.Pack(op.x, result_types=[t])).result)
            else:
                _retype(func, chosen)
                func.update_type()
        for name, t in chosen.items():
            assert t.layout is not None
            ctx.remark("passed", None, f"{name} is stored {t.layout.form}")
            others = sum(n for other, n in wanted.get(name, Counter()).items() if other != t)
            if others:
                ctx.remark("missed", None, f"{others} of {wanted[name].total()} readers of {name} unpack it",
                           "they want another layout, and a relation is stored in one")


def _looked_up(module: Module, carrier: str) -> dict[str, RelType]:
    """Layouts of the stored relations of which only whole rows are looked up."""
    readers: dict[str, list[Value]] = {}
    for func in module.functions.values():
        for op in func.block.ops:
            if isinstance(op, ro.Stored):
                readers.setdefault(op.store, []).append(op.result)
    out: dict[str, RelType] = {}
    for store, values in readers.items():
        t = rel(values[0])
        if t.layout is None and len(t.keys) > 1 and isinstance(t.keys[-1].extent, int) and all(map(_is_lookup, values)):
            out[store] = tiled(t, len(t.keys) - 1, t.keys[-1].extent, 1, 1, carrier)
    return out


def _is_lookup(stored: Value) -> bool:
    axis = rel(stored).keys[-1].name
    for user, number in stored.uses:
        projects = user.result.users() if isinstance(user, ro.Join) else []
        if len(projects) != 1 or not isinstance(projects[0], ro.Project):
            return False
        assert isinstance(user, ro.Join)
        if carried(projects[0], user, number, axis) is None:
            return False
    return bool(stored.uses)


def _retype(func: Func, chosen: dict[str, RelType]) -> None:
    """Change the type of every version of the chosen storages; scalar readers get an unpack."""
    for arg in func.block.args:
        name = storage(arg)
        if name in chosen:
            _become(arg, chosen[name], Builder(func.block, func.block.ops[0]))
    for op in list(func.block.ops):
        if isinstance(op, ro.Stored) and op.store in chosen:
            following = func.block.ops[func.block.ops.index(op) + 1]
            _become(op.result, chosen[op.store], Builder(func.block, following))
        elif isinstance(op, ro.Append) and rel(op.state).layout is not None:
            rows = Builder.before_op(op).insert(ro.Pack(op.rows, result_types=[rel(op.state)])).result
            op.set_operand(1, rows)
            following = func.block.ops[func.block.ops.index(op) + 1]
            _become(op.result, rel(op.state), Builder(func.block, following))


def _become(value: Value, t: RelType, b: Builder) -> None:
    scalar = rel(value)
    value.type = t
    packs = [u for u in value.users() if isinstance(u, ro.Pack) and rel(u.result) == t]
    others = [(u, i) for u, i in list(value.uses) if u not in packs and not isinstance(u, Return) and not (
        isinstance(u, ro.Append) and i == 0)]
    if others:
        unpacked = b.insert(ro.Unpack(value, result_types=[scalar])).result
        for user, index in others:
            user.set_operand(index, unpacked)
    for pack in packs:
        pack.replace_with(value)
