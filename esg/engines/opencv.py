"""Removing things without a diffusion model: OpenCV's inpainting, which continues what surrounds a hole into it.

It suits small things on plain ground. Deep holes are filled at a reduced size: at full size the colours of the rim run
to the middle as streaks, and that slowly.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from PIL import Image
from scipy import ndimage

from ..checks import is_number, kind_of
from ..errors import EsgError, InputError
from ..resample import resize

METHODS = ("telea", "ns")  # Telea 2004, fast marching; Bertalmio 2001, after Navier and Stokes
MAX_DEPTH = 16  # pixels from the rim of a hole to its middle that OpenCV gets to fill
_FADE = 2  # pixels of the reduced picture over which the detail of the rim fades into the hole


def remove_with_opencv(
    image: np.ndarray, mask: np.ndarray, *, method: str = "telea", radius: float = 3.0
) -> np.ndarray:
    """Fills the masked part of a picture from what surrounds it. The same input gives the same result.

    Args:
        image: (H, W, 3) uint8, or float32 from 0 to 1; it stays as it is.
        mask: (H, W) bool, or float from 0 to 1, where pixels from 0.5 on are filled.
        method: "telea" or "ns".
        radius: pixels around a point that OpenCV takes into account, above 0 and up to 100; at the reduced size where
            a hole is deep.

    Returns:
        (H, W, 3) in the image's dtype, a new array. No pixel outside the mask is changed; those inside are computed
        with 8 bits. An empty mask changes nothing.

    Raises:
        InputError: an argument has a wrong shape, dtype or value, or the mask leaves nothing to fill from.
        EsgError: OpenCV is not installed.
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
    """The module `cv2`; EsgError if it is not there."""
    try:
        import cv2
    except ImportError as error:
        raise EsgError(
            f"Inpainting without a diffusion model needs OpenCV ({error}); "
            "install it with `pip install opencv-python-headless`, or ESG with `pip install esg[demo]`."
        ) from None
    return cv2


def _checked(image: np.ndarray, mask: np.ndarray, method: str, radius: float) -> np.ndarray:
    """The hole, (H, W) bool."""
    is_picture = isinstance(image, np.ndarray) and image.ndim == 3 and image.shape[2] == 3
    if not is_picture or image.dtype not in (np.uint8, np.float32):
        raise InputError(
            f"A picture to inpaint must be (height, width, 3) uint8, or float32 from 0 to 1, not {kind_of(image)}."
        )
    if not isinstance(mask, np.ndarray) or mask.shape != image.shape[:2] or mask.dtype.kind not in "bf":
        raise InputError(
            f"The mask must be bool or float of the picture's height and width, {image.shape[:2]}, not {kind_of(mask)}."
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
    """The box of a hole and so many pixels more."""
    (box,) = ndimage.find_objects(hole.view(np.uint8))
    rows, columns = (slice(max(s.start - margin, 0), s.stop + margin) for s in box)
    return rows, columns


def _depth(hole: np.ndarray) -> float:
    """The distance from the middle of a hole to what surrounds it, pixels."""
    return float(ndimage.distance_transform_edt(hole[_around(hole, 1)]).max())


def _fill_deep(
    pixels: np.ndarray, hole: np.ndarray, scale: float, fill: Callable[[np.ndarray, np.ndarray], np.ndarray]
) -> np.ndarray:
    """Fills a hole at a reduced size, (h, w, 3) float32; what is right only in the hole.

    The reduced picture lacks the detail of the rim, and the hole would stand out by a line. So the difference at the
    nearest pixel of the rim is added to those in the hole, the less the deeper they are.
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
