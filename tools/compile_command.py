"""What ``irsql compile`` does: the program of a folder or a database, its prompt, and the scripts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Literal

import attrs

from irsql import api
from irsql.frontend.checkpoint import INDEX_NAME, SINGLE_NAME, Checkpoint
from irsql.ir.instruments.options import InstrumentOptions
from irsql.runtime import scripts, tokens
from irsql.runtime.errors import UserError
from irsql.runtime.generate import Defaults
from irsql.runtime.session import DEFAULT_CONTEXT
from irsql.targets.base import DEFAULT_TARGET


def write_scripts(
    model_: str,
    out: Path,
    options: InstrumentOptions,
    *,
    target: str | None,
    capture: Literal["fused", "aten"],
    prompt: str | None,
    prompt_ids: Sequence[int] | None,
    max_new_tokens: int,
    settings: Mapping[str, Any],
    stop_ids: Sequence[int] | None,
    with_weights: bool,
    pipeline: str | None = None,
) -> None:
    """Compile a model and write its scripts; see the options of the command.

    Raises
    ------
    UserError
        If the model or the prompt is not usable.
    """
    if target is not None:
        api.check_target(target)
        scripts.check_target(target)
    with ExitStack() as stack:
        if api.is_checkpoint(model_):
            source = Path(model_)
            with options.build() as instruments:
                program = api.compile_folder(source, capture, instruments, pipeline, target or DEFAULT_TARGET)
            has_weights = (source / SINGLE_NAME).exists() or (source / INDEX_NAME).exists()
            checkpoint = Checkpoint.open(source) if has_weights else None
            content = scripts.from_checkpoint(program, checkpoint) if checkpoint and with_weights else None
            tokenizer = source / "tokenizer.json"
            text = tokens.read_tokenizer(tokenizer) if tokenizer.is_file() else None
            defaults = (
                Defaults.of_configs(checkpoint.generation_config, checkpoint.config) if checkpoint else Defaults()
            )
        else:
            if pipeline is not None:
                raise UserError(f"{model_} is compiled already: --pass-pipeline takes a model folder")
            model = stack.enter_context(api.load(model_, target=target))
            scripts.check_target(model.program.target)
            program, text = model.program, model.tokenizer_text
            content = scripts.from_database(model) if with_weights else None
            defaults = Defaults.of(model)
        vocabulary = int(program.meta["vocab"])
        ids = _prompt(text, vocabulary, prompt, prompt_ids)
        context = int(program.meta.get("context") or DEFAULT_CONTEXT)
        if len(ids) >= context:
            raise UserError(f"a prompt of {len(ids)} tokens leaves no room for new ones in the context of {context}")
        run = scripts.Run(
            tuple(ids), max_new_tokens,
            attrs.evolve(defaults.settings, **{k: v for k, v in settings.items() if v is not None}),
            defaults.stop_ids if stop_ids is None else tuple(stop_ids), has_text=text is not None,
        )  # fmt: skip
        scripts.write(program, out, run, content)


def _prompt(tokenizer: str | None, vocabulary: int, prompt: str | None, prompt_ids: Sequence[int] | None) -> list[int]:
    """The ids of the prompt; without one, token 0 stands in ``prompt.sql`` until somebody writes another."""
    if prompt is not None and prompt_ids is not None:
        raise UserError("give the prompt as text or as token ids, not both")
    if prompt is not None:
        if tokenizer is None:
            raise UserError("the model has no tokenizer: give the prompt as token ids")
        return tokens.TextCodec(tokenizer).encode(prompt)
    return tokens.check_ids([0] if prompt_ids is None else prompt_ids, vocabulary)
