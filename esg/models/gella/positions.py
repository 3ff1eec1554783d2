"""Resamples a vision encoder's position table to another grid of patches, for another image side."""

from __future__ import annotations

import logging
import math

import torch
import torch.nn.functional as F
from torch import Tensor

log = logging.getLogger(__name__)

POSITIONS = "vision.embeddings.position_embedding.weight"  # among the names of `language.our_key`


def resampled(table: Tensor, rows: int) -> Tensor:
    """Resamples a position table to the given number of rows.

    Args:
        table: (1 + g², C) float; the first row belongs to the class token and stays unchanged.
        rows: 1 + h², number of rows of the new table.

    Returns:
        (1 + h², C) float32, resampled bicubically as transformers does it; the table itself if it already has that many
        rows, or if either number of rows does not belong to a square grid.
    """
    given, wanted = _side(len(table)) if table.dim() == 2 else 0, _side(rows)
    if given == wanted or not given or not wanted:
        return table
    log.info("The vision encoder was trained with %d patches per side; resampling its positions to %d.", given, wanted)
    first, grid = table[:1].float(), table[1:].float().T.unflatten(1, (given, given))  # (1, C), (C, g, g)
    grid = F.interpolate(grid[None], (wanted, wanted), mode="bicubic")[0]  # (C, h, h)
    return torch.cat((first, grid.flatten(1).T))


def _side(rows: int) -> int:
    """Side of the square patch grid with `rows - 1` cells; 0 if that is not a square."""
    side = math.isqrt(max(0, rows - 1))
    return side if side**2 + 1 == rows else 0
