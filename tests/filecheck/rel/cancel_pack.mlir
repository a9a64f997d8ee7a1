// Packed, taken apart and packed the same way again is packed once; so is what is taken apart, packed and taken apart.
// RUN: irsql-opt %s --no-locations --verify-semantics --pass-pipeline=cancel-pack | filecheck %s
// RUN: irsql-opt %s --pass-pipeline=cancel-pack --remarks=- -o %t/out.mlir 2>&1 | filecheck %s --check-prefix=REMARK

// CHECK: sym_name = "same"
// CHECK-NEXT: ^bb0(%x:
// CHECK-NEXT: "func.return"(%x)
// CHECK: sym_name = "rows"
// CHECK-NEXT: ^bb0(%x:
// CHECK-NEXT: "func.return"(%x)
// Into another layout there is no other way than through rows.
// CHECK: sym_name = "other"
// CHECK: %[[U:.*]] = "rel.unpack"(%x)
// CHECK: %[[P:.*]] = "rel.pack"(%[[U]])
// CHECK: "func.return"(%[[P]])

// REMARK-COUNT-2: remark: cancel-pack: passed: a pack and an unpack cancel
// REMARK: remark: cancel-pack: missed: a relation is taken apart and packed again [rel.pack]
// REMARK-NEXT: reason: the layouts differ
"builtin.module"() ({
  "func.func"() <{sym_name = "same", function_type = (!rel.rel<[#rel.key<"i", 3>], [#rel.val<"v_0", !rel.lane<f32, 4, "list">>, #rel.val<"v_1", !rel.lane<f32, 4, "list">>], false, #rel.layout<[3, 8], ["i", "j"], [#rel.part<0, "row", 3, 1, "i">, #rel.part<1, "column", 2, 4, "">, #rel.part<1, "lane", 4, 1, "">], "list">>) -> !rel.rel<[#rel.key<"i", 3>], [#rel.val<"v_0", !rel.lane<f32, 4, "list">>, #rel.val<"v_1", !rel.lane<f32, 4, "list">>], false, #rel.layout<[3, 8], ["i", "j"], [#rel.part<0, "row", 3, 1, "i">, #rel.part<1, "column", 2, 4, "">, #rel.part<1, "lane", 4, 1, "">], "list">>}> ({
  ^bb0(%x: !rel.rel<[#rel.key<"i", 3>], [#rel.val<"v_0", !rel.lane<f32, 4, "list">>, #rel.val<"v_1", !rel.lane<f32, 4, "list">>], false, #rel.layout<[3, 8], ["i", "j"], [#rel.part<0, "row", 3, 1, "i">, #rel.part<1, "column", 2, 4, "">, #rel.part<1, "lane", 4, 1, "">], "list">>):
    %u = "rel.unpack"(%x) : (!rel.rel<[#rel.key<"i", 3>], [#rel.val<"v_0", !rel.lane<f32, 4, "list">>, #rel.val<"v_1", !rel.lane<f32, 4, "list">>], false, #rel.layout<[3, 8], ["i", "j"], [#rel.part<0, "row", 3, 1, "i">, #rel.part<1, "column", 2, 4, "">, #rel.part<1, "lane", 4, 1, "">], "list">>) -> !rel.rel<[#rel.key<"i", 3>, #rel.key<"j", 8>], [#rel.val<"v", f32>], false, unit>
    %p = "rel.pack"(%u) : (!rel.rel<[#rel.key<"i", 3>, #rel.key<"j", 8>], [#rel.val<"v", f32>], false, unit>) -> !rel.rel<[#rel.key<"i", 3>], [#rel.val<"v_0", !rel.lane<f32, 4, "list">>, #rel.val<"v_1", !rel.lane<f32, 4, "list">>], false, #rel.layout<[3, 8], ["i", "j"], [#rel.part<0, "row", 3, 1, "i">, #rel.part<1, "column", 2, 4, "">, #rel.part<1, "lane", 4, 1, "">], "list">>
    "func.return"(%p) : (!rel.rel<[#rel.key<"i", 3>], [#rel.val<"v_0", !rel.lane<f32, 4, "list">>, #rel.val<"v_1", !rel.lane<f32, 4, "list">>], false, #rel.layout<[3, 8], ["i", "j"], [#rel.part<0, "row", 3, 1, "i">, #rel.part<1, "column", 2, 4, "">, #rel.part<1, "lane", 4, 1, "">], "list">>) -> ()
  }) : () -> ()
  "func.func"() <{sym_name = "rows", function_type = (!rel.rel<[#rel.key<"i", 3>, #rel.key<"j", 8>], [#rel.val<"v", f32>], false, unit>) -> !rel.rel<[#rel.key<"i", 3>, #rel.key<"j", 8>], [#rel.val<"v", f32>], false, unit>}> ({
  ^bb0(%x: !rel.rel<[#rel.key<"i", 3>, #rel.key<"j", 8>], [#rel.val<"v", f32>], false, unit>):
    %p = "rel.pack"(%x) : (!rel.rel<[#rel.key<"i", 3>, #rel.key<"j", 8>], [#rel.val<"v", f32>], false, unit>) -> !rel.rel<[#rel.key<"i", 3>], [#rel.val<"v_0", !rel.lane<f32, 4, "list">>, #rel.val<"v_1", !rel.lane<f32, 4, "list">>], false, #rel.layout<[3, 8], ["i", "j"], [#rel.part<0, "row", 3, 1, "i">, #rel.part<1, "column", 2, 4, "">, #rel.part<1, "lane", 4, 1, "">], "list">>
    %u = "rel.unpack"(%p) : (!rel.rel<[#rel.key<"i", 3>], [#rel.val<"v_0", !rel.lane<f32, 4, "list">>, #rel.val<"v_1", !rel.lane<f32, 4, "list">>], false, #rel.layout<[3, 8], ["i", "j"], [#rel.part<0, "row", 3, 1, "i">, #rel.part<1, "column", 2, 4, "">, #rel.part<1, "lane", 4, 1, "">], "list">>) -> !rel.rel<[#rel.key<"i", 3>, #rel.key<"j", 8>], [#rel.val<"v", f32>], false, unit>
    "func.return"(%u) : (!rel.rel<[#rel.key<"i", 3>, #rel.key<"j", 8>], [#rel.val<"v", f32>], false, unit>) -> ()
  }) : () -> ()
  "func.func"() <{sym_name = "other", function_type = (!rel.rel<[#rel.key<"i", 3>], [#rel.val<"v_0", !rel.lane<f32, 4, "list">>, #rel.val<"v_1", !rel.lane<f32, 4, "list">>], false, #rel.layout<[3, 8], ["i", "j"], [#rel.part<0, "row", 3, 1, "i">, #rel.part<1, "column", 2, 4, "">, #rel.part<1, "lane", 4, 1, "">], "list">>) -> !rel.rel<[#rel.key<"i", 3>], [#rel.val<"v", !rel.lane<f32, 8, "list">>], false, #rel.layout<[3, 8], ["i", "j"], [#rel.part<0, "row", 3, 1, "i">, #rel.part<1, "lane", 8, 1, "">], "list">>}> ({
  ^bb0(%x: !rel.rel<[#rel.key<"i", 3>], [#rel.val<"v_0", !rel.lane<f32, 4, "list">>, #rel.val<"v_1", !rel.lane<f32, 4, "list">>], false, #rel.layout<[3, 8], ["i", "j"], [#rel.part<0, "row", 3, 1, "i">, #rel.part<1, "column", 2, 4, "">, #rel.part<1, "lane", 4, 1, "">], "list">>):
    %u = "rel.unpack"(%x) : (!rel.rel<[#rel.key<"i", 3>], [#rel.val<"v_0", !rel.lane<f32, 4, "list">>, #rel.val<"v_1", !rel.lane<f32, 4, "list">>], false, #rel.layout<[3, 8], ["i", "j"], [#rel.part<0, "row", 3, 1, "i">, #rel.part<1, "column", 2, 4, "">, #rel.part<1, "lane", 4, 1, "">], "list">>) -> !rel.rel<[#rel.key<"i", 3>, #rel.key<"j", 8>], [#rel.val<"v", f32>], false, unit>
    %p = "rel.pack"(%u) : (!rel.rel<[#rel.key<"i", 3>, #rel.key<"j", 8>], [#rel.val<"v", f32>], false, unit>) -> !rel.rel<[#rel.key<"i", 3>], [#rel.val<"v", !rel.lane<f32, 8, "list">>], false, #rel.layout<[3, 8], ["i", "j"], [#rel.part<0, "row", 3, 1, "i">, #rel.part<1, "lane", 8, 1, "">], "list">>
    "func.return"(%p) : (!rel.rel<[#rel.key<"i", 3>], [#rel.val<"v", !rel.lane<f32, 8, "list">>], false, #rel.layout<[3, 8], ["i", "j"], [#rel.part<0, "row", 3, 1, "i">, #rel.part<1, "lane", 8, 1, "">], "list">>) -> ()
  }) : () -> ()
}) {irsql.attrs = {stage = "tiled"}} : () -> ()
