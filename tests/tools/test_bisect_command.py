"""``irsql-opt --bisect`` on a planted wrong pass; what it prints is run as printed."""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest

from irsql.ir.dump import header_of, read_module, write_module
from irsql.tools.irsql_opt import main
from tests.docs.pages import run, write_commands
from tests.ir.samples import SOFTMAX
from tests.ir.test_instruments import with_constant

PLUGIN = '''"""A canonicalisation with a slip."""

import attrs

from irsql.dialects import expr
from irsql.ir.core import Module, Op
from irsql.ir.passes import Pass, PassContext
from irsql.ir.rewriter import Pattern, Rewriter


class FoldMax(Pattern):
    """``max(x, x)`` is ``x``; the check that both are the same is forgotten."""

    root = expr.Binary

    def rewrite(self, op: Op, rewriter: Rewriter) -> bool:
        if op.kind != "max":
            return False
        rewriter.replace(op, op.lhs)
        return True


@attrs.frozen
class Planted(Pass):
    """Folds max."""

    name = "test-planted-max"
    summary = "max(x, y) is x"
    stage_in = stage_out = "tir"

    note: str = ""
    """Does nothing."""

    def run(self, module: Module, ctx: PassContext) -> None:
        ctx.apply([FoldMax()], module, driver="greedy")
'''
RELU = '''"func.func"() <{sym_name = "forward", function_type = (tensor<16xf32>) -> tensor<16xf32>}> ({
^bb0(%x: tensor<16xf32>):
  %y = "tir.map"(%x) <{maps = [affine_map<(i) -> (i)>]}> ({
  ^bb0(%e: f32):
    %q = "expr.binary"(%e, %e) <{kind = "max"}> : (f32, f32) -> f32
    "expr.yield"(%q) : (f32) -> ()
  }) : (tensor<16xf32>) -> tensor<16xf32>
  %z = "tir.map"(%y) <{maps = [affine_map<(i) -> (i)>]}> ({
  ^bb0(%e: f32):
    %c = "expr.constant"() <{value = 0.0}> : () -> f32
    %relu = "expr.binary"(%e, %c) <{kind = "max"}> : (f32, f32) -> f32
    "expr.yield"(%relu) : (f32) -> ()
  }) : (tensor<16xf32>) -> tensor<16xf32> loc("net.act#relu"("net.py":7:5))
  "func.return"(%z) : (tensor<16xf32>) -> ()
}) : () -> ()
'''


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    work = tmp_path / "my work"
    work.mkdir()
    (work / "my plugin.py").write_text(PLUGIN)
    (work / "relu net.mlir").write_text(RELU)
    return work


def command_of(printed: str) -> str:
    (line,) = [line for line in printed.splitlines() if line.startswith("reproduce with: ")]
    return line.removeprefix("reproduce with: ")


PIPELINE = 'cse,test-planted-max{note="a b"},canonicalise,dce'


