"""Measures how well the entities of photos are found: AP^e, boundary AP, recall, covering, and whole things.

Categories are ignored: in entity segmentation every mask is an entity (paper Sec. 5).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..data.annotated import AnnotatedPhoto, AnnotatedPhotos, Segment
from ..data.problems import Problems
from ..entities import rle
from ..support.progress import ItemProgress
from .journal import Journal
from .matching import (
    MOST,
    Accumulated,
    FoundMask,
    accumulated,
    boundary_overlaps,
    by_score,
    clipped,
    matched,
    overlaps,
)
from .per_photo import Measure, Record, measure_all, problems_of, refuse_without_truth
from .predictions import Predictions

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

LOW = (800, 1333)
"""The short and the long side in pixels up to which a photo has a low resolution, as in the model zoo."""
_LARGE = 0.02  # minimum share of the picture
_FOUND = 0.5  # minimum IoU


@dataclass(frozen=True)
class Evaluation:
    """The results for a data set.

    Attributes:
        figures: fractions by name; see `evaluate_entities`.
        problems: what was left out.
        accumulated: precision and recall of masks, for plots.
        worst: the index of each photo with entities, and the mean best IoU of these; the worst photo comes first.
    """

    figures: dict[str, float]
    problems: Problems
    accumulated: Accumulated
    worst: list[tuple[int, float]]


class EntityMeasure(Measure):
    """Measures the entities of one photo.

    Args:
        categories: names of the categories of the data set, of which people, animals and vehicles are counted.
        boundaries: whether to measure boundary AP, which takes about as long as everything else together.
    """

    def __init__(self, categories: Sequence[str] = (), *, boundaries: bool = True) -> None:
        self._whole = frozenset(number for number, name in enumerate(categories) if name in WHOLE)
        self._boundaries = boundaries

    def __call__(self, photo: AnnotatedPhoto, found: Sequence[FoundMask], problems: Problems) -> Mapping[str, Any]:
        """The results for a photo."""
        truth, found = typical(photo), by_score(found)
        if not truth:
            problems.add("photos without annotated entities, in which all predictions are wrong", photo.name)
        ious = overlaps(truth, found)
        best = best_known(truth, found, ious, photo.size)
        own = [number for number, one in enumerate(truth) if not one.crowd]
        large = [
            number
            for number in own
            if truth[number].category in self._whole and rle.area(truth[number].mask) > _LARGE * np.prod(photo.size)
        ]
        result = {
            "low": min(photo.size) <= LOW[0] and max(photo.size) <= LOW[1],
            "masks": matched(truth, found, ious),
            "best": [[best[number], rle.area(truth[number].mask)] for number in own],
            "overlap": len(found) > 1
            and rle.area(rle.union([one.mask for one in found])) < sum(rle.area(one.mask) for one in found),
            "whole": [bool(ious[:, number].max(initial=0) >= _FOUND) for number in large],
        }
        if self._boundaries:
            few = found[:MOST]
            result["boundaries"] = matched(truth, few, boundary_overlaps(truth, few, ious[:MOST]), areas=1)
        if len(photo.annotators) > 1:
            labels = _painted(found, photo.size)
            result["annotators"] = float(
                np.mean([covering(labels, _painted(one, photo.size)) for one in photo.annotators])
            )
        return result


def typical(photo: AnnotatedPhoto) -> tuple[Segment, ...]:
    """The segments of a photo; if several people annotated it, those of the one with the median number of segments."""
    people = photo.annotators
    return sorted(people, key=len)[len(people) // 2] if people else photo.segments


def best_known(
    truth: Sequence[Segment], found: Sequence[FoundMask], ious: np.ndarray, size: tuple[int, int]
) -> list[float]:
    """The best IoU of any found mask with each true segment, over the annotated pixels."""
    if not truth or not found:
        return [0.0] * len(truth)
    known = rle.union([one.mask for one in truth])
    if rle.area(known) < size[0] * size[1]:
        ious = overlaps([Segment(one.mask) for one in truth], clipped(found, known))
    return ious.max(0).tolist()


def covering(labels: np.ndarray, truth: np.ndarray) -> float:
    """How well a segmentation covers another one (Arbelaez et al., PAMI 2011), 0 to 1.

    It is the mean over all pixels of the best IoU that any found region has with the pixel's true region. The pixels
    without a label, 0, are a region, too.
    """
    table = np.zeros((int(truth.max()) + 1, int(labels.max()) + 1))
    np.add.at(table, (truth.ravel(), labels.ravel()), 1)
    union = table.sum(1, keepdims=True) + table.sum(0, keepdims=True) - table
    return float((table.sum(1) * (table / np.maximum(union, 1)).max(1)).sum() / table.sum())


def _painted(masks: Iterable[FoundMask | Segment], size: tuple[int, int]) -> np.ndarray:
    """A label map (H, W) of masks; earlier ones are on top."""
    columns = np.zeros(size[0] * size[1], np.int32)
    masks = list(masks)
    for label, one in reversed(list(enumerate(masks, start=1))):
        rle.paint(one.mask, columns, label)
    return columns.reshape(size[1], size[0]).T


def evaluate_entities(
    photos: AnnotatedPhotos,
    predictions: Predictions,
    *,
    boundaries: bool = True,
    workers: int = 1,
    journal: Journal | None = None,
    progress: ItemProgress | None = None,
) -> Evaluation:
    """Measures masks against annotated photos, in which every segment is an entity.

    Crowds are ignored in AP and recall, as COCO does; where nothing is annotated, a mask counts as wrong.

    Args:
        photos: the truth. If several people annotated a photo, the one with the median number of segments is taken.
        predictions: the masks that were found, including those with low scores.
        boundaries: whether to measure boundary AP.
        workers, journal, progress: as for `measure_all`.

    Returns:
        Figures, as fractions; -1 or NaN if there is nothing to measure: all of `Accumulated.figures`; `APb`, `APb50`
        and `APb75`, boundary AP; the same with `_low` and `_high` for photos up to `LOW` and above, if there are both;
        `covering`, the mean over all true segments of the best IoU, and `covering_by_area`, weighted by their areas,
        both over annotated pixels; `covering_people`, the covering of the segmentations of all annotators; `whole`, the
        share of people, animals and vehicles of more than 2 % of the picture that one mask covers with an IoU of at
        least 0.5; `whole_count`, their number; `photos`, the number of photos; `overlapping`, the number of those in
        which masks overlap, so that `AP` is not AP^e.

    Raises:
        InputError: nothing can be measured.
    """
    measure = EntityMeasure([one.name for one in photos.categories], boundaries=boundaries)
    records = measure_all(photos, predictions, measure, workers=workers, journal=journal, progress=progress)
    usable = [record["result"] for record in records if record["result"] is not None]
    refuse_without_truth(any(one["best"] for one in usable), "entities", photos)
    together = accumulated([one["masks"] for one in usable])
    figures = together.figures() | _boundary_figures(usable)
    by_resolution = {"low": [one for one in usable if one["low"]], "high": [one for one in usable if not one["low"]]}
    if all(by_resolution.values()):
        for name, some in by_resolution.items():
            own = accumulated([one["masks"] for one in some]).figures() | _boundary_figures(some)
            figures |= {f"{key}_{name}": own[key] for key in ("AP", "AP50", "AP75", "APb") if key in own}
    best = np.array([one for record in usable for one in record["best"]], float).reshape(-1, 2)
    whole = [one for record in usable for one in record["whole"]]
    people = [record["annotators"] for record in usable if "annotators" in record]
    figures |= {
        "covering": _mean(best[:, 0]),
        "covering_by_area": float(np.average(best[:, 0], weights=best[:, 1])) if len(best) else float("nan"),
        **({"covering_people": _mean(people)} if people else {}),
        "whole": _mean(whole),
        "whole_count": float(len(whole)),
        "photos": float(len(usable)),
        "overlapping": float(sum(one["overlap"] for one in usable)),
    }
    return Evaluation(figures, problems_of(records, photos, predictions), together, _worst(records))


def _boundary_figures(results: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    if not results or "boundaries" not in results[0]:
        return {}
    figures = accumulated([one["boundaries"] for one in results]).figures()
    return {name.replace("AP", "APb"): figures[name] for name in ("AP", "AP50", "AP75")}


def _worst(records: Sequence[Record]) -> list[tuple[int, float]]:
    means = [
        (number, _mean([iou for iou, _ in record["result"]["best"]]))
        for number, record in enumerate(records)
        if record["result"] and record["result"]["best"]
    ]
    return sorted(means, key=lambda one: one[1])


def _mean(values: Sequence[float] | np.ndarray) -> float:
    return float(np.mean(values)) if len(values) else float("nan")
