"""``irsql-opt``: run passes on IR text of any stage, and look at what they do.

The result goes to standard output (or ``-o``), everything else to standard error. Errors are diagnostics and give exit
code 1; usage errors give 2.
"""

from __future__ import annotations

import argparse
import os
import sys
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from irsql import __version__
from irsql.ir.core import IRError, Module
from irsql.ir.diagnostics import Diagnostic, DiagnosticError, from_error
from irsql.ir.files import write_text
from irsql.ir.instruments import options as instrument_options
from irsql.ir.instruments.reproducer import read_header
from irsql.ir.pass_registry import PassRegistryError

SEPARATOR = "// -----"


def build_parser() -> argparse.ArgumentParser:
    """The command's arguments."""
    parser = argparse.ArgumentParser("irsql-opt", description="Run passes on IR text of any stage.", allow_abbrev=False)
    parser.add_argument("file", nargs="?", metavar="FILE", help="IR text, - for standard input")
    parser.add_argument("--pass-pipeline", "-p", metavar="TEXT", help="passes to run: a,b{option=1},c")
    parser.add_argument("--run-reproducer", action="store_true", help="run the pipeline that the file's header names")
    parser.add_argument("-o", "--output", metavar="OUT", type=Path, help="write the result to a file")
    parser.add_argument("--target", metavar="NAME", help="compile for this target instead of the module's own")
    parser.add_argument("--plugin", action="append", default=[], metavar="FILE|MODULE",
                        help="load passes of your own from a Python file or module")
    parser.add_argument("--version", action="version", version=f"irsql-opt {__version__}")
    parser.add_argument("--print-pipeline", action="store_true",
                        help="print the passes that a compile for --target runs, as text for -p, and stop")
    parser.add_argument("--emit-sql", action="store_true",
                        help="print the result, of the sql stage, as SQL text for its target instead of IR")
    parser.add_argument("--list-passes", action="store_true", help="list all passes and stop")
    parser.add_argument("--shrink", action="store_true",
                        help="first replace big axes by small ones, so that --verify-semantics can run the module")
    parser.add_argument("--bisect", action="store_true",
                        help="find the first pass that changes what the module computes (or fails), and the rewrite in "
                        "it; write a reproducer to OUT (default: FILE with .bisect.mlir); exit code 1 if there is one")
    parser.add_argument("--split-input-file", action="store_true",
                        help=f"treat the parts between '{SEPARATOR}' lines alone")
    parser.add_argument("--verify-diagnostics", action="store_true",
                        help="check the errors against '// expected-error@+1 {{text}}' comments")
    parser.add_argument("--no-locations", action="store_true", help="print the result without locations")
    parser.add_argument("--picture", metavar="OUT", type=Path,
                        help="draw the result instead of printing it: .dot, or .svg and .png through Graphviz")
    parser.add_argument("--scope", metavar="PATH", default="",
                        help="with --picture: only this module path (model.layers.0)")
    parser.add_argument("--function", metavar="NAME", default="",
                        help="with --picture: this function (default: the last that has ops of --scope, or of any "
                             "module)")
    parser.add_argument("--traceback", action="store_true", help="show Python tracebacks of errors")
    instrument_options.add_arguments(parser)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command and give its exit code."""
    parser = build_parser()
    args = parser.parse_args(argv)
    if args.file is None and not (args.list_passes or args.print_pipeline):
        parser.error("the argument FILE is needed (- for standard input)")
    if args.bisect:
        for flag in ("split_input_file", "verify_diagnostics", "picture", "emit_sql"):
            if getattr(args, flag):
                parser.error(f"--bisect cannot be combined with --{flag.replace('_', '-')}")
    try:
        return _run(args)
    except BrokenPipeError:  # the reader has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 130
    except (IRError, PassRegistryError, OSError, UnicodeDecodeError) as error:
        _report(error, args.traceback)
        return 1


def _report(error: Exception, with_traceback: bool) -> None:
    if with_traceback:
        traceback.print_exception(error, file=sys.stderr)
    if isinstance(error, OSError) and error.filename:
        text = f"error: cannot read or write {error.filename}: {error.strerror}"
    elif isinstance(error, (IRError, OSError)):
        text = str(from_error(error))
    else:
        text = f"error: {error}"
    print(text, file=sys.stderr)


def _run(args: argparse.Namespace) -> int:
    from irsql.ir import pass_registry

    for plugin in args.plugin:
        pass_registry.load_plugin(plugin)
    if args.list_passes:
        list_passes()
        return 0
    if args.print_pipeline:
        from irsql.compile import pipeline
        from irsql.targets.base import DEFAULT_TARGET

        print(pipeline(target=args.target or DEFAULT_TARGET))
        return 0
    text = sys.stdin.read() if args.file == "-" else Path(args.file).read_text(encoding="utf-8")
    if args.run_reproducer:
        _apply_header(args, text)
    if args.verify_diagnostics:
        return _check_diagnostics(args, text)
    if args.bisect:
        return _bisect(args, text)
    modules = [_compile(args, part) for part in split(text, args.split_input_file)]
    if args.picture:
        _draw(args, modules[-1])
        return 0
    if args.emit_sql:
        _emit(args, modules)
        return 0
    _write(args, modules)
    return 0


def _emit(args: argparse.Namespace, modules: Sequence[Module]) -> None:
    from irsql.targets.base import emit_sql

    parts = [f"-- @{name}\n" + "".join(f"{sql};\n" for sql in statements)
             for module in modules for name, statements in emit_sql(module).items()]
    text = "\n".join(parts)
    if args.output is None:
        sys.stdout.write(text)
    else:
        write_text(args.output, text)


def _draw(args: argparse.Namespace, module: Module) -> None:
    from irsql.ir.location import within
    from irsql.ir.picture import write_picture

    functions = module.functions
    # Of a language model the functions that sample come from no module: the model is what people want to see.
    of_modules = [n for n, func in functions.items() if any(op.loc.scope for op in func.walk())]
    drawn = [n for n in of_modules if any(within(op.loc.scope, args.scope) for op in functions[n].walk())]
    name = args.function or next(reversed(drawn or of_modules or list(functions)), "")
    if name not in functions:
        known = ", ".join("@" + f for f in functions) or "none"
        raise IRError(f"no function @{name}; the module has {known}")
    write_picture(functions[name], args.picture, args.scope)


def _apply_header(args: argparse.Namespace, text: str) -> None:
    """Add the flags of the file's header to those of the command line, which win."""
    from irsql.ir import pass_registry

    header = read_header(text)
    if header is None:
        raise DiagnosticError(Diagnostic(f"{args.file} has no '// reproduce:' header"))
    saved = build_parser().parse_args([args.file, *header])
    for plugin in saved.plugin:
        if plugin not in args.plugin:
            pass_registry.load_plugin(plugin)
    if args.pass_pipeline is None:
        args.pass_pipeline = saved.pass_pipeline
    else:
        print("warning: --pass-pipeline is run instead of the pipeline of the header", file=sys.stderr)
    args.verify_semantics |= saved.verify_semantics
    args.verify_each &= saved.verify_each


