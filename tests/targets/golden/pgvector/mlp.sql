INSERT INTO "forward_1_silu" ("s_0", "i1_0", "i0_1", "v0", "v1")
  WITH "input_packed_0" AS MATERIALIZED (SELECT "a0"."s" AS "s", CAST(ARRAY_AGG("a0"."v" ORDER BY "a0"."i1" ASC) AS VECTOR(6)) AS "v"
  FROM "forward_in_input" AS "a0"
  GROUP BY "a0"."s")
  SELECT "a0"."s" AS "s_0", "a1"."i0" AS "i1_0", "a2"."i0" AS "i0_1", INNER_PRODUCT("a0"."v", "a1"."v") AS "v0", CAST("a2"."v" AS DOUBLE PRECISION) AS "v1"
  FROM "input_packed_0" AS "a0"
  CROSS JOIN "model"."stored_0_weight" AS "a1"
  INNER JOIN "model"."stored_0_bias" AS "a2" ON ("a1"."i0" = "a2"."i0");

INSERT INTO "forward_2_linear_1" ("s", "i1", "v")
  WITH "silu_packed_0" AS MATERIALIZED (SELECT "a0"."s_0" AS "s", CAST(ARRAY_AGG(CASE WHEN ((CAST('1.0' AS DOUBLE PRECISION) + CASE WHEN ((-("a0"."v0" + "a0"."v1")) > CAST('88.72283172607422' AS DOUBLE PRECISION)) THEN ((-("a0"."v0" + "a0"."v1")) + CAST('Infinity' AS DOUBLE PRECISION)) ELSE CASE WHEN ((-("a0"."v0" + "a0"."v1")) < CAST('-104.0' AS DOUBLE PRECISION)) THEN CAST('0.0' AS DOUBLE PRECISION) ELSE EXP((-("a0"."v0" + "a0"."v1"))) END END) = CAST('0.0' AS DOUBLE PRECISION)) THEN (("a0"."v0" + "a0"."v1") * CAST('Infinity' AS DOUBLE PRECISION)) ELSE (("a0"."v0" + "a0"."v1") / (CAST('1.0' AS DOUBLE PRECISION) + CASE WHEN ((-("a0"."v0" + "a0"."v1")) > CAST('88.72283172607422' AS DOUBLE PRECISION)) THEN ((-("a0"."v0" + "a0"."v1")) + CAST('Infinity' AS DOUBLE PRECISION)) ELSE CASE WHEN ((-("a0"."v0" + "a0"."v1")) < CAST('-104.0' AS DOUBLE PRECISION)) THEN CAST('0.0' AS DOUBLE PRECISION) ELSE EXP((-("a0"."v0" + "a0"."v1"))) END END)) END ORDER BY "a0"."i1_0" ASC) AS VECTOR(4)) AS "v"
  FROM "forward_1_silu" AS "a0"
  GROUP BY "a0"."s_0")
  SELECT "a0"."s" AS "s", "a1"."i0" AS "i1", (INNER_PRODUCT("a0"."v", "a1"."v") + CAST("a2"."v" AS DOUBLE PRECISION)) AS "v"
  FROM "silu_packed_0" AS "a0"
  CROSS JOIN "model"."stored_2_weight" AS "a1"
  INNER JOIN "model"."stored_2_bias" AS "a2" ON ("a1"."i0" = "a2"."i0");
