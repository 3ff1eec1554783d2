"""Where the entities of a photo come from: its annotations, a model, or files of any program's masks."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path, PurePath

import numpy as np

from ..data.annotated import AnnotatedPhoto
from ..entities.entity_map import EntityMap
from ..entities.importing.reading import read_masks, tells_photos_apart
from ..pictures.listing import SUFFIXES
from ..support.errors import EsgError, InputError, NoNumbers, OutOfMemory

Segment = Callable[[np.ndarray, str], EntityMap]
"""A photo, (H, W, 3) uint8 RGB, and its path or name → its entities."""

_OWN_ENDINGS = (".entities.json", ".labels.png", ".png")  # as `esg segment` names its results, and others


def segmented_by(model: Callable[[np.ndarray], EntityMap]) -> Segment:
    """The entities that a segmenter finds."""
    return lambda image, name: model(image)


class MasksFromFiles:
    """The entities that any program found, read with `read_masks`.

    Args:
        path: a folder with a file or a folder of masks for each photo, named after it: `NAME.json`, `NAME.png`,
            `NAME.npy`, `NAME/0.png` (SAM's) and so on, possibly in folders with the same names as those of the
            photos; or a file about several photos, such as COCO's, which is slower because it is read for every photo.

    Raises:
        InputError: it does not exist.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        if not self.path.exists():
            raise InputError(f"{path} does not exist.")

    def __call__(self, image: np.ndarray, name: str) -> EntityMap:
        """The entities of a photo; EsgError if there are no masks of it, or if they cannot be used."""
        photo, size = PurePath(name), image.shape[:2]
        stem = photo.stem if photo.suffix.lower() in SUFFIXES else photo.name
        folders = self._folders(photo)
        for folder in folders:
            for place in (folder / stem, *(folder / f"{stem}{ending}" for ending in _OWN_ENDINGS)):
                if place.exists() and place != self.path:
                    return read_masks(place, size, photo=name, may_be_empty=True)
            if tells_photos_apart(folder, [name]):
                return read_masks(folder, size, photo=name, by_name=True, may_be_empty=True)
        if folders:
            raise InputError(f"{self.path} does not have masks of {photo.name}.")
        return read_masks(self.path, size, photo=name, by_name=True, may_be_empty=True)

    def _folders(self, photo: PurePath) -> list[Path]:
        """The folder itself, preceded by its subfolders that have the names of the photo's own folders."""
        if not self.path.is_dir():
            return []
        inner, outer = photo.parent.name, photo.parent.parent.name
        near = (self.path / outer / inner, self.path / outer, self.path / inner, self.path)
        return [one for one in dict.fromkeys(near) if one.is_dir()]


class NoEntities(InputError):
    """The entities of a photo cannot be found, for example because there are no masks of it."""


def entities_of(photo: AnnotatedPhoto, image: np.ndarray, segment: Segment | None) -> EntityMap:
    """The entities of a photo.

    Args:
        photo: the photo and its annotations.
        image: the photo itself.
        segment: their source; None: the annotated segments, crowds too; smaller ones are on top.

    Raises:
        NoEntities: the source does not have entities of this photo.
    """
    if segment is None:
        return EntityMap.from_masks([one.mask for one in photo.segments], size=photo.size, order="smaller")
    return found_by(segment, image, photo.name if photo.file is None else str(photo.file))


def found_by(segment: Segment, image: np.ndarray, name: str) -> EntityMap:
    """The entities of a photo from a source; NoEntities if it does not have any for this photo."""
    try:
        return segment(image, name)
    except (OutOfMemory, NoNumbers):
        raise
    except EsgError as error:
        raise NoEntities(str(error)) from None
