"""``irsql-reduce`` as a command: what it writes, what it says, how it ends."""

from __future__ import annotations

import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from irsql.ir.dump import header_of, read_module, write_module
from irsql.ir.printer import print_op
from irsql.ir.verifier import verify
from irsql.tools.irsql_reduce import main
from tests.docs.pages import run, write_commands
from tests.ir.samples import SOFTMAX
from tests.ir.test_instruments import with_constant
from tests.passes.tir.test_shrink import heads
from tests.processes import heed_interrupts
from tests.tools.test_bisect_command import PLUGIN

HAS_SOFTMAX = "! grep -q tir.softmax"
"""Fails as long as there is a softmax in the file."""


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "my net.mlir"
    path.write_text("// reproduce: irsql-opt -p cse\n" + SOFTMAX)
    return path


def ops_in(path: Path) -> list[str]:
    module = read_module(path)
    verify(module)
    return [op.name for func in module.functions.values() for op in func.block.ops]


@pytest.mark.parametrize("test", [HAS_SOFTMAX, "! grep -q tir.softmax {}"])
def test_the_result_is_written(test: str, source: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = source.with_name("small.mlir")
    assert main([str(source), "--test", test, "-o", str(out)]) == 0
    assert ops_in(out) == ["tir.softmax", "func.return"]
    assert header_of(out.read_text()) == ["reproduce: irsql-opt -p cse"]
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("4 -> 2 ops, ")
    assert captured.err.endswith(" tests\n")
    assert sorted(p.name for p in source.parent.iterdir()) == ["my net.mlir", "small.mlir"]


def test_or_printed(source: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(source), "--test", HAS_SOFTMAX, "--jobs", "1"]) == 0
    printed = capsys.readouterr().out
    assert printed.startswith('// reproduce: irsql-opt -p cse\n"builtin.module"')
    source.write_text(printed)
    assert ops_in(source) == ["tir.softmax", "func.return"]


def test_constants_lie_beside_the_result(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_module(tmp_path / "in.mlir", with_constant())
    out = tmp_path / "out.mlir"
    arguments = [str(tmp_path / "in.mlir"), "--test", "! grep -q dense_resource"]
    assert main([*arguments, "-o", str(out)]) == 0
    assert (tmp_path / "out.resources.npz").exists()
    assert ops_in(out) == ["tir.constant", "func.return"]
    assert main([*arguments]) == 0
    assert "1 large constants are not in this text" in capsys.readouterr().err
    assert main([str(tmp_path / "in.mlir"), "--test", "! grep -q tir.constant", "-o", str(out)]) == 0
    assert not (tmp_path / "out.resources.npz").exists()  # the old one


@pytest.mark.parametrize(("test", "more", "words"), [
    ("true", [], "the command does not fail on {}: its exit code is 0\n  note: it was: true "),
    ("echo hello; false", ["--expect", "bye"], "but its output does not contain 'bye'"),
    ("echo hello; false", ["--expect", "bye"], "\n  note: its output: hello\n"),
    ("sleep 9; false", ["--timeout", "0.2"], "the command does not end within 0.2 s (--timeout)"),
    ("no-such-command", [], "the command cannot be run\n"),
])
def test_a_command_that_does_not_fail_as_it_should(test: str, more: list[str], words: str, source: Path,
                                                   capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(source), "--test", test, *more]) == 1
    captured = capsys.readouterr()
    assert captured.err.startswith("error: ")
    assert words.replace("{}", str(source)) in captured.err
    assert captured.out == ""


@pytest.mark.parametrize(("text", "words"), [
    ("this is no IR", "error: "), ('"tir.nope"() : () -> ()\n', "unknown op"), (None, "cannot be read"),
    (SOFTMAX.replace("(%y)", "(%z)"), "%z"),
])
def test_input_that_is_no_module(text: str | None, words: str, tmp_path: Path,
                                 capsys: pytest.CaptureFixture[str]) -> None:
    if text is not None:
        (tmp_path / "x.mlir").write_text(text)
    assert main([str(tmp_path / "x.mlir"), "--test", "false"]) == 1
    err = capsys.readouterr().err
    assert words in err
    assert "Traceback" not in err


