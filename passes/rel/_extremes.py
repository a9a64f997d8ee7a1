"""argmax and argmin for an engine without them: the extreme value of a group, and the lowest index that has it."""

from __future__ import annotations

from irsql.dialects import expr as ex
from irsql.dialects.rel import ops as ro
from irsql.dialects.rel.types import Key, RelType, Val, rel
from irsql.ir.attributes import I64, ScalarType
from irsql.ir.core import Builder, Value, clone_region
from irsql.ir.target import Target

_NONE = 2**62
"""Index of a row that does not have the extreme value."""


def lower_extremes(op: ro.Aggregate, target: Target) -> bool:
    """Rewrite an aggregate whose argmax or argmin the target lacks; whether it was one."""
    if all(not kind.startswith("arg") or target.function(kind) is not None for kind in op.kinds):
        return False
    b, x, out = Builder.before_op(op), rel(op.x), rel(op.result)
    scalars = _project(b, op)
    inner = rel(scalars)
    # every argument is a column now: n for plain kinds, n and n_index for the others
    names = [f"x{n}" for n in range(len(op.kinds))]
    kinds = tuple(kind.removeprefix("arg") for kind in op.kinds)
    types = {v.name: v.type for v in inner.values}
    found = {n: v.type if not k.startswith("arg") else types[n]
             for n, k, v in zip(names, op.kinds, out.values, strict=True)}
    e, body = ex.Exprs.body()
    e.end(*(e.col(n, types[n]) for n in names))
    best_type = RelType(out.keys, tuple(Val(n, found[n]) for n in names), out.partial)
    best = b.insert(ro.Aggregate(scalars, body=body, kinds=kinds, result_types=[best_type])).result
    joined = _join(b, scalars, best)
    e, body = ex.Exprs.body()
    last: list[Value] = []
    for n, kind in zip(names, op.kinds, strict=True):
        extreme = e.col(f"best_{n}", found[n])
        if kind.startswith("arg"):
            equal = e.compare("eq", e.col(n, types[n]), extreme)
            extreme = e.select(equal, e.col(f"{n}_index", I64), e.const(_NONE, I64))
        last.append(extreme)
    e.end(*last)
    ends = tuple("min" if kind.startswith("arg") else "first" for kind in op.kinds)
    assert not x.layout
    op.replace_with(b.insert(ro.Aggregate(joined, body=body, kinds=ends, result_types=[out])).result)
    return True


def _project(b: Builder, op: ro.Aggregate) -> Value:
    """The aggregate's arguments as columns."""
    x = rel(op.x)
    body = clone_region(op.body, {})
    end = body.block.terminator
    args = list(end.operands)
    names: list[str] = []
    for n, kind in enumerate(op.kinds):
        names += [f"x{n}", f"x{n}_index"] if kind.startswith("arg") else [f"x{n}"]
    e = ex.Exprs(Builder(body.block, end))
    keys = [e.col(k.name, I64) for k in x.keys]
    end.set_operands([*keys, *args])
    values: list[Val] = []
    for name, arg in zip(names, args, strict=True):
        assert isinstance(arg.type, ScalarType)
        values.append(Val(name, arg.type))
    return b.insert(ro.Project(op.x, body=body, result_types=[RelType(x.keys, tuple(values), x.partial)])).result


def _join(b: Builder, rows: Value, best: Value) -> Value:
    """Every row beside the extremes of its group."""
    left, right = rel(rows), rel(best)
    keys = [*left.keys, *(Key(f"best_{k.name}", k.extent) for k in right.keys)]
    values = [*left.values, *(Val(f"best_{v.name}", v.type) for v in right.values)]
    e, on = ex.Exprs.body()
    e.end(*(e.compare("eq", e.col(k.name, I64), e.col(k.name, I64, 1)) for k in right.keys))
    return b.insert(ro.Join((rows, best), on=on, result_types=[RelType(tuple(keys), tuple(values), True)])).result
