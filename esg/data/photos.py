"""Labelled photos from several data sets, mixed for training."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import TypeVar

import numpy as np

from ..support.errors import EsgError, ImageError, InputError, NoNumbers, OutOfMemory
from .annotated import AnnotatedPhoto, AnnotatedPhotos
from .captions import Captions, WithCaptions
from .labelled import LabelledPhoto, LabelledPhotos, labelled
from .opening import open_photos
from .problems import Problems

log = logging.getLogger(__name__)

Drawn = TypeVar("Drawn")
_DRAWN = 100  # maximum number of photos to try until one can be used


class FirstUsable:
    """Draws until a photo can be used; a warning names every one that cannot be read, once."""

    def __init__(self) -> None:
        self._named: set[str] = set()
        self._reason = ""

    def usable(self, draw: Callable[[], Drawn]) -> Drawn | None:
        """The result of `draw`; None, after a warning, if the photo cannot be read."""
        try:
            return draw()
        except (OutOfMemory, NoNumbers):
            raise
        except EsgError as error:
            self._reason = str(error).rstrip(".")
            if self._reason not in self._named:
                self._named.add(self._reason)
                log.warning("A photo is left out: %s.", self._reason)
            return None

    def first(self, draw: Callable[[], Drawn | None]) -> Drawn:
        """The first result of `draw` that is not None.

        Raises:
            ImageError: 100 in a row are None or cannot be read.
        """
        self._reason = "nothing in them is labelled"
        for _ in range(_DRAWN):
            if (drawn := self.usable(draw)) is not None:
                return drawn
        raise ImageError(f"{_DRAWN} photos in a row cannot be used: {self._reason}.")

    def note(self, data: str, problems: Problems) -> None:
        """Warns of what is left out of the annotations of a data set, once for each kind of problem."""
        for problem, names in problems.found.items():
            if (said := f"{data} has {problem}") not in self._named:
                self._named.add(said)
                log.warning("%s, such as %s.", said, names[0])


class Photos:
    """A mixture of data sets to draw photos from.

    Args:
        folders: each in one of the forms that `open_photos` knows.
        weights: relative frequency of each; None: proportional to its number of photos.
        captions: JSON files with captions of the photos, see `Captions`; photos that none has keep their own.

    Raises:
        InputError: a data set is missing, damaged, or in another format; or there are not as many weights as folders.
    """

    def __init__(self, folders: Sequence[str], weights: Sequence[float] = (), captions: Sequence[str] = ()) -> None:
        written = [Captions(file) for file in captions]
        self.sources = [LabelledPhotos(_captioned(open_photos(folder), written)) for folder in folders]
        if weights and len(weights) != len(folders):
            raise InputError(
                f"There are {len(folders)} folders of photos but {len(weights)} weights; give one per folder."
            )
        self._usable = FirstUsable()
        shares = np.array(weights or [len(source) for source in self.sources], np.float64)
        self._shares = shares / shares.sum()

    def draw(self, rng: np.random.Generator) -> LabelledPhoto:
        """A photo, with one segmentation if several people have made one; those that cannot be read are left out.

        Raises:
            ImageError: 100 photos in a row cannot be read.
        """
        return self._usable.first(lambda: self._draw(rng))

    def _draw(self, rng: np.random.Generator) -> LabelledPhoto:
        photos, photo, annotator = self.draw_annotated(rng)
        return labelled(photo, photos.categories, annotator)

    def draw_annotated(self, rng: np.random.Generator) -> tuple[AnnotatedPhotos, AnnotatedPhoto, int | None]:
        """A data set, a photo of it, and whose segmentation to use if several people have made one."""
        photos = self.sources[int(rng.choice(len(self.sources), p=self._shares))].photos
        photo = photos[int(rng.integers(len(photos)))]
        self._usable.note(photos.name, photos.problems)
        self._usable.note(photos.name, photo.problems)
        annotator = int(rng.integers(len(photo.annotators))) if photo.annotators else None
        return photos, photo, annotator

    @property
    def categories(self) -> tuple[str, ...]:
        """All category names in the data sets, without duplicates."""
        return tuple(dict.fromkeys(name for source in self.sources for name in source.categories))

    @property
    def things(self) -> frozenset[str]:
        """The `categories` that are things, not stuff."""
        return frozenset().union(*(source.things for source in self.sources))


def _captioned(photos: AnnotatedPhotos, written: Sequence[Captions]) -> AnnotatedPhotos:
    for captions in written:
        photos = WithCaptions(photos, captions)
    return photos
