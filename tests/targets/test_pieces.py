from __future__ import annotations

import pytest
from sqlglot import parse_one

from irsql.targets.pieces import pieces

CREATE = 'CREATE OR REPLACE TEMPORARY TABLE "t" AS '
INSERT = 'INSERT INTO "state"."s" ("b", "v") '
CTES = 'WITH "a" AS MATERIALIZED (SELECT * FROM "x" AS "a0"), "b" AS (SELECT "v" FROM "a" AS "a0" GROUP BY "v") '
QUERY = 'SELECT "a0"."v" FROM "b" AS "a0" JOIN "a" AS "a1" ON "a0"."v" = "a1"."v"'


@pytest.mark.parametrize("head", [CREATE, INSERT])
@pytest.mark.parametrize("ctes", [CTES, ""])
def test_the_pieces_make_the_statement(head: str, ctes: str) -> None:
    cut = pieces(head + ctes + QUERY, "duckdb")
    with_ = "WITH " + ", ".join(c.text for c in cut.ctes) if cut.ctes else ""
    again = parse_one(f"{cut.head} {with_} {cut.query.text}", dialect="duckdb")
    assert again == parse_one(head + ctes + QUERY, dialect="duckdb")
    assert cut.table == ("t" if head == CREATE else "s")
    assert [(c.name, c.brief) for c in cut.ctes] == ([("a", "x"), ("b", "group by · a")] if ctes else [])
    assert cut.query.brief == "join · b, a"
