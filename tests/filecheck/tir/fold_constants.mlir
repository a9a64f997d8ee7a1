// RUN: irsql-opt %s --verify-semantics --pass-pipeline=fold-constants,dce | filecheck %s
// RUN: irsql-opt %s --pass-pipeline=fold-constants --remarks=- -o %t/out.mlir 2>&1 | filecheck %s --check-prefix=REMARK
// RUN: irsql-opt %s --pass-pipeline=fold-constants{max-elements=2} --remarks=- 2>&1 | filecheck %s --check-prefix=BIG

// CHECK: "tir.constant"() <{value = dense<[2.0, 4.0, 6.0]> : tensor<3xf32>}>
// CHECK-NEXT: "func.return"
// REMARK: remark: fold-constants: passed: @forward: 1 of 3 operations computed
// BIG: remark: fold-constants: missed: tir.map on constants is left for later
// BIG-NEXT: reason: its result has more than max-elements=2 elements
// BIG: "tir.map"
"builtin.module"() <{irsql.attrs = {stage = "tir"}}> ({
  "func.func"() <{sym_name = "forward", function_type = () -> tensor<3xf32>}> ({
    %c = "tir.constant"() <{value = dense<[1.0, 2.0, 3.0]> : tensor<3xf32>}> : () -> tensor<3xf32>
    %y = "tir.map"(%c) <{maps = [affine_map<(d0) -> (d0)>]}> ({
    ^bb0(%e: f32):
      %g = "expr.binary"(%e, %e) <{kind = "add"}> : (f32, f32) -> f32
      "expr.yield"(%g) : (f32) -> ()
    }) : (tensor<3xf32>) -> tensor<3xf32>
    "func.return"(%y) : (tensor<3xf32>) -> ()
  }) : () -> ()
}) : () -> ()
