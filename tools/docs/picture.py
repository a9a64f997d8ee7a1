"""Draws ``docs/img/stages.svg``, the stages of the compiler: ``python -m irsql.tools.docs.picture``.

Laid out by hand: six boxes in a row read better than what a graph layout makes of them, and the script needs nothing.
"""

from __future__ import annotations

import sys
from pathlib import Path
from xml.sax.saxutils import escape

import attrs

WIDTH, BOX, HEIGHT, GAP, TOP = 1080, 142, 150, 42, 56
MARGIN = (WIDTH - 6 * BOX - 5 * GAP) // 2
SANS = "font-family='Helvetica, Arial, DejaVu Sans, sans-serif'"
MONO = "font-family='Menlo, Consolas, DejaVu Sans Mono, monospace'"


@attrs.frozen
class Stage:
    """A box: title, what it is, a line of the example in it, and the step that leads to the next box."""

    title: str
    about: tuple[str, ...]
    example: tuple[str, ...]
    step: tuple[str, ...]
    passes: tuple[str, ...]
    fill: str


STAGES = (
    Stage("nn.Module", ("PyTorch, or a", "Llama checkpoint"), ("y = gate(x)",), ("torch.export", "import"), (),
          "#f4f1ec"),
    Stage("tir", ("tensors,", "symbolic dims"), ("tir.contract", "(t,o,h)→(t,o)"), ("convert", "tir to rel"),
          ("canonicalise", "fold-constants", "fuse-elementwise", "merge-contractions"), "#e3eefb"),
    Stage("rel", ("relations:", "keys and values"), ("join on h,", "sum by t, o"), ("select and", "apply layout"),
          ("cse", "dce", "select-layout"), "#e2f3ea"),
    Stage("rel, tiled", ("the same, each", "with a layout"), ("16 columns of", "128 lanes, dot"),
          ("convert", "rel to sql"), ("sink-unpack", "cancel-pack", "tile-storage", "legalise"), "#d3ecdf"),
    Stage("sql", ("statements over", "CTEs and tables"), ("select, group,", "materialise"), ("emit", "(sqlglot)"),
          ("inline-ctes", "unhash-joins", "materialise"), "#fbefd9"),
    Stage("SQL text", ("a stock engine", "runs it"), ("list_inner_", "product(w, x)"), (), (), "#f9e1dc"),
)


def text(x: float, y: float, content: str, size: int, style: str = SANS, fill: str = "#222", anchor: str = "middle",
         weight: str = "normal") -> str:
    """One line of text."""
    return (f"<text x='{x:g}' y='{y:g}' font-size='{size}' {style} fill='{fill}' text-anchor='{anchor}' "
            f"font-weight='{weight}'>{escape(content)}</text>")


def draw() -> str:
    """The picture as SVG text."""
    bottom = TOP + HEIGHT
    height = bottom + 150
    out = [f"<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 {WIDTH} {height}' role='img'>",
           "<title>The stages of irsql: module, tensors, relations, tiled relations, SQL plan, SQL text</title>",
           f"<rect width='{WIDTH}' height='{height}' fill='white'/>",
           "<defs><marker id='a' viewBox='0 0 8 8' refX='7' refY='4' markerWidth='7' markerHeight='7' orient='auto'>"
           "<path d='M0 0 L8 4 L0 8 z' fill='#555'/></marker></defs>"]
    for i, stage in enumerate(STAGES):
        left = MARGIN + i * (BOX + GAP)
        middle = left + BOX / 2
        out.append(f"<rect x='{left}' y='{TOP}' width='{BOX}' height='{HEIGHT}' rx='9' "
                   f"fill='{stage.fill}' stroke='#999'/>")
        out.append(text(middle, TOP + 27, stage.title, 18, weight="bold"))
        out += [text(middle, TOP + 52 + 17 * n, line, 13, fill="#444") for n, line in enumerate(stage.about)]
        out.append(f"<line x1='{left + 14}' x2='{left + BOX - 14}' y1='{TOP + 86}' y2='{TOP + 86}' stroke='#bbb'/>")
        out += [text(middle, TOP + 110 + 18 * n, line, 12, MONO) for n, line in enumerate(stage.example)]
        if stage.step:
            out.append(f"<line x1='{left + BOX + 3}' x2='{left + BOX + GAP - 3}' y1='{TOP + HEIGHT / 2:g}' "
                       f"y2='{TOP + HEIGHT / 2:g}' stroke='#555' stroke-width='2' marker-end='url(#a)'/>")
            out += [text(left + BOX + GAP / 2, TOP - 32 + 15 * n, line, 12, fill="#555")
                    for n, line in enumerate(stage.step)]
        out += [text(middle, bottom + 22 + 17 * n, line, 12, MONO, "#555") for n, line in enumerate(stage.passes)]
    first, last = MARGIN + BOX + GAP, MARGIN + 5 * BOX + 4 * GAP
    line = bottom + 98
    out.append(f"<path d='M{first} {line - 6} v6 h{last - first} v-6' fill='none' stroke='#555'/>")
    out.append(text((first + last) / 2, line + 22,
                    "each is text: dump it, read it, edit it, verify it, execute it in NumPy, feed it back in", 14))
    out.append("</svg>")
    return "\n".join(out) + "\n"


def main(argv: list[str] | None = None) -> None:
    """Write the picture (by default to ``docs/img/stages.svg``)."""
    arguments = sys.argv[1:] if argv is None else argv
    Path(arguments[0] if arguments else "docs/img/stages.svg").write_text(draw(), encoding="utf-8")


if __name__ == "__main__":
    main()
