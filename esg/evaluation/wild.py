"""Segmentation in the Wild: mask AP of the entities that are found for category names (GELLA paper, Table XIV b)."""

from __future__ import annotations

import contextlib
import io
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from ..data.annotated import AnnotatedPhoto
from ..data.coco import CocoInstances
from ..data.narration.naming import spoken_name
from ..data.problems import Problems
from ..data.wild import WildSets
from ..entities import rle
from ..grounder import Grounder
from ..support.errors import EsgError, InputError
from .entity_sources import Segment, entities_of
from .measured import Measured, Results, leaving_out

Progress = Callable[[int, int], None]

UNKNOWN_NAMES = "names that the model does not know, of which nothing is found"


def evaluate_wild(
    grounder: Grounder,
    data: WildSets,
    *,
    segment: Segment | None = None,
    results: Results | None = None,
    progress: Progress | None = None,
) -> Measured:
    """The mask AP of every set: the results for a category are all entities, with their scores for its name.

    Args:
        grounder: the grounder to evaluate.
        data: the sets.
        segment: function that segments a photo; None: the annotated objects are used.
        results: results of an earlier run, by set, to which new ones are added.
        progress: called as `progress(sets done, all sets)` after each set.

    Returns:
        The AP of every set by its name, nan if it does not have annotated objects; their mean as `mean`; and the
        numbers of `sets` behind it and of `photos`. Sets and photos that cannot be measured are left out and noted.

    Raises:
        InputError: no set can be measured.
        EsgError: pycocotools is not installed.
    """
    check_pycocotools()
    results = Results() if results is None else results
    problems = Problems()
    figures: dict[str, float] = {}
    photos = 0
    for number, name in enumerate(data.names, start=1):
        known = results.get(name)
        if known is None:
            known = _measure(grounder, data, name, segment)
            results.add(name, known)
        problems.update(Problems(known["problems"]))
        photos += known["photos"]
        if known["photos"]:
            figures[name] = math.nan if known["AP"] is None else known["AP"]
        if progress is not None:
            progress(number, len(data.names))
    measured = [value for value in figures.values() if not math.isnan(value)]
    if not measured:
        raise InputError(f"No data set could be measured: {'; '.join(problems) or 'no object is annotated'}.")
    counts = {"sets": float(len(measured)), "photos": float(photos)}
    return Measured(figures | {"mean": sum(measured) / len(measured)} | counts, problems)


@dataclass
class Detections:
    """Annotated and found objects of several photos, for COCO's evaluation with categories.

    Attributes:
        categories: number of categories.
    """

    categories: int
    _images: list[dict[str, Any]] = field(default_factory=list)
    _true: list[dict[str, Any]] = field(default_factory=list)
    _found: list[dict[str, Any]] = field(default_factory=list)

    def add(self, photo: AnnotatedPhoto, found: Sequence[tuple[int, rle.Rle, float]]) -> None:
        """Adds a photo with its annotated segments, and the (category, mask, score) of each object found in it."""
        number = len(self._images) + 1
        self._images.append({"id": number, "height": photo.size[0], "width": photo.size[1]})
        for one in photo.segments:
            if one.category is not None:
                area = rle.area(one.mask) if one.area is None else one.area
                self._true.append(_object(number, one.category, one.mask) | {"area": area, "iscrowd": int(one.crowd)})
        for category, mask, score in found:
            self._found.append(_object(number, category, mask) | {"area": rle.area(mask), "score": score})

    def average_precision(self) -> float:
        """COCO's mask AP, the mean over IoU 0.50:0.05:0.95 and the categories with objects; nan without objects."""
        from pycocotools.cocoeval import COCOeval

        with contextlib.redirect_stdout(io.StringIO()):  # pycocotools prints
            evaluation = COCOeval(self._coco(self._true), self._coco(self._found), "segm")
            evaluation.evaluate()
            evaluation.accumulate()
            evaluation.summarize()
        return math.nan if evaluation.stats[0] < 0 else float(evaluation.stats[0])

    def _coco(self, objects: list[dict[str, Any]]) -> Any:
        from pycocotools.coco import COCO

        coco = COCO()
        categories = [{"id": number + 1, "name": str(number)} for number in range(self.categories)]
        numbered = [{"iscrowd": 0} | one | {"id": number} for number, one in enumerate(objects, start=1)]
        coco.dataset = {"images": self._images, "annotations": numbered, "categories": categories}
        coco.createIndex()
        return coco


def _object(image: int, category: int, mask: rle.Rle) -> dict[str, Any]:
    return {"image_id": image, "category_id": category + 1, "segmentation": mask}


def check_pycocotools() -> None:
    """Raises EsgError if pycocotools is not installed, before long work."""
    try:
        import pycocotools  # noqa: F401
    except ImportError:
        raise EsgError(
            "Average precision needs pycocotools: pip install pycocotools (or the extra esg[train])."
        ) from None


def _measure(grounder: Grounder, data: WildSets, name: str, segment: Segment | None) -> dict[str, Any]:
    """The AP of a set, its number of photos, and what was left out; plain values."""
    problems = Problems()
    try:
        photos = data.open(name)
    except EsgError as error:
        problems.add("sets that cannot be read", f"{name} ({error})")
        return {"AP": None, "photos": 0, "problems": problems.found}
    problems.update(photos.problems)
    spoken = [spoken_name(one.name) for one in photos.categories]
    known = _known(grounder, spoken, name, problems)
    detections = Detections(len(photos.categories))
    used = 0
    for number in range(len(photos)):
        with leaving_out(problems):
            photo = photos[number]
            problems.update(photo.problems)
            detections.add(photo, _found(grounder, photo, photos, spoken, known, segment))
            used += 1
    value = detections.average_precision() if used else math.nan
    return {"AP": None if math.isnan(value) else value, "photos": used, "problems": problems.found}


def _known(grounder: Grounder, spoken: Sequence[str], name: str, problems: Problems) -> list[int]:
    """The categories whose names the model knows."""
    known = []
    for number, one in enumerate(spoken):
        try:
            grounder.check_words([one])
        except InputError:
            problems.add(UNKNOWN_NAMES, f"{one!r} of {name}")
            continue
        known.append(number)
    return known


def _found(
    grounder: Grounder,
    photo: AnnotatedPhoto,
    photos: CocoInstances,
    spoken: Sequence[str],
    known: Sequence[int],
    segment: Segment | None,
) -> list[tuple[int, rle.Rle, float]]:
    image = photo.image()
    entities = entities_of(photo, image, segment)
    if not known or not len(entities):
        return []
    masks = rle.encode_labels(entities.labels, len(entities))
    phrases = grounder(image, entities, phrases=[spoken[number] for number in known], threshold=0.0).phrases
    return [
        (category, masks[number - 1], score)
        for category, phrase in zip(known, phrases, strict=True)
        for number, score in zip(phrase.entity_ids, phrase.scores, strict=True)
    ]
