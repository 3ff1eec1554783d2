"""Photos with one mask of their foreground: DIS5K (Qin et al., "Highly Accurate Dichotomous Image Segmentation", 2022).

Also CAMO, FSS and other data sets with the same two folders.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from ..entities import rle
from ..pictures.listing import list_images
from ..support.errors import ImageError, InputError
from .annotated import AnnotatedPhoto, AnnotatedPhotos, Segment
from .problems import Problems

FOLDERS = (("im", "gt"), ("Imgs", "GT"), ("Image", "GT"), ("images", "gt"))


class ForegroundPhotos(AnnotatedPhotos):
    """The photos of a folder `im/` with their masks of the same name in `gt/`, as DIS5K has them.

    Args:
        folder: the folder that holds the two.

    Raises:
        InputError: there are no such folders, or no photo has a mask.
    """

    def __init__(self, folder: str | Path) -> None:
        folder = Path(folder)
        self.name, self.problems = str(folder), Problems()
        pair = next((pair for pair in FOLDERS if all((folder / one).is_dir() for one in pair)), None)
        if pair is None:
            raise InputError(f"{folder} does not have the folders im/ and gt/ of photos and masks.")
        photos, masks = (folder / one for one in pair)
        self._found = []
        for photo in list_images([photos])[0]:
            mask = (masks / photo.path.relative_to(photos)).with_suffix(".png")
            if mask.is_file():
                self._found.append((photo.path.relative_to(photos).as_posix(), photo.path, mask))
            else:
                self.problems.add("photos without a mask", photo.path.name)
        used = {mask for *_, mask in self._found}
        for mask in sorted(masks.rglob("*.png")):
            if mask not in used:
                self.problems.add("masks without a photo", mask.relative_to(masks).as_posix())
        if not self._found:
            raise InputError(f"No photo in {photos} has a PNG with its name in {masks}.")

    def __len__(self) -> int:
        return len(self._found)

    def mask(self, index: int) -> np.ndarray:
        """The mask at an index, (H, W) uint8, 0 outside and 255 inside; its rim may have values between.

        Raises:
            ImageError: it cannot be read.
        """
        path = self._found[index][2]
        try:
            with Image.open(path) as picture:
                return np.asarray(picture.convert("L"))
        except (OSError, ValueError) as error:
            raise ImageError(f"{path} cannot be read as a picture ({error}).") from None

    def called(self, index: int) -> tuple[int | str, str]:
        """The id and the name of the photo at an index."""
        name = self._found[index][0]
        return name, name

    def photo(self, index: int) -> AnnotatedPhoto:
        """The photo at an index; its only segment is where the mask is above 50 %.

        Raises:
            ImageError: the mask cannot be read.
        """
        name, file, _ = self._found[index]
        inside = self.mask(index) > 127
        size = (inside.shape[0], inside.shape[1])
        segments = (Segment(rle.encode_mask(inside)),) if inside.any() else ()
        return AnnotatedPhoto(name, name, size, file, segments)
