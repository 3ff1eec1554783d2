"""Checks a data set: which photos can be used, and what is missing or broken."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from ..support.errors import EsgError
from ..support.progress import ItemProgress
from .annotated import MISSING, AnnotatedPhotos
from .expressions import Expressions
from .panoptic_narratives import NarratedSegments, PanopticNarratives
from .problems import Problems


@dataclass(frozen=True)
class CheckedPhotos:
    """The result of `check_photos`.

    Attributes:
        photos: number of photos that can be used.
        listed: number of photos that the data set lists.
        segments: number of segments of the usable photos, crowds not counted.
        crowds: number of crowds.
        captions: number of captions.
        categories: number of segments by category name, most first.
        problems: what is missing or broken.
    """

    photos: int
    listed: int
    segments: int
    crowds: int
    captions: int
    categories: dict[str, int]
    problems: Problems


def check_photos(photos: AnnotatedPhotos, *, progress: ItemProgress | None = None) -> CheckedPhotos:
    """Reads every photo and its annotations.

    Args:
        photos: the data set.
        progress: called as `progress(photos done, all photos)` after each photo.
    """
    problems = Problems()
    problems.update(photos.problems)
    usable = segments = crowds = captions = 0
    categories: Counter[str] = Counter()
    for number in range(len(photos)):
        try:
            photo = photos[number]
            problems.update(photo.problems)
            if photo.file is None:
                problems.add(MISSING, photo.name)
            else:
                photo.image()
                usable += 1
                own = [one for one in photo.segments if not one.crowd]
                segments += len(own)
                crowds += len(photo.segments) - len(own)
                captions += len(photo.captions)
                categories.update(photos.categories[one.category].name for one in own if one.category is not None)
                if not own:
                    problems.add("photos without segments", photo.name)
        except EsgError as error:
            problems.add("photos or annotations that cannot be read", str(error).rstrip("."))
        if progress is not None:
            progress(number + 1, len(photos))
    return CheckedPhotos(usable, len(photos), segments, crowds, captions, dict(categories.most_common()), problems)


@dataclass(frozen=True)
class CheckedTexts:
    """The result of `check_texts`.

    Attributes:
        photos: number of photos that can be used.
        listed: number of photos that the data set lists.
        texts: number of captions or expressions about the usable photos.
        problems: what is missing or broken.
    """

    photos: int
    listed: int
    texts: int
    problems: Problems


def check_texts(photos: PanopticNarratives | Expressions, *, progress: ItemProgress | None = None) -> CheckedTexts:
    """Reads every photo, its annotations and the texts about it.

    Args:
        photos: the data set.
        progress: called as `progress(photos done, all photos)` after each photo.
    """
    problems = Problems()
    problems.update(photos.problems)
    usable = texts = 0
    for number in range(len(photos)):
        try:
            one = photos[number]
            problems.update(one.problems)
            own = one.narratives if isinstance(one, NarratedSegments) else one.expressions
            if one.photo.file is None:
                problems.add(MISSING, one.photo.name)
            elif own:
                one.photo.image()
                usable, texts = usable + 1, texts + len(own)
        except EsgError as error:
            problems.add("photos or annotations that cannot be read", str(error).rstrip("."))
        if progress is not None:
            progress(number + 1, len(photos))
    return CheckedTexts(usable, len(photos), texts, problems)
