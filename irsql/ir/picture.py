"""Pictures of functions: one node an op, one edge a use, grouped by the module path the ops come from."""

from __future__ import annotations

from pathlib import Path

import graphviz

from irsql.ir.core import Func, IRError, Op

PALETTE = {"tir": "#dbe9f6", "rel": "#dff0d8", "sql": "#fbe3c8", "func": "#eeeeee"}
"""Fill colour by dialect; statements of a plan stand out."""
STATEMENTS = {"sql.materialise", "sql.append", "sql.store", "rel.append", "rel.store", "tir.store"}


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
    font = {"fontname": "Helvetica"}
    graph = graphviz.Digraph(func.sym_name, graph_attr={"rankdir": "TB", "label": f"@{func.sym_name}", **font},
                             node_attr={"shape": "box", "style": "filled,rounded", "fontsize": "10", **font},
                             edge_attr={"color": "#777777"})
    chosen = [op for op in func.block.ops if op.loc.scope.startswith(scope)]
    if not chosen:
        known = sorted({op.loc.scope for op in func.block.ops if op.loc.scope})
        raise IRError(f"no op of @{func.sym_name} comes from {scope!r}; module paths are {', '.join(known[:8])} …")
    number: dict[Op, str] = {op: f"n{i}" for i, op in enumerate(chosen)}
    groups: dict[str, list[Op]] = {}
    for op in chosen:
        groups.setdefault(op.loc.scope, []).append(op)
    for i, (path, ops) in enumerate(groups.items()):
        with graph.subgraph(name=f"cluster_{i}" if path else f"plain_{i}") as cluster:
            if path:
                cluster.attr(label=path, color="#bbbbbb", fontsize="10")
            for op in ops:
                cluster.node(number[op], label=_label(op), fillcolor=PALETTE.get(op.name.partition(".")[0], "#ffffff"),
                             penwidth="2" if op.name in STATEMENTS else "1")
    outside: dict[object, str] = {}
    for op in chosen:
        for value in dict.fromkeys(op.operands):
            owner = value.owner
            if isinstance(owner, Op) and owner in number:
                source = number[owner]
            else:
                source = outside.setdefault(value, f"in{len(outside)}")
                graph.node(source, label=value.name or "value", shape="ellipse", fillcolor="#ffffff")
            graph.edge(source, number[op])
    return graph


def _label(op: Op) -> str:
    name = op.results[0].name if op.results else ""
    return f"{op.name}\\n{name}" if name else op.name


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