def test_usage(source: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for more in ([], ["--test", "false", "--jobs", "0"], ["--test", "false", "--timeout", "-1"]):
        with pytest.raises(SystemExit, match="2"):
            main([str(source), *more])
    assert main([str(source), "--test", "false", "-o", str(source.parent / "no" / "x.mlir")]) == 1
    assert "does not exist" in capsys.readouterr().err
    with pytest.raises(SystemExit, match="0"):
        main(["--help"])
    assert "As long as it FAILS" in capsys.readouterr().out


def test_it_does_not_slip_to_another_failure(source: Path) -> None:
    test = "if grep -q tir.softmax {}; then echo softmax; else echo none; fi; false"
    out = source.with_name("small.mlir")
    assert main([str(source), "--test", test, "-o", str(out)]) == 0
    assert ops_in(out) == ["func.return"]
    assert main([str(source), "--test", test, "--expect", "softmax", "-o", str(out)]) == 0
    assert ops_in(out) == ["tir.softmax", "func.return"]


def test_the_number_of_tests_is_bounded(source: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(source), "--test", HAS_SOFTMAX, "--max-tests", "2", "--jobs", "1"]) == 0
    assert capsys.readouterr().err.endswith(", 2 tests\n")


def test_a_candidate_that_takes_too_long_is_dropped_and_its_process_ended(source: Path, tmp_path: Path) -> None:
    pids = tmp_path / "pids"
    test = f"if grep -q tir.contract {{}}; then false; else echo $$ >> {shlex.quote(str(pids))}; sleep 30; fi"
    out = source.with_name("small.mlir")
    assert main([str(source), "--test", test, "--timeout", "0.1", "-o", str(out)]) == 0
    assert ops_in(out) == ["tir.contract", "func.return"]
    for pid in pids.read_text().split():
        assert not Path(f"/proc/{pid}").exists()


@pytest.mark.parametrize("jobs", ["1", "2"])
def test_ctrl_c_keeps_the_best_so_far(jobs: str, tmp_path: Path) -> None:
    write_module(tmp_path / "in.mlir", heads())
    log = tmp_path / "log"
    test = f"echo x >> {shlex.quote(str(log))}; sleep 0.02; ! grep -q tir.gather"
    command = [sys.executable, "-m", "irsql.tools.irsql_reduce", str(tmp_path / "in.mlir"), "--test", test,
               "-o", str(tmp_path / "out.mlir"), "--jobs", jobs]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, preexec_fn=heed_interrupts) as process:
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline and (not log.exists() or len(log.read_text().split()) < 7):
            time.sleep(0.01)
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert err.startswith("interrupted: ")
    assert "tir.gather" in ops_in(tmp_path / "out.mlir")
    assert len((tmp_path / "out.mlir").read_text()) < len(print_op(heads()))


def test_a_planted_pass_from_end_to_end(tmp_path: Path) -> None:
    """The command as installed, the test a real irsql-opt: a slip in a canonicalisation, in the middle of a net."""
    work = tmp_path / "a b"
    work.mkdir()
    write_commands(work)
    (work / "plugin.py").write_text(PLUGIN)
    relu = ('    %r = "tir.map"(%y) <{maps = [affine_map<(i, j) -> (i, j)>]}> ({\n    ^bb0(%e: f32):\n'
            '      %c = "expr.constant"() <{value = 0.25}> : () -> f32\n'
            '      %m = "expr.binary"(%e, %c) <{kind = "max"}> : (f32, f32) -> f32\n'
            '      "expr.yield"(%m) : (f32) -> ()\n    }) : (TYPE) -> TYPE\n')
    type_ = 'tensor<?x4xf32, #irsql.dims<["B", 4]>>'
    text = SOFTMAX.replace('    %z = "tir.softmax"(%y)', relu.replace("TYPE", type_) + '    %z = "tir.softmax"(%r)')
    (work / "net.mlir").write_text(text)
    test = "irsql-opt {} --plugin plugin.py -p test-planted-max --verify-semantics"
    done = run(f"irsql-reduce net.mlir --test '{test}' --expect 'changes what' --max-tests 14 -o small.mlir", work)
    assert done.returncode == 0, done.stdout
    assert ops_in(work / "small.mlir") == ["tir.map", "func.return"]
    again = run(test.replace("{}", "small.mlir"), work)
    assert again.returncode == 1
    assert "changes what the module computes" in again.stdout
