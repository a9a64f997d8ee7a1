// Two weights of one row: every reader of the product fixes the index on their axis, so the row has the columns of both.
// RUN: irsql-opt %s --no-locations --verify-semantics --pass-pipeline='select-layout{lane=4},apply-layout,tile-storage,sink-unpack' | filecheck %s
// RUN: irsql-opt %s --no-locations --verify-semantics --pass-pipeline='select-layout{form=wide wide-columns=4},apply-layout,tile-storage,sink-unpack' | filecheck %s --check-prefix=CHUNKS
// RUN: irsql-opt %s --no-locations --verify-semantics --pass-pipeline='select-layout{tile=dot:4x2x2},apply-layout,tile-storage,sink-unpack' | filecheck %s --check-prefix=HALVES

// Where they are not to share a row, their results stay rows of one relation, which the readers filter.
// RUN: irsql-opt %s --no-locations --verify-semantics --pass-pipeline='select-layout{lane=4 beside=1},apply-layout,tile-storage,sink-unpack' | filecheck %s --check-prefix=APART

// CHECK: "rel.store"{{.*}}[#rel.key<"i0", 5>], [#rel.val<"v_0", !rel.lane<f32, 4, "list">>, {{.*}}#rel.val<"v_3", !rel.lane<f32, 4, "list">>]
// CHECK-SAME: #rel.part<1, "column", 2, 1, "">, #rel.part<2, "column", 2, 4, "">, #rel.part<2, "lane", 4, 1, "">
// CHECK: sym_name = "forward"
// CHECK: "rel.join"
// CHECK-COUNT-4: "expr.dot"
// CHECK-NOT: "rel.filter"
// CHECK-NOT: "rel.unpack"
// CHECK: "expr.col"() <{column = "v_0"
// CHECK: "expr.col"() <{column = "v_1"

// Rows of two columns of each: four rows an output, the sums of both.
// CHUNKS: "rel.store"{{.*}}[#rel.key<"i0", 5>, #rel.key<"i2", 4>], [#rel.val<"v_0", f32>, #rel.val<"v_1", f32>, #rel.val<"v_2", f32>, #rel.val<"v_3", f32>]
// CHUNKS: sym_name = "forward"
// CHUNKS: "rel.aggregate"{{.*}}kinds = ["sum", "sum"]
// CHUNKS-NOT: "rel.filter"

// HALVES: "rel.store"{{.*}}[#rel.key<"i0", 5>], [#rel.val<"v_0", !rel.lane<f32, 4, "list">>
// HALVES: "rel.union"
// HALVES: "rel.aggregate"{{.*}}kinds = ["sum", "sum"]

// APART: "rel.store"{{.*}}[#rel.key<"i0", 5>, #rel.key<"i1", 2>], [#rel.val<"v_0", !rel.lane<f32, 4, "list">>
// APART-COUNT-2: "rel.filter"

