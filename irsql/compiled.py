"""A compiled module: call it with tensors, look at its SQL and at its IR."""

from __future__ import annotations

import threading
import weakref
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from irsql.ir.dims import evaluate
from irsql.ir.dims import parse as parse_dim
from irsql.relations import Relations
from irsql.targets.program import Program, TableSpec
from irsql.targets.tables import from_arrow, to_arrow

if TYPE_CHECKING:
    import torch

    from irsql.compile import Compilation
    from irsql.frontend.captured import Captured
    from irsql.frontend.weights import ModuleWeights


class Compiled:
    """A module that runs as SQL in an in-memory database.

    Parameters
    ----------
    compilation
        Program and IR of the module.
    captured
        How calls map to the program's inputs and outputs.
    weights
        The module's parameters; they are loaded once, here.
    relations
        Where to; by default a database of its own.
    """

    def __init__(self, compilation: Compilation, captured: Captured, weights: ModuleWeights,
                 relations: Relations | None = None) -> None:
        self.program: Program = compilation.program
        self._stages, self._captured = compilation.stages, captured
        self._function = self.program.functions["forward"]
        relations = relations or Relations(self.program.target)
        relations.add(self.program, weights)
        weakref.finalize(self, relations.release, [s.table.name for s in self.program.stored])
        self._db = relations.db.cursor()
        control = self._db.control
        for statement in (*(control.create_spec(spec) for spec in self._function.inputs),
                          *control.temporaries(self.program)):  # fmt: skip
            self._db.execute(statement)
        self._lock = threading.Lock()
        self._plan = [self._db.prepare(text) for text in control.statements(self._function)]

    def __repr__(self) -> str:
        given = ", ".join(f"{spec.source}: {list(spec.extents)}" for spec in self._function.inputs)
        return f"<module compiled to {len(self._function.statements)} {self.program.target} statements ({given})>"

    @property
    def sql(self) -> str:
        """The statements of one call, in order."""
        return ";\n\n".join(s.sql for s in self._function.statements) + ";\n"

    def ir(self, stage: str = "sql") -> str:
        """The IR as it left a stage: ``tir``, ``rel``, ``tiled`` or ``sql``.

        Raises
        ------
        KeyError
            If there is no such stage.
        """
        if stage not in self._stages:
            raise KeyError(f"no stage {stage!r}; there are {', '.join(self._stages)}")
        return self._stages[stage]

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Run the module on tensors; the result has the structure of the module's own.

        Raises
        ------
        ValueError
            If an argument has a shape or a type the program was not compiled for.
        irsql.frontend.captured.CaptureError
            If the arguments have another structure, or one that is no tensor has another value.
        """
        import torch
        from torch.utils import _pytree as pytree

        tensors = self._captured.user_tensors(args, kwargs)
        for given, tensor in zip(self._captured.of_kind("user"), tensors, strict=True):
            dtype = str(tensor.dtype if isinstance(tensor, torch.Tensor) else np.asarray(tensor).dtype)
            if dtype.removeprefix("torch.") != given.dtype:
                raise ValueError(f"argument {given.target} is {dtype.removeprefix('torch.')}, expected {given.dtype}")
        arrays = [_array(t) if isinstance(t, torch.Tensor) else np.asarray(t) for t in tensors]
        symbols = self._symbols([a.shape for a in arrays])
        with self._lock:  # one connection, one call at a time
            tables = self._run(arrays, symbols)
        results: list[Any] = []
        for out in self._captured.outputs:
            if out.kind == "constant":
                results.append(out.value)
                continue
            array = from_arrow(*next(tables), symbols)
            results.append(int(array) if out.kind == "symint" else
                           torch.from_numpy(array).to(getattr(torch, out.dtype)))
        spec_out = self._captured.out_spec
        return pytree.tree_unflatten(results, spec_out) if spec_out is not None else results[0]

    def _run(self, arrays: list[np.ndarray[Any, Any]], symbols: Mapping[str, int]) -> Iterator[tuple[TableSpec, Any]]:
        """Fill the input tables, run the statements and read the result tables."""
        with self._db.transaction():
            for spec, array in zip(self._function.inputs, arrays, strict=True):
                self._db.execute(self._db.control.delete(spec.name))
                self._db.insert(spec.name, to_arrow(spec, array))
            self._fill_dims(symbols)
            for statement in self._plan:
                self._db.execute(statement)
            return iter([(spec, self._db.read(spec)) for spec in self._function.outputs])

    def accepts(self, tensors: Iterable[torch.Tensor]) -> bool:
        """Whether the module was compiled for tensors of these shapes."""
        try:
            self._symbols([tuple(t.shape) for t in tensors])
        except ValueError:
            return False
        return True

    def _symbols(self, shapes: Sequence[tuple[int, ...]]) -> dict[str, int]:
        """Values of the symbols from the shapes of the arguments, each checked."""
        symbols: dict[str, int] = {}
        for spec, shape in zip(self._function.inputs, shapes, strict=True):
            if len(shape) != len(spec.extents):
                raise ValueError(f"argument {spec.source} has {len(shape)} dimensions, expected {len(spec.extents)}")
            for extent, size in zip(spec.extents, shape, strict=True):
                if isinstance(extent, str) and extent.isidentifier():
                    symbols.setdefault(extent, size)
        for spec, shape in zip(self._function.inputs, shapes, strict=True):
            self._check(spec, shape, symbols)
        for name, (low, high) in self._function.ranges.items():
            if name in symbols and not low <= symbols[name] <= high:
                raise ValueError(f"the size {name} is {symbols[name]}, outside of [{low}, {high}]")
        return symbols

    @staticmethod
    def _check(spec: TableSpec, shape: tuple[int, ...], symbols: Mapping[str, int]) -> None:
        wanted = [e if isinstance(e, int) else evaluate(parse_dim(e), symbols) for e in spec.extents]
        if list(shape) != wanted:
            raise ValueError(f"argument {spec.source} has the shape {list(shape)}, expected {list(spec.extents)}")

    def _fill_dims(self, symbols: Mapping[str, int]) -> None:
        names = self._function.symbols
        for statement in self._db.control.set_dims(self.program, {n: symbols[n] for n in names}) if names else ():
            self._db.execute(statement)


def _array(tensor: torch.Tensor) -> np.ndarray[Any, Any]:
    """The values of a tensor; NumPy has no bfloat16, and float32 holds all of its values."""
    data = tensor.detach().cpu()
    return np.asarray((data.float() if str(data.dtype) == "torch.bfloat16" else data).numpy())
