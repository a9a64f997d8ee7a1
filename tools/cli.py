"""``irsql``: load, compile and run language models from the command line.

Errors are one sentence on standard error and exit code 1 (``--traceback`` shows where they come from); usage errors
give 2. Standard output carries results alone. Nothing heavy is imported before a command needs it.
"""

from __future__ import annotations

import io
import json
import sys
import traceback
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

import irsql
from irsql.tools import calibrate_command, measure_commands, sequences_command
from irsql.tools.options import (
    Capture,
    CaptureOption,
    MaxNewTokens,
    MemoryLimit,
    MinP,
    ModelArg,
    ModelTargetOption,
    Pipeline,
    Plugin,
    PromptIds,
    RepetitionPenalty,
    Seed,
    StateFile,
    StopIds,
    TargetOption,
    Temperature,
    Threads,
    TopK,
    TopP,
    ids,
)

if TYPE_CHECKING:
    from irsql.api import Model
    from irsql.ir.instruments.options import InstrumentOptions
    from irsql.runtime.generate import Generation

DEMO = Path(irsql.__file__).parent / "data" / "demo"
DEMO_PROMPT = "Once upon a time"

app = typer.Typer(
    name="irsql", no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False, rich_markup_mode="rich",
    help="Compile PyTorch language models to SQL and let a stock database run them.",
)  # fmt: skip


app.add_typer(sequences_command.app, name="sequences")
app.command()(measure_commands.bench)
app.command()(measure_commands.profile)


@app.callback()
def common(
    version: Annotated[bool, typer.Option("--version", help="Show the version and stop.")] = False,
    traceback: Annotated[bool, typer.Option("--traceback", help="Show Python tracebacks of errors.")] = False,
) -> None:
    """Compile PyTorch language models to SQL and let a stock database run them."""


@app.command()
def generate(
    context: typer.Context, model: ModelArg,
    prompt: Annotated[str | None, typer.Argument(help="The text to continue.")] = None,
    prompt_ids: PromptIds = None,
    batch: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Continue every line of a file, all together; - reads a pipe.")
    ] = None,
    max_new_tokens: MaxNewTokens = 128, stop_ids: StopIds = None,
    temperature: Temperature = None, top_k: TopK = None, top_p: TopP = None, min_p: MinP = None,
    repetition_penalty: RepetitionPenalty = None, seed: Seed = None, target: ModelTargetOption = None,
    db: StateFile = None,
    resume: Annotated[int | None, typer.Option(metavar="NUMBER", help="Continue this sequence of --db.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one object (with --batch, one a line).")] = False,
    capture: CaptureOption = Capture.fused, threads: Threads = None, memory_limit: MemoryLimit = None,
) -> None:  # fmt: skip
    """Continue a prompt; the new text goes to standard output as it is generated.

    Without sampling options tokens are chosen as the model's generation_config.json says, else the likeliest is taken.

    With --db the sequence is kept in that file: --resume goes on with it, and without a prompt the newest one goes on.
    A sequence that goes on keeps its settings where no option is given.

    With --json, `ids` are the new tokens; a stop token is the last of them. Special tokens have no text.

    Examples
    --------
      irsql generate ./Llama-3.2-1B "The sea is" --max-new-tokens 40
      irsql generate model.db --prompt-ids 1,5,9 --json
      irsql generate model.db "Once" --temperature 0.8 --top-p 0.9 --seed 7 --db my.db
      irsql generate model.db --db my.db
      irsql generate model.db --batch prompts.txt
    """
    from irsql.runtime.errors import UserError
    from irsql.runtime.generate import Defaults

    options: dict[str, Any] = {
        "max_new_tokens": max_new_tokens, "stop_ids": None if stop_ids is None else ids(stop_ids),
        "keep": db is not None, "temperature": temperature, "top_k": top_k, "top_p": top_p, "min_p": min_p,
        "repetition_penalty": repetition_penalty, "seed": seed,
    }  # fmt: skip
    if batch is not None and (prompt is not None or prompt_ids is not None or resume is not None):
        raise UserError("--batch takes its prompts from a file: leave out the prompt, --prompt-ids and --resume")
    with open_model(context, model, target=target, capture=capture, state=":memory:" if db is None else db,
                    threads=threads, memory_limit=memory_limit) as opened:  # fmt: skip
        ignored = Defaults.of(opened).ignored
        if ignored:
            print(f"irsql: generation_config.json also asks for {', '.join(ignored)}: not applied", file=sys.stderr)
        if batch is not None:
            from irsql.tools import batch_command

            batch_command.run(opened, batch, as_json, options)
            return
        if resume is None and prompt is None and prompt_ids is None:
            resume = _newest(opened, db)
        given = None if prompt_ids is None else ids(prompt_ids)
        _show(opened, opened.generate(prompt, prompt_ids=given, resume=resume, **options), as_json)


