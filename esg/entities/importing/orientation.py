"""Photos that EXIF turns: masks of the pixels as they are stored, turned as the photo is seen."""

from __future__ import annotations

import os
import warnings
from pathlib import Path

import numpy as np
from PIL import Image

_TAG = 0x0112


def orientation_of(photo: str | Path) -> int:
    """EXIF's orientation of a photo, 1 to 8; 1, upright, also where it says none or is no file."""
    if not os.path.isfile(photo):
        return 1
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about the size, which is checked where the photo is read
            with Image.open(photo) as picture:
                found = picture.getexif().get(_TAG, 1)
    except Exception:  # a damaged EXIF block can raise nearly anything, and says nothing then
        return 1
    return found if found in range(1, 9) else 1


def stored_size(size: tuple[int, int], orientation: int) -> tuple[int, int]:
    """height, width of the stored pixels of a photo that is this large upright."""
    return (size[1], size[0]) if orientation >= 5 else (size[0], size[1])


def turned_upright(stored: np.ndarray, orientation: int) -> np.ndarray:
    """An (H, W) array as it is stored, turned as EXIF's orientation says."""
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
