// Join and projection become one select.
// RUN: irsql-opt %s --no-locations --verify-semantics --pass-pipeline='inline-ctes' | filecheck %s
// RUN: irsql-opt %s --pass-pipeline=inline-ctes --remarks=- -o %t/out.mlir 2>&1 | filecheck %s --check-prefix=REMARK
// RUN: irsql-opt %s --verify-semantics --pass-pipeline='inline-ctes{max-inputs=1}' --remarks=- -o %t/out.mlir 2>&1 | filecheck %s --check-prefix=FEW

// REMARK: remark: inline-ctes: passed: @forward: {{[0-9]+}} of {{[0-9]+}} selects merged into their readers
// FEW: remark: inline-ctes: missed: {{.*}} stays apart from its reader
// FEW-NEXT: reason: one FROM would have 2 tables, more than max-inputs=1
// CHECK: sym_name = "forward"
// CHECK: %[[X:.*]] = "sql.select"(%x) <{grouped = true
// CHECK: %[[Y:.*]] = "sql.select"(%[[X]], %packed) <{grouped = false
// CHECK: "expr.dot"
// CHECK: "sql.select"(%[[Y]]) <{grouped = true
// CHECK: "expr.dot"
// CHECK-NOT: "sql.select"
// CHECK: "func.return"

