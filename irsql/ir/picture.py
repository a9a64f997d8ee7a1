"""Pictures of functions: one node an op, one edge a use, grouped by the module path the ops come from."""

from __future__ import annotations

import html
from pathlib import Path

import graphviz

from irsql.ir.core import Func, IRError, Op
from irsql.ir.location import within

KINDS: dict[str, tuple[str, frozenset[str]]] = {
    "join, contraction": ("#f9d5b4", frozenset({"contract", "join", "attention"})),
    "aggregate, reduction": ("#cde6c3", frozenset({
        "reduce", "aggregate", "window", "scan", "topk", "softmax", "rms_norm", "layer_norm"})),
    "join and aggregate": ("#f3b9a2", frozenset()),
    "element by element": ("#cfe1f5", frozenset({
        "map", "project", "filter", "select", "rope", "gather", "concat", "union", "union_all", "uniform"})),
    "layout": ("#e3d4f0", frozenset({"pack", "unpack", "complete"})),
    "state": ("#fbeeb0", frozenset({"append", "state_append", "state_read"})),
    "statement": ("#ffffff", frozenset({"materialise", "store"})),
    "stored or constant": ("#e6e6e6", frozenset({
        "parameter", "stored", "table", "constant", "values", "range", "iota"})),
}  # fmt: skip
"""Kinds of ops with their colours, and the ops of each without their dialect; those of other packages are white."""
STATEMENTS = {"sql.materialise", "sql.append", "sql.store", "rel.append", "rel.store", "tir.store"}
"""Drawn with a thick border: each is a statement."""
LABEL = 34
"""Characters of a line in a node."""
_FONT = {"fontname": "Helvetica"}


def kind_of(op: Op) -> str:
    """The kind of an op in :data:`KINDS`, ``""`` for one of another package."""
    name = op.name.partition(".")[2]
    if name == "select":  # a whole SELECT: FROM, GROUP BY and all
        joins, groups = len(op.operands) > 1, bool(getattr(op, "grouped", False))
        if joins:
            return "join and aggregate" if groups else "join, contraction"
        return "aggregate, reduction" if groups else "element by element"
    return next((kind for kind, (_, names) in KINDS.items() if name in names), "")


def colour_of(op: Op) -> str:
    """The colour of an op's kind."""
    kind = kind_of(op)
    return KINDS[kind][0] if kind else "#ffffff"


def picture(func: Func, scope: str = "") -> graphviz.Digraph:
    """The dataflow graph of a function.

    Parameters
    ----------
    func
        A function of any stage.
    scope
        Only ops whose module path starts with this, and what feeds them.

    Raises
    ------
    IRError
        If no op comes from ``scope``.
    """
    chosen = [op for op in func.block.ops if within(op.loc.scope, scope)]
    if not chosen:
        known = sorted({op.loc.scope for op in func.block.ops if op.loc.scope})
        raise IRError(f"no op of @{func.sym_name} comes from {scope!r}; module paths are {', '.join(known[:8])} …")
    title = f"@{func.sym_name}" + (f", {scope}" if scope else "")
    graph = graphviz.Digraph(
        func.sym_name, graph_attr={"rankdir": "TB", "label": _legend(title, chosen), "ranksep": "0.35", **_FONT},
        node_attr={"shape": "box", "style": "filled,rounded", "fontsize": "10", "height": "0.3", **_FONT},
        edge_attr={"color": "#777777", "arrowsize": "0.6"})  # fmt: skip
    number = {op: f"n{i}" for i, op in enumerate(chosen)}
    _nest(graph, [(op.loc.scope, op) for op in chosen], number)
    outside: dict[object, str] = {}
    for op in chosen:
        for value in dict.fromkeys(op.operands):
            owner = value.owner
            if isinstance(owner, Op) and owner in number:
                source = number[owner]
            else:
                source = outside.setdefault(value, f"in{len(outside)}")
                text = _lines(value.name or "value", value.type.label)
                graph.node(source, label=text, shape="ellipse", fillcolor="#ffffff", style="filled,dashed")
            graph.edge(source, number[op])
    return graph


def _nest(graph: graphviz.Digraph, ops: list[tuple[str, Op]], number: dict[Op, str], path: str = "") -> None:
    """Draw ops, those of a module within a box; a module whose ops all are in one of its children gets none."""
    groups: dict[str, list[tuple[str, Op]]] = {}
    for rest, op in ops:
        head, _, tail = rest.partition(".")
        groups.setdefault(head, []).append((tail, op))
    for _, op in groups.pop("", []):
        graph.node(number[op], label=_label(op), fillcolor=colour_of(op),
                   penwidth="2.4" if op.name in STATEMENTS else "1")  # fmt: skip
    for head, members in groups.items():
        name = head
        while len({rest.partition(".")[0] for rest, _ in members}) == 1 and members[0][0]:
            name += "." + members[0][0].partition(".")[0]
            members = [(rest.partition(".")[2], op) for rest, op in members]
        inner = f"{path}.{name}".removeprefix(".")
        with graph.subgraph(name=f"cluster_{inner}") as cluster:
            cluster.attr(label=name, labeljust="l", color="#999999", style="rounded", fontsize="10",
                         fontcolor="#555555", margin="10")  # fmt: skip
            _nest(cluster, members, number, inner)


def _label(op: Op) -> str:
    name = op.results[0].name if op.results else ""
    stored = next((str(getattr(op, field)) for field in ("store", "parameter", "table") if hasattr(op, field)), "")
    what = stored.removeprefix(f"{op.loc.scope}.") or name or ""
    return _lines(op.name, what, op.results[0].type.label if op.results else "")


def _lines(*texts: str) -> str:
    short = (text if len(text) <= LABEL else text[: LABEL - 1] + "…" for text in texts if text)
    return "\\n".join(map(graphviz.escape, short))


def _legend(title: str, ops: list[Op]) -> str:
    used = {kind_of(op) for op in ops}
    cells = [f'<TD BGCOLOR="{colour}">{kind}</TD>' for kind, (colour, _) in KINDS.items() if kind in used]
    text = html.escape(title)
    row = f"<TR>{''.join(cells)}</TR>" if cells else ""
    span = f' COLSPAN="{len(cells)}"' if cells else ""
    return ('<<TABLE BORDER="0" CELLBORDER="1" CELLSPACING="4" CELLPADDING="3" COLOR="#999999"><TR>'
            f'<TD BORDER="0"{span}>{text}</TD></TR>{row}</TABLE>>')  # fmt: skip


def write_picture(func: Func, path: Path, scope: str = "") -> None:
    """Write a picture: ``.dot`` or ``.gv`` as text, other suffixes through the ``dot`` program.

    Raises
    ------
    IRError
        If the suffix is unknown, or needs ``dot`` and it is not installed.
    """
    graph = picture(func, scope)
    if path.suffix in (".dot", ".gv"):
        path.write_text(graph.source, encoding="utf-8")
        return
    kind = path.suffix.lstrip(".")
    if kind not in ("svg", "png", "pdf"):
        raise IRError(f"a picture is a .dot, .gv, .svg, .png or .pdf file, not {path.name}")
    try:
        path.write_bytes(graph.pipe(format=kind))
    except graphviz.ExecutableNotFound:
        raise IRError(f"a {path.suffix} picture needs the program dot (Debian: graphviz, or the extra irsql[viz]); "
                      "a .dot file does not") from None
