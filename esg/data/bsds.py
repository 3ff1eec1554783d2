"""Photos segmented by several people: the BSDS500 benchmark and folders laid out like it.

D. Martin et al., "A Database of Human Segmented Natural Images", ICCV 2001; P. Arbelaez et al., "Contour Detection and
Hierarchical Image Segmentation", PAMI 2011. The photos are for research, not for redistribution.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

import numpy as np
from PIL import Image

from ..entities import rle
from ..support.errors import ImageError, InputError
from .annotated import AnnotatedPhoto, AnnotatedPhotos, Segment
from .problems import Problems

_SEGMENTATION = re.compile(r"(.+)_(\d+)\.png")


class BsdsPhotos(AnnotatedPhotos):
    """The photos `ID.jpg` of a folder with their segmentations `ID_k.png`, k = 0, 1, ... (one per annotator).

    A segmentation is a greyscale picture whose values are segments; 0, if used, means "no segment". It matches the
    photo after EXIF rotation. Photos without a segmentation, and segmentations without a photo, are left out and noted
    in `problems`.

    Args:
        folder: the folder, e.g. `bsds500/train`.

    Raises:
        InputError: the folder does not exist, has no photos, or no photo has a segmentation.
    """

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)
        self.name, self.problems = str(folder), Problems()
        if not os.path.isdir(self.folder):
            raise InputError(
                f"The folder {self.folder} does not exist; give the folder that contains ID.jpg and ID_0.png files."
            )
        photos = sorted(path.stem for path in self.folder.glob("*.jpg"))
        if not photos:
            raise InputError(
                f"The folder {self.folder} does not contain .jpg files; give one with ID.jpg and ID_0.png files."
            )
        found: dict[str, list[tuple[int, Path]]] = {photo: [] for photo in photos}
        for path in sorted(self.folder.glob("*.png")):
            match = _SEGMENTATION.fullmatch(path.name)
            if match and match[1] in found:
                found[match[1]].append((int(match[2]), path))
            elif match:
                self.problems.add("segmentations without a photo", path.name)
        for photo in photos:
            if not found[photo]:
                self.problems.add("photos without a segmentation", f"{photo}.jpg")
        self._segmentations = [(photo, [path for _, path in sorted(paths)]) for photo, paths in found.items() if paths]
        if not self._segmentations:
            raise InputError(
                f"No photo in {self.folder} has a segmentation; add {photos[0]}_0.png, or give another folder."
            )

    def __len__(self) -> int:
        return len(self._segmentations)

    def called(self, index: int) -> tuple[int | str, str]:
        """The id and the name of the photo at an index."""
        name = self._segmentations[index][0]
        return name, f"{name}.jpg"

    def photo(self, index: int) -> AnnotatedPhoto:
        """The photo at an index, with the segments of all its annotators.

        Raises:
            ImageError: a segmentation cannot be read, or they differ in size.
        """
        name, paths = self._segmentations[index]
        maps = [_read(path, name) for path in paths]
        for labels, path in zip(maps, paths, strict=True):
            if labels.shape != maps[0].shape:
                raise ImageError(f"{path} does not have the size of {paths[0].name}; replace the file.")
        people = tuple(tuple(Segment(mask) for mask in rle.encode_labels(one, int(one.max()))) for one in maps)
        file = self.folder / f"{name}.jpg"
        size = (maps[0].shape[0], maps[0].shape[1])
        return AnnotatedPhoto(name, file.name, size, file, people[0], annotators=people)


def renumbered(labels: np.ndarray) -> np.ndarray:
    """Labels (H, W) int32 with the positive values renumbered 1..N in ascending order; 0 stays 0."""
    values, inverse = np.unique(labels, return_inverse=True)
    first = 0 if values[0] == 0 else 1
    return (inverse.reshape(labels.shape) + first).astype(np.int32)


def _read(path: Path, photo: str) -> np.ndarray:
    try:
        with Image.open(path) as picture:
            raw = np.asarray(picture)
    except OSError as error:
        raise ImageError(f"{path} cannot be read as a picture ({error}); replace the file.") from error
    if raw.ndim != 2:
        raise ImageError(f"{path} is not a one-channel picture of the segments of {photo}.jpg; replace the file.")
    return renumbered(raw)
