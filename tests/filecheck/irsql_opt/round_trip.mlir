// RUN: irsql-opt %s
// RUN: irsql-opt %s --no-locations | filecheck %s --check-prefixes=CHECK,BARE

// Ops outside of a module are put into one; names, attributes and locations come back as they were.

// CHECK: "builtin.module"() ({
// CHECK-NEXT: "func.func"() <{sym_name = "forward", function_type = (tensor<2xf32>) -> tensor<2xf32>}> ({
// CHECK-NEXT: ^bb0(%x: tensor<2xf32>):
// CHECK-NEXT: %y = "tir.softmax"(%x) <{axis = 0 : i64}> : (tensor<2xf32>) -> tensor<2xf32>
// BARE-NOT: loc(
// CHECK: "func.return"(%y)
"func.func"() <{sym_name = "forward", function_type = (tensor<2xf32>) -> tensor<2xf32>}> ({
^bb0(%x: tensor<2xf32>):
  %y = "tir.softmax"(%x) <{axis = 0 : i64}> : (tensor<2xf32>) -> tensor<2xf32> loc("net.act"("net.py":3:1))
  "func.return"(%y) : (tensor<2xf32>) -> ()
}) : () -> ()
