"""Execution of captured graphs with ``fx.Interpreter``, weights bound by name."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from irsql.frontend.captured import Captured


def run_captured(captured: Captured, module: nn.Module, *user: Any) -> list[Any]:
    """The outputs of a captured graph on the module's own weights and the given user inputs."""
    state = {**module.state_dict(), **{name: torch.from_numpy(value) for name, value in captured.buffers.items()}}
    given = iter(user)
    values = [next(given) if spec.kind == "user" else state[spec.target] for spec in captured.inputs]
    with torch.no_grad():
        return list(torch.fx.Interpreter(captured.gm).run(*values))


def relative_error(got: Tensor, want: Tensor) -> float:
    """``max|a - b| / max|b|`` over the last axis, the worst of all positions."""
    if want.numel() == 0:
        assert got.shape == want.shape
        return 0.0
    scale = want.abs().amax(-1).clamp_min(1e-30)
    return float(((got - want).abs().amax(-1) / scale).max())
