// RUN: irsql-opt %s --pass-pipeline=decompose | filecheck %s
// RUN: irsql-opt %s --pass-pipeline=decompose{keep=softmax} | filecheck %s --check-prefix=KEEP

// CHECK: "tir.reduce"(%x) <{kind = "max", axes = [1]}>
// CHECK: "tir.map"(%x
// CHECK: "expr.unary"({{.*}}) <{kind = "exp"}>
// CHECK: "tir.reduce"({{.*}}) <{kind = "sum", axes = [1]}>
// CHECK: "expr.binary"({{.*}}) <{kind = "div"}>
// CHECK-NOT: tir.softmax
// KEEP: "tir.softmax"
"builtin.module"() <{irsql.attrs = {stage = "tir"}}> ({
  "func.func"() <{sym_name = "forward", function_type = (tensor<4x6xf32>) -> tensor<4x6xf32>}> ({
  ^bb0(%x: tensor<4x6xf32>):
    %y = "tir.softmax"(%x) <{axis = 1}> : (tensor<4x6xf32>) -> tensor<4x6xf32>
    "func.return"(%y) : (tensor<4x6xf32>) -> ()
  }) : () -> ()
}) : () -> ()
