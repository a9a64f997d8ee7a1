INSERT INTO "forward_0_" ("s", "i1", "v")
  WITH "input_packed_0" AS MATERIALIZED (SELECT "a0"."s" AS "s", CAST(ARRAY_AGG("a0"."v" ORDER BY "a0"."i1" ASC) AS VECTOR(6)) AS "v"
  FROM "forward_in_input" AS "a0"
  GROUP BY "a0"."s")
  SELECT "a0"."s" AS "s", "a1"."i0" AS "i1", INNER_PRODUCT("a0"."v", "a1"."v") AS "v"
  FROM "input_packed_0" AS "a0"
  CROSS JOIN "model"."stored_0_weight" AS "a1";

INSERT INTO "forward_2_linear_1" ("s", "i1", "v")
  WITH "silu_packed_0" AS MATERIALIZED (SELECT "a0"."s" AS "s", CAST(ARRAY_AGG(CASE WHEN ((CAST('1.0' AS DOUBLE PRECISION) + CASE WHEN ((-("a0"."v" + CAST("a1"."v" AS DOUBLE PRECISION))) > CAST('88.72283172607422' AS DOUBLE PRECISION)) THEN ((-("a0"."v" + CAST("a1"."v" AS DOUBLE PRECISION))) + CAST('Infinity' AS DOUBLE PRECISION)) ELSE CASE WHEN ((-("a0"."v" + CAST("a1"."v" AS DOUBLE PRECISION))) < CAST('-104.0' AS DOUBLE PRECISION)) THEN CAST('0.0' AS DOUBLE PRECISION) ELSE EXP((-("a0"."v" + CAST("a1"."v" AS DOUBLE PRECISION)))) END END) = CAST('0.0' AS DOUBLE PRECISION)) THEN (("a0"."v" + CAST("a1"."v" AS DOUBLE PRECISION)) * CAST('Infinity' AS DOUBLE PRECISION)) ELSE (("a0"."v" + CAST("a1"."v" AS DOUBLE PRECISION)) / (CAST('1.0' AS DOUBLE PRECISION) + CASE WHEN ((-("a0"."v" + CAST("a1"."v" AS DOUBLE PRECISION))) > CAST('88.72283172607422' AS DOUBLE PRECISION)) THEN ((-("a0"."v" + CAST("a1"."v" AS DOUBLE PRECISION))) + CAST('Infinity' AS DOUBLE PRECISION)) ELSE CASE WHEN ((-("a0"."v" + CAST("a1"."v" AS DOUBLE PRECISION))) < CAST('-104.0' AS DOUBLE PRECISION)) THEN CAST('0.0' AS DOUBLE PRECISION) ELSE EXP((-("a0"."v" + CAST("a1"."v" AS DOUBLE PRECISION)))) END END)) END ORDER BY "a0"."i1" ASC) AS VECTOR(4)) AS "v"
  FROM "forward_0_" AS "a0"
  INNER JOIN "model"."stored_0_bias" AS "a1" ON ("a0"."i1" = "a1"."i0")
  GROUP BY "a0"."s"),
  "c_1" AS MATERIALIZED (SELECT "a0"."s" AS "s", "a1"."i0" AS "i1", INNER_PRODUCT("a0"."v", "a1"."v") AS "v"
  FROM "silu_packed_0" AS "a0"
  CROSS JOIN "model"."stored_2_weight" AS "a1")
  SELECT "a0"."s" AS "s", "a0"."i1" AS "i1", ("a0"."v" + CAST("a1"."v" AS DOUBLE PRECISION)) AS "v"
  FROM "c_1" AS "a0"
  INNER JOIN "model"."stored_2_bias" AS "a1" ON ("a0"."i1" = "a1"."i0");
