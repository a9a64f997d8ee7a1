"""``irsql-opt FILE -p PIPELINE --bisect``: which pass changes the results, and a file that shows it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import attrs
from tqdm import tqdm

from irsql.ir.bisect import Bisection, Finding, clone
from irsql.ir.core import IRError, Module
from irsql.ir.diagnostics import Diagnostic, DiagnosticError
from irsql.ir.instruments.options import InstrumentOptions
from irsql.ir.instruments.reproducer import write_reproducer
from irsql.ir.instruments.verify_each import VerifyEach
from irsql.ir.instruments.verify_semantics import VerifySemantics
from irsql.ir.passes import Pass
from irsql.ir.pipeline import PassFailure, run_passes


def bisect(module: Module, passes: Sequence[Pass], options: InstrumentOptions, reproducer: Path) -> int:
    """Bisect, print what was found, write the reproducer; give the exit code: 1 where a pass is wrong."""
    if not passes:
        raise DiagnosticError(Diagnostic("there are no passes to bisect", suggestion="give some with --pass-pipeline, "
                                         "or --run-reproducer for those of the file's header"))
    watching = attrs.evolve(options, verify_each=False, verify_semantics=False, reproducer=False, reproducer_dir=None)
    with watching.build() as instruments, tqdm(desc="bisect", unit=" runs", disable=None) as bar:
        found = Bisection(VerifySemantics(), instruments, verify_each=options.verify_each,
                          progress=bar.update).run(module, passes)
    if found is None:
        print(f"no pass of {len(passes)} changes the results")
        return 0
    for line in report(found, len(passes)):
        print(line)
    flags = [*(["--verify-semantics"] if not found.failed else []),
             *([] if options.verify_each else ["--no-verify-each"])]
    command = write_reproducer(reproducer, found.before, found.pass_, flags, str(found.problem))
    print(f"reproduce with: {command}")
    if not fails(found, options.verify_each):
        print("warning: the pass alone does not fail: its error adds to smaller ones of the passes before it")
    return 1


def report(found: Finding, count: int) -> list[str]:
    """What was found, for humans."""
    lines = [f"pass {found.number} of {count}: {found.pass_.spec}"]
    lines += [f"  {line}" for line in str(found.problem).splitlines()]
    if found.rewrite is not None:
        rewrite = found.rewrite
        lines += [f"  rewrite {rewrite.number} of {rewrite.total}: {rewrite.pattern} on", f"    {rewrite.op.strip()}"]
        if rewrite.location.known:
            lines.append(f"    from {rewrite.location}")
    elif found.why_no_rewrite:
        lines.append(f"  no single rewrite: {found.why_no_rewrite}")
    if found.repaired:
        lines.append("  after the last pass the results are right again")
    return lines


def fails(found: Finding, verify_each: bool) -> bool:
    """Whether the pass fails on the module before it alone, which is then the reference."""
    checks = [*([] if found.failed else [VerifySemantics()]), *([VerifyEach()] if verify_each else [])]
    try:
        run_passes(clone(found.before), found.pass_, instruments=checks)
    except PassFailure:
        return True
    except IRError:  # it cannot be executed, which the command will say too
        return True
    return False
