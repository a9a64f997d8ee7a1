"""One random graph through everything; ``python -m tests.fuzz.running SEED`` runs the graph of a seed alone."""

from __future__ import annotations

import argparse
import warnings
from collections import Counter
from collections.abc import Iterable, Sequence

import torch

from irsql.frontend.captured import CaptureError
from irsql.frontend.export import capture
from irsql.frontend.importer import UnsupportedError
from irsql.frontend.small_sizes import SizeWarning
from tests.fuzz.draw import RUNS, Sizes
from tests.fuzz.graphs import RandomGraph
from tests.models.engine import STAGES, check_everywhere
from tests.models.targets import TARGETS

TOLERANCE = 1e-4
"""Of floats, relative to the largest of a result, or to 1."""


NOT_CAPTURED = (
    "is not a polynomial of the symbolic dims",  # the size min(S, 3) of x[:3], which the IR has no dim for
    "Constraints violated",  # torch.export: the graph would be another one for some sizes
)
"""What a random graph may be refused for; any other refusal is a bug of the compiler or of these tests."""
LANES = ("", "", "tile=chunks:2x2x4", "tile=chunks:3x1x6")
"""Layouts of products by turns: an axis as short as here would stand in one row, if it were not told otherwise."""
LARGE_RUNS: tuple[Sizes, ...] = (RUNS[0], {"B": 5, "S": 17})
"""The runs of graphs that hold for sizes from 4 on."""


def check_seeds(seeds: Iterable[int], targets: Sequence[str] = TARGETS) -> None:
    """Run the graphs of several seeds.

    Raises
    ------
    AssertionError
        With all that fail, or if too few could be captured to test anything.
    """
    found: Counter[str] = Counter()
    problems: list[str] = []
    for seed in seeds:
        try:
            found[check_seed(seed, targets)] += 1
        except AssertionError as error:
            problems.append(str(error))
    print(f"graphs of seeds {seeds} on {', '.join(targets)}: {dict(found)}, {len(problems)} failed")
    assert not problems, "\n\n".join(problems)
    assert found["all"] >= 0.6 * found.total(), f"too few graphs were run in all sizes: {dict(found)}"
    assert found["not captured"] <= 0.2 * found.total(), f"too few graphs were run: {dict(found)}"


def check_seed(seed: int, targets: Sequence[str] = TARGETS) -> str:
    """Compare eager, the interpreter of every stage and targets in all runs of a graph.

    Returns
    -------
    str
        ``all``; ``large`` where torch's graph does not hold for small sizes, so that their runs are left out;
        ``not captured`` where it is refused for one of :data:`NOT_CAPTURED`.

    Raises
    ------
    AssertionError
        With the smallest part of the graph that differs, and how to run it again.
    """
    torch.set_num_threads(1)
    graph = RandomGraph(seed)
    try:
        return check_graph(graph, targets)
    except Exception as error:
        smallest, reason = _shrunk(graph, error, targets)
        on = f" TARGET={targets[0]}" if len(targets) == 1 else ""
        raise AssertionError(f"seed {seed}: {type(reason).__name__}\n{smallest.text()}\n{reason}\n\n{_code(smallest)}\n"
                             f"again: make fuzz GRAPH={seed}{on}") from reason


def check_graph(graph: RandomGraph, targets: Sequence[str] = TARGETS) -> str:
    """The same for a graph; whatever is wrong is raised as it is."""
    with warnings.catch_warnings():
        warnings.simplefilter("error", SizeWarning)
        try:
            _compare(graph, RUNS, targets)
            return "all"
        except SizeWarning:
            pass
        except (CaptureError, UnsupportedError) as error:
            if not _is_expected(error):
                raise
        warnings.simplefilter("ignore", SizeWarning)
        try:
            _compare(graph, LARGE_RUNS, targets, least=4)
            return "large"
        except (CaptureError, UnsupportedError) as error:
            if not _is_expected(error):
                raise
            return "not captured"


def _is_expected(error: CaptureError | UnsupportedError) -> bool:
    said = [row.reason for row in error.rows] if isinstance(error, UnsupportedError) else [str(error)]
    return all(any(reason in text for reason in NOT_CAPTURED) for text in said)


def _compare(graph: RandomGraph, runs: Sequence[Sizes], targets: Sequence[str], least: int = 0) -> None:
    inputs = [graph.inputs(sizes) for sizes in runs]
    check_everywhere(graph, *inputs, dynamic=graph.dynamic(least), stages=STAGES, tolerance=TOLERANCE, least=1.0,
                     targets=targets, lanes=LANES[graph.seed % len(LANES)])


def _shrunk(graph: RandomGraph, error: Exception, targets: Sequence[str]) -> tuple[RandomGraph, Exception]:
    """The graph cut to the first of its values that fails."""
    before = graph.outputs
    for index in range(len(graph.draw.items)):
        graph.outputs = [index]
        try:
            check_graph(graph, targets)
        except Exception as found:
            return graph, found
    graph.outputs = before
    return graph, error


def _code(graph: RandomGraph) -> str:
    """The captured graph, where there is one."""
    try:
        return str(capture(graph, graph.inputs(RUNS[0]), dynamic=graph.dynamic(0)).gm.code).strip()
    except CaptureError as error:
        return str(error)


def main() -> None:
    """Run graphs by their seeds."""
    parser = argparse.ArgumentParser(description="Run the random graph of a seed and print it.")
    parser.add_argument("seed", type=int)
    parser.add_argument("count", type=int, nargs="?", default=1, help="how many, from this seed on")
    parser.add_argument("--target", choices=TARGETS, help="this one alone; by default all")
    args = parser.parse_args()
    found: Counter[str] = Counter()
    for seed in range(args.seed, args.seed + args.count):
        if args.count == 1:
            print(RandomGraph(seed).text())
        try:
            result = check_seed(seed, [args.target] if args.target else TARGETS)
            print(f"{seed}: {result}", flush=True)
        except AssertionError as error:
            result = "failed"
            print(error, flush=True)
        found[result] += 1
    print(dict(found))


if __name__ == "__main__":
    main()