@app.command()
def chat(
    context: typer.Context, model: ModelArg,
    system: Annotated[str | None, typer.Option(metavar="TEXT", help="A system message, for a new chat.")] = None,
    db: StateFile = None,
    resume: Annotated[int | None, typer.Option(metavar="NUMBER", help="Go on with this chat of --db.")] = None,
    max_new_tokens: MaxNewTokens = 512, temperature: Temperature = None, top_k: TopK = None, top_p: TopP = None,
    min_p: MinP = None, repetition_penalty: RepetitionPenalty = None, seed: Seed = None,
    target: ModelTargetOption = None, capture: CaptureOption = Capture.fused, threads: Threads = None,
    memory_limit: MemoryLimit = None,
) -> None:  # fmt: skip
    """Talk to a model through its own chat template; from a pipe, a message a line.

    Needs a model with a chat template. A turn runs only what is new.
    Without sampling options tokens are chosen as the model's generation_config.json says, else the likeliest is taken.

    With --db a chat can go on later: `irsql sequences list` shows its number.

    Examples
    --------
      irsql chat ./Llama-3.2-1B-Instruct --system "Answer briefly." --db chats.db
      irsql chat model.db --db chats.db --resume 0
    """
    from irsql.tools import chat_command

    with open_model(context, model, target=target, capture=capture, state=":memory:" if db is None else db,
                    threads=threads, memory_limit=memory_limit) as opened:  # fmt: skip
        talk = opened.chat(resume=resume, system=system, temperature=temperature, top_k=top_k, top_p=top_p,
                           min_p=min_p, repetition_penalty=repetition_penalty, seed=seed)  # fmt: skip
        chat_command.run(opened, talk, max_new_tokens)


@app.command()
def load(
    context: typer.Context,
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="A Hugging Face folder with safetensors weights.")],
    output: Annotated[
        str,
        typer.Option("--output", "-o", metavar="FILE", help="The database to write, or an address postgresql://…#SCHEMA."),
    ],
    force: Annotated[bool, typer.Option("--force", help="Replace an existing file.")] = False,
    capture: CaptureOption = Capture.fused, target: TargetOption = "duckdb",
    progress: Annotated[bool | None, typer.Option(help="Show a bar; by default on a terminal.")] = None,
    pass_pipeline: Pipeline = None, plugin: Plugin = None,
) -> None:  # fmt: skip
    """Compile a model and load its weights into a database.

    The database is all that generating needs: neither the folder, nor PyTorch, nor transformers.

    Examples
    --------
      irsql load ./Llama-3.2-1B -o llama.db
      irsql generate llama.db "The sea is"
    """
    from irsql import api
    from irsql.frontend.checkpoint import Checkpoint
    from irsql.runtime import load as loading
    from irsql.targets.base import driver

    api.check_target(target)
    loading.check_free(output, force, driver(target))
    checkpoint = Checkpoint.open(folder)
    plug_in(plugin)
    with _options(context).build() as instruments:
        program = api.compile_folder(folder, capture.value, instruments, pass_pipeline, target)
    loading.load(program, checkpoint, output, force=force, progress=progress)


