// The sum of a softmax has one element a row: dividing by it comes after the sum over the row. What is summed over stays.
// RUN: irsql-opt %s --verify-semantics --pass-pipeline=eager-aggregation,canonicalise,dce | filecheck %s

// CHECK: %[[LEFT:.*]] = "tir.map"(%x, %g)
// CHECK: %[[SUM:.*]] = "tir.contract"(%[[LEFT]], %v)
// CHECK: "tir.map"(%[[SUM]], %z)
// CHECK: "expr.binary"({{.*}}) <{kind = "div"}>
// CHECK: tensor<4x3xf32>
"builtin.module"() <{irsql.attrs = {stage = "tir"}}> ({
  "func.func"() <{sym_name = "forward", function_type = (tensor<4x6xf32>, tensor<4xf32>, tensor<6xf32>, tensor<3x6xf32>) -> tensor<4x3xf32>}> ({
  ^bb0(%x: tensor<4x6xf32>, %z: tensor<4xf32>, %g: tensor<6xf32>, %v: tensor<3x6xf32>):
    %y = "tir.map"(%x, %g, %z) <{maps = [affine_map<(d0, d1) -> (d0, d1)>, affine_map<(d0, d1) -> (d1)>, affine_map<(d0, d1) -> (d0)>]}> ({
    ^bb0(%0: f32, %1: f32, %2: f32):
      %3 = "expr.binary"(%0, %1) <{kind = "mul"}> : (f32, f32) -> f32
      %4 = "expr.binary"(%3, %2) <{kind = "div"}> : (f32, f32) -> f32
      "expr.yield"(%4) : (f32) -> ()
    }) : (tensor<4x6xf32>, tensor<6xf32>, tensor<4xf32>) -> tensor<4x6xf32>
    %o = "tir.contract"(%y, %v) <{maps = [affine_map<(d0, d1, d2) -> (d0, d2)>, affine_map<(d0, d1, d2) -> (d1, d2)>, affine_map<(d0, d1, d2) -> (d0, d1)>], bounds = [4, 3, 6]}> : (tensor<4x6xf32>, tensor<3x6xf32>) -> tensor<4x3xf32>
    "func.return"(%o) : (tensor<4x3xf32>) -> ()
  }) : () -> ()
}) : () -> ()
