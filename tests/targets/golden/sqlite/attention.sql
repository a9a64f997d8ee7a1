INSERT INTO "forward_q_x_packed" ("s", "v_0", "v_1", "v_2", "v_3")
  SELECT "a0"."s" AS "s", SUM("a0"."v") FILTER(WHERE "a0"."i1" = 0) AS "v_0", SUM("a0"."v") FILTER(WHERE "a0"."i1" = 1) AS "v_1", SUM("a0"."v") FILTER(WHERE "a0"."i1" = 2) AS "v_2", SUM("a0"."v") FILTER(WHERE "a0"."i1" = 3) AS "v_3"
  FROM "forward_in_x" AS "a0"
  GROUP BY "a0"."s";

INSERT INTO "forward_q_linear_linear_1_linear_2" ("s", "i1", "v")
  SELECT "a0"."s" AS "s", "a1"."i0" AS "i1", ((("a0"."v_0" * "a1"."v_0") + ("a0"."v_1" * "a1"."v_1")) + (("a0"."v_2" * "a1"."v_2") + ("a0"."v_3" * "a1"."v_3"))) AS "v"
  FROM "forward_q_x_packed" AS "a0"
  CROSS JOIN "model"."stored_q_weight_concat" AS "a1";

INSERT INTO "forward_step" ("i0", "s", "i2", "v")
  WITH "c_0" AS (SELECT "a0"."d0" AS "d0"
  FROM (WITH RECURSIVE n("i") AS (SELECT 0 AS "i"
  WHERE 0 < 1
  UNION ALL
  SELECT ("i" + 1)
  FROM n
  WHERE ("i" + 1) < 1)
  SELECT "i" AS "d0"
  FROM n) AS "a0")
  SELECT "a2"."d0" AS "i0", "a0"."s" AS "s", "a1"."s" AS "i2", SUM(("a0"."v" * "a1"."v")) AS "v"
  FROM "forward_q_linear_linear_1_linear_2" AS "a0"
  INNER JOIN "forward_q_linear_linear_1_linear_2" AS "a1" ON (("a1"."i1" + (-4)) >= 0) AND (("a1"."i1" + (-4)) < 4) AND ("a0"."i1" < 4) AND ("a0"."i1" = ("a1"."i1" + (-4))) AND ("a1"."i1" = ("a0"."i1" - (-4)))
  CROSS JOIN "c_0" AS "a2"
  GROUP BY "a2"."d0", "a0"."s", "a1"."s";

INSERT INTO "forward_step_2" ("i0", "s", "i2", "v")
  WITH "c_0" AS (SELECT "a0"."i0" AS "i0", "a1"."s" AS "s"
  FROM (WITH RECURSIVE n("i") AS (SELECT 0 AS "i"
  WHERE 0 < 1
  UNION ALL
  SELECT ("i" + 1)
  FROM n
  WHERE ("i" + 1) < 1)
  SELECT "i" AS "i0"
  FROM n) AS "a0"
  CROSS JOIN (WITH RECURSIVE n("i") AS (SELECT 0 AS "i"
  WHERE 0 < (SELECT "S"
  FROM "dims")
  UNION ALL
  SELECT ("i" + 1)
  FROM n
  WHERE ("i" + 1) < (SELECT "S"
  FROM "dims"))
  SELECT "i" AS "s"
  FROM n) AS "a1"),
  "c_1" AS (SELECT "a0"."i0" AS "i0", "a0"."s" AS "s", MAX(CASE WHEN ("a0"."i2" <= "a0"."s") THEN ("a0"."v" * 0.5) ELSE (-9e999) END) AS "v"
  FROM "forward_step" AS "a0"
  GROUP BY "a0"."i0", "a0"."s"),
  "c_2" AS (SELECT "a0"."i0" AS "i0", "a0"."s" AS "s", COALESCE("a1"."v", (-9e999)) AS "v"
  FROM "c_0" AS "a0"
  LEFT JOIN "c_1" AS "a1" ON ("a0"."i0" = "a1"."i0") AND ("a0"."s" = "a1"."s"))
  SELECT "a0"."i0" AS "i0", "a0"."s" AS "s", "a0"."i2" AS "i2", EXP((CASE WHEN ("a0"."i2" <= "a0"."s") THEN ("a0"."v" * 0.5) ELSE (-9e999) END - "a1"."v")) AS "v"
  FROM "forward_step" AS "a0"
  INNER JOIN "c_2" AS "a1" ON ("a0"."i0" = "a1"."i0") AND ("a0"."s" = "a1"."s");

