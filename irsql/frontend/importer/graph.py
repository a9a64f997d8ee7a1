"""The import of a captured graph: one walk over its nodes, one function an operator, one report of what fails."""

from __future__ import annotations

import operator
import warnings
from collections.abc import Mapping, Sequence
from typing import Any, cast

import attrs
import numpy as np
import torch
import torch.fx

from irsql.dialects.tir import ops as tir
from irsql.frontend.captured import Captured, InputSpec, StateSpec
from irsql.frontend.importer import contract, create, custom, elementwise, lookup, norm, reduce, shape  # noqa: F401
from irsql.frontend.importer.context import NARROW, Context
from irsql.frontend.importer.domains import argument_info
from irsql.frontend.importer.emit import Emitter, scalar, wrapped
from irsql.frontend.importer.errors import Refused, UnsupportedError, collect
from irsql.frontend.importer.registry import HANDLERS
from irsql.frontend.provenance import provenance
from irsql.ir import affine, dims
from irsql.ir.attributes import F32, I64, DenseElements, TensorType, Type
from irsql.ir.cleanup import erase_dead
from irsql.ir.core import ArgInfo, Block, Builder, Func, IRError, Module, OpResult, Value, clone_region
from irsql.ir.location import Location


class PrecisionWarning(UserWarning):
    """A module computes in a type that the database has not."""


aten = torch.ops.aten
WRAPPING = frozenset({
    aten.add.Tensor, aten.add.Scalar, aten.sub.Tensor, aten.sub.Scalar, aten.rsub.Scalar, aten.rsub.Tensor,
    aten.mul.Tensor, aten.mul.Scalar, aten.neg.default, aten.abs.default, aten.square.default, aten.mm.default,
    aten.bmm.default, aten.matmul.default, aten.addmm.default, aten.baddbmm.default, aten.dot.default, aten.mv.default,
    aten.outer.default, aten.einsum.default, aten.pow.Tensor_Scalar, aten.sum.default, aten.sum.dim_IntList,
    aten.prod.default, aten.prod.dim_int, aten.cumsum.default, aten._to_copy.default, aten.to.dtype,
    aten.to.dtype_layout, aten.to.other, aten.type_as.default, aten.floor_divide.default, aten.floor_divide.Scalar,
    aten.div.Tensor_mode, aten.div.Scalar_mode,
})  # fmt: skip
"""Operators whose result can leave the range of a narrow integer type; it then wraps around, as two's complement."""


@attrs.frozen
class _Unknown:
    """Stands for a value that could not be imported, so that only its cause is reported."""

    refused: Refused | None = None
    """For sizes, which are only reported where they are used."""


def import_captured(captured: Captured) -> Module:
    """A captured module as tir.

    A plain module becomes ``@forward``. A decoder becomes ``@prefill`` and ``@decode``, which differ in the range of
    S only: ``(ids [B, S], positions [B, S], last [B], states) -> (logits [B, V], states)``, the same for both recipes.

    Raises
    ------
    UnsupportedError
        If anything in the graph cannot be expressed; lists all of it.
    """
    return _Import(captured).run()


def location(node: torch.fx.Node) -> Location:
    """Where a node comes from."""
    origin = provenance(node)
    return Location(origin.file, origin.line, 0, origin.module, origin.node)


