"""``tir``: the tensor IR. SSA on ranked tensors with symbolic dims, ATen's meaning, no thought of SQL.

The core is a closed list (map, contract, reduce, gather, concat, iota, scan, topk, parameter, constant, state ops,
uniform). Index maps are affine: a view changes a map, it moves no rows. The composite ops (attention, norms, softmax,
rope) keep a captured operator whole until ``decompose`` or a conversion expands it.
"""

from __future__ import annotations

from irsql.ir.affine import AffineMap
from irsql.ir.attributes import DenseElements, ScalarType, TensorType, Type, attribute
from irsql.ir.core import IRError, Op, Operands, Region, Value, op
from irsql.ir.dims import Dim


@attribute("tir.state")
class StateType(Type):
    """A version of a growing key-value state: rows ``(batch, position, head)`` with a key and a value vector.

    Attributes
    ----------
    name
        Name of the state, ``kv.3``.
    heads
        Number of key-value heads.
    k_dim, v_dim
        Lengths of the key and value vectors.
    dtype
        Element type.
    """

    name: str
    heads: int
    k_dim: int
    v_dim: int
    dtype: ScalarType


def tensor(value: Value) -> TensorType:
    """The tensor type of a value.

    Raises
    ------
    IRError
        If it is not a tensor.
    """
    if not isinstance(value.type, TensorType):
        raise IRError(f"expected a tensor, found {value.type}")
    return value.type


@op("tir.parameter", pure=True)
class Parameter(Op):
    """A tensor of the checkpoint, by its name there."""

    parameter: str


@op("tir.constant", pure=True)
class Constant(Op):
    """A constant tensor."""

    value: DenseElements


@op("tir.stored", pure=True)
class Stored(Op):
    """A tensor that ``@load`` stored under ``store``."""

    store: str


@op("tir.store")
class Store(Op):
    """Stores a tensor under a name (in ``@load`` only)."""

    x: Value
    store: str


@op("tir.map", pure=True)
class Map(Op):
    """Element-wise: result[i…] = body(inputs_j[maps_j(i…)]).

    Every view is a map whose body yields its argument. The body may read coordinates with ``expr.index``.
    """

    inputs: Operands
    body: Region
    maps: tuple[AffineMap, ...]

    def verify(self) -> None:
        if len(self.maps) != len(self.inputs) or len(self.body.block.args) != len(self.inputs):
            raise IRError(f"{len(self.inputs)} inputs, {len(self.maps)} maps, "
                          f"{len(self.body.block.args)} body arguments", self)
        for value, amap in zip(self.inputs, self.maps, strict=True):
            _check_map(self, amap, tensor(self.result).rank, tensor(value).rank)


@op("tir.contract", pure=True)
class Contract(Op):
    """Multiply and sum: result[out(i…)] = Σ lhs[l(i…)] · rhs[r(i…)] over the loop dims that ``out`` drops.

    Attributes
    ----------
    maps
        Index maps of lhs, rhs and result over the loop dims; the result's returns distinct dims.
    bounds
        Extent of every loop dim.
    """

    lhs: Value
    rhs: Value
    maps: tuple[AffineMap, ...]
    bounds: tuple[Dim, ...]

    def verify(self) -> None:
        if len(self.maps) != 3:
            raise IRError("contract takes three maps", self)
        for value, amap in zip((self.lhs, self.rhs, self.result), self.maps, strict=True):
            _check_map(self, amap, len(self.bounds), tensor(value).rank)


@op("tir.reduce", pure=True)
class Reduce(Op):
    """Reduces ``axes`` away with ``kind``: sum, max, min, prod, any, all; argmax and argmin (one axis, i64, lowest
    index among equals).
    """

    x: Value
    kind: str
    axes: tuple[int, ...]

    def verify(self) -> None:
        if self.kind not in ("sum", "max", "min", "prod", "any", "all", "argmax", "argmin"):
            raise IRError(f"unknown reduction {self.kind!r}", self)
        shape = tensor(self.x).shape
        if tuple(d for i, d in enumerate(shape) if i not in self.axes) != tensor(self.result).shape:
            raise IRError(f"reducing axes {self.axes} of {shape} does not give {tensor(self.result).shape}", self)


