// RUN: not irsql-opt %s --pass-pipeline=convert-tir-to-real 2>&1
// RUN: not irsql-opt %s -p 'convert-tir-to-rel{fast}' 2>&1 | filecheck %s --check-prefix=OPTION

// CHECK: pipeline:1:1: error: no pass is called 'convert-tir-to-real'
// CHECK-NEXT: convert-tir-to-real
// CHECK-NEXT: ^^^^^^^^^^^^^^^^^^^
// CHECK-NEXT: help: did you mean convert-tir-to-rel
// CHECK-NOT: Traceback

// OPTION: pipeline:1:20: error: pass convert-tir-to-rel has no option 'fast'

"builtin.module"() ({
^bb0:
}) : () -> ()
