// A known factor of the left side moves into the weight; a factor that is no weight stays, and so does one in front of a
// weight that is read elsewhere too, and would be stored twice.
// RUN: irsql-opt %s --verify-semantics --pass-pipeline=fold-weights,canonicalise,dce | filecheck %s
// RUN: irsql-opt %s --pass-pipeline=fold-weights --remarks=- -o %t/out.mlir 2>&1 | filecheck %s --check-prefix=REMARK

// CHECK: %[[W:.*]] = "tir.parameter"() <{parameter = "w"}>
// CHECK: %[[SCALED:.*]] = "tir.map"({{.*}}) <{maps = [affine_map<(d0, d1) -> (d0, d1)>, affine_map<(d0, d1) -> (d1)>]}>
// CHECK: "expr.binary"({{.*}}) <{kind = "mul"}>
// CHECK: tensor<5x6xf32>, tensor<6xf32>) -> tensor<5x6xf32>
// CHECK: "tir.contract"({{.*}}, %[[SCALED]])
// CHECK: sym_name = "tied"
// CHECK: "tir.contract"({{.*}}, %w)
// REMARK: remark: fold-weights: passed: 1 factor moved into the weights of 1 contraction
// REMARK: remark: fold-weights: missed: a factor stays in front of z
// REMARK-NEXT: reason: the weight has other readers too, and would be stored twice
"builtin.module"() <{irsql.attrs = {stage = "tir"}}> ({
  "func.func"() <{sym_name = "forward", function_type = (tensor<4x6xf32>, tensor<4xf32>) -> tensor<4x5xf32>}> ({
  ^bb0(%x: tensor<4x6xf32>, %s: tensor<4xf32>):
    %g = "tir.parameter"() <{parameter = "g"}> : () -> tensor<6xf32>
    %y = "tir.map"(%x, %s, %g) <{maps = [affine_map<(d0, d1) -> (d0, d1)>, affine_map<(d0, d1) -> (d0)>, affine_map<(d0, d1) -> (d1)>]}> ({
    ^bb0(%0: f32, %1: f32, %2: f32):
      %3 = "expr.binary"(%0, %1) <{kind = "mul"}> : (f32, f32) -> f32
      %4 = "expr.binary"(%3, %2) <{kind = "mul"}> : (f32, f32) -> f32
      "expr.yield"(%4) : (f32) -> ()
    }) : (tensor<4x6xf32>, tensor<4xf32>, tensor<6xf32>) -> tensor<4x6xf32>
    %w = "tir.parameter"() <{parameter = "w"}> : () -> tensor<5x6xf32>
    %z = "tir.contract"(%y, %w) <{maps = [affine_map<(d0, d1, d2) -> (d0, d2)>, affine_map<(d0, d1, d2) -> (d1, d2)>, affine_map<(d0, d1, d2) -> (d0, d1)>], bounds = [4, 5, 6]}> : (tensor<4x6xf32>, tensor<5x6xf32>) -> tensor<4x5xf32>
    "func.return"(%z) : (tensor<4x5xf32>) -> ()
  }) : () -> ()
  "func.func"() <{sym_name = "tied", function_type = (tensor<4x6xf32>) -> (tensor<4x5xf32>, tensor<5x6xf32>)}> ({
  ^bb0(%x: tensor<4x6xf32>):
    %g = "tir.parameter"() <{parameter = "g"}> : () -> tensor<6xf32>
    %y = "tir.map"(%x, %g) <{maps = [affine_map<(d0, d1) -> (d0, d1)>, affine_map<(d0, d1) -> (d1)>]}> ({
    ^bb0(%0: f32, %1: f32):
      %2 = "expr.binary"(%0, %1) <{kind = "mul"}> : (f32, f32) -> f32
      "expr.yield"(%2) : (f32) -> ()
    }) : (tensor<4x6xf32>, tensor<6xf32>) -> tensor<4x6xf32>
    %w = "tir.parameter"() <{parameter = "w"}> : () -> tensor<5x6xf32>
    %z = "tir.contract"(%y, %w) <{maps = [affine_map<(d0, d1, d2) -> (d0, d2)>, affine_map<(d0, d1, d2) -> (d1, d2)>, affine_map<(d0, d1, d2) -> (d0, d1)>], bounds = [4, 5, 6]}> : (tensor<4x6xf32>, tensor<5x6xf32>) -> tensor<4x5xf32>
    "func.return"(%z, %w) : (tensor<4x5xf32>, tensor<5x6xf32>) -> ()
  }) : () -> ()
}) : () -> ()