@app.command(name="compile")
def compile_(
    context: typer.Context, model: ModelArg,
    output: Annotated[Path, typer.Option("--output", "-o", metavar="DIR", help="Folder for the scripts.")],
    target: ModelTargetOption = None, capture: CaptureOption = Capture.fused,
    prompt: Annotated[str | None, typer.Option(help="Text for prompt.sql.")] = None, prompt_ids: PromptIds = None,
    max_new_tokens: MaxNewTokens = 64, stop_ids: StopIds = None, temperature: Temperature = None, top_k: TopK = None,
    top_p: TopP = None, min_p: MinP = None, repetition_penalty: RepetitionPenalty = None, seed: Seed = None,
    weights: Annotated[bool, typer.Option(help="Write the weights for load.sql, where the folder has them.")] = True,
    pass_pipeline: Pipeline = None, plugin: Plugin = None,
) -> None:  # fmt: skip
    """Write a model as SQL scripts that the engine's own shell runs, without Python.

    Without sampling options tokens are chosen as the model's generation_config.json says, else the likeliest is taken.

    Examples
    --------
      irsql compile ./Llama-3.2-1B -o scripts --prompt "The sea is"
      cd scripts && duckdb < load.sql && duckdb < run.sql

      irsql compile ./Llama-3.2-1B -o scripts --target sqlite
      cd scripts && sqlite3 < load.sql && sqlite3 < run.sql

      irsql compile ./Llama-3.2-1B -o scripts --target pgvector
      cd scripts && psql mydb -f load.sql && psql mydb -f run.sql
    """
    from irsql.tools.compile_command import write_scripts

    plug_in(plugin)
    write_scripts(model, output, _options(context), target=target, capture=capture.value, prompt=prompt,
                  prompt_ids=None if prompt_ids is None else ids(prompt_ids), max_new_tokens=max_new_tokens,
                  settings={"temperature": temperature, "top_k": top_k, "top_p": top_p, "min_p": min_p,
                            "repetition_penalty": repetition_penalty, "seed": seed},
                  stop_ids=None if stop_ids is None else ids(stop_ids), with_weights=weights,
                  pipeline=pass_pipeline)  # fmt: skip


app.command()(calibrate_command.calibrate)


@app.command()
def explain(
    model: ModelArg,
    function: Annotated[str, typer.Option(metavar="NAME", help="prefill, decode, sample, …")] = "decode",
    layer: Annotated[str | None, typer.Option(metavar="PATH", help="Show the statements of this layer.")] = None,
    sql: Annotated[bool, typer.Option("--sql", help="Show the SQL too.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print everything as one JSON object.")] = False,
    target: ModelTargetOption = None, capture: CaptureOption = Capture.fused,
) -> None:  # fmt: skip
    """Show what a model has become: layers, their statements, and the tables these read and write, in rows and bytes.

    Of a folder only the configuration is read. B, S and T are the live sequences, the new tokens and the known ones.

    Examples
    --------
      irsql explain llama.db
      irsql explain llama.db --layer model.layers.0 --sql
    """
    from irsql.tools import explain_command

    program = explain_command.program_of(model, capture.value, target)
    if as_json:
        print(explain_command.as_json(program, function))
    else:
        explain_command.show(program, function, layer, sql)


@app.command()
def view(
    dump: Annotated[Path, typer.Argument(metavar="DUMPDIR", help="A folder that --dump-dir wrote.")],
    output: Annotated[
        Path | None, typer.Option("--output", "-o", metavar="FILE", help="The page; by default DUMPDIR.html.")
    ] = None,
    profile: Annotated[
        Path | None, typer.Option(metavar="FILE", help="What irsql profile --json printed: the page shows it too.")
    ] = None,
    plugin: Plugin = None,
) -> None:
    """Write a dump as one HTML page: stages side by side, passes, and what became of every op.

    The page needs no network and no other file. It shows for every op where it came from and which SQL it became, for
    every pass what it changed, its time and its remarks.

    Example:
      irsql compile ./Llama-3.2-1B -o scripts --dump-dir dump && irsql view dump -o dump.html
    """
    from irsql.tools.view import page

    plug_in(plugin)
    folder = dump.resolve()
    path = folder.with_name(folder.name + ".html") if output is None else output
    for note in page.write(dump, path, profile):
        print(f"irsql: {note}", file=sys.stderr)
    print(path)


@app.command()
def encode(
    context: typer.Context, model: ModelArg,
    text: Annotated[str | None, typer.Argument(help="The text; without it, a text a line from standard input.")] = None,
) -> None:  # fmt: skip
    """Print the token ids of texts: one line a text, commas between, as --prompt-ids takes them."""
    with open_model(context, model) as opened:
        for line in [text] if text is not None else (line.rstrip("\n") for line in sys.stdin):
            sys.stdout.write(",".join(map(str, opened.encode(line))) + "\n")


@app.command()
def demo(
    context: typer.Context,
    prompt: Annotated[str, typer.Argument(help="How the story begins.")] = DEMO_PROMPT,
    max_new_tokens: MaxNewTokens = 300, temperature: Temperature = 0.7, seed: Seed = 0,
    target: TargetOption = "duckdb",
) -> None:  # fmt: skip
    """Tell a story: a database computes it from the small Llama that comes with irsql, token by token."""
    with open_model(context, DEMO, target=target) as model:
        running = model.generate(prompt, max_new_tokens=max_new_tokens, temperature=temperature, seed=seed)
        sys.stdout.write(prompt)
        _show(model, running, as_json=False)
        speed = running.timings["tokens_per_second"]
        print(
            f"irsql: {len(running.ids)} tokens, {speed:.1f} a second, computed by {model.db.title} {model.db.version}",
            file=sys.stderr,
        )


