INSERT INTO "forward_q_linear_linear_1_linear_2" ("s", "i1", "v")
  WITH "x_packed_0" AS MATERIALIZED (SELECT "s", ("l")[1] AS "v_0", ("l")[2] AS "v_1", ("l")[3] AS "v_2", ("l")[4] AS "v_3"
  FROM (SELECT "a0"."s" AS "s", ARRAY_AGG("a0"."v" ORDER BY "a0"."i1" ASC) AS "l"
  FROM "forward_in_x" AS "a0"
  GROUP BY "a0"."s") AS "p1")
  SELECT "a0"."s" AS "s", "a1"."i0" AS "i1", ((("a0"."v_0" * CAST("a1"."v_0" AS DOUBLE PRECISION)) + ("a0"."v_1" * CAST("a1"."v_1" AS DOUBLE PRECISION))) + (("a0"."v_2" * CAST("a1"."v_2" AS DOUBLE PRECISION)) + ("a0"."v_3" * CAST("a1"."v_3" AS DOUBLE PRECISION)))) AS "v"
  FROM "x_packed_0" AS "a0"
  CROSS JOIN "model"."stored_q_weight_concat" AS "a1";

INSERT INTO "forward_step" ("i0", "s", "i2", "v")
  WITH "c_0" AS (SELECT "a0"."d0" AS "d0"
  FROM (SELECT "g"."d0"
  FROM GENERATE_SERIES(CAST(0 AS BIGINT), CAST(0 AS BIGINT)) AS "g"("d0")) AS "a0")
  SELECT "a2"."d0" AS "i0", "a0"."s" AS "s", "a1"."s" AS "i2", SUM(CASE WHEN (ABS(("a0"."v" * "a1"."v")) > CAST('3.4028234663852886e+38' AS DOUBLE PRECISION)) THEN (("a0"."v" * "a1"."v") * CAST('Infinity' AS DOUBLE PRECISION)) ELSE CASE WHEN (ABS(("a0"."v" * "a1"."v")) < CAST('1.401298464324817e-45' AS DOUBLE PRECISION)) THEN CAST('0.0' AS DOUBLE PRECISION) ELSE ("a0"."v" * "a1"."v") END END) AS "v"
  FROM "forward_q_linear_linear_1_linear_2" AS "a0"
  INNER JOIN "forward_q_linear_linear_1_linear_2" AS "a1" ON (("a1"."i1" + (-4)) >= 0) AND (("a1"."i1" + (-4)) < 4) AND ("a0"."i1" < 4) AND ("a0"."i1" = ("a1"."i1" + (-4)))
  CROSS JOIN "c_0" AS "a2"
  GROUP BY "a2"."d0", "a0"."s", "a1"."s";

INSERT INTO "forward_step_2" ("i0", "s", "i2", "v")
  WITH "c_0" AS (SELECT "a0"."i0" AS "i0", "a1"."s" AS "s"
  FROM (SELECT "g"."i0"
  FROM GENERATE_SERIES(CAST(0 AS BIGINT), CAST(0 AS BIGINT)) AS "g"("i0")) AS "a0"
  CROSS JOIN (SELECT "g"."s"
  FROM GENERATE_SERIES(CAST(0 AS BIGINT), CAST(((SELECT "S"
  FROM "dims") - 1) AS BIGINT)) AS "g"("s")) AS "a1"),
  "c_1" AS (SELECT "a0"."i0" AS "i0", "a0"."s" AS "s", MAX(CASE WHEN ("a0"."i2" <= "a0"."s") THEN ("a0"."v" * CAST('0.5' AS DOUBLE PRECISION)) ELSE CAST('-Infinity' AS DOUBLE PRECISION) END) AS "v"
  FROM "forward_step" AS "a0"
  GROUP BY "a0"."i0", "a0"."s"),
  "c_2" AS (SELECT "a0"."i0" AS "i0", "a0"."s" AS "s", COALESCE("a1"."v", CAST('-Infinity' AS DOUBLE PRECISION)) AS "v"
  FROM "c_0" AS "a0"
  LEFT JOIN "c_1" AS "a1" ON ("a0"."i0" = "a1"."i0") AND ("a0"."s" = "a1"."s"))
  SELECT "a0"."i0" AS "i0", "a0"."s" AS "s", "a0"."i2" AS "i2", CASE WHEN ((CASE WHEN ("a0"."i2" <= "a0"."s") THEN ("a0"."v" * CAST('0.5' AS DOUBLE PRECISION)) ELSE CAST('-Infinity' AS DOUBLE PRECISION) END - "a1"."v") > CAST('88.72283172607422' AS DOUBLE PRECISION)) THEN ((CASE WHEN ("a0"."i2" <= "a0"."s") THEN ("a0"."v" * CAST('0.5' AS DOUBLE PRECISION)) ELSE CAST('-Infinity' AS DOUBLE PRECISION) END - "a1"."v") + CAST('Infinity' AS DOUBLE PRECISION)) ELSE CASE WHEN ((CASE WHEN ("a0"."i2" <= "a0"."s") THEN ("a0"."v" * CAST('0.5' AS DOUBLE PRECISION)) ELSE CAST('-Infinity' AS DOUBLE PRECISION) END - "a1"."v") < CAST('-104.0' AS DOUBLE PRECISION)) THEN CAST('0.0' AS DOUBLE PRECISION) ELSE EXP((CASE WHEN ("a0"."i2" <= "a0"."s") THEN ("a0"."v" * CAST('0.5' AS DOUBLE PRECISION)) ELSE CAST('-Infinity' AS DOUBLE PRECISION) END - "a1"."v")) END END AS "v"
  FROM "forward_step" AS "a0"
  INNER JOIN "c_2" AS "a1" ON ("a0"."i0" = "a1"."i0") AND ("a0"."s" = "a1"."s");