@op("tir.gather", pure=True)
class Gather(Op):
    """Lookup: result[i…] = data[data_map(i…) with coordinate ``axes[j]`` replaced by indices_j[index_maps_j(i…)]].

    ``data_map`` has the constant 0 at the gathered axes. Indices are in range.
    """

    data: Value
    indices: Operands
    axes: tuple[int, ...]
    data_map: AffineMap
    index_maps: tuple[AffineMap, ...]

    def verify(self) -> None:
        if not len(self.axes) == len(self.indices) == len(self.index_maps):
            raise IRError("gather takes one axis and one map an index tensor", self)
        rank = tensor(self.result).rank
        _check_map(self, self.data_map, rank, tensor(self.data).rank)
        for value, amap in zip(self.indices, self.index_maps, strict=True):
            _check_map(self, amap, rank, tensor(value).rank)


@op("tir.concat", pure=True)
class Concat(Op):
    """Concatenation along ``axis``."""

    inputs: Operands
    axis: int


@op("tir.iota", pure=True)
class Iota(Op):
    """``start + step · i`` for i in [0, n): rank 1."""

    start: int = 0
    step: int = 1


@op("tir.scan", pure=True)
class Scan(Op):
    """Inclusive cumulative ``kind`` (sum) along ``axis``."""

    x: Value
    axis: int
    kind: str = "sum"


@op("tir.topk", pure=True)
class TopK(Op):
    """The ``k`` largest (or smallest) along the last axis in order, lowest index first among equals: values and i64
    indices.
    """

    x: Value
    k: int
    largest: bool = True


@op("tir.uniform", pure=True)
class Uniform(Op):
    """u = f(seed, sequence, position) in (0, 1), f64: a counter-based draw, equal on every target (see docs,
    "Sampling").

    The operands are i64 tensors of the result's shape. f is the MiMC permutation over a prime below 2**26 (Albrecht
    et al. 2016, "MiMC"), so that every product stays below 2**53.
    """

    seed: Value
    sequence: Value
    position: Value


@op("tir.state_append", pure=True)
class StateAppend(Op):
    """A new version of the state with the rows of ``k`` and ``v`` ([B, G, S, D]) at ``positions`` ([B, S])."""

    state: Value
    k: Value
    v: Value
    positions: Value


@op("tir.state_read", pure=True)
class StateRead(Op):
    """The keys (``field = "k"``) or values (``"v"``) of a state as a dense tensor [B, G, P, D]: B = 1, positions 0 …
    P-1.
    """

    state: Value
    field: str


@op("tir.attention", pure=True)
class Attention(Op):
    """Softmax attention of queries [B, H, S, D] over a state, to [B, S, H, Dv].

    Query (b, s) sees the state's rows of b whose position is at most ``positions[b, s]`` (causal) and, with a window,
    above ``positions[b, s] - window``. Query head h reads key-value head ``h floordiv (H / G)``.
    """

    q: Value
    state: Value
    positions: Value
    scale: float
    window: int = 0
    softcap: float = 0.0


@op("tir.rms_norm", pure=True)
class RmsNorm(Op):
    """x · rsqrt(mean(x², last axis) + eps) · weight (Zhang and Sennrich 2019)."""

    x: Value
    weight: Value
    eps: float


@op("tir.layer_norm", pure=True)
class LayerNorm(Op):
    """(x - mean) · rsqrt(var + eps) over the last axis, then · weight + bias where given (Ba et al. 2016)."""

    x: Value
    affine: Operands
    eps: float


@op("tir.softmax", pure=True)
class Softmax(Op):
    """exp(x - max) / Σ along ``axis``."""

    x: Value
    axis: int


@op("tir.rope", pure=True)
class Rope(Op):
    """Rotary embedding in half-split form: x [B, H, S, D], cos and sin [B, S, D] (Su et al. 2021; halves as
    transformers stores them).
    """

    x: Value
    cos: Value
    sin: Value

    def verify(self) -> None:
        widths = {tensor(v).shape[-1] for v in self.operands}
        if len(widths) != 1:
            raise IRError(f"rope rotates whole heads: the operands are {sorted(map(str, widths))} wide", self)


def _check_map(op_: Op, amap: AffineMap, dims: int, rank: int) -> None:
    if amap.num_dims != dims or len(amap.results) != rank:
        raise IRError(f"{amap} does not take {dims} loop dims to rank {rank}", op_)
