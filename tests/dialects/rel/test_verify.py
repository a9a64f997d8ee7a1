"""What the verifiers of rel and sql refuse, as text that a person may have edited."""

from __future__ import annotations

import pytest

from irsql.ir.diagnostics import DiagnosticError
from irsql.ir.parser import parse_module
from irsql.ir.verifier import verify

X = '!rel.rel<[#rel.key<"i0", 7>], [#rel.val<"v", f32>], false, unit>'
SUM = '!rel.rel<[], [#rel.val<"v", f32>], false, unit>'
KEYS = '!rel.rel<[#rel.key<"j", 9>], [], false, unit>'
BODY = {
    "key": '%0 = "expr.col"() <{column = "i0", input = 0 : i64}> : () -> i64',
    "value": '%1 = "expr.col"() <{column = "v", input = 0 : i64}> : () -> f32',
    "yield": '"expr.yield"(%0, %1) : (i64, f32) -> ()',
}


def module(op: str, result: str = X, stage: str = "rel") -> str:
    return f"""
"builtin.module"() ({{
  "func.func"() <{{sym_name = "forward", function_type = ({X}) -> ({result})}}> ({{
  ^bb0(%x: {X}):
    {op}
    "func.return"(%y) : ({result}) -> ()
  }}) : () -> ()
}}) {{irsql.attrs = {{stage = "{stage}"}}}} : () -> ()
"""


def project(**changes: str) -> str:
    lines = "\n".join((BODY | changes).values())
    return f'%y = "rel.project"(%x) ({{\n{lines}\n}}) : ({X}) -> {X}'


def select(where: str = '"expr.yield"() : () -> ()', **changes: str) -> str:
    lines = "\n".join((BODY | changes).values())
    empty = '"expr.yield"() : () -> ()'
    return (f'%y = "sql.select"(%x) <{{grouped = false, outer = false}}> ({{\n{where}\n}}, {{\n{empty}\n}}, '
            f"{{\n{lines}\n}}) : ({X}) -> {X}")  # fmt: skip


CONDITION = '%0 = "expr.col"() <{column = "i0", input = 0 : i64}> : () -> i64\n"expr.yield"(%0) : (i64) -> ()'
AGGREGATE = ('%y = "rel.aggregate"(%x) <{kinds = ["KIND"]}> ({\n'
             '%0 = "expr.col"() <{column = "v", input = 0 : i64}> : () -> f32\n"expr.yield"(%0) : (f32) -> ()\n}) : '
             f"({X}) -> {SUM}")  # fmt: skip
BAD: dict[str, tuple[str, str]] = {
    "unknown column": (
        module(project(value=BODY["value"].replace('"v"', '"nope"'))),
        "input 0 of rel.project has no column 'nope'; there are i0, v",
    ),
    "unknown input": (
        module(project(value=BODY["value"].replace("input = 0", "input = 3"))),
        "rel.project has 1 inputs, a column of input 3 is read",
    ),
    "column of another type": (
        module(project(value=BODY["value"].replace("f32", "i64"), **{"yield": BODY["yield"].replace("f32", "i64")})),
        "the column 'v' is f32, not i64",
    ),
    "yield of another type": (
        module(project(**{"yield": '"expr.yield"(%0, %0) : (i64, i64) -> ()'})),
        "value 1 that the region yields is i64, f32 is needed",
    ),
    "too few values": (
        module(project(**{"yield": '"expr.yield"(%0) : (i64) -> ()'})),
        "the region yields 1 values, 2 are needed",
    ),
    "loop coordinates": (
        module(project(value='%2 = "expr.index"() <{dim = 0 : i64}> : () -> i64\n' + BODY["value"])),
        "rel.project has no loop coordinates",
    ),
    "a filter that is no condition": (
        module(f'%y = "rel.filter"(%x) ({{\n{CONDITION}\n}}) : ({X}) -> {X}'),
        "value 0 that the region yields is i64, i1 is needed",
    ),
    "unknown aggregate": (module(AGGREGATE.replace("KIND", "frobnicate"), SUM), "unknown aggregate frobnicate"),
    "union of other columns": (
        module(f'%0 = "rel.range"() : () -> {KEYS}\n%y = "rel.union"(%x, %0) : ({X}, {KEYS}) -> {X}'),
        "rel.union of relations with other columns than its result: j",
    ),
    "a select that reads nothing": (
        module(select(value=BODY["value"].replace('"v"', '"w"')), stage="sql"),
        "input 0 of sql.select has no column 'w'",
    ),
    "a where that is no condition": (
        module(select(where=CONDITION), stage="sql"),
        "value 0 that the region yields is i64, i1 is needed",
    ),
    "sql union": (
        module(f'%0 = "sql.range"() : () -> {KEYS}\n%y = "sql.union_all"(%x, %0) : ({X}, {KEYS}) -> {X}', stage="sql"),
        "a union of relations with other columns: j",
    ),
}


@pytest.mark.parametrize("text", [module(project()), module(AGGREGATE.replace("KIND", "sum"), SUM),
                                  module(select(), stage="sql")], ids=["project", "aggregate", "select"])  # fmt: skip
def test_what_is_right_passes(text: str) -> None:
    verify(parse_module(text))


@pytest.mark.parametrize("name", BAD)
def test_what_is_wrong_is_named(name: str) -> None:
    text, message = BAD[name]
    with pytest.raises(DiagnosticError) as caught:
        verify(parse_module(text))
    assert message in str(caught.value)
