// What is not legal is reported at once, by name, number and place; nothing is skipped.
// RUN: not irsql-opt %s --pass-pipeline=convert-tir-to-rel 2>&1 | filecheck %s

// CHECK: error: pass convert-tir-to-rel failed: not legal for convert-tir-to-rel: tir.softmax (2 times, first at
// CHECK-SAME: lowered by decompose
"builtin.module"() <{irsql.attrs = {stage = "tir"}}> ({
  "func.func"() <{sym_name = "forward", function_type = (tensor<4x6xf32>) -> tensor<4x6xf32>}> ({
  ^bb0(%x: tensor<4x6xf32>):
    %y = "tir.softmax"(%x) <{axis = 1}> : (tensor<4x6xf32>) -> tensor<4x6xf32>
    %z = "tir.softmax"(%y) <{axis = 0}> : (tensor<4x6xf32>) -> tensor<4x6xf32>
    "func.return"(%z) : (tensor<4x6xf32>) -> ()
  }) : () -> ()
}) : () -> ()
