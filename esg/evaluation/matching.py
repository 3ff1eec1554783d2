"""Matches scored masks with annotated ones as COCO's evaluator does, one photo at a time.

pycocotools holds the masks of all photos until the end. Here each photo leaves only its results: the scores, and which
masks were matched at which IoU. They are plain lists, so that they can be kept in a JSON file.
"""

from __future__ import annotations

import contextlib
import copy
import io
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from ..data.annotated import Segment
from ..entities import rle
from ..support.errors import EsgError
from .boundaries import boundary

NAMES = ("AP", "AP50", "AP75", "APs", "APm", "APl", "AR1", "AR10", "AR100", "ARs", "ARm", "ARl")
MOST = 100
"""Maximum number of masks that count in a photo: those with the highest scores."""
_AREAS = {"all": (0.0, 1e10), "small": (0.0, 32.0**2), "medium": (32.0**2, 96.0**2), "large": (96.0**2, 1e10)}
_THRESHOLDS = 10  # of IoU: 0.50:0.05:0.95
_BITS = 1 << np.arange(_THRESHOLDS)


class FoundMask(NamedTuple):
    """A mask that was found.

    Attributes:
        mask: COCO RLE.
        score: how certain the program is; higher is more certain.
        category: its category, as an index of the categories of the truth; None if it has none.
    """

    mask: rle.Rle
    score: float
    category: int | None = None


@dataclass(frozen=True)
class Accumulated:
    """Precision and recall over all photos.

    Attributes:
        precision: (10 IoU thresholds, 101 recalls, K categories, 4 areas, 3 numbers of masks); -1: nothing annotated.
        recall: (10, K, 4, 3); -1: nothing annotated.
    """

    precision: np.ndarray
    recall: np.ndarray

    def figures(self) -> dict[str, float]:
        """`NAMES` and `AR50@100`, the recall of 100 masks at an IoU of 0.5, as fractions; -1: nothing annotated."""
        precision, recall = self.precision, self.recall
        values = [
            precision[..., 0, 2],
            precision[0, ..., 0, 2],
            precision[5, ..., 0, 2],
            *(precision[..., area, 2] for area in (1, 2, 3)),
            *(recall[..., 0, most] for most in (0, 1, 2)),
            *(recall[..., area, 2] for area in (1, 2, 3)),
        ]
        figures = dict(zip(NAMES, map(_mean, values), strict=True))
        return figures | {"AR50@100": _mean(recall[0, :, 0, 2])}

    def by_category(self) -> list[float]:
        """The AP of each category; -1: nothing annotated."""
        return [_mean(self.precision[:, :, k, 0, 2]) for k in range(self.precision.shape[2])]

    def by_iou(self) -> list[float]:
        """The AP at each of the 10 IoU thresholds."""
        return [_mean(one[..., 0, 2]) for one in self.precision]

    def curve(self, threshold: int) -> list[float]:
        """The precision at the recalls 0, 0.01 ... 1, at one of the 10 IoU thresholds, as a mean over categories."""
        known = self.precision[threshold, :, :, 0, 2]
        known = known[:, known[0] > -1]
        return known.mean(1).tolist() if known.shape[1] else []


def _mean(values: np.ndarray) -> float:
    values = values[values > -1]
    return float(values.mean()) if values.size else -1.0


def by_score(found: Iterable[FoundMask]) -> list[FoundMask]:
    """Masks by descending score; at equal scores the earlier one comes first."""
    return sorted(found, key=lambda one: -one.score)


def overlaps(truth: Sequence[Segment], found: Sequence[FoundMask]) -> np.ndarray:
    """The IoU of every found mask with every true one, (found, true); for crowds, the share of the mask inside."""
    if not truth or not found:
        return np.zeros((len(found), len(truth)))
    masks = pycocotools()[0]
    crowds = [int(one.crowd) for one in truth]
    return masks.iou([_bytes(one.mask) for one in found], [_bytes(one.mask) for one in truth], crowds)


def clipped(found: Sequence[FoundMask], area: rle.Rle) -> list[FoundMask]:
    """The parts of found masks that lie inside an area."""
    merge, inside = pycocotools()[0].merge, _bytes(area)
    return [one._replace(mask=merge([_bytes(one.mask), inside], intersect=True)) for one in found]


def boundary_overlaps(truth: Sequence[Segment], found: Sequence[FoundMask], ious: np.ndarray) -> np.ndarray:
    """The smaller of mask IoU and boundary IoU (Cheng et al., "Boundary IoU", CVPR 2021), (found, true).

    Args:
        ious: the result of `overlaps` for the same masks.
    """
    if not truth or not found:
        return ious
    thin = [Segment(boundary(one.mask), crowd=one.crowd) for one in truth]
    return np.minimum(ious, overlaps(thin, [FoundMask(boundary(one.mask), one.score) for one in found]))


