// Both products get tiles: two columns of lanes of four, the second padded from seven.
// RUN: irsql-opt %s --no-locations --verify-semantics --pass-pipeline='select-layout{lane=4}' | filecheck %s

// RUN: irsql-opt %s --pass-pipeline='select-layout{lane=4}' --remarks=- -o %t/out.mlir 2>&1 | filecheck %s --check-prefix=REMARK
// RUN: irsql-opt %s --pass-pipeline='select-layout{min-extent=8}' --remarks=- -o %t/out.mlir 2>&1 | filecheck %s --check-prefix=SHORT

// Without lanes an axis that has not enough columns is cut into rows: four of two, and three of three for seven.
// RUN: irsql-opt %s --no-locations --pass-pipeline='select-layout{form=wide wide-columns=3}' | filecheck %s --check-prefix=CHUNKS
// RUN: irsql-opt %s --no-locations --verify-semantics --pass-pipeline='select-layout{form=wide wide-columns=3},apply-layout' | filecheck %s --check-prefix=APPLIED

// Stored weights take another lane carrier on request; what is then packed is rounded to half precision. The default
// for the same target keeps 32 bits.
// RUN: irsql-opt %s --no-locations --target pgvector --verify-semantics --pass-pipeline='select-layout{carrier=halfvec},apply-layout,tile-storage' | filecheck %s --check-prefix=HALF
// RUN: irsql-opt %s --no-locations --target pgvector --pass-pipeline='select-layout' | filecheck %s --check-prefix=SINGLE

// REMARK-COUNT-2: remark: select-layout: passed: dot: 1 x 2 x 4, {{.*}} ms predicted, best of 1 layouts
// SHORT: remark: select-layout: passed: dot
// SHORT: remark: select-layout: missed: contraction stays on scalar rows
// SHORT-NEXT: reason: no static axis of at least min-extent

// HALF: "rel.store"{{.*}}!rel.lane<f32, 8, "halfvec">
// HALF: "expr.dot"{{.*}}!rel.lane<f32, 8, "halfvec">
// SINGLE: tile = #rel.tile<"dot", 8, 1, 1, "vector", 1>
// SINGLE: tile = #rel.tile<"dot", 7, 1, 1, "vector", 1>

// CHECK: tile = #rel.tile<"dot", 4, 2, 1, "list", 1>
// CHECK: tile = #rel.tile<"dot", 4, 2, 1, "list", 1>
// CHECK-NOT: tile =
// CHECK: stage = "rel"

// CHUNKS: tile = #rel.tile<"chunks", 0, 2, 4, "", 1>
// CHUNKS: tile = #rel.tile<"chunks", 0, 3, 3, "", 1>

// APPLIED: %[[X:.*]] = "rel.pack"(%x)
// APPLIED: %[[W:.*]] = "rel.pack"
// APPLIED: %[[J:.*]] = "rel.join"(%[[X]], %[[W]])
// APPLIED: kind = "eq"
// APPLIED: %[[P:.*]] = "rel.project"(%[[J]])
// APPLIED: "rel.aggregate"(%[[P]]) <{kinds = ["sum"]}>
// APPLIED: stage = "tiled"

