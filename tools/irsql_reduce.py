"""``irsql-reduce``: the smallest module on which a command still fails.

The result goes to standard output (or ``-o``), progress and errors to standard error. Errors give exit code 1, usage
errors 2; after Ctrl-C the best module so far is written and the exit code is 130.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from irsql import __version__
from irsql.ir.core import IRError, Module
from irsql.ir.diagnostics import Diagnostic, DiagnosticError, from_error

if TYPE_CHECKING:
    from irsql.tools.reduce.command import Command, Outcome
    from irsql.tools.reduce.reducer import Reducer

SHOWN_LINES = 6
"""Lines of a command's output in messages."""
DESCRIPTION = """\
Shrink IR of any stage (operations, extents, constants, attributes, locations) while a command still fails on it.

The command runs with the path of a candidate at its end, or in the place of {}. As long as it FAILS (its exit code is
not 0) the candidate is kept and reduced further; otherwise it is dropped. First it must fail on FILE itself. With
--expect its output must also contain a text, so that the reduction does not slip to another failure.
"""
EPILOG = """\
example:
  irsql-reduce in.mlir --test 'irsql-opt {} -p canonicalise --verify-semantics' --expect 'changes what' -o small.mlir

The command is a shell command and runs in the current folder. Lines of // at the top of FILE stand at the top of every
candidate, so that 'irsql-opt {} --run-reproducer' is a command too. Candidates that do not parse and verify are not
tested. Ctrl-C ends the reduction and writes the best module so far.
"""


def build_parser() -> argparse.ArgumentParser:
    """The command's arguments."""
    parser = argparse.ArgumentParser("irsql-reduce", description=DESCRIPTION, epilog=EPILOG, allow_abbrev=False,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file", metavar="FILE", type=Path, help="IR text; constants beside it are read too")
    parser.add_argument("--test", metavar="CMD", required=True, help="the command that fails")
    parser.add_argument("--expect", metavar="TEXT", default="",
                        help="what the output of the failing command (both streams) must contain")
    parser.add_argument("-o", "--output", metavar="OUT", type=Path,
                        help="write the result to a file (default: standard output)")
    parser.add_argument("--jobs", "-j", metavar="N", type=_positive, default=os.cpu_count() or 1,
                        help="commands that run at the same time (default: one a core); the result is the same")
    parser.add_argument("--timeout", metavar="S", type=_seconds, default=60.0,
                        help="seconds after which the command is ended, which counts as no failure (default: 60)")
    parser.add_argument("--max-tests", metavar="N", type=_positive, help="run the command at most N times")
    parser.add_argument("--version", action="version", version=f"irsql-reduce {__version__}")
    return parser


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"must be at least 1, not {number}")
    return number


def _seconds(text: str) -> float:
    number = float(text)
    if not 0 < number < float("inf"):
        raise argparse.ArgumentTypeError(f"must be above 0, not {text}")
    return number


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command and give its exit code."""
    args = build_parser().parse_args(argv)
    try:
        return _run(args)
    except (IRError, OSError) as error:
        if isinstance(error, OSError) and error.filename:
            print(f"error: cannot read or write {error.filename}: {error.strerror}", file=sys.stderr)
        else:
            print(from_error(error), file=sys.stderr)
        return 1


def _run(args: argparse.Namespace) -> int:
    from irsql.ir.dump import header_of, read_module
    from irsql.ir.verifier import verify
    from irsql.tools.reduce.command import Command
    from irsql.tools.reduce.reducer import Candidate, Reducer

    module = read_module(args.file)
    verify(module)
    if args.output is not None and not args.output.parent.is_dir():
        raise DiagnosticError(Diagnostic(f"the folder of {args.output} does not exist"))
    header = header_of(args.file.read_text(encoding="utf-8"))
    command = Command(args.test, args.expect, args.timeout)
    _check_fails(command, args.file)
    with _Progress() as progress:
        reducer = Reducer(command, name=args.file.name, header=header, jobs=args.jobs, max_tests=args.max_tests,
                          progress=progress.show, stop=command.stop)
        before = reducer.begin(module)
        interrupted = False
        try:
            reducer.run()
        except KeyboardInterrupt:
            interrupted = True
    after: Candidate = reducer.best
    print(f"{'interrupted: ' if interrupted else ''}{before.ops} -> {after.ops} ops, {before.size} -> {after.size} "
          f"bytes, {reducer.tests} tests", file=sys.stderr)
    for name, error in reducer.failures.items():
        print(f"warning: the reduction {name} failed on a candidate, which is left out: {error!r}", file=sys.stderr)
    _write(args, after.module, header)
    return 130 if interrupted else 0


def _check_fails(command: Command, path: Path) -> None:
    """Raise where the command does not fail on the input as it should."""
    from irsql.tools.reduce.command import CANNOT_RUN

    outcome = command.run(path)
    if command.fails(outcome):
        return
    if outcome.code is None:
        message = f"the command does not end within {command.timeout:g} s (--timeout)"
    elif outcome.code in CANNOT_RUN:
        message = "the command cannot be run"
    elif outcome.code == 0:
        message = f"the command does not fail on {path}: its exit code is 0"
    else:
        message = f"the command fails on {path}, but its output does not contain {command.expect!r}"
    raise DiagnosticError(Diagnostic(message, notes=(f"it was: {command.line(path)}", *_tail(outcome))))


def _tail(outcome: Outcome) -> list[str]:
    lines = outcome.output.splitlines()
    return [f"its output{' ends in' if len(lines) > SHOWN_LINES else ''}: {line}" if i == 0 else line
            for i, line in enumerate(lines[-SHOWN_LINES:])]


class _Progress:
    """A line that is written again and again, where standard error is a terminal."""

    def __init__(self) -> None:
        from tqdm import tqdm

        self._bar: Any = tqdm(bar_format="{desc}", disable=None)

    def show(self, reducer: Reducer) -> None:
        """Say how far a reduction is."""
        best = reducer.best
        if not self._bar.disable:
            self._bar.set_description_str(
                f"{best.ops} ops, {best.size} bytes, {reducer.tests} tests: {reducer.current}")

    def __enter__(self) -> _Progress:
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.close()


def _write(args: argparse.Namespace, module: Module, header: Sequence[str]) -> None:
    from irsql.ir.dump import replace_module
    from irsql.ir.printer import print_op

    if args.output is not None:
        replace_module(args.output, module, header)
        return
    resources: dict[str, Any] = {}
    text = print_op(module, resources=resources)
    sys.stdout.write("".join(f"// {line}".rstrip() + "\n" for line in header) + text)
    if resources:
        print(f"warning: {len(resources)} large constants are not in this text; -o FILE keeps them beside the file",
              file=sys.stderr)


if __name__ == "__main__":
    sys.exit(main())