INSERT INTO "forward_select" ("s", "i1", "v")
  WITH "scaled_dot_product_attention_0" AS (SELECT "a0"."i0" AS "i0", "a1"."s" AS "s", "a2"."i2" AS "i2"
  FROM (WITH RECURSIVE n("i") AS (SELECT 0 AS "i"
  WHERE 0 < 1
  UNION ALL
  SELECT ("i" + 1)
  FROM n
  WHERE ("i" + 1) < 1)
  SELECT "i" AS "i0"
  FROM n) AS "a0"
  CROSS JOIN (WITH RECURSIVE n("i") AS (SELECT 0 AS "i"
  WHERE 0 < (SELECT "S"
  FROM "dims")
  UNION ALL
  SELECT ("i" + 1)
  FROM n
  WHERE ("i" + 1) < (SELECT "S"
  FROM "dims"))
  SELECT "i" AS "s"
  FROM n) AS "a1"
  CROSS JOIN (WITH RECURSIVE n("i") AS (SELECT 0 AS "i"
  WHERE 0 < 4
  UNION ALL
  SELECT ("i" + 1)
  FROM n
  WHERE ("i" + 1) < 4)
  SELECT "i" AS "i2"
  FROM n) AS "a2"),
  "c_1" AS (SELECT "a0"."i0" AS "i0", "a1"."s" AS "s"
  FROM (WITH RECURSIVE n("i") AS (SELECT 0 AS "i"
  WHERE 0 < 1
  UNION ALL
  SELECT ("i" + 1)
  FROM n
  WHERE ("i" + 1) < 1)
  SELECT "i" AS "i0"
  FROM n) AS "a0"
  CROSS JOIN (WITH RECURSIVE n("i") AS (SELECT 0 AS "i"
  WHERE 0 < (SELECT "S"
  FROM "dims")
  UNION ALL
  SELECT ("i" + 1)
  FROM n
  WHERE ("i" + 1) < (SELECT "S"
  FROM "dims"))
  SELECT "i" AS "s"
  FROM n) AS "a1"),
  "c_2" AS (SELECT "a0"."i0" AS "i0", "a0"."s" AS "s", SUM("a0"."v") AS "v"
  FROM "forward_step_2" AS "a0"
  GROUP BY "a0"."i0", "a0"."s"),
  "c_3" AS (SELECT "a0"."i0" AS "i0", "a0"."s" AS "s", COALESCE("a1"."v", 0.0) AS "v"
  FROM "c_1" AS "a0"
  LEFT JOIN "c_2" AS "a1" ON ("a0"."i0" = "a1"."i0") AND ("a0"."s" = "a1"."s")),
  "c_4" AS (SELECT "a0"."s" AS "d3", SUM("a0"."v") FILTER(WHERE ("a0"."i1" + (-8)) = 0) AS "v_0", SUM("a0"."v") FILTER(WHERE ("a0"."i1" + (-8)) = 1) AS "v_1", SUM("a0"."v") FILTER(WHERE ("a0"."i1" + (-8)) = 2) AS "v_2", SUM("a0"."v") FILTER(WHERE ("a0"."i1" + (-8)) = 3) AS "v_3"
  FROM "forward_q_linear_linear_1_linear_2" AS "a0"
  WHERE (("a0"."i1" + (-8)) >= 0)
  GROUP BY "a0"."s"),
  "c_5" AS MATERIALIZED (SELECT "a0"."i0" AS "i0_0", "a0"."s" AS "s_0", "a0"."i2" AS "i2_0", "a2"."d3" AS "d3_1", CASE WHEN ("a1"."v" = 0.0) THEN ("a0"."v" * 9e999) ELSE ("a0"."v" / "a1"."v") END AS "v0_0", "a2"."v_0" AS "v1_0", "a2"."v_1" AS "v1_1", "a2"."v_2" AS "v1_2", "a2"."v_3" AS "v1_3"
  FROM "forward_step_2" AS "a0"
  INNER JOIN "c_3" AS "a1" ON ("a0"."i0" = "a1"."i0") AND ("a0"."s" = "a1"."s")
  INNER JOIN "c_4" AS "a2" ON ("a0"."i2" = "a2"."d3")),
  "c_6" AS (SELECT "a0"."i0_0" AS "i0", "a0"."s_0" AS "s", SUM(("a0"."v0_0" * "a0"."v1_0")) AS "v_0", SUM(("a0"."v0_0" * "a0"."v1_1")) AS "v_1", SUM(("a0"."v0_0" * "a0"."v1_2")) AS "v_2", SUM(("a0"."v0_0" * "a0"."v1_3")) AS "v_3"
  FROM "c_5" AS "a0"
  GROUP BY "a0"."i0_0", "a0"."s_0"),
  "scaled_dot_product_attention_7" AS (SELECT "a0"."i0" AS "i0", "a0"."s" AS "s", "u"."i" AS "i2", CASE WHEN "u"."i" < 2 THEN CASE WHEN "u"."i" < 1 THEN "a0"."v_0" ELSE "a0"."v_1" END ELSE CASE WHEN "u"."i" < 3 THEN "a0"."v_2" ELSE "a0"."v_3" END END AS "v"
  FROM "c_6" AS "a0"
  CROSS JOIN (WITH RECURSIVE n("i") AS (SELECT 0 AS "i"
  WHERE 0 < 4
  UNION ALL
  SELECT ("i" + 1)
  FROM n
  WHERE ("i" + 1) < 4)
  SELECT "i" AS "i"
  FROM n) AS "u"),
  "scaled_dot_product_attention_8" AS (SELECT "a0"."i0" AS "i0", "a0"."s" AS "s", "a0"."i2" AS "i2", COALESCE("a1"."v", 0.0) AS "v"
  FROM "scaled_dot_product_attention_0" AS "a0"
  LEFT JOIN "scaled_dot_product_attention_7" AS "a1" ON ("a0"."i0" = "a1"."i0") AND ("a0"."s" = "a1"."s") AND ("a0"."i2" = "a1"."i2"))
  SELECT "a0"."s" AS "s", "a0"."i2" AS "i1", "a0"."v" AS "v"
  FROM "scaled_dot_product_attention_8" AS "a0";
