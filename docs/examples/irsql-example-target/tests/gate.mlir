// RUN: irsql-opt %s --target duckdb-wide -p "$(irsql-opt --print-pipeline)" --verify-semantics --emit-sql | filecheck %s
// RUN: irsql-opt %s --target duckdb -p "$(irsql-opt --print-pipeline)" --emit-sql | filecheck %s --check-prefix=LISTS

// CHECK-NOT: LIST
// CHECK: ("a0"."v_0" * "a1"."v_0") + ("a0"."v_1" * "a1"."v_1")
// CHECK-NOT: LIST
// LISTS: LIST_INNER_PRODUCT("a0"."v", "a1"."v")
"func.func"() <{sym_name = "forward", function_type = (tensor<?x4xf32, #irsql.dims<["S", 4]>>, tensor<3x4xf32>) -> tensor<?x3xf32, #irsql.dims<["S", 3]>>, irsql.dims = {S = [1, 64]}}> ({
^bb0(%x: tensor<?x4xf32, #irsql.dims<["S", 4]>>, %w: tensor<3x4xf32>):
  %y = "tir.contract"(%x, %w) <{maps = [affine_map<(s, o, i) -> (s, i)>, affine_map<(s, o, i) -> (o, i)>, affine_map<(s, o, i) -> (s, o)>], bounds = [#irsql.dim<"S">, 3, 4]}> : (tensor<?x4xf32, #irsql.dims<["S", 4]>>, tensor<3x4xf32>) -> tensor<?x3xf32, #irsql.dims<["S", 3]>>
  "func.return"(%y) : (tensor<?x3xf32, #irsql.dims<["S", 3]>>) -> ()
}) : () -> ()
