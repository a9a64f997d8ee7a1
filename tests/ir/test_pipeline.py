from __future__ import annotations

from pathlib import Path

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from irsql.ir import pass_registry
from irsql.ir.core import Module
from irsql.ir.diagnostics import DiagnosticError
from irsql.ir.parser import parse_module
from irsql.ir.passes import Pass, PassContext
from irsql.ir.pipeline import PassFailure, PassManager, PipelineError, parse_pipeline, print_pipeline, run_passes
from irsql.ir.printer import print_op
from irsql.ir.target import Capability, Costs, Target, attach, target_of
from tests.ir.samples import Fails, Nothing, Rename, Wrong, softmax


def test_text_with_options_comments_and_line_breaks() -> None:
    text = 'test-nothing,  // first\n test-rename{prefix="a b"\n only=tir.map,tir.contract}, test-fails{crash}'
    assert parse_pipeline(text) == [Nothing(), Rename("a b", ("tir.map", "tir.contract")), Fails(crash=True)]
    assert parse_pipeline("") == []


@given(st.text(), st.lists(st.text()))
def test_any_option_round_trips(prefix: str, only: list[str]) -> None:
    passes = [Rename(prefix, tuple(only)), Nothing()]
    assert parse_pipeline(print_pipeline(passes)) == passes


@pytest.mark.parametrize(("text", "place", "words", "suggestion"), [
    ("test-nothing,test-nothin", (1, 14, 11), "no pass is called 'test-nothin'", "did you mean test-nothing?"),
    ("test_nothing", (1, 1, 12), "no pass is called", "did you mean test-nothing?"),
    ("test-rename{prefx=a}", (1, 13, 5), "no option 'prefx'", "did you mean prefix?"),
    ("test-nothing,\n test-fails{crash=maybe}", (2, 13, 5), "true or false", ""),
    ("test-nothing,", (1, 14, 0), "expected the name of a pass, found the end", ""),
    ("test-nothing test-nothing", (1, 14, 12), "expected ',' or the end", ""),
    ("test-rename{prefix=a prefix=b}", (1, 22, 6), "given twice", ""),
    ("test-rename{prefix=a", (1, 21, 0), "expected the name of an option or '}'", ""),
    ("test-nothing;", (1, 13, 1), "unexpected character ';'", ""),
])
def test_errors_have_a_caret_and_a_suggestion(text: str, place: tuple[int, int, int], words: str,
                                              suggestion: str) -> None:
    with pytest.raises(PipelineError) as info:
        parse_pipeline(text)
    (found,) = info.value.diagnostics
    assert (found.location.line, found.location.col, found.width) == place
    assert words in found.message
    assert found.suggestion.startswith(suggestion.rstrip("?"))
    assert "^" in str(info.value)


def test_manager_runs_in_order_and_moves_the_stage() -> None:
    @attrs.frozen
    class Lower(Pass):
        name = "lower"
        summary = "say it is rel"
        stage_in = "tir"
        stage_out = "rel"

        def run(self, module: Module, ctx: PassContext) -> None:
            ctx.statistic("ran")

    module = softmax()
    first, second = PassManager([Lower(), Nothing()]).run(module)
    assert (first.stage_before, first.stage_after, second.stage_before) == ("tir", "rel", "rel")
    assert first.changed is None  # nobody asked, nothing was printed
    assert first.remaining == (Nothing(),)
    assert (module.attrs_["stage"], first.ctx.statistics) == ("rel", {"ran": 1})


def test_manager_names_the_pass_that_does_not_fit_the_stage() -> None:
    with pytest.raises(PassFailure, match="it takes a module of stage tir, this one is of stage sql"):
        run_passes(Module.empty(stage="sql"), Wrong())


