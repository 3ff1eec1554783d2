"""SEGS, as ComfyUI-Impact-Pack has it: ((H, W), [SEG, ...]); it need not be there.

A SEG has `cropped_image` (None or IMAGE), `cropped_mask` (h, w) float32, `confidence`, `crop_region` and `bbox`
(x1, y1, x2, y2; the region is the box grown), `label` and `control_net_wrapper`.
"""

from __future__ import annotations

from collections import namedtuple
from collections.abc import Sequence
from typing import Any, NamedTuple

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


def from_segs(segs: Any, threshold: float) -> tuple[EntityMap, list[str], list[str]]:
    """The entities of SEGS, their labels in the order of their numbers, and why some SEGs were left out.

    Of masks that overlap, the surer one gets the pixel, and of equally sure ones the smaller. What lies beyond the
    border of the picture is cut off.

    Args:
        segs: from any node.
        threshold: of soft masks; what is above belongs to the entity.

    Raises:
        InputError: it is not a SEGS, or none of its SEGs can be used.
    """
    try:
        (height, width), items = segs
        size, items = (int(height), int(width)), [*items]
    except (TypeError, ValueError):
        raise InputError("This is not a SEGS; connect one from the Impact Pack or from Entities to SEGS.") from None
    if min(size) < 1:
        raise InputError(f"These SEGS are of a picture of {size[1]}x{size[0]} pixels; connect those of a picture.")
    found, odd = [], []
    for place, item in enumerate(items, start=1):
        try:
            found.append(_read(item, threshold))
        except (TypeError, ValueError, AttributeError, IndexError):
            odd.append(f"SEG {place} has no mask, score or region that can be read")
    if items and not found:
        where = "connect one of the Impact Pack or of Entities to SEGS"
        raise InputError(f"This SEGS cannot be used: {odd[0]}; {where}.")
    labels = np.zeros(size, np.int32)
    ranks = [np.array([one.mask.sum() for one in found]), np.array([-one.score for one in found])]
    for index in np.lexsort(ranks)[::-1]:
        one = found[index]
        top, left = max(one.top, 0), max(one.left, 0)
        mask = one.mask[top - one.top :, left - one.left :][: max(size[0] - top, 0), : max(size[1] - left, 0)]
        labels[top : top + mask.shape[0], left : left + mask.shape[1]][mask] = index + 1
    entities = EntityMap.from_labels(labels, [one.score for one in found])
    ids, first = np.unique(entities.labels, return_index=True)
    names = [found[labels.flat[place] - 1].name for number, place in zip(ids, first) if number]
    return entities, names, odd


class _Seg(NamedTuple):
    mask: np.ndarray
    score: float
    top: int
    left: int
    name: str


def _read(item: Any, threshold: float) -> _Seg:
    """What is used of a SEG; it raises what NumPy and Python raise where something is missing."""
    mask = np.asarray(item.cropped_mask)
    if mask.ndim == 3:  # some nodes make masks with an axis too many
        mask = mask[0] if len(mask) == 1 else mask[..., 0] if mask.shape[2] == 1 else mask
    if mask.ndim != 2 or mask.dtype.kind not in "biuf":
        raise ValueError("no mask")
    score = float(np.max(item.confidence))
    if not np.isfinite(score):
        raise ValueError("no score")
    left, top = int(item.crop_region[0]), int(item.crop_region[1])
    return _Seg(mask > threshold, score, top, left, str(item.label or ""))


def _grown(start: int, stop: int, factor: float, end: int) -> tuple[int, int]:
    """A range grown about its middle to `factor` times its length, within 0..end."""
    more = (stop - start) * (factor - 1) / 2
    return max(0, round(start - more)), min(end, round(stop + more))
