"""Attention over a state as relational algebra: two contractions with a softmax between them.

The causal mask is a domain: query ``(b, s)`` joins the state's rows of sequence ``b`` with ``t <= position``, so that
masked scores never exist (Vaswani et al. 2017; grouped heads: Ainslie et al. 2023). The softmax subtracts the row
maximum, and its division comes after the sum over the positions instead of before it (Rabe & Staats 2021, section 3;
Dao et al. 2022): ``Σ_t (e_t / z) · v_t = (Σ_t e_t · v_t) / z``, one division an output instead of one a position.
"""

from __future__ import annotations

from collections.abc import Callable

from irsql.dialects import expr as ex
from irsql.dialects.rel import ops as ro
from irsql.dialects.rel.types import Key, RelType, Val, rel
from irsql.dialects.tir import ops as ti
from irsql.ir.attributes import I64
from irsql.ir.core import Builder, Value
from irsql.ir.dims import symbol
from irsql.passes.conversion._bind import project, scalar_rows
from irsql.passes.conversion._convert import Converter


def convert_attention(c: Converter, op: ti.Attention) -> None:
    """``tir.attention`` to joins and aggregates; the result is ``[B, S, H, Dv]``."""
    b = c.b
    q, positions = c.values[op.q], c.values[op.positions]
    keys, values = c.states[op.state]
    qt, t = ti.tensor(op.q), ti.tensor(op.result)
    state = op.state.type
    assert isinstance(state, ti.StateType)
    batch, heads, steps, _ = qt.shape
    assert isinstance(heads, int)
    f, group = t.dtype, heads // state.heads
    kq, kp = rel(q).keys, rel(positions).keys
    qb, qh, qs, qd = (k.name for k in kq)

    # queries with their position: (b, s, h, d, p) -> v
    e, on = ex.Exprs.body()
    e.end(e.compare("eq", e.col(qb, I64, 0), e.col(kp[0].name, I64, 1)),
          e.compare("eq", e.col(qs, I64, 0), e.col(kp[1].name, I64, 1)))
    wide = RelType((*(Key(k.name, k.extent) for k in kq), Key("b1", batch), Key("s1", steps)),
                   (Val("v", f), Val("p", I64)))
    placed = b.insert(ro.Join(inputs=(q, positions), on=on, result_types=[wide])).result
    span = symbol("T")
    query = RelType((Key("b", batch), Key("s", steps), Key("h", heads), Key("p", span), Key("d", qt.shape[3])),
                    (Val("v", f),))
    queries = project(b, placed, query, lambda e: [e.col(qb, I64), e.col(qs, I64), e.col(qh, I64), e.col("p", I64),
                                                   e.col(qd, I64), e.col("v", f)])

    # scores over the visible rows: one term a (b, s, h, t, d), summed over d
    e, on = ex.Exprs.body()
    conjuncts = [e.compare("eq", e.col("b", I64, 0), e.col("b", I64, 1)),
                 e.compare("eq", e.col("d", I64, 0), e.col("d", I64, 1)),
                 e.compare("eq", e.binary("floordiv", e.col("h", I64, 0), e.const(group, I64)), e.col("g", I64, 1)),
                 e.compare("le", e.col("t", I64, 1), e.col("p", I64, 0))]
    if op.window:
        low = e.binary("sub", e.col("p", I64, 0), e.const(op.window, I64))
        conjuncts.append(e.compare("gt", e.col("t", I64, 1), low))
    e.end(*conjuncts)
    st = rel(keys)
    both = RelType((*(Key(f"{k.name}_q", k.extent) for k in query.keys),
                    *(Key(f"{k.name}_k", k.extent) for k in st.keys)), (Val("v0", f), Val("v1", f)), partial=True)
    joined = b.insert(ro.Join(inputs=(queries, keys), on=on, result_types=[both])).result
    score_keys = (Key("b", batch), Key("s", steps), Key("h", heads), Key("t", span))
    terms = project(b, joined, RelType((*score_keys, Key("d", qt.shape[3])), (Val("v", f),), partial=True),
                    lambda e: [*(e.col(c, I64) for c in ("b_q", "s_q", "h_q", "t_k", "d_q")),
                               e.binary("mul", e.col("v0", f), e.col("v1", f))])
    score = RelType(score_keys, (Val("v", f),), partial=True)
    scores = _aggregate(b, terms, "sum", score)

    def scaled(e: ex.Exprs) -> list[Value]:
        x = e.col("v", f)
        if op.scale != 1.0:
            x = e.binary("mul", x, e.const(op.scale, f))
        if op.softcap:
            cap = e.const(op.softcap, f)
            x = e.binary("mul", e.unary("tanh", e.binary("div", x, cap)), cap)
        return [*(e.col(k.name, I64) for k in score_keys), x]

    if op.scale != 1.0 or op.softcap:
        scores = project(b, scores, score, scaled)
    peak = _with_row(b, scores, _aggregate(b, scores, "max", RelType(score_keys[:3], (Val("v", f),))),
                     lambda e: e.unary("exp", e.binary("sub", e.col("v0", f), e.col("v1", f))), score)
    total = _aggregate(b, peak, "sum", RelType(score_keys[:3], (Val("v", f),)))

    # weighted sum of the values: one term a (b, s, h, t, d), summed over t, and divided once by the sum of the weights
    e, on = ex.Exprs.body()
    e.end(e.compare("eq", e.col("b", I64, 0), e.col("b", I64, 1)),
          e.compare("eq", e.col("t", I64, 0), e.col("t", I64, 1)),
          e.compare("eq", e.binary("floordiv", e.col("h", I64, 0), e.const(group, I64)), e.col("g", I64, 1)))
    vt = rel(values)
    both = RelType((*(Key(f"{k.name}_p", k.extent) for k in score_keys),
                    *(Key(f"{k.name}_v", k.extent) for k in vt.keys)), (Val("v0", f), Val("v1", f)), partial=True)
    joined = b.insert(ro.Join(inputs=(peak, values), on=on, result_types=[both])).result
    out = scalar_rows(t.shape, f)
    loops = RelType((*out.keys, Key("t", span)), (Val("v", f),), partial=True)
    terms = project(b, joined, loops, lambda e: [*(e.col(c, I64) for c in ("b_p", "s_p", "h_p", "d_v", "t_p")),
                                                 e.binary("mul", e.col("v0", f), e.col("v1", f))])
    weighted = _aggregate(b, terms, "sum", out)
    c.values[op.result] = _with_row(b, weighted, total, lambda e: e.binary("div", e.col("v0", f), e.col("v1", f)), out)


def _aggregate(b: Builder, x: Value, kind: str, out: RelType) -> Value:
    e, body = ex.Exprs.body()
    e.end(e.col("v", out.values[0].type))
    return b.insert(ro.Aggregate(x, body=body, kinds=(kind,), result_types=[out])).result


def _with_row(b: Builder, x: Value, row: Value, value: Callable[[ex.Exprs], Value], out: RelType) -> Value:
    """Join every element (``v0``) with the aggregate of its row (``v1``) and compute ``value`` of both.

    The aggregate's keys are the element's first ones.
    """
    xt, rt = rel(x), rel(row)
    e, on = ex.Exprs.body()
    e.end(*(e.compare("eq", e.col(k.name, I64, 0), e.col(r.name, I64, 1))
            for k, r in zip(xt.keys, rt.keys, strict=False)))
    both = RelType((*xt.keys, *(Key(f"{k.name}_r", k.extent) for k in rt.keys)),
                   (Val("v0", xt.values[0].type), Val("v1", rt.values[0].type)), partial=True)
    joined = b.insert(ro.Join(inputs=(x, row), on=on, result_types=[both])).result
    return project(b, joined, out, lambda e: [*(e.col(k.name, I64) for k in out.keys), value(e)])

