from __future__ import annotations

import io
import json
import subprocess
import sys
from pathlib import Path

import pytest

from irsql.ir.dump import write_module
from irsql.ir.printer import print_op
from irsql.tools.expected_diagnostics import check
from irsql.tools.irsql_opt import main, split
from tests.ir.samples import SOFTMAX, softmax
from tests.ir.test_instruments import with_constant


@pytest.fixture
def source(tmp_path: Path) -> str:
    path = tmp_path / "in.mlir"
    path.write_text(SOFTMAX)
    return str(path)


def test_help_is_cheap() -> None:
    code = ("import sys\nfrom irsql.tools.irsql_opt import main\n"
            "try:\n    main(['--help'])\nexcept SystemExit as stop:\n    assert stop.code == 0\n"
            "heavy = {'torch', 'transformers', 'duckdb', 'sqlglot', 'networkx', 'pyarrow', 'irsql.dialects.tir'}\n"
            "assert not heavy & set(sys.modules), heavy & set(sys.modules)\n")
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr
    assert "--pass-pipeline" in done.stdout


def test_result_on_stdout_and_everything_else_on_stderr(source: str, capsys: pytest.CaptureFixture[str]) -> None:
    flags = ["--timing", "--statistics", "--print-ir-after-all", "--remarks=-", "--verify-semantics"]
    assert main([source, "-p", "test-rename{prefix=q}", *flags]) == 0
    captured = capsys.readouterr()
    assert captured.out == print_op(softmax()).replace("%w", "%q").replace("%y", "%q$1").replace("%z", "%q$2")
    for words in ("IR Dump After test-rename", "Pass timing", "Pass statistics"):
        assert words in captured.err


def test_standard_input(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO(SOFTMAX))
    assert main(["-"]) == 0
    assert capsys.readouterr().out == print_op(softmax())


def test_error_is_a_diagnostic_and_nothing_is_written(source: str, tmp_path: Path,
                                                      capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "out.mlir"
    out.write_text("before")
    assert main([source, "-p", "test-nothing,test-fails{crash}", "-o", str(out)]) == 1
    captured = capsys.readouterr()
    assert captured.err.startswith("error: pass test-fails{crash=true} crashed: KeyError: 'lost'")
    assert "Traceback" not in captured.err
    assert captured.out == ""
    assert out.read_text() == "before"
    assert main([source, "-p", "test-fails{crash}", "--traceback"]) == 1
    assert "Traceback" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["missing.mlir", "."])
def test_unreadable_input(name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(tmp_path / name)]) == 1
    assert capsys.readouterr().err.startswith("error: cannot read or write ")


def test_input_that_is_not_text(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "x.mlir").write_bytes(b"\xff\xfe\x00")
    assert main([str(tmp_path / "x.mlir")]) == 1
    assert "Traceback" not in capsys.readouterr().err


