// A product of two tensors is a join on the contracted dim, a projection and a sum.
// RUN: irsql-opt %s --no-locations --verify-semantics --pass-pipeline='convert-tir-to-rel' | filecheck %s
// RUN: irsql-opt %s --pass-pipeline=convert-tir-to-rel --remarks=- -o %t/out.mlir 2>&1 | filecheck %s --check-prefix=REMARK

// REMARK: remark: convert-tir-to-rel: passed: @forward: {{[0-9]+}} tensor operations became {{[0-9]+}} relational ones
// CHECK: sym_name = "forward"
// CHECK: %[[W:[0-9]+]] = "rel.stored"() <{store = "w"}>
// CHECK: "rel.join"(%x, %[[W]]) ({
// CHECK: "expr.compare"({{.*}}kind = "eq"
// CHECK: "rel.project"
// CHECK: "expr.binary"({{.*}}kind = "mul"
// CHECK: "rel.aggregate"({{.*}}kinds = ["sum"]
// CHECK: stage = "rel"

"builtin.module"() ({
  "func.func"() <{sym_name = "load", function_type = () -> ()}> ({
    %0 = "tir.parameter"() <{parameter = "w"}> : () -> tensor<7x8xf32>
    "tir.store"(%0) <{store = "w"}> : (tensor<7x8xf32>) -> ()
    %1 = "tir.parameter"() <{parameter = "u"}> : () -> tensor<5x7xf32>
    "tir.store"(%1) <{store = "u"}> : (tensor<5x7xf32>) -> ()
    "func.return"() : () -> ()
  }) : () -> ()
  "func.func"() <{sym_name = "forward", function_type = (tensor<?x8xf32, #irsql.dims<["B", 8]>>, tensor<?xi64, #irsql.dims<["B"]>>) -> tensor<?x5xf32, #irsql.dims<["B", 5]>>}> ({
  ^bb0(%x: tensor<?x8xf32, #irsql.dims<["B", 8]>>, %ids: tensor<?xi64, #irsql.dims<["B"]>>):
    %0 = "tir.stored"() <{store = "w"}> : () -> tensor<7x8xf32>
    %1 = "tir.stored"() <{store = "u"}> : () -> tensor<5x7xf32>
    %2 = "tir.contract"(%x, %0) <{maps = [affine_map<(d0, d1, d2) -> (d0, d2)>, affine_map<(d0, d1, d2) -> (d1, d2)>, affine_map<(d0, d1, d2) -> (d0, d1)>], bounds = [#irsql.dim<"B">, 7, 8]}> : (tensor<?x8xf32, #irsql.dims<["B", 8]>>, tensor<7x8xf32>) -> tensor<?x7xf32, #irsql.dims<["B", 7]>>
    %3 = "tir.contract"(%2, %1) <{maps = [affine_map<(d0, d1, d2) -> (d0, d2)>, affine_map<(d0, d1, d2) -> (d1, d2)>, affine_map<(d0, d1, d2) -> (d0, d1)>], bounds = [#irsql.dim<"B">, 5, 7]}> : (tensor<?x7xf32, #irsql.dims<["B", 7]>>, tensor<5x7xf32>) -> tensor<?x5xf32, #irsql.dims<["B", 5]>>
    "func.return"(%3) : (tensor<?x5xf32, #irsql.dims<["B", 5]>>) -> ()
  }) {irsql.dims = {B = [0, 9]}, irsql.args = [#irsql.arg<"input", "normal", 0, 0, "">, #irsql.arg<"input", "range", 0, 7, "">], irsql.results = ["out0"]} : () -> ()
}) {irsql.attrs = {stage = "tir", target = #irsql.target<"lanes", "1", "duckdb", [#irsql.capability<"dot", "list", "native", "", "">, #irsql.capability<"map", "list", "native", "", "">, #irsql.capability<"add", "list", "native", "", "">, #irsql.capability<"mul", "list", "native", "", "">, #irsql.capability<"scale", "list", "native", "", "">, #irsql.capability<"sum", "list", "native", "", "">, #irsql.capability<"slice", "list", "native", "", "">, #irsql.capability<"concat", "list", "native", "", "">, #irsql.capability<"pack", "list", "native", "", "">, #irsql.capability<"unpack", "list", "native", "", "">, #irsql.capability<"cast", "list", "native", "", "">], {neg = "NEG", abs = "ABS", exp = "EXP", log = "LOG", sqrt = "SQRT", rsqrt = "RSQRT", sin = "SIN", cos = "COS", tanh = "TANH", erf = "ERF", floor = "FLOOR", ceil = "CEIL", trunc = "TRUNC", round = "ROUND", sign = "SIGN", not = "NOT", isnan = "ISNAN", pow = "POW"}, #irsql.limits<1000, 60, 50, 256, 63, 900000, 500, 100>, #irsql.costs<"", "", {}, 0.1, 50.0, 100.0, 0.2, 1.0, 30.0, 30.0, 0.0, 0.0>, #irsql.layout_defaults<["list"], 1, 1>, #irsql.value_contract<true, true, false, false, false, true, true, true, "truncates", "dividend", "ieee", true, true>, {}>}} : () -> ()
