"""Masks of one picture before they are laid over each other, and what all of them go through.

The numbers of a mask are 0 and 1, 0 and 255, or 0 and 65535 in a 16 bit PNG. What lies between, as at the soft edges of
an anti-aliased mask, is inside when it is above half.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import NamedTuple

import numpy as np

from ...support.errors import Advice, InputError
from ...support.limits import MAX_PIXELS
from ..rle import Rle, encode_mask

MAX_MASKS = 65_535  # of one picture; as many as a label PNG can number
MAX_DRAWN = 5_000_000_000  # pixels that all masks of a picture may have together: some seconds of work


class Stack(NamedTuple):
    """Masks of one picture, which may overlap.

    Attributes:
        rles: N COCO RLEs of one size.
        scores: one a mask, or None when the source has none.
        size: height, width.
        nested: whether they are SAM's, of which parts lie within wholes, with scores that are no order of layers.
        layers: one a mask, and a higher one lies above; None when the source does not say.
    """

    rles: list[Rle]
    scores: list[float] | None
    size: tuple[int, int]
    nested: bool = False
    layers: list[float] | None = None


class LabelMap(NamedTuple):
    """One number a pixel.

    Attributes:
        labels: (H, W) int32, 0 = none.
        scores: entry k - 1 is that of label k; None when the source has none.
    """

    labels: np.ndarray
    scores: list[float] | None


class WrongSize(InputError):
    """Masks are of another size than the photo.

    Attributes:
        found: height, width of the masks.
    """

    def __init__(self, message: str, found: tuple[int, int]) -> None:
        super().__init__(message)
        self.found = found


def check_size(
    found: tuple[int, int], wanted: tuple[int, int] | None, name: str | Path, max_pixels: int = MAX_PIXELS
) -> None:
    """Checks that masks of the size `found` fit the photo; sizes are height, width.

    Raises:
        WrongSize: the photo's size, `wanted`, is known and is another one.
        InputError: there are no pixels, or too many.
    """
    height, width = found
    if height < 1 or width < 1:
        raise InputError(f"{name} holds masks without pixels ({width}x{height}).")
    if wanted is not None and found == (wanted[1], wanted[0]) != tuple(wanted):
        raise WrongSize(
            f"{name} holds masks of {width}x{height} pixels, but the photo has {wanted[1]}x{wanted[0]}: width and "
            f"height are swapped; turn the masks or the photo by 90 degrees.",
            found,
        )
    if wanted is not None and found != tuple(wanted):
        raise WrongSize(
            f"{name} holds masks of {width}x{height} pixels, but the photo has {wanted[1]}x{wanted[0]}; "
            f"make them from this photo at its own size.",
            found,
        )
    if width * height > max_pixels:
        raise InputError(
            f"{name} holds masks of {width}x{height} = {width * height:,} pixels, more than the limit of "
            f"{max_pixels:,}.",
            Advice.MAX_PIXELS,
        )


def encode(values: np.ndarray, name: str, threshold: float = 0.5) -> Rle:
    """The RLE, not compressed, of what is above a threshold in a mask, half by default.

    Args:
        values: (H, W) bool, whole numbers or floats: 0 to 1, 0 to 255 or 0 to 65535.
        name: of the mask, for the sentence of an error.
        threshold: 0 to 1, the part of the whole; what is as large or smaller is outside.

    Raises:
        InputError: the values are no mask's: negative, not finite, beyond 65535, or up to a number that is not the
            whole of any of these ranges, as in a label map.
    """
    inside = values
    if values.dtype != bool:
        low, high = float(values.min()), float(values.max())
        scale = 1 if high <= 1 else 255 if high <= 255 else 65535
        if not math.isfinite(low + high):
            raise InputError(f"{name} holds values that are not finite numbers; set them to 0.")
        if low < 0 or high > scale:
            logits = "; cut logits at 0 first (values > 0)" if low < 0 else ""
            raise InputError(
                f"{name} holds values from {low:g} to {high:g}, but a mask's are 0 and 1 or 0 and 255{logits}."
            )
        if scale > 1 and high <= scale * min(threshold, 0.5):
            raise InputError(
                f"{name} holds values up to {high:g}, but a mask's are 0 and 1 or 0 and 255; "
                f"give a label map as a PNG or an array of shape (height, width)."
            )
        inside = values > scale * threshold
    rows = np.flatnonzero(inside.any(axis=1))
    if not len(rows):
        return {"size": list(values.shape), "counts": np.array([values.size])}
    band = inside[rows[0] : rows[-1] + 1]
    columns = np.flatnonzero(band.any(axis=0))
    top, left = int(rows[0]), int(columns[0])
    patch = band[:, left : columns[-1] + 1]
    return encode_mask(patch, corner=(left, top), size=inside.shape, packed=False)
