// Packed operands of lane products and the result are step tables.
// RUN: irsql-opt %s --no-locations --verify-semantics --pass-pipeline='materialise' | filecheck %s
// RUN: irsql-opt %s --pass-pipeline=materialise --remarks=- -o %t/out.mlir 2>&1 | filecheck %s --check-prefix=REMARK
// A target may ask for packed operands inside the statement that reads them.
// RUN: irsql-opt %s --target duckdb --pass-pipeline=materialise --remarks=- 2>&1 | filecheck %s --check-prefix=ONE
// Another asks for it where tables are packed: what a product gives is a table then.
// RUN: irsql-opt %s --target pgvector --pass-pipeline=materialise --remarks=- 2>&1 | filecheck %s --check-prefix=INLINE

// REMARK: remark: materialise: passed: @forward: statements: 3, of them of shared selects: 0, of packed operands: 2
// INLINE: remark: materialise: missed: @forward: packed operands stay common table expressions
// INLINE: sym_name = "forward"
// INLINE-NOT: "sql.materialise"
// INLINE: "sql.select"(%x.packed, %packed)
// INLINE: %1 = "sql.materialise"(%0)
// INLINE: "sql.select"(%1) <{grouped = true
// INLINE: %out0 = "sql.materialise"
// ONE: remark: materialise: passed: @forward: statements: 1, of them of shared selects: 0, of packed operands: 0
// ONE: remark: materialise: missed: @forward: packed operands stay common table expressions
// ONE: sym_name = "forward"
// ONE-NOT: table = "{{.*}}packed
// ONE: %out0 = "sql.materialise"
// CHECK: sym_name = "forward"
// CHECK: %[[X:.*]] = "sql.select"(%x) <{grouped = true
// CHECK: %[[T:.*]] = "sql.materialise"(%[[X]])
// CHECK: "sql.select"(%[[T]], %packed)
// CHECK: "sql.materialise"
// CHECK: %[[OUT:.*]] = "sql.materialise"
// CHECK: "func.return"(%[[OUT]])

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
      %4 = "expr.col"() <{column = "v_0", input = 1 : i64}> : () -> !rel.lane<f32, 4, "list">
      %5 = "expr.dot"(%3, %4) : (!rel.lane<f32, 4, "list">, !rel.lane<f32, 4, "list">) -> f32
      %6 = "expr.col"() <{column = "v_1", input = 0 : i64}> : () -> !rel.lane<f32, 4, "list">
      %7 = "expr.col"() <{column = "v_1", input = 1 : i64}> : () -> !rel.lane<f32, 4, "list">
      %8 = "expr.dot"(%6, %7) : (!rel.lane<f32, 4, "list">, !rel.lane<f32, 4, "list">) -> f32
      %9 = "expr.binary"(%5, %8) <{kind = "add"}> : (f32, f32) -> f32
      "expr.yield"(%1, %2, %9) : (i64, i64, f32) -> ()
    }) : (!rel.rel<[#rel.key<"b", #irsql.dim<"B">>], [#rel.val<"v_0", !rel.lane<f32, 4, "list">>, #rel.val<"v_1", !rel.lane<f32, 4, "list">>], false, #rel.layout<[#irsql.dim<"B">, 8], ["b", "i1"], [#rel.part<0, "row", #irsql.dim<"B">, 1, "b">, #rel.part<1, "column", 2, 4, "">, #rel.part<1, "lane", 4, 1, "">], "list">>, !rel.rel<[#rel.key<"i0", 7>], [#rel.val<"v_0", !rel.lane<f32, 4, "list">>, #rel.val<"v_1", !rel.lane<f32, 4, "list">>], false, #rel.layout<[7, 8], ["i0", "i1"], [#rel.part<0, "row", 7, 1, "i0">, #rel.part<1, "column", 2, 4, "">, #rel.part<1, "lane", 4, 1, "">], "list">>) -> !rel.rel<[#rel.key<"b", #irsql.dim<"B">>, #rel.key<"i1", 7>], [#rel.val<"v", f32>], false, unit>
    %packed$2 = "sql.select"(%0) <{grouped = true, outer = false}> ({
      "expr.yield"() : () -> ()
    }, {
      %1 = "expr.col"() <{column = "b", input = 0 : i64}> : () -> i64
      "expr.yield"(%1) : (i64) -> ()
    }, {
      %1 = "expr.col"() <{column = "b", input = 0 : i64}> : () -> i64
      %2 = "expr.col"() <{column = "i1", input = 0 : i64}> : () -> i64
      %3 = "expr.constant"() <{value = 4 : i64}> : () -> i64
      %4 = "expr.binary"(%2, %3) <{kind = "mod"}> : (i64, i64) -> i64
      %5 = "expr.col"() <{column = "v", input = 0 : i64}> : () -> f32
      %6 = "expr.col"() <{column = "i1", input = 0 : i64}> : () -> i64
      %7 = "expr.constant"() <{value = 4 : i64}> : () -> i64
      %8 = "expr.binary"(%6, %7) <{kind = "floordiv"}> : (i64, i64) -> i64
      %9 = "expr.constant"() <{value = 0 : i64}> : () -> i64
      %10 = "expr.compare"(%8, %9) <{kind = "eq"}> : (i64, i64) -> i1
      %11 = "expr.pack"(%5, %4, %10) : (f32, i64, i1) -> !rel.lane<f32, 4, "list">
      %12 = "expr.col"() <{column = "v", input = 0 : i64}> : () -> f32
      %13 = "expr.col"() <{column = "i1", input = 0 : i64}> : () -> i64
      %14 = "expr.constant"() <{value = 4 : i64}> : () -> i64
      %15 = "expr.binary"(%13, %14) <{kind = "floordiv"}> : (i64, i64) -> i64
      %16 = "expr.constant"() <{value = 1 : i64}> : () -> i64
      %17 = "expr.compare"(%15, %16) <{kind = "eq"}> : (i64, i64) -> i1
      %18 = "expr.pack"(%12, %4, %17) : (f32, i64, i1) -> !rel.lane<f32, 4, "list">
      "expr.yield"(%1, %11, %18) : (i64, !rel.lane<f32, 4, "list">, !rel.lane<f32, 4, "list">) -> ()
    }) : (!rel.rel<[#rel.key<"b", #irsql.dim<"B">>, #rel.key<"i1", 7>], [#rel.val<"v", f32>], false, unit>) -> !rel.rel<[#rel.key<"b", #irsql.dim<"B">>], [#rel.val<"v_0", !rel.lane<f32, 4, "list">>, #rel.val<"v_1", !rel.lane<f32, 4, "list">>], false, #rel.layout<[#irsql.dim<"B">, 7], ["b", "i1"], [#rel.part<0, "row", #irsql.dim<"B">, 1, "b">, #rel.part<1, "column", 2, 4, "">, #rel.part<1, "lane", 4, 1, "">], "list">>
    %1 = "sql.select"(%packed$2, %packed$1) <{grouped = false, outer = false}> ({
      "expr.yield"() : () -> ()
    }, {
      "expr.yield"() : () -> ()
    }, {
      %2 = "expr.col"() <{column = "b", input = 0 : i64}> : () -> i64
      %3 = "expr.col"() <{column = "i0", input = 1 : i64}> : () -> i64
      %4 = "expr.col"() <{column = "v_0", input = 0 : i64}> : () -> !rel.lane<f32, 4, "list">
      %5 = "expr.col"() <{column = "v_0", input = 1 : i64}> : () -> !rel.lane<f32, 4, "list">
      %6 = "expr.dot"(%4, %5) : (!rel.lane<f32, 4, "list">, !rel.lane<f32, 4, "list">) -> f32
      %7 = "expr.col"() <{column = "v_1", input = 0 : i64}> : () -> !rel.lane<f32, 4, "list">
      %8 = "expr.col"() <{column = "v_1", input = 1 : i64}> : () -> !rel.lane<f32, 4, "list">
      %9 = "expr.dot"(%7, %8) : (!rel.lane<f32, 4, "list">, !rel.lane<f32, 4, "list">) -> f32
      %10 = "expr.binary"(%6, %9) <{kind = "add"}> : (f32, f32) -> f32
      "expr.yield"(%2, %3, %10) : (i64, i64, f32) -> ()
    }) : (!rel.rel<[#rel.key<"b", #irsql.dim<"B">>], [#rel.val<"v_0", !rel.lane<f32, 4, "list">>, #rel.val<"v_1", !rel.lane<f32, 4, "list">>], false, #rel.layout<[#irsql.dim<"B">, 7], ["b", "i1"], [#rel.part<0, "row", #irsql.dim<"B">, 1, "b">, #rel.part<1, "column", 2, 4, "">, #rel.part<1, "lane", 4, 1, "">], "list">>, !rel.rel<[#rel.key<"i0", 5>], [#rel.val<"v_0", !rel.lane<f32, 4, "list">>, #rel.val<"v_1", !rel.lane<f32, 4, "list">>], false, #rel.layout<[5, 7], ["i0", "i1"], [#rel.part<0, "row", 5, 1, "i0">, #rel.part<1, "column", 2, 4, "">, #rel.part<1, "lane", 4, 1, "">], "list">>) -> !rel.rel<[#rel.key<"b", #irsql.dim<"B">>, #rel.key<"i1", 5>], [#rel.val<"v", f32>], false, unit>
    "func.return"(%1) : (!rel.rel<[#rel.key<"b", #irsql.dim<"B">>, #rel.key<"i1", 5>], [#rel.val<"v", f32>], false, unit>) -> ()
  }) {irsql.dims = {B = [0, 9]}, irsql.args = [#irsql.arg<"input", "normal", 0, 0, "">, #irsql.arg<"input", "range", 0, 7, "">], irsql.results = ["out0"]} : () -> ()
}) {irsql.attrs = {stage = "sql", target = #irsql.target<"lanes", "1", "duckdb", [#irsql.capability<"dot", "list", "native", "", "">, #irsql.capability<"map", "list", "native", "", "">, #irsql.capability<"add", "list", "native", "", "">, #irsql.capability<"mul", "list", "native", "", "">, #irsql.capability<"scale", "list", "native", "", "">, #irsql.capability<"sum", "list", "native", "", "">, #irsql.capability<"slice", "list", "native", "", "">, #irsql.capability<"concat", "list", "native", "", "">, #irsql.capability<"pack", "list", "native", "", "">, #irsql.capability<"unpack", "list", "native", "", "">, #irsql.capability<"cast", "list", "native", "", "">], {neg = "NEG", abs = "ABS", exp = "EXP", log = "LOG", sqrt = "SQRT", rsqrt = "RSQRT", sin = "SIN", cos = "COS", tanh = "TANH", erf = "ERF", floor = "FLOOR", ceil = "CEIL", trunc = "TRUNC", round = "ROUND", sign = "SIGN", not = "NOT", isnan = "ISNAN", pow = "POW"}, #irsql.limits<1000, 60, 50, 256, 63, 900000, 500, 100>, #irsql.costs<"", "", {}, 0.1, 50.0, 100.0, 0.2, 1.0, 30.0, 30.0, 0.0, 0.0>, #irsql.layout_defaults<["list"], 1, 1>, #irsql.value_contract<true, true, false, false, false, true, true, true, "truncates", "dividend", "ieee", true, true>, {}>}} : () -> ()
