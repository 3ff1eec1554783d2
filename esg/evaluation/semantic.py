"""Semantic segmentation: mean IoU and accuracy of classes, as detectron2 computes them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..data.annotated import AnnotatedPhoto, AnnotatedPhotos, Segment
from ..data.problems import Problems
from ..entities import rle
from ..support.errors import InputError
from ..support.progress import ItemProgress
from .journal import Journal
from .matching import FoundMask, by_score
from .per_photo import Measure, measure_all, problems_of, refuse_without_truth
from .predictions import Predictions


@dataclass(frozen=True)
class SemanticEvaluation:
    """The results for a data set.

    Attributes:
        figures: fractions: `mIoU`, `fwIoU` (weighted by the frequency of classes), `mACC`, the mean accuracy of
            classes, `pACC`, the share of right pixels, and `photos`, the number of photos.
        by_category: the IoU of each class that occurs in the truth, by name.
        problems: what was left out.
    """

    figures: dict[str, float]
    by_category: dict[str, float]
    problems: Problems


class SemanticMeasure(Measure):
    """Counts the pixels of one photo by their true class and the class that was found."""

    def __call__(self, photo: AnnotatedPhoto, found: Sequence[FoundMask], problems: Problems) -> Mapping[str, Any]:
        """{"pixels": [[true class, found class, number], ...]}; -1: no class was found."""
        true = classes(photo.segments, photo.size)
        predicted = classes(list(reversed(by_score(found))), photo.size)
        known = true >= 0  # the other pixels are void
        if not known.any():
            problems.add("photos without annotated classes", photo.name)
        width = int(predicted.max()) + 2  # from -1 on
        pairs, numbers = np.unique(true[known] * width + predicted[known] + 1, return_counts=True)
        rows, columns = np.divmod(pairs, width)
        return {"pixels": np.stack([rows, columns - 1, numbers], axis=1).tolist()}


def classes(masks: Sequence[Segment] | Sequence[FoundMask], size: tuple[int, int]) -> np.ndarray:
    """The category at every pixel, column by column, -1 = none; later masks are on top."""
    columns = np.full(size[0] * size[1], -1, np.int32)
    for one in masks:
        if one.category is not None:
            rle.paint(one.mask, columns, one.category)
    return columns


def evaluate_semantic(
    photos: AnnotatedPhotos,
    predictions: Predictions,
    *,
    workers: int = 1,
    journal: Journal | None = None,
    progress: ItemProgress | None = None,
) -> SemanticEvaluation:
    """Measures semantic segmentation. Pixels that are not annotated are void and do not count.

    Args:
        photos: the truth, with categories.
        predictions: areas with categories. Where they overlap, the higher score is on top. A pixel without a class is
            wrong.
        workers, journal, progress: as for `measure_all`.

    Raises:
        InputError: the truth does not have categories, or nothing can be measured.
    """
    if not photos.categories:
        raise InputError(f"{photos.name} does not have categories, which mean IoU needs.")
    records = measure_all(photos, predictions, SemanticMeasure(), workers=workers, journal=journal, progress=progress)
    table = np.zeros((len(photos.categories), len(photos.categories) + 1), np.int64)  # the last column: no class
    for record in records:
        for true, predicted, number in (record["result"] or {"pixels": []})["pixels"]:
            table[true, predicted] += number
    right, true, predicted = np.diag(table), table.sum(1), table[:, :-1].sum(0)
    present = true > 0
    refuse_without_truth(bool(present.any()), "classes", photos)
    iou = right[present] / (true + predicted - right)[present]
    figures = {
        "mIoU": float(iou.mean()),
        "fwIoU": float(np.average(iou, weights=true[present])),
        "mACC": float((right[present] / true[present]).mean()),
        "pACC": float(right.sum() / true.sum()),
        "photos": float(sum(record["result"] is not None for record in records)),
    }
    names = [one.name for one, here in zip(photos.categories, present, strict=True) if here]
    return SemanticEvaluation(
        figures, dict(zip(names, iou.tolist(), strict=True)), problems_of(records, photos, predictions)
    )
