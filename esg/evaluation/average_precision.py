"""AP^e, the metric of entity segmentation: COCO mask AP with all entities in one category (paper Sec. 5)."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from ..entities import rle
from ..entities.entity_map import EntityMap
from ..support.errors import EsgError, InputError

Scored = Sequence[tuple["np.ndarray | rle.Rle", float]]
"""Masks, (H, W) bool or COCO RLE, with their scores; they may overlap."""
Truth = np.ndarray | Sequence[Mapping[str, Any]]
"""(H, W) label map, 0 = no entity, or COCO annotations with `segmentation` (RLE) and optionally `area` and
`iscrowd`."""

NAMES = ("AP", "AP50", "AP75", "APs", "APm", "APl", "AR1", "AR10", "AR100", "ARs", "ARm", "ARl")


def average_precision(predictions: Iterable[EntityMap | Scored], truths: Iterable[Truth]) -> dict[str, float]:
    """Average precision and recall of scored masks over a set of pictures, as the official evaluator computes them.

    It is the standard COCO evaluation: IoU thresholds 0.50:0.05:0.95, at most 1, 10 and 100 masks per picture, areas
    split at 32² and 96² pixels, crowd annotations ignored. Overlaps between predictions are not checked.

    Args:
        predictions: the entities of each picture.
        truths: the same number of annotated pictures, in the same order.

    Returns:
        `AP`, `AP50`, `AP75`, `APs`, `APm`, `APl`, `AR1`, `AR10`, `AR100`, `ARs`, `ARm`, `ARl` as fractions; -1 if no
        entity of that size is annotated.

    Raises:
        InputError: the numbers of predictions and truths differ, or the masks of a picture differ in size.
        EsgError: pycocotools is not installed.
    """
    try:
        from pycocotools.coco import COCO
        from pycocotools.cocoeval import COCOeval
    except ImportError:
        raise EsgError(
            "Average precision needs pycocotools: pip install pycocotools (or the extra esg[train])."
        ) from None

    images: list[dict[str, Any]] = []
    found: list[dict[str, Any]] = []
    annotated: list[dict[str, Any]] = []
    # Label maps are encoded one by one, so that the pictures need not be in memory together.
    try:
        for number, (prediction, truth) in enumerate(zip(predictions, truths, strict=True), start=1):
            masks = [_annotation(number, mask, score=float(score)) for mask, score in _masks(prediction)]
            entities = [_annotation(number, **annotation) for annotation in _annotations(truth)]
            sizes = {tuple(annotation["segmentation"]["size"]) for annotation in masks + entities}
            if len(sizes) > 1:
                raise InputError(f"The masks of picture {number} differ in size: {sorted(sizes)}.")
            height, width = sizes.pop() if sizes else (0, 0)
            images.append({"id": number, "height": height, "width": width})
            found += masks
            annotated += entities
    except ValueError as error:
        if "zip()" not in str(error):
            raise
        raise InputError("The numbers of predictions and annotated pictures differ; give one per picture.") from None

    with contextlib.redirect_stdout(io.StringIO()):  # pycocotools prints
        evaluation = COCOeval(_coco(COCO(), images, annotated), _coco(COCO(), images, found), "segm")
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    return dict(zip(NAMES, map(float, evaluation.stats), strict=True))


def _masks(prediction: EntityMap | Scored) -> Iterable[tuple[rle.Rle, float]]:
    if isinstance(prediction, EntityMap):
        yield from zip(rle.encode_labels(prediction.labels, len(prediction)), prediction.scores, strict=True)
        return
    for mask, score in prediction:
        yield (rle.encode_mask(mask.astype(bool)) if isinstance(mask, np.ndarray) else mask), score


def _annotations(truth: Truth) -> Iterable[dict[str, Any]]:
    if isinstance(truth, np.ndarray):
        ids = np.unique(truth)
        ids = ids[ids > 0]
        consecutive = np.searchsorted(ids, truth) + 1
        consecutive[truth == 0] = 0
        for mask in rle.encode_labels(consecutive.astype(np.int32), len(ids)):
            yield {"segmentation": mask}
        return
    for annotation in truth:
        yield {key: annotation[key] for key in ("segmentation", "area", "iscrowd") if key in annotation}


def _annotation(image: int, segmentation: rle.Rle, **fields: Any) -> dict[str, Any]:
    default = {"area": rle.area(segmentation), "iscrowd": 0}
    return {"image_id": image, "category_id": 1, "segmentation": segmentation, **default, **fields}


def _coco(coco: Any, images: list[dict[str, Any]], annotations: list[dict[str, Any]]) -> Any:
    for number, annotation in enumerate(annotations, start=1):  # COCO takes an id of 0 for "no match"
        annotation["id"] = number
    coco.dataset = {"images": images, "annotations": annotations, "categories": [{"id": 1, "name": "entity"}]}
    coco.createIndex()
    return coco
