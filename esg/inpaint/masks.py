"""The area to generate around a mask, and the opacity at which it is shown."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from ..support.strips import strips

SOLID = 0.99  # a mask counts as 1 from here on, since resizing may have lowered it a little


def without_noise(mask: np.ndarray, background: float) -> np.ndarray:
    """The mask with values near 0 set to 0 and values near 1 set to 1; (h, w) bool or float32."""
    if mask.dtype == bool or not background:
        return mask
    clean = mask.astype(np.float32)
    clean[clean <= background] = 0
    clean[clean >= 1 - background] = 1
    return clean


def generation_and_blend(mask: np.ndarray, grow: int, feather: int, fill_holes: bool) -> tuple[np.ndarray, np.ndarray]:
    """The generation mask and the blend mask of a mask; the second is 0 where the first is.

    Args:
        mask: (h, w) bool, or float from 0 to 1.
        grow, feather, fill_holes: see `CropSettings`.

    Returns:
        (h, w) bool, and (h, w) float32 from 0 to 1, nowhere less than the mask.
    """
    margin = max(grow, feather)
    solid = mask >= SOLID
    if fill_holes:
        solid = ndimage.binary_fill_holes(solid)
    away = distances(solid, margin)
    ramp = np.clip((margin + 1 - away) / (feather + 1), 0, 1)
    ramp[away > margin] = 0
    ramp *= ramp * (3 - 2 * ramp)  # flat at both ends, so that no line is visible where it begins
    return (mask > 0) | (away <= margin), np.maximum(ramp, mask, dtype=np.float32)


def distances(solid: np.ndarray, most: int) -> np.ndarray:
    """The distance of every pixel from the nearest solid one, (h, w) float32: exact up to `most`, larger beyond."""
    away = np.full(solid.shape, np.inf, np.float32)
    for rows in strips(*solid.shape):  # the transform itself takes about 16 bytes per pixel
        first = max(rows.start - most, 0)
        part = solid[first : rows.stop + most]
        if part.any():
            found = ndimage.distance_transform_edt(~part)
            away[rows] = found[rows.start - first :][: rows.stop - rows.start]
    return away
