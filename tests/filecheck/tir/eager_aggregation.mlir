// A positive factor with one element a row of the sum is applied to the sums; one that may be zero stays with the terms.
// RUN: irsql-opt %s --verify-semantics --pass-pipeline=eager-aggregation,canonicalise,dce | filecheck %s

// CHECK: sym_name = "applied"
// CHECK: %[[LEFT:.*]] = "tir.map"(%x, %g)
// CHECK: %[[SUM:.*]] = "tir.contract"(%[[LEFT]], %v)
// CHECK: "tir.map"(%[[SUM]], %z)
// CHECK: %[[POWER:.*]] = "expr.unary"(%1) <{kind = "exp"}>
// CHECK: "expr.binary"(%0, %[[POWER]]) <{kind = "div"}>
// CHECK: tensor<4x3xf32>
// CHECK: sym_name = "stays"
// CHECK: "tir.map"(%x, %z)
// CHECK: %[[LAST:.*]] = "tir.contract"
// CHECK-NEXT: "func.return"(%[[LAST]])
"builtin.module"() <{irsql.attrs = {stage = "tir"}}> ({
  "func.func"() <{sym_name = "applied", function_type = (tensor<4x6xf32>, tensor<4xf32>, tensor<6xf32>, tensor<3x6xf32>) -> tensor<4x3xf32>}> ({
  ^bb0(%x: tensor<4x6xf32>, %z: tensor<4xf32>, %g: tensor<6xf32>, %v: tensor<3x6xf32>):
    %y = "tir.map"(%x, %g, %z) <{maps = [affine_map<(d0, d1) -> (d0, d1)>, affine_map<(d0, d1) -> (d1)>, affine_map<(d0, d1) -> (d0)>]}> ({
    ^bb0(%0: f32, %1: f32, %2: f32):
      %3 = "expr.binary"(%0, %1) <{kind = "mul"}> : (f32, f32) -> f32
      %4 = "expr.unary"(%2) <{kind = "exp"}> : (f32) -> f32
      %5 = "expr.binary"(%3, %4) <{kind = "div"}> : (f32, f32) -> f32
      "expr.yield"(%5) : (f32) -> ()
    }) : (tensor<4x6xf32>, tensor<6xf32>, tensor<4xf32>) -> tensor<4x6xf32>
    %o = "tir.contract"(%y, %v) <{maps = [affine_map<(d0, d1, d2) -> (d0, d2)>, affine_map<(d0, d1, d2) -> (d1, d2)>, affine_map<(d0, d1, d2) -> (d0, d1)>], bounds = [4, 3, 6]}> : (tensor<4x6xf32>, tensor<3x6xf32>) -> tensor<4x3xf32>
    "func.return"(%o) : (tensor<4x3xf32>) -> ()
  }) : () -> ()
  "func.func"() <{sym_name = "stays", function_type = (tensor<4x6xf32>, tensor<4xf32>, tensor<3x6xf32>) -> tensor<4x3xf32>}> ({
  ^bb0(%x: tensor<4x6xf32>, %z: tensor<4xf32>, %v: tensor<3x6xf32>):
    %y = "tir.map"(%x, %z) <{maps = [affine_map<(d0, d1) -> (d0, d1)>, affine_map<(d0, d1) -> (d0)>]}> ({
    ^bb0(%0: f32, %1: f32):
      %2 = "expr.binary"(%0, %1) <{kind = "div"}> : (f32, f32) -> f32
      "expr.yield"(%2) : (f32) -> ()
    }) : (tensor<4x6xf32>, tensor<4xf32>) -> tensor<4x6xf32>
    %o = "tir.contract"(%y, %v) <{maps = [affine_map<(d0, d1, d2) -> (d0, d2)>, affine_map<(d0, d1, d2) -> (d1, d2)>, affine_map<(d0, d1, d2) -> (d0, d1)>], bounds = [4, 3, 6]}> : (tensor<4x6xf32>, tensor<3x6xf32>) -> tensor<4x3xf32>
    "func.return"(%o) : (tensor<4x3xf32>) -> ()
  }) : () -> ()
}) : () -> ()