def split(text: str, wanted: bool) -> list[str]:
    """The parts of a text between separator lines, each with leading empty lines so that line numbers stay right."""
    if not wanted:
        return [text]
    parts: list[list[str]] = [[]]
    for number, line in enumerate(text.splitlines()):
        if line.strip() == SEPARATOR:
            parts.append([""] * (number + 1))
        else:
            parts[-1].append(line)
    return ["\n".join(p) + "\n" for p in parts if any(line.strip() for line in p)]


def _bisect(args: argparse.Namespace, text: str) -> int:
    from irsql.ir.pipeline import parse_pipeline
    from irsql.tools.bisect_command import bisect

    passes = parse_pipeline(args.pass_pipeline or "")
    path = Path("stdin.mlir" if args.file == "-" else args.file)
    output = args.output or path.with_name(path.stem + ".bisect.mlir")
    return bisect(_read(args, text), passes, instrument_options.from_namespace(args), output)


def _read(args: argparse.Namespace, text: str) -> Module:
    """The module of a text, with the target and the size that the flags ask for."""
    from irsql.ir.dump import read_module
    from irsql.ir.instruments import remarks
    from irsql.ir.parser import parse_module
    from irsql.ir.pipeline import run_passes

    if args.file == "-" or args.split_input_file:
        module = parse_module(text, filename=_name(args))
    else:
        module = read_module(args.file)
    if args.target:
        from irsql.ir.target import attach
        from irsql.targets.base import backend
        from irsql.targets.calibration import calibrated

        attach(module, calibrated(backend(args.target).target))
    if args.shrink:
        for run in run_passes(module, "shrink"):
            print("".join(remarks.as_text(r) for r in run.ctx.remarks), end="", file=sys.stderr)
    return module


def _compile(args: argparse.Namespace, text: str) -> Module:
    from irsql.ir.pipeline import PassManager, parse_pipeline

    passes = parse_pipeline(args.pass_pipeline or "")
    module = _read(args, text)
    options = instrument_options.from_namespace(args)
    for problem in options.unknown_passes():
        print(f"warning: {problem}", file=sys.stderr)
    with options.build() as instruments:
        PassManager(passes, instruments).run(module)
    return module


def _write(args: argparse.Namespace, modules: Sequence[Module]) -> None:
    from irsql.ir.dump import replace_module
    from irsql.ir.printer import print_op

    if args.output is not None and len(modules) == 1 and not args.no_locations:
        replace_module(args.output, modules[0])
        return
    resources: dict[str, Any] = {}
    text = f"{SEPARATOR}\n".join(print_op(m, resources=resources, locations=not args.no_locations) for m in modules)
    if resources:
        print(f"warning: {len(resources)} large constants are not in this text; -o FILE keeps them beside the file",
              file=sys.stderr)
    if args.output is None:
        sys.stdout.write(text)
        return
    write_text(args.output, text)


def _check_diagnostics(args: argparse.Namespace, text: str) -> int:
    from irsql.tools.expected_diagnostics import check

    problems: list[str] = []
    for part in split(text, args.split_input_file):
        found: list[Diagnostic] = []
        try:
            _compile(args, part)
        except IRError as error:
            found = from_error(error).diagnostics
        problems += check(part, _name(args), found)
    for problem in problems:
        print(problem, file=sys.stderr)
    return 1 if problems else 0


def _name(args: argparse.Namespace) -> str:
    return "<stdin>" if args.file == "-" else str(args.file)


def list_passes() -> None:
    """Print name, stages, summary and options of every pass."""
    from irsql.ir import pass_registry
    from irsql.ir.passes import option_docs

    for name in pass_registry.names():
        try:
            cls = pass_registry.load(name)
        except PassRegistryError as error:  # another package's, which must not hide the rest
            print(f"warning: {error}", file=sys.stderr)
            continue
        docs = option_docs(cls)
        print(f"{name}  ({cls.stage_in} -> {cls.stage_out})\n    {cls.summary}")
        for option in cls.options():
            print(f"    {option.name}={option.type_text}  ({option.default_text})")
            if option.name in docs:
                print(f"        {docs[option.name]}")


if __name__ == "__main__":
    sys.exit(main())
