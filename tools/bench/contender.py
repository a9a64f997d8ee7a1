"""What is compared: anything that can go on from a prefix of given tokens, one token at a time."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

import attrs
import numpy as np
import numpy.typing as npt

from irsql.ir.semantics import TOLERANCE

Array = npt.NDArray[np.float32]


@attrs.frozen(eq=False)
class Prefix:
    """Tokens and the keys and values they leave, computed once by eager PyTorch.

    Attributes
    ----------
    ids
        Token ids, one more than the longest context.
    states
        Name of a state to its values of one sequence: position, head, element.
    logits
        Context to the logits after the token at that position.
    """

    ids: Sequence[int]
    states: Mapping[str, Array]
    logits: Mapping[int, Array]


@attrs.define
class Stopwatch:
    """Times steps.

    Attributes
    ----------
    seconds
        Of each step.
    cpu
        Processor time of each, all threads together: other programs on the machine hardly change it.
    """

    seconds: list[float] = attrs.field(factory=list)
    cpu: list[float] = attrs.field(factory=list)

    @contextmanager
    def step(self) -> Iterator[None]:
        """Time what is done inside."""
        begin, busy = time.perf_counter(), time.process_time()
        yield
        self.seconds.append(time.perf_counter() - begin)
        self.cpu.append(time.process_time() - busy)


@attrs.frozen(eq=False)
class Measured:
    """What one visit found at one context.

    Attributes
    ----------
    steps
        Each step: a token in, the next one out.
    ids
        The tokens that came out, the likeliest each time.
    logits
        After the prefix.
    """

    steps: Stopwatch
    ids: Sequence[int]
    logits: Array


class Contender(ABC):
    """One way to run the model.

    Attributes
    ----------
    name
        For the tables.
    statements
        How many a step runs; None where there are none.
    tolerance
        How far its logits may be off, in parts of the largest.
    """

    name: str
    statements: int | None = None
    tolerance: float = TOLERANCE

    @abstractmethod
    def visit(self, prefix: Prefix, contexts: Sequence[int], steps: int) -> dict[int, Measured]:
        """Open everything, take steps after the prefix of each context, and close everything.

        Parameters
        ----------
        prefix
            Where to go on from; the contexts ascend.
        contexts
            How many positions are there before the first step.
        steps
            Steps that are timed; one before them is not.
        """


def logit_error(got: Array, want: Array) -> float:
    """The error of logits: the largest difference in parts of the largest logit."""
    if got.shape != want.shape or not np.isfinite(got).all():
        return float("inf")
    return float(np.abs(got.astype(np.float64) - want).max() / np.abs(want).max())
