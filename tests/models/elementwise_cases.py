"""Element-wise operators and tensors made from nothing: one small case of every form the importer takes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

Case = tuple[Callable[..., Any], tuple[Tensor, ...]]
GENERATOR = torch.Generator().manual_seed(0)


def randn(*shape: int) -> Tensor:
    """Seeded normal numbers."""
    return torch.randn(shape, generator=GENERATOR)


def randint(low: int, high: int, *shape: int) -> Tensor:
    """Seeded whole numbers in [low, high)."""
    return torch.randint(low, high, shape, generator=GENERATOR)


X, Y, COLUMN, ROW = randn(3, 5), randn(3, 5), randn(3, 1), randn(5)
CUBE, POSITIVE, EMPTY = randn(2, 3, 5), randn(3, 5).abs() + 0.1, randn(0, 5)
INTS, J, FLAGS, MORE = randint(-4, 5, 3, 5), randint(1, 5, 3, 5), randn(3, 5) > 0, randn(3, 5) > 0.5
BIG = torch.tensor([2**31 - 1, -(2**31), 46341, 65536, -70000, 255, -1], dtype=torch.int32)
LONG = BIG.long() * 3
BYTES = torch.tensor([0, 1, 16, 127, 128, 200, 255], dtype=torch.uint8)
SPECIAL = torch.tensor([float("nan"), float("inf"), -float("inf"), 0.0, -1.5])

UNARY: dict[str, Case] = {
    "neg": (lambda x: -x, (X,)),
    "neg-int": (lambda x: -x, (INTS,)),
    "abs": (torch.abs, (X,)),
    "sign": (torch.sign, (X,)),
    "floor": (torch.floor, (X,)),
    "ceil": (torch.ceil, (X,)),
    "trunc": (torch.trunc, (X,)),
    "round": (torch.round, (X * 2,)),
    "round-int": (torch.round, (INTS,)),
    "exp": (torch.exp, (X,)),
    "exp-int": (torch.exp, (INTS,)),
    "log": (torch.log, (POSITIVE,)),
    "log1p": (torch.log1p, (torch.tensor([-0.9, -1e-4, 0.0, 1e-9, 1e-4, 0.3, 40.0, 1e30, float("inf")]),)),
    "log1p-near-0": (torch.log1p, (torch.tensor([-1e-5, 1e-8, 3e-6]),)),
    "expm1": (torch.expm1, (torch.tensor([-200.0, -2.0, -1e-4, 0.0, 1e-9, 1e-4, 0.3]),)),
    "expm1-near-0": (torch.expm1, (torch.tensor([-1e-5, 1e-8, 3e-6]),)),
    "expm1-inf": (torch.expm1, (torch.tensor([100.0, float("-inf"), 30.0]),)),
    "sqrt": (torch.sqrt, (POSITIVE,)),
    "rsqrt": (torch.rsqrt, (POSITIVE,)),
    "rsqrt-int": (torch.rsqrt, (J,)),
    "sin": (torch.sin, (X,)),
    "cos": (torch.cos, (X,)),
    "tanh": (torch.tanh, (X,)),
    "erf": (torch.erf, (X,)),
    "reciprocal": (lambda x: 1 / x, (POSITIVE,)),
    "sigmoid": (torch.sigmoid, (X,)),
    "sigmoid-int": (torch.sigmoid, (INTS,)),
    "silu": (F.silu, (X,)),
    "relu": (F.relu, (X,)),
    "relu-int": (F.relu, (INTS,)),
    "relu6": (F.relu6, (X * 5,)),
    "leaky-relu": (lambda x: F.leaky_relu(x, 0.2), (X,)),
    "leaky-relu-default": (F.leaky_relu, (X,)),
    "hardtanh": (F.hardtanh, (X,)),
    "hardtanh-bounds": (lambda x: F.hardtanh(x, -0.5, 0.25), (X,)),
    "gelu": (F.gelu, (X,)),
    "gelu-tanh": (lambda x: F.gelu(x, approximate="tanh"), (X,)),
    "square": (torch.square, (X,)),
    "isnan": (torch.isnan, (SPECIAL,)),
    "isnan-int": (torch.isnan, (INTS,)),
    "isinf": (torch.isinf, (SPECIAL,)),
    "logical-not": (torch.logical_not, (INTS,)),
    "bitwise-not": (lambda x: ~x, (FLAGS,)),
    "pow-2": (lambda x: x**2, (X,)),
    "pow-3": (lambda x: x**3, (X,)),
    "pow-half": (lambda x: x**0.5, (POSITIVE,)),
    "pow-minus-half": (lambda x: x**-0.5, (POSITIVE,)),
    "pow-minus-1": (lambda x: x**-1, (POSITIVE,)),
    "pow-minus-2": (lambda x: x**-2, (POSITIVE,)),
    "pow-1.7": (lambda x: x**1.7, (POSITIVE,)),
    "pow-int": (lambda x: x**3, (INTS,)),
    "pow-scalar": (lambda x: 2**x, (X,)),
    "pow-tensor": (lambda x, y: x**y, (POSITIVE, X)),
    "clamp": (lambda x: x.clamp(-0.5, 0.5), (X,)),
    "clamp-min": (lambda x: x.clamp(min=0.1), (X,)),
    "clamp-max": (lambda x: x.clamp(max=0.1), (X,)),
    "clamp-float-of-int": (lambda x: x.clamp(-1.5, 2), (INTS,)),
    "clamp-tensor": (lambda x, y: torch.clamp(x, y, max=y + 1), (X, Y)),
    "clamp-min-op": (lambda x: torch.clamp_min(x, 0.1), (X,)),
    "clamp-max-op": (lambda x: torch.clamp_max(x, 0.1), (X,)),
    "dropout": (lambda x: F.dropout(x, 0.5, training=False) + 1, (X,)),
    "to-int": (lambda x: (x * 3).long(), (X,)),
    "to-bool": (lambda x: x.bool(), (INTS,)),
    "to-float": (lambda x: x.float() / 2, (INTS,)),
    "bool-to-float": (lambda x: x.float(), (FLAGS,)),
    "to-double": (lambda x: x.double() * 3, (X,)),
    "int32": (lambda x: x.int() + 1, (INTS,)),
    "wrap-int32": (lambda x: (x * x, x + x, -x, x - 1 - x * 3, (x * x).sum()), (BIG,)),
    "wrap-uint8": (lambda x: (x + x, x * x, x - 250, -x, (x + x).float().mean()), (BYTES,)),
    "wrap-int8": (lambda x: (x + x, x * x, x.abs(), x.square()), (BYTES.to(torch.int8),)),
    "wrap-casts": (lambda x: tuple(x.to(t) for t in (torch.int32, torch.int16, torch.int8, torch.uint8)), (LONG,)),
    "type-as": (lambda x, y: x.type_as(y), (INTS, X)),
    "tril": (torch.tril, (CUBE,)),
    "triu": (lambda x: torch.triu(x, 1), (CUBE,)),
    "tril-back": (lambda x: torch.tril(x, -1), (X,)),
    "clone": (lambda x: x.clone() + x.detach(), (X,)),
    "scalar": (lambda x: x * 2, (torch.tensor(1.5),)),
}
BINARY: dict[str, Case] = {
    "add": (lambda x, y: x + y, (X, Y)),
    "add-alpha": (lambda x, y: torch.add(x, y, alpha=3), (X, Y)),
    "add-broadcast": (lambda x, y: x + y, (COLUMN, ROW)),
    "add-cube": (lambda x, y: x + y, (CUBE, COLUMN)),
    "add-empty": (lambda x, y: x + y, (EMPTY, ROW)),
    "add-int-float": (lambda x, y: x + y, (INTS, X)),
    "add-int-scalar": (lambda x: x + 1.5, (INTS,)),
    "add-float-int-scalar": (lambda x: x + 2, (X,)),
    "add-bool-float": (lambda x, y: x + y, (FLAGS, X)),
    "add-bool-bool": (lambda x, y: x + y, (FLAGS, MORE)),
    "add-bool-int": (lambda x: x + 1, (FLAGS,)),
    "sub": (lambda x, y: x - y, (X, COLUMN)),
    "sub-alpha": (lambda x, y: torch.sub(x, y, alpha=2), (INTS, J)),
    "rsub": (lambda x: 1 - x, (X,)),
    "rsub-int": (lambda x: 1 - x, (INTS,)),
    "mul": (lambda x, y: x * y, (X, ROW)),
    "mul-scalar": (lambda x: x * 0.1, (X,)),
    "mul-bool": (lambda x, y: x * y, (FLAGS, MORE)),
    "mul-int-bool": (lambda x, y: x * y, (INTS, FLAGS)),
    "div": (lambda x, y: x / y, (X, POSITIVE)),
    "div-int": (lambda x, y: x / y, (INTS, J)),
    "div-trunc": (lambda x, y: torch.div(x, y, rounding_mode="trunc"), (X, POSITIVE)),
    "div-floor-int": (lambda x: torch.div(x, 3, rounding_mode="floor"), (INTS,)),
    "floor-divide": (lambda x, y: x // y, (INTS, J)),
    "remainder": (lambda x: x % 3, (INTS,)),
    "maximum": (torch.maximum, (X, ROW)),
    "minimum": (torch.minimum, (INTS, X)),
    "maximum-bool": (torch.maximum, (FLAGS, MORE)),
    "minimum-bool": (torch.minimum, (FLAGS, MORE)),
    "maximum-nan": (torch.maximum, (SPECIAL, torch.zeros(5))),
    "eq": (lambda x, y: x == y, (INTS, J)),
    "ne": (lambda x: x != 0, (INTS,)),
    "lt": (lambda x, y: x < y, (X, Y)),
    "le": (lambda x, y: x <= y, (INTS, X)),
    "gt-float-of-int": (lambda x: x > 0.5, (INTS,)),
    "ge": (lambda x: x >= 0.1, (X,)),
    "eq-bool": (lambda x, y: x == y, (FLAGS, MORE)),
    "eq-bool-int": (lambda x: x == 1, (FLAGS,)),
    "compare-nan": (lambda x: (x < 1, x != x), (SPECIAL,)),
    "and": (lambda x, y: x & y, (FLAGS, MORE)),
    "or": (lambda x, y: x | y, (FLAGS, MORE)),
    "xor": (lambda x, y: x ^ y, (FLAGS, MORE)),
    "bitwise-and": (torch.bitwise_and, (FLAGS, MORE)),
    "bitwise-or": (torch.bitwise_or, (FLAGS, MORE)),
    "bitwise-xor": (torch.bitwise_xor, (FLAGS, MORE)),
    "and-scalar": (lambda x: x & True, (FLAGS,)),
    "logical-and": (torch.logical_and, (INTS, X)),
    "logical-or": (torch.logical_or, (INTS, FLAGS)),
    "logical-xor": (torch.logical_xor, (INTS, FLAGS)),
    "where": (torch.where, (FLAGS, X, ROW)),
    "where-scalar": (lambda c, x: torch.where(c, x, 0.0), (FLAGS, X)),
    "where-scalar-self": (lambda c, x: torch.where(c, -1.0, x), (FLAGS, X)),
    "where-scalars": (lambda c: torch.where(c, 1.0, 0.0), (FLAGS,)),
    "where-promotes": (lambda c, x, y: torch.where(c, x, y), (FLAGS, INTS, X)),
    "masked-fill": (lambda x, m: x.masked_fill(m, -1e30), (X, FLAGS)),
    "masked-fill-broadcast": (lambda x, m: x.masked_fill(m, 7), (INTS, FLAGS[:1])),
    "masked-fill-tensor": (lambda x, m: x.masked_fill(m, torch.tensor(2.0)), (X, FLAGS)),
}
CREATE: dict[str, Case] = {
    "zeros": (lambda x: x + torch.zeros(5), (X,)),
    "ones": (lambda x: x + torch.ones(3, 1, dtype=torch.long), (X,)),
    "full": (lambda x: x + torch.full((5,), 2.5), (X,)),
    "like": (lambda x: (torch.zeros_like(x), torch.ones_like(x), torch.full_like(x, 3)), (X,)),
    "like-dtype": (lambda x: torch.ones_like(x, dtype=torch.bool), (X,)),
    "new": (lambda x: (x.new_zeros(2), x.new_ones(2, 2), x.new_full((2,), 4)), (X,)),
    "empty": (lambda x: (torch.empty(3, 5).copy_(x), x.new_empty(2).fill_(1)), (X,)),
    "empty-like": (lambda x: torch.empty_like(x).fill_(2.5), (X,)),
    "scalar-tensor": (lambda x: x + torch.scalar_tensor(3.0), (X,)),
    "constant": (lambda x: x + torch.tensor([1.0, 2.0, 3.0, 4.0, 5.0]), (X,)),
    "arange": (lambda x: x + torch.arange(5), (X,)),
    "arange-start": (lambda x: x * torch.arange(2, 7), (X,)),
    "arange-step": (lambda x: x * torch.arange(10, 0, -2), (X,)),
    "arange-float": (lambda x: x * torch.arange(0, 1, 0.2), (X,)),
    "arange-float-start": (lambda x: x * torch.arange(0.5, 5), (X,)),
    "arange-dtype": (lambda x: x * torch.arange(5, dtype=torch.float32), (X,)),
}
GROUPS = {"unary": UNARY, "binary": BINARY, "create": CREATE}
