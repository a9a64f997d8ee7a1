"""``convert-tir-to-rel``: tensors become relations, index maps become join conditions.

A tensor op over a loop nest becomes the join of its operands on the loop dims, a projection and, for a reduction, an
aggregate (Blacher et al. 2023, "Efficient and Portable Einstein Summation in SQL"; Luo et al. 2018 for tensor
relations). Views have been composed into maps before, so they cost a key expression and move no rows.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import Any

import attrs

from irsql.dialects import expr as ex
from irsql.dialects.rel import ops as ro
from irsql.dialects.rel.types import Key, RelType, Val, rel
from irsql.dialects.tir import ops as ti
from irsql.ir import affine as af
from irsql.ir.affine import AffineMap, ConstExpr, DimExpr
from irsql.ir.attributes import I64, ScalarType, TensorType
from irsql.ir.core import ArgInfo, Builder, Func, IRError, Module, Op, Return, Value
from irsql.ir.dims import add
from irsql.ir.dims import bounds as dim_bounds
from irsql.ir.passes import Pass, PassContext
from irsql.passes.conversion._attention import convert_attention
from irsql.passes.conversion._bind import Joined, emit_affine, emit_dim, join_operands, project, scalar_rows
from irsql.passes.conversion._convert import Converter, state_types

HANDLERS: dict[type[Op], Callable[[Converter, Any], None]] = {ti.Attention: convert_attention}
KNOWN = ("builtin.", "func.", "expr.")
"""Dialects whose ops hold what is converted, or are left as they are."""
EMPTY = {"sum": 0.0, "any": 0.0, "all": 1.0, "max": -math.inf, "min": math.inf}
"""What a reduction gives where its axis is empty."""


def handles(cls: type[Op]) -> Callable[[Callable[[Converter, Any], None]], Callable[[Converter, Any], None]]:
    """Register the conversion of one op class."""

    def wrap(fn: Callable[[Converter, Any], None]) -> Callable[[Converter, Any], None]:
        HANDLERS[cls] = fn
        return fn

    return wrap


@attrs.frozen
class ConvertTirToRel(Pass):
    """Lower every function of a tir module to relational algebra on scalar rows.

    Notes
    -----
    ``C[i, j] = Σ_k A[i, k] · B[k, j]`` is ``γ_{i, j; Σ a·b}(A ⋈_k B)``, ``map_f(X, Y)`` is ``π_f(X ⋈_{keys} Y)``, and a
    gather ``X[I]`` is ``I ⋈_{v = i} X``. In attention the causal mask is a join condition, ``t <= position``, so that
    masked scores are no rows; grouped heads are joined on ``h floordiv group``.

    References
    ----------
    Blacher et al., "Efficient and portable Einstein summation in SQL", SIGMOD 2023; Luo et al., "Scalable linear
    algebra on a relational database system", ICDE 2017; attention: Vaswani et al., "Attention is all you need", 2017,
    and Ainslie et al., "GQA", 2023.
    """

    name = "convert-tir-to-rel"
    summary = "lower tensor ops to joins, projections and aggregates over keyed relations"
    stage_in = "tir"
    stage_out = "rel"

    def run(self, module: Module, ctx: PassContext) -> None:
        illegal: dict[str, list[Op]] = {}
        for op in module.walk():
            if type(op) not in HANDLERS and not op.name.startswith(KNOWN):
                illegal.setdefault(op.name, []).append(op)
        if illegal:
            rows = "; ".join(f"{name} ({len(ops)} times, first at {ops[0].loc})" for name, ops in illegal.items())
            raise IRError(f"not legal for convert-tir-to-rel: {rows}. Ops of tir are lowered by decompose, those of "
                          "other dialects by a pass of theirs before", next(iter(illegal.values()))[0])
        for func in module.functions.values():
            before = len(func.block.ops)
            _convert_function(func)
            ctx.remark("passed", func, f"@{func.sym_name}: {before} tensor operations became {len(func.block.ops)} "
                       "relational ones")
        module.attrs_ = {**module.attrs_, "stage": "rel"}


def _convert_function(func: Func) -> None:
    old = list(func.block.ops)
    args = list(func.block.args)
    infos = list(func.args) or [ArgInfo() for _ in args]
    new_infos: list[Any] = []
    ragged = frozenset(s for a in args if isinstance(a.type, ti.StateType) for s in ("B", "S"))
    conv = Converter(Builder(func.block), ragged if func.dims.get("B") != (1, 1) else frozenset(), func.dims)
    for arg, info in zip(args, infos, strict=True):
        if isinstance(arg.type, ti.StateType):
            pair = tuple(func.block.add_arg(t, f"{arg.type.name}.{f}")
                         for f, t in zip("kv", state_types(arg.type), strict=True))
            conv.states[arg] = (pair[0], pair[1])
            new_infos += [info, info]
        else:
            t = arg.type
            assert isinstance(t, TensorType)
            conv.values[arg] = func.block.add_arg(scalar_rows(t.shape, t.dtype), arg.name)
            new_infos.append(info)
    outputs: list[str] = []
    for op in old:
        conv.b.loc = op.loc
        if isinstance(op, Return):
            results: list[Value] = []
            for n, v in enumerate(op.values):
                name = str(func.outputs[n]) if n < len(func.outputs) else f"out{n}"
                if v in conv.states:
                    results += conv.states[v]
                    outputs += [f"{name}.k", f"{name}.v"]
                else:
                    results.append(conv.values[v])
                    outputs.append(name)
            conv.b.insert(Return(values=tuple(results)))
        else:
            before = len(func.block.ops)
            HANDLERS[type(op)](conv, op)
            for made in func.block.ops[before:]:
                for r in made.results:
                    r.name = r.name or (op.results[0].name if op.results else "")
    if conv.states:
        func.dims = {**func.dims, "T": (0, 2**31 - 1)}
    for op in reversed(old):
        op.drop_uses()
        op.parent = None
    func.block.ops[: len(old)] = []
    for arg in args:
        func.block.erase_arg(arg.index)
    func.args, func.outputs = tuple(new_infos), tuple(outputs)
    func.update_type()


def _type(value: Value) -> TensorType:
    return ti.tensor(value)


@handles(ti.Parameter)
def _parameter(c: Converter, op: ti.Parameter) -> None:
    t = _type(op.result)
    rows = scalar_rows(t.shape, t.dtype)
    c.values[op.result] = c.b.insert(ro.Parameter(parameter=op.parameter, result_types=[rows])).result


@handles(ti.Stored)
def _stored(c: Converter, op: ti.Stored) -> None:
    t = _type(op.result)
    c.values[op.result] = c.b.insert(ro.Stored(store=op.store, result_types=[scalar_rows(t.shape, t.dtype)])).result


@handles(ti.Store)
def _store(c: Converter, op: ti.Store) -> None:
    c.b.insert(ro.Store(c.values[op.x], store=op.store))


@handles(ti.Constant)
def _constant(c: Converter, op: ti.Constant) -> None:
    t = _type(op.result)
    c.values[op.result] = c.b.insert(ro.Values(value=op.value, result_types=[scalar_rows(t.shape, t.dtype)])).result


@handles(ti.Map)
def _map(c: Converter, op: ti.Map) -> None:
    t = _type(op.result)
    operands = [(c.values[v], m) for v, m in zip(op.inputs, op.maps, strict=True)]
    j = join_operands(c.b, operands, t.shape, range(t.rank), c.ragged)
    out = scalar_rows(t.shape, t.dtype, rel(j.value).partial)

    def build(e: ex.Exprs) -> list[Value]:
        keys = [j.dim(e, i) for i in range(t.rank)]
        env: dict[Value, Value] = {arg: j.operand(e, n) for n, arg in enumerate(op.body.block.args)}
        for inner in op.body.block.ops:
            if isinstance(inner, ex.Index):
                env[inner.result] = keys[inner.dim]
            elif not inner.is_terminator:
                e.builder.insert(inner.clone(env))
        return [*keys, *(env.get(v, v) for v in op.body.block.terminator.operands)]

    c.values[op.result] = project(c.b, j.value, out, build)


@handles(ti.Contract)
def _contract(c: Converter, op: ti.Contract) -> None:
    t = _type(op.result)
    out_dims = [e.index for e in op.maps[2].results if isinstance(e, DimExpr)]
    if len(out_dims) != t.rank:
        raise IRError("the result map of a contraction must select loop dims", op)
    loops = range(len(op.bounds))
    c.keep_rows(op, [d for i, d in enumerate(op.bounds) if i not in out_dims])
    if op.lhs is op.rhs and op.maps[0] == op.maps[1]:  # a sum of squares reads its operand once
        j = join_operands(c.b, [(c.values[op.lhs], op.maps[0])], op.bounds, loops, c.ragged)
        c.values[op.result] = c.sum_over(j, op.bounds, out_dims, t,
                                         lambda e: e.binary("mul", j.operand(e, 0), j.operand(e, 0)))
        return
    j = join_operands(c.b, [(c.values[op.lhs], op.maps[0]), (c.values[op.rhs], op.maps[1])], op.bounds, loops, c.ragged)
    c.values[op.result] = c.sum_over(j, op.bounds, out_dims, t,
                                     lambda e: e.binary("mul", j.operand(e, 0), j.operand(e, 1)))


@handles(ti.Reduce)
def _reduce(c: Converter, op: ti.Reduce) -> None:
    x, t, xt = c.values[op.x], _type(op.result), _type(op.x)
    r = rel(x)
    c.keep_rows(op, [xt.shape[i] for i in op.axes])
    kept = [k for i, k in enumerate(r.keys) if i not in op.axes]
    out = scalar_rows(t.shape, t.dtype, r.partial)
    kind = {"any": "max", "all": "min"}.get(op.kind, op.kind)
    if kind == "prod":
        raise IRError("a product over an axis whose length is not static has no relational form (decompose expands "
                      "the others)", op)
    boolean = op.kind in ("any", "all")
    value_type: ScalarType = I64 if boolean else t.dtype
    e, body = ex.Exprs.body()
    v = e.col("v", xt.dtype)
    if boolean:
        zero = e.const(0, I64)
        v = e.select(v if xt.dtype.name == "i1" else e.compare("ne", v, e.const(0, xt.dtype)), e.const(1, I64), zero)
    e.end(*([v, e.col(r.keys[op.axes[0]].name, I64)] if kind.startswith("arg") else [v]))
    agg = c.b.insert(ro.Aggregate(x, body=body, kinds=(kind,), result_types=[
        RelType(tuple(kept), (Val("v", value_type),), r.partial)])).result

    def finish(e: ex.Exprs) -> list[Value]:
        value = e.col("v", value_type)
        if boolean:
            value = e.compare("ne", value, e.const(0, I64))
        return [*(e.col(k.name, I64) for k in kept), value]

    done = project(c.b, agg, out, finish)
    lengths = [dim_bounds(xt.shape[i], c.ranges)[0] for i in op.axes]
    if 0 in lengths:
        fill = EMPTY.get(op.kind)
        if fill is None or (op.kind in ("max", "min") and not t.dtype.is_float):
            raise IRError(f"{op.kind} over an axis that may be empty has no value: give its size a lower bound of 1",
                          op)
        domain = c.b.insert(ro.Range(result_types=[RelType(out.keys, ())])).result
        done = c.b.insert(ro.Complete(done, domain, fill=(fill,), result_types=[out])).result
    c.values[op.result] = done


def _columns(e: ex.Exprs, names: list[str]) -> list[Value]:
    """Integer columns by name."""
    return [e.col(n, I64) for n in names]


@handles(ti.Gather)
def _gather(c: Converter, op: ti.Gather) -> None:
    t = _type(op.result)
    rank = t.rank
    # The looked-up coordinates become extra loop dims, so that the data is joined on them like on any other.
    data_rank = _type(op.data).rank
    bounds = [*t.shape, *(_type(op.data).shape[a] for a in op.axes)]
    results = list(op.data_map.results)
    for n, axis in enumerate(op.axes):
        results[axis] = DimExpr(rank + n)
    data_map = AffineMap(len(bounds), tuple(results[:data_rank]))
    indices: list[tuple[Value, AffineMap]] = []
    for n, (idx, m) in enumerate(zip(op.indices, op.index_maps, strict=True)):
        x = c.values[idx]
        r = rel(x)
        keyed = RelType((*r.keys, Key("g", bounds[rank + n])), (Val("v", I64),), r.partial)
        columns = [*(k.name for k in r.keys), "v", "v"]
        x = project(c.b, x, keyed, partial(_columns, names=columns))
        indices.append((x, AffineMap(len(bounds), (*m.results, DimExpr(rank + n)))))
    j = join_operands(c.b, [*indices, (c.values[op.data], data_map)], bounds, range(rank), c.ragged)
    out = scalar_rows(t.shape, t.dtype, rel(j.value).partial)
    c.values[op.result] = project(c.b, j.value, out, lambda e: [*(j.dim(e, i) for i in range(rank)),
                                                                  j.operand(e, len(indices))])


@handles(ti.Concat)
def _concat(c: Converter, op: ti.Concat) -> None:
    t = _type(op.result)
    c.keep_rows(op, [_type(v).shape[op.axis] for v in op.inputs])
    partial = any(rel(c.values[v]).partial for v in op.inputs)
    out = scalar_rows(t.shape, t.dtype, partial)
    parts: list[Value] = []
    offset: Any = 0
    for v in op.inputs:
        x = c.values[v]
        r, shift = rel(x), offset

        def build(e: ex.Exprs, r: RelType = r, shift: Any = shift) -> list[Value]:
            cols: list[Value] = [e.col(k.name, I64) for k in r.keys]
            if shift != 0:
                cols[op.axis] = e.binary("add", cols[op.axis], emit_dim(e, shift))
            return [*cols, e.col("v", t.dtype)]

        parts.append(project(c.b, x, out, build))
        offset = add(offset, _type(v).shape[op.axis])
    c.values[op.result] = c.b.insert(ro.Union(inputs=tuple(parts), result_types=[out])).result


@handles(ti.Iota)
def _iota(c: Converter, op: ti.Iota) -> None:
    t = _type(op.result)
    out = scalar_rows(t.shape, t.dtype)
    box = c.b.insert(ro.Range(result_types=[RelType(out.keys, ())])).result
    form = af.add(af.mul(DimExpr(0), ConstExpr(op.step)), ConstExpr(op.start))

    def build(e: ex.Exprs) -> list[Value]:
        key = e.col(out.keys[0].name, I64)
        return [key, e.cast(emit_affine(e, form, lambda _: key), t.dtype)]

    c.values[op.result] = project(c.b, box, out, build)


@handles(ti.Scan)
def _scan(c: Converter, op: ti.Scan) -> None:
    x, t = c.values[op.x], _type(op.result)
    r = rel(x)
    c.keep_rows(op, [t.shape[op.axis]])
    e, body = ex.Exprs.body()
    rest = [k for i, k in enumerate(r.keys) if i != op.axis]
    e.end(e.col("v", _type(op.x).dtype), *(e.col(k.name, I64) for k in rest), e.col(r.keys[op.axis].name, I64))
    wide = RelType(r.keys, (*r.values, Val("w", t.dtype)), r.partial)
    w = c.b.insert(ro.Window(x, body=body, kind="sum", partition=len(rest), descending=(False,),
                             result_types=[wide])).result
    c.values[op.result] = project(c.b, w, scalar_rows(t.shape, t.dtype, r.partial),
                                  lambda e: [*(e.col(k.name, I64) for k in r.keys), e.col("w", t.dtype)])


@handles(ti.TopK)
def _topk(c: Converter, op: ti.TopK) -> None:
    x = c.values[op.x]
    r, dtype = rel(x), _type(op.x).dtype
    e, body = ex.Exprs.body()
    e.end(*(e.col(k.name, I64) for k in r.keys[:-1]), e.col("v", dtype), e.col(r.keys[-1].name, I64))
    ranked = RelType(r.keys, (*r.values, Val("w", I64)), r.partial)
    w = c.b.insert(ro.Window(x, body=body, kind="row_number", partition=len(r.keys) - 1,
                             descending=(op.largest, False), result_types=[ranked])).result
    e, body = ex.Exprs.body()
    e.end(e.compare("le", e.col("w", I64), e.const(op.k, I64)))
    w = c.b.insert(ro.Filter(w, body=body, result_types=[ranked])).result
    for res, source in zip(op.results, ("v", r.keys[-1].name), strict=True):
        t = _type(res)

        def build(e: ex.Exprs, source: str = source, t: TensorType = t) -> list[Value]:
            rank = e.binary("sub", e.col("w", I64), e.const(1, I64))
            return [*(e.col(k.name, I64) for k in r.keys[:-1]), rank, e.col(source, t.dtype)]

        c.values[res] = project(c.b, w, scalar_rows(t.shape, t.dtype, r.partial), build)


@handles(ti.StateRead)
def _state_read(c: Converter, op: ti.StateRead) -> None:
    t = _type(op.result)
    x = c.states[op.state][0 if op.field == "k" else 1]
    # tir reads [B, G, P, D]; the state's rows are (b, t, g, d)
    out = scalar_rows(t.shape, t.dtype)
    c.values[op.result] = project(c.b, x, out, lambda e: [e.col("b", I64), e.col("g", I64), e.col("t", I64),
                                                           e.col("d", I64), e.col("v", t.dtype)])


@handles(ti.StateAppend)
def _state_append(c: Converter, op: ti.StateAppend) -> None:
    t = op.state.type
    assert isinstance(t, ti.StateType)
    versions: list[Value] = []
    for x, state in zip((op.k, op.v), c.states[op.state], strict=True):
        shape = _type(x).shape
        operands = [(c.values[x], AffineMap.identity(4)), (c.values[op.positions], AffineMap.select(4, (0, 2)))]
        j = join_operands(c.b, operands, shape, range(4), c.ragged)

        def columns(e: ex.Exprs, j: Joined = j) -> list[Value]:
            return [j.dim(e, 0), j.operand(e, 1), j.dim(e, 1), j.dim(e, 3), j.operand(e, 0)]

        rows = project(c.b, j.value, rel(state), columns)
        versions.append(c.b.insert(ro.Append(state, rows, result_types=[rel(state)])).result)
    c.states[op.result] = (versions[0], versions[1])