def test_the_planted_pass_is_found_and_its_reproducer_fails_when_run_as_printed(
        folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    plugin = f"--plugin={folder / 'my plugin.py'}"
    assert main([str(folder / "relu net.mlir"), plugin, "-p", PIPELINE, "--bisect"]) == 1
    printed = capsys.readouterr()
    lines = printed.out.splitlines()
    assert lines[0] == 'pass 2 of 4: test-planted-max{note="a b"}'
    assert "it changes what the module computes (with the static sizes): @forward, result 0: error" in lines[1]
    assert ", first at [" in lines[1]
    assert lines[2:5] == ["  rewrite 2 of 2: FoldMax on",
                          '    %relu = "expr.binary"(%e, %c) <{kind = "max"}> : (f32, f32) -> f32',
                          "    from net.act, relu, net.py:7"]
    assert printed.err == ""  # no bar where nobody looks
    file = folder / "relu net.bisect.mlir"
    assert header_of(file.read_text())[0].startswith("reproduce: irsql-opt ")
    write_commands(folder)
    for command in (command_of(printed.out), f"irsql-opt {shlex.quote(str(file))} --run-reproducer"):
        done = run(command, folder)
        assert done.returncode == 1
        assert done.stdout.startswith('error: pass test-planted-max{note="a b"} failed: it changes what')


def test_it_goes_on_from_a_dump(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    flags = [f"--plugin={folder / 'my plugin.py'}", "-p", PIPELINE]
    assert main([str(folder / "relu net.mlir"), *flags, "--dump-dir", str(folder / "dump"), "-o",
                 str(folder / "out.mlir")]) == 0
    (first,) = (folder / "dump").glob("00_*/000_input.mlir")
    assert main([str(first), "--run-reproducer", "--bisect", "-o", str(folder / "r.mlir")]) == 1
    assert capsys.readouterr().out.startswith("pass 2 of 4: test-planted-max")
    assert main([str(folder / "r.mlir"), "--run-reproducer"]) == 1


def test_constants_lie_beside_the_reproducer(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_module(tmp_path / "in.mlir", with_constant())
    assert main([str(tmp_path / "in.mlir"), "-p", "test-rename,test-fails{crash}", "--bisect"]) == 1
    out = capsys.readouterr().out
    assert out.startswith("pass 2 of 2: test-fails{crash=true}\n  error: pass test-fails{crash=true} crashed: KeyError")
    assert (tmp_path / "in.bisect.resources.npz").exists()
    assert "--verify-semantics" not in command_of(out)
    assert list(read_module(tmp_path / "in.bisect.mlir").walk())
    assert main([str(tmp_path / "in.bisect.mlir"), "--run-reproducer"]) == 1
    assert sorted(p.name for p in tmp_path.iterdir()) == ["in.bisect.mlir", "in.bisect.resources.npz", "in.mlir",
                                                          "in.resources.npz"]


@pytest.fixture
def source(tmp_path: Path) -> str:
    path = tmp_path / "in.mlir"
    path.write_text(SOFTMAX)
    return str(path)


def test_nothing_found(source: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([source, "-p", "test-rename,test-nothing", "--bisect", "--timing"]) == 0
    captured = capsys.readouterr()
    assert captured.out == "no pass of 2 changes the results\n"
    assert "Pass timing" in captured.err  # the other instruments watch as usual
    assert not Path(source).with_name("in.bisect.mlir").exists()


def test_errors_are_diagnostics(source: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([source, "--bisect"]) == 1
    assert "error: there are no passes to bisect\n  help: give some" in capsys.readouterr().err
    assert main([source, "-p", "test-wrong", "--bisect", "-o", str(Path(source).parent / "no" / "x.mlir")]) == 1
    assert capsys.readouterr().err.startswith("error: cannot read or write ")
    for flag in ("--emit-sql", "--split-input-file"):
        with pytest.raises(SystemExit, match="2"):
            main([source, "-p", "test-wrong", "--bisect", flag])
        assert f"--bisect cannot be combined with {flag}" in capsys.readouterr().err


def test_an_error_that_several_passes_share_is_said_to_be_one(source: str, tmp_path: Path,
                                                              capsys: pytest.CaptureFixture[str]) -> None:
    plugin = tmp_path / "slightly.py"
    plugin.write_text('''"""A pass that is wrong by less than the tolerance."""
import attrs
from irsql.dialects.tir import ops
from irsql.dialects.tir.build import Tensors
from irsql.ir.attributes import F32
from irsql.ir.core import Builder, Module
from irsql.ir.passes import Pass, PassContext


@attrs.frozen
class Slightly(Pass):
    """Multiplies the result by a little more than 1."""

    name = "test-slightly"
    summary = "multiply the result by 1.00007"
    stage_in = stage_out = "tir"

    def run(self, module: Module, ctx: PassContext) -> None:
        back = module.functions["forward"].block.terminator
        t = Tensors(Builder(back.parent, back))
        back.set_operands([t.elementwise([back.operands[0]], lambda e: e.binary(
            "mul", e.args[0], e.const(1.00007, F32)))])
''')
    assert main([source, f"--plugin={plugin}", "-p", "test-slightly,test-rename,test-slightly", "--bisect"]) == 1
    out = capsys.readouterr().out
    assert out.startswith("pass 3 of 3: test-slightly")
    assert "warning: the pass alone does not fail" in out


def test_standard_input(tmp_path: Path) -> None:
    write_commands(tmp_path)
    (tmp_path / "in.mlir").write_text(SOFTMAX)
    done = run("cat in.mlir | irsql-opt - -p canonicalise,cse --bisect", tmp_path)
    assert (done.returncode, done.stdout) == (0, "no pass of 2 changes the results\n")
