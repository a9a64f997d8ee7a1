// A reshape and its inverse cancel, and a transposed weight is read through the map of its contraction.
// A reduction has no map for its operand: the transposition in front of it stays.
// RUN: irsql-opt %s --verify-semantics --pass-pipeline=canonicalise | filecheck %s
// RUN: irsql-opt %s --pass-pipeline=canonicalise --remarks=- -o %t/out.mlir 2>&1 | filecheck %s --check-prefix=REMARK

// CHECK-NOT: "tir.map"
// CHECK: "tir.contract"(%x, %w)
// CHECK-SAME: affine_map<(d0, d1, d2) -> (d0, d2)>, affine_map<(d0, d1, d2) -> (d1, d2)>, affine_map<(d0, d1, d2) -> (d0, d1)>
// CHECK-NOT: "tir.map"
// CHECK: sym_name = "stays"
// CHECK: %[[T:.*]] = "tir.map"(%x)
// CHECK: "tir.reduce"(%[[T]])

// REMARK: remark: canonicalise: passed: @forward: 6 operations became 3
// REMARK: remark: canonicalise: missed: @stays: 1 of 3 operations remain views
// REMARK-NEXT: reason: they are read by tir.reduce, not through a map
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
  "func.func"() <{sym_name = "stays", function_type = (tensor<4x6xf32>) -> tensor<4xf32>}> ({
  ^bb0(%x: tensor<4x6xf32>):
    %t = "tir.map"(%x) <{maps = [affine_map<(d0, d1) -> (d1, d0)>]}> ({
    ^bb0(%e: f32):
      "expr.yield"(%e) : (f32) -> ()
    }) : (tensor<4x6xf32>) -> tensor<6x4xf32>
    %y = "tir.reduce"(%t) <{kind = "sum", axes = [0]}> : (tensor<6x4xf32>) -> tensor<4xf32>
    "func.return"(%y) : (tensor<4xf32>) -> ()
  }) : () -> ()
}) : () -> ()
