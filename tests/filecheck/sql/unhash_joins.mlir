// The number of a row of lanes is compared by a difference, which no hash table serves. A product that is joined on
// something else too keeps its equality, and so does a target that is not said to copy lanes.
// RUN: irsql-opt %s --no-locations --target=duckdb --verify-semantics --pass-pipeline=unhash-joins | filecheck %s
// RUN: irsql-opt %s --target=duckdb --pass-pipeline=unhash-joins --remarks=- -o %t/out.mlir 2>&1 | filecheck %s --check-prefix=REMARK
// RUN: irsql-opt %s --no-locations --pass-pipeline=unhash-joins | filecheck %s --check-prefix=OTHER
// RUN: irsql-opt %s --pass-pipeline=unhash-joins --remarks=- -o %t/out.mlir 2>&1 | filecheck %s --check-prefix=OTHER-REMARK

// REMARK: remark: unhash-joins: passed: {{.*}} joins rows of lanes by a nested loop
// REMARK: remark: unhash-joins: missed: {{.*}} joins rows of lanes by their numbers
// REMARK-NEXT: reason: it joins them on something else too, which is hashed anyway
// OTHER-REMARK: remark: unhash-joins: missed: {{.*}} joins rows of lanes by their numbers
// OTHER-REMARK-NEXT: reason: the target is not said to copy lanes when it hashes
// CHECK: sym_name = "forward"
// CHECK: "sql.select"(%x.packed
// CHECK-NEXT: %[[A:.*]] = "expr.col"() <{column = "i1", input = 0
// CHECK-NEXT: %[[B:.*]] = "expr.col"() <{column = "i1", input = 1
// CHECK-NEXT: %[[D:.*]] = "expr.binary"(%[[A]], %[[B]]) <{kind = "sub"}>
// CHECK-NEXT: %[[ZERO:.*]] = "expr.constant"() <{value = 0 : i64}>
// CHECK-NEXT: "expr.compare"(%[[D]], %[[ZERO]]) <{kind = "eq"}>
// CHECK: "sql.select"(%packed
// CHECK: %[[A:.*]] = "expr.col"() <{column = "i1", input = 0
// CHECK-NEXT: %[[B:.*]] = "expr.col"() <{column = "i1", input = 1
// CHECK-NEXT: "expr.compare"(%[[A]], %[[B]]) <{kind = "eq"}>
// OTHER: "sql.select"(%x.packed
// OTHER-NEXT: %[[A:.*]] = "expr.col"() <{column = "i1", input = 0
// OTHER-NEXT: %[[B:.*]] = "expr.col"() <{column = "i1", input = 1
// OTHER-NEXT: "expr.compare"(%[[A]], %[[B]]) <{kind = "eq"}>

