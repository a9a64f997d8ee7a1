"""Where an fx node comes from: its module path and the user's source line."""

from __future__ import annotations

import re
from pathlib import Path

import attrs
import torch.fx

_FRAME = re.compile(r'File "(?P<file>[^"]+)", line (?P<line>\d+)')
# Frames of torch itself and of the wrappers put in by the front end say nothing about the model.
_SKIP = re.compile(r"(^|/)torch/|irsql/frontend/|transformers/(utils/|activations\.py|modeling_layers\.py)")
# How Dynamo calls the module that was compiled.
_ROOT = re.compile(r"^[LG]\['\w+'\]\.?")
_SITE = re.compile(r".*/(?:site|dist)-packages/")


@attrs.frozen
class Provenance:
    """The origin of one fx node.

    Attributes
    ----------
    node
        Name of the fx node.
    module
        Path of the innermost module, such as ``model.layers.3.mlp.gate_proj``; ``""`` is the captured module.
    file
        Source file: relative to the packages folder for installed packages, else as Python reports it; ``""``
        where torch recorded none.
    line
        Line in that file, 0 if unknown.
    """

    node: str
    module: str
    file: str
    line: int


def provenance(node: torch.fx.Node) -> Provenance:
    """The origin of a node, from the ``nn_module_stack`` and ``stack_trace`` that torch.export keeps."""
    file, line = _source(node.meta.get("stack_trace") or "")
    return Provenance(node.name, module_path(node), file, line)


def module_path(node: torch.fx.Node) -> str:
    """The path of the innermost module whose forward made the node."""
    stack = node.meta.get("nn_module_stack") or {}
    entries = [path for path, _ in stack.values() if not path.startswith("_empty_nn_module_stack")]
    return _ROOT.sub("", entries[-1]) if entries else ""


def _source(trace: str) -> tuple[str, int]:
    """The innermost frame of a stack trace that belongs to the model."""
    frames = [(match["file"], int(match["line"])) for match in _FRAME.finditer(trace)]
    for file, line in reversed(frames):
        if not _SKIP.search(_SITE.sub("", file)):
            return _shorten(file), line
    return "", 0


def _shorten(file: str) -> str:
    if _SITE.match(file):
        return _SITE.sub("", file)
    path = Path(file)
    cwd = Path.cwd()
    return str(path.relative_to(cwd)) if path.is_relative_to(cwd) else file
