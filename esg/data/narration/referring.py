"""Referring expressions: phrases for one entity that require a close look at the picture."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from .facts import Facts
from .phrases import Scenery, salient_first
from .relations import Relations
from .words import SAID


def refer(facts: Sequence[Facts], relations: Relations, rng: np.random.Generator) -> tuple[str, tuple[int, ...]] | None:
    """An expression that can only refer to one entity, and that entity's id.

    Mostly it needs a relation: for "the green disc above the striped bar", there is one striped bar but several green
    discs. If there is no such expression, and sometimes even if there is, it needs attributes: for "the large red
    disc", there are several discs, but only one that could be called large and red.

    Args:
        facts: facts about all entities of a picture.
        relations: (id, relation, id) triples about them.
        rng: random generator.

    Returns:
        The expression in lower case and a tuple of one id, or None if there is no such expression for any entity of the
        picture.
    """
    scenery = Scenery(facts, relations)
    order = salient_first(rng, [fact.area for fact in facts])
    by_attributes, by_relation = _refer_by_attributes, _refer_by_relation
    for way in (by_attributes, by_relation) if rng.random() < 0.25 else (by_relation, by_attributes):
        for k in order:
            if expression := way(scenery, rng, k):
                return expression, scenery.ids(1 << k)
    return None


def _refer_by_relation(scenery: Scenery, rng: np.random.Generator, k: int) -> str | None:
    anchors = scenery.anchors[k]
    for pick in rng.permutation(len(anchors)).tolist():
        relation, b = anchors[pick]
        for phrase, needed in scenery.by_relation(k, relation, b, rng):
            if needed and not phrase.plural and (anchor := scenery.describe(b, rng)):
                ways = SAID[relation][-1:] if phrase.place else SAID[relation]  # not "on the left left of"
                return f"the {phrase.text} {ways[int(rng.integers(len(ways)))]} the {anchor.text}"
    return None


def _refer_by_attributes(scenery: Scenery, rng: np.random.Generator, k: int) -> str | None:
    if scenery.clear[scenery.facts[k].noun].bit_count() < 2:
        return None
    phrase = scenery.describe(k, rng)
    return f"the {phrase.text}" if phrase else None
