"""How the next token of a sequence is chosen: the settings, checked, and which of the program's functions they need."""

from __future__ import annotations

import math
from collections.abc import Iterable

import attrs

from irsql.runtime.errors import UserError
from irsql.targets.control import SEED_LIMIT, STREAM_LIMIT

SAMPLERS = ("greedy", "sample", "sample_filtered")
"""The program's functions that choose, each doing all that the one before it does."""


@attrs.frozen(kw_only=True)
class Settings:
    """The settings of one sequence; the names are those of transformers' generation configuration.

    Attributes
    ----------
    temperature
        0 takes the most likely token, larger values draw.
    top_k
        Only the so many most likely tokens, and those that equal the last of them; 0 keeps all.
    top_p
        Only the most likely tokens that reach this probability together; 1 keeps all.
    min_p
        Only tokens with at least this share of the most likely one's probability; 0 keeps all.
    repetition_penalty
        Divides positive logits of the tokens that are there already, and multiplies negative ones; 1 is none.
    seed, stream
        The draw at a position depends on these two alone; sequences of one batch may take different streams.

    Raises
    ------
    UserError
        If a value is outside of its range.
    """

    temperature: float = 0.0
    top_k: int = 0
    top_p: float = 1.0
    min_p: float = 0.0
    repetition_penalty: float = 1.0
    seed: int = 0
    stream: int = 0

    def __attrs_post_init__(self) -> None:
        _check(self.temperature >= 0, "the temperature must be 0 or more", self.temperature)
        _check(_whole(self.top_k) and 0 <= self.top_k < SEED_LIMIT, "top-k must be an integer of 0 or more", self.top_k)
        _check(0 <= self.top_p <= 1, "top-p must be between 0 and 1", self.top_p)
        _check(0 <= self.min_p <= 1, "min-p must be between 0 and 1", self.min_p)
        _check(self.repetition_penalty > 0, "the repetition penalty must be more than 0", self.repetition_penalty)
        for name, limit in (("seed", SEED_LIMIT), ("stream", STREAM_LIMIT)):
            value = getattr(self, name)
            _check(_whole(value) and 0 <= value < limit,
                   f"the {name} must be an integer between 0 and {limit - 1}", value)  # fmt: skip

    @property
    def sampler(self) -> str:
        """The function that can choose so, a member of :data:`SAMPLERS`."""
        filtered = self.temperature > 0 and (self.top_k > 0 or self.top_p < 1 or self.min_p > 0)
        if filtered or self.repetition_penalty != 1:
            return "sample_filtered"
        return "sample" if self.temperature > 0 else "greedy"


COLUMNS = tuple(field.name for field in attrs.fields(Settings))
"""Names of the settings, which are columns of the table of sequences."""


def sampler_for(settings: Iterable[Settings]) -> str:
    """The function that can choose for all of these sequences in one step."""
    return max((s.sampler for s in settings), key=SAMPLERS.index, default=SAMPLERS[0])


def _whole(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _check(holds: bool, rule: str, value: float) -> None:
    try:
        finite, shown = math.isfinite(value), f"{value}"
    except (OverflowError, ValueError):  # an integer beyond the floats, or of more digits than Python prints
        finite, shown = False, f"an integer of {int(value).bit_length()} bits"
    if not (finite and holds):
        raise UserError(f"{rule}, not {shown}")
