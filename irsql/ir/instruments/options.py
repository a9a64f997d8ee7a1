"""The flags of all instruments, for every command that compiles.

A command calls :func:`add_arguments` on its ``argparse`` parser, or, when it is built with something else, takes the
flags out of its arguments beforehand with :func:`take_options`. :meth:`InstrumentOptions.build` makes the instruments::

    options, rest = take_options(sys.argv[1:])
    with options.build() as instruments:
        PassManager(passes, instruments).run(module)
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Literal

import attrs

from irsql.ir.instruments.base import Instrument
from irsql.ir.interp import Array


class Instruments(list[Instrument]):
    """A stack of instruments; as a context manager it closes them, innermost first."""

    def close(self) -> None:
        """Let every instrument print what it collected; once."""
        while self:
            self.pop().close()

    def __enter__(self) -> Instruments:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self.close()


@attrs.define
class InstrumentOptions:
    """One field a flag; see :data:`HELP`. Every flag has an effect on its own."""

    print_ir_before: tuple[str, ...] = ()
    print_ir_after: tuple[str, ...] = ()
    print_ir_before_all: bool = False
    print_ir_after_all: bool = False
    print_ir_after_change: bool = False
    print_ir_after_failure: bool = False
    dump_dir: Path | None = None
    timing: Literal["tree", "list"] | None = None
    statistics: bool = False
    verify_each: bool = True
    verify_semantics: bool = False
    remarks: str | None = None
    reproducer: bool = False
    reproducer_dir: Path | None = None

    def build(self, parameters: Mapping[str, Array] | None = None) -> Instruments:
        """The instruments in stack order: checks innermost, so that reports see only what passed them.

        Parameters
        ----------
        parameters
            Checkpoint tensors for ``verify_semantics``.

        Raises
        ------
        DiagnosticError
            If the dump folder holds foreign files.
        """
        from irsql.ir.instruments import dump_dir, print_ir, remarks, reproducer, statistics, timing

        stack = Instruments()
        if self.timing:
            stack.append(timing.Timing(self.timing))
        if self.statistics:
            stack.append(statistics.Statistics())
        if self.remarks:
            stack.append(remarks.Remarks(None if self.remarks == "-" else Path(self.remarks)))
        if self.dump_dir:
            stack.append(dump_dir.DumpDir(self.dump_dir))
        before = print_ir.ALL if self.print_ir_before_all else self.print_ir_before
        after = print_ir.ALL if self.print_ir_after_all else self.print_ir_after
        if before or after or self.print_ir_after_change or self.print_ir_after_failure:
            stack.append(print_ir.PrintIR(before, after, self.print_ir_after_change, self.print_ir_after_failure))
        if self.reproducer or self.reproducer_dir:
            stack.append(reproducer.Reproducer(self.reproducer_dir, tuple(self._check_flags())))
        return Instruments([*stack, *self._checks(parameters)])

    def unknown_passes(self) -> list[str]:
        """A sentence for each pass that ``print_ir_before`` or ``print_ir_after`` names and that does not exist."""
        from irsql.ir import pass_registry
        from irsql.ir.pipeline import near

        known = pass_registry.names()
        return [" ".join(x for x in (f"no pass is called {name!r}:", near(name, known)) if x)
                for name in (*self.print_ir_before, *self.print_ir_after) if name not in known]

    def _check_flags(self) -> list[str]:
        return (["--verify-semantics"] if self.verify_semantics else []) + (
            [] if self.verify_each else ["--no-verify-each"])

    def _checks(self, parameters: Mapping[str, Array] | None) -> list[Instrument]:
        out: list[Instrument] = []
        if self.verify_semantics:
            from irsql.ir.instruments.verify_semantics import VerifySemantics

            out.append(VerifySemantics(parameters))
        if self.verify_each:
            from irsql.ir.instruments.verify_each import VerifyEach

            out.append(VerifyEach())
        return out


HELP = {
    "print-ir-before": "print the IR before these passes (a,b)",
    "print-ir-after": "print the IR after these passes (a,b)",
    "print-ir-before-all": "print the IR before every pass",
    "print-ir-after-all": "print the IR after every pass",
    "print-ir-after-change": "print the IR after every pass that changed it",
    "print-ir-after-failure": "print the IR when a pass fails",
    "dump-dir": "write the IR after every pass that changed it, and a manifest, to a folder",
    "timing": "print the time of every pass in order",
    "timing-list": "print the time of every pass, summed by name and sorted",
    "statistics": "print what passes counted, and hits, tries and time of their patterns",
    "no-verify-each": "do not verify the IR after every pass",
    "verify-semantics": "run the IR before and after every pass and compare the results",
    "remarks": "report what passes did and did not do, and why: FILE (.yaml or text), or - for text on standard error",
    "reproducer": "when a pass fails, write its input and the command to a new temporary folder",
    "reproducer-dir": "the same, to a new folder in this one",
}
_FILES = {"dump-dir": "DIR", "reproducer-dir": "DIR"}


def _names(text: str) -> tuple[str, ...]:
    return tuple(n.strip() for n in text.split(",") if n.strip())


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the flags of all instruments to a parser."""
    group = parser.add_argument_group("instruments (reports go to standard error)")
    for flag, text in HELP.items():
        extra: dict[str, Any] = {"action": "store_true"}
        if flag in ("print-ir-before", "print-ir-after"):
            extra = {"type": _names, "default": (), "metavar": "NAMES"}
        elif flag in _FILES:
            extra = {"type": Path, "metavar": _FILES[flag]}
        elif flag in ("timing", "timing-list"):
            extra = {"action": "store_const", "dest": "timing", "const": "list" if flag == "timing-list" else "tree"}
        elif flag == "remarks":
            extra = {"metavar": "FILE"}
        elif flag == "no-verify-each":
            extra = {"action": "store_false", "dest": "verify_each"}
        group.add_argument(f"--{flag}", help=text, **extra)


def from_namespace(namespace: argparse.Namespace) -> InstrumentOptions:
    """The options in parsed arguments."""
    return InstrumentOptions(**{f.name: getattr(namespace, f.name) for f in attrs.fields(InstrumentOptions)})


def take_options(argv: Sequence[str]) -> tuple[InstrumentOptions, list[str]]:
    """Take the flags of instruments out of a command's arguments and give both; what follows ``--`` is not touched."""
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    add_arguments(parser)
    end = list(argv).index("--") if "--" in argv else len(argv)
    namespace, rest = parser.parse_known_args(list(argv[:end]))
    return from_namespace(namespace), [*rest, *argv[end:]]
