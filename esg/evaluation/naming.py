"""Evaluates how well a grounder names the entities of real photos, with COCO's panoptic photos and captions."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..data.labelled import LabelledPhoto, LabelledPhotos
from ..data.problems import Problems
from ..entities.entity_map import EntityMap
from ..grounder import Grounder
from ..language.coco_names import ALSO, ARGUABLE, EVERYDAY, NAMES
from ..language.mentioned import names_mentioned
from ..language.nouns import noun_phrases
from ..support.errors import InputError
from ..support.progress import ItemProgress
from .entity_sources import Segment
from .grounding import Judged, Overlap, average_recall
from .measured import Measured, usable_photos
from .narratives import meant_of

COMMON_WORDS: dict[str, str] = json.loads(Path(__file__).with_name("common_words.json").read_text(encoding="utf-8"))
"""100 words that people use for things, none of which is a category's name, and the name that each stands for."""

_NOTHING = "photos without segments of a category, which do not count"
_LARGE = 0.02  # share of the picture above which a caption should mention a category


def evaluate_names(
    grounder: Grounder,
    photos: LabelledPhotos,
    *,
    segment: Segment | None = None,
    progress: ItemProgress | None = None,
) -> Measured:
    """Names true masks, and grounds the names of the categories that are present.

    Args:
        grounder: the grounder to evaluate.
        photos: photos with panoptic ground truth.
        segment: function that segments a photo; None: the true entities are used.
        progress: called as `progress(photos done, all photos)` after each photo.

    Returns:
        `category`, `category_things`, `category_stuff`: share of the true segments that get the name of their category
        when all 133 names are given together (only without `segment`); the result of `average_recall` for a list of the
        names that are in the photo; and the number of `photos` whose segments have categories. Photos that cannot be
        used are left out and noted.

    Raises:
        InputError: the categories are not COCO's, or no photo can be used.
    """
    _check_categories(photos)
    problems = Problems()
    judged: list[Judged] = []
    named: dict[str, list[bool]] = {"thing": [], "stuff": []}
    measured = 0
    for photo, entities in usable_photos(photos, problems, segment=segment, progress=progress):
        if not _names_of(photo):
            problems.add(_NOTHING, photo.name)
            continue
        measured += 1
        truth = np.maximum(photo.labels, 0)
        if segment is None:
            for category, right in _named(grounder, photo, entities, truth):
                named["thing" if category in photos.things else "stuff"].append(right)
        judged += _judged(grounder, photo, entities, truth, photos.things)
    figures = average_recall(judged)
    del figures["noun_recall"]  # meaningless here, because the names are given
    if segment is None:
        everything = [*named["thing"], *named["stuff"]]
        figures |= {"category": _mean(everything)}
        figures |= {"category_things": _mean(named["thing"]), "category_stuff": _mean(named["stuff"])}
    return Measured(figures | {"photos": float(measured)}, problems)


def _named(
    grounder: Grounder, photo: LabelledPhoto, entities: EntityMap, truth: np.ndarray
) -> Iterator[tuple[str, bool]]:
    """The category of each true segment, and whether it gets the right one of all 133 names."""
    own = _same(entities, truth)
    best = {
        number: phrase.text
        for phrase in grounder(photo.image, entities, categories=NAMES, threshold=0.0).phrases
        for number, score in zip(phrase.entity_ids, phrase.scores)
        if score > 0  # an entity that the model cannot tell from others has 0 for every name
    }
    for true_id, category in enumerate(photo.categories, start=1):
        if own[true_id] and category is not None:
            yield category, best.get(own[true_id]) == EVERYDAY[category]


def _judged(
    grounder: Grounder, photo: LabelledPhoto, entities: EntityMap, truth: np.ndarray, things: Collection[str]
) -> Iterator[Judged]:
    """Grounds the names of the categories that are in a photo."""
    for phrase in grounder(photo.image, entities, phrases=_names_of(photo), threshold=0.0).phrases:
        segments = _segments_called(phrase.text, photo)
        several = len(segments) > 1
        ids = meant_of(phrase.entity_ids, phrase.scores, several, 0.5)
        overlap = Overlap.of(entities.mask(list(ids)), np.isin(truth, segments))
        kind = "thing" if photo.categories[segments[0] - 1] in things else "stuff"
        yield Judged(overlap.iou, True, kind, several)


