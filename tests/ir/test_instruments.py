from __future__ import annotations

import io
import json
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import ClassVar

import pytest

from irsql.ir import semantics
from irsql.ir.attributes import F32, DenseElements, TensorType
from irsql.ir.core import Func, IRError, Module
from irsql.ir.diagnostics import DiagnosticError
from irsql.ir.dump import read_module
from irsql.ir.instruments.base import Instrument, PassRun
from irsql.ir.instruments.dump_dir import DumpDir
from irsql.ir.instruments.options import HELP, InstrumentOptions, take_options
from irsql.ir.instruments.print_ir import ALL, PrintIR
from irsql.ir.instruments.remarks import Remarks
from irsql.ir.instruments.reproducer import Reproducer, read_header
from irsql.ir.instruments.statistics import Statistics
from irsql.ir.instruments.timing import Timing
from irsql.ir.instruments.verify_each import VerifyEach
from irsql.ir.instruments.verify_semantics import VerifySemantics
from irsql.ir.pipeline import PassFailure, PassManager, run_passes
from irsql.ir.printer import print_op
from tests.ir.samples import Fails, Invalid, Nothing, Rename, Retype, Wrong, softmax


class Spy(Instrument):
    """Writes down what it is told."""

    log: ClassVar[list[str]] = []

    def __init__(self, name: str, needs_text: bool = False) -> None:
        self.name = name
        self.needs_text = needs_text

    def before_pass(self, run: PassRun) -> None:
        self.log.append(f"{self.name} before {run.pass_.name}")

    def after_pass(self, run: PassRun) -> None:
        self.log.append(f"{self.name} after {run.pass_.name} {run.changed}")

    def pass_failed(self, run: PassRun, error: Exception) -> None:
        self.log.append(f"{self.name} failed {run.pass_.name}")


def test_instruments_are_a_stack() -> None:
    Spy.log.clear()
    with pytest.raises(PassFailure):
        PassManager([Rename(), Fails()], [Spy("outer"), Spy("inner", needs_text=True)]).run(softmax())
    assert Spy.log == [
        "outer before test-rename", "inner before test-rename",
        "inner after test-rename True", "outer after test-rename True",
        "outer before test-fails", "inner before test-fails", "inner failed test-fails", "outer failed test-fails"]


def test_change_is_seen_in_the_text_not_claimed() -> None:
    runs = PassManager([Rename(), Rename(), Nothing(), Rename("w")], [Spy("s", needs_text=True)]).run(softmax())
    assert [r.changed for r in runs] == [True, False, False, True]


@pytest.mark.parametrize(("arguments", "headers"), [
    ({"before": ("test-rename",)}, ["Before test-rename{prefix=a}"]),
    ({"after": ("test-rename",)}, ["After test-rename{prefix=a}"]),
    ({"before": ALL}, ["Before test-rename{prefix=a}", "Before test-nothing"]),
    ({"after": ALL}, ["After test-rename{prefix=a}", "After test-nothing"]),
    ({"after_change": True}, ["After test-rename{prefix=a}"]),
    ({"after_failure": True}, []),
])
def test_print_ir(arguments: dict[str, object], headers: list[str]) -> None:
    stream = io.StringIO()
    PassManager([Rename("a"), Nothing()], [PrintIR(stream=stream, **arguments)]).run(softmax())  # type: ignore[arg-type]
    lines = [line for line in stream.getvalue().splitlines() if line.startswith("// ---")]
    assert lines == [f"// -----// IR Dump {h} //----- //" for h in headers]
    assert stream.getvalue().count('"builtin.module"') == len(headers)


def test_print_ir_after_failure() -> None:
    stream = io.StringIO()
    with pytest.raises(PassFailure):
        run_passes(softmax(), Fails(), instruments=[PrintIR(after_failure=True, stream=stream)])
    assert stream.getvalue().startswith("// -----// IR Dump After test-fails Failed //----- //\n\"builtin.module\"")


# -- dump-dir ------------------------------------------------------------------------------------------
def with_constant() -> Module:
    """A module with a constant that does not fit into the text."""
    from irsql.dialects.tir import ops

    module = Module.empty(stage="tir")
    array = semantics.draw_parameter("c", (4, 5), F32.numpy)
    func = module.add(Func.build("forward", []))
    type_ = TensorType((4, 5), F32)
    func.ret(func.block.append(ops.Constant(value=DenseElements(array, F32), result_types=[type_])).result)
    return module


def test_dump_dir_has_a_row_a_pass_and_a_file_a_change(tmp_path: Path) -> None:
    folder = tmp_path / "new" / "dump"
    run_passes(softmax(), Rename("a"), Nothing(), Rename("b"), instruments=[DumpDir(folder)])
    rows = json.loads((folder / "manifest.json").read_text())["passes"]
    assert [(r["n"], r["pass"], r["changed"], r["file"]) for r in rows] == [
        (0, "input", False, "00_tir/000_input.mlir"), (1, "test-rename{prefix=a}", True, "00_tir/001_test-rename.mlir"),
        (2, "test-nothing", False, None), (3, "test-rename{prefix=b}", True, "00_tir/003_test-rename.mlir")]
    assert rows[1]["hash"] == rows[2]["hash"] != rows[3]["hash"]
    assert {r["stage"] for r in rows} == {"tir"}
    assert [(r["ops_before"], r["ops_after"]) for r in rows] == [(6, 6)] * 4
    last = json.loads((folder / "last-pass.json").read_text())
    assert last == {"n": 3, "pass": "test-rename{prefix=b}", "stage": "tir"}


