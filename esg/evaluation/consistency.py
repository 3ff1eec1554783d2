"""How well two people who annotate the same photos agree (GELLA paper, Table II)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import combinations
from typing import Any

import numpy as np

from ..data.annotated import AnnotatedPhoto, AnnotatedPhotos, Segment
from ..data.problems import Problems
from ..entities import rle
from ..support.errors import ImageError, InputError
from .matching import FoundMask, accumulated, matched, overlaps

SAME = 0.5
"""The IoU above which two masks count as the same."""


@dataclass(frozen=True)
class Agreement:
    """How well two annotators agree.

    Attributes:
        ap: AP of the second one's masks against the first one's, without classes, 0 to 1; NaN if there are no masks.
        accuracy: share of the same masks that have the same class; NaN if no such mask has a class.
        photos: number of photos that both annotated.
        same: number of masks that are the same and have classes.
        problems: what was left out.
    """

    ap: float
    accuracy: float
    photos: int
    same: int
    problems: Problems = field(default_factory=Problems, compare=False)


def consistency(first: AnnotatedPhotos, second: AnnotatedPhotos) -> Agreement:
    """The agreement of two data sets that annotate the same photos, which have the same file names in both.

    The first one is the truth and the second one the prediction, whose masks all have the same score. Classes are
    compared by name.

    Raises:
        InputError: no photo is in both.
    """
    problems = Problems()
    others = {photo.name: number for number, photo in _readable(second, problems)}
    pairs: list[tuple[Sequence[Segment], Sequence[Segment]]] = []
    for _, photo in _readable(first, problems):
        number = others.pop(photo.name, None)
        if number is None:
            problems.add("photos that only the first one annotated", photo.name)
            continue
        other = second.photo(number)
        if other.size != photo.size:
            problems.add("photos that have another size in the second one", photo.name)
            continue
        pairs.append((photo.segments, other.segments))
    for name in others:
        problems.add("photos that only the second one annotated", name)
    if not pairs:
        raise InputError(
            f"{first.name} and {second.name} do not annotate the same photos: {'; '.join(problems)}; the file names "
            "must be the same."
        )
    names = [[one.name.casefold() for one in photos.categories] for photos in (first, second)]
    return _agreement(pairs, names, problems)


def annotators_consistency(photos: AnnotatedPhotos) -> dict[tuple[int, int], Agreement]:
    """The agreement of every pair of annotators of a data set such as BSDS500, by their numbers, from 0.

    Annotators have the same number in all photos only if the data says so; BSDS500 does not.

    Raises:
        InputError: no photo was annotated by several people.
    """
    problems = Problems()
    pairs: dict[tuple[int, int], list[tuple[Sequence[Segment], Sequence[Segment]]]] = {}
    for _, photo in _readable(photos, problems):
        for one, other in combinations(range(len(photo.annotators)), 2):
            pairs.setdefault((one, other), []).append((photo.annotators[one], photo.annotators[other]))
    if not pairs:
        raise InputError(f"{photos.name} does not have photos that several people annotated.")
    names = [[one.name.casefold() for one in photos.categories]] * 2
    return {people: _agreement(pairs[people], names, problems) for people in sorted(pairs)}


def _readable(photos: AnnotatedPhotos, problems: Problems) -> Iterable[tuple[int, AnnotatedPhoto]]:
    for number in range(len(photos)):
        try:
            yield number, photos.photo(number)
        except ImageError as error:
            problems.add("photos that cannot be used", str(error).rstrip("."))


def _agreement(
    pairs: Sequence[tuple[Sequence[Segment], Sequence[Segment]]], names: Sequence[Sequence[str]], problems: Problems
) -> Agreement:
    results: list[Any] = []
    equal: list[bool] = []
    for truth, other in pairs:
        # All scores are the same; larger masks come first, so that the order of a file does not matter.
        found = [FoundMask(one.mask, 1.0) for one in sorted(other, key=lambda one: -rle.area(one.mask))]
        results.append(matched(truth, found, overlaps(truth, found)))
        ious = overlaps([Segment(one.mask) for one in truth], [FoundMask(one.mask, 1.0) for one in other])
        for number, column in enumerate(ious.T if ious.size else []):
            best = int(np.argmax(column))
            mine, theirs = truth[number].category, other[best].category
            if column[best] > SAME and mine is not None and theirs is not None:
                equal.append(names[0][mine] == names[1][theirs])
    ap = accumulated(results).figures()["AP"]
    return Agreement(
        float("nan") if ap < 0 else ap,
        float(np.mean(equal)) if equal else float("nan"),
        len(pairs),
        len(equal),
        problems,
    )
