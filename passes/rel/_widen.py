"""From lanes to columns: what an engine cannot do inside a vector value it does on one value column an element."""

from __future__ import annotations

from collections.abc import Sequence

from irsql.dialects import expr as ex
from irsql.dialects.expr import LaneType
from irsql.dialects.rel.types import Layout, Part, RelType, Val
from irsql.ir.attributes import Type
from irsql.ir.core import Builder, Func, IRError, Module, Op, Region, Value
from irsql.passes.rel._limits import balance


def widen(module: Module, carrier: str) -> None:
    """Replace every lane of ``carrier`` in a module by columns."""
    for func in module.functions.values():
        old = {v: v.type for v in _relations(func)}
        for op in func.block.ops:
            _widen_op(op, carrier, old)
        for v, t in old.items():
            assert isinstance(t, RelType)
            v.type = wide_type(t, carrier)
        func.update_type()


def _relations(func: Func) -> list[Value]:
    values: list[Value] = [*func.block.args, *(r for op in func.block.ops for r in op.results)]
    return [v for v in values if isinstance(v.type, RelType)]


def _is_lane(type_: Type, carrier: str) -> bool:
    return isinstance(type_, LaneType) and type_.carrier == carrier


def column_names(type_: RelType, carrier: str) -> dict[str, list[str]]:
    """Value column to the columns it becomes."""
    out: dict[str, list[str]] = {}
    columns = type_.layout.columns if type_.layout is not None else ()
    for v in type_.values:
        if not isinstance(v.type, LaneType) or v.type.carrier != carrier:
            out[v.name] = [v.name]
        elif not columns:
            out[v.name] = [f"{v.name}_{n}" for n in range(v.type.length)]
        else:
            base, _, digit = v.name.rpartition("_")
            out[v.name] = [f"{base}_{int(digit) * v.type.length + n}" for n in range(v.type.length)]
    return out


def wide_type(type_: RelType, carrier: str) -> RelType:
    """The type with a column an element instead of each lane of ``carrier``."""
    if not any(_is_lane(v.type, carrier) for v in type_.values):
        return type_
    names = column_names(type_, carrier)
    values = tuple(Val(n, v.type.element if isinstance(v.type, LaneType) and v.type.carrier == carrier else v.type)
                   for v in type_.values for n in names[v.name])
    layout = None if type_.layout is None else _wide_layout(type_.layout)
    return RelType(type_.keys, values, type_.partial, layout)


def _wide_layout(layout: Layout) -> Layout:
    lane = layout.lane
    column = next((p for p in layout.columns if lane is not None and p.axis == lane.axis), None)
    assert lane is not None and isinstance(lane.extent, int)
    count = 1
    if column is not None:
        if (column is not layout.columns[-1] or lane.stride != 1 or column.stride != lane.extent
                or not isinstance(column.extent, int)):
            raise IRError("only a layout whose lanes are consecutive within its columns becomes wide")
        count = column.extent
    parts = tuple(p for p in layout.parts if p not in (lane, column))
    wide = Part(lane.axis, "column", count * lane.extent, lane.stride)
    return Layout(layout.extents, layout.names, (*parts, wide))


def _widen_op(op: Op, carrier: str, old: dict[Value, Type]) -> None:
    inputs = [t for v in op.operands if isinstance(t := old.get(v), RelType)]
    for region in op.regions:
        if any(_is_lane(v.type, carrier) for t in inputs for v in t.values):
            if op.name == "rel.aggregate":
                raise IRError("an aggregate of lanes has no wide form", op)
            _widen_region(region, carrier, inputs)


def _widen_region(region: Region, carrier: str, inputs: Sequence[RelType]) -> None:
    """Rewrite a body: each lane value becomes as many scalar values."""
    block = region.block
    before = list(block.ops)
    names = [column_names(t, carrier) for t in inputs]
    elements: dict[Value, list[Value]] = {}
    for op in before:
        e = ex.Exprs(Builder.before_op(op))
        if op.is_terminator:
            op.set_operands([x for v in op.operands for x in elements.get(v, [v])])
        elif _is_lane(op.result.type, carrier):
            elements[op.result] = _elements(e, op, elements, names)
        elif any(v in elements for v in op.operands):
            if isinstance(op, ex.Dot):
                pairs = zip(elements[op.lhs], elements[op.rhs], strict=True)
                terms = [e.binary("mul", a, b) for a, b in pairs]
                total = terms[0]
                for term in terms[1:]:
                    total = e.binary("add", total, term)
                op.result.replace_all_uses_with(total)
            elif isinstance(op, ex.Extract):
                op.result.replace_all_uses_with(elements[op.lane][op.position])
            else:
                raise IRError(f"{op.name} on a lane has no wide form", op)
    balance(block)


def _elements(e: ex.Exprs, op: Op, elements: dict[Value, list[Value]],
              names: Sequence[dict[str, list[str]]]) -> list[Value]:
    lane = op.result.type
    assert isinstance(lane, LaneType)
    if isinstance(op, ex.Col):
        return [e.col(n, lane.element, op.input) for n in names[op.input][op.column]]
    if not isinstance(op, ex.Unary | ex.Binary | ex.Select | ex.Cast):
        raise IRError(f"{op.name} of a lane has no wide form", op)
    out: list[Value] = []
    for n in range(lane.length):
        copy = op.clone({v: elements[v][n] if v in elements else v for v in op.operands})
        copy.result.type = lane.element
        out.append(e.builder.insert(copy).result)
    return out
