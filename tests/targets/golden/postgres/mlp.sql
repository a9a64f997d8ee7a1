INSERT INTO "forward_1_silu" ("s", "i1", "v")
  WITH "input_packed_0" AS MATERIALIZED (SELECT "s", ("l")[1] AS "v_0", ("l")[2] AS "v_1", ("l")[3] AS "v_2", ("l")[4] AS "v_3", ("l")[5] AS "v_4", ("l")[6] AS "v_5"
  FROM (SELECT "a0"."s" AS "s", ARRAY_AGG("a0"."v" ORDER BY "a0"."i1" ASC) AS "l"
  FROM "forward_in_input" AS "a0"
  GROUP BY "a0"."s") AS "p1"),
  "silu_1" AS MATERIALIZED (SELECT "a0"."s" AS "s_0", "a1"."i0" AS "i1_0", "a2"."i0" AS "i0_1", (((("a0"."v_0" * CAST("a1"."v_0" AS DOUBLE PRECISION)) + ("a0"."v_1" * CAST("a1"."v_1" AS DOUBLE PRECISION))) + (("a0"."v_2" * CAST("a1"."v_2" AS DOUBLE PRECISION)) + ("a0"."v_3" * CAST("a1"."v_3" AS DOUBLE PRECISION)))) + (("a0"."v_4" * CAST("a1"."v_4" AS DOUBLE PRECISION)) + ("a0"."v_5" * CAST("a1"."v_5" AS DOUBLE PRECISION)))) AS "v0", CAST("a2"."v" AS DOUBLE PRECISION) AS "v1"
  FROM "input_packed_0" AS "a0"
  CROSS JOIN "model"."stored_0_weight" AS "a1"
  INNER JOIN "model"."stored_0_bias" AS "a2" ON ("a1"."i0" = "a2"."i0")),
  "c_2" AS MATERIALIZED (SELECT "a0"."s_0" AS "s_0", "a0"."i1_0" AS "i1_0", "a0"."i0_1" AS "i0_1", CASE WHEN ((CAST('1.0' AS DOUBLE PRECISION) + CASE WHEN ((-("a0"."v0" + "a0"."v1")) > CAST('88.72283172607422' AS DOUBLE PRECISION)) THEN ((-("a0"."v0" + "a0"."v1")) + CAST('Infinity' AS DOUBLE PRECISION)) ELSE CASE WHEN ((-("a0"."v0" + "a0"."v1")) < CAST('-104.0' AS DOUBLE PRECISION)) THEN CAST('0.0' AS DOUBLE PRECISION) ELSE EXP((-("a0"."v0" + "a0"."v1"))) END END) = CAST('0.0' AS DOUBLE PRECISION)) THEN (("a0"."v0" + "a0"."v1") * CAST('Infinity' AS DOUBLE PRECISION)) ELSE (("a0"."v0" + "a0"."v1") / (CAST('1.0' AS DOUBLE PRECISION) + CASE WHEN ((-("a0"."v0" + "a0"."v1")) > CAST('88.72283172607422' AS DOUBLE PRECISION)) THEN ((-("a0"."v0" + "a0"."v1")) + CAST('Infinity' AS DOUBLE PRECISION)) ELSE CASE WHEN ((-("a0"."v0" + "a0"."v1")) < CAST('-104.0' AS DOUBLE PRECISION)) THEN CAST('0.0' AS DOUBLE PRECISION) ELSE EXP((-("a0"."v0" + "a0"."v1"))) END END)) END AS "e0"
  FROM "silu_1" AS "a0")
  SELECT "a0"."s_0" AS "s", "a0"."i1_0" AS "i1", CASE WHEN (ABS("a0"."e0") > CAST('3.4028234663852886e+38' AS DOUBLE PRECISION)) THEN ("a0"."e0" * CAST('Infinity' AS DOUBLE PRECISION)) ELSE CASE WHEN (ABS("a0"."e0") < CAST('1.401298464324817e-45' AS DOUBLE PRECISION)) THEN CAST('0.0' AS DOUBLE PRECISION) ELSE "a0"."e0" END END AS "v"
  FROM "c_2" AS "a0";

INSERT INTO "forward_2_linear_1" ("s", "i1", "v")
  WITH "silu_packed_0" AS MATERIALIZED (SELECT "s", ("l")[1] AS "v_0", ("l")[2] AS "v_1", ("l")[3] AS "v_2", ("l")[4] AS "v_3"
  FROM (SELECT "a0"."s" AS "s", ARRAY_AGG("a0"."v" ORDER BY "a0"."i1" ASC) AS "l"
  FROM "forward_1_silu" AS "a0"
  GROUP BY "a0"."s") AS "p1")
  SELECT "a0"."s" AS "s", "a1"."i0" AS "i1", (((("a0"."v_0" * CAST("a1"."v_0" AS DOUBLE PRECISION)) + ("a0"."v_1" * CAST("a1"."v_1" AS DOUBLE PRECISION))) + (("a0"."v_2" * CAST("a1"."v_2" AS DOUBLE PRECISION)) + ("a0"."v_3" * CAST("a1"."v_3" AS DOUBLE PRECISION)))) + CAST("a2"."v" AS DOUBLE PRECISION)) AS "v"
  FROM "silu_packed_0" AS "a0"
  CROSS JOIN "model"."stored_2_weight" AS "a1"
  INNER JOIN "model"."stored_2_bias" AS "a2" ON ("a1"."i0" = "a2"."i0");
