"""The sampling function: from the logits of the last position to the next id, in ``tir`` core ops."""

from __future__ import annotations

from collections.abc import Mapping

from irsql.dialects.expr import Exprs
from irsql.dialects.tir import ops
from irsql.dialects.tir.build import Tensors
from irsql.ir.affine import AffineMap, const, dim
from irsql.ir.attributes import F32, F64, I64, AttrValue, ScalarType, TensorType
from irsql.ir.core import ArgInfo, Builder, Func, Value
from irsql.ir.dims import Dim, symbol


def build_sample(vocab: int, dims: Mapping[str, AttrValue], batch: Dim | None = None) -> Func:
    """The function ``@sample``: the lowest id of the largest logit at temperature 0, else a draw from the softmax.

    The draw is an inverse CDF (Devroye 1986, II.2): ids in order, ``id`` is the number of cumulative weights at most
    ``u · total`` among the first ``vocab - 1``, and so never outside the vocabulary. Weights are computed in float64.

    Parameters
    ----------
    vocab
        Number of ids, at least 1.
    dims
        Symbol ranges of the function.
    batch
        Number of sequences; by default the symbol ``B``.
    """
    n = symbol("B") if batch is None else batch

    def vector(dtype: ScalarType) -> TensorType:
        return TensorType((n,), dtype)

    inputs = [("logits", TensorType((n, vocab), F32)), ("temperature", vector(F64)), ("seed", vector(I64)),
              ("sequence", vector(I64)), ("position", vector(I64))]
    args = (ArgInfo(), ArgInfo("control", "range", 0, 3), ArgInfo("control", "range", 0, 2**62),
            ArgInfo("control", "range", 0, 2**20), ArgInfo("control", "range", 0, 2**20))
    func = Func.build("sample", inputs, dims=dims, args=args, outputs=("ids",))
    logits, temperature, seed, sequence, position = func.block.args
    t = Tensors(Builder(func.block))
    each, row = AffineMap.identity(2), AffineMap.select(2, [0])

    def weight(e: Exprs) -> Value:
        """Of a logit: its distance to the largest comes first, so that no temperature makes an infinity of both."""
        x, most, heat = e.args
        zero = e.compare("eq", heat, e.const(0.0, F64))
        below = e.binary("sub", e.cast(x, F64), e.cast(most, F64))
        return e.unary("exp", e.binary("div", below, e.select(zero, e.const(1.0, F64), heat)))

    largest = t.reduce("max", logits, [1])
    weights = t.map((n, vocab), [(logits, each), (largest, row), (temperature, row)], weight)
    cumulative = t.scan(weights, 1)
    total = t.view(cumulative, (n,), AffineMap(1, (dim(0), const(vocab - 1))))
    u = t.builder.insert(ops.Uniform(seed, sequence, position, result_types=[vector(F64)])).result
    threshold = t.elementwise([u, total], lambda e: e.binary("mul", e.args[0], e.args[1]))
    passed = t.map((n, vocab - 1), [(cumulative, each), (threshold, row)],
                   lambda e: e.cast(e.compare("le", e.args[0], e.args[1]), I64))
    drawn = t.reduce("sum", passed, [1])
    greedy = t.reduce("argmax", logits, [1])
    ids = t.elementwise([temperature, greedy, drawn],
                        lambda e: e.select(e.compare("eq", e.args[0], e.const(0.0, F64)), e.args[1], e.args[2]))
    func.ret(ids)
    return func


def build_greedy(vocab: int, dims: Mapping[str, AttrValue], batch: Dim | None = None) -> Func:
    """The function ``@greedy``: the lowest id of the largest logit; what ``@sample`` gives at temperature 0.

    Parameters
    ----------
    vocab, dims, batch
        As for :func:`build_sample`.
    """
    n = symbol("B") if batch is None else batch
    logits = ("logits", TensorType((n, vocab), F32))
    func = Func.build("greedy", [logits], dims=dims, args=(ArgInfo(),), outputs=("ids",))
    func.ret(Tensors(Builder(func.block)).reduce("argmax", func.block.args[0], [1]))
    return func
