"""What the conversions of ``convert-tir-to-rel`` share: the value map and the sum over loop dims."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import cast

import attrs

from irsql.dialects import expr as ex
from irsql.dialects.rel import ops as ro
from irsql.dialects.rel.types import Key, RelType, Val, rel
from irsql.dialects.tir.ops import StateType
from irsql.ir.attributes import AttrValue, TensorType
from irsql.ir.core import Builder, IRError, Op, Value
from irsql.ir.dims import Dim, SymDim, symbol
from irsql.ir.dims import bounds as dim_bounds
from irsql.passes.conversion._bind import Joined, project, scalar_rows


def state_types(t: StateType) -> tuple[RelType, RelType]:
    """The two relations a state becomes: keys ``(b, t)`` a row of the sequence, ``g`` the head, ``d`` the element."""

    def one(length: int) -> RelType:
        keys = (Key("b", symbol("B")), Key("t", symbol("T")), Key("g", t.heads), Key("d", length))
        return RelType(keys, (Val("v", t.dtype),), partial=True)

    return one(t.k_dim), one(t.v_dim)


@attrs.define
class Converter:
    """State of the conversion of one function.

    Attributes
    ----------
    b
        Insertion point.
    ragged
        Symbols of the batch dims, whose box must not be enumerated.
    dims
        Ranges of the function's symbols.
    values
        tir tensor to relation.
    states
        tir state version to its pair of relations.
    """

    b: Builder
    ragged: frozenset[str]
    dims: Mapping[str, AttrValue]
    values: dict[Value, Value] = attrs.field(factory=dict[Value, Value])
    states: dict[Value, tuple[Value, Value]] = attrs.field(factory=dict[Value, "tuple[Value, Value]"])

    @property
    def ranges(self) -> dict[str, tuple[int, int]]:
        """The dims as number ranges."""
        return {k: cast("tuple[int, int]", v) for k, v in self.dims.items()}

    def keep_rows(self, op: Op, mixed: Sequence[Dim]) -> None:
        """Refuse an op that would mix the rows of a batch.

        Raises
        ------
        IRError
            If one of the axes ``mixed`` over which the op works is a batch dim: its rows are there or not, and decoding
            sees one at a time.
        """
        for d in mixed:
            if isinstance(d, SymDim) and d.symbols() & self.ragged:
                raise IRError(f"{op.name} works along the batch dim {d}: only attention may mix the rows of a batch",
                              op)

    def sum_over(self, j: Joined, bounds: Sequence[Dim], out_dims: Sequence[int], t: TensorType,
                 value: Callable[[ex.Exprs], Value]) -> Value:
        """Σ of ``value`` over the loop dims that are not in ``out_dims``."""
        dropped = [i for i in range(len(bounds)) if i not in out_dims]
        out = scalar_rows(t.shape, t.dtype, rel(j.value).partial)
        names = {i: out.keys[n].name for n, i in enumerate(out_dims)} | {i: f"r{i}" for i in dropped}
        order = [*out_dims, *dropped]
        loops = RelType(tuple(Key(names[i], bounds[i]) for i in order), (Val("v", t.dtype),), out.partial)
        terms = project(self.b, j.value, loops, lambda e: [*(j.dim(e, i) for i in order), value(e)])
        if not dropped:
            return terms
        e, body = ex.Exprs.body()
        e.end(e.col("v", t.dtype))
        total = self.b.insert(ro.Aggregate(terms, body=body, kinds=("sum",), result_types=[out])).result
        if any(dim_bounds(bounds[i], self.ranges)[0] == 0 for i in dropped) and not out.partial:
            domain = self.b.insert(ro.Range(result_types=[RelType(out.keys, ())])).result
            return self.b.insert(ro.Complete(total, domain, fill=(0.0,), result_types=[out])).result
        return total

