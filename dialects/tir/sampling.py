"""The sampling function: from the logits of the last position to the next id, in ``tir`` core ops."""

from __future__ import annotations

import math
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

    Parameters
    ----------
    vocab
        Number of ids, at least 1.
    dims
        Symbol ranges of the function.
    batch
        Number of sequences; by default the symbol ``B``.
    """
    s = _Sampler("sample", vocab, dims, batch, _DRAW)
    logits, temperature = s.args["logits"], s.args["temperature"]
    greedy = s.t.reduce("argmax", logits, [1])
    weights = s.weights(logits, s.t.reduce("max", logits, [1]), temperature)
    return s.end(s.choose(weights, greedy))


def build_sample_filtered(vocab: int, dims: Mapping[str, AttrValue], batch: Dim | None = None) -> Func:
    """The function ``@sample_filtered``: ``@sample`` after a repetition penalty, with top-k, top-p and min-p.

    Order and meaning are those of transformers' processors: the penalty (Keskar et al. 2019, "CTRL"), then temperature,
    top-k (Fan et al. 2018; ids that equal the k-th stay), top-p (Holtzman et al. 2020, "nucleus sampling") and min-p
    (Nguyen et al. 2024). Each keeps a prefix of the ids in order of their logits, so what is kept is known by the last
    logit and id of the prefix; among equal logits the lower id comes first. The second result are the weights of the
    draw: probabilities up to a factor.

    Parameters
    ----------
    vocab, dims, batch
        As for :func:`build_sample`. The argument ``penalty`` is 1 for the ids that the sequence has not had yet.
    """
    s = _Sampler("sample_filtered", vocab, dims, batch, {**_DRAW, **_FILTERS})
    t, n, a = s.t, s.n, s.args
    each, row = AffineMap.identity(2), AffineMap.select(2, [0])

    def penalised(e: Exprs) -> Value:
        x, p = e.args[0], e.cast(e.args[1], F32)
        return e.select(e.compare("lt", x, e.const(0.0, F32)), e.binary("mul", x, p), e.binary("div", x, p))

    logits = t.elementwise([a["logits"], a["penalty"]], penalised)
    ordered, ids = t.topk(logits, vocab)
    first = AffineMap(1, (dim(0), const(0)))
    largest = t.view(ordered, (n,), first)
    weights = s.weights(ordered, largest, a["temperature"])

    def from_kth(e: Exprs) -> Value:
        """Logits from the k-th on, of which it is the largest; with k = 0 none, so that everything is kept."""
        x, k = e.args
        rank = e.index(1)
        wanted = e.binary("and", e.compare("gt", k, e.const(0, I64)),
                          e.compare("ge", rank, e.binary("sub", k, e.const(1, I64))))
        return e.select(wanted, x, e.const(-math.inf, F32))

    kth = t.reduce("max", t.map((n, vocab), [(ordered, each), (a["top_k"], row)], from_kth), [1])
    within = t.map((n, vocab), [(ordered, each), (kth, row), (weights, each)], lambda e: e.select(
        e.compare("ge", e.args[0], e.args[1]), e.args[2], e.const(0.0, F64)))
    total, upto = t.reduce("sum", within, [1]), t.scan(within, 1)

    def kept(e: Exprs) -> Value:
        x, least, w, cumulative, whole, top_p, min_p = e.args
        before = e.binary("sub", cumulative, w)
        nucleus = e.binary("or", e.compare("lt", before, e.binary("mul", top_p, whole)),
                           e.binary("or", e.compare("ge", top_p, e.const(1.0, F64)),
                                    e.compare("eq", e.index(1), e.const(0, I64))))
        return e.binary("and", e.compare("ge", x, least), e.binary("and", nucleus, e.compare("ge", w, min_p)))

    keep = t.map((n, vocab), [(ordered, each), (kth, row), (within, each), (upto, each), (total, row),
                              (a["top_p"], row), (a["min_p"], row)], kept)
    cut = t.reduce("min", t.map((n, vocab), [(ordered, each), (keep, each)], lambda e: e.select(
        e.args[1], e.args[0], e.const(math.inf, F32))), [1])
    at_cut = t.map((n, vocab), [(ids, each), (keep, each), (ordered, each), (cut, row)], lambda e: e.select(
        e.binary("and", e.args[1], e.compare("eq", e.args[2], e.args[3])), e.args[0], e.const(-1, I64)))
    last = t.reduce("max", at_cut, [1])

    def remains(e: Exprs) -> Value:
        w, x, least, last_id = e.args
        ties = e.binary("and", e.compare("eq", x, least), e.compare("le", e.index(1), last_id))
        return e.select(e.binary("or", e.compare("gt", x, least), ties), w, e.const(0.0, F64))

    in_order = s.weights(logits, largest, a["temperature"])
    remaining = t.map((n, vocab), [(in_order, each), (logits, each), (cut, row), (last, row)], remains)
    return s.end(s.choose(remaining, t.view(ids, (n,), first)), weights=remaining)


class _Sampler:
    """What the two drawing functions share."""

    def __init__(self, name: str, vocab: int, dims: Mapping[str, AttrValue], batch: Dim | None,
                 arguments: Mapping[str, tuple[ScalarType, ArgInfo]]) -> None:
        self.n: Dim = symbol("B") if batch is None else batch
        self.vocab = vocab
        shapes = {k: (self.n, vocab) if k in _OF_IDS else (self.n,) for k in arguments}
        inputs = [(k, TensorType(shapes[k], dtype)) for k, (dtype, _) in arguments.items()]
        self.func = Func.build(name, inputs, dims=dims, args=tuple(info for _, info in arguments.values()))
        self.args: dict[str, Value] = dict(zip(arguments, self.func.block.args, strict=True))
        self.t = Tensors(Builder(self.func.block))

    def end(self, ids: Value, **rest: Value) -> Func:
        """The finished function."""
        self.func.outputs = ("ids", *rest)
        self.func.ret(ids, *rest.values())
        return self.func

    def weights(self, logits: Value, largest: Value, temperature: Value) -> Value:
        """``exp((x - max) / temperature)`` in float64: the distance comes first, so that no temperature makes an
        infinity of both; temperature 0 counts as 1 (its weights are not used).
        """

        def weight(e: Exprs) -> Value:
            x, most, heat = e.args
            zero = e.compare("eq", heat, e.const(0.0, F64))
            below = e.binary("sub", e.cast(x, F64), e.cast(most, F64))
            return e.unary("exp", e.binary("div", below, e.select(zero, e.const(1.0, F64), heat)))

        row = AffineMap.select(2, [0])
        return self.t.map((self.n, self.vocab), [(logits, AffineMap.identity(2)), (largest, row), (temperature, row)],
                          weight)

    def choose(self, weights: Value, greedy: Value) -> Value:
        """The id that is drawn, or at temperature 0 the greedy one.

        The draw is an inverse CDF (Devroye 1986, II.2): ids in order, ``id`` is the number of cumulative weights at
        most ``u · total`` among the first ``vocab - 1``, and so never outside the vocabulary.
        """
        t, n, vocab, a = self.t, self.n, self.vocab, self.args
        cumulative = t.scan(weights, 1)
        total = t.view(cumulative, (n,), AffineMap(1, (dim(0), const(vocab - 1))))
        drawn_at = ops.Uniform(a["seed"], a["sequence"], a["position"], result_types=[TensorType((n,), F64)])
        u = t.builder.insert(drawn_at).result
        threshold = t.elementwise([u, total], lambda e: e.binary("mul", e.args[0], e.args[1]))
        passed = t.map((n, vocab - 1), [(cumulative, AffineMap.identity(2)), (threshold, AffineMap.select(2, [0]))],
                       lambda e: e.cast(e.compare("le", e.args[0], e.args[1]), I64))
        drawn = t.reduce("sum", passed, [1])
        return t.elementwise([a["temperature"], greedy, drawn], lambda e: e.select(
            e.compare("eq", e.args[0], e.const(0.0, F64)), e.args[1], e.args[2]))


_DRAW: Mapping[str, tuple[ScalarType, ArgInfo]] = {
    "logits": (F32, ArgInfo()),
    "temperature": (F64, ArgInfo("control", "interval", 0, 3)),
    "seed": (I64, ArgInfo("control", "range", 0, 2**62)),
    "sequence": (I64, ArgInfo("control", "range", 0, 2**20)),
    "position": (I64, ArgInfo("control", "range", 0, 2**20)),
}
_FILTERS: Mapping[str, tuple[ScalarType, ArgInfo]] = {
    "penalty": (F64, ArgInfo("control", "interval", 1, 3)),
    "top_k": (I64, ArgInfo("control", "range", 0, 5)),
    "top_p": (F64, ArgInfo("control", "interval", 0, 1)),
    "min_p": (F64, ArgInfo("control", "interval", 0, 1)),
}
_OF_IDS = ("logits", "penalty")
"""Arguments with a value an id; the others have one a sequence."""


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