def _everyday(photo: LabelledPhoto) -> list[str | None]:
    """The everyday name of every segment; None where the category is unknown."""
    return [None if category is None else EVERYDAY[category] for category in photo.categories]


def _names_of(photo: LabelledPhoto) -> list[str]:
    """The everyday names of the categories in a photo, without repetition."""
    return list(dict.fromkeys(name for name in _everyday(photo) if name is not None))


def _segments_called(name: str, photo: LabelledPhoto) -> list[int]:
    """The labels of the segments whose category has this everyday name."""
    return [label for label, own in enumerate(_everyday(photo), start=1) if own == name]


def _check_categories(photos: LabelledPhotos) -> None:
    """Raises InputError unless all categories are COCO's, because the words for others are not known."""
    other = [name for name in photos.categories if name not in EVERYDAY]
    if other or not photos.categories:
        there = f"such as {other[0]}" if other else "and these photos have no names of categories"
        raise InputError(f"This needs photos with the names of COCO's 133 categories, {there}.")


def _same(entities: EntityMap, truth: np.ndarray) -> np.ndarray:
    """The id in `entities` of every true label, 0 if there is none; both have the same segments."""
    found = np.zeros(int(truth.max()) + 1, np.int64)
    found[truth.ravel()] = entities.labels.ravel()
    found[0] = 0
    return found


@dataclass(frozen=True)
class CaptionFigures:
    """How well the things named in generated captions match the photos.

    Attributes:
        true, false: number of nouns whose category is, or is not, in the photo.
        named, large: number of categories with more than 2 % of the picture that the caption names, and of all such.
        captions: (photo, caption) of every photo.
        problems: what was left out.
    """

    true: int
    false: int
    named: int
    large: int
    captions: tuple[tuple[str, str], ...]
    problems: Problems


def evaluate_captions(
    grounder: Grounder,
    photos: LabelledPhotos,
    *,
    segment: Segment,
    progress: ItemProgress | None = None,
) -> CaptionFigures:
    """Has the model describe photos, and checks whether the things that it names are there.

    A noun counts if it names a category, by its everyday name or a synonym; for photos with instances only, if it names
    a thing. A name is true if the photo contains its category, or one with an equivalent name (see `coco_names`).
    Photos that cannot be used, or in which no category is annotated, are left out and noted.

    Args:
        grounder: the grounder to evaluate.
        photos: photos with categories.
        segment: function that segments a photo for the model.
        progress: called as `progress(photos done, all photos)` after each photo.

    Raises:
        InputError: the categories are not COCO's, or no photo can be used.
    """
    _check_categories(photos)
    problems = Problems()
    true = false = named = large = 0
    captions = []
    judged = {EVERYDAY[name] for name in photos.categories if name in EVERYDAY}
    for photo, entities in usable_photos(photos, problems, segment=segment, progress=progress):
        if not _names_of(photo):
            problems.add(_NOTHING, photo.name)
            continue
        caption = grounder.best_caption(photo.image, entities)
        captions.append((photo.name, caption))
        predicted = {name for name in names_mentioned(caption) if name in judged}
        here = _names_of(photo)
        allowed = {other for name in here for other in (name, *ALSO.get(name, ()), *ARGUABLE.get(name, ()))}
        true += len(predicted & allowed)
        false += len(predicted - allowed)
        big = _large(photo)
        large += len(big)
        named += sum(bool({name, *ALSO.get(name, ()), *ARGUABLE.get(name, ())} & predicted) for name in big)
    return CaptionFigures(true, false, named, large, tuple(captions), problems)