"builtin.module"() ({
  "func.func"() <{sym_name = "load", function_type = () -> ()}> ({
    %0 = "rel.parameter"() <{parameter = "w"}> : () -> !rel.rel<[#rel.key<"i0", 7>, #rel.key<"i1", 8>], [#rel.val<"v", f32>], false, unit>
    "rel.store"(%0) <{store = "w"}> : (!rel.rel<[#rel.key<"i0", 7>, #rel.key<"i1", 8>], [#rel.val<"v", f32>], false, unit>) -> ()
    %1 = "rel.parameter"() <{parameter = "u"}> : () -> !rel.rel<[#rel.key<"i0", 5>, #rel.key<"i1", 7>], [#rel.val<"v", f32>], false, unit>
    "rel.store"(%1) <{store = "u"}> : (!rel.rel<[#rel.key<"i0", 5>, #rel.key<"i1", 7>], [#rel.val<"v", f32>], false, unit>) -> ()
    "func.return"() : () -> ()
  }) : () -> ()
  "func.func"() <{sym_name = "forward", function_type = (!rel.rel<[#rel.key<"b", #irsql.dim<"B">>, #rel.key<"i1", 8>], [#rel.val<"v", f32>], false, unit>, !rel.rel<[#rel.key<"b", #irsql.dim<"B">>], [#rel.val<"v", i64>], false, unit>) -> !rel.rel<[#rel.key<"b", #irsql.dim<"B">>, #rel.key<"i1", 5>], [#rel.val<"v", f32>], false, unit>}> ({
  ^bb0(%x: !rel.rel<[#rel.key<"b", #irsql.dim<"B">>, #rel.key<"i1", 8>], [#rel.val<"v", f32>], false, unit>, %ids: !rel.rel<[#rel.key<"b", #irsql.dim<"B">>], [#rel.val<"v", i64>], false, unit>):
    %0 = "rel.stored"() <{store = "w"}> : () -> !rel.rel<[#rel.key<"i0", 7>, #rel.key<"i1", 8>], [#rel.val<"v", f32>], false, unit>
    %1 = "rel.stored"() <{store = "u"}> : () -> !rel.rel<[#rel.key<"i0", 5>, #rel.key<"i1", 7>], [#rel.val<"v", f32>], false, unit>
    %2 = "rel.join"(%x, %0) ({
      %3 = "expr.col"() <{column = "i1", input = 0 : i64}> : () -> i64
      %4 = "expr.col"() <{column = "i1", input = 1 : i64}> : () -> i64
      %5 = "expr.compare"(%3, %4) <{kind = "eq"}> : (i64, i64) -> i1
      "expr.yield"(%5) : (i1) -> ()
    }) : (!rel.rel<[#rel.key<"b", #irsql.dim<"B">>, #rel.key<"i1", 8>], [#rel.val<"v", f32>], false, unit>, !rel.rel<[#rel.key<"i0", 7>, #rel.key<"i1", 8>], [#rel.val<"v", f32>], false, unit>) -> !rel.rel<[#rel.key<"b_0", #irsql.dim<"B">>, #rel.key<"i1_0", 8>, #rel.key<"i0_1", 7>, #rel.key<"i1_1", 8>], [#rel.val<"v0", f32>, #rel.val<"v1", f32>], false, unit>
    %3 = "rel.project"(%2) ({
      %4 = "expr.col"() <{column = "b_0", input = 0 : i64}> : () -> i64
      %5 = "expr.col"() <{column = "i0_1", input = 0 : i64}> : () -> i64
      %6 = "expr.col"() <{column = "i1_0", input = 0 : i64}> : () -> i64
      %7 = "expr.col"() <{column = "v0", input = 0 : i64}> : () -> f32
      %8 = "expr.col"() <{column = "v1", input = 0 : i64}> : () -> f32
      %9 = "expr.binary"(%7, %8) <{kind = "mul"}> : (f32, f32) -> f32
      "expr.yield"(%4, %5, %6, %9) : (i64, i64, i64, f32) -> ()
    }) : (!rel.rel<[#rel.key<"b_0", #irsql.dim<"B">>, #rel.key<"i1_0", 8>, #rel.key<"i0_1", 7>, #rel.key<"i1_1", 8>], [#rel.val<"v0", f32>, #rel.val<"v1", f32>], false, unit>) -> !rel.rel<[#rel.key<"b", #irsql.dim<"B">>, #rel.key<"i1", 7>, #rel.key<"r2", 8>], [#rel.val<"v", f32>], false, unit>
    %4 = "rel.aggregate"(%3) <{kinds = ["sum"]}> ({
      %5 = "expr.col"() <{column = "v", input = 0 : i64}> : () -> f32
      "expr.yield"(%5) : (f32) -> ()
    }) : (!rel.rel<[#rel.key<"b", #irsql.dim<"B">>, #rel.key<"i1", 7>, #rel.key<"r2", 8>], [#rel.val<"v", f32>], false, unit>) -> !rel.rel<[#rel.key<"b", #irsql.dim<"B">>, #rel.key<"i1", 7>], [#rel.val<"v", f32>], false, unit>
    %5 = "rel.join"(%4, %1) ({
      %6 = "expr.col"() <{column = "i1", input = 0 : i64}> : () -> i64
      %7 = "expr.col"() <{column = "i1", input = 1 : i64}> : () -> i64
      %8 = "expr.compare"(%6, %7) <{kind = "eq"}> : (i64, i64) -> i1
      "expr.yield"(%8) : (i1) -> ()
    }) : (!rel.rel<[#rel.key<"b", #irsql.dim<"B">>, #rel.key<"i1", 7>], [#rel.val<"v", f32>], false, unit>, !rel.rel<[#rel.key<"i0", 5>, #rel.key<"i1", 7>], [#rel.val<"v", f32>], false, unit>) -> !rel.rel<[#rel.key<"b_0", #irsql.dim<"B">>, #rel.key<"i1_0", 7>, #rel.key<"i0_1", 5>, #rel.key<"i1_1", 7>], [#rel.val<"v0", f32>, #rel.val<"v1", f32>], false, unit>
    %6 = "rel.project"(%5) ({
      %7 = "expr.col"() <{column = "b_0", input = 0 : i64}> : () -> i64
      %8 = "expr.col"() <{column = "i0_1", input = 0 : i64}> : () -> i64
      %9 = "expr.col"() <{column = "i1_0", input = 0 : i64}> : () -> i64
      %10 = "expr.col"() <{column = "v0", input = 0 : i64}> : () -> f32
      %11 = "expr.col"() <{column = "v1", input = 0 : i64}> : () -> f32
      %12 = "expr.binary"(%10, %11) <{kind = "mul"}> : (f32, f32) -> f32
      "expr.yield"(%7, %8, %9, %12) : (i64, i64, i64, f32) -> ()
    }) : (!rel.rel<[#rel.key<"b_0", #irsql.dim<"B">>, #rel.key<"i1_0", 7>, #rel.key<"i0_1", 5>, #rel.key<"i1_1", 7>], [#rel.val<"v0", f32>, #rel.val<"v1", f32>], false, unit>) -> !rel.rel<[#rel.key<"b", #irsql.dim<"B">>, #rel.key<"i1", 5>, #rel.key<"r2", 7>], [#rel.val<"v", f32>], false, unit>
    %7 = "rel.aggregate"(%6) <{kinds = ["sum"]}> ({
      %8 = "expr.col"() <{column = "v", input = 0 : i64}> : () -> f32
      "expr.yield"(%8) : (f32) -> ()
    }) : (!rel.rel<[#rel.key<"b", #irsql.dim<"B">>, #rel.key<"i1", 5>, #rel.key<"r2", 7>], [#rel.val<"v", f32>], false, unit>) -> !rel.rel<[#rel.key<"b", #irsql.dim<"B">>, #rel.key<"i1", 5>], [#rel.val<"v", f32>], false, unit>
    "func.return"(%7) : (!rel.rel<[#rel.key<"b", #irsql.dim<"B">>, #rel.key<"i1", 5>], [#rel.val<"v", f32>], false, unit>) -> ()
  }) {irsql.dims = {B = [0, 9]}, irsql.args = [#irsql.arg<"input", "normal", 0, 0, "">, #irsql.arg<"input", "range", 0, 7, "">], irsql.results = ["out0"]} : () -> ()
}) {irsql.attrs = {stage = "rel", target = #irsql.target<"lanes", "1", "duckdb", [#irsql.capability<"dot", "list", "native", "", "">, #irsql.capability<"map", "list", "native", "", "">, #irsql.capability<"add", "list", "native", "", "">, #irsql.capability<"mul", "list", "native", "", "">, #irsql.capability<"scale", "list", "native", "", "">, #irsql.capability<"sum", "list", "native", "", "">, #irsql.capability<"slice", "list", "native", "", "">, #irsql.capability<"concat", "list", "native", "", "">, #irsql.capability<"pack", "list", "native", "", "">, #irsql.capability<"unpack", "list", "native", "", "">, #irsql.capability<"cast", "list", "native", "", "">], {neg = "NEG", abs = "ABS", exp = "EXP", log = "LOG", sqrt = "SQRT", rsqrt = "RSQRT", sin = "SIN", cos = "COS", tanh = "TANH", erf = "ERF", floor = "FLOOR", ceil = "CEIL", trunc = "TRUNC", round = "ROUND", sign = "SIGN", not = "NOT", isnan = "ISNAN", pow = "POW"}, #irsql.limits<1000, 60, 50, 256, 63, 900000, 500, 100>, #irsql.costs<"", "", {}, 0.1, 50.0, 100.0, 0.2, 1.0, 30.0, 30.0, 0.0, 0.0>, #irsql.layout_defaults<["list"], 1, 1>, #irsql.value_contract<true, true, false, false, false, true, true, true, "truncates", "dividend", "ieee", true, true>, {}>}} : () -> ()
