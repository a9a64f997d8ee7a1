"""Modules on disk come back whole, or say what is wrong."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from irsql.ir.attributes import F32, DenseElements
from irsql.ir.core import Block, Module, Region
from irsql.ir.diagnostics import DiagnosticError
from irsql.ir.dump import header_of, read_module, resources_path, write_module
from irsql.ir.printer import print_op
from tests.ir.toy import Holder, big, small


def test_round_trip(tmp_path: Path) -> None:
    path = tmp_path / "a.b.mlir"
    module = big()
    write_module(path, module, header=["pipeline: x{y=1}", "", "two\nlines"])
    assert (tmp_path / "a.b.resources.npz").exists()
    assert print_op(read_module(path)) == print_op(module)
    assert header_of(path.read_text(encoding="utf-8")) == ["pipeline: x{y=1}", "", "two", "lines"]


def test_arrays_are_exact(tmp_path: Path) -> None:
    bits = np.arange(64, dtype=np.uint32) * 0x04000401  # denormals, infinities and NaNs with payloads among them
    value = DenseElements(bits.view(np.float32).reshape(8, 8), F32)
    write_module(tmp_path / "m.mlir", Module(Region(Block())))
    module = Module(Region(Block()))
    module.body.block.append(Holder(value))
    write_module(tmp_path / "m.mlir", module)
    holder = read_module(tmp_path / "m.mlir").body.block.ops[0]
    assert isinstance(holder, Holder)
    assert holder.value == value


def test_resources_only_where_needed(tmp_path: Path) -> None:
    path = tmp_path / "m.mlir"
    write_module(path, big())
    write_module(path, small()[0])
    assert [p.name for p in tmp_path.iterdir()] == ["m.mlir"]


def test_text_that_utf8_cannot_say(tmp_path: Path) -> None:
    module = Module(Region(Block()))
    module.body.block.append(Holder("\ud800 \r\n é"))
    write_module(tmp_path / "m.mlir", module)
    holder = read_module(tmp_path / "m.mlir").body.block.ops[0]
    assert isinstance(holder, Holder)
    assert holder.value == "\ud800 \r\n é"


def test_missing_file(tmp_path: Path) -> None:
    with pytest.raises(DiagnosticError, match="cannot be read"):
        read_module(tmp_path / "none.mlir")


def test_missing_resources(tmp_path: Path) -> None:
    path = tmp_path / "m.mlir"
    write_module(path, big())
    resources_path(path).unlink()
    with pytest.raises(DiagnosticError, match=r"is not in the resources(.|\n)*resources\.npz"):
        read_module(path)


@pytest.mark.parametrize("content", [b"", b"not a zip", b"PK\x03\x04broken", b"\x93NUMPY"])
def test_corrupt_resources(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "m.mlir"
    write_module(path, big())
    resources_path(path).write_bytes(content)
    with pytest.raises(DiagnosticError, match="constants cannot be read"):
        read_module(path)


def test_truncated_resources(tmp_path: Path) -> None:
    path = tmp_path / "m.mlir"
    write_module(path, big())
    beside = resources_path(path)
    whole = beside.read_bytes()
    for keep in range(1, len(whole), 37):
        beside.write_bytes(whole[:keep])
        with pytest.raises(DiagnosticError):
            read_module(path)


def test_not_utf8(tmp_path: Path) -> None:
    path = tmp_path / "m.mlir"
    path.write_bytes(b'"toy.holder"\xff')
    with pytest.raises(DiagnosticError, match="not UTF-8"):
        read_module(path)


def test_header_of_a_text_without_one() -> None:
    assert header_of('"toy.source"() : () -> ()\n// later') == []
