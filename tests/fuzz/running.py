"""One random graph through everything."""

from __future__ import annotations

import torch

from tests.fuzz.graphs import BATCH, RandomGraph
from tests.models.engine import STAGES, check_everywhere

TOLERANCE = 1e-4


def check_seed(seed: int, length: int = 8) -> None:
    """Compare everything on batches of the example, 0, 1 and 7.

    Raises
    ------
    AssertionError
        With the graph that differs.
    """
    torch.set_num_threads(1)
    graph = RandomGraph(seed, length)
    inputs = [graph.inputs(batch) for batch in (BATCH, 0, 1, 7)]
    batch = {0: "B"}
    try:
        check_everywhere(graph, *inputs, dynamic={"x": batch, "y": batch, "ids": batch}, stages=STAGES,
                         tolerance=TOLERANCE, least=1.0)
    except Exception as error:
        raise AssertionError(f"seed {seed}: {type(error).__name__}\n{graph.text()}\n{error}") from error
