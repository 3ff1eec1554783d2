"""Pictures with a bright and a dark half, and a stand-in for a model that finds them."""

from __future__ import annotations

import numpy as np
from PIL import Image

from esg import EntityMap

SIZE = (8, 12)


def picture(bright: int) -> Image.Image:
    """A black picture of 12x8 pixels whose first `bright` columns are white."""
    pixels = np.zeros((*SIZE, 3), np.uint8)
    pixels[:, :bright] = 255
    return Image.fromarray(pixels)


def halves(pixels: np.ndarray) -> tuple[EntityMap, None]:
    """The white pixels, with score 0.75, and the black ones, with 0.5."""
    return EntityMap.from_labels(np.where(pixels[..., 0] > 127, 1, 2), [0.75, 0.5]), None
