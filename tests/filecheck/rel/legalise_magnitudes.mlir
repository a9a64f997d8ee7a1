// An engine that raises where float32 underflows: a product is flushed where a double might not hold it, and not before.
// RUN: irsql-opt %s --no-locations --target=postgres --verify-semantics --pass-pipeline='legalise' | filecheck %s
// RUN: irsql-opt %s --target=postgres --pass-pipeline=legalise --remarks=- -o %t/out.mlir 2>&1 | filecheck %s --check-prefix=REMARK

// REMARK: remark: legalise: passed: @forward: 1 magnitudes guarded

// A square of float32 fits into a double.
// CHECK: %0 = "rel.project"(%x)
// CHECK: kind = "mul"
// CHECK-NOT: "expr.select"
// CHECK: %1 = "rel.project"(%0)
// The square of that fits, too, but two of its size would not: what float32 cannot tell from 0 becomes 0.
// CHECK: kind = "abs"
// CHECK: kind = "lt"
// CHECK: "expr.select"
// CHECK: %2 = "rel.project"(%1)
// CHECK-NOT: "expr.select"
// CHECK: %3 = "rel.project"(%2)
// CHECK: kind = "exp"
// CHECK: value = -104.0
// CHECK: value = 88.72283

"builtin.module"() ({
  "func.func"() <{sym_name = "forward", function_type = (!rel.rel<[#rel.key<"i0", 8>], [#rel.val<"v", f32>], false, unit>) -> !rel.rel<[#rel.key<"i0", 8>], [#rel.val<"v", f32>], false, unit>}> ({
  ^bb0(%x: !rel.rel<[#rel.key<"i0", 8>], [#rel.val<"v", f32>], false, unit>):
    %0 = "rel.project"(%x) ({
      %k0 = "expr.col"() <{column = "i0", input = 0 : i64}> : () -> i64
      %x0 = "expr.col"() <{column = "v", input = 0 : i64}> : () -> f32
      %m0_0 = "expr.binary"(%x0, %x0) <{kind = "mul"}> : (f32, f32) -> f32
      "expr.yield"(%k0, %m0_0) : (i64, f32) -> ()
    }) : (!rel.rel<[#rel.key<"i0", 8>], [#rel.val<"v", f32>], false, unit>) -> !rel.rel<[#rel.key<"i0", 8>], [#rel.val<"v", f32>], false, unit>
    %1 = "rel.project"(%0) ({
      %k1 = "expr.col"() <{column = "i0", input = 0 : i64}> : () -> i64
      %x1 = "expr.col"() <{column = "v", input = 0 : i64}> : () -> f32
      %m1_0 = "expr.binary"(%x1, %x1) <{kind = "mul"}> : (f32, f32) -> f32
      "expr.yield"(%k1, %m1_0) : (i64, f32) -> ()
    }) : (!rel.rel<[#rel.key<"i0", 8>], [#rel.val<"v", f32>], false, unit>) -> !rel.rel<[#rel.key<"i0", 8>], [#rel.val<"v", f32>], false, unit>
    %2 = "rel.project"(%1) ({
      %k2 = "expr.col"() <{column = "i0", input = 0 : i64}> : () -> i64
      %x2 = "expr.col"() <{column = "v", input = 0 : i64}> : () -> f32
      %m2_0 = "expr.binary"(%x2, %x2) <{kind = "mul"}> : (f32, f32) -> f32
      "expr.yield"(%k2, %m2_0) : (i64, f32) -> ()
    }) : (!rel.rel<[#rel.key<"i0", 8>], [#rel.val<"v", f32>], false, unit>) -> !rel.rel<[#rel.key<"i0", 8>], [#rel.val<"v", f32>], false, unit>
    %3 = "rel.project"(%2) ({
      %k3 = "expr.col"() <{column = "i0", input = 0 : i64}> : () -> i64
      %x3 = "expr.col"() <{column = "v", input = 0 : i64}> : () -> f32
      %e3 = "expr.unary"(%x3) <{kind = "exp"}> : (f32) -> f32
      "expr.yield"(%k3, %e3) : (i64, f32) -> ()
    }) : (!rel.rel<[#rel.key<"i0", 8>], [#rel.val<"v", f32>], false, unit>) -> !rel.rel<[#rel.key<"i0", 8>], [#rel.val<"v", f32>], false, unit>
    "func.return"(%3) : (!rel.rel<[#rel.key<"i0", 8>], [#rel.val<"v", f32>], false, unit>) -> ()
  }) {irsql.args = [#irsql.arg<"input", "normal", 0, 0, "">], irsql.results = ["out0"]} : () -> ()
}) {irsql.attrs = {stage = "tiled"}} : () -> ()
