"""Two maps of one picture made one, and a map mended with a painted mask. Each gives a new map, and what became of ids.

A label map has one entity a pixel, so every function here says who gets a pixel. Entities that are left without a pixel
are gone; the others are numbered anew by the rule of EntityMap (descending score, then area, then old id).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np

from .checks import check_number, is_whole
from .entities import EntityMap
from .errors import InputError
from .grounding import Grounding, Phrase
from .labelmap import look_up, strips


class Combined(NamedTuple):
    """A map, and where the ids that went into it are now.

    Attributes:
        entities: the map.
        new_ids: (K + 1,) int32, entry k is the new id of old id k, 0 when it is gone; entry 0 is 0.
    """

    entities: EntityMap
    new_ids: np.ndarray


def union(a: EntityMap, b: EntityMap) -> Combined:
    """The entities of both: a pixel goes to the higher score, then to the smaller entity, then to `a`.

    That is what `EntityMap.from_masks` does with the masks of `a` and then of `b`. Entities that both maps have are not
    joined: the one with the lower score keeps what sticks out, which `cleanup.drop_small` can take away.

    Returns:
        `new_ids` counts the entities of `b` on from those of `a`: entry len(a) + k is that of entity k of `b`, so that
        `follow(grounding_of_b, new_ids[len(a):])` goes on with a grounding of `b`.

    Raises:
        InputError: the maps differ in size.
    """
    _check_same_size(a, b)
    scores = np.concatenate([a.scores, b.scores])
    rank = np.empty(len(scores) + 1, np.int64)
    rank[np.lexsort((np.concatenate([a.areas, b.areas]), -scores)) + 1] = np.arange(len(scores))
    rank[0] = len(scores)  # no entity wins over none
    labels = np.empty(a.labels.shape, np.int32)
    for rows in strips(a.height, a.width):
        of_a, of_b = a.labels[rows], b.labels[rows]
        of_b = np.where(of_b > 0, of_b + np.int32(len(a)), of_b)
        labels[rows] = np.where(rank[of_b] < rank[of_a], of_b, of_a)
    return numbered(labels, scores)


def subtract(a: EntityMap, b: EntityMap) -> Combined:
    """`a` without the pixels that any entity of `b` has; `new_ids` is of `a`. InputError: they differ in size."""
    _check_same_size(a, b)
    return numbered(np.where(b.labels > 0, np.int32(0), a.labels), a.scores)


def intersect(a: EntityMap, b: EntityMap) -> Combined:
    """`a` only where `b` has an entity, whichever; `new_ids` is of `a`. InputError: they differ in size."""
    _check_same_size(a, b)
    return numbered(np.where(b.labels > 0, a.labels, np.int32(0)), a.scores)


def merge(entities: EntityMap, ids: Iterable[int]) -> Combined:
    """Makes several entities one, with the highest of their scores: a weak part does not pull it below a threshold.

    Raises:
        InputError: an id does not exist.
    """
    merged = entities.checked_ids(ids)
    if not len(merged):
        return Combined(entities, np.arange(len(entities) + 1, dtype=np.int32))
    target = np.arange(len(entities) + 1, dtype=np.int32)
    target[merged] = merged[0]  # the lowest id, and so the highest score
    joined = numbered(look_up(target, entities.labels), entities.scores)
    return Combined(joined.entities, joined.new_ids[target])


def split(entities: EntityMap, entity_id: int | None, mask: np.ndarray, *, score: float | None = None) -> Combined:
    """Makes a painted mask an entity of its own, cut out of what lies beneath.

    Args:
        entities: the map.
        entity_id: only what is painted on this entity is cut out of it; None takes all that is painted, from every
            entity and from none.
        mask: (H, W) bool, or whole numbers where all but 0 is painted.
        score: of the new entity; by default the highest of those that it is cut out of, or 1 where there is none.

    Returns:
        `new_ids` has one entry more than there were ids: the last is the new entity, 0 if nothing was painted.

    Raises:
        InputError: the id does not exist, the mask is none or of another size, or the score is not finite.
    """
    painted = _checked_mask(entities, mask)
    if entity_id is not None:
        _check_one(entities, entity_id)
        painted = painted & (entities.labels == entity_id)
    if score is None:
        beneath = entities.labels[painted]
        beneath = beneath[beneath > 0]
        score = float(entities.scores[beneath.min() - 1]) if len(beneath) else 1.0
    check_number("score", score)
    labels = np.where(painted, np.int32(len(entities) + 1), entities.labels)
    return numbered(labels, np.append(entities.scores, np.float32(score)))


def assign(entities: EntityMap, entity_id: int, mask: np.ndarray, *, remove: bool = False) -> Combined:
    """Gives painted pixels to an entity, whoever had them; or takes them from it, and then nobody has them.

    Args:
        entities: the map.
        entity_id: the entity; its score stays as it is.
        mask: (H, W) bool, or whole numbers where all but 0 is painted.
        remove: takes away instead of giving; what is painted beside the entity does not matter then.

    Raises:
        InputError: the id does not exist, or the mask is none or of another size.
    """
    _check_one(entities, entity_id)
    painted = _checked_mask(entities, mask)
    if remove:
        painted = painted & (entities.labels == entity_id)
    return numbered(np.where(painted, np.int32(0 if remove else entity_id), entities.labels), entities.scores)


def follow(grounding: Grounding, new_ids: np.ndarray) -> Grounding:
    """The grounding with the ids that its entities have now; those that are gone leave their phrases.

    Of entities that became one, a phrase keeps the highest score. Phrases stay, even if they mean nothing any more.

    Args:
        grounding: of the map before.
        new_ids: as in `Combined`.

    Raises:
        InputError: the grounding means an id that `new_ids` does not know.
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
    for number, score in zip(phrase.entity_ids, phrase.scores):  # by descending score: the first one is the highest
        scores.setdefault(int(new_ids[number]), score)
    scores.pop(0, None)
    return Phrase(phrase.text, phrase.span, tuple(scores), tuple(scores.values()))


def numbered(labels: np.ndarray, scores: np.ndarray) -> Combined:
    """`EntityMap.from_labels`, and the new ids of the labels 1..len(scores)."""
    entities = EntityMap.from_labels(labels, scores)
    new_ids = np.zeros(len(scores) + 1, np.int32)
    for rows in strips(entities.height, entities.width):
        new_ids[labels[rows]] = entities.labels[rows]  # one label has one new id, so the order of writing is no matter
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