def open_model(
    context: typer.Context,
    source: str | Path,
    *,
    target: str | None = None,
    capture: Capture = Capture.fused,
    state: str | Path = ":memory:",
    threads: int | None = None,
    memory_limit: str | None = None,
) -> Model:
    """The model behind a command's argument; the command's instruments watch where it is compiled."""
    from irsql import api

    if not api.is_checkpoint(source) and _options(context) != type(_options(context))():
        print(f"irsql: {source} is compiled already: there is nothing to watch", file=sys.stderr)
    with _options(context).build() as instruments:
        return api.load(source, db=state, target=target, capture=capture.value, threads=threads,
                        memory_limit=memory_limit, instruments=instruments)  # fmt: skip


def _show(model: Model, running: Generation, as_json: bool) -> None:
    """Print what is generated: text, ids where there is no tokenizer, or one JSON object at the end."""
    with closing(running):
        for piece in running:
            if not as_json:
                sys.stdout.write(piece.text if model.has_tokenizer else f"{piece.id} ")
                sys.stdout.flush()
    if as_json:
        text = running.text if model.has_tokenizer else None
        found = {"prompt_ids": running.prompt_ids, "ids": running.ids, "text": text, "timings": running.timings}
        sys.stdout.write(json.dumps(found, ensure_ascii=False))
    sys.stdout.write("\n")
    sys.stdout.flush()
    if running.context_full:
        print(f"irsql: the context of {model.context} tokens is full", file=sys.stderr)


def _newest(model: Model, db: Path | None) -> int:
    from irsql.runtime.errors import UserError

    numbers = model.sequences() if db is not None else []
    for number in reversed(numbers):
        if model.look(number).ids:  # a chat after /reset has none
            return number
    raise UserError("there is no prompt: give a text or --prompt-ids, or --db with a sequence to continue")


def _options(context: typer.Context) -> InstrumentOptions:
    """The instruments that :func:`main` took out of the command line."""
    from irsql.ir.instruments.options import InstrumentOptions

    return context.obj if isinstance(context.obj, InstrumentOptions) else InstrumentOptions()


def plug_in(plugins: Sequence[str] | None) -> None:
    """Load passes of the user's own."""
    from irsql.ir import pass_registry

    for plugin in plugins or ():
        pass_registry.load_plugin(plugin)


def _instrument_help() -> str:
    from irsql.ir.instruments.options import HELP

    flags = ", ".join(f"--{k}" for k in HELP)
    return f"Instruments, on every command that compiles (`irsql-opt --help` explains them): {flags}"


def main(argv: Sequence[str] | None = None) -> None:
    """Run the command; exits: 130 when interrupted, 1 when nobody reads the output any more."""
    from irsql.ir.instruments.options import take_options

    given = list(sys.argv[1:] if argv is None else argv)
    options, rest = take_options(given)
    show = "--traceback" in rest
    rest = [a for a in rest if a != "--traceback"]
    if rest[:1] == ["--version"]:
        print(f"irsql {irsql.__version__}")
        sys.exit(0)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")
    app.info.epilog = _instrument_help()
    try:
        app(args=rest, prog_name="irsql", obj=options)
    except Exception as error:
        if not isinstance(error, _expected()):
            raise
        if show:
            traceback.print_exception(error)
        print(f"irsql: {_sentence(error)}", file=sys.stderr)
        sys.exit(1)


def _sentence(error: Exception) -> str:
    if isinstance(error, OSError):
        return f"{error.filename} cannot be read or written: {error.strerror}" if error.filename else str(error)
    return str(error)


def _expected() -> tuple[type[Exception], ...]:
    """The errors that are meant for users; none of their modules imports torch."""
    from irsql.frontend.captured import CaptureError
    from irsql.frontend.checkpoint import CheckpointError
    from irsql.ir.core import IRError
    from irsql.ir.pass_registry import PassRegistryError
    from irsql.runtime.errors import UserError
    from irsql.targets.errors import EngineError

    return UserError, EngineError, CheckpointError, CaptureError, IRError, PassRegistryError, OSError


if __name__ == "__main__":
    main()
