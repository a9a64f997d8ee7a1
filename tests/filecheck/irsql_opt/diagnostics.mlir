// RUN: irsql-opt %s --split-input-file --verify-diagnostics

// Every part is read alone; each error stands in a comment beside its line.

"func.func"() <{sym_name = "f", function_type = (tensor<2xf32>) -> ()}> ({
^bb0(%x: tensor<2xf32>):
  // expected-error@+1 {{unknown op "tir.softmaxx"}}
  %y = "tir.softmaxx"(%x) <{axis = 0}> : (tensor<2xf32>) -> tensor<2xf32>
  "func.return"() : () -> ()
}) : () -> ()

// -----

"func.func"() <{sym_name = "f", function_type = (tensor<2xf32>) -> ()}> ({
^bb0(%x: tensor<2xf32>):
  "func.return"(%z) : (tensor<2xf32>) -> () // expected-error {{%z is used but not defined}}
}) : () -> ()

// -----

"func.func"() <{sym_name = "fine", function_type = () -> ()}> ({
^bb0:
  "func.return"() : () -> ()
}) : () -> ()
