"""Small pictures of functions next to each other, for the pages: ``python -m irsql.tools.docs.dataflow``.

``irsql-opt --picture`` draws any function with Graphviz. These are committed and compared by a test, so they are laid
out here: the same text on every machine. Layers by longest path, an edge over several layers as a row of points, order
in a layer by the mean of what is above.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, cast
from xml.sax.saxutils import escape

import attrs

from irsql.dialects import expr
from irsql.dialects.rel.types import RelType
from irsql.ir import pass_registry
from irsql.ir.attributes import TensorType, Type
from irsql.ir.core import Func, Op, Value
from irsql.ir.dump import read_module
from irsql.ir.picture import PALETTE
from irsql.ir.pipeline import run_passes
from irsql.tools.docs.picture import MONO, SANS, text

ROOT = Path(__file__).resolve().parents[2]
BOX, HEIGHT, COLUMN, LAYER, MARGIN, TITLE = 138, 36, 152, 62, 14, 34
LONGEST = 24  # characters in a box


@attrs.define(eq=False)
class Node:
    """A box, an argument, or (without lines) a point that an edge goes through."""

    layer: int
    lines: tuple[str, ...] = ()
    fill: str = "white"
    column: float = 0.0


def layout(func: Func) -> tuple[list[Node], list[tuple[Node, Node]]]:
    """Nodes with their places, and the pieces of edges between neighbouring layers."""
    of: dict[Value, Node] = {}
    pairs: list[tuple[Value, Node]] = []
    nodes: list[Node] = []
    for op in func.block.ops:
        for value in op.operands:
            if value not in of:  # an argument stands right above its first reader
                of[value] = Node(0, (f"%{value.name}",))
                nodes.append(of[value])
        depth = 1 + max([of[v].layer for v in op.operands], default=-1)
        node = Node(depth, labels(op), PALETTE.get(op.name.partition(".")[0], "white"))
        nodes.append(node)
        pairs += [(v, node) for v in dict.fromkeys(op.operands)]
        of.update((result, node) for result in op.results)
    for source in map(of.__getitem__, dict(pairs)):
        if not any(source is target for _, target in pairs):  # nothing above it: no longer edge than it needs
            source.layer = max(source.layer, min(r.layer for v, r in pairs if of[v] is source) - 1)
    edges: list[tuple[Node, Node]] = []
    for value, reader in pairs:
        at = of[value]
        for layer in range(at.layer + 1, reader.layer):
            point = Node(layer)
            nodes.append(point)
            edges.append((at, point))
            at = point
        edges.append((at, reader))
    place(nodes, edges)
    return nodes, edges


def place(nodes: Sequence[Node], edges: Sequence[tuple[Node, Node]]) -> None:
    """Columns: every layer in the order of the mean place of what is above it, centred."""
    layers = [[n for n in nodes if n.layer == i] for i in range(1 + max(n.layer for n in nodes))]
    width = max(map(len, layers))
    for layer in layers:
        above = {n: [a.column for a, b in edges if b is n] for n in layer}
        layer.sort(key=lambda n: sum(above[n]) / len(above[n]) if above[n] else width)
        for i, node in enumerate(layer):
            node.column = i + (width - len(layer)) / 2


def labels(op: Op) -> tuple[str, ...]:
    """The name of an op and what it computes."""
    inner = [o for region in op.regions for o in region.walk()]
    what = [str(o.kind) for o in inner if isinstance(o, expr.Unary | expr.Binary)]
    what += ["dot" for o in inner if isinstance(o, expr.Dot)]
    plain = op.attributes.get("kind") or op.attributes.get("kinds")
    what += [plain] if isinstance(plain, str) else [str(k) for k in plain] if isinstance(plain, tuple) else []
    parts = [", ".join(dict.fromkeys(what)), size(op.results[0].type) if op.results else ""]
    line = " · ".join(filter(None, parts))
    return (op.name, line if len(line) <= LONGEST else parts[0]) if line else (op.name,)


def size(type_: Type) -> str:
    """The extents of a tensor, the keys of a relation."""
    if isinstance(type_, TensorType):
        return " × ".join(map(str, type_.shape))
    return ", ".join(k.name for k in type_.keys) if isinstance(type_, RelType) else ""


def draw(panels: Iterable[tuple[str, Func]], about: str) -> str:
    """Functions side by side as SVG text; ``about`` says what is to be seen, for readers who do not see it."""
    out: list[str] = []
    left, bottom = float(MARGIN), 0.0
    for title, func in panels:
        nodes, edges = layout(func)
        width = COLUMN * (max(n.column for n in nodes) + 1)

        def at(n: Node, left: float = left) -> tuple[float, float]:
            return left + COLUMN * (n.column + 0.5), TITLE + MARGIN + LAYER * n.layer

        for a, b in edges:
            (x1, y1), (x2, y2) = at(a), at(b)
            y1, y2 = y1 + (HEIGHT if a.lines else HEIGHT / 2), y2 + (0 if b.lines else HEIGHT / 2)
            middle = (y1 + y2) / 2
            end = " marker-end='url(#tip)'" if b.lines else ""
            out.append(f"<path d='M{x1:g} {y1:g} C{x1:g} {middle:g} {x2:g} {middle:g} {x2:g} {y2:g}' fill='none' "
                       f"stroke='#777'{end}/>")
        for node in nodes:
            x, y = at(node)
            if node.lines:
                radius = 5 if node.fill != "white" else HEIGHT // 2
                out.append(f"<rect x='{x - BOX / 2:g}' y='{y:g}' width='{BOX}' height='{HEIGHT}' rx='{radius}' "
                           f"fill='{node.fill}' stroke='#999'/>")
                first = y + HEIGHT / 2 + 4 - 7 * (len(node.lines) - 1)
                out += [text(x, first + 14 * i, line, 11, MONO if i == 0 else SANS, "#222" if i == 0 else "#555")
                        for i, line in enumerate(node.lines)]
        out.append(text(left + width / 2, TITLE - 10, title, 14, weight="bold"))
        left += width + 2 * MARGIN
        bottom = max(bottom, TITLE + 2 * MARGIN + LAYER * max(n.layer for n in nodes) + HEIGHT)
    head = [f"<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 {left - MARGIN:g} {bottom:g}' role='img'>",
            f"<title>{escape(about)}</title>",
            "<defs><marker id='tip' viewBox='0 0 8 8' refX='7' refY='4' markerWidth='7' markerHeight='7' "
            "orient='auto'><path d='M0 0 L8 4 L0 8 z' fill='#777'/></marker></defs>",
            f"<rect width='{left - MARGIN:g}' height='{bottom:g}' fill='white'/>"]
    return "\n".join([*head, *out, "</svg>"]) + "\n"


def delay_scale() -> str:
    """What the pass of ``docs/examples/irsql-example-pass`` does to its own test."""
    package = ROOT / "docs" / "examples" / "irsql-example-pass"
    if "delay-scale" not in pass_registry.names():
        pass_registry.load_plugin(str(package / "irsql_example_pass" / "delay_scale.py"))
    before, after = (read_module(package / "tests" / "softmax_product.mlir") for _ in range(2))
    run_passes(after, "delay-scale,canonicalise")
    return draw([("before", before.functions["forward"]), ("after", after.functions["forward"])],
                "A division before a product, of S × S numbers, and after it, of S × 16")


def tutorial(first: str, second: str) -> str:
    """The module of ``docs/tutorial.md`` at two of the points where that page looks at it."""
    from irsql.frontend import capture
    from irsql.frontend.importer import import_captured
    from irsql.ir.target import attach
    from irsql.targets.base import backend

    page = (ROOT / "docs" / "tutorial.md").read_text(encoding="utf-8")
    source = re.search(r'^```python title="net.py"\n(.*?)^```$', page, re.MULTILINE | re.DOTALL)
    assert source is not None
    names: dict[str, Any] = {"__name__": "net"}
    exec(source[1], names)
    module = import_captured(capture(names["net"], (names["x"],), dynamic={"x": {0: "S"}}))
    attach(module, backend("duckdb").target)
    panels: list[tuple[str, Func]] = []
    for title, passes in STEPS.items():
        run_passes(module, passes)
        if title in (first, second):
            panels.append((title, cast(Func, module.functions["forward"].clone())))
    return draw(panels, f"The linear layer of the tutorial, {first} and {second}")


STEPS = {
    "captured": "", "fused": "canonicalise,fuse-elementwise,canonicalise",
    "scalar rows": "split-load,convert-tir-to-rel,prune-columns,dce",
    "tiles": "select-layout{lane=2},apply-layout,tile-storage,legalise,dce",
    "a select an operation": "convert-rel-to-sql", "inlined": "inline-ctes",
}  # fmt: skip
"""Where the tutorial looks, and the passes that lead there."""
PICTURES: dict[str, Callable[[], str]] = {
    "docs/img/delay_scale.svg": delay_scale,
    "docs/img/tutorial_tir.svg": partial(tutorial, "captured", "fused"),
    "docs/img/tutorial_rel.svg": partial(tutorial, "scalar rows", "tiles"),
    "docs/img/tutorial_sql.svg": partial(tutorial, "a select an operation", "inlined"),
}


def main() -> None:
    """Write the pictures."""
    for name, picture in PICTURES.items():
        (ROOT / name).write_text(picture(), encoding="utf-8")


if __name__ == "__main__":
    main()
