// The division of softmax moves behind the product with V: [S, S] divisions become [S, 16].
// RUN: irsql-opt %s -p delay-scale,canonicalise --verify-semantics --statistics 2>&1 | filecheck %s
// RUN: irsql-opt %s -p delay-scale{symbolic-size=8} --remarks=- 2>&1 | filecheck %s --check-prefix=SMALL

// CHECK: 1 hits of 1 tries, {{.*}} ScaleBehindSum
// CHECK: %total = "tir.reduce"
// CHECK: %out.unscaled = "tir.contract"(%weights, %v)
// CHECK: %out = "tir.map"(%out.unscaled, %total) <{maps = [affine_map<(d0, d1) -> (d0, d1)>, affine_map<(d0, d1) -> (d0)>]}>
// CHECK: "expr.binary"({{.*}}) <{kind = "div"}>

// The lines that docs/extend.md checks.
// SHOWN: %out = "tir.map"(%out.unscaled, %total)

// SMALL: the scale stays in the operand
// SMALL-NEXT: it scales 64 elements there and would scale 128 of the result
"func.func"() <{sym_name = "forward", function_type = (tensor<?x?xf32, #irsql.dims<["S", "S"]>>, tensor<?x16xf32, #irsql.dims<["S", 16]>>) -> tensor<?x16xf32, #irsql.dims<["S", 16]>>, irsql.dims = {S = [1, 64]}}> ({
^bb0(%scores: tensor<?x?xf32, #irsql.dims<["S", "S"]>>, %v: tensor<?x16xf32, #irsql.dims<["S", 16]>>):
  %weights = "tir.map"(%scores) <{maps = [affine_map<(q, k) -> (q, k)>]}> ({
  ^bb0(%x: f32):
    %e = "expr.unary"(%x) <{kind = "exp"}> : (f32) -> f32
    "expr.yield"(%e) : (f32) -> ()
  }) : (tensor<?x?xf32, #irsql.dims<["S", "S"]>>) -> tensor<?x?xf32, #irsql.dims<["S", "S"]>>
  %total = "tir.reduce"(%weights) <{kind = "sum", axes = [1]}> : (tensor<?x?xf32, #irsql.dims<["S", "S"]>>) -> tensor<?xf32, #irsql.dims<["S"]>>
  %p = "tir.map"(%weights, %total) <{maps = [affine_map<(q, k) -> (q, k)>, affine_map<(q, k) -> (q)>]}> ({
  ^bb0(%w: f32, %t: f32):
    %d = "expr.binary"(%w, %t) <{kind = "div"}> : (f32, f32) -> f32
    "expr.yield"(%d) : (f32) -> ()
  }) : (tensor<?x?xf32, #irsql.dims<["S", "S"]>>, tensor<?xf32, #irsql.dims<["S"]>>) -> tensor<?x?xf32, #irsql.dims<["S", "S"]>>
  %out = "tir.contract"(%p, %v) <{maps = [affine_map<(q, d, k) -> (q, k)>, affine_map<(q, d, k) -> (k, d)>, affine_map<(q, d, k) -> (q, d)>], bounds = [#irsql.dim<"S">, 16, #irsql.dim<"S">]}> : (tensor<?x?xf32, #irsql.dims<["S", "S"]>>, tensor<?x16xf32, #irsql.dims<["S", 16]>>) -> tensor<?x16xf32, #irsql.dims<["S", 16]>>
  "func.return"(%out) : (tensor<?x16xf32, #irsql.dims<["S", 16]>>) -> ()
}) : () -> ()
