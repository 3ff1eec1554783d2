"""Entities as input for CLIP: the patches that each covers, and a crop that shows nothing else."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from PIL import Image

from ...entities.entity_map import EntityMap
from ...support.strips import strips
from ..normalisation import CLIP_MEAN

_GREY = np.array([round(255 * mean) for mean in CLIP_MEAN], np.uint8)  # becomes 0 when CLIP normalises


def patch_shares(entities: EntityMap, rows: int, columns: int) -> np.ndarray:
    """The distribution of an entity over a grid of patches that covers the picture.

    Returns:
        (N, rows · columns) float32; each entity's values sum to 1.
    """
    cells = rows * columns
    counts = np.zeros((len(entities) + 1) * cells, np.int64)
    column = np.arange(entities.width) * columns // entities.width
    for part in strips(entities.height, entities.width):
        labels = entities.labels[part].astype(np.int64)
        row = np.arange(part.start, part.start + len(labels)) * rows // entities.height
        counts += np.bincount((labels * cells + row[:, None] * columns + column).ravel(), minlength=len(counts))
    return (counts.reshape(-1, cells)[1:] / entities.areas[:, None]).astype(np.float32)


def masked_crops(pixels: np.ndarray, entities: EntityMap, side: int) -> Iterator[np.ndarray]:
    """Each entity, cropped to its box, centred in a square and without its surroundings.

    Args:
        pixels: (H, W, 3) uint8 RGB.
        entities: entities of that picture.
        side: side of the square in pixels.

    Yields:
        (side, side, 3) uint8.
    """
    for number, (x0, y0, x1, y1) in enumerate(entities.boxes.tolist(), start=1):
        inside = entities.labels[y0:y1, x0:x1] == number
        crop = np.where(inside[..., None], pixels[y0:y1, x0:x1], _GREY)
        longer = max(crop.shape[:2])
        height, width = (max(1, round(extent * side / longer)) for extent in crop.shape[:2])
        scaled = Image.fromarray(crop).resize((width, height), Image.Resampling.BICUBIC)
        square = np.empty((side, side, 3), np.uint8)
        square[:] = _GREY
        top, left = (side - height) // 2, (side - width) // 2
        square[top : top + height, left : left + width] = np.asarray(scaled)
        yield square
