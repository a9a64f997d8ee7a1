// The sum of two parameters is computed once, when loading; a parameter alone is stored under its own name.
// RUN: irsql-opt %s --verify-semantics --pass-pipeline=split-load,dce | filecheck %s
// Done twice, nothing is left to move.
// RUN: irsql-opt %s --pass-pipeline=split-load,dce,split-load --remarks=- -o %t/out.mlir 2>&1 | filecheck %s --check-prefix=REMARK

// CHECK: sym_name = "load"
// CHECK: "tir.map"
// CHECK: "tir.store"({{.*}}) <{store = "a.map"}>
// CHECK: "tir.store"({{.*}}) <{store = "b"}>
// CHECK: sym_name = "forward"
// CHECK-NOT: tir.parameter
// CHECK-DAG: "tir.stored"() <{store = "b"}>
// CHECK-DAG: "tir.stored"() <{store = "a.map"}>
// CHECK: "tir.map"(%x
// REMARK: remark: split-load: passed: @load stores 2 tensors, which are read in 2 places
// REMARK: remark: split-load: missed: nothing is stored
// REMARK-NEXT: reason: no operation depends on parameters and constants alone
"builtin.module"() <{irsql.attrs = {stage = "tir"}}> ({
  "func.func"() <{sym_name = "forward", function_type = (tensor<6xf32>) -> tensor<6xf32>}> ({
  ^bb0(%x: tensor<6xf32>):
    %a = "tir.parameter"() <{parameter = "a"}> : () -> tensor<6xf32>
    %b = "tir.parameter"() <{parameter = "b"}> : () -> tensor<6xf32>
    %c = "tir.map"(%a, %b) <{maps = [affine_map<(d0) -> (d0)>, affine_map<(d0) -> (d0)>]}> ({
    ^bb0(%e: f32, %f: f32):
      %g = "expr.binary"(%e, %f) <{kind = "add"}> : (f32, f32) -> f32
      "expr.yield"(%g) : (f32) -> ()
    }) : (tensor<6xf32>, tensor<6xf32>) -> tensor<6xf32>
    %y = "tir.map"(%x, %c, %b) <{maps = [affine_map<(d0) -> (d0)>, affine_map<(d0) -> (d0)>, affine_map<(d0) -> (d0)>]}> ({
    ^bb0(%e: f32, %f: f32, %h: f32):
      %g = "expr.binary"(%e, %f) <{kind = "add"}> : (f32, f32) -> f32
      %i = "expr.binary"(%g, %h) <{kind = "mul"}> : (f32, f32) -> f32
      "expr.yield"(%i) : (f32) -> ()
    }) : (tensor<6xf32>, tensor<6xf32>, tensor<6xf32>) -> tensor<6xf32>
    "func.return"(%y) : (tensor<6xf32>) -> ()
  }) : () -> ()
}) : () -> ()
