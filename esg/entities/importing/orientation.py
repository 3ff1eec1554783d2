"""Photos rotated by EXIF: rotates masks of the stored pixels in the same way."""

from __future__ import annotations

import os
import warnings
from pathlib import Path

import numpy as np
from PIL import Image

_TAG = 0x0112


def orientation_of(photo: str | Path) -> int:
    """The EXIF orientation of a photo, 1 to 8; 1, upright, if it does not have one or is not a file."""
    if not os.path.isfile(photo):
        return 1
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about the size, which is checked when the photo is read
            with Image.open(photo) as picture:
                found = picture.getexif().get(_TAG, 1)
    except Exception:  # a damaged EXIF block can raise almost anything
        return 1
    return found if found in range(1, 9) else 1


def stored_size(size: tuple[int, int], orientation: int) -> tuple[int, int]:
    """height, width of the stored pixels of a photo with this upright size."""
    return (size[1], size[0]) if orientation >= 5 else (size[0], size[1])


def turned_upright(stored: np.ndarray, orientation: int) -> np.ndarray:
    """An (H, W) array of stored pixels, rotated upright by EXIF's orientation."""
    turned = {
        1: stored,
        2: stored[:, ::-1],
        3: stored[::-1, ::-1],
        4: stored[::-1],
        5: stored.T,
        6: stored[::-1].T,
        7: stored[::-1, ::-1].T,
        8: stored[:, ::-1].T,
    }[orientation]
    return np.ascontiguousarray(turned)
