// SiLU times a second operand becomes one map; a cap on the body's size keeps them apart and says so.
// RUN: irsql-opt %s --pass-pipeline=fuse-elementwise | filecheck %s
// RUN: irsql-opt %s --pass-pipeline=fuse-elementwise{max-ops=4} | filecheck %s --check-prefix=CAP
// RUN: irsql-opt %s --pass-pipeline=fuse-elementwise --remarks=- -o %t/out.mlir 2>&1 | filecheck %s --check-prefix=REMARK
// RUN: irsql-opt %s --pass-pipeline=fuse-elementwise{max-ops=4} --remarks=- -o %t/out.mlir 2>&1 | filecheck %s --check-prefix=MISSED

// CHECK: "tir.map"(%x, %y)
// CHECK-NOT: "tir.map"
// CAP: "tir.map"(%x)
// CAP: "tir.map"(%s, %y)
// REMARK: remark: fuse-elementwise: passed: @forward: 1 of 2 maps moved into their readers
// MISSED: remark: fuse-elementwise: missed: s stays a map of its own [tir.map]
// MISSED-NEXT: reason: the fused body would have {{[0-9]+}} operations, more than max-ops=4
"builtin.module"() <{irsql.attrs = {stage = "tir"}}> ({
  "func.func"() <{sym_name = "forward", function_type = (tensor<6xf32>, tensor<6xf32>) -> tensor<6xf32>}> ({
  ^bb0(%x: tensor<6xf32>, %y: tensor<6xf32>):
    %s = "tir.map"(%x) <{maps = [affine_map<(d0) -> (d0)>]}> ({
    ^bb0(%e: f32):
      %one = "expr.constant"() <{value = 1.0}> : () -> f32
      %n = "expr.unary"(%e) <{kind = "neg"}> : (f32) -> f32
      %p = "expr.unary"(%n) <{kind = "exp"}> : (f32) -> f32
      %q = "expr.binary"(%p, %one) <{kind = "add"}> : (f32, f32) -> f32
      %r = "expr.binary"(%e, %q) <{kind = "div"}> : (f32, f32) -> f32
      "expr.yield"(%r) : (f32) -> ()
    }) : (tensor<6xf32>) -> tensor<6xf32>
    %z = "tir.map"(%s, %y) <{maps = [affine_map<(d0) -> (d0)>, affine_map<(d0) -> (d0)>]}> ({
    ^bb0(%e: f32, %f: f32):
      %g = "expr.binary"(%e, %f) <{kind = "mul"}> : (f32, f32) -> f32
      "expr.yield"(%g) : (f32) -> ()
    }) : (tensor<6xf32>, tensor<6xf32>) -> tensor<6xf32>
    "func.return"(%z) : (tensor<6xf32>) -> ()
  }) : () -> ()
}) : () -> ()
