CREATE OR REPLACE TEMPORARY TABLE "forward_0_input_packed" AS
  SELECT "a0"."s" AS "s", LIST("a0"."v" ORDER BY "a0"."i1" ASC) AS "v"
  FROM "forward_in_input" AS "a0"
  GROUP BY "a0"."s";

CREATE OR REPLACE TEMPORARY TABLE "forward_2_silu_packed" AS
  WITH "silu_0" AS (SELECT "a0"."s" AS "s_0", "a1"."i0" AS "i1_0", "a2"."i0" AS "i0_1", LIST_INNER_PRODUCT("a0"."v", "a1"."v") AS "v0", "a2"."v" AS "v1"
  FROM "forward_0_input_packed" AS "a0"
  CROSS JOIN "model"."stored_0_weight" AS "a1"
  INNER JOIN "model"."stored_0_bias" AS "a2" ON ("a1"."i0" = "a2"."i0"))
  SELECT "a0"."s_0" AS "s", LIST((("a0"."v0" + "a0"."v1") / (CAST('1.0' AS REAL) + CAST(CASE WHEN ((-("a0"."v0" + "a0"."v1")) > CAST('88.72283' AS REAL)) THEN CAST('Infinity' AS DOUBLE) + (-("a0"."v0" + "a0"."v1")) ELSE EXP((-("a0"."v0" + "a0"."v1"))) END AS REAL))) ORDER BY "a0"."i1_0" ASC) AS "v"
  FROM "silu_0" AS "a0"
  GROUP BY "a0"."s_0";

CREATE OR REPLACE TEMPORARY TABLE "forward_2_linear_1" AS
  SELECT "a0"."s" AS "s", "a1"."i0" AS "i1", (LIST_INNER_PRODUCT("a0"."v", "a1"."v") + "a2"."v") AS "v"
  FROM "forward_2_silu_packed" AS "a0"
  CROSS JOIN "model"."stored_2_weight" AS "a1"
  INNER JOIN "model"."stored_2_bias" AS "a2" ON ("a1"."i0" = "a2"."i0");
