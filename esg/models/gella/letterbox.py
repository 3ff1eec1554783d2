"""Letterboxing: fits an image into a square, zero padded at the right and bottom (paper Sec. 5.3)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from PIL import Image


@dataclass(frozen=True)
class Letterbox:
    """The placement of an image in a square.

    Attributes:
        size: height, width of the image in pixels.
        side: side of the square in pixels.
    """

    size: tuple[int, int]
    side: int

    @property
    def content(self) -> tuple[int, int]:
        """Height and width of the scaled image in the square, in pixels, at least 1."""
        longest = max(self.size)
        height, width = (max(1, round(extent * self.side / longest)) for extent in self.size)
        return height, width

    def fit_image(self, image: np.ndarray) -> np.ndarray:
        """(H, W, 3) uint8 → (side, side, 3) uint8, bicubic as for CLIP; 0 in the padding."""
        height, width = self.content
        scaled = Image.fromarray(image).resize((width, height), Image.Resampling.BICUBIC)
        return self._padded(np.asarray(scaled))

    def fit_labels(self, labels: np.ndarray) -> np.ndarray:
        """(H, W) int32 → (side, side) int32, the label under the centre of every pixel; 0 in the padding."""
        height, width = self.content
        rows = ((np.arange(height) + 0.5) * self.size[0] / height).astype(np.int64)
        columns = ((np.arange(width) + 0.5) * self.size[1] / width).astype(np.int64)
        return self._padded(labels[rows[:, None], columns])

    def covered(self, cells: int) -> tuple[int, int]:
        """Number of rows and columns that contain part of the image, in a grid of cells × cells over the square."""
        height, width = (-(-extent * cells // self.side) for extent in self.content)
        return height, width

    def _padded(self, content: np.ndarray) -> np.ndarray:
        height, width = content.shape[:2]
        square = np.zeros((self.side, self.side, *content.shape[2:]), content.dtype)
        square[:height, :width] = content
        return square
