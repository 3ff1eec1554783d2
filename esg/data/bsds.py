"""Photos segmented by several people: the BSDS500 benchmark and folders laid out like it.

D. Martin et al., "A Database of Human Segmented Natural Images", ICCV 2001; P. Arbelaez et al., "Contour Detection and
Hierarchical Image Segmentation", PAMI 2011. The photos are for research, not for redistribution.
"""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from ..pictures.reading import read_image
from ..support.errors import ImageError, InputError

_SEGMENTATION = re.compile(r"(.+)_(\d+)\.png")


class BsdsPhotos(Sequence[tuple[np.ndarray, list[np.ndarray]]]):
    """The photos `ID.jpg` of a folder with their segmentations `ID_k.png`, k = 0, 1, ... (one per annotator).

    A segmentation is a greyscale picture whose values are segments; 0, if used, means "no segment". It matches the
    photo after EXIF rotation.

    Args:
        folder: The folder, e.g. `bsds500/train`.

    Raises:
        InputError: The folder does not exist, has no photos, or a photo has no segmentation.

    Attributes:
        ids: Names of the photos, sorted.
    """

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)
        if not os.path.isdir(self.folder):
            raise InputError(
                f"The folder {self.folder} does not exist; give the folder that contains ID.jpg and ID_0.png files."
            )
        self.ids: list[str] = sorted(path.stem for path in self.folder.glob("*.jpg"))
        if not self.ids:
            raise InputError(
                f"The folder {self.folder} does not contain .jpg files; give one with ID.jpg and ID_0.png files."
            )
        found: dict[str, list[tuple[int, Path]]] = {photo: [] for photo in self.ids}
        for path in self.folder.glob("*.png"):
            match = _SEGMENTATION.fullmatch(path.name)
            if match and match[1] in found:
                found[match[1]].append((int(match[2]), path))
        self._segmentations = {photo: [path for _, path in sorted(paths)] for photo, paths in found.items()}
        bare = [photo for photo, paths in self._segmentations.items() if not paths]
        if bare:
            raise InputError(
                f"{len(bare)} photos in {self.folder} have no segmentation, the first is {bare[0]}.jpg; "
                f"add {bare[0]}_0.png or remove the photo."
            )

    def __len__(self) -> int:
        return len(self.ids)

    def __getitem__(self, index):  # type: ignore[no-untyped-def, override]
        """The item at an index, or a list of items for a slice."""
        if isinstance(index, slice):
            return [self.item(i) for i in range(*index.indices(len(self)))]
        return self.item(index)

    def item(self, index: int) -> tuple[np.ndarray, list[np.ndarray]]:
        """A photo (H, W, 3) uint8 and its label maps, each (H, W) int32 with entities 1..N and 0 for none.

        Raises:
            ImageError: a file cannot be read, or a segmentation does not have the size of its photo.
        """
        photo = self.ids[index]
        image = read_image(self.folder / f"{photo}.jpg")
        maps = []
        for path in self._segmentations[photo]:
            raw = np.asarray(_read(path))
            if raw.shape != image.shape[:2]:
                raise ImageError(
                    f"{path} is not a one-channel picture of the same size as {photo}.jpg; replace the file."
                )
            maps.append(renumbered(raw))
        return image, maps


def renumbered(labels: np.ndarray) -> np.ndarray:
    """Labels (H, W) int32 with the positive values renumbered 1..N in ascending order; 0 stays 0."""
    values, inverse = np.unique(labels, return_inverse=True)
    first = 0 if values[0] == 0 else 1
    return (inverse.reshape(labels.shape) + first).astype(np.int32)


def _read(path: Path) -> Image.Image:
    try:
        picture = Image.open(path)
        picture.load()
    except OSError as error:
        raise ImageError(f"{path} cannot be read as a picture ({error}); replace the file.") from error
    return picture