def _large(photo: LabelledPhoto) -> set[str]:
    """Everyday names of all categories with more than 2 % of the picture."""
    areas: dict[str, int] = {}
    for label, name in enumerate(_everyday(photo), start=1):
        if name is not None:
            areas[name] = areas.get(name, 0) + int((photo.labels == label).sum())
    return {name for name, area in areas.items() if area > _LARGE * photo.labels.size}


def evaluate_written(
    grounder: Grounder, photos: LabelledPhotos, *, segment: Segment | None = None, progress: ItemProgress | None = None
) -> Measured:
    """Grounds the nouns of human-written captions that name one of the photo's categories of things.

    A noun is right if the entity with the highest score has an IoU of at least 0.5 with an instance of its category.

    Args:
        grounder: the grounder to evaluate.
        photos: photos with instances and captions.
        segment: function that segments a photo; None: the true instances are used.
        progress: called as `progress(photos done, all photos)` after each photo.

    Returns:
        `acc50`, the share of right nouns, and `nouns`, their total number. Photos that cannot be used are left out and
        noted.

    Raises:
        InputError: the categories are not COCO's, or no photo can be used.
    """
    _check_categories(photos)
    problems = Problems()
    right = []
    for photo, entities in usable_photos(photos, problems, segment=segment, progress=progress):
        truth = np.maximum(photo.labels, 0)
        for caption in photo.captions:
            spans = _nouns_that_name(caption, photo)
            if not spans:
                continue
            found = {one.span: one for one in grounder(photo.image, entities, caption=caption, threshold=0.0).phrases}
            for span, name in spans.items():
                inside = [one for other, one in found.items() if other[0] < span[1] and span[0] < other[1]]
                ids = inside[0].entity_ids[:1] if inside else ()
                predicted = entities.mask(list(ids))
                ious = (Overlap.of(predicted, truth == label).iou for label in _segments_called(name, photo))
                right.append(bool(ids) and max(ious) >= 0.5)
    return Measured({"acc50": _mean(right), "nouns": float(len(right))}, problems)


def _nouns_that_name(caption: str, photo: LabelledPhoto) -> dict[tuple[int, int], str]:
    """Spans of the noun phrases that name exactly one category with an instance in the photo, and its name."""
    here = set(_names_of(photo))
    found = {}
    for start, end in noun_phrases(caption):
        names = names_mentioned(caption[start:end]) & here
        if len(names) == 1:
            found[start, end] = names.pop()
    return found


@dataclass(frozen=True)
class WordFigures:
    """Whether words find the same entities as the names of their categories.

    Attributes:
        same: for every word, whether it selects the same entity as the name, in each of up to three photos.
        problems: what was left out.
    """

    same: dict[str, bool]
    problems: Problems


def evaluate_words(
    grounder: Grounder, photos: LabelledPhotos, words: dict[str, str], *, progress: ItemProgress | None = None
) -> WordFigures:
    """Whether common words find the same entities as their category, in photos that contain it (or else in any photo).

    Args:
        grounder: the grounder to evaluate.
        photos: photos with panoptic ground truth.
        words: category names by word.
        progress: called as `progress(words done, all words)` after each word.

    Raises:
        InputError: the categories are not COCO's, or no photo can be used.
    """
    _check_categories(photos)
    problems = Problems()
    all_photos = list(usable_photos(photos, problems))
    found = {}
    for number, (word, name) in enumerate(words.items()):
        having = [(photo, entities) for photo, entities in all_photos if name in _names_of(photo)]
        same = []
        for photo, entities in (having or all_photos)[:3]:
            chosen = []
            for text in (word, name):
                (phrase,) = grounder(photo.image, entities, phrases=[text], threshold=0.0).phrases
                chosen.append(phrase.entity_ids[:1])
            same.append(chosen[0] == chosen[1])
        found[word] = all(same)
        if progress is not None:
            progress(number + 1, len(words))
    return WordFigures(found, problems)


def _mean(values: Sequence[bool]) -> float:
    return float(np.mean(values)) if len(values) else float("nan")