def test_manager_tells_a_failure_from_a_crash() -> None:
    with pytest.raises(PassFailure) as info:
        run_passes(softmax(), "test-nothing,test-fails")
    assert (info.value.spec, info.value.crash) == ("test-fails", False)
    text = str(info.value)
    assert text.startswith("net.py:7:5: error: pass test-fails failed: softmax is not wanted")
    assert '"tir.softmax"' in text
    with pytest.raises(PassFailure, match="crashed: KeyError: 'lost'") as info:
        run_passes(softmax(), Fails(crash=True))
    assert info.value.crash
    assert isinstance(info.value.__cause__, KeyError)


def test_failure_is_a_diagnostic() -> None:
    assert issubclass(PassFailure, DiagnosticError)
    assert issubclass(PipelineError, DiagnosticError)


PASS_FILE = '''
class {cls}(Pass):
    name = "{name}"
    summary = "s"
'''


def test_scan_reads_names_without_importing(tmp_path: Path) -> None:
    (tmp_path / "tir").mkdir()
    (tmp_path / "tir" / "fold_it.py").write_text("raise SystemExit\n" + PASS_FILE.format(cls="FoldIt", name="fold-it"))
    (tmp_path / "tir" / "helper.py").write_text(PASS_FILE.format(cls="Other", name="other"))
    (tmp_path / "tir" / "_private.py").write_text(PASS_FILE.format(cls="Private", name="private"))
    (tmp_path / "rel" / "big_one").mkdir(parents=True)
    (tmp_path / "rel" / "big_one" / "__init__.py").write_text("")
    (tmp_path / "rel" / "big_one" / "rules.py").write_text(PASS_FILE.format(cls="BigOne", name="big-one"))
    found = {e.name: e.target for e in pass_registry.scan(tmp_path, "pkg")}
    assert found == {"fold-it": "pkg.tir.fold_it:FoldIt", "big-one": "pkg.rel.big_one.rules:BigOne"}


def test_two_passes_of_one_name_are_an_error_that_names_both() -> None:
    entries = [pass_registry.Entry("cse", "a.b:Cse", "a/b.py"), pass_registry.Entry("cse", "c.d:Cse", "their-package")]
    with pytest.raises(pass_registry.PassRegistryError, match=r"a/b\.py and their-package"):
        pass_registry.unique(entries)


def test_register_refuses_a_taken_name() -> None:
    @attrs.frozen
    class Again(Pass):
        name = "test-nothing"
        summary = "another one"

    with pytest.raises(pass_registry.PassRegistryError, match=r"samples:Nothing and .*Again"):
        pass_registry.register(Again)


def test_every_pass_of_the_project_loads_and_its_default_round_trips() -> None:
    for name in pass_registry.names():
        cls = pass_registry.load(name)
        if all(o.default_text != "required" for o in cls.options()):
            assert parse_pipeline(str(cls())) == [cls()]


def test_plugins(tmp_path: Path) -> None:
    path = tmp_path / "mine.py"
    path.write_text("import attrs\nfrom irsql.ir.passes import Pass\n\n@attrs.frozen" + PASS_FILE.format(
        cls="Mine", name="test-plugin-pass"))
    assert [c.name for c in pass_registry.load_plugin(str(path))] == ["test-plugin-pass"]
    assert pass_registry.load("test-plugin-pass").summary == "s"
    (tmp_path / "empty.py").write_text("")
    with pytest.raises(pass_registry.PassRegistryError, match="defines no pass"):
        pass_registry.load_plugin(str(tmp_path / "empty.py"))
    with pytest.raises(pass_registry.PassRegistryError, match="cannot load the plugin no_such_module"):
        pass_registry.load_plugin("no_such_module")


def test_a_module_carries_its_target_through_text() -> None:
    module = Module.empty(stage="rel")
    capabilities = (Capability("dot", "FLOAT[n]"), Capability("add", "list", "lowered", "unnest"))
    target = Target("toy", "1.2", "duckdb", capabilities, {"exp": "exp"},
                    costs=Costs("a machine", "2026-11-23", {"FLOAT[n]": 0.25}, byte_ns=0.125))
    attach(module, target)
    again = parse_module(print_op(module))
    assert target_of(again) == target
    assert target.costs.mac("FLOAT[n]") == 0.25
