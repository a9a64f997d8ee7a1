"""Operators element by element, casts, and tensors made from nothing."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional as F

from tests.fuzz.draw import EXTENTS, INTEGERS, Draw, Made, bounded, broadcasts, kind

Unary = Callable[[Tensor], Tensor]
Binary = Callable[[Tensor, Tensor], Tensor]

SMOOTH: dict[str, Unary] = {
    "tanh": torch.tanh, "sigmoid": torch.sigmoid, "exp": lambda x: x.clamp(-20, 2).exp(), "silu": F.silu,
    "gelu": F.gelu, "log": lambda x: (x.abs() + 0.5).log(), "sqrt": lambda x: (x.abs() + 0.25).sqrt(),
    "sin": torch.sin, "cos": torch.cos, "log1p": lambda x: x.abs().log1p(),
    "expm1": lambda x: x.clamp(-20, 2).expm1(), "elu": F.elu, "leaky_relu": lambda x: F.leaky_relu(x, 0.2),
    "rsqrt": lambda x: (x.abs() + 0.5).rsqrt(), "softplus": F.softplus, "reciprocal": lambda x: 1 / (x.abs() + 0.5),
    "pow": lambda x: bounded((x.abs() + 0.5) ** 1.3), "gelu_tanh": lambda x: F.gelu(x, approximate="tanh"),
    "square": lambda x: bounded(x * x), "erf": torch.erf, "cube": lambda x: bounded(x.clamp(-2, 2) ** 3),
    "pow of 2": lambda x: bounded(2 ** x.clamp(-9, 3)), "inverse square": lambda x: (x.abs() + 1) ** -2,
    "root": lambda x: (x.abs() + 0.25) ** 0.5, "mish": F.mish, "hardswish": F.hardswish,
    "by number": lambda x: (1 - x) / 3, "double": lambda x: bounded(x.double() / 3 + 1).float(),
    "relu6": F.relu6, "hardtanh": lambda x: F.hardtanh(x, -0.5, 0.25), "dropout": lambda x: F.dropout(x, 0.5, False),
}
STEPWISE: dict[str, Unary] = {
    "neg": torch.neg, "abs": torch.abs, "relu": F.relu, "sign": torch.sign, "clamp": lambda x: x.clamp(-1, 2),
    "clamp min": lambda x: x.clamp(min=-1.5), "clamp max": lambda x: torch.clamp_max(x, 1),
    "round": lambda x: (x * 0.5).round(), "floor": lambda x: (x * 0.5).floor(), "ceil": lambda x: (x * 0.5).ceil(),
    "trunc": lambda x: (x * 0.5).trunc(), "half": lambda x: (x * 2).round() * 0.5,
    "copy": lambda x: x.clone().detach(), "in place": lambda x: x.clone().mul_(0.5).round_().add_(1),
}
BINARY: dict[str, Binary] = {
    "add": lambda a, b: bounded(a + b), "sub": lambda a, b: bounded(torch.sub(a, b, alpha=2)),
    "mul": lambda a, b: bounded(a * b), "div": lambda a, b: bounded(a / (b.abs() + 0.5)),
    "maximum": torch.maximum, "minimum": torch.minimum,
    "pow": lambda a, b: bounded((a.abs() + 0.5) ** b.clamp(-2, 2)), "lerp": lambda a, b: torch.lerp(a, b, 0.3),
    "clamp": lambda a, b: torch.clamp(a, b, b + 1), "addcmul": lambda a, b: bounded(torch.addcmul(a, a, b, value=0.5)),
}
EXACT_BINARY = ("add", "sub", "maximum", "minimum", "clamp")
DIVIDE: dict[str, Binary] = {
    "floor": lambda a, b: torch.floor(a / (b.abs() + 0.5)),
    "trunc": lambda a, b: torch.div(a, b.abs() + 0.5, rounding_mode="trunc"),
}
COMPARE: dict[str, Binary] = {
    "lt": torch.lt, "le": torch.le, "eq": torch.eq, "ne": torch.ne, "ge": torch.ge, "gt": lambda a, b: a > b - 1,
    "gt number": lambda a, b: (a > 0.5) | (b == 1),
}
LOGIC: dict[str, Binary] = {
    "logical_and": torch.logical_and, "logical_or": torch.logical_or, "logical_xor": torch.logical_xor,
    "and": lambda a, b: a & b, "or": lambda a, b: a | b, "xor": lambda a, b: a ^ b, "and not": lambda a, b: a & ~b,
    "eq": lambda a, b: a == b, "mul": lambda a, b: a * b, "add": lambda a, b: a + b, "maximum": torch.maximum,
}
WHOLE: dict[str, Unary] = {
    "affine": lambda i: (i.long() * 3 - 5) % 17, "floordiv": lambda i: (i.long() - 4) // 3,
    "mod": lambda i: (i.long() - 4) % 3, "neg": lambda i: -i, "abs": lambda i: (i.long() - 3).abs(),
    "from float": lambda i: (i.float() * 0.5 - 1.5).long(), "clamp": lambda i: i.clamp(2, 4), "pow": lambda i: i**2,
    "minus": lambda i: 1 - i, "sign": torch.sign, "relu": F.relu, "truth": lambda i: (i > 1).long() * i,
}
WHOLE_BINARY: dict[str, Binary] = {
    "add": lambda a, b: (a + b) % 100, "mul": lambda a, b: (a * b) % 100, "sub": lambda a, b: a - b,
    "floordiv": lambda a, b: a // (b.long().abs() % 5 + 1),
    "maximum": torch.maximum, "minimum": torch.minimum, "where": lambda a, b: torch.where(a > b, a, b),
}


@kind(3)
def smooth(g: Draw) -> Made | None:
    x, name = g.pick(), g.rng.choice(list(SMOOTH))
    return None if x is None else Made(name, SMOOTH[name], [x])


@kind()
def stepwise(g: Draw) -> Made | None:
    x, name = g.pick(exact=True), g.rng.choice(list(STEPWISE))
    return None if x is None else Made(name, STEPWISE[name], [x], exact=True)


@kind(3)
def binary(g: Draw) -> Made | None:
    a, name = g.pick(), g.rng.choice(list(BINARY))
    b = None if a is None else g.partner(a)
    if a is None or b is None:
        return None
    return Made(name, BINARY[name], [a, b], exact=a.exact and b.exact and name in EXACT_BINARY)


@kind()
def rounded_division(g: Draw) -> Made | None:
    a, name = g.pick(exact=True), g.rng.choice(list(DIVIDE))
    b = None if a is None else g.partner(a, exact=True)
    return None if a is None or b is None else Made(f"div {name}", DIVIDE[name], [a, b], exact=True)


@kind(2)
def compare(g: Draw) -> Made | None:
    a, name = g.pick(exact=True), g.rng.choice(list(COMPARE))
    b = None if a is None else g.partner(a, exact=True)
    return None if a is None or b is None else Made(name, COMPARE[name], [a, b], exact=True)


@kind()
def compare_whole(g: Draw) -> Made | None:
    a, name = g.pick(*INTEGERS, torch.bool), g.rng.choice(["lt", "le", "eq", "ne", "ge"])
    b = None if a is None else g.partner(a, *INTEGERS)
    return None if a is None or b is None else Made(name, COMPARE[name], [a, b], exact=True)


@kind()
def logic(g: Draw) -> Made | None:
    a, name = g.pick(torch.bool), g.rng.choice(list(LOGIC))
    b = None if a is None else g.partner(a, torch.bool)
    return None if a is None or b is None else Made(name, LOGIC[name], [a, b], exact=True)


@kind(3)
def where(g: Draw) -> Made | None:
    a = g.pick()
    c, b = (None, None) if a is None else (g.partner(a, torch.bool), g.partner(a, *INTEGERS, torch.float32))
    if c is None or a is None or b is None or not broadcasts(c, a, b):
        return None
    return Made("where", torch.where, [c, a, b], exact=a.exact and b.exact)


@kind(2)
def masked_fill(g: Draw) -> Made | None:
    x = g.pick(torch.float32, *INTEGERS)
    m = None if x is None else g.partner(x, torch.bool)
    if x is None or m is None or m.rank > x.rank:
        return None
    return Made("masked_fill", lambda v, hidden: v.masked_fill(hidden, 3), [x, m], exact=x.exact)


@kind()
def to_float(g: Draw) -> Made | None:
    x = g.pick(torch.bool, *INTEGERS)
    return None if x is None else Made("float", lambda v: bounded(v.float()), [x], exact=True)


@kind()
def to_whole(g: Draw) -> Made | None:
    x = g.pick(torch.float32, torch.bool, exact=True)
    to = g.rng.choice([torch.int64, torch.int32] if x is not None and x.value.is_floating_point() else INTEGERS)
    return None if x is None else Made(f"to {to}", lambda v: v.to(to), [x], exact=True)


@kind()
def narrow_whole(g: Draw) -> Made | None:
    """A cast or a product that wraps around."""
    x, to = g.pick(*INTEGERS), g.rng.choice(INTEGERS)
    if x is None:
        return None
    if g.chance(0.5):
        return Made(f"* 93 to {to}", lambda v: (v.long() * 93).to(to), [x], exact=True)
    return Made(f"to {to} * itself", lambda v: v.to(to) * v.to(to) - 1, [x], exact=True)


@kind()
def to_bool(g: Draw) -> Made | None:
    x = g.pick(torch.float32, *INTEGERS, exact=True)
    return None if x is None else Made("bool", lambda v: v.bool(), [x], exact=True)


@kind(2)
def whole(g: Draw) -> Made | None:
    x, name = g.pick(*INTEGERS), g.rng.choice(list(WHOLE))
    return None if x is None else Made(f"whole {name}", WHOLE[name], [x], exact=True)


@kind()
def whole_binary(g: Draw) -> Made | None:
    a, name = g.pick(*INTEGERS), g.rng.choice(list(WHOLE_BINARY))
    b = None if a is None else g.partner(a, *INTEGERS)
    return None if a is None or b is None else Made(f"whole {name}", WHOLE_BINARY[name], [a, b], exact=True)


@kind(2)
def parameter(g: Draw) -> Made:
    """A parameter as a value: what is computed from it alone is computed at load time."""
    whole_ = g.chance(0.4)
    w = g.weight(*(g.rng.choice(EXTENTS) for _ in range(g.rng.randint(0, 3))), 3, whole=whole_)
    return Made("parameter", lambda: g.weights[w], [], exact=whole_)


@kind()
def constant(g: Draw) -> Made:
    n = g.rng.choice(EXTENTS)
    values = [g.rng.randint(-3, 3) for _ in range(n)]
    name, function = g.rng.choice([
        ("tensor", lambda: torch.tensor(values)), ("tensor", lambda: torch.tensor(values) * 0.5),
        ("arange", lambda: torch.arange(n)), ("arange float", lambda: torch.arange(1, n + 1) * 0.5),
        ("arange down", lambda: torch.arange(n, 0, -1)), ("full", lambda: torch.full((n, 1), 1.5)),
        ("zeros", lambda: torch.zeros(n)), ("eye", lambda: torch.arange(n)[:, None] == torch.arange(n)),
    ])  # fmt: skip
    return Made(f"{name} {values if name == 'tensor' else n}", function, [], exact=True)


@kind()
def like(g: Draw) -> Made | None:
    x = g.pick(torch.float32, torch.bool, *INTEGERS, rank=1)
    if x is None:
        return None
    name, function = g.rng.choice([
        ("ones_like", torch.ones_like), ("full_like", lambda v: torch.full_like(v, 1)),
        ("arange of a size", lambda v: torch.arange(v.shape[0])), ("size", lambda v: torch.ones(2) * v.shape[0]),
        ("new_zeros", lambda v: v.new_zeros(v.shape[0], 2)),
    ])  # fmt: skip
    return Made(name, function, [x], exact=name != "size")