def matched(
    truth: Sequence[Segment], found: Sequence[FoundMask], ious: np.ndarray, *, areas: int = len(_AREAS)
) -> list[Any]:
    """The results of one photo, or of one category in it, as `accumulated` takes them.

    Args:
        truth: the annotated segments.
        found: the masks, by descending score.
        ious: (found, true).
        areas: 1 for all areas together only, else 4.

    Returns:
        The scores, and for each area: the thresholds at which each mask is matched and those at which it is ignored, as
        the bits of a number, and whether each segment is ignored.
    """
    found = found[:MOST]
    evaluation = pycocotools()[1](iouType="segm")
    evaluation._gts[0, 0] = [
        {
            "id": number,
            "ignore": int(one.crowd),
            "iscrowd": int(one.crowd),
            "area": rle.area(one.mask) if one.area is None else one.area,
        }
        for number, one in enumerate(truth, start=1)
    ]
    evaluation._dts[0, 0] = [
        {"id": number, "score": one.score, "area": rle.area(one.mask)} for number, one in enumerate(found, start=1)
    ]
    evaluation.ious = {(0, 0): ious[:MOST] if ious.size else []}
    results: list[Any] = []
    for bounds in list(_AREAS.values())[:areas]:
        one = evaluation.evaluateImg(0, 0, bounds, MOST)
        if one is None:
            results.append([[], [], []])
            continue
        hit, ignored = (_BITS @ (np.asarray(one[key]) != 0) for key in ("dtMatches", "dtIgnore"))
        results.append([hit.tolist(), ignored.tolist(), np.asarray(one["gtIgnore"], int).tolist()])
    return [[one.score for one in found], results]


def matched_by_category(truth: Sequence[Segment], found: Sequence[FoundMask]) -> dict[int, list[Any]]:
    """The result of `matched` for every category that occurs in a photo; masks without a category do not count."""
    results = {}
    used = {*(one.category for one in truth), *(one.category for one in found)}
    for category in sorted(one for one in used if one is not None):
        own_truth = [one for one in truth if one.category == category]
        own_found = by_score(one for one in found if one.category == category)
        results[category] = matched(own_truth, own_found, overlaps(own_truth, own_found))
    return results


def accumulated(photos: Mapping[int, Sequence[Any]] | Sequence[Any], categories: int = 1) -> Accumulated:
    """Precision and recall over photos.

    Args:
        photos: results of `matched`, one per photo; or with several categories, such a list for each category.
        categories: their number.
    """
    by_category = photos if isinstance(photos, Mapping) else {0: photos}
    precision, recall = -np.ones((_THRESHOLDS, 101, categories, 4, 3)), -np.ones((_THRESHOLDS, categories, 4, 3))
    for category, results in by_category.items():
        precision[:, :, category], recall[:, category] = _accumulated(results)
    return Accumulated(precision, recall)


def _accumulated(results: Sequence[Any]) -> tuple[np.ndarray, np.ndarray]:
    areas = len(results[0][1]) if results else 0
    precision, recall = -np.ones((_THRESHOLDS, 101, 4, 3)), -np.ones((_THRESHOLDS, 4, 3))
    if not areas:
        return precision, recall
    evaluation = pycocotools()[1](iouType="segm")
    evaluation.params.imgIds = list(range(len(results)))
    evaluation.params.catIds = [0]
    evaluation.params.areaRng = [list(bounds) for bounds in _AREAS.values()][:areas]
    evaluation.evalImgs = [_unpacked(scores, by_area[area]) for area in range(areas) for scores, by_area in results]
    evaluation._paramsEval = copy.deepcopy(evaluation.params)
    with contextlib.redirect_stdout(io.StringIO()):  # pycocotools prints
        evaluation.accumulate()
    precision[..., :areas, :] = evaluation.eval["precision"][:, :, 0]
    recall[:, :areas] = evaluation.eval["recall"][:, 0]
    return precision, recall


def _unpacked(scores: Sequence[float], result: Sequence[Any]) -> dict[str, Any] | None:
    hit, ignored = (np.asarray(one, np.int64) & _BITS[:, None] != 0 for one in result[:2])
    if not hit.shape[1] and not result[2]:
        return None
    return {"dtScores": scores, "dtMatches": hit, "dtIgnore": ignored, "gtIgnore": np.asarray(result[2], int)}


def _bytes(mask: rle.Rle) -> dict[str, Any]:
    """An RLE as pycocotools takes it."""
    counts = mask["counts"]
    if not isinstance(counts, str | bytes):
        counts = rle.compress(np.asarray(counts))
    return {"size": list(mask["size"]), "counts": counts}


def pycocotools() -> tuple[Any, Any]:
    """Its module of masks, and its evaluator; EsgError if it is not installed."""
    try:
        from pycocotools import mask
        from pycocotools.cocoeval import COCOeval
    except ImportError:
        raise EsgError(
            "Average precision needs pycocotools: pip install pycocotools (or the extra esg[eval])."
        ) from None
    return mask, COCOeval
