"""Splits labelled photos into those to train on and those to measure on."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from ..data.bsds import BsdsPhotos
from ..data.coco import CocoInstances, CocoPanoptic
from ..data.labelled import LabelledPhoto
from ..data.photos import Photos


class PhotoSplit(Photos):
    """A mixture of folders, of which a share of the photos is held out.

    The choice depends only on the number of photos in a folder, so all runs on a folder hold out the same ones.

    Args:
        folders: folders of labelled photos, see `esg.data.photos`.
        weights: relative frequency of each folder; empty: proportional to its number of photos.
        held_out: share of the photos of each folder that is held out. Between 0 and 1, it is at least one photo of
            every folder that has more than one; and at least one is left to train on.

    Raises:
        InputError: see `Photos`.
    """

    def __init__(self, folders: Sequence[str], weights: Sequence[float] = (), held_out: float = 0.0) -> None:
        super().__init__(folders, weights)
        self._order = [np.random.default_rng(0).permutation(len(source)) for source in self.sources]
        self._held = [_count(len(source), held_out) for source in self.sources]

    def __len__(self) -> int:
        return sum(map(len, self._order))

    def draw(self, rng: np.random.Generator) -> LabelledPhoto:
        """A photo to train on, with one segmentation if several people have made one."""
        number = int(rng.choice(len(self.sources), p=self._shares))
        rest = self._order[number][self._held[number] :]
        return _photo(self.sources[number], int(rest[rng.integers(len(rest))]), rng)

    def held_out(self, limit: int) -> Iterator[LabelledPhoto]:
        """The photos that are held out, at most `limit`, in equal parts from the folders as far as possible.

        Of several segmentations of a photo, the first is used.
        """
        places = [
            (rank, number, int(index))
            for number, (order, count) in enumerate(zip(self._order, self._held, strict=True))
            for rank, index in enumerate(order[:count])
        ]
        for _, number, index in sorted(places)[:limit]:
            yield _photo(self.sources[number], index, None)


def _count(photos: int, share: float) -> int:
    if share in (0, 1):
        return round(photos * share)
    return min(max(1, round(photos * share)), photos - 1)


def _photo(
    source: CocoPanoptic | CocoInstances | BsdsPhotos, index: int, rng: np.random.Generator | None
) -> LabelledPhoto:
    if not isinstance(source, BsdsPhotos):
        return source[index]
    image, annotators = source.item(index)
    labels = annotators[0 if rng is None else int(rng.integers(len(annotators)))]
    return LabelledPhoto(source.ids[index], image, labels, (None,) * int(labels.max()))
