"""``--remarks``: what passes did, did not do, and why."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TextIO

from irsql.ir.instruments.base import Instrument, PassRun
from irsql.ir.passes import Remark


class Remarks(Instrument):
    """Collects remarks; writes them as text to a stream, or to a file: YAML for ``.yaml`` and ``.yml``, else text.

    The YAML has one document a remark, tagged ``!Passed`` or ``!Missed`` as LLVM's optimisation records are.
    """

    def __init__(self, path: Path | None = None, stream: TextIO | None = None) -> None:
        self.path, self.stream = path, stream
        self.remarks: list[Remark] = []

    def after_pass(self, run: PassRun) -> None:
        self.remarks += run.ctx.remarks

    def pass_failed(self, run: PassRun, error: Exception) -> None:
        self.remarks += run.ctx.remarks

    def close(self) -> None:
        if self.path is None:
            (self.stream or sys.stderr).write("".join(as_text(r) for r in self.remarks))
            return
        render = as_yaml if self.path.suffix in (".yaml", ".yml") else as_text
        try:
            self.path.write_text("".join(render(r) for r in self.remarks), encoding="utf-8")
        except OSError as error:
            (self.stream or sys.stderr).write(f"warning: remarks were not written: {error}\n")


def as_text(remark: Remark) -> str:
    """One remark for humans."""
    where = f"{remark.loc}: " if remark.loc.known else ""
    op = f" [{remark.op}]" if remark.op else ""
    lines = [f"{where}remark: {remark.pass_name}: {remark.kind}: {remark.message}{op}"]
    lines += [f"  reason: {remark.reason}"] if remark.reason else []
    lines += [f"  help: {remark.suggestion}"] if remark.suggestion else []
    return "\n".join(lines) + "\n"


def as_yaml(remark: Remark) -> str:
    """One remark as a YAML document (strings in JSON's form, which YAML includes)."""
    entries: dict[str, str | int] = {"Pass": remark.pass_name, "Message": remark.message}
    entries |= {k: v for k, v in (("Reason", remark.reason), ("Suggestion", remark.suggestion), ("Op", remark.op),
                                  ("Scope", remark.loc.scope), ("Node", remark.loc.node), ("File", remark.loc.file),
                                  ("Line", remark.loc.line)) if v}
    body = "".join(f"{key}: {json.dumps(value, ensure_ascii=False)}\n" for key, value in entries.items())
    return f"--- !{remark.kind.capitalize()}\n{body}...\n"
