// Two projections of one value are one contraction with the weights side by side, and two slices of it.
// RUN: irsql-opt %s --pass-pipeline=merge-contractions | filecheck %s

// CHECK-DAG: "tir.concat"({{.*}}) <{axis = 0 : i64}> : (tensor<5x6xf32>, tensor<2x6xf32>) -> tensor<7x6xf32>
// CHECK-DAG: -> tensor<4x7xf32>
// CHECK-DAG: affine_map<(d0, d1) -> (d0, d1 + 5)>
"builtin.module"() <{irsql.attrs = {stage = "tir"}}> ({
  "func.func"() <{sym_name = "forward", function_type = (tensor<4x6xf32>) -> (tensor<4x5xf32>, tensor<4x2xf32>)}> ({
  ^bb0(%x: tensor<4x6xf32>):
    %q = "tir.parameter"() <{parameter = "q"}> : () -> tensor<5x6xf32>
    %a = "tir.contract"(%x, %q) <{maps = [affine_map<(d0, d1, d2) -> (d0, d2)>, affine_map<(d0, d1, d2) -> (d1, d2)>, affine_map<(d0, d1, d2) -> (d0, d1)>], bounds = [4, 5, 6]}> : (tensor<4x6xf32>, tensor<5x6xf32>) -> tensor<4x5xf32>
    %k = "tir.parameter"() <{parameter = "k"}> : () -> tensor<2x6xf32>
    %b = "tir.contract"(%x, %k) <{maps = [affine_map<(d0, d1, d2) -> (d0, d2)>, affine_map<(d0, d1, d2) -> (d1, d2)>, affine_map<(d0, d1, d2) -> (d0, d1)>], bounds = [4, 2, 6]}> : (tensor<4x6xf32>, tensor<2x6xf32>) -> tensor<4x2xf32>
    "func.return"(%a, %b) : (tensor<4x5xf32>, tensor<4x2xf32>) -> ()
  }) : () -> ()
}) : () -> ()
