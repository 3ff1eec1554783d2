"""Resizes arrays with Pillow, and tells how far the filter of a resized pixel reaches."""

from __future__ import annotations

import math

import numpy as np
from PIL import Image

# Radius of a filter in pixels: of the source when enlarging, of the result when shrinking.
_SUPPORT = {Image.Resampling.LANCZOS: 3, Image.Resampling.BICUBIC: 2}


def resize(pixels: np.ndarray, size: tuple[int, int], how: Image.Resampling | None = None) -> np.ndarray:
    """Resizes a picture or a mask; returns it unchanged if it already has the size.

    Args:
        pixels: (h, w) float32, or (h, w, 3) uint8 or float32.
        size: height and width of the result.
        how: the filter; None: Lanczos to shrink, bicubic to enlarge. Both can slightly overshoot the range of float32
            values; uint8 is clipped.

    Returns:
        (height, width) or (height, width, 3) in the dtype of `pixels`.
    """
    before = pixels.shape[:2]
    if before == size:
        return pixels
    how = _filter(before, size) if how is None else how
    if pixels.ndim == 3 and pixels.dtype != np.uint8:  # Pillow does not support pictures with three float channels
        return np.stack([resize(pixels[..., channel], size, how) for channel in range(3)], axis=2)
    return np.asarray(Image.fromarray(pixels).resize(size[::-1], how))


def reach(before: tuple[int, int], after: tuple[int, int]) -> int:
    """The distance, in source pixels, from which `resize` may take values for a pixel of the result."""
    if before == after:
        return 0
    shrinks = max(1.0, before[0] / after[0], before[1] / after[1])
    return math.ceil(_SUPPORT[_filter(before, after)] * shrinks)


def _filter(before: tuple[int, int], after: tuple[int, int]) -> Image.Resampling:
    shrinks = after[0] < before[0] or after[1] < before[1]
    return Image.Resampling.LANCZOS if shrinks else Image.Resampling.BICUBIC
