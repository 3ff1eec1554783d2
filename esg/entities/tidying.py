"""Tidies an EntityMap: drops weak and small entities, fills holes, removes islands, absorbs specks.

Each function returns a new map. Areas are whole numbers of pixels, 0 or more; anything else, or a score that is not a
number, is an InputError.
"""

from __future__ import annotations

import numpy as np

from ..support.checks import check_number, check_whole
from .entity_map import EntityMap
from .label_arrays import Runs, find_runs, paint_runs, regions, touching_below


def drop_weak(entities: EntityMap, min_score: float) -> EntityMap:
    """Drops the entities whose score is below `min_score`.

    >>> entities = EntityMap.from_labels(np.array([[1, 1, 2, 2]]), [0.9, 0.4])
    >>> drop_weak(entities, 0.5).labels.tolist()
    [[1, 1, 0, 0]]
    """
    check_number("min_score", min_score)  # scores of other programs may lie outside 0..1
    return entities.keep(np.flatnonzero(entities.scores >= np.float32(min_score)) + 1)


def drop_small(entities: EntityMap, min_area: int) -> EntityMap:
    """Drops the entities of fewer than `min_area` pixels.

    >>> entities = EntityMap.from_labels(np.array([[1, 1, 1, 2]]))
    >>> drop_small(entities, 2).labels.tolist()
    [[1, 1, 1, 0]]
    """
    check_whole("min_area", min_area, 0)
    return entities.keep(np.flatnonzero(entities.areas >= min_area) + 1)


def fill_holes(entities: EntityMap, max_area: int) -> EntityMap:
    """Adds small holes to the entity around them.

    A hole is a 4-connected background region of at most `max_area` pixels that touches exactly one entity and not the
    border of the picture.

    >>> entities = EntityMap.from_labels(np.array([[1, 1, 1], [1, 0, 1], [1, 1, 1]]))
    >>> fill_holes(entities, 1).labels.tolist()
    [[1, 1, 1], [1, 1, 1], [1, 1, 1]]
    """
    check_whole("max_area", max_area, 0)
    height, width = entities.labels.shape
    runs = find_runs(entities.labels)
    region = regions(runs, height, width, diagonal=False)
    count = region.max() + 1
    empty_region = np.zeros(count, bool)
    empty_region[region[runs.labels == 0]] = True
    at_border = (runs.starts % width == 0) | (runs.stops % width == 0)
    at_border |= (runs.starts < width) | (runs.starts >= (height - 1) * width)
    fillable = empty_region & (_region_areas(runs.starts, runs.stops, region) <= max_area)
    fillable[region[at_border]] = False

    # The smallest and the largest label next to each region; they are equal if a single entity surrounds it.
    above, below = touching_below(runs, height, width, diagonal=False)
    beside = np.flatnonzero(runs.stops[:-1] % width != 0)
    one = np.concatenate([above, below, beside, beside + 1])
    other = np.concatenate([below, above, beside + 1, beside])
    matters = fillable[region[one]] & (runs.labels[other] != 0)
    one, other = one[matters], other[matters]
    lowest = np.full(count, len(entities) + 1, np.int32)
    highest = np.zeros(count, np.int32)
    np.minimum.at(lowest, region[one], runs.labels[other])
    np.maximum.at(highest, region[one], runs.labels[other])
    filled = np.where((fillable & (lowest == highest))[region], highest[region], runs.labels)
    return EntityMap.from_labels(paint_runs(runs, filled, height, width), entities.scores, entities.names)


def remove_islands(entities: EntityMap, min_area: int) -> EntityMap:
    """Sets 8-connected parts of an entity of fewer than `min_area` pixels to 0, but never its largest part.

    >>> entities = EntityMap.from_labels(np.array([[1, 1, 0, 1]]))
    >>> remove_islands(entities, 2).labels.tolist()
    [[1, 1, 0, 0]]
    """
    check_whole("min_area", min_area, 0)
    height, width = entities.labels.shape
    runs = find_runs(entities.labels)
    region = regions(runs, height, width, diagonal=True)
    areas = _region_areas(runs.starts, runs.stops, region)
    label, largest = _labels_and_largest(runs, region, areas)
    goes = (areas < min_area) & (label > 0) & ~largest
    kept = np.where(goes[region], np.int32(0), runs.labels)
    return EntityMap.from_labels(paint_runs(runs, kept, height, width), entities.scores, entities.names)


def absorb_specks(entities: EntityMap, max_area: int) -> EntityMap:
    """Gives every speck to the neighbour with which it shares the longest border.

    A speck is a 4-connected region of at most `max_area` pixels, of background or of an entity whose largest part lies
    elsewhere. No entity is lost, and none gets a speck of its own.

    >>> entities = EntityMap.from_labels(np.array([[1, 1, 1, 0, 2, 2, 1, 2]]), [0.9, 0.4])
    >>> absorb_specks(entities, 1).labels.tolist()
    [[1, 1, 1, 1, 2, 2, 2, 2]]
    """
    check_whole("max_area", max_area, 0)
    height, width = entities.labels.shape
    runs = find_runs(entities.labels)
    region = regions(runs, height, width, diagonal=False)
    areas = _region_areas(runs.starts, runs.stops, region)
    label, largest = _labels_and_largest(runs, region, areas)
    speck = (areas <= max_area) & ((label == 0) | ~largest)
    one, other, length = _borders(runs, region, height, width)
    while speck.any():  # from outside in: specks may lie in specks
        usable = speck[one] & ~speck[other]
        if not usable.any():
            break
        order = np.lexsort((-length[usable], one[usable]))
        absorbed, longest = np.unique(one[usable][order], return_index=True)
        label[absorbed] = label[other[usable][order][longest]]
        speck[absorbed] = False
    return EntityMap.from_labels(paint_runs(runs, label[region], height, width), entities.scores, entities.names)


def _labels_and_largest(runs: Runs, region: np.ndarray, areas: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The label of each region, and whether it is the largest of its label; of equal ones, the one further up."""
    _, first_run = np.unique(region, return_index=True)
    label = runs.labels[first_run]
    by_label = np.lexsort((first_run, -areas, label))
    _, first_of_label = np.unique(label[by_label], return_index=True)
    largest = np.zeros(len(label), bool)
    largest[by_label[first_of_label]] = True
    return label, largest


def _borders(runs: Runs, region: np.ndarray, height: int, width: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Pairs of regions that touch, in both orders, and the length of their border in pixels."""
    above, below = touching_below(runs, height, width, diagonal=False)
    starts, ends = runs.starts % width, (runs.stops - 1) % width + 1
    below_length = np.minimum(ends[above], ends[below]) - np.maximum(starts[above], starts[below])
    beside = np.flatnonzero(runs.stops[:-1] % width != 0)
    one, other = region[np.concatenate([above, beside])], region[np.concatenate([below, beside + 1])]
    length = np.concatenate([below_length, np.ones(len(beside), np.int64)])
    apart = one != other
    one, other, length = one[apart], other[apart], length[apart]
    one, other, length = np.append(one, other), np.append(other, one), np.append(length, length)
    pairs, place = np.unique(one.astype(np.int64) * (region.max() + 1) + other, return_inverse=True)
    return *np.divmod(pairs, region.max() + 1), np.bincount(place.ravel(), weights=length)


def _region_areas(starts: np.ndarray, stops: np.ndarray, region: np.ndarray) -> np.ndarray:
    return np.bincount(region, weights=stops - starts).astype(np.int64)
