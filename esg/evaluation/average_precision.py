"""AP^e, the metric of entity segmentation: COCO mask AP with all entities in one category (paper Sec. 5)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from ..data.annotated import Segment
from ..entities import rle
from ..entities.entity_map import EntityMap
from ..support.errors import InputError
from .matching import FoundMask, accumulated, by_score, matched, overlaps

Scored = Sequence[tuple["np.ndarray | rle.Rle", float]]
"""Masks, (H, W) bool or COCO RLE, with their scores; they may overlap."""
Truth = np.ndarray | Sequence[Mapping[str, Any]]
"""(H, W) label map, 0 = no entity, or COCO annotations with `segmentation` (RLE) and optionally `area` and
`iscrowd`."""


def average_precision(predictions: Iterable[EntityMap | Scored], truths: Iterable[Truth]) -> dict[str, float]:
    """Average precision and recall of scored masks over a set of pictures, as the official evaluator computes them.

    It is the standard COCO evaluation: IoU thresholds 0.50:0.05:0.95, at most 1, 10 and 100 masks per picture, areas
    split at 32² and 96² pixels, crowd annotations ignored. Overlaps between predictions are not checked.

    Args:
        predictions: the entities of each picture.
        truths: the same number of annotated pictures, in the same order.

    Returns:
        `AP`, `AP50`, `AP75`, `APs`, `APm`, `APl`, `AR1`, `AR10`, `AR100`, `ARs`, `ARm`, `ARl` and `AR50@100`, the
        recall of 100 masks at an IoU of 0.5, as fractions; -1 if no entity of that size is annotated.

    Raises:
        InputError: the numbers of predictions and truths differ, or the masks of a picture differ in size.
        EsgError: pycocotools is not installed.
    """
    results = []
    # Pictures are matched one by one, so that they need not be in memory together.
    try:
        for number, (prediction, truth) in enumerate(zip(predictions, truths, strict=True), start=1):
            found, segments = by_score(_masks(prediction)), list(_segments(truth))
            sizes = {tuple(one["size"]) for one in [*(one.mask for one in found), *(one.mask for one in segments)]}
            if len(sizes) > 1:
                raise InputError(f"The masks of picture {number} differ in size: {sorted(sizes)}.")
            results.append(matched(segments, found, overlaps(segments, found)))
    except ValueError as error:
        if "zip()" not in str(error):
            raise
        raise InputError("The numbers of predictions and annotated pictures differ; give one per picture.") from None
    return accumulated(results).figures()


def _masks(prediction: EntityMap | Scored) -> Iterable[FoundMask]:
    if isinstance(prediction, EntityMap):
        masks = rle.encode_labels(prediction.labels, len(prediction))
        yield from (FoundMask(mask, float(score)) for mask, score in zip(masks, prediction.scores, strict=True))
        return
    for mask, score in prediction:
        yield FoundMask(rle.encode_mask(mask.astype(bool)) if isinstance(mask, np.ndarray) else mask, float(score))


def _segments(truth: Truth) -> Iterable[Segment]:
    if isinstance(truth, np.ndarray):
        ids = np.unique(truth)
        ids = ids[ids > 0]
        consecutive = np.searchsorted(ids, truth) + 1
        consecutive[~np.isin(truth, ids)] = 0
        yield from (Segment(mask) for mask in rle.encode_labels(consecutive.astype(np.int32), len(ids)))
        return
    for one in truth:
        yield Segment(one["segmentation"], crowd=bool(one.get("iscrowd")), area=one.get("area"))
