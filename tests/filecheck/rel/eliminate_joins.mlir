// Two columns of one product and a third relation: the product is read once, and each key is compared once.
// RUN: irsql-opt %s --no-locations --verify-semantics --pass-pipeline='eliminate-joins' | filecheck %s

// CHECK: sym_name = "forward"
// CHECK: "rel.join"
// CHECK: %[[Y:.*]] = "rel.project"
// CHECK: "expr.dot"
// CHECK: %[[ROW:.*]] = "rel.project"(%[[Y]])
// CHECK: "expr.col"() <{column = "v_0"
// CHECK: "expr.col"() <{column = "v_1"
// CHECK: "rel.join"(%[[ROW]], %r)
// CHECK-COUNT-2: "expr.compare"
// CHECK-NOT: "expr.compare"
// CHECK: tanh

"builtin.module"() ({
  "func.func"() <{sym_name = "load", function_type = () -> ()}> ({
    %0 = "rel.parameter"() <{parameter = "w"}> : () -> !rel.rel<[#rel.key<"i0", 5>, #rel.key<"i1", 2>, #rel.key<"i2", 8>], [#rel.val<"v", f32>], false, unit>
    %1 = "rel.pack"(%0) : (!rel.rel<[#rel.key<"i0", 5>, #rel.key<"i1", 2>, #rel.key<"i2", 8>], [#rel.val<"v", f32>], false, unit>) -> !rel.rel<[#rel.key<"i0", 5>], [#rel.val<"v_0", !rel.lane<f32, 4, "list">>, #rel.val<"v_1", !rel.lane<f32, 4, "list">>, #rel.val<"v_2", !rel.lane<f32, 4, "list">>, #rel.val<"v_3", !rel.lane<f32, 4, "list">>], false, #rel.layout<[5, 2, 8], ["i0", "i1", "i2"], [#rel.part<0, "row", 5, 1, "i0">, #rel.part<1, "column", 2, 1, "">, #rel.part<2, "column", 2, 4, "">, #rel.part<2, "lane", 4, 1, "">], "list">>
    "rel.store"(%1) <{store = "w"}> : (!rel.rel<[#rel.key<"i0", 5>], [#rel.val<"v_0", !rel.lane<f32, 4, "list">>, #rel.val<"v_1", !rel.lane<f32, 4, "list">>, #rel.val<"v_2", !rel.lane<f32, 4, "list">>, #rel.val<"v_3", !rel.lane<f32, 4, "list">>], false, #rel.layout<[5, 2, 8], ["i0", "i1", "i2"], [#rel.part<0, "row", 5, 1, "i0">, #rel.part<1, "column", 2, 1, "">, #rel.part<2, "column", 2, 4, "">, #rel.part<2, "lane", 4, 1, "">], "list">>) -> ()
    "func.return"() : () -> ()
  }) : () -> ()
  "func.func"() <{sym_name = "forward", function_type = (!rel.rel<[#rel.key<"b", #irsql.dim<"B">>, #rel.key<"i1", 8>], [#rel.val<"v", f32>], false, unit>, !rel.rel<[#rel.key<"b", #irsql.dim<"B">>, #rel.key<"i1", 5>], [#rel.val<"v", f32>], false, unit>) -> !rel.rel<[#rel.key<"b", #irsql.dim<"B">>, #rel.key<"i1", 5>], [#rel.val<"v", f32>], false, unit>}> ({
  ^bb0(%x: !rel.rel<[#rel.key<"b", #irsql.dim<"B">>, #rel.key<"i1", 8>], [#rel.val<"v", f32>], false, unit>, %r: !rel.rel<[#rel.key<"b", #irsql.dim<"B">>, #rel.key<"i1", 5>], [#rel.val<"v", f32>], false, unit>):
    %packed = "rel.stored"() <{store = "w"}> : () -> !rel.rel<[#rel.key<"i0", 5>], [#rel.val<"v_0", !rel.lane<f32, 4, "list">>, #rel.val<"v_1", !rel.lane<f32, 4, "list">>, #rel.val<"v_2", !rel.lane<f32, 4, "list">>, #rel.val<"v_3", !rel.lane<f32, 4, "list">>], false, #rel.layout<[5, 2, 8], ["i0", "i1", "i2"], [#rel.part<0, "row", 5, 1, "i0">, #rel.part<1, "column", 2, 1, "">, #rel.part<2, "column", 2, 4, "">, #rel.part<2, "lane", 4, 1, "">], "list">>
    %x.packed = "rel.pack"(%x) : (!rel.rel<[#rel.key<"b", #irsql.dim<"B">>, #rel.key<"i1", 8>], [#rel.val<"v", f32>], false, unit>) -> !rel.rel<[#rel.key<"b", #irsql.dim<"B">>], [#rel.val<"v_0", !rel.lane<f32, 4, "list">>, #rel.val<"v_1", !rel.lane<f32, 4, "list">>], false, #rel.layout<[#irsql.dim<"B">, 8], ["b", "i1"], [#rel.part<0, "row", #irsql.dim<"B">, 1, "b">, #rel.part<1, "column", 2, 4, "">, #rel.part<1, "lane", 4, 1, "">], "list">>
    %0 = "rel.join"(%x.packed, %packed) ({
      "expr.yield"() : () -> ()
    }) : (!rel.rel<[#rel.key<"b", #irsql.dim<"B">>], [#rel.val<"v_0", !rel.lane<f32, 4, "list">>, #rel.val<"v_1", !rel.lane<f32, 4, "list">>], false, #rel.layout<[#irsql.dim<"B">, 8], ["b", "i1"], [#rel.part<0, "row", #irsql.dim<"B">, 1, "b">, #rel.part<1, "column", 2, 4, "">, #rel.part<1, "lane", 4, 1, "">], "list">>, !rel.rel<[#rel.key<"i0", 5>], [#rel.val<"v_0", !rel.lane<f32, 4, "list">>, #rel.val<"v_1", !rel.lane<f32, 4, "list">>, #rel.val<"v_2", !rel.lane<f32, 4, "list">>, #rel.val<"v_3", !rel.lane<f32, 4, "list">>], false, #rel.layout<[5, 2, 8], ["i0", "i1", "i2"], [#rel.part<0, "row", 5, 1, "i0">, #rel.part<1, "column", 2, 1, "">, #rel.part<2, "column", 2, 4, "">, #rel.part<2, "lane", 4, 1, "">], "list">>) -> !rel.rel<[#rel.key<"b_0", #irsql.dim<"B">>, #rel.key<"i0_1", 5>], [#rel.val<"v0_0", !rel.lane<f32, 4, "list">>, #rel.val<"v0_1", !rel.lane<f32, 4, "list">>, #rel.val<"v1_0", !rel.lane<f32, 4, "list">>, #rel.val<"v1_1", !rel.lane<f32, 4, "list">>, #rel.val<"v1_2", !rel.lane<f32, 4, "list">>, #rel.val<"v1_3", !rel.lane<f32, 4, "list">>], false, unit>
    %1 = "rel.project"(%0) ({
      %2 = "expr.col"() <{column = "b_0", input = 0 : i64}> : () -> i64
      %3 = "expr.col"() <{column = "i0_1", input = 0 : i64}> : () -> i64
      %4 = "expr.col"() <{column = "v0_0", input = 0 : i64}> : () -> !rel.lane<f32, 4, "list">
      %5 = "expr.col"() <{column = "v1_0", input = 0 : i64}> : () -> !rel.lane<f32, 4, "list">
      %6 = "expr.dot"(%4, %5) : (!rel.lane<f32, 4, "list">, !rel.lane<f32, 4, "list">) -> f32
      %7 = "expr.col"() <{column = "v0_1", input = 0 : i64}> : () -> !rel.lane<f32, 4, "list">
      %8 = "expr.col"() <{column = "v1_1", input = 0 : i64}> : () -> !rel.lane<f32, 4, "list">
      %9 = "expr.dot"(%7, %8) : (!rel.lane<f32, 4, "list">, !rel.lane<f32, 4, "list">) -> f32
      %10 = "expr.binary"(%6, %9) <{kind = "add"}> : (f32, f32) -> f32
      %11 = "expr.col"() <{column = "v0_0", input = 0 : i64}> : () -> !rel.lane<f32, 4, "list">
      %12 = "expr.col"() <{column = "v1_2", input = 0 : i64}> : () -> !rel.lane<f32, 4, "list">
      %13 = "expr.dot"(%11, %12) : (!rel.lane<f32, 4, "list">, !rel.lane<f32, 4, "list">) -> f32
      %14 = "expr.col"() <{column = "v0_1", input = 0 : i64}> : () -> !rel.lane<f32, 4, "list">
      %15 = "expr.col"() <{column = "v1_3", input = 0 : i64}> : () -> !rel.lane<f32, 4, "list">
      %16 = "expr.dot"(%14, %15) : (!rel.lane<f32, 4, "list">, !rel.lane<f32, 4, "list">) -> f32
      %17 = "expr.binary"(%13, %16) <{kind = "add"}> : (f32, f32) -> f32
      "expr.yield"(%2, %3, %10, %17) : (i64, i64, f32, f32) -> ()
    }) : (!rel.rel<[#rel.key<"b_0", #irsql.dim<"B">>, #rel.key<"i0_1", 5>], [#rel.val<"v0_0", !rel.lane<f32, 4, "list">>, #rel.val<"v0_1", !rel.lane<f32, 4, "list">>, #rel.val<"v1_0", !rel.lane<f32, 4, "list">>, #rel.val<"v1_1", !rel.lane<f32, 4, "list">>, #rel.val<"v1_2", !rel.lane<f32, 4, "list">>, #rel.val<"v1_3", !rel.lane<f32, 4, "list">>], false, unit>) -> !rel.rel<[#rel.key<"b", #irsql.dim<"B">>, #rel.key<"i1", 5>], [#rel.val<"v_0", f32>, #rel.val<"v_1", f32>], false, #rel.layout<[#irsql.dim<"B">, 5, 2], ["b", "i1", "i2"], [#rel.part<0, "row", #irsql.dim<"B">, 1, "b">, #rel.part<1, "row", 5, 1, "i1">, #rel.part<2, "column", 2, 1, "">], "">>
    %2 = "rel.project"(%1) ({
      %3 = "expr.col"() <{column = "b", input = 0 : i64}> : () -> i64
      %4 = "expr.col"() <{column = "i1", input = 0 : i64}> : () -> i64
      %5 = "expr.constant"() <{value = 0 : i64}> : () -> i64
      %6 = "expr.col"() <{column = "v_0", input = 0 : i64}> : () -> f32
      "expr.yield"(%3, %4, %5, %6) : (i64, i64, i64, f32) -> ()
    }) : (!rel.rel<[#rel.key<"b", #irsql.dim<"B">>, #rel.key<"i1", 5>], [#rel.val<"v_0", f32>, #rel.val<"v_1", f32>], false, #rel.layout<[#irsql.dim<"B">, 5, 2], ["b", "i1", "i2"], [#rel.part<0, "row", #irsql.dim<"B">, 1, "b">, #rel.part<1, "row", 5, 1, "i1">, #rel.part<2, "column", 2, 1, "">], "">>) -> !rel.rel<[#rel.key<"b", #irsql.dim<"B">>, #rel.key<"i1", 5>, #rel.key<"i2", 2>], [#rel.val<"v", f32>], false, unit>
    %3 = "rel.project"(%1) ({
      %4 = "expr.col"() <{column = "b", input = 0 : i64}> : () -> i64
      %5 = "expr.col"() <{column = "i1", input = 0 : i64}> : () -> i64
      %6 = "expr.constant"() <{value = 1 : i64}> : () -> i64
      %7 = "expr.col"() <{column = "v_1", input = 0 : i64}> : () -> f32
      "expr.yield"(%4, %5, %6, %7) : (i64, i64, i64, f32) -> ()
    }) : (!rel.rel<[#rel.key<"b", #irsql.dim<"B">>, #rel.key<"i1", 5>], [#rel.val<"v_0", f32>, #rel.val<"v_1", f32>], false, #rel.layout<[#irsql.dim<"B">, 5, 2], ["b", "i1", "i2"], [#rel.part<0, "row", #irsql.dim<"B">, 1, "b">, #rel.part<1, "row", 5, 1, "i1">, #rel.part<2, "column", 2, 1, "">], "">>) -> !rel.rel<[#rel.key<"b", #irsql.dim<"B">>, #rel.key<"i1", 5>, #rel.key<"i2", 2>], [#rel.val<"v", f32>], false, unit>
    %4 = "rel.join"(%2, %3, %r) ({
      %5 = "expr.col"() <{column = "b", input = 0 : i64}> : () -> i64
      %6 = "expr.col"() <{column = "b", input = 1 : i64}> : () -> i64
      %7 = "expr.compare"(%5, %6) <{kind = "eq"}> : (i64, i64) -> i1
      %8 = "expr.col"() <{column = "i1", input = 0 : i64}> : () -> i64
      %9 = "expr.col"() <{column = "i1", input = 1 : i64}> : () -> i64
      %10 = "expr.compare"(%8, %9) <{kind = "eq"}> : (i64, i64) -> i1
      %11 = "expr.col"() <{column = "b", input = 0 : i64}> : () -> i64
      %12 = "expr.col"() <{column = "b", input = 2 : i64}> : () -> i64
      %13 = "expr.compare"(%11, %12) <{kind = "eq"}> : (i64, i64) -> i1
      %14 = "expr.col"() <{column = "i1", input = 0 : i64}> : () -> i64
      %15 = "expr.col"() <{column = "i1", input = 2 : i64}> : () -> i64
      %16 = "expr.compare"(%14, %15) <{kind = "eq"}> : (i64, i64) -> i1
      "expr.yield"(%7, %10, %13, %16) : (i1, i1, i1, i1) -> ()
    }) : (!rel.rel<[#rel.key<"b", #irsql.dim<"B">>, #rel.key<"i1", 5>, #rel.key<"i2", 2>], [#rel.val<"v", f32>], false, unit>, !rel.rel<[#rel.key<"b", #irsql.dim<"B">>, #rel.key<"i1", 5>, #rel.key<"i2", 2>], [#rel.val<"v", f32>], false, unit>, !rel.rel<[#rel.key<"b", #irsql.dim<"B">>, #rel.key<"i1", 5>], [#rel.val<"v", f32>], false, unit>) -> !rel.rel<[#rel.key<"b_0", #irsql.dim<"B">>, #rel.key<"i1_0", 5>, #rel.key<"i2_0", 2>, #rel.key<"b_1", #irsql.dim<"B">>, #rel.key<"i1_1", 5>, #rel.key<"i2_1", 2>, #rel.key<"b_2", #irsql.dim<"B">>, #rel.key<"i1_2", 5>], [#rel.val<"v0", f32>, #rel.val<"v1", f32>, #rel.val<"v2", f32>], false, unit>
    %5 = "rel.project"(%4) ({
      %6 = "expr.col"() <{column = "b_0", input = 0 : i64}> : () -> i64
      %7 = "expr.col"() <{column = "i1_0", input = 0 : i64}> : () -> i64
      %8 = "expr.col"() <{column = "v0", input = 0 : i64}> : () -> f32
      %9 = "expr.col"() <{column = "v1", input = 0 : i64}> : () -> f32
      %10 = "expr.col"() <{column = "v2", input = 0 : i64}> : () -> f32
      %11 = "expr.unary"(%8) <{kind = "tanh"}> : (f32) -> f32
      %12 = "expr.binary"(%10, %11) <{kind = "mul"}> : (f32, f32) -> f32
      %13 = "expr.unary"(%9) <{kind = "tanh"}> : (f32) -> f32
      %14 = "expr.binary"(%12, %13) <{kind = "mul"}> : (f32, f32) -> f32
      "expr.yield"(%6, %7, %14) : (i64, i64, f32) -> ()
    }) : (!rel.rel<[#rel.key<"b_0", #irsql.dim<"B">>, #rel.key<"i1_0", 5>, #rel.key<"i2_0", 2>, #rel.key<"b_1", #irsql.dim<"B">>, #rel.key<"i1_1", 5>, #rel.key<"i2_1", 2>, #rel.key<"b_2", #irsql.dim<"B">>, #rel.key<"i1_2", 5>], [#rel.val<"v0", f32>, #rel.val<"v1", f32>, #rel.val<"v2", f32>], false, unit>) -> !rel.rel<[#rel.key<"b", #irsql.dim<"B">>, #rel.key<"i1", 5>], [#rel.val<"v", f32>], false, unit>
    "func.return"(%5) : (!rel.rel<[#rel.key<"b", #irsql.dim<"B">>, #rel.key<"i1", 5>], [#rel.val<"v", f32>], false, unit>) -> ()
  }) {irsql.dims = {B = [0, 9]}, irsql.args = [#irsql.arg<"input", "normal", 0, 0, "">, #irsql.arg<"input", "normal", 0, 0, "">], irsql.results = ["out0"]} : () -> ()
}) {irsql.attrs = {stage = "tiled", target = #irsql.target<"lanes", "1", "duckdb", [#irsql.capability<"dot", "list", "native", "", "">, #irsql.capability<"map", "list", "native", "", "">, #irsql.capability<"add", "list", "native", "", "">, #irsql.capability<"mul", "list", "native", "", "">, #irsql.capability<"scale", "list", "native", "", "">, #irsql.capability<"sum", "list", "native", "", "">, #irsql.capability<"slice", "list", "native", "", "">, #irsql.capability<"concat", "list", "native", "", "">, #irsql.capability<"pack", "list", "native", "", "">, #irsql.capability<"unpack", "list", "native", "", "">, #irsql.capability<"cast", "list", "native", "", "">], {neg = "NEG", abs = "ABS", exp = "EXP", log = "LOG", sqrt = "SQRT", rsqrt = "RSQRT", sin = "SIN", cos = "COS", tanh = "TANH", erf = "ERF", floor = "FLOOR", ceil = "CEIL", trunc = "TRUNC", round = "ROUND", sign = "SIGN", not = "NOT", isnan = "ISNAN", pow = "POW"}, #irsql.limits<1000, 60, 50, 256, 63, 900000, 500, 100>, #irsql.costs<"", "", {}, 0.1, 50.0, 100.0, 0.2, 1.0, 30.0, 30.0, 0.0, 0.0>, #irsql.layout_defaults<["list"], 1, 1>, #irsql.value_contract<true, true, false, false, false, true, true, true, "truncates", "dividend", "ieee", true, true, false>, {}>}} : () -> ()

