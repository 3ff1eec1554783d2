"""Removes things without a diffusion model: OpenCV's inpainting continues the surroundings into a hole.

It suits small things on a plain background. Deep holes are filled at a reduced size: at full size, the colours of the
rim run to the middle in streaks, and slowly.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from PIL import Image
from scipy import ndimage

from ...pictures.resizing import resize
from ...support.checks import is_number, type_name
from ...support.errors import Advice, EsgError, InputError

METHODS = ("telea", "ns")  # Telea 2004, fast marching; Bertalmio 2001, after Navier and Stokes
MAX_DEPTH = 16  # maximum distance in pixels from the rim of a hole to its middle for OpenCV
_FADE = 2  # pixels of the reduced picture over which the detail of the rim fades into the hole


def remove_with_opencv(
    image: np.ndarray, mask: np.ndarray, *, method: str = "telea", radius: float = 3.0
) -> np.ndarray:
    """Fills the masked part of a picture from its surroundings. The same input gives the same result.

    Args:
        image: (H, W, 3) uint8, or float32 from 0 to 1; it is not changed.
        mask: (H, W) bool, or float from 0 to 1; pixels of 0.5 or more are filled.
        method: "telea" or "ns".
        radius: radius in pixels of the neighbourhood that OpenCV considers, above 0 and up to 100; for deep holes, at
            the reduced size.

    Returns:
        (H, W, 3) in the image's dtype, a new array. Pixels outside the mask are unchanged; those inside are computed
        with 8 bits. An empty mask changes nothing.

    Raises:
        InputError: an argument has a wrong shape, dtype or value, or the mask leaves nothing to fill from.
        EsgError: OpenCV is not installed.

    >>> photo = np.full((20, 20, 3), 200, np.uint8)
    >>> photo[8:12, 8:12] = 0
    >>> hole = np.zeros((20, 20), bool)
    >>> hole[7:13, 7:13] = True
    >>> bool(remove_with_opencv(photo, hole).min() > 190)
    True
    """
    cv2 = load_opencv()
    hole = _checked(image, mask, method, radius)
    filled = image.copy()
    if not hole.any():
        return filled
    scale = min(1.0, MAX_DEPTH / _depth(hole))
    area = _around(hole, math.ceil((radius + _FADE) / scale) + 1)
    flag = {"telea": cv2.INPAINT_TELEA, "ns": cv2.INPAINT_NS}[method]

    def fill(pixels: np.ndarray, hole: np.ndarray) -> np.ndarray:
        whole = np.rint(np.clip(pixels, 0, 255)).astype(np.uint8)
        return cv2.inpaint(whole, hole.astype(np.uint8), radius, flag).astype(np.float32)

    part, hole = filled[area], hole[area]
    unit = 1 if image.dtype == np.uint8 else 255
    pixels = part.astype(np.float32) * unit
    fresh = fill(pixels, hole) if scale == 1 else _fill_deep(pixels, hole, scale, fill)
    fresh = fresh[hole].clip(0, 255)
    part[hole] = np.rint(fresh) if unit == 1 else fresh / unit
    return filled


def load_opencv() -> Any:
    """The module `cv2`; EsgError if it is not installed."""
    try:
        import cv2
    except ImportError as error:
        raise EsgError(f"Inpainting without a diffusion model needs OpenCV ({error}).", Advice.OPENCV) from None
    return cv2


def _checked(image: np.ndarray, mask: np.ndarray, method: str, radius: float) -> np.ndarray:
    """The hole, (H, W) bool."""
    is_picture = isinstance(image, np.ndarray) and image.ndim == 3 and image.shape[2] == 3
    if not is_picture or image.dtype not in (np.uint8, np.float32):
        raise InputError(
            f"A picture to inpaint must be (height, width, 3) uint8, or float32 from 0 to 1, not {type_name(image)}."
        )
    if not isinstance(mask, np.ndarray) or mask.shape != image.shape[:2] or mask.dtype.kind not in "bf":
        raise InputError(
            "The mask must be bool or float of the picture's height and width, "
            f"{image.shape[:2]}, not {type_name(mask)}."
        )
    if method not in METHODS:
        raise InputError(f"The method must be {' or '.join(METHODS)}, not {method!r}.")
    if not is_number(radius) or not 0 < radius <= 100:
        raise InputError(f"The radius must be above 0 and up to 100 pixels, not {radius!r}.")
    hole = mask >= 0.5
    if hole.all():
        raise InputError("The mask covers the whole picture, so there is nothing to fill it from; use a smaller one.")
    return hole


def _around(hole: np.ndarray, margin: int) -> tuple[slice, slice]:
    """The box of a hole with a margin in pixels."""
    (box,) = ndimage.find_objects(hole.view(np.uint8))
    rows, columns = (slice(max(s.start - margin, 0), s.stop + margin) for s in box)
    return rows, columns


def _depth(hole: np.ndarray) -> float:
    """The distance in pixels from the middle of a hole to its rim."""
    return float(ndimage.distance_transform_edt(hole[_around(hole, 1)]).max())


def _fill_deep(
    pixels: np.ndarray, hole: np.ndarray, scale: float, fill: Callable[[np.ndarray, np.ndarray], np.ndarray]
) -> np.ndarray:
    """Fills a hole at a reduced size, (h, w, 3) float32; valid only inside the hole.

    The reduced picture lacks the detail of the rim, so the edge of the hole would be visible. Therefore the difference
    at the nearest rim pixel is added to each pixel in the hole, fading with depth.
    """
    height, width = hole.shape
    size = max(1, round(height * scale)), max(1, round(width * scale))
    known = (~hole).astype(np.float32)
    share = resize(known, size, Image.Resampling.BOX)
    small = resize(pixels * known[..., None], size, Image.Resampling.BOX) / np.maximum(share, 1e-6)[..., None]
    coarse = resize(fill(small, share < min(0.5, share.max())), (height, width), Image.Resampling.BICUBIC)
    away, (row, column) = ndimage.distance_transform_edt(hole, return_indices=True)
    fade = np.clip(1 - away * (scale / _FADE), 0, 1).astype(np.float32)
    fade *= fade * (3 - 2 * fade)
    return coarse + fade[..., None] * (pixels - coarse)[row, column]
