// RUN: irsql-opt %s --pass-pipeline=decompose | filecheck %s
// RUN: irsql-opt %s --pass-pipeline=decompose{keep=softmax} | filecheck %s --check-prefix=KEEP
// RUN: irsql-opt %s --pass-pipeline=decompose --remarks=- -o %t/out.mlir 2>&1 | filecheck %s --check-prefix=REMARK

// CHECK: "tir.reduce"(%x) <{kind = "max", axes = [1]}>
// CHECK: "tir.map"(%x
// CHECK: "expr.unary"({{.*}}) <{kind = "exp"}>
// CHECK: "tir.reduce"({{.*}}) <{kind = "sum", axes = [1]}>
// CHECK: "expr.binary"({{.*}}) <{kind = "div"}>
// CHECK-NOT: tir.softmax
// KEEP: "tir.softmax"
// A product over an axis of unknown extent stays, and conversion will refuse it.
// REMARK: remark: decompose: passed: @forward: expanded 1 tir.softmax
// REMARK: remark: decompose: missed: a product over an axis of symbolic extent stays [tir.reduce]
"builtin.module"() <{irsql.attrs = {stage = "tir"}}> ({
  "func.func"() <{sym_name = "forward", function_type = (tensor<4x6xf32>) -> tensor<4x6xf32>}> ({
  ^bb0(%x: tensor<4x6xf32>):
    %y = "tir.softmax"(%x) <{axis = 1}> : (tensor<4x6xf32>) -> tensor<4x6xf32>
    "func.return"(%y) : (tensor<4x6xf32>) -> ()
  }) : () -> ()
  "func.func"() <{sym_name = "symbolic", function_type = (tensor<?xf32, #irsql.dims<["S"]>>) -> tensor<f32>}> ({
  ^bb0(%x: tensor<?xf32, #irsql.dims<["S"]>>):
    %y = "tir.reduce"(%x) <{kind = "prod", axes = [0]}> : (tensor<?xf32, #irsql.dims<["S"]>>) -> tensor<f32>
    "func.return"(%y) : (tensor<f32>) -> ()
  }) {irsql.dims = {S = [1, 9]}} : () -> ()
}) : () -> ()
