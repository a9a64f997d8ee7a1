CREATE OR REPLACE TEMPORARY TABLE "forward_select" AS
  WITH "scaled_dot_product_attention_0" AS (SELECT "a0"."i0" AS "i0", "a1"."s" AS "s", "a2"."i2" AS "i2"
  FROM (SELECT UNNEST(RANGE(0, 1)) AS "i0") AS "a0"
  CROSS JOIN (SELECT UNNEST(RANGE(0, (SELECT "S"
  FROM "dims"))) AS "s") AS "a1"
  CROSS JOIN (SELECT UNNEST(RANGE(0, 4)) AS "i2") AS "a2"),
  "x_packed_1" AS (SELECT "a0"."s" AS "s", LIST("a0"."v" ORDER BY "a0"."i1" ASC) AS "v"
  FROM "forward_in_x" AS "a0"
  GROUP BY "a0"."s"),
  "linear_linear_1_linear_2_2" AS MATERIALIZED (SELECT "a0"."s" AS "s", "a1"."i0" AS "i1", LIST_INNER_PRODUCT("a0"."v", "a1"."v") AS "v"
  FROM "x_packed_1" AS "a0"
  CROSS JOIN "model"."stored_q_weight_concat" AS "a1"),
  "c_3" AS (SELECT "a0"."d0" AS "d0"
  FROM (SELECT UNNEST(RANGE(0, 1)) AS "d0") AS "a0"),
  "c_4" AS MATERIALIZED (SELECT "a2"."d0" AS "i0", "a0"."s" AS "s", "a1"."s" AS "i2", CAST(SUM(("a0"."v" * "a1"."v")) AS REAL) AS "v"
  FROM "linear_linear_1_linear_2_2" AS "a0"
  INNER JOIN "linear_linear_1_linear_2_2" AS "a1" ON (("a1"."i1" + (-4)) >= 0) AND (("a1"."i1" + (-4)) < 4) AND ("a0"."i1" < 4) AND ("a0"."i1" = ("a1"."i1" + (-4)))
  CROSS JOIN "c_3" AS "a2"
  GROUP BY "a2"."d0", "a0"."s", "a1"."s"),
  "c_5" AS MATERIALIZED (SELECT "a0"."i0" AS "i0", "a1"."s" AS "s"
  FROM (SELECT UNNEST(RANGE(0, 1)) AS "i0") AS "a0"
  CROSS JOIN (SELECT UNNEST(RANGE(0, (SELECT "S"
  FROM "dims"))) AS "s") AS "a1"),
  "c_6" AS (SELECT "a0"."i0" AS "i0", "a0"."s" AS "s", MAX(CASE WHEN ("a0"."i2" <= "a0"."s") THEN ("a0"."v" * CAST('0.5' AS REAL)) ELSE CAST('-Infinity' AS REAL) END) AS "v"
  FROM "c_4" AS "a0"
  GROUP BY "a0"."i0", "a0"."s"),
  "c_7" AS (SELECT "a0"."i0" AS "i0", "a0"."s" AS "s", COALESCE("a1"."v", CAST('-Infinity' AS REAL)) AS "v"
  FROM "c_5" AS "a0"
  LEFT JOIN "c_6" AS "a1" ON ("a0"."i0" = "a1"."i0") AND ("a0"."s" = "a1"."s")),
  "c_8" AS MATERIALIZED (SELECT "a0"."i0" AS "i0", "a0"."s" AS "s", "a0"."i2" AS "i2", CAST(CASE WHEN ((CASE WHEN ("a0"."i2" <= "a0"."s") THEN ("a0"."v" * CAST('0.5' AS REAL)) ELSE CAST('-Infinity' AS REAL) END - "a1"."v") > CAST('88.72283' AS REAL)) THEN CAST('Infinity' AS DOUBLE) + (CASE WHEN ("a0"."i2" <= "a0"."s") THEN ("a0"."v" * CAST('0.5' AS REAL)) ELSE CAST('-Infinity' AS REAL) END - "a1"."v") ELSE EXP((CASE WHEN ("a0"."i2" <= "a0"."s") THEN ("a0"."v" * CAST('0.5' AS REAL)) ELSE CAST('-Infinity' AS REAL) END - "a1"."v")) END AS REAL) AS "v"
  FROM "c_4" AS "a0"
  INNER JOIN "c_7" AS "a1" ON ("a0"."i0" = "a1"."i0") AND ("a0"."s" = "a1"."s")),
  "c_9" AS (SELECT "a0"."i0" AS "i0", "a0"."s" AS "s", CAST(SUM("a0"."v") AS REAL) AS "v"
  FROM "c_8" AS "a0"
  GROUP BY "a0"."i0", "a0"."s"),
  "c_10" AS (SELECT "a0"."i0" AS "i0", "a0"."s" AS "s", COALESCE("a1"."v", CAST('0.0' AS REAL)) AS "v"
  FROM "c_5" AS "a0"
  LEFT JOIN "c_9" AS "a1" ON ("a0"."i0" = "a1"."i0") AND ("a0"."s" = "a1"."s")),
  "c_11" AS (SELECT "a0"."s" AS "d3", LIST("a0"."v" ORDER BY ("a0"."i1" + (-8)) ASC) AS "v"
  FROM "linear_linear_1_linear_2_2" AS "a0"
  WHERE (("a0"."i1" + (-8)) >= 0)
  GROUP BY "a0"."s"),
  "c_12" AS (SELECT "a0"."i0" AS "i0", "a0"."s" AS "s", CAST(SUM((("a0"."v" / "a1"."v") * LIST_EXTRACT("a2"."v", 1))) AS REAL) AS "v_0", CAST(SUM((("a0"."v" / "a1"."v") * LIST_EXTRACT("a2"."v", 2))) AS REAL) AS "v_1", CAST(SUM((("a0"."v" / "a1"."v") * LIST_EXTRACT("a2"."v", 3))) AS REAL) AS "v_2", CAST(SUM((("a0"."v" / "a1"."v") * LIST_EXTRACT("a2"."v", 4))) AS REAL) AS "v_3"
  FROM "c_8" AS "a0"
  INNER JOIN "c_10" AS "a1" ON ("a0"."i0" = "a1"."i0") AND ("a0"."s" = "a1"."s")
  INNER JOIN "c_11" AS "a2" ON ("a0"."i2" = "a2"."d3")
  GROUP BY "a0"."i0", "a0"."s"),
  "scaled_dot_product_attention_13" AS (SELECT "a0"."i0" AS "i0", "a0"."s" AS "s", UNNEST(RANGE(0, 4)) AS "i2", UNNEST(LIST_VALUE("a0"."v_0", "a0"."v_1", "a0"."v_2", "a0"."v_3")) AS "v"
  FROM "c_12" AS "a0"),
  "scaled_dot_product_attention_14" AS (SELECT "a0"."i0" AS "i0", "a0"."s" AS "s", "a0"."i2" AS "i2", COALESCE("a1"."v", CAST('0.0' AS REAL)) AS "v"
  FROM "scaled_dot_product_attention_0" AS "a0"
  LEFT JOIN "scaled_dot_product_attention_13" AS "a1" ON ("a0"."i0" = "a1"."i0") AND ("a0"."s" = "a1"."s") AND ("a0"."i2" = "a1"."i2"))
  SELECT "a0"."s" AS "s", "a0"."i2" AS "i1", "a0"."v" AS "v"
  FROM "scaled_dot_product_attention_14" AS "a0";
