// Equal maps of one operand are one, and so are equal constants of their bodies; 0.0 and -0.0 are not equal.
// RUN: irsql-opt %s --verify-semantics --pass-pipeline=cse | filecheck %s
// RUN: irsql-opt %s --pass-pipeline=cse --remarks=- -o %t/out.mlir 2>&1 | filecheck %s --check-prefix=REMARK
// RUN: irsql-opt %s --pass-pipeline=cse,cse --remarks=- -o %t/out.mlir 2>&1 | filecheck %s --check-prefix=ONCE

// CHECK: sym_name = "forward"
// CHECK: %[[A:.*]] = "tir.map"(%x)
// CHECK: value = 0.0
// CHECK: %[[C:.*]] = "tir.map"(%x)
// CHECK: value = -0.0
// CHECK-NOT: "tir.map"(%x)
// CHECK: "tir.map"(%[[A]], %[[A]], %[[C]])

// REMARK: remark: cse: passed: @forward: 4 of 17 operations equal earlier ones [func.func]
// A second run finds nothing more, and says nothing.
// ONCE-COUNT-1: remark: cse
// ONCE-NOT: remark: cse
"builtin.module"() <{irsql.attrs = {stage = "tir"}}> ({
  "func.func"() <{sym_name = "forward", function_type = (tensor<6xf32>) -> tensor<6xf32>}> ({
  ^bb0(%x: tensor<6xf32>):
    %a = "tir.map"(%x) <{maps = [affine_map<(d0) -> (d0)>]}> ({
    ^bb0(%e: f32):
      %z = "expr.constant"() <{value = 0.0}> : () -> f32
      %s = "expr.binary"(%e, %z) <{kind = "mul"}> : (f32, f32) -> f32
      "expr.yield"(%s) : (f32) -> ()
    }) : (tensor<6xf32>) -> tensor<6xf32>
    %b = "tir.map"(%x) <{maps = [affine_map<(d0) -> (d0)>]}> ({
    ^bb0(%e: f32):
      %z = "expr.constant"() <{value = 0.0}> : () -> f32
      %s = "expr.binary"(%e, %z) <{kind = "mul"}> : (f32, f32) -> f32
      "expr.yield"(%s) : (f32) -> ()
    }) : (tensor<6xf32>) -> tensor<6xf32>
    %c = "tir.map"(%x) <{maps = [affine_map<(d0) -> (d0)>]}> ({
    ^bb0(%e: f32):
      %z = "expr.constant"() <{value = -0.0}> : () -> f32
      %s = "expr.binary"(%e, %z) <{kind = "mul"}> : (f32, f32) -> f32
      "expr.yield"(%s) : (f32) -> ()
    }) : (tensor<6xf32>) -> tensor<6xf32>
    %y = "tir.map"(%a, %b, %c) <{maps = [affine_map<(d0) -> (d0)>, affine_map<(d0) -> (d0)>, affine_map<(d0) -> (d0)>]}> ({
    ^bb0(%e: f32, %f: f32, %g: f32):
      %s = "expr.binary"(%e, %f) <{kind = "add"}> : (f32, f32) -> f32
      %t = "expr.binary"(%s, %g) <{kind = "add"}> : (f32, f32) -> f32
      "expr.yield"(%t) : (f32) -> ()
    }) : (tensor<6xf32>, tensor<6xf32>, tensor<6xf32>) -> tensor<6xf32>
    "func.return"(%y) : (tensor<6xf32>) -> ()
  }) : () -> ()
}) : () -> ()
