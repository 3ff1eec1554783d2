"""Instance segmentation with classes: COCO's mask AP, as a mean over categories."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ..data.annotated import AnnotatedPhoto, AnnotatedPhotos
from ..data.problems import Problems
from ..support.errors import InputError
from ..support.progress import ItemProgress
from .journal import Journal
from .matching import Accumulated, FoundMask, accumulated, matched_by_category
from .per_photo import Measure, measure_all, problems_of, refuse_without_truth
from .predictions import Predictions


@dataclass(frozen=True)
class InstanceEvaluation:
    """The results for a data set.

    Attributes:
        figures: fractions as `Accumulated.figures`, -1 if nothing is annotated, and `photos`, the number of photos.
        by_category: the AP of each category that is annotated, by name.
        problems: what was left out.
        accumulated: precision and recall, for plots.
    """

    figures: dict[str, float]
    by_category: dict[str, float]
    problems: Problems
    accumulated: Accumulated


class InstanceMeasure(Measure):
    """Matches the masks of one photo with the true ones of their category.

    Args:
        stuff: the categories that do not count.
    """

    def __init__(self, stuff: frozenset[int] = frozenset()) -> None:
        self._stuff = stuff

    def __call__(self, photo: AnnotatedPhoto, found: Sequence[FoundMask], problems: Problems) -> Mapping[str, Any]:
        """{category: result of `matched`}; categories are texts, as in JSON."""
        nameless = sum(one.category is None for one in found)
        if nameless:
            problems.add("predictions without a category", f"{nameless} of {photo.name}")
        results = matched_by_category(photo.segments, found)
        return {str(category): result for category, result in results.items() if category not in self._stuff}


def evaluate_instances(
    photos: AnnotatedPhotos,
    predictions: Predictions,
    *,
    workers: int = 1,
    journal: Journal | None = None,
    progress: ItemProgress | None = None,
) -> InstanceEvaluation:
    """Measures instance segmentation.

    Args:
        photos: the truth, with categories; stuff does not count.
        predictions: scored masks with categories; they may overlap.
        workers, journal, progress: as for `measure_all`.

    Raises:
        InputError: the truth does not have categories, or nothing can be measured.
    """
    if not photos.categories:
        raise InputError(f"{photos.name} does not have categories; measure its masks as entities instead.")
    stuff = frozenset(number for number, one in enumerate(photos.categories) if one.thing is False)
    records = measure_all(
        photos, predictions, InstanceMeasure(stuff), workers=workers, journal=journal, progress=progress
    )
    by_category: defaultdict[int, list[Any]] = defaultdict(list)
    for record in records:
        for category, result in (record["result"] or {}).items():
            by_category[int(category)].append(result)
    together = accumulated(by_category, len(photos.categories))
    used = sum(record["result"] is not None for record in records)
    named = {
        one.name: value for one, value in zip(photos.categories, together.by_category(), strict=True) if value >= 0
    }
    refuse_without_truth(bool(named), "instances", photos)
    figures = together.figures() | {"photos": float(used)}
    return InstanceEvaluation(figures, named, problems_of(records, photos, predictions), together)
