// Two projections of one value are one contraction with the weights side by side, and two slices of it.
// With a weight that is stored the other way round it is not merged: its first axis is the one that is summed over.
// RUN: irsql-opt %s --verify-semantics --pass-pipeline=merge-contractions | filecheck %s
// RUN: irsql-opt %s --pass-pipeline=merge-contractions --remarks=- -o %t/out.mlir 2>&1 | filecheck %s --check-prefix=REMARK

// CHECK-DAG: "tir.concat"({{.*}}) <{axis = 0 : i64}> : (tensor<5x6xf32>, tensor<2x6xf32>) -> tensor<7x6xf32>
// CHECK-DAG: -> tensor<4x7xf32>
// CHECK-DAG: affine_map<(d0, d1) -> (d0, d1 + 5)>
// CHECK: sym_name = "transposed"
// CHECK-NOT: tir.concat
// REMARK: remark: merge-contractions: passed: merged 2 contractions of one operand [tir.contract]
// REMARK-NEXT: remark: merge-contractions: missed: 2 contractions of one operand are not all merged [tir.contract]
"builtin.module"() <{irsql.attrs = {stage = "tir"}}> ({
  "func.func"() <{sym_name = "forward", function_type = (tensor<4x6xf32>) -> (tensor<4x5xf32>, tensor<4x2xf32>)}> ({
  ^bb0(%x: tensor<4x6xf32>):
    %q = "tir.parameter"() <{parameter = "q"}> : () -> tensor<5x6xf32>
    %a = "tir.contract"(%x, %q) <{maps = [affine_map<(d0, d1, d2) -> (d0, d2)>, affine_map<(d0, d1, d2) -> (d1, d2)>, affine_map<(d0, d1, d2) -> (d0, d1)>], bounds = [4, 5, 6]}> : (tensor<4x6xf32>, tensor<5x6xf32>) -> tensor<4x5xf32>
    %k = "tir.parameter"() <{parameter = "k"}> : () -> tensor<2x6xf32>
    %b = "tir.contract"(%x, %k) <{maps = [affine_map<(d0, d1, d2) -> (d0, d2)>, affine_map<(d0, d1, d2) -> (d1, d2)>, affine_map<(d0, d1, d2) -> (d0, d1)>], bounds = [4, 2, 6]}> : (tensor<4x6xf32>, tensor<2x6xf32>) -> tensor<4x2xf32>
    "func.return"(%a, %b) : (tensor<4x5xf32>, tensor<4x2xf32>) -> ()
  }) : () -> ()
  "func.func"() <{sym_name = "transposed", function_type = (tensor<4x6xf32>) -> (tensor<4x5xf32>, tensor<4x2xf32>)}> ({
  ^bb0(%x: tensor<4x6xf32>):
    %q = "tir.parameter"() <{parameter = "q"}> : () -> tensor<5x6xf32>
    %a = "tir.contract"(%x, %q) <{maps = [affine_map<(d0, d1, d2) -> (d0, d2)>, affine_map<(d0, d1, d2) -> (d1, d2)>, affine_map<(d0, d1, d2) -> (d0, d1)>], bounds = [4, 5, 6]}> : (tensor<4x6xf32>, tensor<5x6xf32>) -> tensor<4x5xf32>
    %t = "tir.parameter"() <{parameter = "t"}> : () -> tensor<6x2xf32>
    %b = "tir.contract"(%x, %t) <{maps = [affine_map<(d0, d1, d2) -> (d0, d2)>, affine_map<(d0, d1, d2) -> (d2, d1)>, affine_map<(d0, d1, d2) -> (d0, d1)>], bounds = [4, 2, 6]}> : (tensor<4x6xf32>, tensor<6x2xf32>) -> tensor<4x2xf32>
    "func.return"(%a, %b) : (tensor<4x5xf32>, tensor<4x2xf32>) -> ()
  }) : () -> ()
}) : () -> ()