"builtin.module"() ({
  "func.func"() <{sym_name = "load", function_type = () -> ()}> ({
    %0 = "rel.parameter"() <{parameter = "w"}> : () -> !rel.rel<[#rel.key<"i0", 5>, #rel.key<"i1", 2>, #rel.key<"i2", 8>], [#rel.val<"v", f32>], false, unit>
    "rel.store"(%0) <{store = "w"}> : (!rel.rel<[#rel.key<"i0", 5>, #rel.key<"i1", 2>, #rel.key<"i2", 8>], [#rel.val<"v", f32>], false, unit>) -> ()
    "func.return"() : () -> ()
  }) : () -> ()
  "func.func"() <{sym_name = "forward", function_type = (!rel.rel<[#rel.key<"b", #irsql.dim<"B">>, #rel.key<"i1", 8>], [#rel.val<"v", f32>], false, unit>, !rel.rel<[#rel.key<"b", #irsql.dim<"B">>, #rel.key<"i1", 5>], [#rel.val<"v", f32>], false, unit>) -> !rel.rel<[#rel.key<"b", #irsql.dim<"B">>, #rel.key<"i1", 5>], [#rel.val<"v", f32>], false, unit>}> ({
  ^bb0(%x: !rel.rel<[#rel.key<"b", #irsql.dim<"B">>, #rel.key<"i1", 8>], [#rel.val<"v", f32>], false, unit>, %r: !rel.rel<[#rel.key<"b", #irsql.dim<"B">>, #rel.key<"i1", 5>], [#rel.val<"v", f32>], false, unit>):
    %0 = "rel.stored"() <{store = "w"}> : () -> !rel.rel<[#rel.key<"i0", 5>, #rel.key<"i1", 2>, #rel.key<"i2", 8>], [#rel.val<"v", f32>], false, unit>
    %1 = "rel.join"(%x, %0) ({
      %2 = "expr.col"() <{column = "i1", input = 0 : i64}> : () -> i64
      %3 = "expr.col"() <{column = "i2", input = 1 : i64}> : () -> i64
      %4 = "expr.compare"(%2, %3) <{kind = "eq"}> : (i64, i64) -> i1
      "expr.yield"(%4) : (i1) -> ()
    }) : (!rel.rel<[#rel.key<"b", #irsql.dim<"B">>, #rel.key<"i1", 8>], [#rel.val<"v", f32>], false, unit>, !rel.rel<[#rel.key<"i0", 5>, #rel.key<"i1", 2>, #rel.key<"i2", 8>], [#rel.val<"v", f32>], false, unit>) -> !rel.rel<[#rel.key<"b_0", #irsql.dim<"B">>, #rel.key<"i1_0", 8>, #rel.key<"i0_1", 5>, #rel.key<"i1_1", 2>, #rel.key<"i2_1", 8>], [#rel.val<"v0", f32>, #rel.val<"v1", f32>], false, unit>
    %2 = "rel.project"(%1) ({
      %3 = "expr.col"() <{column = "b_0", input = 0 : i64}> : () -> i64
      %4 = "expr.col"() <{column = "i0_1", input = 0 : i64}> : () -> i64
      %5 = "expr.col"() <{column = "i1_1", input = 0 : i64}> : () -> i64
      %6 = "expr.col"() <{column = "i1_0", input = 0 : i64}> : () -> i64
      %7 = "expr.col"() <{column = "v0", input = 0 : i64}> : () -> f32
      %8 = "expr.col"() <{column = "v1", input = 0 : i64}> : () -> f32
      %9 = "expr.binary"(%7, %8) <{kind = "mul"}> : (f32, f32) -> f32
      "expr.yield"(%3, %4, %5, %6, %9) : (i64, i64, i64, i64, f32) -> ()
    }) : (!rel.rel<[#rel.key<"b_0", #irsql.dim<"B">>, #rel.key<"i1_0", 8>, #rel.key<"i0_1", 5>, #rel.key<"i1_1", 2>, #rel.key<"i2_1", 8>], [#rel.val<"v0", f32>, #rel.val<"v1", f32>], false, unit>) -> !rel.rel<[#rel.key<"b", #irsql.dim<"B">>, #rel.key<"i1", 5>, #rel.key<"i2", 2>, #rel.key<"r2", 8>], [#rel.val<"v", f32>], false, unit>
    %3 = "rel.aggregate"(%2) <{kinds = ["sum"]}> ({
      %4 = "expr.col"() <{column = "v", input = 0 : i64}> : () -> f32
      "expr.yield"(%4) : (f32) -> ()
    }) : (!rel.rel<[#rel.key<"b", #irsql.dim<"B">>, #rel.key<"i1", 5>, #rel.key<"i2", 2>, #rel.key<"r2", 8>], [#rel.val<"v", f32>], false, unit>) -> !rel.rel<[#rel.key<"b", #irsql.dim<"B">>, #rel.key<"i1", 5>, #rel.key<"i2", 2>], [#rel.val<"v", f32>], false, unit>
    %4 = "rel.filter"(%3) ({
      %5 = "expr.col"() <{column = "i2", input = 0 : i64}> : () -> i64
      %6 = "expr.constant"() <{value = 0 : i64}> : () -> i64
      %7 = "expr.compare"(%5, %6) <{kind = "eq"}> : (i64, i64) -> i1
      "expr.yield"(%7) : (i1) -> ()
    }) : (!rel.rel<[#rel.key<"b", #irsql.dim<"B">>, #rel.key<"i1", 5>, #rel.key<"i2", 2>], [#rel.val<"v", f32>], false, unit>) -> !rel.rel<[#rel.key<"b", #irsql.dim<"B">>, #rel.key<"i1", 5>, #rel.key<"i2", 2>], [#rel.val<"v", f32>], false, unit>
    %5 = "rel.filter"(%3) ({
      %6 = "expr.col"() <{column = "i2", input = 0 : i64}> : () -> i64
      %7 = "expr.constant"() <{value = 1 : i64}> : () -> i64
      %8 = "expr.compare"(%6, %7) <{kind = "eq"}> : (i64, i64) -> i1
      "expr.yield"(%8) : (i1) -> ()
    }) : (!rel.rel<[#rel.key<"b", #irsql.dim<"B">>, #rel.key<"i1", 5>, #rel.key<"i2", 2>], [#rel.val<"v", f32>], false, unit>) -> !rel.rel<[#rel.key<"b", #irsql.dim<"B">>, #rel.key<"i1", 5>, #rel.key<"i2", 2>], [#rel.val<"v", f32>], false, unit>
    %6 = "rel.join"(%4, %5) ({
      %7 = "expr.col"() <{column = "b", input = 0 : i64}> : () -> i64
      %8 = "expr.col"() <{column = "b", input = 1 : i64}> : () -> i64
      %9 = "expr.compare"(%7, %8) <{kind = "eq"}> : (i64, i64) -> i1
      %10 = "expr.col"() <{column = "i1", input = 0 : i64}> : () -> i64
      %11 = "expr.col"() <{column = "i1", input = 1 : i64}> : () -> i64
      %12 = "expr.compare"(%10, %11) <{kind = "eq"}> : (i64, i64) -> i1
      "expr.yield"(%9, %12) : (i1, i1) -> ()
    }) : (!rel.rel<[#rel.key<"b", #irsql.dim<"B">>, #rel.key<"i1", 5>, #rel.key<"i2", 2>], [#rel.val<"v", f32>], false, unit>, !rel.rel<[#rel.key<"b", #irsql.dim<"B">>, #rel.key<"i1", 5>, #rel.key<"i2", 2>], [#rel.val<"v", f32>], false, unit>) -> !rel.rel<[#rel.key<"b_0", #irsql.dim<"B">>, #rel.key<"i1_0", 5>, #rel.key<"i2_0", 2>, #rel.key<"b_1", #irsql.dim<"B">>, #rel.key<"i1_1", 5>, #rel.key<"i2_1", 2>], [#rel.val<"v0", f32>, #rel.val<"v1", f32>], false, unit>
    %7 = "rel.project"(%6) ({
      %8 = "expr.col"() <{column = "b_0", input = 0 : i64}> : () -> i64
      %9 = "expr.col"() <{column = "i1_0", input = 0 : i64}> : () -> i64
      %10 = "expr.col"() <{column = "v0", input = 0 : i64}> : () -> f32
      %11 = "expr.col"() <{column = "v1", input = 0 : i64}> : () -> f32
      %12 = "expr.constant"() <{value = 1.0 : f64}> : () -> f32
      %13 = "expr.unary"(%10) <{kind = "tanh"}> : (f32) -> f32
      %14 = "expr.binary"(%12, %13) <{kind = "mul"}> : (f32, f32) -> f32
      %15 = "expr.unary"(%11) <{kind = "tanh"}> : (f32) -> f32
      %16 = "expr.binary"(%14, %15) <{kind = "mul"}> : (f32, f32) -> f32
      "expr.yield"(%8, %9, %16) : (i64, i64, f32) -> ()
    }) : (!rel.rel<[#rel.key<"b_0", #irsql.dim<"B">>, #rel.key<"i1_0", 5>, #rel.key<"i2_0", 2>, #rel.key<"b_1", #irsql.dim<"B">>, #rel.key<"i1_1", 5>, #rel.key<"i2_1", 2>], [#rel.val<"v0", f32>, #rel.val<"v1", f32>], false, unit>) -> !rel.rel<[#rel.key<"b", #irsql.dim<"B">>, #rel.key<"i1", 5>], [#rel.val<"v", f32>], false, unit>
    "func.return"(%7) : (!rel.rel<[#rel.key<"b", #irsql.dim<"B">>, #rel.key<"i1", 5>], [#rel.val<"v", f32>], false, unit>) -> ()
  }) {irsql.dims = {B = [0, 9]}, irsql.args = [#irsql.arg<"input", "normal", 0, 0, "">, #irsql.arg<"input", "normal", 0, 0, "">], irsql.results = ["out0"]} : () -> ()
}) {irsql.attrs = {stage = "rel", target = #irsql.target<"lanes", "1", "duckdb", [#irsql.capability<"dot", "list", "native", "", "">, #irsql.capability<"map", "list", "native", "", "">, #irsql.capability<"add", "list", "native", "", "">, #irsql.capability<"mul", "list", "native", "", "">, #irsql.capability<"scale", "list", "native", "", "">, #irsql.capability<"sum", "list", "native", "", "">, #irsql.capability<"slice", "list", "native", "", "">, #irsql.capability<"concat", "list", "native", "", "">, #irsql.capability<"pack", "list", "native", "", "">, #irsql.capability<"unpack", "list", "native", "", "">, #irsql.capability<"cast", "list", "native", "", "">], {neg = "NEG", abs = "ABS", exp = "EXP", log = "LOG", sqrt = "SQRT", rsqrt = "RSQRT", sin = "SIN", cos = "COS", tanh = "TANH", erf = "ERF", floor = "FLOOR", ceil = "CEIL", trunc = "TRUNC", round = "ROUND", sign = "SIGN", not = "NOT", isnan = "ISNAN", pow = "POW"}, #irsql.limits<1000, 60, 50, 256, 63, 900000, 500, 100>, #irsql.costs<"", "", {}, 0.1, 50.0, 100.0, 0.2, 1.0, 30.0, 30.0, 0.0, 0.0>, #irsql.layout_defaults<["list"], 1, 1>, #irsql.value_contract<true, true, false, false, false, true, true, true, "truncates", "dividend", "ieee", true, true, false>, {}>}} : () -> ()

