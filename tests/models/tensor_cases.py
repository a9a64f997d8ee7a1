"""Views, reductions, contractions, norms, lookups, decomposed operators and symbolic shapes: one small case of every
form.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

aten = torch.ops.aten
Case = tuple[Callable[..., Any], tuple[Tensor, ...]]
GENERATOR = torch.Generator().manual_seed(1)


def randn(*shape: int) -> Tensor:
    """Seeded normal numbers."""
    return torch.randn(shape, generator=GENERATOR)


def randint(low: int, high: int, *shape: int) -> Tensor:
    """Seeded whole numbers in [low, high)."""
    return torch.randint(low, high, shape, generator=GENERATOR)


X, CUBE, EMPTY, ROW = randn(3, 5), randn(2, 3, 4), randn(0, 5), randn(5)
INTS, FLAGS = randint(-4, 5, 3, 5), randn(3, 5) > 0
LARGE = torch.randint(2**27, 2**28, (3, 40), generator=GENERATOR)
INFINITE = torch.tensor([[-torch.inf, -torch.inf], [torch.inf, 1.0], [-torch.inf, 2.0], [torch.inf, torch.inf]])
TIES = torch.tensor([[1, 3, 3, 0], [2, 2, 1, 2]])
Q, K, V = randn(2, 6, 4, 5), randn(2, 6, 7, 5), randn(2, 6, 7, 3)
SEEN = torch.rand(2, 1, 4, 7, generator=GENERATOR) > 0.4
SEEN[0, 0, 1] = False

VIEWS: dict[str, Case] = {
    "reshape": (lambda x: x.reshape(4, 6), (CUBE,)),
    "reshape-coprime": (lambda x: x.reshape(4, 3, 2), (CUBE,)),
    "reshape-all": (lambda x: x.reshape(-1), (CUBE,)),
    "reshape-ones": (lambda x: x.reshape(1, 2, 1, 12, 1), (CUBE,)),
    "reshape-empty": (lambda x: x.reshape(5, 0), (EMPTY,)),
    "reshape-scalar": (lambda x: x[:1, :1].reshape(()), (X,)),
    "flatten": (lambda x: x.flatten(1), (CUBE,)),
    "unflatten": (lambda x: x.unflatten(-1, (2, 2)), (CUBE,)),
    "view-as": (lambda x, y: x.view_as(y), (X, randn(5, 3))),
    "unsqueeze": (lambda x: (x.unsqueeze(0), x.unsqueeze(-1), x.unsqueeze(1)), (X,)),
    "squeeze": (lambda x: (x.squeeze(), x.squeeze(0), x.squeeze(1), x.squeeze((0, -1))), (randn(1, 3, 1),)),
    "transpose": (lambda x: (x.transpose(0, 1), x.transpose(-1, 0), x.swapaxes(1, 2)), (CUBE,)),
    "t": (lambda x: (x.t(), x.T, x.mT), (X,)),
    "permute": (lambda x: (x.permute(2, 0, 1), x.movedim(0, -1), x.permute(-1, 0, -2)), (CUBE,)),
    "expand": (lambda x: (x.expand(2, 3, 5), x[:1].expand(4, -1)), (X,)),
    "expand-as": (lambda x, y: x.expand_as(y), (randn(3, 1), X)),
    "broadcast-to": (lambda x: x.broadcast_to(2, 3, 5), (X,)),
    "broadcast-tensors": (torch.broadcast_tensors, (randn(3, 1), ROW)),
    "slice": (lambda x: (x[1:], x[:, :-1], x[:, -3:-1], x[:, 1::2], x[5:], x[:, 2:100]), (X,)),
    "narrow": (lambda x: x.narrow(1, 1, 2), (X,)),
    "select": (lambda x: (x[0], x[-1], x[:, 2], x[..., -1], x[1, 2, 3]), (CUBE,)),
    "split": (lambda x: x.split(2, -1), (X,)),
    "split-sizes": (lambda x: x.split([1, 4], 1), (X,)),
    "chunk": (lambda x: x.chunk(2, 1), (X,)),
    "unbind": (lambda x: x.unbind(1), (X,)),
    "cat": (lambda x, y: torch.cat([x, y, x], -1), (X, INTS)),
    "cat-rows": (lambda x, y: torch.cat([x, y]), (X, EMPTY)),
    "cat-legacy-empty": (lambda x: torch.cat([x, torch.zeros(0)], 1), (X,)),
    "stack": (lambda x: (torch.stack([x, x * 2]), torch.stack([x, x], -1)), (X,)),
    "hstack": (lambda x, y: (torch.hstack([x, x]), torch.hstack([y, y])), (X, ROW)),
    "vstack": (lambda x, y: torch.vstack([x, y]), (X, ROW)),
    "flip": (lambda x: (x.flip(0), x.flip(-1, 0)), (CUBE,)),
    "roll": (lambda x: (x.roll(2, 1), x.roll((1, -2), (0, 1)), x.roll(4)), (X,)),
    "repeat": (lambda x: (x.repeat(2, 3), x.repeat(2, 1, 2), x.tile(2)), (X,)),
    "repeat-interleave": (lambda x: (x.repeat_interleave(3, 1), x.repeat_interleave(2)), (X,)),
    "unfold": (lambda x: x.unfold(1, 3, 2), (X,)),
    "diagonal": (lambda x: (x.diagonal(), x.diagonal(1), x.diagonal(-1, 0, 1)), (X,)),
    "diagonal-batched": (lambda x: x.diagonal(0, -1, -2), (CUBE,)),
    "pad": (lambda x: (F.pad(x, (1, 2)), F.pad(x, (0, 1, 2, 0), value=3.5), F.pad(x, (-1, 1))), (X,)),
    "slice-scatter": (lambda x: torch.slice_scatter(x, x[:, :2] * 2, 1, 1, 3), (X,)),
    "slice-scatter-ends": (lambda x: torch.slice_scatter(x, x[:2] * 2, 0, -2), (X,)),
    "select-scatter": (lambda x: torch.select_scatter(x, x[0] * 2, 0, -1), (X,)),
    "setitem": (lambda x: _set(x.clone()), (X,)),
}
REDUCE: dict[str, Case] = {
    "sum": (lambda x: (x.sum(), x.sum(0), x.sum((0, -1)), x.sum(-1, keepdim=True), x.sum(())), (CUBE,)),
    "sum-types": (lambda i, b: (i.sum(1), b.sum(1), i.sum(1, dtype=torch.float32), b.sum()), (INTS, FLAGS)),
    "sum-empty": (lambda x: (x.sum(0), x.sum(1)), (EMPTY,)),
    "prod": (lambda x: (x.prod(1), x.prod(), x.prod(0, keepdim=True)), (X,)),
    "prod-types": (lambda i, x: (i.prod(1), i.prod(0), x.prod(0), x.prod(1)), (INTS, EMPTY)),
    "mean": (lambda x: (x.mean(), x.mean(-1), x.mean((0, 2), keepdim=True)), (CUBE,)),
    "mean-int": (lambda x: x.mean(1, dtype=torch.float32), (INTS,)),
    "var": (lambda x: (x.var(-1), x.var(), x.var(0, unbiased=False), x.var(1, correction=2, keepdim=True)), (X,)),
    "var-of-too-few": (lambda x: (x.var(1, correction=9), x.std(1, correction=5), x.var(0, correction=3)), (X,)),
    "var-empty": (lambda x: (x.var(0), x.var(0, unbiased=False)), (EMPTY,)),
    "std": (lambda x: (x.std(-1), x.std(), x.std((0, 1), correction=0)), (X,)),
    "amax": (lambda x: (x.amax(1), x.amax((0, 2), True), x.amin(-1), x.max(), x.min()), (CUBE,)),
    "max-dim": (lambda x: (*x.max(1), *x.min(0, keepdim=True)), (X,)),
    "argmax": (lambda x: (x.argmax(1), x.argmin(-1), x.argmax(), x.argmax(0, keepdim=True)), (TIES,)),
    "any": (lambda b, i: (b.any(1), b.all(0), i.any(), b.all(), i.all(-1, keepdim=True)), (FLAGS, INTS)),
    "any-dims": (lambda b: (torch.any(b, dim=(0, 1)), torch.all(b, dim=(1,))), (FLAGS,)),
    "cumsum": (lambda x, i: (x.cumsum(-1), i.cumsum(0)), (X, INTS)),
    "cumsum-bool": (lambda b: b.cumsum(1), (FLAGS,)),
    "norm": (lambda x: (x.norm(dim=-1), x.norm(), F.normalize(x)), (X,)),
    "vector-norm": (lambda x: tuple(torch.linalg.vector_norm(x, p, -1) for p in (1, 2, float("inf"))), (X,)),
    "logsumexp": (lambda x: (x.logsumexp(-1), x.logsumexp((0, 1)), x.logsumexp(0, keepdim=True)), (X,)),
    "logsumexp-infinite": (lambda x: (x.logsumexp(1), x.logsumexp(0)), (INFINITE,)),
    "any-no-dims": (lambda b: (torch.any(b, dim=[]), torch.all(b, dim=[])), (FLAGS,)),
    "softmax": (lambda x: (x.softmax(-1), x.softmax(0), x.softmax(1, torch.float32)), (CUBE,)),
    "softmax-int": (lambda x: x.softmax(-1, torch.float32), (INTS,)),
    "softmax-core": (lambda x: aten._softmax(x, 1, False), (X,)),
    "softmax-safe": (lambda x: aten._safe_softmax(x.masked_fill(x > -9, float("-inf")), 0), (X,)),
    "log-softmax": (lambda x: (x.log_softmax(-1), aten._log_softmax(x, 0, False)), (X,)),
    "topk": (lambda x: x.topk(2), (X,)),
    "topk-axis": (lambda x: x.topk(2, 1, largest=False), (CUBE,)),
    "topk-ties": (lambda x: torch.sort(x, stable=True, dim=-1, descending=True), (TIES,)),
    "sort": (lambda x: (*x.sort(), *x.sort(0, descending=True), x.argsort(-1)), (X,)),
}
CONTRACT: dict[str, Case] = {
    "linear": (F.linear, (X, randn(4, 5), randn(4))),
    "linear-cube": (F.linear, (CUBE, randn(7, 4))),
    "linear-vector": (lambda x, w: (F.linear(x, w), F.linear(x[0], w[None])), (X, ROW)),
    "linear-empty": (F.linear, (EMPTY, randn(4, 5), randn(4))),
    "mm": (torch.mm, (X, randn(5, 2))),
    "mm-int64-is-exact": (lambda a, b: (a @ b, b.t() @ b), (LARGE, LARGE.t())),
    "addmm": (torch.addmm, (randn(2), X, randn(5, 2))),
    "addmm-scaled": (lambda b, x, w: torch.addmm(b, x, w, beta=0.5, alpha=2), (randn(2), X, randn(5, 2))),
    "addmm-beta-0": (lambda b, x, w: torch.addmm(b, x, w, beta=0), (randn(2), X, randn(5, 2))),
    "bmm": (torch.bmm, (CUBE, randn(2, 4, 3))),
    "baddbmm": (torch.baddbmm, (randn(2, 3, 3), CUBE, randn(2, 4, 3))),
    "matmul-1-1": (torch.matmul, (ROW, randn(5))),
    "matmul-2-1": (torch.matmul, (X, ROW)),
    "matmul-1-2": (torch.matmul, (ROW, randn(5, 2))),
    "matmul-2-2": (torch.matmul, (X, randn(5, 2))),
    "matmul-3-1": (torch.matmul, (CUBE, randn(4))),
    "matmul-1-3": (torch.matmul, (randn(3), CUBE)),
    "matmul-3-2": (torch.matmul, (CUBE, randn(4, 6))),
    "matmul-2-3": (torch.matmul, (randn(7, 3), CUBE)),
    "matmul-4-3": (torch.matmul, (randn(5, 1, 2, 3), CUBE)),
    "matmul-broadcast": (torch.matmul, (randn(2, 1, 3, 4), randn(1, 5, 4, 2))),
    "matmul-int": (torch.matmul, (INTS, INTS.T)),
    "dot": (torch.dot, (ROW, randn(5))),
    "mv": (torch.mv, (X, ROW)),
    "outer": (torch.outer, (ROW, randn(3))),
    "einsum": (lambda x, y: torch.einsum("bij,bkj->bik", x, y), (CUBE, randn(2, 6, 4))),
    "einsum-implicit": (lambda x, y: torch.einsum("ij,jk", x, y), (X, randn(5, 2))),
    "einsum-sum": (lambda x: (torch.einsum("ij->j", x), torch.einsum("ij->ji", x)), (X,)),
    "einsum-three": (lambda x, y, z: torch.einsum("ij,jk,k->i", x, y, z), (X, randn(5, 2), randn(2))),
    "sdpa": (F.scaled_dot_product_attention, (Q, K, V)),
    "sdpa-scale": (lambda q, k, v: F.scaled_dot_product_attention(q, k, v, scale=0.3), (Q, K, V)),
    "sdpa-causal": (lambda q, k, v: F.scaled_dot_product_attention(q, k, v, is_causal=True), (Q, K, V)),
    "sdpa-mask": (F.scaled_dot_product_attention, (Q, K, V, SEEN)),
    "sdpa-bias": (F.scaled_dot_product_attention, (Q, K, V, randn(4, 7))),
    "sdpa-gqa": (lambda q, k, v: F.scaled_dot_product_attention(q, k[:, :2], v[:, :2], enable_gqa=True), (Q, K, V)),
    "sdpa-3d": (lambda q, k, v: F.scaled_dot_product_attention(q[0], k[0], v[0]), (Q, K, V)),
}
NORM: dict[str, Case] = {
    "layer-norm": (lambda x, w, b: F.layer_norm(x, (5,), w, b), (X, randn(5), randn(5))),
    "layer-norm-plain": (lambda x: F.layer_norm(x, (5,), eps=1e-3), (X,)),
    "layer-norm-weight": (lambda x, w: F.layer_norm(x, (5,), w), (X, randn(5))),
    "layer-norm-bias": (lambda x, b: F.layer_norm(x, (5,), None, b), (X, randn(5))),
    "layer-norm-axes": (lambda x, w, b: F.layer_norm(x, (3, 4), w, b), (CUBE, randn(3, 4), randn(3, 4))),
    "native-layer-norm": (lambda x, w, b: torch.native_layer_norm(x, (4,), w, b, 1e-5), (CUBE, randn(4), randn(4))),
    "rms-norm": (lambda x, w: F.rms_norm(x, (5,), w, 1e-6), (X, randn(5))),
    "rms-norm-plain": (lambda x: F.rms_norm(x, (3, 4)), (CUBE,)),
    "batch-norm": (
        lambda x, m, v, w, b: F.batch_norm(x, m, v, w, b), (CUBE, randn(3), randn(3).abs(), randn(3), randn(3))),
    "batch-norm-plain": (lambda x, m, v: F.batch_norm(x, m, v), (X, ROW, ROW.abs())),
    "group-norm": (lambda x, w, b: F.group_norm(x, 2, w, b), (randn(3, 4, 5), randn(4), randn(4))),
}
LOOKUP: dict[str, Case] = {
    "embedding": (lambda i, w: F.embedding(i, w), (randint(0, 7, 2, 3), randn(7, 4))),
    "embedding-padding": (lambda i, w: F.embedding(i, w, padding_idx=0), (randint(0, 7, 0, 3), randn(7, 4))),
    "gather": (lambda x, i: (x.gather(1, i), x.gather(-1, i[:2])), (X, randint(0, 5, 3, 4))),
    "gather-rows": (lambda x, i: x.gather(0, i), (X, randint(0, 3, 2, 5))),
    "index-select": (lambda x, i: (x.index_select(1, i), x.index_select(0, i[:2] % 3)), (X, randint(0, 5, 4))),
    "index-scalar": (lambda x, i: (x[i], x[:, i - 1], x[1:][i % 2]), (X, torch.tensor(2))),
    "index-1": (lambda x, i: x[i], (X, randint(-3, 3, 4))),
    "index-2": (lambda x, i, j: x[i, j], (X, randint(0, 3, 4), randint(-5, 5, 4))),
    "index-axis": (lambda x, i: x[:, i], (CUBE, randint(0, 3, 2, 2))),
    "index-apart": (lambda x, i: x[i, :, i], (CUBE, randint(0, 2, 5))),
    "index-broadcast": (lambda x, i, j: x[i[:, None], j], (X, randint(0, 3, 4), randint(0, 5, 2))),
    "index-arange": (lambda x, i: x[torch.arange(3), i], (X, randint(0, 5, 3))),
    "index-arange-view": (lambda x: x[torch.arange(1, 3)[:, None], torch.arange(0, 5, 2)], (X,)),
    "index-constant": (lambda x: x[:, [0, -1]], (X,)),
    "index-argmax": (lambda x: x[torch.arange(3), x.argmax(-1)], (X,)),
    "one-hot": (lambda i: F.one_hot(i, 7), (randint(0, 7, 2, 3),)),
    "index-fill": (lambda x: x.index_fill(1, torch.tensor([0, -2]), 9.0), (X,)),
}
DECOMPOSED: dict[str, Any] = {
    "cosine-similarity": lambda x: F.cosine_similarity(x, x.flip(0)),
    "mish": F.mish,
    "softplus": F.softplus,
    "elu": F.elu,
    "selu": F.selu,
    "celu": F.celu,
    "hardswish": F.hardswish,
    "hardsigmoid": F.hardsigmoid,
    "log-sigmoid": F.logsigmoid,
    "glu": F.glu,
    "lerp": lambda x: torch.lerp(x, x.flip(0), 0.3),
    "addcmul": lambda x: torch.addcmul(x, x, x, value=0.5),
    "cross-entropy": lambda x: F.cross_entropy(x, torch.tensor([1, 0, 5])),
    "mse": lambda x: F.mse_loss(x, x.flip(0)),
    "meshgrid": lambda x: torch.meshgrid(x[0], x[1], indexing="ij"),
    "linspace": lambda x: x + torch.linspace(0, 1, 6),
    "diff": lambda x: x.diff(),
    "kron": lambda x: torch.kron(x, x),
    "in-place": lambda x: x.clone().mul_(2).add_(1),
}
SYMBOLIC: dict[str, Any] = {
    "merge": lambda x: x.reshape(-1, 4) * 2,
    "merge-all": lambda x: x.reshape(-1).cumsum(0),
    "merge-split": lambda x: (x.reshape(-1, 4).exp() + x[0, 0]).reshape(x.shape[0], x.shape[1], 4),
    "merge-add": lambda x: x.reshape(-1, 4) * x.reshape(-1, 4) + torch.arange(4).reshape(1, 4),
    "merge-three": lambda x: x.transpose(1, 2).reshape(-1) + 1,
    "split": lambda x: x.reshape(x.shape[0], x.shape[1] * 2, 2),
    "last-row": lambda x: x[:, -1],
    "flip": lambda x: x.flip(1),
    "causal": lambda x: F.scaled_dot_product_attention(x, x, x, is_causal=True),
    "arange": lambda x: x + torch.arange(x.shape[1])[None, :, None],
    "arange-shifted": lambda x: torch.arange(x.shape[0], x.shape[0] + x.shape[1]) * 2,
    "pick-rows": lambda x: x[torch.arange(x.shape[0]), torch.zeros(x.shape[0], dtype=torch.long)],
    "size-arithmetic": lambda x: x * x.shape[1] + (x.shape[0] * x.shape[1] + 3),
    "size-result": lambda x: (x.sum(-1), x.shape[1]),
    "mean": lambda x: x.mean(1),
    "var": lambda x: x.var((0, 1), correction=0),
    "zeros": lambda x: torch.cat([x.new_zeros(x.shape[0], 1, 4), x], 1),
    "pad": lambda x: F.pad(x, (0, 0, 1, 2)),
    "argmax": lambda x: x.argmax(1),
    "argmax-all": lambda x: x.argmax(),
    "repeat": lambda x: x.repeat(1, 1, 3),
    "stack": lambda x: torch.stack([x, x], 1),
    "expand": lambda x: x[:1].expand(x.shape[0], -1, -1),
    "unused": lambda x: torch.ones(2),
}
GROUPS = {"view": VIEWS, "reduce": REDUCE, "contract": CONTRACT, "norm": NORM, "lookup": LOOKUP}


def _set(x: Tensor) -> Tensor:
    x[:, 1:3] = 7.0
    x[0] = x[1] * 2
    return x
