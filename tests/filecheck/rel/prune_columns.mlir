// Of the two values of each side of a join one is read; the other goes from the join and from the projection below it.
// Keys stay: without them rows could not be told apart.
// RUN: irsql-opt %s --no-locations --verify-semantics --pass-pipeline=prune-columns | filecheck %s
// RUN: irsql-opt %s --pass-pipeline=prune-columns --remarks=- -o %t/out.mlir 2>&1 | filecheck %s --check-prefix=REMARK

// CHECK: sym_name = "forward"
// CHECK: %[[P:.*]] = "rel.project"(%x)
// CHECK-NOT: kind = "exp"
// CHECK: -> !rel.rel<[#rel.key<"k", 4>], [#rel.val<"a", f32>]
// CHECK: "rel.join"(%[[P]], %[[P]])
// CHECK: [#rel.key<"k_0", 4>, #rel.key<"k_1", 4>], [#rel.val<"a0", f32>, #rel.val<"a1", f32>]
// All that a function gives is read.
// CHECK: sym_name = "both"
// CHECK: kind = "exp"
// CHECK: "func.return"

// REMARK: remark: prune-columns: passed: @forward: 3 of 7 value columns dropped
// REMARK-NOT: prune-columns
"builtin.module"() ({
  "func.func"() <{sym_name = "forward", function_type = (!rel.rel<[#rel.key<"k", 4>], [#rel.val<"v", f32>], false, unit>) -> !rel.rel<[#rel.key<"k", 4>], [#rel.val<"v", f32>], false, unit>}> ({
  ^bb0(%x: !rel.rel<[#rel.key<"k", 4>], [#rel.val<"v", f32>], false, unit>):
    %p = "rel.project"(%x) ({
      %k = "expr.col"() <{column = "k", input = 0 : i64}> : () -> i64
      %v = "expr.col"() <{column = "v", input = 0 : i64}> : () -> f32
      %w = "expr.unary"(%v) <{kind = "exp"}> : (f32) -> f32
      "expr.yield"(%k, %v, %w) : (i64, f32, f32) -> ()
    }) : (!rel.rel<[#rel.key<"k", 4>], [#rel.val<"v", f32>], false, unit>) -> !rel.rel<[#rel.key<"k", 4>], [#rel.val<"a", f32>, #rel.val<"b", f32>], false, unit>
    %j = "rel.join"(%p, %p) ({
      %k = "expr.col"() <{column = "k", input = 0 : i64}> : () -> i64
      %l = "expr.col"() <{column = "k", input = 1 : i64}> : () -> i64
      %e = "expr.compare"(%k, %l) <{kind = "eq"}> : (i64, i64) -> i1
      "expr.yield"(%e) : (i1) -> ()
    }) : (!rel.rel<[#rel.key<"k", 4>], [#rel.val<"a", f32>, #rel.val<"b", f32>], false, unit>, !rel.rel<[#rel.key<"k", 4>], [#rel.val<"a", f32>, #rel.val<"b", f32>], false, unit>) -> !rel.rel<[#rel.key<"k_0", 4>, #rel.key<"k_1", 4>], [#rel.val<"a0", f32>, #rel.val<"b0", f32>, #rel.val<"a1", f32>, #rel.val<"b1", f32>], false, unit>
    %r = "rel.project"(%j) ({
      %k = "expr.col"() <{column = "k_0", input = 0 : i64}> : () -> i64
      %v = "expr.col"() <{column = "a0", input = 0 : i64}> : () -> f32
      %w = "expr.col"() <{column = "a1", input = 0 : i64}> : () -> f32
      %s = "expr.binary"(%v, %w) <{kind = "add"}> : (f32, f32) -> f32
      "expr.yield"(%k, %s) : (i64, f32) -> ()
    }) : (!rel.rel<[#rel.key<"k_0", 4>, #rel.key<"k_1", 4>], [#rel.val<"a0", f32>, #rel.val<"b0", f32>, #rel.val<"a1", f32>, #rel.val<"b1", f32>], false, unit>) -> !rel.rel<[#rel.key<"k", 4>], [#rel.val<"v", f32>], false, unit>
    "func.return"(%r) : (!rel.rel<[#rel.key<"k", 4>], [#rel.val<"v", f32>], false, unit>) -> ()
  }) : () -> ()
  "func.func"() <{sym_name = "both", function_type = (!rel.rel<[#rel.key<"k", 4>], [#rel.val<"v", f32>], false, unit>) -> !rel.rel<[#rel.key<"k", 4>], [#rel.val<"a", f32>, #rel.val<"b", f32>], false, unit>}> ({
  ^bb0(%x: !rel.rel<[#rel.key<"k", 4>], [#rel.val<"v", f32>], false, unit>):
    %p = "rel.project"(%x) ({
      %k = "expr.col"() <{column = "k", input = 0 : i64}> : () -> i64
      %v = "expr.col"() <{column = "v", input = 0 : i64}> : () -> f32
      %w = "expr.unary"(%v) <{kind = "exp"}> : (f32) -> f32
      "expr.yield"(%k, %v, %w) : (i64, f32, f32) -> ()
    }) : (!rel.rel<[#rel.key<"k", 4>], [#rel.val<"v", f32>], false, unit>) -> !rel.rel<[#rel.key<"k", 4>], [#rel.val<"a", f32>, #rel.val<"b", f32>], false, unit>
    "func.return"(%p) : (!rel.rel<[#rel.key<"k", 4>], [#rel.val<"a", f32>, #rel.val<"b", f32>], false, unit>) -> ()
  }) : () -> ()
}) {irsql.attrs = {stage = "rel"}} : () -> ()
