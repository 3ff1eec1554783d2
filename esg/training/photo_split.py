"""Splits labelled photos into those to train on and those to measure on."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial

import numpy as np

from ..data.annotated import AnnotatedPhoto, AnnotatedPhotos
from ..data.labelled import LabelledPhoto, LabelledPhotos
from ..data.photos import Photos
from ..support.errors import ImageError


class PhotoSplit(Photos):
    """A mixture of data sets, of which a share of the photos is held out; the others are drawn.

    The choice depends only on the number of photos in a data set, so all runs on it hold out the same ones.

    Args:
        folders: data sets, see `Photos`.
        weights: relative frequency of each; empty: proportional to its number of photos.
        held_out: share of the photos of each data set that is held out. Between 0 and 1, it is at least one photo of
            every data set that has more than one; and at least one is left to train on.

    Raises:
        InputError: see `Photos`.
    """

    def __init__(self, folders: Sequence[str], weights: Sequence[float] = (), held_out: float = 0.0) -> None:
        super().__init__(folders, weights)
        self._held = []
        for number, source in enumerate(self.sources):
            order = np.random.default_rng(0).permutation(len(source)).tolist()
            held = _count(len(source), held_out)
            self._held.append(LabelledPhotos(_Part(source.photos, order[:held])))
            self.sources[number] = LabelledPhotos(_Part(source.photos, order[held:]))

    def __len__(self) -> int:
        """The number of photos to train on."""
        return sum(map(len, self.sources))

    def held_out(self, limit: int) -> Iterator[LabelledPhoto]:
        """The photos that are held out, at most `limit`, in equal parts from the data sets as far as possible.

        If several people annotated a photo, the first one counts. Photos that cannot be read are left out, with a
        warning.

        Raises:
            ImageError: none of them can be read.
        """
        places = sorted((index, number) for number, held in enumerate(self._held) for index in range(len(held)))[:limit]
        read = 0
        for index, number in places:
            photo = self._usable.usable(partial(self._held[number].__getitem__, index))
            if photo is not None:
                read += 1
                yield photo
        if places and not read:
            raise ImageError("None of the photos that the run measures on can be read; use others for --val.")


class _Part(AnnotatedPhotos):
    """Some photos of a data set."""

    def __init__(self, photos: AnnotatedPhotos, chosen: Sequence[int]) -> None:
        self.name, self.categories, self.problems = photos.name, photos.categories, photos.problems
        self._photos, self._chosen = photos, chosen

    def __len__(self) -> int:
        return len(self._chosen)

    def called(self, index: int) -> tuple[int | str, str]:
        return self._photos.called(self._chosen[index])

    def photo(self, index: int) -> AnnotatedPhoto:
        return self._photos.photo(self._chosen[index])


def _count(photos: int, share: float) -> int:
    if share in (0, 1):
        return round(photos * share)
    return min(max(1, round(photos * share)), photos - 1)
