"""Labelled photos from several folders, each in its own format."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from ..support.errors import InputError
from .bsds import BsdsPhotos
from .coco import INSTANCES, PANOPTIC, CocoInstances, CocoPanoptic
from .labelled import LabelledPhoto


class Photos:
    """A mixture of folders to draw photos from.

    Args:
        folders: each of COCO's panoptic format, of COCO's instances, or laid out like BSDS500.
        weights: relative frequency of each folder; None: proportional to its number of photos.

    Raises:
        InputError: a folder is missing, damaged, or in another format; or there are not as many weights as folders.
    """

    def __init__(self, folders: Sequence[str], weights: Sequence[float] = ()) -> None:
        self.sources = [open_photos(folder) for folder in folders]
        if weights and len(weights) != len(folders):
            raise InputError(
                f"There are {len(folders)} folders of photos but {len(weights)} weights; give one per folder."
            )
        shares = np.array(weights or [len(source) for source in self.sources], np.float64)
        self._shares = shares / shares.sum()

    def draw(self, rng: np.random.Generator) -> LabelledPhoto:
        """A photo, with one segmentation if several people have made one."""
        source = self.sources[int(rng.choice(len(self.sources), p=self._shares))]
        index = int(rng.integers(len(source)))
        if not isinstance(source, BsdsPhotos):
            return source[index]
        image, annotators = source.item(index)
        labels = annotators[int(rng.integers(len(annotators)))]
        return LabelledPhoto(source.ids[index], image, labels, (None,) * int(labels.max()))

    @property
    def categories(self) -> tuple[str, ...]:
        """All category names in the folders, without duplicates."""
        named = (source for source in self.sources if not isinstance(source, BsdsPhotos))
        return tuple(dict.fromkeys(name for source in named for name in source.categories))

    @property
    def things(self) -> frozenset[str]:
        """The `categories` that are things, not stuff."""
        found = (source.things for source in self.sources if not isinstance(source, BsdsPhotos))
        return frozenset().union(*found)


def open_photos(folder: str | Path) -> CocoPanoptic | CocoInstances | BsdsPhotos:
    """The photos of a folder, in the format that it has.

    Raises:
        InputError: the folder does not exist, or its format is unknown.
    """
    if os.path.isfile(Path(folder) / PANOPTIC):
        return CocoPanoptic(folder)
    if os.path.isfile(Path(folder) / INSTANCES):
        return CocoInstances(folder)
    return BsdsPhotos(folder)
