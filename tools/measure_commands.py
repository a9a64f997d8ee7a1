"""``irsql bench`` and ``irsql profile``: their arguments."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated

import typer

from irsql.tools.options import (
    Capture,
    CaptureOption,
    Grouping,
    ModelArg,
    ModelTargetOption,
    Pipeline,
    Plugin,
    TargetOption,
    Threads,
    ids,
)


def bench(
    model: Annotated[str, typer.Argument(metavar="MODEL", help="A model folder, `demo`, or a shape such as "
                                                               "llama-3.2-1b, llama-3-8b or hidden-2048.")],
    target: TargetOption = "duckdb",
    ablation: Annotated[bool, typer.Option("--ablation", help="Also leave out every pass in turn.")] = False,
    without: Annotated[list[str] | None, typer.Option(metavar="PASS", help="Also leave out this pass.")] = None,
    options: Annotated[list[str] | None, typer.Option("--with", metavar="PASS{…}", help=(
        "Also run with other options of a pass, such as select-layout{form=scalar}."))] = None,
    peers: Annotated[bool, typer.Option("--peers", help="Also run PyTorch, llama.cpp and other SQL forms.")] = False,
    contexts: Annotated[str, typer.Option(metavar="128,1024", help="Positions before the timed steps.")] =
        "128,1024,4096",
    prompt: Annotated[int, typer.Option(min=1, help="Tokens before the first token.")] = 128,
    repeat: Annotated[int, typer.Option(min=1, help="Interleaved rounds.")] = 3,
    steps: Annotated[int, typer.Option(min=1, help="Timed steps of a round at each context.")] = 3,
    layers: Annotated[int | None, typer.Option(min=1, help="Layers of a shape.")] = None,
    threads: Threads = None,
    work_dir: Annotated[Path | None, typer.Option(metavar="DIR", help="Where weights and databases are kept.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print everything as one JSON object.")] = False,
    progress: Annotated[bool | None, typer.Option(help="Show what is done; by default on a terminal.")] = None,
    capture: CaptureOption = Capture.fused, pass_pipeline: Pipeline = None, plugin: Plugin = None,
) -> None:  # fmt: skip
    """Measure a model: time to first token, time a token at several contexts, bytes, memory, start-up.

    A shape stands for random weights, written into the work folder; databases stay there too. Everything takes its
    turn in every round. The logits of each are compared with eager PyTorch's, and the tokens with each other.

    Examples
    --------
      irsql bench demo --ablation
      irsql bench llama-3.2-1b --layers 4 --peers --json > bench.json
    """
    from irsql.tools import cli
    from irsql.tools.bench import command

    cli.plug_in(plugin)
    report = command.bench(
        model, target=target, work=work_dir or command.default_folder(), layers=layers, contexts=ids(contexts),
        prompt=prompt, rounds=repeat, steps=steps, threads=threads,
        without=None if ablation else without or (), options=options or (), peers=peers,
        capture=capture.value, text=pass_pipeline, progress=sys.stderr.isatty() if progress is None else progress,
    )  # fmt: skip
    if as_json:
        print(json.dumps(report.as_json(), indent=2))
    else:
        report.show()
    if report.wrong:
        sys.exit(1)


def profile(
    context: typer.Context, model: ModelArg,
    function: Annotated[str, typer.Option(metavar="NAME", help="decode or prefill.")] = "decode",
    tokens: Annotated[int, typer.Option("--context", min=1, help="Tokens before a decode, or of the prefill.")] = 128,
    steps: Annotated[int, typer.Option(min=1, help="Profiled steps; medians are shown.")] = 3,
    by: Annotated[Grouping, typer.Option(help="A row for each module, with all layers together, layer, or statement.")]
        = Grouping.module,
    layer: Annotated[str | None, typer.Option(metavar="PATH", help="Show only this layer or module.")] = None,
    layout_report: Annotated[bool, typer.Option("--layout-report", help="Show predicted beside measured time of every "
                                                                        "contraction.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, as irsql view --profile takes it.")] = False,
    target: ModelTargetOption = None, capture: CaptureOption = Capture.fused, threads: Threads = None,
) -> None:  # fmt: skip
    """Show what a step spends its time on: the engine's own profile, by module and layer.

    Examples
    --------
      irsql profile model.db --context 1024
      irsql profile ./Llama-3.2-1B --dump-dir dump --json > profile.json
      irsql view dump --profile profile.json
    """
    from irsql.tools import cli
    from irsql.tools.profile import command, layouts

    with cli.open_model(context, model, target=target, capture=capture, threads=threads) as opened:
        found = command.profile(opened, function=function, context=tokens, steps=steps)
    if layout_report:
        layouts.show(opened.program, found)
    elif as_json:
        print(json.dumps(found.as_json(), ensure_ascii=False))
    else:
        command.show(found, by.value, layer)
