"""``irsql sequences``: what a state database holds, and what can be done with it."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from irsql.tools.console import console, printable
from irsql.tools.options import ModelArg, NeededStateFile

if TYPE_CHECKING:
    from irsql.api import Model
    from irsql.runtime.sequence import TokenSequence

app = typer.Typer(no_args_is_help=True, help="List, fork and delete the sequences of a state database.")
Number = Annotated[int, typer.Argument(metavar="NUMBER", help="Number of the sequence.")]
WIDTH = 60
"""Characters of a text that are shown."""


@app.command(name="list")
def list_(model: ModelArg, db: NeededStateFile) -> None:
    """Show every sequence: its tokens, how it chooses the next one, and the end of its text."""
    from rich.table import Table

    with _opened(model, db) as opened:
        table = Table("number", "tokens", "prompt", "chooses", "text", box=None, pad_edge=False)
        for number in opened.sequences():
            found = opened.look(number)
            counts = str(number), str(len(found.ids)), str(found.prompt_length)
            table.add_row(*counts, _choice(found), _end(opened, found))
        console(120).print(table)


@app.command()
def fork(
    model: ModelArg, number: Number, db: NeededStateFile,
    at: Annotated[int | None, typer.Option(metavar="TOKENS", help="How many tokens both share; by default all")] = None,
) -> None:  # fmt: skip
    """Make a second continuation of a sequence; print its number. What both share is stored once."""
    with _opened(model, db) as opened:
        sys.stdout.write(f"{opened.resume(number).fork(at).number}\n")


@app.command()
def delete(
    model: ModelArg, db: NeededStateFile,
    numbers: Annotated[list[int], typer.Argument(metavar="NUMBER…", help="Numbers of the sequences.")],
) -> None:  # fmt: skip
    """Delete sequences; what others share with them stays."""
    with _opened(model, db) as opened:
        found = [opened.resume(number) for number in dict.fromkeys(numbers)]
        for sequence in found:
            sequence.delete()


def _opened(model: str, db: Path) -> Model:
    from irsql import api
    from irsql.runtime.errors import UserError
    from irsql.targets.base import driver_of

    if not api.is_checkpoint(model):
        there = driver_of(model).has_state(model, str(db))
    else:
        there = db.exists()
    if not there:
        raise UserError(f"there is no {db}: give the file that --db of another command wrote")
    return api.load(model, db=db)


def _choice(sequence: TokenSequence) -> str:
    import attrs

    from irsql.runtime.settings import Settings

    if sequence.settings.sampler == "greedy":
        return "greedy"
    neutral = attrs.asdict(Settings())
    given = {k: v for k, v in attrs.asdict(sequence.settings).items() if v != neutral[k]}
    return ", ".join(f"{k.replace('_', '-')} {v:g}" for k, v in given.items())


def _end(model: Model, sequence: TokenSequence) -> str:
    if not model.has_tokenizer:
        return " ".join(map(str, sequence.ids[-12:]))
    text = model.decode(sequence.ids).replace("\n", " ")
    return printable(text if len(text) <= WIDTH else "…" + text[-WIDTH:])
