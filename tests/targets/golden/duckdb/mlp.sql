CREATE OR REPLACE TEMPORARY TABLE "forward_0_silu_packed" AS
  WITH "input_packed_0" AS (SELECT "a0"."s" AS "s", LIST("a0"."v" ORDER BY "a0"."i1" ASC) AS "v"
  FROM "forward_in_input" AS "a0"
  GROUP BY "a0"."s"),
  "c_1" AS (SELECT "a0"."s" AS "s", "a1"."i0" AS "i1", LIST_INNER_PRODUCT("a0"."v", "a1"."v") AS "v"
  FROM "input_packed_0" AS "a0"
  CROSS JOIN "model"."stored_0_weight" AS "a1")
  SELECT "a0"."s" AS "s", LIST((("a0"."v" + "a1"."v") / (CAST('1.0' AS REAL) + CAST(CASE WHEN ((-("a0"."v" + "a1"."v")) > CAST('88.72283' AS REAL)) THEN CAST('Infinity' AS DOUBLE) + (-("a0"."v" + "a1"."v")) ELSE EXP((-("a0"."v" + "a1"."v"))) END AS REAL))) ORDER BY "a0"."i1" ASC) AS "v"
  FROM "c_1" AS "a0"
  INNER JOIN "model"."stored_0_bias" AS "a1" ON ("a0"."i1" = "a1"."i0")
  GROUP BY "a0"."s";

CREATE OR REPLACE TEMPORARY TABLE "forward_2_linear_1" AS
  WITH "c_0" AS (SELECT "a0"."s" AS "s", "a1"."i0" AS "i1", LIST_INNER_PRODUCT("a0"."v", "a1"."v") AS "v"
  FROM "forward_0_silu_packed" AS "a0"
  CROSS JOIN "model"."stored_2_weight" AS "a1")
  SELECT "a0"."s" AS "s", "a0"."i1" AS "i1", ("a0"."v" + "a1"."v") AS "v"
  FROM "c_0" AS "a0"
  INNER JOIN "model"."stored_2_bias" AS "a1" ON ("a0"."i1" = "a1"."i0");