@pytest.mark.parametrize("make", [softmax, with_constant])
def test_every_dump_continues_to_the_same_result(tmp_path: Path, make: Callable[[], Module]) -> None:
    module = make()
    run_passes(module, Rename("a"), Rename("b"), instruments=[DumpDir(tmp_path)])
    files = [r["file"] for r in json.loads((tmp_path / "manifest.json").read_text())["passes"]]
    for name in files:
        header = read_header((tmp_path / name).read_text())
        again = read_module(tmp_path / name)
        for argument in header or []:
            run_passes(again, argument.removeprefix("--pass-pipeline="))
        assert print_op(again) == print_op(module)
    first = read_header((tmp_path / files[0]).read_text())
    assert first == ["--pass-pipeline=test-rename{prefix=a},test-rename{prefix=b}"]


def test_dump_dir_replaces_its_own_dump_only(tmp_path: Path) -> None:
    run_passes(with_constant(), Rename("a"), Rename("b"), instruments=[DumpDir(tmp_path)])
    run_passes(softmax(), Rename("a"), instruments=[DumpDir(tmp_path)])
    files = sorted(p.relative_to(tmp_path).as_posix() for p in tmp_path.rglob("*") if p.is_file())
    assert files == ["00_tir/000_input.mlir", "00_tir/001_test-rename.mlir", "last-pass.json", "manifest.json"]
    (tmp_path / "00_tir" / "notes.txt").write_text("mine")
    with pytest.raises(DiagnosticError, match=r"holds files that no dump of irsql wrote: 00_tir/notes\.txt"):
        DumpDir(tmp_path)
    assert len(list(tmp_path.rglob("*.mlir"))) == 2


def test_dump_dir_refuses_somebody_elses_folder(tmp_path: Path) -> None:
    (tmp_path / "manifest.json").write_text('{"name": "another tool"}')
    with pytest.raises(DiagnosticError, match=r"manifest\.json"):
        DumpDir(tmp_path)
    assert (tmp_path / "manifest.json").exists()


def test_dumping_never_stops_a_compilation(tmp_path: Path) -> None:
    stream = io.StringIO()
    dump = DumpDir(tmp_path / "d", stream)
    (tmp_path / "d").rmdir()
    (tmp_path / "d").write_text("a file where the folder was")
    runs = run_passes(softmax(), Rename("a"), Rename("b"), instruments=[dump])
    assert [r.changed for r in runs] == [True, True]
    assert stream.getvalue().count("warning: the dump in") == 1


def test_dump_dir_notes_the_failure(tmp_path: Path) -> None:
    with pytest.raises(PassFailure):
        run_passes(softmax(), Fails(), instruments=[DumpDir(tmp_path)])
    row = json.loads((tmp_path / "manifest.json").read_text())["passes"][-1]
    assert row["error"] == "pass test-fails failed: softmax is not wanted"


def test_dump_dir_has_the_remarks_of_every_pass(tmp_path: Path) -> None:
    run_passes(softmax(), Nothing(), Wrong(), instruments=[DumpDir(tmp_path)])
    rows = json.loads((tmp_path / "manifest.json").read_text())["passes"]
    assert [len(r["remarks"]) for r in rows] == [0, 1, 1]
    assert rows[1]["remarks"] == [{
        "kind": "missed", "pass_name": "test-nothing", "message": "softmax was kept", "reason": "1 > 0",
        "suggestion": "ask for less", "op": "tir.softmax",
        "loc": {"file": "net.py", "line": 7, "col": 5, "scope": "net.act", "node": "softmax"}}]


# -- reports -------------------------------------------------------------------------------------------
def test_timing_tree_and_list() -> None:
    for mode, order in (("tree", ["total", "tir", "  test-rename", "  test-nothing", "  test-rename{prefix=b}"]),
                        ("list", ["total", "test-rename", "test-nothing"])):
        stream = io.StringIO()
        timing = Timing(mode, stream)  # type: ignore[arg-type]
        run_passes(softmax(), Rename(), Nothing(), Rename("b"), instruments=[timing])
        timing.rows = [(*row[:3], 3.0 if row[1] == "test-rename" else 1.0) for row in timing.rows]
        timing.total = 8.0
        timing.close()
        lines = stream.getvalue().splitlines()[1:]
        assert [line.split("%  ")[1] for line in lines] == [*order, "(checks and dumps)"]
        assert "1.0000 s   12.5%" in lines[-1]


