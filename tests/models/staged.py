"""Models taken through the default pipeline, every pass dumped; made once a session and shared."""

from __future__ import annotations

import functools
import json
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import attrs
import torch

from irsql.compile import compile_module, import_model
from irsql.frontend.export import capture
from irsql.frontend.importer import import_captured
from irsql.frontend.weights import ModuleWeights
from irsql.ir.core import Module
from irsql.ir.instruments.dump_dir import DumpDir
from irsql.ir.instruments.verify_each import VerifyEach
from irsql.ir.interp import Array
from irsql.targets.program import Program
from tests.models.llamas import LLAMA3_ROPE, llama_config, random_llama
from tests.models.modules import Encoder, Mlp, TwoOutputs, seeded

_FOLDER = tempfile.TemporaryDirectory(prefix="irsql-dumps-")


@attrs.frozen(eq=False)
class Staged:
    """A model with everything that compiling it left.

    Attributes
    ----------
    source
        The torch module.
    weights
        Its parameters by name.
    program
        The compiled program.
    folder
        Dumps of all passes.
    dumps
        The dumps in order: the pass, the stage, the file.
    """

    source: torch.nn.Module
    weights: dict[str, Array]
    program: Program
    folder: Path
    dumps: list[tuple[str, str, Path]]


LLAMA: dict[str, Any] = {
    "hidden_size": 12, "intermediate_size": 14, "vocab_size": 23, "num_attention_heads": 3, "num_key_value_heads": 1,
    "head_dim": 6, "num_hidden_layers": 2, "rope_parameters": LLAMA3_ROPE, "attention_bias": True,
}  # fmt: skip


def _imported(name: str) -> tuple[torch.nn.Module, Module, dict[str, Any]]:
    if name.startswith("llama"):
        recipe: Literal["fused", "aten"] = "aten" if name.endswith("aten") else "fused"
        config = llama_config(**LLAMA)
        return random_llama(config), *import_model(config, recipe)
    source: torch.nn.Module
    args: Sequence[torch.Tensor]
    dynamic: Mapping[str, Mapping[int, str]]
    if name == "mlp":
        source, args, dynamic = Mlp(), (torch.zeros(3, 16),), {"x": {0: "B"}}
    elif name == "encoder":
        source = Encoder(6, 2, 7)
        args = torch.zeros(2, 5, 6), torch.ones(2, 5, dtype=torch.bool)
        dynamic = {"x": {0: "B", 1: "S"}, "mask": {0: "B", 1: "S"}}
    else:
        source, args = TwoOutputs(), (torch.zeros(3, 3, dtype=torch.long), torch.zeros(3, 8))
        dynamic = {"ids": {0: "B"}, "x": {0: "B"}}
    seeded(source)
    return source, import_captured(capture(source, tuple(args), dynamic=dynamic)), {}


MODELS = ("mlp", "encoder", "two outputs", "llama fused", "llama aten")


@functools.cache
def staged(name: str) -> Staged:
    """One of :data:`MODELS`, compiled with every pass dumped and verified."""
    source, module, meta = _imported(name)
    read = ModuleWeights(source)
    weights = {n: read.read(n) for n in read}
    folder = Path(_FOLDER.name) / name.replace(" ", "-")
    program = compile_module(module, weights=weights, meta=meta, instruments=[DumpDir(folder), VerifyEach()]).program
    rows = json.loads((folder / "manifest.json").read_text("utf-8"))["passes"]
    dumps = [(str(r["pass"]), str(r["stage"]), folder / r["file"]) for r in rows if r["file"]]
    return Staged(source, weights, program, folder, dumps)
