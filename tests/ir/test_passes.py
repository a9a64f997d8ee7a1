from __future__ import annotations

from typing import Any, Literal

import attrs
import pytest

from irsql.ir.core import IRError, Module
from irsql.ir.passes import OptionError, Pass, PassContext
from irsql.ir.target import Capability, Costs, Limits, Target, attach, target_of
from tests.ir.samples import DropSoftmax, Nothing, softmax


@attrs.frozen
class Everything(Pass):
    """Every type of option."""

    name = "everything"
    summary = "have options"
    stage_in = "rel"
    stage_out = "rel"
    count: int
    ratio: float = 0.5
    flag: bool = True
    label: str = "a b"
    sizes: tuple[int, ...] = (1, 2)
    words: tuple[str, ...] = ()
    mode: Literal["fast", "safe"] = "safe"
    cap: int | None = None


def test_options_are_read_from_the_fields() -> None:
    options = {o.name: o for o in Everything.options()}
    types = [o.type_text for o in options.values()]
    assert types == ["int", "float", "bool", "str", "int,…", "str,…", "fast|safe", "int"]
    assert options["count"].default_text == "required"
    assert options["sizes"].default_text == "default 1,2"
    assert options["cap"].default_text == "not set"


@pytest.mark.parametrize(("pass_", "spec"), [
    (Everything(count=3), "everything{count=3}"),
    (Everything(3, 1e-9, False, 'q"x', (), ("a", "b,c"), "fast", 0),
     r'everything{count=3 ratio=1e-09 flag=false label="q\"x" sizes= words=a,"b,c" mode=fast cap=0}'),
])
def test_spec_names_what_differs_from_the_defaults(pass_: Pass, spec: str) -> None:
    assert str(pass_) == spec


@pytest.mark.parametrize(("texts", "message"), [
    ({"count": ["1"], "speed": ["2"]}, "has no option 'speed'; its options: count, ratio"),
    ({}, "needs the option count=int"),
    ({"count": ["1.5"]}, "of type int, not '1.5'"),
    ({"count": ["1", "2"]}, "takes one int, got 2 values"),
    ({"count": ["1"], "flag": ["yes"]}, "true or false, not 'yes'"),
    ({"count": ["1"], "mode": ["slow"]}, "one of fast, safe, not 'slow'"),
    ({"count": ["1"], "sizes": ["1", "x"]}, "of type int,…, not 'x'"),
])
def test_wrong_options_are_refused_by_name(texts: dict[str, list[str]], message: str) -> None:
    with pytest.raises(OptionError, match="option") as info:
        Everything.from_options(texts)
    assert message in str(info.value)


@pytest.mark.parametrize("hint", ["dict[str, int]", "tuple[int, int]", "int | str", "bytes", "int | None"])
def test_options_that_text_cannot_say_are_refused(hint: str) -> None:
    default = attrs.field(default=5)  # `int | None = 5`: no text could mean None
    namespace: dict[str, Any] = {"__annotations__": {"x": eval(hint)}, "x": default, "name": "odd", "summary": "s",
                                 "__module__": __name__}
    cls: type[Pass] = attrs.frozen(type("Odd", (Pass,), namespace))
    with pytest.raises(TypeError, match="option x of pass odd"):
        cls.options()


@pytest.mark.parametrize(("name", "summary", "stage", "message"), [
    ("Bad_Name", "s", "tir", "kebab-case"), ("ok", "", "tir", "one-line summary"),
    ("ok", "a\nb", "tir", "one-line summary"), ("ok", "s", "hir", "no stage"),
])
def test_a_pass_class_is_checked_when_it_is_made(name: str, summary: str, stage: str, message: str) -> None:
    with pytest.raises(TypeError, match=message):
        type("P", (Pass,), {"name": name, "summary": summary, "stage_in": stage})


def test_stages() -> None:
    assert Everything.accepts("rel")
    assert Everything.accepts("tiled")  # the same nodes
    assert Everything.accepts(None)
    assert not Everything.accepts("tir")
    assert Nothing.accepts("sql")
    assert not Everything.changes_stage()


def test_context_collects() -> None:
    module = softmax()
    ctx = PassContext.of(Nothing(), module)
    assert ctx.apply([DropSoftmax()], module)
    ctx.statistic("n")
    ctx.statistic("n", 4)
    assert ctx.statistics == {"n": 5}
    assert ctx.patterns["DropSoftmax"].hits == 1
    assert not ctx.apply([DropSoftmax()], module, driver="greedy")
    assert ctx.patterns["DropSoftmax"].hits == 1


def test_context_reads_the_target_of_the_module() -> None:
    module = Module.empty()
    with pytest.raises(IRError, match="needs a target"):
        PassContext.of(Nothing(), module).require_target()
    attach(module, Target("toy", limits=Limits(max_columns=7)))
    assert PassContext.of(Nothing(), module).require_target().limits.max_columns == 7


def test_target_answers_for_what_it_does_not_list() -> None:
    target = Target("toy", capabilities=(Capability("dot", "list"),), functions={"exp": "exp", "erf": "unsupported"})
    assert target.capability("dot", "list").status == "native"
    missing = target.capability("dot", "vector")
    assert (missing.status, "dot on vector" in missing.reason) == ("unsupported", True)
    assert (target.function("exp"), target.function("erf"), target.function("sin")) == ("exp", None, None)
    assert (Costs(mac_ns={"list": 2}).mac("list"), target.costs.mac("list")) == (2.0, 1.0)


def test_costs_are_numbers() -> None:
    with pytest.raises(ValueError, match="mac_ns of list"):
        Target("toy", costs=Costs(mac_ns={"list": "fast"})).verify()


@pytest.mark.parametrize("capability", [
    Capability("fly", "list"), Capability("dot", "list", "lowered"), Capability("dot", "list", "unsupported"),
    Capability("dot", "list", "maybe"),
])
def test_target_verifies_its_table(capability: Capability) -> None:
    with pytest.raises(ValueError, match=r"dot|lane op"):
        Target("toy", capabilities=(capability,)).verify()


def test_target_of_refuses_other_attributes() -> None:
    assert target_of(Module.empty()) is None
    with pytest.raises(IRError, match="the module's target is str"):
        target_of(Module.empty(target="duckdb"))
