"""Relative positions of entities, as (id, relation, id) triples.

Synthetic scenes have their own relations (`synth.Scene.relations`); those in photos are measured here. "in front of"
cannot be measured.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from .facts import Facts
from .measures import compacted

Relations = tuple[tuple[int, str, int], ...]

_ENCLOSED = 0.95
"""Minimum share of an entity's outline that borders on the entity it is inside."""


def measured_relations(labels: np.ndarray, facts: Sequence[Facts]) -> Relations:
    """Relations between the entities of a label map.

    "left of" and "above": the boxes are disjoint in that direction and overlap in the other one. "inside": the entity
    borders on only one other entity, not counting entities inside itself, and not on the picture's edge.

    Args:
        labels: (H, W) integer, 0 for no entity.
        facts: facts about this label map, in the order of their ids.
    """
    if not facts:
        return ()
    ids = [fact.id for fact in facts]
    x0, y0, x1, y1 = np.array([fact.box for fact in facts]).T
    beside = np.minimum(y1[:, None], y1) > np.maximum(y0[:, None], y0)
    stacked = np.minimum(x1[:, None], x1) > np.maximum(x0[:, None], x0)
    found = []
    for relation, holds in (
        ("inside", _enclosed(labels, len(facts))),
        ("left of", beside & (x1[:, None] <= x0)),
        ("above", stacked & (y1[:, None] <= y0)),
    ):
        found += [(ids[a], relation, ids[b]) for a, b in zip(*(k.tolist() for k in np.nonzero(holds)))]
    return tuple(found)


def _enclosed(labels: np.ndarray, count: int) -> np.ndarray:
    """Whether entity a lies inside b, as (count, count) bool."""
    rows = compacted(labels)[1]
    n = count + 1
    contacts, found = np.zeros((n, n), np.int64), np.zeros((n, n), bool)
    for a, b in ((rows[1:], rows[:-1]), (rows[:, 1:], rows[:, :-1])):
        border = a != b
        contacts += np.bincount(a[border] * n + b[border], minlength=n * n).reshape(n, n)
    contacts += contacts.T
    edge = np.unique(np.concatenate((rows[0], rows[-1], rows[:, 0], rows[:, -1])))
    while True:
        inside = contacts >= _ENCLOSED * np.maximum(contacts.sum(1, keepdims=True), 1)
        inside[edge] = False
        # Entities within an entity do not prevent it from being inside another one.
        if not (within := inside.T & (contacts > 0)).any():
            break
        contacts[within] = 0
        found |= inside
    return found[1:, 1:]
