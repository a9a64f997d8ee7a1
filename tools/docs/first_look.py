"""One small module in all stages, as README.md and docs/concepts.md show it, between two marker lines.

``python -m irsql.tools.docs.first_look`` writes what the compiler makes now into both; a test compares. The text of a
stage is the real one, cut short: locations, types and the module's own line are left out.
"""

from __future__ import annotations

import re
import runpy
from pathlib import Path

from irsql.compile import Compilation, compile_module
from irsql.frontend import capture
from irsql.frontend.importer import import_captured
from irsql.frontend.weights import ModuleWeights
from irsql.ir.parser import parse_module
from irsql.ir.printer import print_op

ROOT = Path(__file__).resolve().parents[2]
EXAMPLE = ROOT / "docs" / "examples" / "gate.py"
PAGES = ("README.md", "docs/concepts.md")
BEGIN, END = "<!-- first look, written by tools/docs/first_look.py -->", "<!-- end of the first look -->"
_TYPES = re.compile(r" : \(.*$")
_HEADER = re.compile(r'"func\.func"\(\) <\{sym_name = "(\w+)".*$')
_ARGUMENT = re.compile(r"(%\w+): !?[a-z].*?(?=, %\w+: |\):$)")
_CLASS = re.compile(r"^class .*?(?=^if __name__)", re.MULTILINE | re.DOTALL)
ABOUT = {
    "tir": "Tensors. Index maps say which element meets which; a scalar expression stands in a region:",
    "rel": "Relations. A tensor is a table with a key column a dim; the product is a join, a multiplication and a sum:",
    "tiled": "Tiled. `select-layout` put the contracted axis into one vector of 8 a row; the sum became a `dot`:",
    "sql": "A plan. Selects became one statement; what a table is, and what a subquery, is decided:",
}


def compiled() -> Compilation:
    """The example, compiled for DuckDB."""
    import torch

    torch.manual_seed(0)
    module = runpy.run_path(str(EXAMPLE))["Gate"]().eval()
    weights = ModuleWeights(module)
    captured = capture(module, (torch.randn(3, 8),), dynamic={"x": {0: "S"}})
    return compile_module(import_captured(captured), weights={n: weights.read(n) for n in weights}, keep_text=True)


def shortened(stage_text: str) -> str:
    """``@forward`` of a module's text without locations and types."""
    func = parse_module(stage_text).functions["forward"]
    lines: list[str] = []
    for line in print_op(func, locations=False).splitlines():
        line = _HEADER.sub(r"func @\1", line)
        if line.lstrip().startswith("^bb0"):
            line = _ARGUMENT.sub(r"\1", line)
        if line.startswith("}"):
            break
        lines.append(_TYPES.sub("", line))
    return "\n".join(lines)


def sql(compilation: Compilation) -> str:
    """The statements of ``@forward``, a clause a line."""
    texts = [s.sql for s in compilation.program.functions["forward"].statements]
    broken = [re.sub(r" (SELECT|FROM|CROSS JOIN|INNER JOIN|GROUP BY|WHERE) ", r"\n  \1 ", t) for t in texts]
    return "\n".join(t + ";" for t in broken)


def first_look() -> str:
    """The Markdown between the markers."""
    example = EXAMPLE.read_text(encoding="utf-8")
    source = _CLASS.search(example)
    assert source is not None
    compilation = compiled()
    parts = [f"```python\n{source.group().strip()}\n```"]
    for stage, about in ABOUT.items():
        parts += [f"**{stage}.** {about}", f"```mlir\n{shortened(compilation.stages[stage])}\n```"]
    parts += ["**SQL text**, for DuckDB:", f"```sql\n{sql(compilation)}\n```"]
    return "\n\n".join(parts)


def updated(page: str, look: str) -> str:
    """A page's text with the first look between its markers."""
    before, _, rest = page.partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}\n\n{look}\n\n{END}{after}"


def main() -> None:
    """Write it into the pages."""
    look = first_look()
    for name in PAGES:
        path = ROOT / name
        path.write_text(updated(path.read_text(encoding="utf-8"), look), encoding="utf-8")


if __name__ == "__main__":
    main()
