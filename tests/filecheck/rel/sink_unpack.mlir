// A lookup reads whole tiles and unpacks those alone.
// RUN: irsql-opt %s --no-locations --verify-semantics --pass-pipeline='sink-unpack' | filecheck %s
// RUN: irsql-opt %s --pass-pipeline=sink-unpack --remarks=- -o %t/out.mlir 2>&1 | filecheck %s --check-prefix=REMARK

// REMARK: remark: sink-unpack: passed: an unpack moved below a lookup [rel.project]
// No lookup: all rows are wanted one by one.
// REMARK: remark: sink-unpack: missed: all of w is unpacked [rel.unpack]
// CHECK: sym_name = "forward"
// CHECK: %[[W:.*]] = "rel.stored"() <{store = "w"}>
// CHECK-NOT: "rel.unpack"
// CHECK: %[[J:.*]] = "rel.join"({{.*}}, %[[W]])
// CHECK: %[[P:.*]] = "rel.project"(%[[J]])
// CHECK: "rel.unpack"(%[[P]])

"builtin.module"() ({
  "func.func"() <{sym_name = "load", function_type = () -> ()}> ({
    %0 = "rel.parameter"() <{parameter = "w"}> : () -> !rel.rel<[#rel.key<"i0", 7>, #rel.key<"i1", 8>], [#rel.val<"v", f32>], false, unit>
    %1 = "rel.pack"(%0) : (!rel.rel<[#rel.key<"i0", 7>, #rel.key<"i1", 8>], [#rel.val<"v", f32>], false, unit>) -> !rel.rel<[#rel.key<"i0", 7>], [#rel.val<"v_0", !rel.lane<f32, 4, "list">>, #rel.val<"v_1", !rel.lane<f32, 4, "list">>], false, #rel.layout<[7, 8], ["i0", "i1"], [#rel.part<0, "row", 7, 1, "i0">, #rel.part<1, "column", 2, 4, "">, #rel.part<1, "lane", 4, 1, "">], "list">>
    "rel.store"(%1) <{store = "w"}> : (!rel.rel<[#rel.key<"i0", 7>], [#rel.val<"v_0", !rel.lane<f32, 4, "list">>, #rel.val<"v_1", !rel.lane<f32, 4, "list">>], false, #rel.layout<[7, 8], ["i0", "i1"], [#rel.part<0, "row", 7, 1, "i0">, #rel.part<1, "column", 2, 4, "">, #rel.part<1, "lane", 4, 1, "">], "list">>) -> ()
    %2 = "rel.parameter"() <{parameter = "u"}> : () -> !rel.rel<[#rel.key<"i0", 5>, #rel.key<"i1", 7>], [#rel.val<"v", f32>], false, unit>
    %3 = "rel.pack"(%2) : (!rel.rel<[#rel.key<"i0", 5>, #rel.key<"i1", 7>], [#rel.val<"v", f32>], false, unit>) -> !rel.rel<[#rel.key<"i0", 5>], [#rel.val<"v_0", !rel.lane<f32, 4, "list">>, #rel.val<"v_1", !rel.lane<f32, 4, "list">>], false, #rel.layout<[5, 7], ["i0", "i1"], [#rel.part<0, "row", 5, 1, "i0">, #rel.part<1, "column", 2, 4, "">, #rel.part<1, "lane", 4, 1, "">], "list">>
    "rel.store"(%3) <{store = "u"}> : (!rel.rel<[#rel.key<"i0", 5>], [#rel.val<"v_0", !rel.lane<f32, 4, "list">>, #rel.val<"v_1", !rel.lane<f32, 4, "list">>], false, #rel.layout<[5, 7], ["i0", "i1"], [#rel.part<0, "row", 5, 1, "i0">, #rel.part<1, "column", 2, 4, "">, #rel.part<1, "lane", 4, 1, "">], "list">>) -> ()
    "func.return"() : () -> ()
  }) : () -> ()
  "func.func"() <{sym_name = "forward", function_type = (!rel.rel<[#rel.key<"b", #irsql.dim<"B">>, #rel.key<"i1", 8>], [#rel.val<"v", f32>], false, unit>, !rel.rel<[#rel.key<"b", #irsql.dim<"B">>], [#rel.val<"v", i64>], false, unit>) -> !rel.rel<[#rel.key<"b", #irsql.dim<"B">>, #rel.key<"i1", 5>], [#rel.val<"v", f32>], false, unit>}> ({
  ^bb0(%x: !rel.rel<[#rel.key<"b", #irsql.dim<"B">>, #rel.key<"i1", 8>], [#rel.val<"v", f32>], false, unit>, %ids: !rel.rel<[#rel.key<"b", #irsql.dim<"B">>], [#rel.val<"v", i64>], false, unit>):
    %packed = "rel.stored"() <{store = "w"}> : () -> !rel.rel<[#rel.key<"i0", 7>], [#rel.val<"v_0", !rel.lane<f32, 4, "list">>, #rel.val<"v_1", !rel.lane<f32, 4, "list">>], false, #rel.layout<[7, 8], ["i0", "i1"], [#rel.part<0, "row", 7, 1, "i0">, #rel.part<1, "column", 2, 4, "">, #rel.part<1, "lane", 4, 1, "">], "list">>
    %0 = "rel.unpack"(%packed) : (!rel.rel<[#rel.key<"i0", 7>], [#rel.val<"v_0", !rel.lane<f32, 4, "list">>, #rel.val<"v_1", !rel.lane<f32, 4, "list">>], false, #rel.layout<[7, 8], ["i0", "i1"], [#rel.part<0, "row", 7, 1, "i0">, #rel.part<1, "column", 2, 4, "">, #rel.part<1, "lane", 4, 1, "">], "list">>) -> !rel.rel<[#rel.key<"i0", 7>, #rel.key<"i1", 8>], [#rel.val<"v", f32>], false, unit>
    %packed$1 = "rel.stored"() <{store = "u"}> : () -> !rel.rel<[#rel.key<"i0", 5>], [#rel.val<"v_0", !rel.lane<f32, 4, "list">>, #rel.val<"v_1", !rel.lane<f32, 4, "list">>], false, #rel.layout<[5, 7], ["i0", "i1"], [#rel.part<0, "row", 5, 1, "i0">, #rel.part<1, "column", 2, 4, "">, #rel.part<1, "lane", 4, 1, "">], "list">>
    %1 = "rel.project"(%ids) ({
      %2 = "expr.col"() <{column = "b", input = 0 : i64}> : () -> i64
      %3 = "expr.col"() <{column = "v", input = 0 : i64}> : () -> i64
      %4 = "expr.col"() <{column = "v", input = 0 : i64}> : () -> i64
      "expr.yield"(%2, %3, %4) : (i64, i64, i64) -> ()
    }) : (!rel.rel<[#rel.key<"b", #irsql.dim<"B">>], [#rel.val<"v", i64>], false, unit>) -> !rel.rel<[#rel.key<"b", #irsql.dim<"B">>, #rel.key<"g", 7>], [#rel.val<"v", i64>], false, unit>
    %2 = "rel.join"(%1, %0) ({
      %3 = "expr.col"() <{column = "g", input = 0 : i64}> : () -> i64
      %4 = "expr.col"() <{column = "i0", input = 1 : i64}> : () -> i64
      %5 = "expr.compare"(%3, %4) <{kind = "eq"}> : (i64, i64) -> i1
      "expr.yield"(%5) : (i1) -> ()
    }) : (!rel.rel<[#rel.key<"b", #irsql.dim<"B">>, #rel.key<"g", 7>], [#rel.val<"v", i64>], false, unit>, !rel.rel<[#rel.key<"i0", 7>, #rel.key<"i1", 8>], [#rel.val<"v", f32>], false, unit>) -> !rel.rel<[#rel.key<"b_0", #irsql.dim<"B">>, #rel.key<"g_0", 7>, #rel.key<"i0_1", 7>, #rel.key<"i1_1", 8>], [#rel.val<"v0", i64>, #rel.val<"v1", f32>], false, unit>
    %3 = "rel.project"(%2) ({
      %4 = "expr.col"() <{column = "b_0", input = 0 : i64}> : () -> i64
      %5 = "expr.col"() <{column = "i1_1", input = 0 : i64}> : () -> i64
      %6 = "expr.col"() <{column = "v1", input = 0 : i64}> : () -> f32
      "expr.yield"(%4, %5, %6) : (i64, i64, f32) -> ()
    }) : (!rel.rel<[#rel.key<"b_0", #irsql.dim<"B">>, #rel.key<"g_0", 7>, #rel.key<"i0_1", 7>, #rel.key<"i1_1", 8>], [#rel.val<"v0", i64>, #rel.val<"v1", f32>], false, unit>) -> !rel.rel<[#rel.key<"b", #irsql.dim<"B">>, #rel.key<"i1", 8>], [#rel.val<"v", f32>], false, unit>
    %packed$2 = "rel.pack"(%3) : (!rel.rel<[#rel.key<"b", #irsql.dim<"B">>, #rel.key<"i1", 8>], [#rel.val<"v", f32>], false, unit>) -> !rel.rel<[#rel.key<"b", #irsql.dim<"B">>], [#rel.val<"v_0", !rel.lane<f32, 4, "list">>, #rel.val<"v_1", !rel.lane<f32, 4, "list">>], false, #rel.layout<[#irsql.dim<"B">, 8], ["b", "i1"], [#rel.part<0, "row", #irsql.dim<"B">, 1, "b">, #rel.part<1, "column", 2, 4, "">, #rel.part<1, "lane", 4, 1, "">], "list">>
    %4 = "rel.join"(%packed$2, %packed) ({
      "expr.yield"() : () -> ()
    }) : (!rel.rel<[#rel.key<"b", #irsql.dim<"B">>], [#rel.val<"v_0", !rel.lane<f32, 4, "list">>, #rel.val<"v_1", !rel.lane<f32, 4, "list">>], false, #rel.layout<[#irsql.dim<"B">, 8], ["b", "i1"], [#rel.part<0, "row", #irsql.dim<"B">, 1, "b">, #rel.part<1, "column", 2, 4, "">, #rel.part<1, "lane", 4, 1, "">], "list">>, !rel.rel<[#rel.key<"i0", 7>], [#rel.val<"v_0", !rel.lane<f32, 4, "list">>, #rel.val<"v_1", !rel.lane<f32, 4, "list">>], false, #rel.layout<[7, 8], ["i0", "i1"], [#rel.part<0, "row", 7, 1, "i0">, #rel.part<1, "column", 2, 4, "">, #rel.part<1, "lane", 4, 1, "">], "list">>) -> !rel.rel<[#rel.key<"b_0", #irsql.dim<"B">>, #rel.key<"i0_1", 7>], [#rel.val<"v0_0", !rel.lane<f32, 4, "list">>, #rel.val<"v0_1", !rel.lane<f32, 4, "list">>, #rel.val<"v1_0", !rel.lane<f32, 4, "list">>, #rel.val<"v1_1", !rel.lane<f32, 4, "list">>], false, unit>
    %5 = "rel.project"(%4) ({
      %6 = "expr.col"() <{column = "b_0", input = 0 : i64}> : () -> i64
      %7 = "expr.col"() <{column = "i0_1", input = 0 : i64}> : () -> i64
      %8 = "expr.col"() <{column = "v0_0", input = 0 : i64}> : () -> !rel.lane<f32, 4, "list">
      %9 = "expr.col"() <{column = "v1_0", input = 0 : i64}> : () -> !rel.lane<f32, 4, "list">
      %10 = "expr.dot"(%8, %9) : (!rel.lane<f32, 4, "list">, !rel.lane<f32, 4, "list">) -> f32
      %11 = "expr.col"() <{column = "v0_1", input = 0 : i64}> : () -> !rel.lane<f32, 4, "list">
      %12 = "expr.col"() <{column = "v1_1", input = 0 : i64}> : () -> !rel.lane<f32, 4, "list">
      %13 = "expr.dot"(%11, %12) : (!rel.lane<f32, 4, "list">, !rel.lane<f32, 4, "list">) -> f32
      %14 = "expr.binary"(%10, %13) <{kind = "add"}> : (f32, f32) -> f32
      "expr.yield"(%6, %7, %14) : (i64, i64, f32) -> ()
    }) : (!rel.rel<[#rel.key<"b_0", #irsql.dim<"B">>, #rel.key<"i0_1", 7>], [#rel.val<"v0_0", !rel.lane<f32, 4, "list">>, #rel.val<"v0_1", !rel.lane<f32, 4, "list">>, #rel.val<"v1_0", !rel.lane<f32, 4, "list">>, #rel.val<"v1_1", !rel.lane<f32, 4, "list">>], false, unit>) -> !rel.rel<[#rel.key<"b", #irsql.dim<"B">>, #rel.key<"i1", 7>], [#rel.val<"v", f32>], false, unit>
    %packed$3 = "rel.pack"(%5) : (!rel.rel<[#rel.key<"b", #irsql.dim<"B">>, #rel.key<"i1", 7>], [#rel.val<"v", f32>], false, unit>) -> !rel.rel<[#rel.key<"b", #irsql.dim<"B">>], [#rel.val<"v_0", !rel.lane<f32, 4, "list">>, #rel.val<"v_1", !rel.lane<f32, 4, "list">>], false, #rel.layout<[#irsql.dim<"B">, 7], ["b", "i1"], [#rel.part<0, "row", #irsql.dim<"B">, 1, "b">, #rel.part<1, "column", 2, 4, "">, #rel.part<1, "lane", 4, 1, "">], "list">>
    %6 = "rel.join"(%packed$3, %packed$1) ({
      "expr.yield"() : () -> ()
    }) : (!rel.rel<[#rel.key<"b", #irsql.dim<"B">>], [#rel.val<"v_0", !rel.lane<f32, 4, "list">>, #rel.val<"v_1", !rel.lane<f32, 4, "list">>], false, #rel.layout<[#irsql.dim<"B">, 7], ["b", "i1"], [#rel.part<0, "row", #irsql.dim<"B">, 1, "b">, #rel.part<1, "column", 2, 4, "">, #rel.part<1, "lane", 4, 1, "">], "list">>, !rel.rel<[#rel.key<"i0", 5>], [#rel.val<"v_0", !rel.lane<f32, 4, "list">>, #rel.val<"v_1", !rel.lane<f32, 4, "list">>], false, #rel.layout<[5, 7], ["i0", "i1"], [#rel.part<0, "row", 5, 1, "i0">, #rel.part<1, "column", 2, 4, "">, #rel.part<1, "lane", 4, 1, "">], "list">>) -> !rel.rel<[#rel.key<"b_0", #irsql.dim<"B">>, #rel.key<"i0_1", 5>], [#rel.val<"v0_0", !rel.lane<f32, 4, "list">>, #rel.val<"v0_1", !rel.lane<f32, 4, "list">>, #rel.val<"v1_0", !rel.lane<f32, 4, "list">>, #rel.val<"v1_1", !rel.lane<f32, 4, "list">>], false, unit>
    %7 = "rel.project"(%6) ({
      %8 = "expr.col"() <{column = "b_0", input = 0 : i64}> : () -> i64
      %9 = "expr.col"() <{column = "i0_1", input = 0 : i64}> : () -> i64
      %10 = "expr.col"() <{column = "v0_0", input = 0 : i64}> : () -> !rel.lane<f32, 4, "list">
      %11 = "expr.col"() <{column = "v1_0", input = 0 : i64}> : () -> !rel.lane<f32, 4, "list">
      %12 = "expr.dot"(%10, %11) : (!rel.lane<f32, 4, "list">, !rel.lane<f32, 4, "list">) -> f32
      %13 = "expr.col"() <{column = "v0_1", input = 0 : i64}> : () -> !rel.lane<f32, 4, "list">
      %14 = "expr.col"() <{column = "v1_1", input = 0 : i64}> : () -> !rel.lane<f32, 4, "list">
      %15 = "expr.dot"(%13, %14) : (!rel.lane<f32, 4, "list">, !rel.lane<f32, 4, "list">) -> f32
      %16 = "expr.binary"(%12, %15) <{kind = "add"}> : (f32, f32) -> f32
      "expr.yield"(%8, %9, %16) : (i64, i64, f32) -> ()
    }) : (!rel.rel<[#rel.key<"b_0", #irsql.dim<"B">>, #rel.key<"i0_1", 5>], [#rel.val<"v0_0", !rel.lane<f32, 4, "list">>, #rel.val<"v0_1", !rel.lane<f32, 4, "list">>, #rel.val<"v1_0", !rel.lane<f32, 4, "list">>, #rel.val<"v1_1", !rel.lane<f32, 4, "list">>], false, unit>) -> !rel.rel<[#rel.key<"b", #irsql.dim<"B">>, #rel.key<"i1", 5>], [#rel.val<"v", f32>], false, unit>
    "func.return"(%7) : (!rel.rel<[#rel.key<"b", #irsql.dim<"B">>, #rel.key<"i1", 5>], [#rel.val<"v", f32>], false, unit>) -> ()
  }) {irsql.dims = {B = [0, 9]}, irsql.args = [#irsql.arg<"input", "normal", 0, 0, "">, #irsql.arg<"input", "range", 0, 7, "">], irsql.results = ["out0"]} : () -> ()
  "func.func"() <{sym_name = "all", function_type = () -> !rel.rel<[#rel.key<"i0", 7>, #rel.key<"i1", 8>], [#rel.val<"v", f32>], false, unit>}> ({
    %packed = "rel.stored"() <{store = "w"}> : () -> !rel.rel<[#rel.key<"i0", 7>], [#rel.val<"v_0", !rel.lane<f32, 4, "list">>, #rel.val<"v_1", !rel.lane<f32, 4, "list">>], false, #rel.layout<[7, 8], ["i0", "i1"], [#rel.part<0, "row", 7, 1, "i0">, #rel.part<1, "column", 2, 4, "">, #rel.part<1, "lane", 4, 1, "">], "list">>
    %0 = "rel.unpack"(%packed) : (!rel.rel<[#rel.key<"i0", 7>], [#rel.val<"v_0", !rel.lane<f32, 4, "list">>, #rel.val<"v_1", !rel.lane<f32, 4, "list">>], false, #rel.layout<[7, 8], ["i0", "i1"], [#rel.part<0, "row", 7, 1, "i0">, #rel.part<1, "column", 2, 4, "">, #rel.part<1, "lane", 4, 1, "">], "list">>) -> !rel.rel<[#rel.key<"i0", 7>, #rel.key<"i1", 8>], [#rel.val<"v", f32>], false, unit>
    "func.return"(%0) : (!rel.rel<[#rel.key<"i0", 7>, #rel.key<"i1", 8>], [#rel.val<"v", f32>], false, unit>) -> ()
  }) : () -> ()
}) {irsql.attrs = {stage = "tiled", target = #irsql.target<"lanes", "1", "duckdb", [#irsql.capability<"dot", "list", "native", "", "">, #irsql.capability<"map", "list", "native", "", "">, #irsql.capability<"add", "list", "native", "", "">, #irsql.capability<"mul", "list", "native", "", "">, #irsql.capability<"scale", "list", "native", "", "">, #irsql.capability<"sum", "list", "native", "", "">, #irsql.capability<"slice", "list", "native", "", "">, #irsql.capability<"concat", "list", "native", "", "">, #irsql.capability<"pack", "list", "native", "", "">, #irsql.capability<"unpack", "list", "native", "", "">, #irsql.capability<"cast", "list", "native", "", "">], {neg = "NEG", abs = "ABS", exp = "EXP", log = "LOG", sqrt = "SQRT", rsqrt = "RSQRT", sin = "SIN", cos = "COS", tanh = "TANH", erf = "ERF", floor = "FLOOR", ceil = "CEIL", trunc = "TRUNC", round = "ROUND", sign = "SIGN", not = "NOT", isnan = "ISNAN", pow = "POW"}, #irsql.limits<1000, 60, 50, 256, 63, 900000, 500, 100>, #irsql.costs<"", "", {}, 0.1, 50.0, 100.0, 0.2, 1.0, 30.0, 30.0, 0.0, 0.0>, #irsql.layout_defaults<["list"], 1, 1>, #irsql.value_contract<true, true, false, false, false, true, true, true, "truncates", "dividend", "ieee", true, true>, {}>}} : () -> ()
