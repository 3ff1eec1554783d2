"""A photo with a label map and the names of its entities: the form that training and grounding need."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import PurePosixPath

import numpy as np

from ..entities import rle
from .annotated import AnnotatedPhoto, AnnotatedPhotos, Category, Segment
from .problems import Problems

UNKNOWN = -1
"""The label of pixels that nobody has labelled: they may belong to an entity or to none."""


@dataclass(frozen=True)
class LabelledPhoto:
    """A photo and the known facts about its entities.

    Attributes:
        name: name of the photo's file, without its suffix.
        image: (H, W, 3) uint8 RGB.
        labels: (H, W) int32: entities 1..N, 0 = no entity, `UNKNOWN` = not labelled.
        categories: N names, starting with entity 1; None where the category is unknown.
        captions: captions written by people; may be empty.
        problems: what was left out of its annotations.
    """

    name: str
    image: np.ndarray
    labels: np.ndarray
    categories: tuple[str | None, ...]
    captions: tuple[str, ...] = ()
    problems: Problems = field(default_factory=Problems, compare=False)


def labelled(photo: AnnotatedPhoto, categories: Sequence[Category], annotator: int | None = None) -> LabelledPhoto:
    """Reads a photo and paints its segments; crowds, and areas without a segment, are `UNKNOWN`.

    Args:
        photo: the photo.
        categories: the categories of its data set.
        annotator: whose segments to paint, if several people annotated the photo; None: `segments`.

    Raises:
        ImageError: the photo cannot be read.
    """
    segments = photo.segments if annotator is None else photo.annotators[annotator]
    labels, names = painted(segments, photo.size, categories)
    name = PurePosixPath(photo.name).stem
    return LabelledPhoto(name, photo.image(), labels, names, photo.captions, photo.problems)


def painted(
    segments: Sequence[Segment], size: tuple[int, int], categories: Sequence[Category]
) -> tuple[np.ndarray, tuple[str | None, ...]]:
    """The label map (H, W) int32 of segments, later ones on top, and the category names of its labels."""
    columns = np.full(size[0] * size[1], UNKNOWN, np.int32)
    used = [one for one in segments if not one.crowd]
    for label, one in enumerate(used, start=1):
        rle.paint(one.mask, columns, label)
    labels = np.ascontiguousarray(columns.reshape(size[1], size[0]).T)
    return labels, tuple(None if one.category is None else categories[one.category].name for one in used)


class LabelledPhotos(Sequence[LabelledPhoto]):
    """The photos of a data set with their label maps, each read when it is asked for.

    Args:
        photos: the data set.

    Attributes:
        name: the file or folder they were opened from.
        categories: names of all categories, in the order of the data.
        things: names of those that are things; all of them if the data does not say.
        problems: what was left out when they were opened.
    """

    def __init__(self, photos: AnnotatedPhotos) -> None:
        self.photos = photos
        self.name, self.problems = photos.name, photos.problems
        self.categories = tuple(one.name for one in photos.categories)
        self.things = frozenset(one.name for one in photos.categories if one.thing is not False)

    def __len__(self) -> int:
        return len(self.photos)

    def __getitem__(self, index):  # type: ignore[no-untyped-def, override]
        """The photo at an index; ImageError if it cannot be read."""
        return labelled(self.photos[index], self.photos.categories)