"builtin.module"() ({
  "func.func"() <{sym_name = "load", function_type = () -> ()}> ({
    %0 = "sql.parameter"() <{parameter = "w"}> : () -> !rel.rel<[#rel.key<"i0", 7>, #rel.key<"i1", 8>], [#rel.val<"v", f32>], false, unit>
    %1 = "sql.pack"(%0) : (!rel.rel<[#rel.key<"i0", 7>, #rel.key<"i1", 8>], [#rel.val<"v", f32>], false, unit>) -> !rel.rel<[#rel.key<"i0", 7>], [#rel.val<"v_0", !rel.lane<f32, 4, "list">>, #rel.val<"v_1", !rel.lane<f32, 4, "list">>], false, #rel.layout<[7, 8], ["i0", "i1"], [#rel.part<0, "row", 7, 1, "i0">, #rel.part<1, "column", 2, 4, "">, #rel.part<1, "lane", 4, 1, "">], "list">>
    "sql.store"(%1) <{store = "w"}> : (!rel.rel<[#rel.key<"i0", 7>], [#rel.val<"v_0", !rel.lane<f32, 4, "list">>, #rel.val<"v_1", !rel.lane<f32, 4, "list">>], false, #rel.layout<[7, 8], ["i0", "i1"], [#rel.part<0, "row", 7, 1, "i0">, #rel.part<1, "column", 2, 4, "">, #rel.part<1, "lane", 4, 1, "">], "list">>) -> ()
    %2 = "sql.parameter"() <{parameter = "u"}> : () -> !rel.rel<[#rel.key<"i0", 5>, #rel.key<"i1", 7>], [#rel.val<"v", f32>], false, unit>
    %3 = "sql.pack"(%2) : (!rel.rel<[#rel.key<"i0", 5>, #rel.key<"i1", 7>], [#rel.val<"v", f32>], false, unit>) -> !rel.rel<[#rel.key<"i0", 5>], [#rel.val<"v_0", !rel.lane<f32, 4, "list">>, #rel.val<"v_1", !rel.lane<f32, 4, "list">>], false, #rel.layout<[5, 7], ["i0", "i1"], [#rel.part<0, "row", 5, 1, "i0">, #rel.part<1, "column", 2, 4, "">, #rel.part<1, "lane", 4, 1, "">], "list">>
    "sql.store"(%3) <{store = "u"}> : (!rel.rel<[#rel.key<"i0", 5>], [#rel.val<"v_0", !rel.lane<f32, 4, "list">>, #rel.val<"v_1", !rel.lane<f32, 4, "list">>], false, #rel.layout<[5, 7], ["i0", "i1"], [#rel.part<0, "row", 5, 1, "i0">, #rel.part<1, "column", 2, 4, "">, #rel.part<1, "lane", 4, 1, "">], "list">>) -> ()
    "func.return"() : () -> ()
  }) : () -> ()
  "func.func"() <{sym_name = "forward", function_type = (!rel.rel<[#rel.key<"b", #irsql.dim<"B">>, #rel.key<"i1", 8>], [#rel.val<"v", f32>], false, unit>, !rel.rel<[#rel.key<"b", #irsql.dim<"B">>], [#rel.val<"v", i64>], false, unit>) -> !rel.rel<[#rel.key<"b", #irsql.dim<"B">>, #rel.key<"i1", 5>], [#rel.val<"v", f32>], false, unit>}> ({
  ^bb0(%x: !rel.rel<[#rel.key<"b", #irsql.dim<"B">>, #rel.key<"i1", 8>], [#rel.val<"v", f32>], false, unit>, %ids: !rel.rel<[#rel.key<"b", #irsql.dim<"B">>], [#rel.val<"v", i64>], false, unit>):
    %packed = "sql.table"() <{table = "w", kind = "stored"}> : () -> !rel.rel<[#rel.key<"i0", 7>], [#rel.val<"v_0", !rel.lane<f32, 4, "list">>, #rel.val<"v_1", !rel.lane<f32, 4, "list">>], false, #rel.layout<[7, 8], ["i0", "i1"], [#rel.part<0, "row", 7, 1, "i0">, #rel.part<1, "column", 2, 4, "">, #rel.part<1, "lane", 4, 1, "">], "list">>
    %packed$1 = "sql.table"() <{table = "u", kind = "stored"}> : () -> !rel.rel<[#rel.key<"i0", 5>], [#rel.val<"v_0", !rel.lane<f32, 4, "list">>, #rel.val<"v_1", !rel.lane<f32, 4, "list">>], false, #rel.layout<[5, 7], ["i0", "i1"], [#rel.part<0, "row", 5, 1, "i0">, #rel.part<1, "column", 2, 4, "">, #rel.part<1, "lane", 4, 1, "">], "list">>
    %x.packed = "sql.select"(%x) <{grouped = true, outer = false}> ({
      "expr.yield"() : () -> ()
    }, {
      %0 = "expr.col"() <{column = "b", input = 0 : i64}> : () -> i64
      "expr.yield"(%0) : (i64) -> ()
    }, {
      %0 = "expr.col"() <{column = "b", input = 0 : i64}> : () -> i64
      %1 = "expr.col"() <{column = "i1", input = 0 : i64}> : () -> i64
      %2 = "expr.constant"() <{value = 4 : i64}> : () -> i64
      %3 = "expr.binary"(%1, %2) <{kind = "mod"}> : (i64, i64) -> i64
      %4 = "expr.col"() <{column = "v", input = 0 : i64}> : () -> f32
      %5 = "expr.col"() <{column = "i1", input = 0 : i64}> : () -> i64
      %6 = "expr.constant"() <{value = 4 : i64}> : () -> i64
      %7 = "expr.binary"(%5, %6) <{kind = "floordiv"}> : (i64, i64) -> i64
      %8 = "expr.constant"() <{value = 0 : i64}> : () -> i64
      %9 = "expr.compare"(%7, %8) <{kind = "eq"}> : (i64, i64) -> i1
      %10 = "expr.pack"(%4, %3, %9) : (f32, i64, i1) -> !rel.lane<f32, 4, "list">
      %11 = "expr.col"() <{column = "v", input = 0 : i64}> : () -> f32
      %12 = "expr.col"() <{column = "i1", input = 0 : i64}> : () -> i64
      %13 = "expr.constant"() <{value = 4 : i64}> : () -> i64
      %14 = "expr.binary"(%12, %13) <{kind = "floordiv"}> : (i64, i64) -> i64
      %15 = "expr.constant"() <{value = 1 : i64}> : () -> i64
      %16 = "expr.compare"(%14, %15) <{kind = "eq"}> : (i64, i64) -> i1
      %17 = "expr.pack"(%11, %3, %16) : (f32, i64, i1) -> !rel.lane<f32, 4, "list">
      "expr.yield"(%0, %10, %17) : (i64, !rel.lane<f32, 4, "list">, !rel.lane<f32, 4, "list">) -> ()
    }) : (!rel.rel<[#rel.key<"b", #irsql.dim<"B">>, #rel.key<"i1", 8>], [#rel.val<"v", f32>], false, unit>) -> !rel.rel<[#rel.key<"b", #irsql.dim<"B">>], [#rel.val<"v_0", !rel.lane<f32, 4, "list">>, #rel.val<"v_1", !rel.lane<f32, 4, "list">>], false, #rel.layout<[#irsql.dim<"B">, 8], ["b", "i1"], [#rel.part<0, "row", #irsql.dim<"B">, 1, "b">, #rel.part<1, "column", 2, 4, "">, #rel.part<1, "lane", 4, 1, "">], "list">>
    %0 = "sql.select"(%x.packed, %packed) <{grouped = false, outer = false}> ({
      "expr.yield"() : () -> ()
    }, {
      "expr.yield"() : () -> ()
    }, {
      %1 = "expr.col"() <{column = "b", input = 0 : i64}> : () -> i64
      %2 = "expr.col"() <{column = "i0", input = 1 : i64}> : () -> i64
      %3 = "expr.col"() <{column = "v_0", input = 0 : i64}> : () -> !rel.lane<f32, 4, "list">
      %4 = "expr.col"() <{column = "v_1", input = 0 : i64}> : () -> !rel.lane<f32, 4, "list">
      %5 = "expr.col"() <{column = "v_0", input = 1 : i64}> : () -> !rel.lane<f32, 4, "list">
      %6 = "expr.col"() <{column = "v_1", input = 1 : i64}> : () -> !rel.lane<f32, 4, "list">
      "expr.yield"(%1, %2, %3, %4, %5, %6) : (i64, i64, !rel.lane<f32, 4, "list">, !rel.lane<f32, 4, "list">, !rel.lane<f32, 4, "list">, !rel.lane<f32, 4, "list">) -> ()
    }) : (!rel.rel<[#rel.key<"b", #irsql.dim<"B">>], [#rel.val<"v_0", !rel.lane<f32, 4, "list">>, #rel.val<"v_1", !rel.lane<f32, 4, "list">>], false, #rel.layout<[#irsql.dim<"B">, 8], ["b", "i1"], [#rel.part<0, "row", #irsql.dim<"B">, 1, "b">, #rel.part<1, "column", 2, 4, "">, #rel.part<1, "lane", 4, 1, "">], "list">>, !rel.rel<[#rel.key<"i0", 7>], [#rel.val<"v_0", !rel.lane<f32, 4, "list">>, #rel.val<"v_1", !rel.lane<f32, 4, "list">>], false, #rel.layout<[7, 8], ["i0", "i1"], [#rel.part<0, "row", 7, 1, "i0">, #rel.part<1, "column", 2, 4, "">, #rel.part<1, "lane", 4, 1, "">], "list">>) -> !rel.rel<[#rel.key<"b_0", #irsql.dim<"B">>, #rel.key<"i0_1", 7>], [#rel.val<"v0_0", !rel.lane<f32, 4, "list">>, #rel.val<"v0_1", !rel.lane<f32, 4, "list">>, #rel.val<"v1_0", !rel.lane<f32, 4, "list">>, #rel.val<"v1_1", !rel.lane<f32, 4, "list">>], false, unit>
    %1 = "sql.select"(%0) <{grouped = false, outer = false}> ({
      "expr.yield"() : () -> ()
    }, {
      "expr.yield"() : () -> ()
    }, {
      %2 = "expr.col"() <{column = "b_0", input = 0 : i64}> : () -> i64
      %3 = "expr.col"() <{column = "i0_1", input = 0 : i64}> : () -> i64
      %4 = "expr.col"() <{column = "v0_0", input = 0 : i64}> : () -> !rel.lane<f32, 4, "list">
      %5 = "expr.col"() <{column = "v1_0", input = 0 : i64}> : () -> !rel.lane<f32, 4, "list">
      %6 = "expr.dot"(%4, %5) : (!rel.lane<f32, 4, "list">, !rel.lane<f32, 4, "list">) -> f32
      %7 = "expr.col"() <{column = "v0_1", input = 0 : i64}> : () -> !rel.lane<f32, 4, "list">
      %8 = "expr.col"() <{column = "v1_1", input = 0 : i64}> : () -> !rel.lane<f32, 4, "list">
      %9 = "expr.dot"(%7, %8) : (!rel.lane<f32, 4, "list">, !rel.lane<f32, 4, "list">) -> f32
      %10 = "expr.binary"(%6, %9) <{kind = "add"}> : (f32, f32) -> f32
      "expr.yield"(%2, %3, %10) : (i64, i64, f32) -> ()
    }) : (!rel.rel<[#rel.key<"b_0", #irsql.dim<"B">>, #rel.key<"i0_1", 7>], [#rel.val<"v0_0", !rel.lane<f32, 4, "list">>, #rel.val<"v0_1", !rel.lane<f32, 4, "list">>, #rel.val<"v1_0", !rel.lane<f32, 4, "list">>, #rel.val<"v1_1", !rel.lane<f32, 4, "list">>], false, unit>) -> !rel.rel<[#rel.key<"b", #irsql.dim<"B">>, #rel.key<"i1", 7>], [#rel.val<"v", f32>], false, unit>
    %packed$2 = "sql.select"(%1) <{grouped = true, outer = false}> ({
      "expr.yield"() : () -> ()
    }, {
      %2 = "expr.col"() <{column = "b", input = 0 : i64}> : () -> i64
      "expr.yield"(%2) : (i64) -> ()
    }, {
      %2 = "expr.col"() <{column = "b", input = 0 : i64}> : () -> i64
      %3 = "expr.col"() <{column = "i1", input = 0 : i64}> : () -> i64
      %4 = "expr.constant"() <{value = 4 : i64}> : () -> i64
      %5 = "expr.binary"(%3, %4) <{kind = "mod"}> : (i64, i64) -> i64
      %6 = "expr.col"() <{column = "v", input = 0 : i64}> : () -> f32
      %7 = "expr.col"() <{column = "i1", input = 0 : i64}> : () -> i64
      %8 = "expr.constant"() <{value = 4 : i64}> : () -> i64
      %9 = "expr.binary"(%7, %8) <{kind = "floordiv"}> : (i64, i64) -> i64
      %10 = "expr.constant"() <{value = 0 : i64}> : () -> i64
      %11 = "expr.compare"(%9, %10) <{kind = "eq"}> : (i64, i64) -> i1
      %12 = "expr.pack"(%6, %5, %11) : (f32, i64, i1) -> !rel.lane<f32, 4, "list">
      %13 = "expr.col"() <{column = "v", input = 0 : i64}> : () -> f32
      %14 = "expr.col"() <{column = "i1", input = 0 : i64}> : () -> i64
      %15 = "expr.constant"() <{value = 4 : i64}> : () -> i64
      %16 = "expr.binary"(%14, %15) <{kind = "floordiv"}> : (i64, i64) -> i64
      %17 = "expr.constant"() <{value = 1 : i64}> : () -> i64
      %18 = "expr.compare"(%16, %17) <{kind = "eq"}> : (i64, i64) -> i1
      %19 = "expr.pack"(%13, %5, %18) : (f32, i64, i1) -> !rel.lane<f32, 4, "list">
      "expr.yield"(%2, %12, %19) : (i64, !rel.lane<f32, 4, "list">, !rel.lane<f32, 4, "list">) -> ()
    }) : (!rel.rel<[#rel.key<"b", #irsql.dim<"B">>, #rel.key<"i1", 7>], [#rel.val<"v", f32>], false, unit>) -> !rel.rel<[#rel.key<"b", #irsql.dim<"B">>], [#rel.val<"v_0", !rel.lane<f32, 4, "list">>, #rel.val<"v_1", !rel.lane<f32, 4, "list">>], false, #rel.layout<[#irsql.dim<"B">, 7], ["b", "i1"], [#rel.part<0, "row", #irsql.dim<"B">, 1, "b">, #rel.part<1, "column", 2, 4, "">, #rel.part<1, "lane", 4, 1, "">], "list">>
    %2 = "sql.select"(%packed$2, %packed$1) <{grouped = false, outer = false}> ({
      "expr.yield"() : () -> ()
    }, {
      "expr.yield"() : () -> ()
    }, {
      %3 = "expr.col"() <{column = "b", input = 0 : i64}> : () -> i64
      %4 = "expr.col"() <{column = "i0", input = 1 : i64}> : () -> i64
      %5 = "expr.col"() <{column = "v_0", input = 0 : i64}> : () -> !rel.lane<f32, 4, "list">
      %6 = "expr.col"() <{column = "v_1", input = 0 : i64}> : () -> !rel.lane<f32, 4, "list">
      %7 = "expr.col"() <{column = "v_0", input = 1 : i64}> : () -> !rel.lane<f32, 4, "list">
      %8 = "expr.col"() <{column = "v_1", input = 1 : i64}> : () -> !rel.lane<f32, 4, "list">
      "expr.yield"(%3, %4, %5, %6, %7, %8) : (i64, i64, !rel.lane<f32, 4, "list">, !rel.lane<f32, 4, "list">, !rel.lane<f32, 4, "list">, !rel.lane<f32, 4, "list">) -> ()
    }) : (!rel.rel<[#rel.key<"b", #irsql.dim<"B">>], [#rel.val<"v_0", !rel.lane<f32, 4, "list">>, #rel.val<"v_1", !rel.lane<f32, 4, "list">>], false, #rel.layout<[#irsql.dim<"B">, 7], ["b", "i1"], [#rel.part<0, "row", #irsql.dim<"B">, 1, "b">, #rel.part<1, "column", 2, 4, "">, #rel.part<1, "lane", 4, 1, "">], "list">>, !rel.rel<[#rel.key<"i0", 5>], [#rel.val<"v_0", !rel.lane<f32, 4, "list">>, #rel.val<"v_1", !rel.lane<f32, 4, "list">>], false, #rel.layout<[5, 7], ["i0", "i1"], [#rel.part<0, "row", 5, 1, "i0">, #rel.part<1, "column", 2, 4, "">, #rel.part<1, "lane", 4, 1, "">], "list">>) -> !rel.rel<[#rel.key<"b_0", #irsql.dim<"B">>, #rel.key<"i0_1", 5>], [#rel.val<"v0_0", !rel.lane<f32, 4, "list">>, #rel.val<"v0_1", !rel.lane<f32, 4, "list">>, #rel.val<"v1_0", !rel.lane<f32, 4, "list">>, #rel.val<"v1_1", !rel.lane<f32, 4, "list">>], false, unit>
    %3 = "sql.select"(%2) <{grouped = false, outer = false}> ({
      "expr.yield"() : () -> ()
    }, {
      "expr.yield"() : () -> ()
    }, {
      %4 = "expr.col"() <{column = "b_0", input = 0 : i64}> : () -> i64
      %5 = "expr.col"() <{column = "i0_1", input = 0 : i64}> : () -> i64
      %6 = "expr.col"() <{column = "v0_0", input = 0 : i64}> : () -> !rel.lane<f32, 4, "list">
      %7 = "expr.col"() <{column = "v1_0", input = 0 : i64}> : () -> !rel.lane<f32, 4, "list">
      %8 = "expr.dot"(%6, %7) : (!rel.lane<f32, 4, "list">, !rel.lane<f32, 4, "list">) -> f32
      %9 = "expr.col"() <{column = "v0_1", input = 0 : i64}> : () -> !rel.lane<f32, 4, "list">
      %10 = "expr.col"() <{column = "v1_1", input = 0 : i64}> : () -> !rel.lane<f32, 4, "list">
      %11 = "expr.dot"(%9, %10) : (!rel.lane<f32, 4, "list">, !rel.lane<f32, 4, "list">) -> f32
      %12 = "expr.binary"(%8, %11) <{kind = "add"}> : (f32, f32) -> f32
      "expr.yield"(%4, %5, %12) : (i64, i64, f32) -> ()
    }) : (!rel.rel<[#rel.key<"b_0", #irsql.dim<"B">>, #rel.key<"i0_1", 5>], [#rel.val<"v0_0", !rel.lane<f32, 4, "list">>, #rel.val<"v0_1", !rel.lane<f32, 4, "list">>, #rel.val<"v1_0", !rel.lane<f32, 4, "list">>, #rel.val<"v1_1", !rel.lane<f32, 4, "list">>], false, unit>) -> !rel.rel<[#rel.key<"b", #irsql.dim<"B">>, #rel.key<"i1", 5>], [#rel.val<"v", f32>], false, unit>
    "func.return"(%3) : (!rel.rel<[#rel.key<"b", #irsql.dim<"B">>, #rel.key<"i1", 5>], [#rel.val<"v", f32>], false, unit>) -> ()
  }) {irsql.dims = {B = [0, 9]}, irsql.args = [#irsql.arg<"input", "normal", 0, 0, "">, #irsql.arg<"input", "range", 0, 7, "">], irsql.results = ["out0"]} : () -> ()
}) {irsql.attrs = {stage = "sql", target = #irsql.target<"lanes", "1", "duckdb", [#irsql.capability<"dot", "list", "native", "", "">, #irsql.capability<"map", "list", "native", "", "">, #irsql.capability<"add", "list", "native", "", "">, #irsql.capability<"mul", "list", "native", "", "">, #irsql.capability<"scale", "list", "native", "", "">, #irsql.capability<"sum", "list", "native", "", "">, #irsql.capability<"slice", "list", "native", "", "">, #irsql.capability<"concat", "list", "native", "", "">, #irsql.capability<"pack", "list", "native", "", "">, #irsql.capability<"unpack", "list", "native", "", "">, #irsql.capability<"cast", "list", "native", "", "">], {neg = "NEG", abs = "ABS", exp = "EXP", log = "LOG", sqrt = "SQRT", rsqrt = "RSQRT", sin = "SIN", cos = "COS", tanh = "TANH", erf = "ERF", floor = "FLOOR", ceil = "CEIL", trunc = "TRUNC", round = "ROUND", sign = "SIGN", not = "NOT", isnan = "ISNAN", pow = "POW"}, #irsql.limits<1000, 60, 50, 256, 63, 900000, 500, 100>, #irsql.costs<"", "", {}, 0.1, 50.0, 100.0, 0.2, 1.0, 30.0, 30.0, 0.0, 0.0>, #irsql.layout_defaults<["list"], 1, 1>, #irsql.value_contract<true, true, false, false, false, true, true, true, "truncates", "dividend", "ieee", true, true>, {}>}} : () -> ()
