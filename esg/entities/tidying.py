"""Tidies an EntityMap: drops weak and small entities, fills holes, removes islands. Each function returns a new map.

Areas are whole numbers of pixels, 0 or more; anything else, or a score that is not a number, is an InputError.
"""

from __future__ import annotations

import numpy as np

from ..support.checks import check_number, check_whole
from .entity_map import EntityMap
from .label_arrays import find_runs, paint_runs, regions, touching_below


def drop_weak(entities: EntityMap, min_score: float) -> EntityMap:
    """Drops the entities whose score is below `min_score`."""
    check_number("min_score", min_score)  # scores of other programs may lie outside 0..1
    return entities.keep(np.flatnonzero(entities.scores >= np.float32(min_score)) + 1)


def drop_small(entities: EntityMap, min_area: int) -> EntityMap:
    """Drops the entities of fewer than `min_area` pixels."""
    check_whole("min_area", min_area, 0)
    return entities.keep(np.flatnonzero(entities.areas >= min_area) + 1)


def fill_holes(entities: EntityMap, max_area: int) -> EntityMap:
    """Adds small holes to the entity around them.

    A hole is a 4-connected background region of at most `max_area` pixels that touches exactly one entity and not the
    border of the picture.
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
    return EntityMap.from_labels(paint_runs(runs, filled, height, width), entities.scores)


def remove_islands(entities: EntityMap, min_area: int) -> EntityMap:
    """Sets 8-connected parts of an entity of fewer than `min_area` pixels to 0, but never its largest part."""
    check_whole("min_area", min_area, 0)
    height, width = entities.labels.shape
    runs = find_runs(entities.labels)
    region = regions(runs, height, width, diagonal=True)
    areas = _region_areas(runs.starts, runs.stops, region)
    _, first_run = np.unique(region, return_index=True)
    label = runs.labels[first_run]
    by_label = np.lexsort((first_run, -areas, label))  # within a label: largest first, then the one further up
    _, largest = np.unique(label[by_label], return_index=True)
    goes = (areas < min_area) & (label > 0)
    goes[by_label[largest]] = False
    return EntityMap.from_labels(
        paint_runs(runs, np.where(goes[region], np.int32(0), runs.labels), height, width), entities.scores
    )


def _region_areas(starts: np.ndarray, stops: np.ndarray, region: np.ndarray) -> np.ndarray:
    return np.bincount(region, weights=stops - starts).astype(np.int64)