def test_statistics_show_counters_and_patterns() -> None:
    stream = io.StringIO()
    statistics = Statistics(stream)
    run_passes(softmax(), Nothing(), Wrong(), instruments=[statistics])
    statistics.close()
    text = stream.getvalue()
    assert "(S)        2 looked" in text
    assert "1 hits of 1 tries" in text
    assert "DropSoftmax" in text


def test_remarks_as_text_and_yaml(tmp_path: Path) -> None:
    stream, path = io.StringIO(), tmp_path / "r.yaml"
    both = [Remarks(stream=stream), Remarks(path)]
    run_passes(softmax(), Nothing(), Wrong(), instruments=both)
    for remarks in both:
        remarks.close()
    assert stream.getvalue() == (
        "net.act, softmax, net.py:7: remark: test-nothing: missed: softmax was kept [tir.softmax]\n"
        "  reason: 1 > 0\n  help: ask for less\nremark: test-wrong: passed: softmax removed\n")
    assert path.read_text() == (
        '--- !Missed\nPass: "test-nothing"\nMessage: "softmax was kept"\nReason: "1 > 0"\nSuggestion: "ask for less"\n'
        'Op: "tir.softmax"\nScope: "net.act"\nNode: "softmax"\nFile: "net.py"\nLine: 7\n...\n'
        '--- !Passed\nPass: "test-wrong"\nMessage: "softmax removed"\n...\n')


# -- checks --------------------------------------------------------------------------------------------
def test_verify_each_names_the_pass_that_breaks_the_ir() -> None:
    with pytest.raises(PassFailure, match="pass test-invalid failed"):
        run_passes(softmax(), Nothing(), Invalid(), Nothing(), instruments=[VerifyEach()])


def test_verify_each_checks_the_input() -> None:
    module = softmax()
    run_passes(module, Invalid())
    with pytest.raises(DiagnosticError) as info:
        run_passes(module, instruments=[VerifyEach()])
    assert not isinstance(info.value, PassFailure)


def test_an_optimisation_keeps_the_types_of_functions() -> None:
    message = r"test-retype failed: it changed the type of @forward: result 0 was .*\?x4xf32.* and is tensor<4x4xf32>"
    with pytest.raises(PassFailure, match=message):
        run_passes(softmax(), Retype(), instruments=[VerifyEach()])
    run_passes(softmax(), Retype())


def test_verify_semantics_names_the_first_pass_that_changes_a_result() -> None:
    check = VerifySemantics()
    message = r"pass test-wrong failed: it changes what the module computes \(with B = 5\)"
    with pytest.raises(PassFailure, match=message):
        run_passes(softmax(), Nothing(), Rename(), Wrong(), Rename("x"), instruments=[check, VerifyEach()])
    assert check.checked == 2  # test-nothing changed nothing and was not run


def test_verify_semantics_accepts_what_keeps_the_meaning() -> None:
    check = VerifySemantics()
    run_passes(softmax(), Rename(), Rename("x"), instruments=[check])
    assert check.checked == 2


def test_verify_semantics_refuses_big_weights() -> None:
    with pytest.raises(IRError, match="16 parameter elements, more than 15: add --shrink"):
        run_passes(softmax(), Rename(), instruments=[VerifySemantics(max_elements=15)])


def test_reproducer_is_the_input_of_the_failing_pass(tmp_path: Path) -> None:
    written = set()
    for _ in range(2):
        stream = io.StringIO()
        reproducer = Reproducer(tmp_path / "new", ("--verify-semantics",), stream)
        module = softmax()
        with pytest.raises(PassFailure):
            run_passes(module, Rename("kept"), Fails(crash=True), instruments=[reproducer])
        command = shlex.split(stream.getvalue().removeprefix("reproduce with: "))
        assert command == ["irsql-opt", str(reproducer.written), "--pass-pipeline=test-fails{crash=true}",
                           "--verify-semantics"]
        path = Path(command[1])
        assert read_header(path.read_text()) == command[2:]
        assert "crashed: KeyError: 'lost'" in path.read_text()
        assert print_op(read_module(path)) == print_op(module)
        written.add(path.parent)
    assert len(written) == 2


# -- options -------------------------------------------------------------------------------------------
def test_options_are_taken_out_of_a_commands_arguments() -> None:
    options, rest = take_options(["model", "--timing", "--out", "x", "--print-ir-after=a,b", "--no-verify-each", "--",
                                  "--statistics"])
    assert rest == ["model", "--out", "x", "--", "--statistics"]
    assert options == InstrumentOptions(timing="tree", print_ir_after=("a", "b"), verify_each=False)


@pytest.mark.parametrize("flag", sorted(HELP))
def test_every_flag_has_an_effect_alone(flag: str, tmp_path: Path) -> None:
    value = {"print-ir-before": "=a", "print-ir-after": "=a", "dump-dir": f"={tmp_path}/d", "remarks": "=-",
             "reproducer-dir": f"={tmp_path}/r"}.get(flag, "")
    options, rest = take_options([f"--{flag}{value}"])
    assert rest == []
    default = [type(i) for i in InstrumentOptions().build()]
    assert [type(i) for i in options.build()] != default
