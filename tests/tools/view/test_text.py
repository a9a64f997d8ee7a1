from __future__ import annotations

import pytest

from irsql.tools.view import text


@pytest.mark.parametrize(("long", "short"), [
    ('[#r.v<"v_0", f32>, #r.v<"v_1", f32>, #r.v<"v_2", f32>]', '[#r.v<"v_0…2", f32>]'),
    ('[#r.v<"v_7", !l<f, "x">>, #r.v<"v_8", !l<f, "x">>, #r.v<"v_9", !l<f, "x">>]', None),
    ('[#r.v<"v_0", i>, #r.v<"v_2", i>, #r.v<"v_3", i>]', '[#r.v<"v_0", i>, #r.v<"v_2", i>, #r.v<"v_3", i>]'),
    ('[#r.v<"v_0", f32>, #r.v<"v_1", f16>]', '[#r.v<"v_0", f32>, #r.v<"v_1", f16>]'),
])  # fmt: skip
def test_folding_keeps_different_types_different(long: str, short: str | None) -> None:
    assert text.fold(long) == (short or '[#r.v<"v_7…9", !l<f, "x">>]')


@pytest.mark.parametrize(("location", "shown"), [
    ('"model.layers.3#linear"("model.py":12:4)', "model.layers.3  linear  model.py:12"),
    ('"a%23b#c%40"', "a#b  c@"), ('"model.py":12:0', "model.py:12"), ("", ""), ("unknown", "unknown"),
])  # fmt: skip
def test_locations_for_humans(location: str, shown: str) -> None:
    assert text.readable(location) == shown


def test_a_module_is_cut_into_functions_and_ops() -> None:
    lines = ['"builtin.module"() ({', '  "func.func"() <{sym_name = "f"}> ({', "  ^bb0(%x: f32):",
             '    %0 = "a"(%x) ({', '      "y"() : () -> ()', "    }) : () -> f32", '    "r"(%0) : (f32) -> ()',
             "  }) : () -> ()", '}) {irsql.attrs = {stage = "tir"}} : () -> ()']  # fmt: skip
    assert text.functions(lines) == {"": [[lines[0]], [lines[8]]],
                                     "f": [lines[1:3], lines[3:6], [lines[6]], [lines[7]]]}  # fmt: skip
