"""Panoptic quality (Kirillov et al., "Panoptic Segmentation", CVPR 2019), as panopticapi computes it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
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

_HALF = 0.5


@dataclass
class Quality:
    """The counts of a category: matched segments, the sum of their IoUs, false positives and false negatives.

    >>> Quality(iou=1.6, matched=2, false=1, missed=1).pq
    0.5333333333333333
    """

    iou: float = 0.0
    matched: int = 0
    false: int = 0
    missed: int = 0

    @property
    def counted(self) -> float:
        """The denominator of panoptic quality; 0 if the category occurs nowhere."""
        return self.matched + 0.5 * self.false + 0.5 * self.missed

    @property
    def pq(self) -> float:
        """Panoptic quality."""
        return self.iou / self.counted

    @property
    def sq(self) -> float:
        """Segmentation quality: the mean IoU of matched segments."""
        return self.iou / self.matched if self.matched else 0.0

    @property
    def rq(self) -> float:
        """Recognition quality."""
        return self.matched / self.counted


@dataclass(frozen=True)
class PanopticEvaluation:
    """The results for a data set.

    Attributes:
        figures: fractions: `PQ`, `SQ`, `RQ`, the same with `_things` and `_stuff`, and `photos`, the number of photos.
        by_category: the quality of each category that occurs, by name.
        problems: what was left out.
    """

    figures: dict[str, float]
    by_category: dict[str, Quality]
    problems: Problems = field(default_factory=Problems)


class PanopticMeasure(Measure):
    """Counts the matched, false and missed segments of one photo, by category."""

    def __call__(self, photo: AnnotatedPhoto, found: Sequence[FoundMask], problems: Problems) -> Mapping[str, Any]:
        """{category: [sum of IoUs, matched, false, missed]}; categories are texts, as in JSON."""
        named = [one for one in by_score(found) if one.category is not None]
        if len(named) < len(found):
            problems.add("predictions without a category", f"{len(found) - len(named)} of {photo.name}")
        known = [one for one in photo.segments if one.category is not None]
        if len(known) < len(photo.segments):
            problems.add("annotated segments without a category, which do not count", photo.name)
        counts = count_segments(known, named, photo.size)
        return {str(category): [one.iou, one.matched, one.false, one.missed] for category, one in counts.items()}


def count_segments(
    truth: Sequence[Segment], found: Sequence[FoundMask], size: tuple[int, int]
) -> Mapping[int | None, Quality]:
    """Matches the segments of one photo.

    A found segment and a true one of the same category match if their IoU is above 0.5, of which there is at most one.
    Pixels without a true segment do not count. A found segment of which more than half is in such pixels, or in a crowd
    of its category, is not a false one; a crowd is never missed.

    Args:
        truth: true segments with categories; where they overlap, a later one is on top.
        found: found segments with categories; where they overlap, an earlier one is on top.
        size: height and width.
    """
    true_map, true_labels = _painted(list(truth), size)
    found_map, found_labels = _painted(list(reversed(found)), size)
    truth, found = [truth[k] for k in true_labels], [found[len(found) - 1 - k] for k in found_labels]
    table = np.zeros((len(truth) + 1, len(found) + 1), np.int64)  # row and column 0: no segment
    pairs, numbers = np.unique(true_map * table.shape[1] + found_map, return_counts=True)
    table.ravel()[pairs] = numbers
    counts: defaultdict[int | None, Quality] = defaultdict(Quality)
    crowds: dict[int | None, int] = {}  # panopticapi knows one crowd of each category, the last one
    matched_true: set[int] = set()
    matched_found: set[int] = set()
    for row, true in enumerate(truth, start=1):
        if true.crowd:
            crowds[true.category] = row
            continue
        for column in (np.flatnonzero(table[row, 1:]) + 1).tolist():
            if found[column - 1].category != true.category:
                continue
            common = int(table[row, column])
            union = int(table[:, column].sum() + table[row].sum()) - common - int(table[0, column])
            if common / union > _HALF:
                counts[true.category].iou += common / union
                counts[true.category].matched += 1
                matched_true.add(row)
                matched_found.add(column)
    for row, true in enumerate(truth, start=1):
        if row not in matched_true and not true.crowd:
            counts[true.category].missed += 1
    for column, one in enumerate(found, start=1):
        if column in matched_found:
            continue
        ignored = table[0, column] + (table[crowds[one.category], column] if one.category in crowds else 0)
        if ignored / table[:, column].sum() <= _HALF:
            counts[one.category].false += 1
    return counts


def _painted(masks: Sequence[Segment | FoundMask], size: tuple[int, int]) -> tuple[np.ndarray, list[int]]:
    """The masks' consecutive labels, 1..N, at every pixel, column by column; and the index of each label's mask.

    Masks that are wholly covered by later ones do not get a label.
    """
    columns = np.zeros(size[0] * size[1], np.int32)
    for label, one in enumerate(masks, start=1):
        rle.paint(one.mask, columns, label)
    used = np.flatnonzero(np.bincount(columns, minlength=len(masks) + 1)[1:])
    table = np.zeros(len(masks) + 1, np.int64)
    table[used + 1] = np.arange(1, len(used) + 1)
    return table[columns], used.tolist()


def evaluate_panoptic(
    photos: AnnotatedPhotos,
    predictions: Predictions,
    *,
    workers: int = 1,
    journal: Journal | None = None,
    progress: ItemProgress | None = None,
) -> PanopticEvaluation:
    """Measures panoptic segmentation.

    Args:
        photos: the truth, with categories. What the data does not say to be stuff counts as a thing.
        predictions: the found segments, with categories. Where they overlap, the higher score is on top.
        workers, journal, progress: as for `measure_all`.

    Raises:
        InputError: the truth does not have categories, or nothing can be measured.
    """
    if not photos.categories:
        raise InputError(f"{photos.name} does not have categories, which panoptic quality needs.")
    records = measure_all(photos, predictions, PanopticMeasure(), workers=workers, journal=journal, progress=progress)
    totals: defaultdict[int, Quality] = defaultdict(Quality)
    for record in records:
        for category, (iou, matched, false, missed) in (record["result"] or {}).items():
            one = totals[int(category)]
            one.iou, one.matched = one.iou + iou, one.matched + matched
            one.false, one.missed = one.false + false, one.missed + missed
    refuse_without_truth(any(one.matched + one.missed for one in totals.values()), "segments with classes", photos)
    stuff = {number for number, one in enumerate(photos.categories) if one.thing is False}
    figures = {}
    for name, chosen in (("", set(totals)), ("_things", set(totals) - stuff), ("_stuff", set(totals) & stuff)):
        some = [totals[number] for number in sorted(chosen) if totals[number].counted]
        for key in ("PQ", "SQ", "RQ"):
            values = [getattr(one, key.lower()) for one in some]
            figures[f"{key}{name}"] = float(np.mean(values)) if values else float("nan")
    figures["photos"] = float(sum(record["result"] is not None for record in records))
    named = {photos.categories[number].name: totals[number] for number in sorted(totals) if totals[number].counted}
    return PanopticEvaluation(figures, named, problems_of(records, photos, predictions))