"builtin.module"() ({
  "func.func"() <{sym_name = "load", function_type = () -> ()}> ({
    %0 = "sql.parameter"() <{parameter = "w"}> : () -> !rel.rel<[#rel.key<"i0", 7>, #rel.key<"i1", 8>], [#rel.val<"v", f32>], false, unit>
    %1 = "sql.pack"(%0) : (!rel.rel<[#rel.key<"i0", 7>, #rel.key<"i1", 8>], [#rel.val<"v", f32>], false, unit>) -> !rel.rel<[#rel.key<"i0", 7>, #rel.key<"i1", 2>], [#rel.val<"v_0", !rel.lane<f32, 2, "list">>, #rel.val<"v_1", !rel.lane<f32, 2, "list">>], false, #rel.layout<[7, 8], ["i0", "i1"], [#rel.part<0, "row", 7, 1, "i0">, #rel.part<1, "row", 2, 4, "i1">, #rel.part<1, "column", 2, 2, "">, #rel.part<1, "lane", 2, 1, "">], "list">>
    "sql.store"(%1) <{store = "w"}> : (!rel.rel<[#rel.key<"i0", 7>, #rel.key<"i1", 2>], [#rel.val<"v_0", !rel.lane<f32, 2, "list">>, #rel.val<"v_1", !rel.lane<f32, 2, "list">>], false, #rel.layout<[7, 8], ["i0", "i1"], [#rel.part<0, "row", 7, 1, "i0">, #rel.part<1, "row", 2, 4, "i1">, #rel.part<1, "column", 2, 2, "">, #rel.part<1, "lane", 2, 1, "">], "list">>) -> ()
    %2 = "sql.parameter"() <{parameter = "u"}> : () -> !rel.rel<[#rel.key<"i0", 5>, #rel.key<"i1", 7>], [#rel.val<"v", f32>], false, unit>
    %3 = "sql.pack"(%2) : (!rel.rel<[#rel.key<"i0", 5>, #rel.key<"i1", 7>], [#rel.val<"v", f32>], false, unit>) -> !rel.rel<[#rel.key<"i0", 5>, #rel.key<"i1", 2>], [#rel.val<"v_0", !rel.lane<f32, 2, "list">>, #rel.val<"v_1", !rel.lane<f32, 2, "list">>], false, #rel.layout<[5, 7], ["i0", "i1"], [#rel.part<0, "row", 5, 1, "i0">, #rel.part<1, "row", 2, 4, "i1">, #rel.part<1, "column", 2, 2, "">, #rel.part<1, "lane", 2, 1, "">], "list">>
    "sql.store"(%3) <{store = "u"}> : (!rel.rel<[#rel.key<"i0", 5>, #rel.key<"i1", 2>], [#rel.val<"v_0", !rel.lane<f32, 2, "list">>, #rel.val<"v_1", !rel.lane<f32, 2, "list">>], false, #rel.layout<[5, 7], ["i0", "i1"], [#rel.part<0, "row", 5, 1, "i0">, #rel.part<1, "row", 2, 4, "i1">, #rel.part<1, "column", 2, 2, "">, #rel.part<1, "lane", 2, 1, "">], "list">>) -> ()
    "func.return"() : () -> ()
  }) : () -> ()
  "func.func"() <{sym_name = "forward", function_type = (!rel.rel<[#rel.key<"b", #irsql.dim<"B">>, #rel.key<"i1", 8>], [#rel.val<"v", f32>], false, unit>, !rel.rel<[#rel.key<"b", #irsql.dim<"B">>], [#rel.val<"v", i64>], false, unit>) -> !rel.rel<[#rel.key<"b", #irsql.dim<"B">>, #rel.key<"i1", 5>], [#rel.val<"v", f32>], false, unit>}> ({
  ^bb0(%x: !rel.rel<[#rel.key<"b", #irsql.dim<"B">>, #rel.key<"i1", 8>], [#rel.val<"v", f32>], false, unit>, %ids: !rel.rel<[#rel.key<"b", #irsql.dim<"B">>], [#rel.val<"v", i64>], false, unit>):
    %packed = "sql.table"() <{table = "w", kind = "stored"}> : () -> !rel.rel<[#rel.key<"i0", 7>, #rel.key<"i1", 2>], [#rel.val<"v_0", !rel.lane<f32, 2, "list">>, #rel.val<"v_1", !rel.lane<f32, 2, "list">>], false, #rel.layout<[7, 8], ["i0", "i1"], [#rel.part<0, "row", 7, 1, "i0">, #rel.part<1, "row", 2, 4, "i1">, #rel.part<1, "column", 2, 2, "">, #rel.part<1, "lane", 2, 1, "">], "list">>
    %packed$1 = "sql.table"() <{table = "u", kind = "stored"}> : () -> !rel.rel<[#rel.key<"i0", 5>, #rel.key<"i1", 2>], [#rel.val<"v_0", !rel.lane<f32, 2, "list">>, #rel.val<"v_1", !rel.lane<f32, 2, "list">>], false, #rel.layout<[5, 7], ["i0", "i1"], [#rel.part<0, "row", 5, 1, "i0">, #rel.part<1, "row", 2, 4, "i1">, #rel.part<1, "column", 2, 2, "">, #rel.part<1, "lane", 2, 1, "">], "list">>
    %x.packed = "sql.select"(%x) <{grouped = true, outer = false}> ({
      "expr.yield"() : () -> ()
    }, {
      %0 = "expr.col"() <{column = "b", input = 0 : i64}> : () -> i64
      %1 = "expr.col"() <{column = "i1", input = 0 : i64}> : () -> i64
      %2 = "expr.constant"() <{value = 4 : i64}> : () -> i64
      %3 = "expr.binary"(%1, %2) <{kind = "floordiv"}> : (i64, i64) -> i64
      "expr.yield"(%0, %3) : (i64, i64) -> ()
    }, {
      %0 = "expr.col"() <{column = "b", input = 0 : i64}> : () -> i64
      %1 = "expr.col"() <{column = "i1", input = 0 : i64}> : () -> i64
      %2 = "expr.constant"() <{value = 4 : i64}> : () -> i64
      %3 = "expr.binary"(%1, %2) <{kind = "floordiv"}> : (i64, i64) -> i64
      %4 = "expr.col"() <{column = "i1", input = 0 : i64}> : () -> i64
      %5 = "expr.constant"() <{value = 2 : i64}> : () -> i64
      %6 = "expr.binary"(%4, %5) <{kind = "mod"}> : (i64, i64) -> i64
      %7 = "expr.col"() <{column = "v", input = 0 : i64}> : () -> f32
      %8 = "expr.col"() <{column = "i1", input = 0 : i64}> : () -> i64
      %9 = "expr.constant"() <{value = 2 : i64}> : () -> i64
      %10 = "expr.binary"(%8, %9) <{kind = "floordiv"}> : (i64, i64) -> i64
      %11 = "expr.constant"() <{value = 2 : i64}> : () -> i64
      %12 = "expr.binary"(%10, %11) <{kind = "mod"}> : (i64, i64) -> i64
      %13 = "expr.constant"() <{value = 0 : i64}> : () -> i64
      %14 = "expr.compare"(%12, %13) <{kind = "eq"}> : (i64, i64) -> i1
      %15 = "expr.pack"(%7, %6, %14) : (f32, i64, i1) -> !rel.lane<f32, 2, "list">
      %16 = "expr.col"() <{column = "v", input = 0 : i64}> : () -> f32
      %17 = "expr.col"() <{column = "i1", input = 0 : i64}> : () -> i64
      %18 = "expr.constant"() <{value = 2 : i64}> : () -> i64
      %19 = "expr.binary"(%17, %18) <{kind = "floordiv"}> : (i64, i64) -> i64
      %20 = "expr.constant"() <{value = 2 : i64}> : () -> i64
      %21 = "expr.binary"(%19, %20) <{kind = "mod"}> : (i64, i64) -> i64
      %22 = "expr.constant"() <{value = 1 : i64}> : () -> i64
      %23 = "expr.compare"(%21, %22) <{kind = "eq"}> : (i64, i64) -> i1
      %24 = "expr.pack"(%16, %6, %23) : (f32, i64, i1) -> !rel.lane<f32, 2, "list">
      "expr.yield"(%0, %3, %15, %24) : (i64, i64, !rel.lane<f32, 2, "list">, !rel.lane<f32, 2, "list">) -> ()
    }) : (!rel.rel<[#rel.key<"b", #irsql.dim<"B">>, #rel.key<"i1", 8>], [#rel.val<"v", f32>], false, unit>) -> !rel.rel<[#rel.key<"b", #irsql.dim<"B">>, #rel.key<"i1", 2>], [#rel.val<"v_0", !rel.lane<f32, 2, "list">>, #rel.val<"v_1", !rel.lane<f32, 2, "list">>], false, #rel.layout<[#irsql.dim<"B">, 8], ["b", "i1"], [#rel.part<0, "row", #irsql.dim<"B">, 1, "b">, #rel.part<1, "row", 2, 4, "i1">, #rel.part<1, "column", 2, 2, "">, #rel.part<1, "lane", 2, 1, "">], "list">>
    %0 = "sql.select"(%x.packed, %packed) <{grouped = true, outer = false}> ({
      %1 = "expr.col"() <{column = "i1", input = 0 : i64}> : () -> i64
      %2 = "expr.col"() <{column = "i1", input = 1 : i64}> : () -> i64
      %3 = "expr.compare"(%1, %2) <{kind = "eq"}> : (i64, i64) -> i1
      "expr.yield"(%3) : (i1) -> ()
    }, {
      %1 = "expr.col"() <{column = "b", input = 0 : i64}> : () -> i64
      %2 = "expr.col"() <{column = "i0", input = 1 : i64}> : () -> i64
      "expr.yield"(%1, %2) : (i64, i64) -> ()
    }, {
      %1 = "expr.col"() <{column = "v_0", input = 0 : i64}> : () -> !rel.lane<f32, 2, "list">
      %2 = "expr.col"() <{column = "v_0", input = 1 : i64}> : () -> !rel.lane<f32, 2, "list">
      %3 = "expr.dot"(%1, %2) : (!rel.lane<f32, 2, "list">, !rel.lane<f32, 2, "list">) -> f32
      %4 = "expr.col"() <{column = "v_1", input = 0 : i64}> : () -> !rel.lane<f32, 2, "list">
      %5 = "expr.col"() <{column = "v_1", input = 1 : i64}> : () -> !rel.lane<f32, 2, "list">
      %6 = "expr.dot"(%4, %5) : (!rel.lane<f32, 2, "list">, !rel.lane<f32, 2, "list">) -> f32
      %7 = "expr.binary"(%3, %6) <{kind = "add"}> : (f32, f32) -> f32
      %8 = "expr.col"() <{column = "b", input = 0 : i64}> : () -> i64
      %9 = "expr.col"() <{column = "i0", input = 1 : i64}> : () -> i64
      %10 = "expr.aggregate"(%7) <{kind = "sum"}> : (f32) -> f32
      "expr.yield"(%8, %9, %10) : (i64, i64, f32) -> ()
    }) : (!rel.rel<[#rel.key<"b", #irsql.dim<"B">>, #rel.key<"i1", 2>], [#rel.val<"v_0", !rel.lane<f32, 2, "list">>, #rel.val<"v_1", !rel.lane<f32, 2, "list">>], false, #rel.layout<[#irsql.dim<"B">, 8], ["b", "i1"], [#rel.part<0, "row", #irsql.dim<"B">, 1, "b">, #rel.part<1, "row", 2, 4, "i1">, #rel.part<1, "column", 2, 2, "">, #rel.part<1, "lane", 2, 1, "">], "list">>, !rel.rel<[#rel.key<"i0", 7>, #rel.key<"i1", 2>], [#rel.val<"v_0", !rel.lane<f32, 2, "list">>, #rel.val<"v_1", !rel.lane<f32, 2, "list">>], false, #rel.layout<[7, 8], ["i0", "i1"], [#rel.part<0, "row", 7, 1, "i0">, #rel.part<1, "row", 2, 4, "i1">, #rel.part<1, "column", 2, 2, "">, #rel.part<1, "lane", 2, 1, "">], "list">>) -> !rel.rel<[#rel.key<"b", #irsql.dim<"B">>, #rel.key<"i1", 7>], [#rel.val<"v", f32>], false, unit>
    %packed$2 = "sql.select"(%0) <{grouped = true, outer = false}> ({
      "expr.yield"() : () -> ()
    }, {
      %1 = "expr.col"() <{column = "b", input = 0 : i64}> : () -> i64
      %2 = "expr.col"() <{column = "i1", input = 0 : i64}> : () -> i64
      %3 = "expr.constant"() <{value = 4 : i64}> : () -> i64
      %4 = "expr.binary"(%2, %3) <{kind = "floordiv"}> : (i64, i64) -> i64
      "expr.yield"(%1, %4) : (i64, i64) -> ()
    }, {
      %1 = "expr.col"() <{column = "b", input = 0 : i64}> : () -> i64
      %2 = "expr.col"() <{column = "i1", input = 0 : i64}> : () -> i64
      %3 = "expr.constant"() <{value = 4 : i64}> : () -> i64
      %4 = "expr.binary"(%2, %3) <{kind = "floordiv"}> : (i64, i64) -> i64
      %5 = "expr.col"() <{column = "i1", input = 0 : i64}> : () -> i64
      %6 = "expr.constant"() <{value = 2 : i64}> : () -> i64
      %7 = "expr.binary"(%5, %6) <{kind = "mod"}> : (i64, i64) -> i64
      %8 = "expr.col"() <{column = "v", input = 0 : i64}> : () -> f32
      %9 = "expr.col"() <{column = "i1", input = 0 : i64}> : () -> i64
      %10 = "expr.constant"() <{value = 2 : i64}> : () -> i64
      %11 = "expr.binary"(%9, %10) <{kind = "floordiv"}> : (i64, i64) -> i64
      %12 = "expr.constant"() <{value = 2 : i64}> : () -> i64
      %13 = "expr.binary"(%11, %12) <{kind = "mod"}> : (i64, i64) -> i64
      %14 = "expr.constant"() <{value = 0 : i64}> : () -> i64
      %15 = "expr.compare"(%13, %14) <{kind = "eq"}> : (i64, i64) -> i1
      %16 = "expr.pack"(%8, %7, %15) : (f32, i64, i1) -> !rel.lane<f32, 2, "list">
      %17 = "expr.col"() <{column = "v", input = 0 : i64}> : () -> f32
      %18 = "expr.col"() <{column = "i1", input = 0 : i64}> : () -> i64
      %19 = "expr.constant"() <{value = 2 : i64}> : () -> i64
      %20 = "expr.binary"(%18, %19) <{kind = "floordiv"}> : (i64, i64) -> i64
      %21 = "expr.constant"() <{value = 2 : i64}> : () -> i64
      %22 = "expr.binary"(%20, %21) <{kind = "mod"}> : (i64, i64) -> i64
      %23 = "expr.constant"() <{value = 1 : i64}> : () -> i64
      %24 = "expr.compare"(%22, %23) <{kind = "eq"}> : (i64, i64) -> i1
      %25 = "expr.pack"(%17, %7, %24) : (f32, i64, i1) -> !rel.lane<f32, 2, "list">
      "expr.yield"(%1, %4, %16, %25) : (i64, i64, !rel.lane<f32, 2, "list">, !rel.lane<f32, 2, "list">) -> ()
    }) : (!rel.rel<[#rel.key<"b", #irsql.dim<"B">>, #rel.key<"i1", 7>], [#rel.val<"v", f32>], false, unit>) -> !rel.rel<[#rel.key<"b", #irsql.dim<"B">>, #rel.key<"i1", 2>], [#rel.val<"v_0", !rel.lane<f32, 2, "list">>, #rel.val<"v_1", !rel.lane<f32, 2, "list">>], false, #rel.layout<[#irsql.dim<"B">, 7], ["b", "i1"], [#rel.part<0, "row", #irsql.dim<"B">, 1, "b">, #rel.part<1, "row", 2, 4, "i1">, #rel.part<1, "column", 2, 2, "">, #rel.part<1, "lane", 2, 1, "">], "list">>
    %1 = "sql.select"(%packed$2, %packed$1) <{grouped = true, outer = false}> ({
      %2 = "expr.col"() <{column = "i1", input = 0 : i64}> : () -> i64
      %3 = "expr.col"() <{column = "i1", input = 1 : i64}> : () -> i64
      %4 = "expr.compare"(%2, %3) <{kind = "eq"}> : (i64, i64) -> i1
      %b = "expr.col"() <{column = "b", input = 0 : i64}> : () -> i64
      %n = "expr.col"() <{column = "i0", input = 1 : i64}> : () -> i64
      %none = "expr.binary"(%b, %b) <{kind = "sub"}> : (i64, i64) -> i64
      %zero = "expr.binary"(%n, %n) <{kind = "sub"}> : (i64, i64) -> i64
      %same = "expr.compare"(%none, %zero) <{kind = "eq"}> : (i64, i64) -> i1
      "expr.yield"(%4, %same) : (i1, i1) -> ()
    }, {
      %2 = "expr.col"() <{column = "b", input = 0 : i64}> : () -> i64
      %3 = "expr.col"() <{column = "i0", input = 1 : i64}> : () -> i64
      "expr.yield"(%2, %3) : (i64, i64) -> ()
    }, {
      %2 = "expr.col"() <{column = "v_0", input = 0 : i64}> : () -> !rel.lane<f32, 2, "list">
      %3 = "expr.col"() <{column = "v_0", input = 1 : i64}> : () -> !rel.lane<f32, 2, "list">
      %4 = "expr.dot"(%2, %3) : (!rel.lane<f32, 2, "list">, !rel.lane<f32, 2, "list">) -> f32
      %5 = "expr.col"() <{column = "v_1", input = 0 : i64}> : () -> !rel.lane<f32, 2, "list">
      %6 = "expr.col"() <{column = "v_1", input = 1 : i64}> : () -> !rel.lane<f32, 2, "list">
      %7 = "expr.dot"(%5, %6) : (!rel.lane<f32, 2, "list">, !rel.lane<f32, 2, "list">) -> f32
      %8 = "expr.binary"(%4, %7) <{kind = "add"}> : (f32, f32) -> f32
      %9 = "expr.col"() <{column = "b", input = 0 : i64}> : () -> i64
      %10 = "expr.col"() <{column = "i0", input = 1 : i64}> : () -> i64
      %11 = "expr.aggregate"(%8) <{kind = "sum"}> : (f32) -> f32
      "expr.yield"(%9, %10, %11) : (i64, i64, f32) -> ()
    }) : (!rel.rel<[#rel.key<"b", #irsql.dim<"B">>, #rel.key<"i1", 2>], [#rel.val<"v_0", !rel.lane<f32, 2, "list">>, #rel.val<"v_1", !rel.lane<f32, 2, "list">>], false, #rel.layout<[#irsql.dim<"B">, 7], ["b", "i1"], [#rel.part<0, "row", #irsql.dim<"B">, 1, "b">, #rel.part<1, "row", 2, 4, "i1">, #rel.part<1, "column", 2, 2, "">, #rel.part<1, "lane", 2, 1, "">], "list">>, !rel.rel<[#rel.key<"i0", 5>, #rel.key<"i1", 2>], [#rel.val<"v_0", !rel.lane<f32, 2, "list">>, #rel.val<"v_1", !rel.lane<f32, 2, "list">>], false, #rel.layout<[5, 7], ["i0", "i1"], [#rel.part<0, "row", 5, 1, "i0">, #rel.part<1, "row", 2, 4, "i1">, #rel.part<1, "column", 2, 2, "">, #rel.part<1, "lane", 2, 1, "">], "list">>) -> !rel.rel<[#rel.key<"b", #irsql.dim<"B">>, #rel.key<"i1", 5>], [#rel.val<"v", f32>], false, unit>
    "func.return"(%1) : (!rel.rel<[#rel.key<"b", #irsql.dim<"B">>, #rel.key<"i1", 5>], [#rel.val<"v", f32>], false, unit>) -> ()
  }) {irsql.dims = {B = [0, 9]}, irsql.args = [#irsql.arg<"input", "normal", 0, 0, "">, #irsql.arg<"input", "range", 0, 7, "">], irsql.results = ["out0"]} : () -> ()
}) {irsql.attrs = {stage = "sql", target = #irsql.target<"lanes", "1", "duckdb", [#irsql.capability<"dot", "list", "native", "", "">, #irsql.capability<"map", "list", "native", "", "">, #irsql.capability<"add", "list", "native", "", "">, #irsql.capability<"mul", "list", "native", "", "">, #irsql.capability<"scale", "list", "native", "", "">, #irsql.capability<"sum", "list", "native", "", "">, #irsql.capability<"slice", "list", "native", "", "">, #irsql.capability<"concat", "list", "native", "", "">, #irsql.capability<"pack", "list", "native", "", "">, #irsql.capability<"unpack", "list", "native", "", "">, #irsql.capability<"cast", "list", "native", "", "">], {neg = "NEG", abs = "ABS", exp = "EXP", log = "LOG", sqrt = "SQRT", rsqrt = "RSQRT", sin = "SIN", cos = "COS", tanh = "TANH", erf = "ERF", floor = "FLOOR", ceil = "CEIL", trunc = "TRUNC", round = "ROUND", sign = "SIGN", not = "NOT", isnan = "ISNAN", pow = "POW"}, #irsql.limits<1000, 60, 50, 256, 63, 900000, 500, 100, 2048>, #irsql.costs<"", "", {}, 0.1, 50.0, 100.0, 0.2, 1.0, 30.0, 30.0, 0.0, 0.0, 1.0>, #irsql.layout_defaults<["list"], 1, 1, 1>, #irsql.value_contract<true, true, false, false, false, true, true, true, "truncates", "dividend", "ieee", true, true, false>, {}>}} : () -> ()
