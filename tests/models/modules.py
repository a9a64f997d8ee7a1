"""Small plain modules that the tests capture, compile and compare with eager PyTorch."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class Mlp(nn.Module):
    """Three linear layers with ReLU, GELU and a softmax: ``x[B, 16] -> [B, 10]``."""

    def __init__(self) -> None:
        super().__init__()
        self.up = nn.Linear(16, 33)
        self.mid = nn.Linear(33, 24, bias=False)
        self.down = nn.Linear(24, 10)

    def forward(self, x: Tensor) -> Tensor:
        return torch.softmax(self.down(F.gelu(self.mid(F.relu(self.up(x))))), dim=-1)


class Deep(nn.Module):
    """Two numbered layers of three products and a residual, then eleven products of one: ``x[B, 17] -> [B, 17]``."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.ModuleList(
            nn.ModuleDict({"up": nn.Linear(17, 21), "mid": nn.Linear(21, 5), "down": nn.Linear(5, 17, bias=False)})
            for _ in range(2)
        )
        self.chain = nn.ParameterList(torch.randn(17, 17) / 4 for _ in range(11))

    def forward(self, x: Tensor) -> Tensor:
        for layer in self.layers:
            assert isinstance(layer, nn.ModuleDict)
            x = x + layer["down"](F.silu(layer["mid"](torch.tanh(layer["up"](x)))))
        for weight in self.chain:
            x = torch.tanh(x @ weight)
        return x


class Gated(nn.Module):
    """A gated feed-forward block beside a residual, and three products that meet, all of one input of one width."""

    def __init__(self, width: int = 19) -> None:
        super().__init__()
        self.gate, self.up, self.down = nn.Linear(width, 13), nn.Linear(width, 13), nn.Linear(13, width)
        self.a, self.b, self.c = (nn.Linear(width, width, bias=False) for _ in range(3))

    def forward(self, x: Tensor) -> Tensor:
        gated = x + self.down(F.silu(self.gate(x)) * self.up(x))
        return gated + torch.sigmoid(self.a(x)) * self.b(x) + self.c(x).flip(-1)


class FactorsOfSums(nn.Module):
    """A norm before a product with fewer outputs than terms, and the average of rows of ``v`` by a softmax of ``s``."""

    def __init__(self) -> None:
        super().__init__()
        self.narrow = nn.Linear(11, 3, bias=False)

    def forward(self, x: Tensor, s: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
        return self.narrow(F.rms_norm(x, (11,), eps=1e-5)), torch.softmax(s, dim=-1) @ v


class EncoderLayer(nn.Module):
    """Pre-norm self-attention with a padding mask, then a GELU feed-forward block."""

    def __init__(self, width: int, heads: int, inner: int) -> None:
        super().__init__()
        self.heads = heads
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.q, self.k, self.v, self.o = (nn.Linear(width, width) for _ in range(4))
        self.up, self.down = nn.Linear(width, inner), nn.Linear(inner, width)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        batch, length, width = x.shape
        h = self.norm1(x)
        q, k, v = (
            f(h).view(batch, length, self.heads, width // self.heads).transpose(1, 2) for f in (self.q, self.k, self.v)
        )
        scores = q @ k.transpose(-2, -1) / (width // self.heads) ** 0.5
        scores = scores.masked_fill(~mask[:, None, None, :], torch.finfo(torch.float32).min)
        mixed = (torch.softmax(scores, -1) @ v).transpose(1, 2).reshape(batch, length, width)
        x = x + self.o(mixed)
        return x + self.down(F.gelu(self.up(self.norm2(x))))


class Encoder(nn.Module):
    """Two encoder layers: ``x[B, S, 24], mask[B, S] (bool, True = a token) -> [B, S, 24]``."""

    def __init__(self, width: int = 24, heads: int = 3, inner: int = 40) -> None:
        super().__init__()
        self.layers = nn.ModuleList([EncoderLayer(width, heads, inner) for _ in range(2)])
        self.norm = nn.LayerNorm(width)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        for layer in self.layers:
            x = layer(x, mask)
        return self.norm(x)


class TwoOutputs(nn.Module):
    """An integer and a float input, two outputs: ``ids[B, 3], x[B, 8] -> (score[B, 5], length[B])``."""

    def __init__(self) -> None:
        super().__init__()
        self.table = nn.Embedding(11, 8)
        self.head = nn.Linear(8, 5)

    def forward(self, ids: Tensor, x: Tensor) -> tuple[Tensor, Tensor]:
        h = self.table(ids).sum(1) + x
        return self.head(torch.tanh(h)), h.pow(2).sum(-1).sqrt()


class ConvNet(nn.Module):
    """Two convolutions, max pooling and a head: ``x[B, 3, 12, 12] -> [B, 7]``."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 6, 3, padding=1)
        self.conv2 = nn.Conv2d(6, 8, 3, stride=2, padding=1, bias=False)
        self.head = nn.Linear(8 * 3 * 3, 7)

    def forward(self, x: Tensor) -> Tensor:
        x = F.max_pool2d(F.relu(self.conv1(x)), 2)
        x = F.relu(self.conv2(x))
        return self.head(torch.flatten(x, 1))


def seeded(module: nn.Module, seed: int = 0) -> nn.Module:
    """Fill every parameter with seeded random numbers of a scale that keeps activations near 1; eval mode."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, parameter in module.named_parameters():
            noise = torch.randn(parameter.shape, generator=generator)
            if parameter.dim() > 1:
                embedding = "embed" in name or "table" in name
                fan_in = 1 if embedding else parameter[0].numel()
                parameter.copy_(noise * (1.5 / fan_in**0.5))
            else:
                parameter.copy_(noise * 0.2 + (1.0 if "norm" in name and name.endswith("weight") else 0.0))
    return module.eval().requires_grad_(False)
