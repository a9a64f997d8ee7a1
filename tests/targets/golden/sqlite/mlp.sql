INSERT INTO "forward_0_input_packed" ("s", "v_0", "v_1", "v_2", "v_3", "v_4", "v_5")
  SELECT "a0"."s" AS "s", SUM("a0"."v") FILTER(WHERE "a0"."i1" = 0) AS "v_0", SUM("a0"."v") FILTER(WHERE "a0"."i1" = 1) AS "v_1", SUM("a0"."v") FILTER(WHERE "a0"."i1" = 2) AS "v_2", SUM("a0"."v") FILTER(WHERE "a0"."i1" = 3) AS "v_3", SUM("a0"."v") FILTER(WHERE "a0"."i1" = 4) AS "v_4", SUM("a0"."v") FILTER(WHERE "a0"."i1" = 5) AS "v_5"
  FROM "forward_in_input" AS "a0"
  GROUP BY "a0"."s";

INSERT INTO "forward_1_silu_packed" ("s", "v_0", "v_1", "v_2", "v_3")
  WITH "silu_0" AS MATERIALIZED (SELECT "a0"."s" AS "s_0", "a1"."i0" AS "i1_0", "a2"."i0" AS "i0_1", (((("a0"."v_0" * "a1"."v_0") + ("a0"."v_1" * "a1"."v_1")) + (("a0"."v_2" * "a1"."v_2") + ("a0"."v_3" * "a1"."v_3"))) + (("a0"."v_4" * "a1"."v_4") + ("a0"."v_5" * "a1"."v_5"))) AS "v0", "a2"."v" AS "v1"
  FROM "forward_0_input_packed" AS "a0"
  CROSS JOIN "model"."stored_0_weight" AS "a1"
  INNER JOIN "model"."stored_0_bias" AS "a2" ON ("a1"."i0" = "a2"."i0")),
  "silu_1" AS MATERIALIZED (SELECT "a0"."s_0" AS "s", "a0"."i1_0" AS "i1", CASE WHEN ((1.0 + EXP((-("a0"."v0" + "a0"."v1")))) = 0.0) THEN (("a0"."v0" + "a0"."v1") * 9e999) ELSE (("a0"."v0" + "a0"."v1") / (1.0 + EXP((-("a0"."v0" + "a0"."v1"))))) END AS "v"
  FROM "silu_0" AS "a0")
  SELECT "a0"."s" AS "s", SUM("a0"."v") FILTER(WHERE "a0"."i1" = 0) AS "v_0", SUM("a0"."v") FILTER(WHERE "a0"."i1" = 1) AS "v_1", SUM("a0"."v") FILTER(WHERE "a0"."i1" = 2) AS "v_2", SUM("a0"."v") FILTER(WHERE "a0"."i1" = 3) AS "v_3"
  FROM "silu_1" AS "a0"
  GROUP BY "a0"."s";

INSERT INTO "forward_2_linear_1" ("s", "i1", "v")
  SELECT "a0"."s" AS "s", "a1"."i0" AS "i1", (((("a0"."v_0" * "a1"."v_0") + ("a0"."v_1" * "a1"."v_1")) + (("a0"."v_2" * "a1"."v_2") + ("a0"."v_3" * "a1"."v_3"))) + "a2"."v") AS "v"
  FROM "forward_1_silu_packed" AS "a0"
  CROSS JOIN "model"."stored_2_weight" AS "a1"
  INNER JOIN "model"."stored_2_bias" AS "a2" ON ("a1"."i0" = "a2"."i0");
