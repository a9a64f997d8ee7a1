"""Arguments and options that several commands share."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

SAMPLING = "Sampling"


class Capture(StrEnum):
    """How a model folder is captured."""

    fused = "fused"
    aten = "aten"


class Grouping(StrEnum):
    """What is a row of a profile."""

    module = "module"
    layer = "layer"
    statement = "statement"


ModelArg = Annotated[
    str, typer.Argument(metavar="MODEL", help="A Hugging Face folder, or a database `irsql load` wrote.")
]
TargetOption = Annotated[
    str,
    typer.Option(help="What to compile for: duckdb, sqlite, postgres, pgvector, pgvector-half (weights of 16 bits), or "
                      "a target of a package of yours."),
]
ModelTargetOption = Annotated[
    str | None,
    typer.Option(help="What to compile a folder for (default: duckdb); a loaded database keeps its own target."),
]
CaptureOption = Annotated[Capture, typer.Option(help="fused keeps attention and norms whole; aten recognises nothing.")]
MaxNewTokens = Annotated[int, typer.Option(min=1, help="Most tokens to generate.")]
PromptIds = Annotated[str | None, typer.Option(metavar="1,5,9", help="The prompt as token ids.")]
Temperature = Annotated[
    float | None, typer.Option(help="0 takes the likeliest token; above 0 a token is drawn.", rich_help_panel=SAMPLING)
]
TopK = Annotated[int | None, typer.Option(help="Draw from this many likeliest tokens.", rich_help_panel=SAMPLING)]
TopP = Annotated[
    float | None,
    typer.Option(help="Draw from the likeliest tokens that reach this probability together.", rich_help_panel=SAMPLING),
]
MinP = Annotated[
    float | None,
    typer.Option(help="Draw from tokens of at least this share of the likeliest's probability.",
                 rich_help_panel=SAMPLING),
]  # fmt: skip
RepetitionPenalty = Annotated[
    float | None,
    typer.Option(help="Above 1, tokens that are there already become less likely.", rich_help_panel=SAMPLING),
]
Seed = Annotated[
    int | None,
    typer.Option(help="The same seed (0 if none is given) draws the same tokens.", rich_help_panel=SAMPLING),
]
StopIds = Annotated[
    str | None,
    typer.Option(metavar="2,7", help="Tokens that end the text; by default the model's end-of-sequence tokens."),
]
Threads = Annotated[int | None, typer.Option(min=1, help="Threads of the engine; by default one a core.")]
Pipeline = Annotated[
    str | None,
    typer.Option(metavar="TEXT", help="Passes instead of those that irsql-opt --print-pipeline shows."),
]
Plugin = Annotated[
    list[str] | None, typer.Option(metavar="FILE|MODULE", help="Load passes of your own from a Python file or module.")
]
MemoryLimit = Annotated[str | None, typer.Option(metavar="4GB", help="Most memory for the engine's buffers.")]
StateFile = Annotated[
    Path | None,
    typer.Option(metavar="FILE", help="Keep sequences and state in this database (PostgreSQL: a schema's name)."),
]
NeededStateFile = Annotated[Path, typer.Option(metavar="FILE", help="The database of the sequences.")]


def ids(text: str) -> list[int]:
    """Token ids with commas between them.

    Raises
    ------
    irsql.runtime.errors.UserError
        If they are something else.
    """
    try:
        return [int(part) for part in text.split(",") if part.strip()]
    except ValueError:
        from irsql.runtime.errors import UserError

        raise UserError(f"token ids are integers with commas between them, not {text!r}") from None
