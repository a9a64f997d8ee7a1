from __future__ import annotations

from irsql.tools.view import difference


def units(*lines: str) -> list[list[str]]:
    return [[f"    {line}"] for line in lines]


def test_renumbered_values_are_no_change() -> None:
    old = units('%0 = "a"()', '%1 = "dead"()', '%2 = "b"(%0)', '"r"(%2)')
    new = units('%0 = "a"()', '%1 = "b"(%0)', '"r"(%1)')
    assert difference.compare(old, new) == [("", [("-", '    %1 = "dead"()')])]


def test_an_op_that_reads_another_value_is_a_change() -> None:
    old = units('%0 = "a"()', '%1 = "b"()', '%2 = "c"(%0)')
    new = units('%0 = "a"()', '%1 = "b"()', '%2 = "c"(%1)')
    assert difference.compare(old, new) == [("", [("-", '    %2 = "c"(%0)'), ("+", '    %2 = "c"(%1)')])]
    assert difference.compare(old, old) == []
    swapped = units('%0 = "b"()', '%1 = "a"()', '%2 = "c"(%0)')
    assert ("+", '    %2 = "c"(%0)') in [line for _, lines in difference.compare(old, swapped) for line in lines]


def test_a_conversion_shows_what_each_op_became() -> None:
    old = units('%0 = "t.a"() loc("m#a")', '%1 = "t.b"(%0) loc("m#b")')
    new = units('%0 = "r.a"() loc("m#a")', '%1 = "r.a2"(%0) loc("m#a")', '%2 = "r.b"(%1) loc("m#b")')
    hunks = difference.compare(old, new)
    assert [(place, [mark for mark, _ in lines]) for place, lines in hunks] == [
        ('"m#a"', ["-", "+", "+"]), ('"m#b"', ["-", "+"])]  # fmt: skip
    assert difference.count(hunks) == (3, 2)
    assert difference.as_json(hunks)[0][0] == "m  a"


def test_ops_that_stay_are_compared_line_by_line() -> None:
    old = [['    %1 = "m"(%0) ({', "      a", "      b", "    })"]]
    new = [['    %1 = "m"(%0) ({', "      a", "      c", "    })"]]
    (hunk,) = difference.compare(old, new)
    assert [mark for mark, _ in hunk[1]] == [" ", " ", "-", "+", " "]
    other = [['    %1 = "n"(%0) ({', "      a", "      c", "    })"]]
    (hunk,) = difference.compare(old, other)
    assert [mark for mark, _ in hunk[1]] == ["-"] * 4 + ["+"] * 4