class _Import:
    """The state of one import."""

    def __init__(self, captured: Captured) -> None:
        self.captured = captured
        self.block = Block()
        self.ctx = Context(captured, Emitter(Builder(self.block)))
        self.env: dict[torch.fx.Node, Any] = {}
        self.failures: list[tuple[str, Location, Refused]] = []
        self.arguments: list[tuple[str, Value, InputSpec | StateSpec]] = []

    def run(self) -> Module:
        graph = self.captured.gm.graph
        placeholders = {node.name: node for node in graph.nodes if node.op == "placeholder"}
        if self.captured.state:
            self._decoder_arguments(placeholders)
        else:
            for spec in self.captured.of_kind("user"):
                self._guard(placeholders[spec.name], self._user_input, spec)
        for spec in self.captured.inputs:
            if spec.kind != "user":
                self._guard(placeholders[spec.name], self._stored_input, spec)
        for node in graph.nodes:
            if node.op == "call_function":
                self._guard(node, self._call)
            elif node.op not in ("placeholder", "output"):
                refused = Refused(f"{node.op} nodes are no ATen calls", "capture the module with irsql.capture")
                self._fail(node, refused)
        results = self._decoder_results() if self.captured.state else self._plain_results()
        if self.failures:
            raise UnsupportedError(collect(self.failures))
        return self._module(results)

    # -- nodes -------------------------------------------------------------------------------------
    def _guard(self, node: torch.fx.Node, action: Any, *args: Any) -> None:
        self.ctx.node = node
        self.ctx.emit.builder.loc = location(node)
        try:
            self.env[node] = action(node, *args)
        except Refused as refused:
            self._fail(node, refused)

    def _fail(self, node: torch.fx.Node, refused: Refused) -> None:
        name = str(node.target) if node.op == "call_function" else f"input {node.name}"
        self.failures.append((name, location(node), refused))
        self.env[node] = self._substitute(node)

    def _substitute(self, node: torch.fx.Node) -> Any:
        """What stands for the result of a failed node: of the right type, if there is one, so that the walk goes on."""
        val = node.meta.get("val")
        try:
            if isinstance(val, torch.Tensor):
                return Block([self.ctx.type_of(val)]).args[0]
            if isinstance(val, (tuple, list)) and all(isinstance(v, torch.Tensor) for v in val):
                return tuple(Block([self.ctx.type_of(v)]).args[0] for v in val)
        except Refused:
            pass
        return _Unknown()

    def _call(self, node: torch.fx.Node) -> Any:
        val = node.meta.get("val")
        if node.target is operator.getitem:
            of, index = node.args
            assert isinstance(of, torch.fx.Node)
            source = self.env[of]
            return source if isinstance(source, _Unknown) else source[index]
        if isinstance(val, (torch.SymInt, int)) and not isinstance(val, bool):
            try:
                return self.ctx.dim(val)
            except Refused as refused:
                return _Unknown(refused)
        if isinstance(val, (torch.SymBool, torch.SymFloat, bool, float)):
            return _Unknown(Refused(f"{node.name} is a {type(val).__name__} computed from sizes",
                                    "compute with integers only, or make the size static"))
        handler = HANDLERS.get(node.target)
        if handler is None:
            raise Refused("there is no importer for this operator")
        args = torch.fx.map_arg(node.args, self.env.__getitem__)
        kwargs = torch.fx.map_arg(node.kwargs, self.env.__getitem__)
        unknown = [x for x in _leaves((args, kwargs)) if isinstance(x, _Unknown)]
        if unknown:
            cause = next((u.refused for u in unknown if u.refused is not None), None)
            if cause is not None:
                raise cause
            return self._substitute(node)
        self._check_dtypes(node)
        try:
            value = handler(self.ctx, *args, **kwargs)
        except TypeError as error:
            if error.__traceback__ is not None and error.__traceback__.tb_next is None:  # the call itself, not its body
                raise Refused(f"this form of the call is not known ({error})") from error
            raise
        if node.target in WRAPPING and node.meta["val"].dtype in NARROW and isinstance(value, Value):
            value = wrapped(self.ctx.emit, value, *NARROW[node.meta["val"].dtype])
        self._check_result(node, value)
        return value

    def _check_dtypes(self, node: torch.fx.Node) -> None:
        """Refuse results without a type here, before the importer function trips over them."""
        val = node.meta["val"]
        for v in val if isinstance(val, (tuple, list)) else (val,):
            if isinstance(v, torch.Tensor):
                self.ctx.type_of(v)

    def _check_result(self, node: torch.fx.Node, value: Any) -> None:
        """The importer function's own mistakes end here: what it built must have the type that torch says."""
        val = node.meta["val"]
        pairs = zip(value, val, strict=True) if isinstance(value, tuple) else [(value, val)]
        for i, (got, want) in enumerate(pairs):
            if want is None:
                continue
            type_ = self.ctx.type_of(want)
            if got.type != type_:
                raise IRError(f"{node.name} ({node.target}) was imported as {got.type}, torch says {type_}")
            if isinstance(got, OpResult) and not got.name:
                got.name = f"{node.name}_{i}" if isinstance(value, tuple) else node.name

    # -- inputs ------------------------------------------------------------------------------------
    def _user_input(self, node: torch.fx.Node, spec: InputSpec) -> Value:
        return self._argument(spec.name, self.ctx.type_of(node.meta["val"]), spec)

    def _argument(self, name: str, type_: Type, spec: InputSpec | StateSpec) -> Value:
        value = self.block.add_arg(type_, name)
        self.arguments.append((name, value, spec))
        return value

    def _stored_input(self, node: torch.fx.Node, spec: InputSpec) -> Value:
        type_ = self.ctx.type_of(node.meta["val"])
        emit = self.ctx.emit
        emit.builder.loc = Location(scope=spec.target.rpartition(".")[0], node=spec.name)
        if spec.target in self.captured.buffers:
            array = np.ascontiguousarray(self.captured.buffers[spec.target], dtype=type_.dtype.numpy)
            return emit.insert(tir.Constant(value=DenseElements(array.reshape(node.meta["val"].shape), type_.dtype),
                                            result_types=[type_]), spec.name).result
        return emit.insert(tir.Parameter(parameter=spec.target, result_types=[type_]), spec.name).result

    def _decoder_arguments(self, placeholders: Mapping[str, torch.fx.Node]) -> None:
        """The arguments of both recipes; the aten one, captured for one sequence, gets its batch of extent B = 1."""
        ctx, emit = self.ctx, self.ctx.emit
        batch, length = dims.symbol("B"), dims.symbol("S")
        users = self.captured.of_kind("user")
        shapes = ((batch, length), (batch, length), (batch,))
        values = [self._argument(name, TensorType(extents, I64), spec)
                  for name, extents, spec in zip(("ids", "positions", "last"), shapes, users, strict=False)]
        for layer in self.captured.state:
            name = f"kv.{layer.layer}"
            type_ = tir.StateType(name, layer.kv_heads, layer.k_dim, layer.v_dim, F32)
            ctx.states[layer.layer] = self._argument(name, type_, layer)
        for value, spec in zip(values, users, strict=False):
            node = placeholders[spec.name]
            ctx.node, emit.builder.loc = node, location(node)
            self.env[node] = self._rebatched(value, ctx.type_of(node.meta["val"]))
        for layer in self.captured.state:
            for past, field in ((layer.past_k, "k"), (layer.past_v, "v")):
                if past is not None:
                    node = placeholders[past]
                    emit.builder.loc = location(node)
                    read = tir.StateRead(ctx.states[layer.layer], field=field,
                                         result_types=[ctx.type_of(node.meta["val"])])
                    self.env[node] = emit.insert(read, past).result

    def _rebatched(self, value: Value, type_: TensorType) -> Value:
        """``value`` with the first extent of ``type_``, which is equal where the program runs."""
        rank = tir.tensor(value).rank
        return self.ctx.emit.view(value, type_.shape, [affine.dim(i) for i in range(rank)])

    # -- results -----------------------------------------------------------------------------------
    def _returned(self) -> Sequence[torch.fx.Node]:
        """What the graph returns: a node wherever the output is no constant."""
        returned = self.captured.gm.graph.output_node().args[0]
        assert isinstance(returned, (tuple, list))
        return cast("Sequence[torch.fx.Node]", returned)

    def _plain_results(self) -> list[tuple[str, Value]]:
        out: list[tuple[str, Value]] = []
        for spec, node in zip(self.captured.outputs, self._returned(), strict=True):
            if spec.kind == "constant":
                continue
            value = self.env[node]
            if isinstance(value, _Unknown):
                if value.refused is not None:
                    self._fail(node, value.refused)
                continue
            if not isinstance(value, Value):
                size = value
                value = self.ctx.emit.map([], [], TensorType((), I64), lambda e, size=size: scalar(e, size, I64))
            taken = {name for name, _ in out}
            out.append((spec.name if spec.name not in taken else f"{spec.name}.{len(out)}", value))
        return out

    def _decoder_results(self) -> list[tuple[str, Value]]:
        ctx = self.ctx
        nodes = self._returned()
        logits = self.env[nodes[0]]
        if isinstance(logits, Value):
            type_ = tir.tensor(logits)
            logits = self._rebatched(logits, TensorType((dims.symbol("B"), *type_.shape[1:]), type_.dtype))
        out = [("logits", logits)]
        for layer in self.captured.state:
            if layer.past_k is not None:
                k, v = (self.env[nodes[i]] for i in (layer.new_k, layer.new_v))
                state = ctx.states[layer.layer]
                ctx.emit.builder.loc = location(nodes[layer.new_k])
                if isinstance(k, Value) and isinstance(v, Value):
                    positions = self.block.args[1]
                    append = tir.StateAppend(state, k, v, positions, result_types=[state.type])
                    ctx.states[layer.layer] = ctx.emit.insert(append, f"kv.{layer.layer}").result
            out.append((f"kv.{layer.layer}", ctx.states[layer.layer]))
        return out

    # -- module ------------------------------------------------------------------------------------
    def _module(self, results: Sequence[tuple[str, Value]]) -> Module:
        module = Module.empty(stage="tir", recipe=self.captured.recipe)
        for remark in self.ctx.remarks:
            warnings.warn(remark, PrecisionWarning, stacklevel=2)
        state = bool(self.captured.state)
        ranges: dict[str, Any] = {name: tuple(bounds) for name, bounds in self.captured.symbols.items()}
        if state:
            ranges.setdefault("B", (1, 1))
        func = Func.build("prefill" if state else "forward", [], dims=ranges, outputs=[name for name, _ in results])
        func.body.blocks.clear()
        func.body.append(self.block)
        func.ret(*(value for _, value in results))
        erase_dead(self.block)
        func.args = tuple(self._argument_info(value, spec) for _, value, spec in self.arguments)
        module.add(func)
        if state:
            decode = module.add(Func(body=clone_region(func.body, {}), sym_name="decode",
                                     function_type=func.function_type, dims={**ranges, "S": (1, 1)},
                                     args=func.args, outputs=func.outputs))
            decode.update_type()
        return module

    def _argument_info(self, value: Value, spec: InputSpec | StateSpec) -> ArgInfo:
        if isinstance(spec, StateSpec):
            return ArgInfo(role="state")
        if self.captured.state and value.name == "positions":
            return ArgInfo(domain="positions")
        if self.captured.state and value.name == "last":
            return ArgInfo(domain="last", of="S")
        return argument_info(self.ctx, value, next(
            node for node in self.captured.gm.graph.nodes if node.op == "placeholder" and node.name == spec.name))


def _leaves(tree: Any) -> list[Any]:
    if isinstance(tree, (list, tuple)):
        return [leaf for item in tree for leaf in _leaves(item)]
    if isinstance(tree, dict):
        return _leaves(list(tree.values()))
    return [tree]
