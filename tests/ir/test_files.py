"""Files are replaced whole; devices, pipes and links stay what they are."""

from __future__ import annotations

import os
import stat
import threading
from pathlib import Path

import pytest

from irsql.ir.dump import read_module, replace_module
from irsql.ir.files import write_text
from irsql.ir.parser import parse_module
from irsql.tools.irsql_opt import main

TEXT = """"builtin.module"() ({
  "func.func"() <{sym_name = "f", function_type = () -> ()}> ({
    "func.return"() : () -> ()
  }) : () -> ()
}) : () -> ()
"""


def test_a_link_is_followed_and_the_mode_stays(tmp_path: Path) -> None:
    real, link = tmp_path / "real.mlir", tmp_path / "link.mlir"
    real.write_text("old")
    real.chmod(0o600)
    link.symlink_to(real)
    for write in (lambda: write_text(link, TEXT), lambda: replace_module(link, parse_module(TEXT))):
        real.write_text("old")
        write()
        assert link.is_symlink()
        assert stat.S_IMODE(real.stat().st_mode) == 0o600
        assert read_module(real).functions
    assert sorted(p.name for p in tmp_path.iterdir()) == ["link.mlir", "real.mlir"]


@pytest.mark.parametrize("extra", [[], ["--no-locations"]])
def test_a_pipe_is_written_to(tmp_path: Path, extra: list[str]) -> None:
    source, pipe = tmp_path / "m.mlir", tmp_path / "pipe"
    source.write_text(TEXT)
    os.mkfifo(pipe)
    got: list[str] = []
    reader = threading.Thread(target=lambda: got.append(pipe.read_text()))
    reader.start()
    assert main([str(source), "-o", str(pipe), *extra]) == 0
    reader.join(10)
    assert parse_module(got[0]).functions
    assert stat.S_ISFIFO(pipe.stat().st_mode)


def test_errors_name_the_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "m.mlir").write_text(TEXT)
    out = tmp_path / "none" / "out.mlir"
    assert main([str(tmp_path / "m.mlir"), "-o", str(out)]) == 1
    assert str(out) in capsys.readouterr().err
    assert main([str(tmp_path / "m.mlir"), "-o", str(tmp_path)]) == 1
    assert f"cannot read or write {tmp_path}: Is a directory" in capsys.readouterr().err
