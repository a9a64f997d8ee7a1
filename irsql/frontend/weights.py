"""The weights of a live module, read like those of a checkpoint."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator

import numpy as np
import torch

from irsql.frontend.captured import CaptureError


def to_numpy(tensor: torch.Tensor) -> np.ndarray:
    """A copy of a tensor as an array; bfloat16, which numpy lacks, becomes float32."""
    tensor = tensor.detach().cpu()
    return (tensor.float() if tensor.dtype == torch.bfloat16 else tensor).numpy().copy()


class ModuleWeights:
    """Parameters and persistent buffers of a module under their ``state_dict`` names.

    Has the reading interface of :class:`~irsql.frontend.checkpoint.Checkpoint`: iteration over names, :meth:`shape`,
    :meth:`read`, :meth:`fingerprint`.
    """

    def __init__(self, module: torch.nn.Module) -> None:
        self._tensors = {name: tensor.detach() for name, tensor in module.state_dict().items()}
        meta = next((name for name, tensor in self._tensors.items() if tensor.is_meta), None)
        if meta is not None:
            raise CaptureError(f"the tensor {meta} lies on the meta device and has no value")

    def __iter__(self) -> Iterator[str]:
        return iter(self._tensors)

    def __contains__(self, name: object) -> bool:
        return name in self._tensors

    def shape(self, name: str) -> tuple[int, ...]:
        """The shape of a tensor."""
        return tuple(self._tensors[name].shape)

    def read(self, name: str, row_start: int = 0, row_stop: int | None = None) -> np.ndarray:
        """Rows of a tensor along its first axis: float64 where it is so, else float32; int64 or bool if integral."""
        tensor = self._tensors[name]
        if tensor.dim():
            tensor = tensor[row_start:row_stop]
        if tensor.is_floating_point():
            tensor = tensor if tensor.dtype == torch.float64 else tensor.float()
        elif tensor.dtype != torch.bool:
            tensor = tensor.long()
        return tensor.cpu().contiguous().numpy()

    def fingerprint(self) -> str:
        """SHA-256 over names, dtypes, shapes and all bytes."""
        digest = hashlib.sha256()
        for name in sorted(self._tensors):
            tensor = self._tensors[name]
            digest.update(f"{name}\0{tensor.dtype}\0{tuple(tensor.shape)}\0".encode())
            digest.update(tensor.cpu().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes())
        return digest.hexdigest()
