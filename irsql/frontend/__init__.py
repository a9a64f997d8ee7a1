"""The front end: torch modules and Hugging Face folders in, tensor IR out.

The only room of irsql that may import torch, and it does so lazily: importing this package or its
:mod:`~irsql.frontend.checkpoint` module costs neither torch nor transformers, because generating text from a
loaded database needs neither.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from irsql.frontend.captured import Captured as Captured
    from irsql.frontend.captured import CaptureError as CaptureError
    from irsql.frontend.captured import InputSpec as InputSpec
    from irsql.frontend.captured import OutputSpec as OutputSpec
    from irsql.frontend.captured import StateSpec as StateSpec
    from irsql.frontend.checkpoint import Checkpoint as Checkpoint
    from irsql.frontend.checkpoint import CheckpointError as CheckpointError
    from irsql.frontend.decoder import capture_decoder as capture_decoder
    from irsql.frontend.decoder import model_from_config as model_from_config
    from irsql.frontend.export import capture as capture
    from irsql.frontend.weights import ModuleWeights as ModuleWeights

_EXPORTS = {
    "CaptureError": "captured",
    "Captured": "captured",
    "Checkpoint": "checkpoint",
    "CheckpointError": "checkpoint",
    "InputSpec": "captured",
    "ModuleWeights": "weights",
    "OutputSpec": "captured",
    "StateSpec": "captured",
    "capture": "export",
    "capture_decoder": "decoder",
    "model_from_config": "decoder",
}

__all__ = [
    "CaptureError",
    "Captured",
    "Checkpoint",
    "CheckpointError",
    "InputSpec",
    "ModuleWeights",
    "OutputSpec",
    "StateSpec",
    "capture",
    "capture_decoder",
    "model_from_config",
]


def __getattr__(name: str) -> Any:
    if name not in _EXPORTS:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(f"{__name__}.{_EXPORTS[name]}"), name)
    globals()[name] = value
    return value
