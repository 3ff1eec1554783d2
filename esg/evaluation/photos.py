"""Evaluates how well the entities of labelled photos are found: AP^e, covering, and whole people, animals, vehicles."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from ..data.labelled import LabelledPhotos
from ..entities.entity_map import EntityMap
from .average_precision import average_precision

Segment = Callable[[np.ndarray], EntityMap]
"""(H, W, 3) uint8 → its entities, including those with low scores."""
Progress = Callable[[int, int], None]

WHOLE = frozenset(
    [
        "person",
        "bicycle",
        "car",
        "motorcycle",
        "airplane",
        "bus",
        "train",
        "truck",
        "boat",
        "bird",
        "cat",
        "dog",
        "horse",
        "sheep",
        "cow",
        "elephant",
        "bear",
        "zebra",
        "giraffe",
    ]
)
"""Categories that people notice first: people, vehicles and animals."""

_LARGE = 0.02  # minimum share of the picture
_FOUND = 0.5  # minimum IoU


def evaluate_entities(
    segment: Segment, photos: LabelledPhotos, *, progress: Progress | None = None
) -> dict[str, float]:
    """Segments photos with panoptic ground truth, in which every segment is an entity.

    Unlabelled areas count as background in AP^e, and are ignored in the covering.

    Args:
        segment: function that segments a photo.
        photos: photos with ground truth.
        progress: called as `progress(photos done, all photos)` after each photo.

    Returns:
        Fractions: all of `average_precision`; `covering`, the mean over all true segments of the best IoU, and
        `covering_by_area`, weighted by their areas; `whole`, the share of people, animals and vehicles of more than 2 %
        of the picture that one entity covers with an IoU of at least 0.5; and `whole_count`, the number of these.
    """
    found, truths = [], []
    best: list[float] = []
    areas: list[int] = []
    whole: list[bool] = []
    for number in range(len(photos)):
        photo = photos[number]
        entities = segment(photo.image)
        known = photo.labels > 0
        found.append(entities)
        truths.append(np.where(known, photo.labels, 0))
        for label, category in enumerate(photo.categories, start=1):
            true = photo.labels == label
            iou = _best_iou(entities.labels, true, known)
            best.append(iou)
            areas.append(int(true.sum()))
            if category in WHOLE and true.sum() > _LARGE * true.size:
                whole.append(_best_iou(entities.labels, true, np.ones_like(true)) >= _FOUND)
        if progress is not None:
            progress(number + 1, len(photos))
    figures = average_precision(found, truths)
    return {
        **figures,
        "covering": _mean(best),
        "covering_by_area": float(np.average(best, weights=areas)) if areas else float("nan"),
        "whole": _mean(whole),
        "whole_count": float(len(whole)),
    }


def _best_iou(labels: np.ndarray, true: np.ndarray, known: np.ndarray) -> float:
    """The highest IoU of an entity with a true mask, over the known pixels."""
    inside = np.bincount(labels[true])
    everywhere = np.bincount(labels[known | true], minlength=len(inside))[: len(inside)]
    union = everywhere + int(true.sum()) - inside
    return float((inside[1:] / np.maximum(union[1:], 1)).max(initial=0.0))


def _mean(values: Sequence[float]) -> float:
    return float(np.mean(values)) if len(values) else float("nan")
