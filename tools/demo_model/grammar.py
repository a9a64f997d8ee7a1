"""The story grammar: seeded random stories in simple English.

Names, pronouns, places and things are chosen once a story and stay; sentences follow from one another because a plot
fixes their order and binds what belongs together (see :mod:`irsql.tools.demo_model.plots`).
"""

from __future__ import annotations

import random
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import TypeVar

from irsql.tools.demo_model import lexicon
from irsql.tools.demo_model.lexicon import Row
from irsql.tools.demo_model.plots import ENDINGS, LIFE, OPENINGS, PLOTS, Plot

T = TypeVar("T")

_SLOT = re.compile(r"\{(\w+)(?:\.(\w+))?\}")
_CHOICE = re.compile(r"\[([^\[\]]*)\]")
_ARTICLE = re.compile(r"\b([Aa]) (?=[aeiou])")
_SENTENCE = re.compile(r'((?:^|[.!?] |[.]" ))([a-z])')
_NEW_NAME_RATE = 0.08


def pick(rng: random.Random, items: Sequence[T]) -> T:
    """Choose an item with probability proportional to ``1/sqrt(rank)``.

    The skew is for the demo: a model trained on evenly chosen alternatives would have near ties between its first
    and second token, and a greedy continuation would hang on the last bits of the arithmetic.
    """
    return rng.choices(items, [(rank + 1) ** -0.5 for rank in range(len(items))])[0]


def expand(rng: random.Random, template: str, slots: Mapping[str, Row]) -> str:
    """Choose every ``[a|b]`` of a template, innermost first, and fill its ``{slot.field}``."""
    found = 1
    while found:
        template, found = _CHOICE.subn(lambda match: pick(rng, match.group(1).split("|")), template)
    return _SLOT.sub(lambda match: slots[match.group(1)][match.group(2) or "name"], template)


def _person(name: str, kind: str, female: bool) -> Row:
    forms = ("she", "her", "her") if female else ("he", "him", "his")
    row = {"name": name, "kind": kind} | dict(zip(("they", "them", "their"), forms, strict=True))
    return row | {"They": row["they"].capitalize(), "Their": row["their"].capitalize()}


def _name(rng: random.Random, names: Sequence[str]) -> str:
    if rng.random() < _NEW_NAME_RATE:
        return "".join(rng.sample(lexicon.SYLLABLES, rng.choice((2, 3)))).capitalize()
    return pick(rng, names)


def _cast(rng: random.Random, indoors: bool) -> dict[str, Row]:
    """Hero, friend, grown-up and place; the friend has the other pronoun, so that 'he' and 'she' stay clear."""
    human, female = rng.random() < 0.6, rng.random() < 0.5
    if human:
        hero = _person(_name(rng, lexicon.GIRLS if female else lexicon.BOYS), "girl" if female else "boy", female)
        friend = _person(_name(rng, lexicon.BOYS if female else lexicon.GIRLS), "boy" if female else "girl", not female)
        grownup, places = pick(rng, lexicon.GROWNUPS_HUMAN), lexicon.PLACES_HUMAN
    else:
        kinds = [pick(rng, lexicon.ANIMALS)]
        kinds.append(pick(rng, [kind for kind in lexicon.ANIMALS if kind != kinds[0]]))
        hero = _person(_name(rng, lexicon.ANIMAL_GIRLS if female else lexicon.ANIMAL_BOYS), kinds[0], female)
        friend = _person(_name(rng, lexicon.ANIMAL_BOYS if female else lexicon.ANIMAL_GIRLS), kinds[1], not female)
        grownup, places = pick(rng, lexicon.GROWNUPS_ANIMAL), lexicon.PLACES_ANIMAL
    place = pick(rng, [row for row in places if indoors or row["name"] not in lexicon.PLACES_WITH_ROOF])
    grownup = _person(grownup["name"], "", grownup["they"] == "she")
    home = pick(rng, lexicon.HOMES_HUMAN if human else lexicon.HOMES_ANIMAL)
    cast = {"h": hero, "f": friend, "m": grownup, "p": place}
    cast["trait"] = {"name": pick(rng, lexicon.TRAITS)}
    cast["hobby"] = {"name": pick(rng, lexicon.HOBBIES)}
    return cast | {"home": {"name": expand(rng, home, cast)}}


def _join(parts: Sequence[str]) -> str:
    """Sentences as one paragraph: single spaces, 'an' before a vowel, capitals where a sentence begins."""
    text = " ".join(" ".join(parts).split())
    text = _ARTICLE.sub(r"\1n ", text)
    return _SENTENCE.sub(lambda match: match.group(1) + match.group(2).upper(), text)


def story(rng: random.Random, plot: Plot | None = None) -> str:
    """One story.

    Parameters
    ----------
    rng
        Where all choices come from.
    plot
        The plot to tell; by default one is drawn.
    """
    plot = plot or rng.choice(PLOTS)
    slots = _cast(rng, plot.indoors)
    row = dict(pick(rng, plot.rows))
    if "they" in row:
        row["They"] = row["they"].capitalize()
    slots[plot.slot] = row
    for name, template in (("life", LIFE), ("day", plot.day), ("scene", plot.scene)):
        slots[name] = {"name": expand(rng, template, slots)}
    parts = [expand(rng, pick(rng, OPENINGS), slots)]
    parts += [expand(rng, beat, slots) for beat in plot.beats]
    tail = [plot.moral] if rng.random() < 0.7 else []
    if not tail or rng.random() < 0.5:
        tail.append(pick(rng, ENDINGS[: plot.last]))
    return _join(parts + [expand(rng, template, slots) for template in tail])


def stories(seed: int) -> Iterator[str]:
    """An endless, reproducible stream of stories."""
    rng = random.Random(seed)
    while True:
        yield story(rng)
