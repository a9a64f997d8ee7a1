"""llama.cpp on a GGUF file with the same float32 weights, through ``llama-cpp-python`` (extra ``peers``)."""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from irsql.frontend.checkpoint import Checkpoint
from irsql.tools.bench.contender import Contender, Measured, Prefix, Stopwatch
from irsql.tools.bench.peers import gguf_file

_F32 = 0
"""The type of keys and values in ggml's list."""
_BATCH = 512


def absent() -> str:
    """Why llama.cpp cannot take part; empty where it can."""
    missing = [name for name in ("llama_cpp", "gguf") if importlib.util.find_spec(name) is None]
    if not missing:
        return ""
    verb = "is" if len(missing) == 1 else "are"
    return f"not run, for {' and '.join(missing)} {verb} not installed: pip install 'irsql[peers]'"


class LlamaCpp(Contender):
    """llama.cpp; it computes keys and values itself, for they cannot be given to it."""

    name = "llama.cpp, F32"

    def __init__(self, folder: Path, work: Path, threads: int, positions: int) -> None:
        self._folder, self._threads, self._positions = folder, threads, positions
        self._file = work / f"{folder.name}-{Checkpoint.open(folder).fingerprint()[:8]}.gguf"
        self._known: dict[int, Any] = {}  # keys and values of a context, which take minutes to compute

    def visit(self, prefix: Prefix, contexts: Sequence[int], steps: int) -> dict[int, Measured]:
        """Take steps after the prefix of each context."""
        if not self._file.exists():
            gguf_file.write(self._folder, self._file)
        llama_cpp = importlib.import_module("llama_cpp")
        model = llama_cpp.Llama(str(self._file), n_ctx=self._positions, n_batch=_BATCH, n_threads=self._threads,
                                n_threads_batch=self._threads, type_k=_F32, type_v=_F32, logits_all=False,
                                verbose=False)  # fmt: skip
        out, given = {}, 0
        try:
            for context in contexts:
                if context in self._known:
                    model.load_state(self._known[context])
                else:
                    model.n_tokens = given  # what was drawn is forgotten
                    model.eval(list(prefix.ids[given:context]))
                    self._known[context] = model.save_state()
                given = context
                model.eval([prefix.ids[context]])
                logits = _logits(model)
                ids, watch = [int(logits.argmax())], Stopwatch()
                for _ in range(steps):
                    with watch.step():
                        model.eval([ids[-1]])
                        ids.append(int(_logits(model).argmax()))
                out[context] = Measured(watch, ids, logits)
        finally:
            model.close()
        return out


def _logits(model: Any) -> np.ndarray[Any, Any]:
    """The logits of the last token."""
    return np.ctypeslib.as_array(model._ctx.get_logits_ith(-1), shape=(model.n_vocab(),)).copy()
