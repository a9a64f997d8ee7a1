// RUN: irsql-opt %s --split-input-file --verify-diagnostics
"func.func"() <{sym_name = "f", function_type = (tensor<8xf32>) -> tensor<4xf32>}> ({
^bb0(%x: tensor<8xf32>):
  // expected-error@+1 {{a signal 8 x f32 has a spectrum 5 x f32, not 4 x f32}}
  %re, %im = "fourier.rdft"(%x) : (tensor<8xf32>) -> (tensor<4xf32>, tensor<4xf32>)
  "func.return"(%re) : (tensor<4xf32>) -> ()
}) : () -> ()
// -----
"func.func"() <{sym_name = "f", function_type = (tensor<8xf32>) -> tensor<5xf32>}> ({
^bb0(%x: tensor<8xf32>):
  // expected-error@+1 {{attribute 'norm' of fourier.rdft cannot be 'unit'}}
  %re, %im = "fourier.rdft"(%x) <{norm = "unit"}> : (tensor<8xf32>) -> (tensor<5xf32>, tensor<5xf32>)
  "func.return"(%re) : (tensor<5xf32>) -> ()
}) : () -> ()
