"""Combines two maps of a picture, and corrects a map with a painted mask. Returns a new map, and its ids by old ids.

A label map has one entity per pixel, so every function here states which entity gets a pixel. Entities left without a
pixel disappear; the others are renumbered by the rule of EntityMap (descending score, then area, then old id).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np

from ..support.checks import check_number, is_whole
from ..support.errors import InputError
from ..support.strips import strips
from .entity_map import EntityMap
from .grounding import Grounding, Phrase
from .label_arrays import look_up


class Combined(NamedTuple):
    """A map, and the new ids of the entities that went into it.

    Attributes:
        entities: the map.
        new_ids: (K + 1,) int32, entry k is the new id of old id k, 0 if it has disappeared; entry 0 is 0.
    """

    entities: EntityMap
    new_ids: np.ndarray


def union(a: EntityMap, b: EntityMap) -> Combined:
    """The entities of both maps: a pixel goes to the higher score, then to the smaller entity, then to `a`.

    This equals `EntityMap.from_masks` with the masks of `a`, then those of `b`. An entity found in both maps is not
    merged: the copy with the lower score keeps the pixels that stick out, which `cleanup.drop_small` can remove.

    Returns:
        `new_ids` continues with the entities of `b` after those of `a`: entry len(a) + k is for entity k of `b`, so
        `follow(grounding_of_b, new_ids[len(a):])` updates a grounding of `b`.

    Raises:
        InputError: the maps differ in size.

    >>> one, other = EntityMap.from_labels(np.array([[1, 0]]), [0.5]), EntityMap.from_labels(np.array([[1, 1]]), [0.9])
    >>> union(one, other).entities.labels.tolist()
    [[1, 1]]
    >>> union(one, other).new_ids.tolist()  # the entity of `one` disappears, and that of `other` becomes 1
    [0, 0, 1]
    """
    _check_same_size(a, b)
    scores = np.concatenate([a.scores, b.scores])
    rank = np.empty(len(scores) + 1, np.int64)
    rank[np.lexsort((np.concatenate([a.areas, b.areas]), -scores)) + 1] = np.arange(len(scores))
    rank[0] = len(scores)  # background never wins
    labels = np.empty(a.labels.shape, np.int32)
    for rows in strips(a.height, a.width):
        of_a, of_b = a.labels[rows], b.labels[rows]
        of_b = np.where(of_b > 0, of_b + np.int32(len(a)), of_b)
        labels[rows] = np.where(rank[of_b] < rank[of_a], of_b, of_a)
    return numbered(labels, scores, a.names + b.names)


def subtract(a: EntityMap, b: EntityMap) -> Combined:
    """`a` without the pixels of any entity in `b`; `new_ids` is for `a`. InputError if the sizes differ.

    >>> one, other = EntityMap.from_labels(np.array([[1, 1]])), EntityMap.from_labels(np.array([[0, 1]]))
    >>> subtract(one, other).entities.labels.tolist()
    [[1, 0]]
    """
    _check_same_size(a, b)
    return numbered(np.where(b.labels > 0, np.int32(0), a.labels), a.scores, a.names)


def intersect(a: EntityMap, b: EntityMap) -> Combined:
    """`a` only where `b` has any entity; `new_ids` is for `a`. InputError if the sizes differ.

    >>> one, other = EntityMap.from_labels(np.array([[1, 1]])), EntityMap.from_labels(np.array([[0, 1]]))
    >>> intersect(one, other).entities.labels.tolist()
    [[0, 1]]
    """
    _check_same_size(a, b)
    return numbered(np.where(b.labels > 0, a.labels, np.int32(0)), a.scores, a.names)


def merge(entities: EntityMap, ids: Iterable[int]) -> Combined:
    """Merges entities into one with their highest score, so that a weak part does not pull it below a threshold.

    The name is that of the best of them that has one.

    Raises:
        InputError: an id does not exist.

    >>> entities = EntityMap.from_labels(np.array([[1, 2, 3]]), [0.9, 0.6, 0.3])
    >>> combined = merge(entities, [1, 3])
    >>> combined.entities.labels.tolist()
    [[1, 2, 1]]
    """
    merged = entities.checked_ids(ids)
    if not len(merged):
        return Combined(entities, np.arange(len(entities) + 1, dtype=np.int32))
    target = np.arange(len(entities) + 1, dtype=np.int32)
    target[merged] = merged[0]  # the lowest id, and so the highest score
    names = [*entities.names]
    names[merged[0] - 1] = next((names[k - 1] for k in merged if names[k - 1]), None)
    joined = numbered(look_up(target, entities.labels), entities.scores, names)
    return Combined(joined.entities, joined.new_ids[target])


def split(entities: EntityMap, entity_id: int | None, mask: np.ndarray, *, score: float | None = None) -> Combined:
    """Turns a painted mask into a new entity, cut out of the entities beneath; its name is that of the best of them.

    Args:
        entities: the map.
        entity_id: the entity to cut from; paint outside it is ignored. None: the whole painted area, including
            background.
        mask: (H, W) bool, or integers where every value but 0 is painted.
        score: score of the new entity; by default the highest score of the entities it is cut from, or 1 if there are
            none.

    Returns:
        `new_ids` has one entry more than there were ids: the last one is the new entity, 0 if nothing was painted.

    Raises:
        InputError: the id does not exist, the mask is invalid or has another size, or the score is not finite.

    >>> entities = EntityMap.from_labels(np.array([[1, 1, 1]]), [0.9])
    >>> split(entities, 1, np.array([[False, False, True]]), score=0.5).entities.labels.tolist()
    [[1, 1, 2]]
    """
    painted = _checked_mask(entities, mask)
    if entity_id is not None:
        _check_one(entities, entity_id)
        painted = painted & (entities.labels == entity_id)
    beneath = entities.labels[painted]
    best = int(beneath[beneath > 0].min(initial=len(entities) + 1))
    there = best <= len(entities)
    if score is None:
        score = float(entities.scores[best - 1]) if there else 1.0
    check_number("score", score)
    labels = np.where(painted, np.int32(len(entities) + 1), entities.labels)
    names = (*entities.names, entities.names[best - 1] if there else None)
    return numbered(labels, np.append(entities.scores, np.float32(score)), names)


def assign(entities: EntityMap, entity_id: int, mask: np.ndarray, *, remove: bool = False) -> Combined:
    """Assigns painted pixels to an entity, whichever had them before; or removes them from it, leaving background.

    Args:
        entities: the map.
        entity_id: the entity; its score does not change.
        mask: (H, W) bool, or integers where every value but 0 is painted.
        remove: removes pixels instead of adding them; then paint outside the entity is ignored.

    Raises:
        InputError: the id does not exist, or the mask is invalid or has another size.

    >>> entities = EntityMap.from_labels(np.array([[1, 1, 2]]), [0.9, 0.5])
    >>> assign(entities, 2, np.array([[False, True, False]])).entities.labels.tolist()
    [[1, 2, 2]]
    """
    _check_one(entities, entity_id)
    painted = _checked_mask(entities, mask)
    if remove:
        painted = painted & (entities.labels == entity_id)
    labels = np.where(painted, np.int32(0 if remove else entity_id), entities.labels)
    return numbered(labels, entities.scores, entities.names)


def follow(grounding: Grounding, new_ids: np.ndarray) -> Grounding:
    """The grounding with the new ids of its entities; entities that have disappeared are removed from their phrases.

    If entities of a phrase were merged, the highest score is kept. Phrases left without entities stay.

    Args:
        grounding: grounding of the old map.
        new_ids: as in `Combined`.

    Raises:
        InputError: the grounding refers to an id that `new_ids` does not have.

    >>> entities = EntityMap.from_labels(np.array([[1, 2]]), [0.9, 0.5])
    >>> grounding = Grounding("A dog.", (Phrase("dog", (2, 5), (2,), (0.8,)),))
    >>> combined = subtract(entities, EntityMap.from_labels(np.array([[1, 0]])))  # entity 1 goes, so 2 becomes 1
    >>> follow(grounding, combined.new_ids).phrases[0].entity_ids
    (1,)
    """
    return Grounding(grounding.caption, tuple(_following(phrase, new_ids) for phrase in grounding.phrases))


def _following(phrase: Phrase, new_ids: np.ndarray) -> Phrase:
    unknown = [number for number in phrase.entity_ids if number >= len(new_ids)]
    if unknown:
        raise InputError(
            f"The grounding belongs to other entities: it refers to entity {unknown[0]}, but there were "
            f"{len(new_ids) - 1}."
        )
    scores: dict[int, float] = {}
    for number, score in zip(phrase.entity_ids, phrase.scores):  # by descending score, so the first one is the highest
        scores.setdefault(int(new_ids[number]), score)
    scores.pop(0, None)
    return Phrase(phrase.text, phrase.span, tuple(scores), tuple(scores.values()))


def numbered(labels: np.ndarray, scores: np.ndarray, names: Sequence[str | None] | None = None) -> Combined:
    """`EntityMap.from_labels`, and the new ids of the labels 1..len(scores)."""
    entities = EntityMap.from_labels(labels, scores, names)
    new_ids = np.zeros(len(scores) + 1, np.int32)
    for rows in strips(entities.height, entities.width):
        new_ids[labels[rows]] = entities.labels[rows]  # a label has one new id, so the order of writing does not matter
    return Combined(entities, new_ids)


def _check_same_size(a: EntityMap, b: EntityMap) -> None:
    if a.labels.shape != b.labels.shape:
        raise InputError(
            f"Only maps of the same picture can be combined, but these have {a.width}x{a.height} and "
            f"{b.width}x{b.height} pixels."
        )


def _check_one(entities: EntityMap, entity_id: int) -> None:
    if not is_whole(entity_id):
        raise InputError(f"An entity id is a single whole number, not {entity_id!r}.")
    entities.checked_ids(entity_id)


def _checked_mask(entities: EntityMap, mask: np.ndarray) -> np.ndarray:
    mask = np.asarray(mask)
    if mask.dtype.kind not in "biu":
        raise InputError(f"A mask must be bool, not {mask.dtype}; threshold it first: mask > 0.5.")
    if mask.shape != entities.labels.shape:
        raise InputError(
            f"The mask must have the picture's size, (height, width) = {entities.labels.shape}, not {mask.shape}."
        )
    return mask != 0
