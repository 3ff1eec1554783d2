"""Labelled photos from several data sets, mixed for training."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..support.errors import InputError
from .annotated import AnnotatedPhotos
from .captions import Captions, WithCaptions
from .labelled import LabelledPhoto, LabelledPhotos, labelled
from .opening import open_photos


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
        shares = np.array(weights or [len(source) for source in self.sources], np.float64)
        self._shares = shares / shares.sum()

    def draw(self, rng: np.random.Generator) -> LabelledPhoto:
        """A photo, with one segmentation if several people have made one."""
        photos = self.sources[int(rng.choice(len(self.sources), p=self._shares))].photos
        photo = photos[int(rng.integers(len(photos)))]
        annotator = int(rng.integers(len(photo.annotators))) if photo.annotators else None
        return labelled(photo, photos.categories, annotator)

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
