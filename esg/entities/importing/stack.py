"""Masks of one picture before they are stacked, and the checks that all of them go through.

The values of a mask are 0 and 1, 0 and 255, or 0 and 65535 in a 16-bit PNG. A value between, as at the soft edges of an
anti-aliased mask, is inside if it is above one half.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import NamedTuple

import numpy as np

from ...support.errors import Advice, InputError
from ...support.limits import MAX_PIXELS
from ..rle import Rle, encode_mask

MAX_MASKS = 65_535  # of one picture; a label PNG cannot number more
_SLACK = 0.25  # fraction of its range by which resampling may take a soft mask beyond 0 and 1
_LARGEST_LOGIT = 255
MAX_DRAWN = 5_000_000_000  # pixels of all masks of a picture together: a few seconds of work


class Stack(NamedTuple):
    """Masks of one picture, which may overlap.

    Attributes:
        rles: N COCO RLEs of one size.
        scores: one per mask, or None if the source does not have any.
        size: height, width.
        nested: whether they are SAM's: parts lie within wholes, and the scores do not give the stacking order.
        layers: one number per mask, a higher one on top; None if the source does not have layers.
        names: the name of each mask's category, None where it is unknown; None if the source does not have names.
    """

    rles: list[Rle]
    scores: list[float] | None
    size: tuple[int, int]
    nested: bool = False
    layers: list[float] | None = None
    names: list[str | None] | None = None


class LabelMap(NamedTuple):
    """A number per pixel.

    Attributes:
        labels: (H, W) int32, 0 = no entity.
        scores: entry k - 1 belongs to label k; None if the source does not have any.
        names: the same for names.
    """

    labels: np.ndarray
    scores: list[float] | None
    names: list[str | None] | None = None


class WrongSize(InputError):
    """The size of the masks is not that of the photo.

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
        WrongSize: the photo's size, `wanted`, is known and differs.
        InputError: the masks have no pixels, or too many.
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
    """The RLE, not compressed, of the pixels of a mask above a threshold, one half by default.

    Args:
        values: (H, W) bool, integers or floats: 0 to 1, 0 to 255 or 0 to 65535, or logits. Negative integers are
            outside. Floats that are a little outside of the range, as after resampling, are as good as its end.
        name: name of the mask, for an error message.
        threshold: 0 to 1, a fraction of the range; a value equal to it is outside. For logits, it is a probability.

    Raises:
        InputError: the values are not those of a mask: not finite, beyond 65535, or up to a number that is not the
            end of any of the ranges, as in a label map.
    """
    if values.dtype != bool:
        cut = _cut(values, name, threshold)
        values = values > (cut if values.dtype.kind == "f" else int(cut))  # integers compare faster
    return encode_mask(values, packed=False)


def are_logits(values: np.ndarray) -> bool:
    """Whether the values of a mask are floats above and below 0 that cannot be anything but logits."""
    if values.dtype.kind != "f":
        return False
    low, high = float(values.min()), float(values.max())
    overshoots = any(-_SLACK * top <= low and (1 - _SLACK) * top <= high <= (1 + _SLACK) * top for top in (1, 255))
    return low < 0 and math.isfinite(low) and high <= _LARGEST_LOGIT and not overshoots


def _cut(values: np.ndarray, name: str, threshold: float) -> float:
    """The value above which a pixel is inside."""
    low, high = float(values.min()), float(values.max())
    if not math.isfinite(low + high):
        raise InputError(f"{name} holds values that are not finite numbers; set them to 0.")
    if are_logits(values):
        return -math.inf if threshold <= 0 else math.inf if threshold >= 1 else -math.log(1 / threshold - 1)
    floats = values.dtype.kind == "f"
    slack = _SLACK if floats else 0.0
    scale = next((top for top in (1, 255) if high <= top * (1 + slack)), 65535)
    if high > scale * (1 + slack) or (floats and low < -slack * min(scale, 255)):
        raise InputError(f"{name} holds values from {low:g} to {high:g}, but those of a mask are 0 and 1 or 0 and 255.")
    if scale > 1 and high <= scale * min(threshold, 0.5):
        raise InputError(
            f"{name} holds values up to {high:g}, but those of a mask are 0 and 1 or 0 and 255; "
            f"give a label map as a PNG or an array of shape (height, width)."
        )
    return scale * threshold
