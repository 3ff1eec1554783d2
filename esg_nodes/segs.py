"""SEGS, the format of ComfyUI-Impact-Pack: ((H, W), [SEG, ...]); the Impact Pack need not be installed.

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
    """One SEG for each entity, in numerical order, even if it is in several pieces.

    Args:
        entities: entities of one picture.
        labels: a text for each entity.
        factor: side of the crop region as a multiple of the box's side; the region ends at the picture's border.
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
    """Reads SEGS.

    Where masks overlap, the one with the higher score gets the pixel, and if the scores are equal, the smaller one.
    Parts beyond the picture's border are cut off.

    Args:
        segs: the value from another node.
        threshold: mask values above this belong to the entity.

    Returns:
        The entities, their labels in numerical order, and a reason for each SEG that was skipped.

    Raises:
        InputError: it is not SEGS, or none of its SEGs can be used.
    """
    try:
        (height, width), items = segs
        size, items = (int(height), int(width)), [*items]
    except (TypeError, ValueError):
        raise InputError("segs is not SEGS; connect SEGS from the Impact Pack or from Entities to SEGS.") from None
    if min(size) < 1:
        raise InputError(f"These SEGS are of an empty picture ({size[1]}x{size[0]} pixels); connect other SEGS.")
    found, odd = [], []
    for place, item in enumerate(items, start=1):
        try:
            found.append(_read(item, threshold))
        except (TypeError, ValueError, AttributeError, IndexError):
            odd.append(f"the mask, score or region of SEG {place} cannot be read")
    if items and not found:
        where = "connect SEGS from the Impact Pack or from Entities to SEGS"
        raise InputError(f"These SEGS cannot be used: {odd[0]}; {where}.")
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
    """The parts of a SEG that are used; raises errors of NumPy and Python if something is missing."""
    mask = np.asarray(item.cropped_mask)
    if mask.ndim == 3:  # some nodes make masks with an extra axis
        mask = mask[0] if len(mask) == 1 else mask[..., 0] if mask.shape[2] == 1 else mask
    if mask.ndim != 2 or mask.dtype.kind not in "biuf":
        raise ValueError("no mask")
    score = float(np.max(item.confidence))
    if not np.isfinite(score):
        raise ValueError("no score")
    left, top = int(item.crop_region[0]), int(item.crop_region[1])
    return _Seg(mask > threshold, score, top, left, str(item.label or ""))


def _grown(start: int, stop: int, factor: float, end: int) -> tuple[int, int]:
    """A range enlarged around its middle to `factor` times its length, within 0..end."""
    more = (stop - start) * (factor - 1) / 2
    return max(0, round(start - more)), min(end, round(stop + more))