def test_usage_error(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        main([])
    assert "FILE is needed" in capsys.readouterr().err


def test_constants_stay_beside_the_output(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    module = with_constant()
    write_module(tmp_path / "in.mlir", module)
    (tmp_path / "o").mkdir()
    assert main([str(tmp_path / "in.mlir"), "-o", str(tmp_path / "o" / "out.mlir")]) == 0
    assert sorted(p.name for p in (tmp_path / "o").iterdir()) == ["out.mlir", "out.resources.npz"]
    assert main([str(tmp_path / "o" / "out.mlir")]) == 0
    captured = capsys.readouterr()
    assert captured.out == print_op(module)
    assert captured.err.startswith("warning: 1 large constants are not in this text")


def test_verify_semantics_and_its_reproducer(source: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    flags = ["--verify-semantics", f"--reproducer-dir={tmp_path / 'r'}"]
    assert main([source, "-p", "test-rename,test-wrong", *flags]) == 1
    err = capsys.readouterr().err
    assert "error: pass test-wrong failed: it changes what the module computes" in err
    (file,) = (tmp_path / "r").rglob("*.mlir")
    assert f"irsql-opt {file} --pass-pipeline=test-wrong --verify-semantics" in err
    assert main([str(file), "--run-reproducer"]) == 1
    assert "test-wrong failed: it changes what the module computes" in capsys.readouterr().err
    assert main([source, "-p", "test-wrong"]) == 0  # nobody looks


def test_run_reproducer_wants_a_header(source: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([source, "--run-reproducer"]) == 1
    assert "has no '// reproduce:' header" in capsys.readouterr().err


def test_a_dump_continues_by_its_header(source: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([source, "-p", "test-rename{prefix=a},test-rename{prefix=b}", "--dump-dir", str(tmp_path / "d")]) == 0
    want = capsys.readouterr().out
    rows = json.loads((tmp_path / "d" / "manifest.json").read_text())["passes"]
    for row in rows[:2]:
        assert main([str(tmp_path / "d" / row["file"]), "--run-reproducer"]) == 0
        assert capsys.readouterr().out == want


def test_list_passes(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--list-passes"]) == 0
    out = capsys.readouterr().out
    options = "    prefix=str  (default v)\n    only=str,…  (default none)"
    assert f"test-rename  (tir -> tir)\n    rename all results\n{options}" in out


def test_plugin(source: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    plugin = tmp_path / "my_passes.py"
    plugin.write_text("import attrs\nfrom irsql.ir.passes import Pass\n\n\n@attrs.frozen\nclass Mine(Pass):\n"
                      "    name = 'test-opt-plugin'\n    summary = 's'\n\n    def run(self, module, ctx):\n"
                      "        module.attrs_ = {**module.attrs_, 'seen': 1}\n")
    assert main([source, f"--plugin={plugin}", "-p", "test-opt-plugin"]) == 0
    assert "seen = 1" in capsys.readouterr().out
    assert main([source, f"--plugin={tmp_path / 'none.py'}"]) == 1
    assert capsys.readouterr().err.startswith("error: cannot load the plugin")


def test_split_keeps_line_numbers() -> None:
    first, second = split("a\n// -----\nb\n  // -----  \n\n", wanted=True)
    assert first == "a\n"
    assert second == "\n\nb\n"


BROKEN = '"tir.nope"() : () -> ()'


@pytest.mark.parametrize(("text", "problem"), [
    (f"{BROKEN} // expected-error {{{{unknown op}}}}", ""),
    (f"// expected-error@below {{{{unknown op}}}}\n{BROKEN}", ""),
    (f"// expected-error@+2 {{{{unknown op}}}}\n{BROKEN}", "unexpected"),
    (f"{BROKEN} // expected-error {{{{another}}}}", "unexpected"),
    (BROKEN, "unexpected"),
    ('"builtin.module"() ({^bb0:}) : () -> () // expected-error {{x}}', "was not produced"),
])
def test_verify_diagnostics(text: str, problem: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "x.mlir"
    path.write_text(text + "\n")
    assert main([str(path), "--verify-diagnostics"]) == int(bool(problem))
    assert problem in capsys.readouterr().err


def test_verify_diagnostics_of_passes_match_by_message(source: str) -> None:
    path = Path(source)
    path.write_text("// expected-error {{softmax is not wanted}}\n" + SOFTMAX)
    assert main([source, "-p", "test-fails", "--verify-diagnostics"]) == 0


def test_missing_expectation_is_named() -> None:
    (problem,) = check("\n// expected-error@above {{boom}}\n", "f.mlir", [])
    assert problem == "f.mlir:1: error: expected error {{boom}} was not produced"


def test_a_reproducer_names_the_plugin_and_a_plugin_finds_its_neighbours(source: str, tmp_path: Path,
                                                                         capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "irsql_test_neighbour.py").write_text("MESSAGE = 'from the neighbour'\n")
    plugin = tmp_path / "failing.py"
    plugin.write_text("import attrs\nfrom irsql_test_neighbour import MESSAGE\nfrom irsql.ir.core import IRError\n"
                      "from irsql.ir.passes import Pass\n\n\n@attrs.frozen\nclass Fails(Pass):\n"
                      "    name = 'test-opt-fails'\n    summary = 's'\n\n    def run(self, module, ctx):\n"
                      "        raise IRError(MESSAGE)\n")
    assert main([source, f"--plugin={plugin}", "-p", "test-opt-fails", f"--reproducer-dir={tmp_path}"]) == 1
    assert f"--plugin={plugin}" in capsys.readouterr().err
    (written,) = tmp_path.glob("irsql-test-opt-fails-*/reproducer.mlir")
    assert main([str(written), "--run-reproducer"]) == 1
    assert "from the neighbour" in capsys.readouterr().err
