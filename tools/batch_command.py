"""What ``irsql generate --batch FILE`` does: a prompt a line, all of them in one query a step."""

from __future__ import annotations

import io
import json
import sys
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

from irsql.api import Model
from irsql.runtime.batch import Result
from irsql.runtime.errors import UserError
from irsql.targets.errors import EngineError
from irsql.tools.options import ids


def run(model: Model, file: Path, as_json: bool, options: Mapping[str, Any]) -> None:
    """Continue every line of a file and print the results in order, each as soon as all before it have ended.

    Where this is broken off, the texts that have ended are printed all the same.

    Parameters
    ----------
    model
        An open model.
    file
        Texts, or token ids for a model without a tokenizer; ``-`` is standard input. Empty lines are passed over.
    as_json
        Print an object a line; its timings are those of the batch until then.
    options
        Of :func:`irsql.runtime.batch.generate_batch`.

    Raises
    ------
    UserError
        If the file or one of its prompts cannot be used.
    """
    lines = _lines(file)
    prompts = lines if model.has_tokenizer else [ids(line) for line in lines]
    batch = model.generate_batch(prompts, **options)
    shown = 0

    def show(index: int) -> None:
        text = _shown(lines[index], batch.results[index], as_json, model.has_tokenizer, batch.timings)
        bar.write(text, file=sys.stdout, end="")  # without the bar in between
        sys.stdout.flush()

    with closing(batch), _bar(len(prompts)) as bar:
        try:
            for count, _ in enumerate(batch, 1):
                bar.set_postfix_str(f"{count} tokens", refresh=False)
                bar.update(batch.ended - bar.n)
                while shown < len(lines) and batch.results[shown].ended:
                    show(shown)
                    shown += 1
        except (KeyboardInterrupt, UserError, EngineError):
            ended = [i for i, result in enumerate(batch.results) if result.ended]
            for index in ended:
                if index >= shown:
                    show(index)
            bar.close()
            print(f"irsql: {len(lines) - len(ended)} of {len(lines)} texts have not ended and are left out",
                  file=sys.stderr)  # fmt: skip
            raise


def _lines(file: Path) -> list[str]:
    try:
        if str(file) == "-":
            if isinstance(sys.stdin, io.TextIOWrapper):
                sys.stdin.reconfigure(newline="\n")
            text = sys.stdin.read()
        else:
            text = file.read_bytes().decode("utf-8")
    except UnicodeDecodeError as error:
        raise UserError(f"{file} is not UTF-8 text") from error
    # Lines as every tool of a shell has them: str.splitlines() splits at form feeds and at U+2028 too.
    lines = (line.removesuffix("\r") for line in text.split("\n"))
    return [line for line in lines if line.strip()]


def _bar(total: int) -> Any:
    from tqdm import tqdm

    return tqdm(total=total, unit="text", desc="generating", file=sys.stderr, disable=not sys.stderr.isatty())


def _shown(line: str, result: Result, as_json: bool, has_text: bool, timings: Mapping[str, float]) -> str:
    if as_json:
        found = {"prompt_ids": result.prompt_ids, "ids": result.ids, "text": result.text if has_text else None,
                 "timings": timings}  # fmt: skip
        return json.dumps(found if result.sequence is None else {**found, "sequence": result.sequence},
                          ensure_ascii=False) + "\n"  # fmt: skip
    return f"{line}{result.text}\n\n" if has_text else " ".join(map(str, result.ids)) + "\n"
