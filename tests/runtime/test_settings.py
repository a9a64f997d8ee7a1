from __future__ import annotations

from typing import Any

import attrs
import pytest

from irsql.runtime.errors import UserError
from irsql.runtime.generate import Defaults
from irsql.runtime.settings import COLUMNS, Settings, sampler_for
from irsql.targets.control import SETTINGS


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"temperature": -0.5}, "the temperature must be 0 or more, not -0.5"),
        ({"temperature": float("inf")}, "the temperature must be 0 or more, not inf"),
        ({"top_k": -1}, "top-k must be an integer of 0 or more, not -1"),
        ({"top_k": 2.5}, "top-k must be an integer of 0 or more, not 2.5"),
        ({"top_p": 1.5}, "top-p must be between 0 and 1, not 1.5"),
        ({"min_p": float("nan")}, "min-p must be between 0 and 1, not nan"),
        ({"repetition_penalty": 0}, "the repetition penalty must be more than 0, not 0"),
        ({"seed": 2**62}, f"the seed must be an integer between 0 and {2**62 - 1}, not {2**62}"),
        ({"seed": 10**400}, f"the seed must be an integer between 0 and {2**62 - 1}, not an integer of 1329 bits"),
        ({"top_k": 10**9999}, "top-k must be an integer of 0 or more, not an integer of 33216 bits"),
        ({"temperature": 10**400}, "the temperature must be 0 or more, not an integer of 1329 bits"),
        ({"stream": True}, f"the stream must be an integer between 0 and {2**50 - 1}, not True"),
    ],
)
def test_values_outside_of_their_range(settings: dict[str, Any], sentence: str) -> None:
    with pytest.raises(UserError) as caught:
        Settings(**settings)
    assert str(caught.value) == sentence


def test_the_smallest_function_that_can_choose() -> None:
    assert Settings(top_k=5, top_p=0.5, min_p=0.1).sampler == "greedy"  # nothing is drawn from what they keep
    assert Settings(temperature=1, seed=3).sampler == "sample"
    for name, value in {"top_k": 5, "top_p": 0.5, "min_p": 0.1, "repetition_penalty": 1.2}.items():
        given: dict[str, Any] = {"temperature": 1.0, name: value}
        assert Settings(**given).sampler == "sample_filtered"
    assert Settings(repetition_penalty=0.9).sampler == "sample_filtered"
    assert sampler_for([]) == "greedy"
    assert sampler_for([Settings(), Settings(temperature=1)]) == "sample"
    assert sampler_for([Settings(repetition_penalty=2), Settings(temperature=1)]) == "sample_filtered"


def test_the_table_of_sequences_has_a_column_a_setting() -> None:
    assert tuple(name for name, _ in SETTINGS) == COLUMNS


def test_defaults_of_a_checkpoint() -> None:
    config = {"do_sample": True, "temperature": 0.6, "top_p": 0.9, "top_k": None, "repetition_penalty": 1.1}
    found = Defaults.of_configs({**config, "num_beams": 4, "typical_p": 1.0}, {"eos_token_id": 7})
    assert found == Defaults(Settings(temperature=0.6, top_p=0.9, repetition_penalty=1.1), (7,), ("num_beams=4",))
    config["do_sample"] = False  # the filters hold all the same when a temperature is given
    found = Defaults.of_configs({**config, "eos_token_id": [7, 8]}, {})
    assert found == Defaults(Settings(top_p=0.9, repetition_penalty=1.1), (7, 8))
    assert attrs.evolve(found.settings, temperature=1.0).sampler == "sample_filtered"
    assert Defaults.of_configs({"do_sample": True}, {}).settings == Settings(temperature=1.0)
    assert Defaults.of_configs({}, {}) == Defaults()


@pytest.mark.parametrize(
    ("config", "sentence"),
    [
        ({"temperature": "hot"}, "says temperature: 'hot', which is not a number"),
        ({"top_k": 2.5}, "says top_k: 2.5, which is not an integer"),
        ({"do_sample": True, "temperature": -1}, "the temperature must be 0 or more, not -1"),
        ({"eos_token_id": [3, None]}, r"names no ids at eos_token_id, but \[3, None\]"),
    ],
)
def test_nonsense_in_a_checkpoint(config: dict[str, Any], sentence: str) -> None:
    with pytest.raises(UserError, match=sentence):
        Defaults.of_configs(config, {})
