"""SEGS, as ComfyUI-Impact-Pack has it: ((H, W), [SEG, ...]); it need not be there.

A SEG has `cropped_image` (None or IMAGE), `cropped_mask` (h, w) float32, `confidence`, `crop_region` and `bbox`
(x1, y1, x2, y2; the region is the box grown), `label` and `control_net_wrapper`.
"""

from __future__ import annotations

from collections import namedtuple
from collections.abc import Sequence
from typing import Any

import numpy as np

from ..esg import EntityMap, InputError

SEG = namedtuple(
    "SEG",
    ["cropped_image", "cropped_mask", "confidence", "crop_region", "bbox", "label", "control_net_wrapper"],
    defaults=[None],
)


def to_segs(entities: EntityMap, labels: Sequence[str], factor: float) -> tuple[tuple[int, int], list[SEG]]:
    """One SEG for each entity, in the order of their numbers; one that lies in several pieces stays one.

    Args:
        entities: of one picture.
        labels: a text for each.
        factor: side of the crop region as a multiple of the box's; it ends at the border of the picture.
    """
    found = []
    for number, ((x0, y0, x1, y1), label) in enumerate(zip(entities.boxes.tolist(), labels), start=1):
        left, right = _grown(x0, x1, factor, entities.width)
        top, bottom = _grown(y0, y1, factor, entities.height)
        mask = (entities.labels[top:bottom, left:right] == number).astype(np.float32)
        confidence = float(entities.scores[number - 1])
        found.append(SEG(None, mask, confidence, (left, top, right, bottom), (x0, y0, x1, y1), label, None))
    return (entities.height, entities.width), found


def from_segs(segs: Any, threshold: float) -> tuple[EntityMap, list[str]]:
    """The entities of SEGS, and their labels in the order of their numbers.

    Of masks that overlap, the surer one gets the pixel, and of equally sure ones the smaller.

    Args:
        segs: from any node.
        threshold: of soft masks; what is above belongs to the entity.

    Raises:
        InputError: it is no SEGS.
    """
    try:
        (height, width), items = segs
        size = (int(height), int(width))
        scores = [float(np.max(item.confidence)) for item in items]
        masks = [_flat(np.asarray(item.cropped_mask)) > threshold for item in items]
        corners = [(int(item.crop_region[0]), int(item.crop_region[1])) for item in items]
        names = [str(item.label or "") for item in items]
        labels = np.zeros(size, np.int32)
        for index in np.lexsort(([mask.sum() for mask in masks], [-score for score in scores]))[::-1]:
            (left, top), mask = corners[index], masks[index]
            labels[top : top + mask.shape[0], left : left + mask.shape[1]][mask] = index + 1
    except (TypeError, ValueError, AttributeError, IndexError) as error:
        raise InputError(f"This is no SEGS ({error}); connect one of the Impact Pack or of Entities to SEGS.") from None
    entities = EntityMap.from_labels(labels, scores)
    ids, first = np.unique(entities.labels, return_index=True)
    return entities, [names[labels.flat[place] - 1] for number, place in zip(ids, first) if number]


def _flat(mask: np.ndarray) -> np.ndarray:
    """Some nodes make cropped masks of the shape (1, h, w)."""
    return mask[0] if mask.ndim == 3 and len(mask) == 1 else mask


def _grown(start: int, stop: int, factor: float, end: int) -> tuple[int, int]:
    """A range grown about its middle to `factor` times its length, within 0..end."""
    more = (stop - start) * (factor - 1) / 2
    return max(0, round(start - more)), min(end, round(stop + more))
