"""Photos with annotated segments: the form into which every format of annotations is read."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from ..entities import rle
from ..pictures.reading import read_image
from ..support.errors import ImageError, InputError
from .problems import Problems

MISSING = "photos that are missing"


@dataclass(frozen=True)
class Category:
    """A class of segments.

    Attributes:
        name: its name in the data.
        thing: whether its segments are countable things, not stuff; None if the data does not say.
        id: its number in the data; None if it has none.
    """

    name: str
    thing: bool | None = None
    id: int | str | None = None


@dataclass(frozen=True)
class Segment:
    """An annotated area of a photo.

    Attributes:
        mask: COCO RLE of the photo's size.
        category: its category, as an index of the data set's `categories`; None if unknown.
        crowd: whether it is a group that was not separated (COCO's `iscrowd`).
        area: its area in pixels as the data states it, which decides its size class; None: the mask's own.
        id: its number in the data, where texts refer to segments by it.
    """

    mask: rle.Rle
    category: int | None = None
    crowd: bool = False
    area: float | None = None
    id: int | str | None = None


@dataclass(frozen=True)
class AnnotatedPhoto:
    """A photo and its annotations; the photo itself is read by `image`.

    Attributes:
        id: its number in the data, or its name.
        name: its file name in the data, with "/" between folders.
        size: height and width in pixels.
        file: where the photo is; None if it was not found.
        segments: its segments; where they overlap, a later one is on top.
        captions: sentences about the photo.
        annotators: the segments by everybody who annotated the photo, if several people did; `segments` is the first.
        problems: what was left out.
    """

    id: int | str
    name: str
    size: tuple[int, int]
    file: Path | None = None
    segments: tuple[Segment, ...] = ()
    captions: tuple[str, ...] = ()
    annotators: tuple[tuple[Segment, ...], ...] = ()
    problems: Problems = field(default_factory=Problems, compare=False)

    def image(self) -> np.ndarray:
        """The photo, (H, W, 3) uint8 RGB.

        Raises:
            ImageError: it is missing, cannot be read, or does not have the size that its annotations were made for.
        """
        if self.file is None:
            raise ImageError(f"The photo {self.name} is missing.")
        image = read_image(self.file)
        if image.shape[:2] != self.size:
            (height, width), (own_height, own_width) = self.size, image.shape[:2]
            raise ImageError(
                f"{self.file} has {own_width}x{own_height} pixels, but its annotations are for {width}x{height}."
            )
        return image


class AnnotatedPhotos(Sequence[AnnotatedPhoto], ABC):
    """A data set: its photos, read one at a time, and their categories.

    It holds file names and annotations, no pictures, and can be pickled for worker processes.

    Attributes:
        name: the file or folder it was opened from.
        categories: all categories, in the order of the data; empty if it has none.
        problems: what was left out when it was opened; each photo has its own, too.
    """

    name: str
    categories: tuple[Category, ...] = ()
    problems: Problems

    def refuse_if_empty(self) -> None:
        """Raises InputError if no photo can be used, with the reasons."""
        if not len(self):
            reasons = "; ".join(self.problems) or "it does not list any"
            raise InputError(f"{self.name} does not have photos that can be used: {reasons}.")

    @abstractmethod
    def __len__(self) -> int: ...

    @abstractmethod
    def photo(self, index: int) -> AnnotatedPhoto:
        """The photo at an index from 0 to the number of photos - 1.

        Raises:
            ImageError: its annotations are in a picture that cannot be read.
        """

    @abstractmethod
    def called(self, index: int) -> tuple[int | str, str]:
        """The id and the name of the photo at an index, which are known even if it cannot be read."""

    def __getitem__(self, index):  # type: ignore[no-untyped-def, override]
        """The photo at an index, or a list of photos for a slice."""
        if isinstance(index, slice):
            return [self.photo(one) for one in range(*index.indices(len(self)))]
        if not -len(self) <= index < len(self):
            raise IndexError(index)
        return self.photo(index % len(self))

    def __iter__(self) -> Iterator[AnnotatedPhoto]:
        return (self.photo(index) for index in range(len(self)))

    @property
    def written(self) -> tuple[str, ...]:
        """All captions of all photos, if people have written any."""
        return ()
