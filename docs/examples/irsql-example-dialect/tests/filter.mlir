// The numbers of the transforms come from NumPy before the pass and from products after it.
// RUN: irsql-opt %s -p convert-fourier-to-tir --verify-semantics | filecheck %s

// CHECK-LABEL: sym_name = "filter"
// CHECK-NOT: fourier.
// CHECK: "tir.contract"
// CHECK: "tir.contract"
// CHECK: "tir.contract"
// CHECK: "tir.contract"
// CHECK: "func.return"
"func.func"() <{sym_name = "filter", function_type = (tensor<3x7xf32>, tensor<4xf32>) -> tensor<3x7xf32>}> ({
^bb0(%x: tensor<3x7xf32>, %gain: tensor<4xf32>):
  %re, %im = "fourier.rdft"(%x) <{norm = "ortho"}> : (tensor<3x7xf32>) -> (tensor<3x4xf32>, tensor<3x4xf32>)
  %louder = "tir.map"(%re, %gain) <{maps = [affine_map<(i, k) -> (i, k)>, affine_map<(i, k) -> (k)>]}> ({
  ^bb0(%a: f32, %g: f32):
    %p = "expr.binary"(%a, %g) <{kind = "mul"}> : (f32, f32) -> f32
    "expr.yield"(%p) : (f32) -> ()
  }) : (tensor<3x4xf32>, tensor<4xf32>) -> tensor<3x4xf32>
  %y = "fourier.irdft"(%louder, %im) <{norm = "ortho"}> : (tensor<3x4xf32>, tensor<3x4xf32>) -> tensor<3x7xf32>
  "func.return"(%y) : (tensor<3x7xf32>) -> ()
}) : () -> ()

// Nothing is left of a transform and its inverse.
// CHECK-LABEL: sym_name = "back"
// CHECK: "func.return"(%x)
"func.func"() <{sym_name = "back", function_type = (tensor<5x8xf32>) -> tensor<5x8xf32>}> ({
^bb0(%x: tensor<5x8xf32>):
  %re, %im = "fourier.rdft"(%x) : (tensor<5x8xf32>) -> (tensor<5x5xf32>, tensor<5x5xf32>)
  %y = "fourier.irdft"(%re, %im) : (tensor<5x5xf32>, tensor<5x5xf32>) -> tensor<5x8xf32>
  "func.return"(%y) : (tensor<5x8xf32>) -> ()
}) : () -> ()