INSERT INTO "forward_select" ("s", "i1", "v")
  WITH "scaled_dot_product_attention_0" AS (SELECT "a0"."i0" AS "i0", "a1"."s" AS "s", "a2"."i2" AS "i2"
  FROM (SELECT "g"."i0"
  FROM GENERATE_SERIES(CAST(0 AS BIGINT), CAST(0 AS BIGINT)) AS "g"("i0")) AS "a0"
  CROSS JOIN (SELECT "g"."s"
  FROM GENERATE_SERIES(CAST(0 AS BIGINT), CAST(((SELECT "S"
  FROM "dims") - 1) AS BIGINT)) AS "g"("s")) AS "a1"
  CROSS JOIN (SELECT "g"."i2"
  FROM GENERATE_SERIES(CAST(0 AS BIGINT), CAST(3 AS BIGINT)) AS "g"("i2")) AS "a2"),
  "c_1" AS (SELECT "a0"."i0" AS "i0", "a1"."s" AS "s"
  FROM (SELECT "g"."i0"
  FROM GENERATE_SERIES(CAST(0 AS BIGINT), CAST(0 AS BIGINT)) AS "g"("i0")) AS "a0"
  CROSS JOIN (SELECT "g"."s"
  FROM GENERATE_SERIES(CAST(0 AS BIGINT), CAST(((SELECT "S"
  FROM "dims") - 1) AS BIGINT)) AS "g"("s")) AS "a1"),
  "c_2" AS (SELECT "a0"."i0" AS "i0", "a0"."s" AS "s", SUM("a0"."v") AS "v"
  FROM "forward_step_2" AS "a0"
  GROUP BY "a0"."i0", "a0"."s"),
  "c_3" AS (SELECT "a0"."i0" AS "i0", "a0"."s" AS "s", COALESCE("a1"."v", CAST('0.0' AS DOUBLE PRECISION)) AS "v"
  FROM "c_1" AS "a0"
  LEFT JOIN "c_2" AS "a1" ON ("a0"."i0" = "a1"."i0") AND ("a0"."s" = "a1"."s")),
  "c_4" AS MATERIALIZED (SELECT "d3", ("l")[1] AS "v_0", ("l")[2] AS "v_1", ("l")[3] AS "v_2", ("l")[4] AS "v_3"
  FROM (SELECT "a0"."s" AS "d3", ARRAY_AGG("a0"."v" ORDER BY ("a0"."i1" + (-8)) ASC) AS "l"
  FROM "forward_q_linear_linear_1_linear_2" AS "a0"
  WHERE (("a0"."i1" + (-8)) >= 0)
  GROUP BY "a0"."s") AS "p1"),
  "c_5" AS MATERIALIZED (SELECT "a0"."i0" AS "i0_0", "a0"."s" AS "s_0", "a0"."i2" AS "i2_0", "a2"."d3" AS "d3_1", CASE WHEN ("a1"."v" = CAST('0.0' AS DOUBLE PRECISION)) THEN ("a0"."v" * CAST('Infinity' AS DOUBLE PRECISION)) ELSE ("a0"."v" / "a1"."v") END AS "v0_0", "a2"."v_0" AS "v1_0", "a2"."v_1" AS "v1_1", "a2"."v_2" AS "v1_2", "a2"."v_3" AS "v1_3"
  FROM "forward_step_2" AS "a0"
  INNER JOIN "c_3" AS "a1" ON ("a0"."i0" = "a1"."i0") AND ("a0"."s" = "a1"."s")
  INNER JOIN "c_4" AS "a2" ON ("a0"."i2" = "a2"."d3")),
  "c_6" AS MATERIALIZED (SELECT "a0"."i0_0" AS "i0", "a0"."s_0" AS "s", SUM(CASE WHEN (ABS(("a0"."v0_0" * "a0"."v1_0")) > CAST('3.4028234663852886e+38' AS DOUBLE PRECISION)) THEN (("a0"."v0_0" * "a0"."v1_0") * CAST('Infinity' AS DOUBLE PRECISION)) ELSE CASE WHEN (ABS(("a0"."v0_0" * "a0"."v1_0")) < CAST('1.401298464324817e-45' AS DOUBLE PRECISION)) THEN CAST('0.0' AS DOUBLE PRECISION) ELSE ("a0"."v0_0" * "a0"."v1_0") END END) AS "v_0", SUM(CASE WHEN (ABS(("a0"."v0_0" * "a0"."v1_1")) > CAST('3.4028234663852886e+38' AS DOUBLE PRECISION)) THEN (("a0"."v0_0" * "a0"."v1_1") * CAST('Infinity' AS DOUBLE PRECISION)) ELSE CASE WHEN (ABS(("a0"."v0_0" * "a0"."v1_1")) < CAST('1.401298464324817e-45' AS DOUBLE PRECISION)) THEN CAST('0.0' AS DOUBLE PRECISION) ELSE ("a0"."v0_0" * "a0"."v1_1") END END) AS "v_1", SUM(CASE WHEN (ABS(("a0"."v0_0" * "a0"."v1_2")) > CAST('3.4028234663852886e+38' AS DOUBLE PRECISION)) THEN (("a0"."v0_0" * "a0"."v1_2") * CAST('Infinity' AS DOUBLE PRECISION)) ELSE CASE WHEN (ABS(("a0"."v0_0" * "a0"."v1_2")) < CAST('1.401298464324817e-45' AS DOUBLE PRECISION)) THEN CAST('0.0' AS DOUBLE PRECISION) ELSE ("a0"."v0_0" * "a0"."v1_2") END END) AS "v_2", SUM(CASE WHEN (ABS(("a0"."v0_0" * "a0"."v1_3")) > CAST('3.4028234663852886e+38' AS DOUBLE PRECISION)) THEN (("a0"."v0_0" * "a0"."v1_3") * CAST('Infinity' AS DOUBLE PRECISION)) ELSE CASE WHEN (ABS(("a0"."v0_0" * "a0"."v1_3")) < CAST('1.401298464324817e-45' AS DOUBLE PRECISION)) THEN CAST('0.0' AS DOUBLE PRECISION) ELSE ("a0"."v0_0" * "a0"."v1_3") END END) AS "v_3"
  FROM "c_5" AS "a0"
  GROUP BY "a0"."i0_0", "a0"."s_0"),
  "scaled_dot_product_attention_7" AS (SELECT "a0"."i0" AS "i0", "a0"."s" AS "s", ("u"."i" - 1) AS "i2", CAST("u"."x0" AS DOUBLE PRECISION) AS "v"
  FROM "c_6" AS "a0"
  CROSS JOIN LATERAL UNNEST(ARRAY["a0"."v_0", "a0"."v_1", "a0"."v_2", "a0"."v_3"])
  WITH ORDINALITY AS "u"("x0", "i")
  WHERE (("u"."i" - 1) < 4)),
  "scaled_dot_product_attention_8" AS (SELECT "a0"."i0" AS "i0", "a0"."s" AS "s", "a0"."i2" AS "i2", COALESCE("a1"."v", CAST('0.0' AS DOUBLE PRECISION)) AS "v"
  FROM "scaled_dot_product_attention_0" AS "a0"
  LEFT JOIN "scaled_dot_product_attention_7" AS "a1" ON ("a0"."i0" = "a1"."i0") AND ("a0"."s" = "a1"."s") AND ("a0"."i2" = "a1"."i2"))
  SELECT "a0"."s" AS "s", "a0"."i2" AS "i1", "a0"."v" AS "v"
  FROM "scaled_dot_product_attention_8" AS "a0";
