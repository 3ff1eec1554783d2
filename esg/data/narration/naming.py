"""Texts about photos whose entities have names: lists of names to look for, and descriptions that name things."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

import numpy as np

from ...language.captions import category_caption, phrase_caption
from ...language.coco_names import ALSO, NAMES, UNCOUNTED
from ...language.plain_sentence import listed, sentence
from .facts import Facts
from .teller import Mention, Narrative
from .words import plural


def names_to_find(facts: Sequence[Facts], rng: np.random.Generator, absent: int) -> Narrative:
    """A list of names, each with all entities that it clearly applies to, and some names that are not in the picture.

    A name that is merely arguable for some entity is skipped.

    Args:
        facts: facts of all entities, see `facts.named_facts`.
        rng: random generator.
        absent: number of names that are not in the picture.
    """
    arguable = {word for fact in facts for word in fact.words - fact.clear}
    here = {fact.noun for fact in facts}
    here |= {other for noun in sorted(here) for other in ALSO.get(noun, ()) if rng.random() < 0.5}
    there = [name for name in sorted(here) if name not in arguable]
    possible = [name for name in NAMES if not any(name in fact.words for fact in facts)]
    missing = rng.choice(possible, min(absent, len(possible)), replace=False).tolist()
    found = {name: tuple(sorted(fact.id for fact in facts if name in fact.clear)) for name in [*there, *missing]}
    return _listed(found, {fact.noun: fact.kind for fact in facts}, rng)


def names_listed(
    there: Mapping[str, Sequence[int]], categories: Sequence[str], rng: np.random.Generator, absent: int
) -> Narrative:
    """A list of the categories in a picture, each with its entities, and of some that are not in it.

    Args:
        there: entities by category; may be empty, unless there are other categories.
        categories: all categories of the data set.
        rng: random generator.
        absent: number of categories that are not in the picture.
    """
    possible = [name for name in categories if name not in there]
    missing = rng.choice(possible, min(absent, len(possible)), replace=False).tolist() if possible else []
    found: dict[str, tuple[int, ...]] = {}
    called: dict[str, str] = {}
    for name in [*there, *missing]:  # several categories may be called the same
        spoken = spoken_name(name)
        spoken = called.setdefault(spoken.casefold(), spoken)
        found[spoken] = tuple(sorted({*found.get(spoken, ()), *there.get(name, ())}))
    return _listed(found, {}, rng)


def spoken_name(name: str) -> str:
    """A category's name as words, of several synonyms the first one.

    >>> spoken_name("Allen-key"), spoken_name("building, edifice"), spoken_name("person_(woman)")
    ('Allen key', 'building', 'person')
    """
    first = re.split(r"[,;(]", name)[0]
    return " ".join(re.sub(r"[-_.]", " ", first).split()) or name


def _listed(
    found: Mapping[str, tuple[int, ...]], kinds: Mapping[str, str | None], rng: np.random.Generator
) -> Narrative:
    """A sentence that lists names in random order, with the entities of each."""
    names = [*found]
    rng.shuffle(names)
    if rng.random() < 0.5:
        caption, spans = category_caption(names)
    else:
        written = [plural(name) if len(found[name]) > 1 and rng.random() < 0.5 else name for name in names]
        caption, spans = phrase_caption(written)
    mentions = (
        Mention((start, end), found[name], kinds.get(name), len(found[name]) > 1)
        for name, (start, end) in zip(names, spans, strict=True)
    )
    return Narrative(caption, tuple(mentions))


_UNDERFOOT = ("grass", "snow", "sand", "road", "pavement", "playing field", "dirt", "gravel", "floor", "wooden floor")


def described(names: Sequence[str], rng: np.random.Generator) -> str:
    """A sentence that names things and where they are: "A person and two dogs on the grass with trees."

    Args:
        names: see `coco_names.counted_names`, at least one.
        rng: random generator.
    """
    ground = next((name for name in names if name in _UNDERFOOT), None)
    stuff = [name for name in names if name in UNCOUNTED and name != ground]
    things = [name for name in names if name != ground and name not in stuff]
    if not things:
        text = listed([*stuff, *([ground] if ground else [])])
        return sentence(f"a view of {text}" if rng.random() < 0.5 else text)
    text = listed(things)
    if ground:
        text += f" on the {ground}"
    if stuff:
        text += f" {('with', 'and')[int(rng.integers(2))]} {listed(stuff)}"
        if rng.random() < 0.5:
            text += " in the background"
    return sentence(text)
