"""Pictures: every op of the scope is a node, every use an edge, and a wrong scope is said."""

from __future__ import annotations

import importlib
import re
from pathlib import Path

import pytest

from irsql.ir.core import IRError, Op
from irsql.ir.parser import parse_module
from irsql.ir.picture import KINDS, picture, write_picture
from irsql.tools.irsql_opt import main

TEXT = """"builtin.module"() ({
  "func.func"() <{sym_name = "forward", function_type = (tensor<3xf32>) -> tensor<3xf32>}> ({
  ^bb0(%x: tensor<3xf32>):
    %w = "tir.stored"() <{store = "w"}> : () -> tensor<3xf32> loc("net.up#w"("net.py":3:0))
    %s = "tir.scan"(%w) <{axis = 0 : i64, kind = "sum"}> : (tensor<3xf32>) -> tensor<3xf32>
      loc("net.up#s"("net.py":3:0))
    %c = "tir.concat"(%s, %x) <{axis = 0 : i64}> : (tensor<3xf32>, tensor<3xf32>) -> tensor<3xf32>
      loc("net#c"("net.py":4:0))
    "func.return"(%c) : (tensor<3xf32>) -> ()
  }) : () -> ()
}) : () -> ()
"""


def test_ops_are_nodes_and_uses_edges() -> None:
    func = parse_module(TEXT).functions["forward"]
    source = picture(func).source
    ops = [op for op in func.block.ops if isinstance(op, Op)]
    assert all(op.name in source for op in ops)
    assert source.count("->") == sum(len(set(op.operands)) for op in ops)
    assert "net.up" in source  # the module path groups its ops


def test_scope_keeps_what_feeds_it() -> None:
    source = picture(parse_module(TEXT).functions["forward"], "net.up").source
    assert "tir.scan" in source
    assert "tir.concat" not in source


def test_modules_are_boxes_within_boxes() -> None:
    source = picture(parse_module(TEXT).functions["forward"]).source
    assert "subgraph cluster_net {" in source
    assert 'subgraph "cluster_net.up" {' in source


def test_a_scope_ends_at_a_dot() -> None:
    text = TEXT.replace("net.up#s", "net.upper#s")
    assert "tir.scan" not in picture(parse_module(text).functions["forward"], "net.up").source


def test_hostile_names_are_text() -> None:
    source = picture(parse_module(TEXT.replace('"w"', '"<b>\\\\n]"')).functions["forward"]).source
    assert "<b>" in source  # within quotes, where it is no markup
    assert 'label="tir.stored\\n<b>' in source


def test_every_op_has_a_kind() -> None:
    for dialect in ("tir", "rel", "sql"):
        module = importlib.import_module(f"irsql.dialects.{dialect}.ops")
        classes = [c for c in vars(module).values() if isinstance(c, type) and issubclass(c, Op)]
        names = [c.name for c in classes if str(getattr(c, "name", "")).startswith(f"{dialect}.")]
        assert names
        assert [n for n in names if not any(n.partition(".")[2] in known for _, known in KINDS.values())] == []


def test_unknown_scope_names_the_known_ones() -> None:
    with pytest.raises(IRError, match=r"net\.up"):
        picture(parse_module(TEXT).functions["forward"], "other")


def test_dot_file_through_the_command(tmp_path: Path) -> None:
    (tmp_path / "m.mlir").write_text(TEXT)
    out = tmp_path / "m.dot"
    assert main([str(tmp_path / "m.mlir"), "--picture", str(out)]) == 0
    assert out.read_text().startswith("digraph forward")
    assert main([str(tmp_path / "m.mlir"), "--picture", str(out), "--function", "nope"]) == 1


def test_the_function_that_is_drawn(tmp_path: Path) -> None:
    """The last one that comes from a module, also where nothing is of the scope: then its paths are named."""
    sample = TEXT.split("\n", 1)[1].rsplit("}) : () -> ()", 1)[0].replace("forward", "sample")
    text = TEXT.rsplit("}) : () -> ()", 1)[0] + re.sub(r"loc\(\"[^)]*\)\)", "", sample) + "}) : () -> ()\n"
    (tmp_path / "m.mlir").write_text(text)
    out = tmp_path / "m.dot"
    assert main([str(tmp_path / "m.mlir"), "--picture", str(out)]) == 0
    assert out.read_text().startswith("digraph forward")


def test_png_needs_dot(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    with pytest.raises(IRError, match="dot"):
        write_picture(parse_module(TEXT).functions["forward"], tmp_path / "m.png")


@pytest.mark.parametrize("name", ["m.txt", "m"])
def test_unknown_kinds_of_file_are_refused(name: str, tmp_path: Path) -> None:
    with pytest.raises(IRError, match="a picture is"):
        write_picture(parse_module(TEXT).functions["forward"], tmp_path / name)
