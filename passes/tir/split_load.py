"""``split-load``: what depends on the checkpoint alone moves into ``@load``."""

from __future__ import annotations

import math

import attrs

from irsql.dialects.tir import ops
from irsql.ir import cleanup
from irsql.ir.core import Block, Builder, Func, Module, Op, OpResult, Value
from irsql.ir.passes import Pass, PassContext
from irsql.passes.tir._maps import is_view, known_ops, producer

LOAD = "load"
INLINE_ELEMENTS = 16
"""Constants of at most this many elements stay where they are used."""


@attrs.frozen
class SplitLoad(Pass):
    """Stores every tensor that is computed from parameters and constants, once, and reads it where it was computed.

    Views of stored tensors stay views (their consumers absorb them, nothing is stored twice), and so do constants of a
    few elements and functions of the coordinates. Equal expressions, within a function or across functions, share one
    stored tensor: ``@prefill`` and ``@decode``, a tied embedding and head. A stored parameter keeps its name; what is
    computed from parameters is named after the first of them.

    Notes
    -----
    ``Q(X, f(W)) = Q(X, V)`` with ``V = f(W)`` kept: ``V`` is a materialised view over the checkpoint, which never
    changes. Sub-expressions without an input are hoisted out of every step this way.

    References
    ----------
    Loop-invariant code motion (MLIR, ``-loop-invariant-code-motion``), the loop being that of the tokens; binding-time
    analysis of partial evaluation (Jones, Gomard and Sestoft, 1993); materialised views (Gupta and Mumick, 1999).
    """

    name = "split-load"
    summary = "move what depends on the checkpoint alone into @load"
    stage_in = stage_out = "tir"

    def run(self, module: Module, ctx: PassContext) -> None:
        funcs = [f for name, f in module.functions.items() if name != LOAD]
        frontier = [op for func in funcs for op in _frontier(func)]
        if not frontier:
            ctx.remark("missed", None, "nothing is stored", "no operation depends on parameters and constants alone")
            return
        load = _load_function(module)
        stores: list[tuple[ops.Store, Op]] = []
        for op in frontier:
            value = _copy(op, load.block, {})
            store = ops.Store(value, store="", loc=op.loc)
            load.block.insert(len(load.block.ops) - 1, store)
            stores.append((store, op))
        cleanup.cse(load.block)
        _name_and_replace(load, stores)
        for func in funcs:
            cleanup.erase_dead(func.block)
        stored = sum(isinstance(op, ops.Store) for op in load.block.ops)
        ctx.statistic("stored", stored)
        ctx.remark("passed", load, f"@{LOAD} stores {stored} tensors, which are read in {len(frontier)} places")


def _frontier(func: Func) -> list[Op]:
    """The load-time ops whose results the function itself needs, views looked through."""
    found: dict[Op, None] = {}
    known = known_ops(func.block, stored=False)

    def need(value: Value) -> None:
        op = producer(value)
        if op is None or op not in known:
            return
        if is_view(op):
            need(op.operands[0])
        elif _is_worth_storing(op):
            found[op] = None

    for op in func.block.ops:
        if op not in known:
            for value in op.operands:
                need(value)
    return list(found)


def _is_worth_storing(op: Op) -> bool:
    if any(isinstance(o, ops.Parameter) for o in _sources(op)):
        return True
    elements = math.prod(d for d in ops.tensor(op.results[0]).shape if isinstance(d, int))
    return bool(op.operands or isinstance(op, ops.Constant)) and elements > INLINE_ELEMENTS


def _sources(op: Op) -> list[Op]:
    """The ops without operands that an op is computed from, in order of use."""
    if not op.operands:
        return [op]
    return list(dict.fromkeys(s for v in op.operands if (inner := producer(v)) is not None for s in _sources(inner)))


def _load_function(module: Module) -> Func:
    """``@load``, made if there is none."""
    existing = module.functions.get(LOAD)
    if existing is not None:
        return existing
    load = Func.build(LOAD, [])
    load.ret()
    module.body.block.insert(0, load)
    return load


def _copy(op: Op, block: Block, done: dict[Value, Value]) -> Value:
    """Copy what computes ``op`` to the end of ``block``, before its return; give the copy of its first result."""
    if op.results[0] not in done:
        for value in op.operands:
            assert isinstance(value, OpResult)
            _copy(value.op, block, done)
        block.insert(len(block.ops) - 1, op.clone(done))
    return done[op.results[0]]


def _name_and_replace(load: Func, stores: list[tuple[ops.Store, Op]]) -> None:
    """One store a value, with a name of its own, read instead of the op it was copied from."""
    by_value: dict[Value, ops.Store] = {}
    taken: set[str] = set()
    for old in load.block.ops:
        if isinstance(old, ops.Store) and old.store:
            by_value.setdefault(old.x, old)
            taken.add(old.store)
    for store, op in stores:
        first = by_value.setdefault(store.x, store)
        if first is not store:
            store.erase()
        elif not store.store:
            store.store = _unique(_base_name(op), taken)
        read = Builder.before_op(op).insert(ops.Stored(store=first.store, result_types=[op.results[0].type]))
        read.result.name = op.results[0].name
        op.results[0].replace_all_uses_with(read.result)


def _base_name(op: Op) -> str:
    if isinstance(op, ops.Parameter):
        return op.parameter
    source = _sources(op)[0]
    named = [s for s in _sources(op) if isinstance(s, ops.Parameter)]
    base = named[0].parameter if named else source.result.name or "constant"
    return base if isinstance(op, ops.Constant) else f"{base}.{op.name.partition('.')[2]}"


def _unique(name: str, taken: set[str]) -> str:
    candidate, n = name, 1
    while candidate in taken:
        n += 1
        candidate = f"{name}.{n}"
    taken.add(candidate)
    return candidate
