// A wide layer becomes a small one of the same structure: the reshape into heads still covers its axis.
// RUN: irsql-opt %s --pass-pipeline=shrink{max-elements=100000} | filecheck %s
// RUN: irsql-opt %s --pass-pipeline=shrink{max-elements=100000} --remarks=- -o %t/out.mlir 2>&1 | filecheck %s --check-prefix=REMARK
// What is small enough stays as it is.
// RUN: irsql-opt %s --pass-pipeline=shrink{max-elements=10000000} --remarks=- 2>&1 | filecheck %s --check-prefix=SMALL

// CHECK: tensor<[[N:[0-9]+]]x[[N]]xf32>
// CHECK: affine_map<(d0, d1, d2) -> (d0, d1 * [[D:[0-9]+]] + d2)>
// CHECK-NOT: 1024
// CHECK: -> tensor<4x{{[0-9]+}}x[[D]]xf32>

// REMARK: remark: shrink: passed: 1,048,576 parameter elements became
// REMARK-NEXT: reason: {{.*}}1024 ->
// SMALL: remark: shrink: missed: the module is small already
// SMALL-NEXT: reason: 1,048,576 parameter elements
// SMALL: -> tensor<4x8x128xf32>
"builtin.module"() <{irsql.attrs = {stage = "tir"}}> ({
  "func.func"() <{sym_name = "forward", function_type = (tensor<4x1024xf32>) -> tensor<4x8x128xf32>}> ({
  ^bb0(%x: tensor<4x1024xf32>):
    %w = "tir.parameter"() <{parameter = "w"}> : () -> tensor<1024x1024xf32>
    %y = "tir.contract"(%x, %w) <{maps = [affine_map<(d0, d1, d2) -> (d0, d2)>, affine_map<(d0, d1, d2) -> (d1, d2)>, affine_map<(d0, d1, d2) -> (d0, d1)>], bounds = [4, 1024, 1024]}> : (tensor<4x1024xf32>, tensor<1024x1024xf32>) -> tensor<4x1024xf32>
    %z = "tir.map"(%y) <{maps = [affine_map<(d0, d1, d2) -> (d0, d1 * 128 + d2)>]}> ({
    ^bb0(%e: f32):
      "expr.yield"(%e) : (f32) -> ()
    }) : (tensor<4x1024xf32>) -> tensor<4x8x128xf32>
    "func.return"(%z) : (tensor<4x8x128xf32>) -> ()
  }) : () -> ()
}) : () -> ()
