// What only unused operations use goes with them; what is stored is used, though nobody reads it here.
// RUN: irsql-opt %s --verify-semantics --pass-pipeline=dce | filecheck %s
// RUN: irsql-opt %s --pass-pipeline=dce --remarks=- -o %t/out.mlir 2>&1 | filecheck %s --check-prefix=REMARK

// CHECK: sym_name = "load"
// CHECK: %[[W:.*]] = "tir.parameter"() <{parameter = "w"}>
// CHECK-NOT: parameter = "u"
// CHECK: "tir.store"(%[[W]])
// CHECK: sym_name = "forward"
// CHECK-NOT: tir.map
// CHECK: "func.return"(%x)

// REMARK: remark: dce: passed: @load: 1 of 4 operations were used by nothing
// REMARK: remark: dce: passed: @forward: 6 of 7 operations were used by nothing
"builtin.module"() <{irsql.attrs = {stage = "tir"}}> ({
  "func.func"() <{sym_name = "load", function_type = () -> ()}> ({
    %w = "tir.parameter"() <{parameter = "w"}> : () -> tensor<6xf32>
    %u = "tir.parameter"() <{parameter = "u"}> : () -> tensor<6xf32>
    "tir.store"(%w) <{store = "w"}> : (tensor<6xf32>) -> ()
    "func.return"() : () -> ()
  }) : () -> ()
  "func.func"() <{sym_name = "forward", function_type = (tensor<6xf32>) -> tensor<6xf32>}> ({
  ^bb0(%x: tensor<6xf32>):
    %a = "tir.map"(%x) <{maps = [affine_map<(d0) -> (d0)>]}> ({
    ^bb0(%e: f32):
      %s = "expr.unary"(%e) <{kind = "exp"}> : (f32) -> f32
      "expr.yield"(%s) : (f32) -> ()
    }) : (tensor<6xf32>) -> tensor<6xf32>
    %b = "tir.map"(%a) <{maps = [affine_map<(d0) -> (d0)>]}> ({
    ^bb0(%e: f32):
      %s = "expr.unary"(%e) <{kind = "neg"}> : (f32) -> f32
      "expr.yield"(%s) : (f32) -> ()
    }) : (tensor<6xf32>) -> tensor<6xf32>
    "func.return"(%x) : (tensor<6xf32>) -> ()
  }) : () -> ()
}) : () -> ()
