"""Making a photo larger than it is, so that an engine can paint what lies beyond its borders."""

from __future__ import annotations

from dataclasses import astuple, dataclass

import numpy as np
from scipy import ndimage

from ..support.checks import check_whole
from .frame import MAX_TARGET
from .masks import SOLID, without_noise


@dataclass(frozen=True)
class Margins:
    """The number of pixels to add on each side of a photo; false if all are 0.

    Raises:
        InputError: a margin is not a whole number from 0 to 8192.
    """

    left: int = 0
    top: int = 0
    right: int = 0
    bottom: int = 0

    def __post_init__(self) -> None:
        for side in ("left", "top", "right", "bottom"):
            check_whole(side, getattr(self, side), 0, MAX_TARGET)

    def __bool__(self) -> bool:
        return any(astuple(self))

    def widen(self, photo: np.ndarray) -> np.ndarray:
        """The photo (H, W, C) with its margins, in which the pixels at its border are repeated."""
        return np.pad(photo, [*self._around, (0, 0)], mode="edge") if self else photo

    def widen_mask(self, mask: np.ndarray, *, fill_holes: bool, background: float) -> np.ndarray:
        """The mask of what has to be painted, (h, w) float32: a mask (H, W) of the photo, and the margins.

        Its holes are filled here, since margins on all sides would make a hole of the photo itself.

        Args:
            mask: bool, or float from 0 to 1.
            fill_holes, background: see `CropSettings`.
        """
        clean = without_noise(mask, background).astype(np.float32)
        if fill_holes:
            clean[ndimage.binary_fill_holes(clean >= SOLID)] = 1
        return np.pad(clean, self._around, constant_values=1)

    def widen_empty(self, mask: np.ndarray) -> np.ndarray:
        """A mask (H, W) of the photo in which the margins are not marked."""
        return np.pad(mask, self._around)

    @property
    def _around(self) -> list[tuple[int, int]]:
        return [(self.top, self.bottom), (self.left, self.right)]
