"""What is measured: a checkpoint folder, the demo model, or random weights in the shape of a model."""

from __future__ import annotations

import json
import math
import shutil
from collections.abc import Callable
from pathlib import Path

import attrs

import irsql
from irsql.runtime.errors import UserError
from irsql.tools.bench import synthetic
from irsql.tools.bench.synthetic import Shape

SHAPES = {
    "llama-3.2-1b": Shape(layers=16),
    "llama-3-8b": Shape(hidden=4096, intermediate=14_336, layers=32, head_dim=128, tied=False, rope_factor=0,
                        context=8192),
    "hidden-2048": Shape(layers=2, vocab=8192),
    "tiny": Shape(hidden=64, intermediate=176, layers=2, heads=4, kv_heads=2, head_dim=16, vocab=512, context=8192),
}  # fmt: skip
"""Names that stand for random weights of a shape."""
DEMO = "demo"
Note = Callable[[str], None]
"""Takes a sentence for the user."""


@attrs.frozen
class Source:
    """A model to measure.

    Attributes
    ----------
    name
        For people and file names.
    folder
        Its checkpoint.
    shape
        The shape of a synthetic one.
    """

    name: str
    folder: Path
    shape: Shape | None = None


def source(model: str, layers: int | None, work: Path, say: Note) -> Source:
    """The model behind the command's argument; a synthetic one is written into the work folder, once.

    Raises
    ------
    UserError
        If there is no such model, or no room for it.
    """
    if model in SHAPES:
        shape = SHAPES[model] if layers is None else attrs.evolve(SHAPES[model], layers=layers)
        name = f"{model}-{shape.layers}"
        folder = work / name
        elements = sum(math.prod(extents) for _, extents in shape.tensors())
        if not folder.exists():
            check_room(work, elements * 4, f"the weights of {name}")
            say(f"writing random weights of {name}: {elements * 4 / 1e9:.2f} GB into {folder}")
        try:
            synthetic.write(folder, shape, dtype="f32")
        except FileExistsError as error:
            raise UserError(str(error)) from error
        return Source(name, folder, shape)
    if layers is not None:
        raise UserError(f"--layers cuts a synthetic shape, one of {', '.join(SHAPES)}, not {model}")
    if model == DEMO:
        return Source(DEMO, Path(irsql.__file__).parent / "data" / "demo")
    folder = Path(model)
    if not folder.is_dir():
        raise UserError(f"there is no model folder {model}; give one, {DEMO}, or one of {', '.join(SHAPES)}")
    return Source(folder.resolve().name, folder)


def check_room(folder: Path, needed: float, what: str) -> None:
    """Whether a file fits on the disk.

    Raises
    ------
    UserError
        If it does not.
    """
    free = shutil.disk_usage(folder).free
    if free < needed * 1.1:
        raise UserError(f"{folder} has {free / 1e9:.1f} GB left, {what} need {needed / 1e9:.1f} GB: "
                        "give another --work-dir, or fewer --layers")



def shape_of(found: Source) -> Shape | None:
    """The shape of a model, if its checkpoint is a Llama's."""
    if found.shape is not None:
        return found.shape
    config = json.loads((found.folder / "config.json").read_text(encoding="utf-8"))
    if config.get("model_type") != "llama":
        return None
    heads = config["num_attention_heads"]
    return Shape(
        hidden=config["hidden_size"], intermediate=config["intermediate_size"], layers=config["num_hidden_layers"],
        heads=heads, kv_heads=config.get("num_key_value_heads", heads), vocab=config["vocab_size"],
        head_dim=config.get("head_dim") or config["hidden_size"] // heads, context=config["max_position_embeddings"],
        tied=config.get("tie_word_embeddings", False))  # fmt: skip
