// A reshape and its inverse cancel, and a transposed weight is read through the map of its contraction.
// RUN: irsql-opt %s --pass-pipeline=canonicalise | filecheck %s

// CHECK-NOT: "tir.map"
// CHECK: "tir.contract"(%x, %w)
// CHECK-SAME: affine_map<(d0, d1, d2) -> (d0, d2)>, affine_map<(d0, d1, d2) -> (d1, d2)>, affine_map<(d0, d1, d2) -> (d0, d1)>
// CHECK-NOT: "tir.map"
"builtin.module"() <{irsql.attrs = {stage = "tir"}}> ({
  "func.func"() <{sym_name = "forward", function_type = (tensor<4x6xf32>) -> tensor<4x5xf32>}> ({
  ^bb0(%x: tensor<4x6xf32>):
    %w = "tir.parameter"() <{parameter = "w"}> : () -> tensor<5x6xf32>
    %t = "tir.map"(%w) <{maps = [affine_map<(d0, d1) -> (d1, d0)>]}> ({
    ^bb0(%e: f32):
      "expr.yield"(%e) : (f32) -> ()
    }) : (tensor<5x6xf32>) -> tensor<6x5xf32>
    %s = "tir.map"(%x) <{maps = [affine_map<(d0, d1, d2) -> (d0, d1 * 2 + d2)>]}> ({
    ^bb0(%e: f32):
      "expr.yield"(%e) : (f32) -> ()
    }) : (tensor<4x6xf32>) -> tensor<4x3x2xf32>
    %j = "tir.map"(%s) <{maps = [affine_map<(d0, d1) -> (d0, d1 floordiv 2, d1 mod 2)>]}> ({
    ^bb0(%e: f32):
      "expr.yield"(%e) : (f32) -> ()
    }) : (tensor<4x3x2xf32>) -> tensor<4x6xf32>
    %y = "tir.contract"(%j, %t) <{maps = [affine_map<(d0, d1, d2) -> (d0, d2)>, affine_map<(d0, d1, d2) -> (d2, d1)>, affine_map<(d0, d1, d2) -> (d0, d1)>], bounds = [4, 5, 6]}> : (tensor<4x6xf32>, tensor<6x5xf32>) -> tensor<4x5xf32>
    "func.return"(%y) : (tensor<4x5xf32>) -> ()
  }) : () -> ()
}) : () -> ()
